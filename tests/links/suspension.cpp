// SPDX-License-Identifier: BSL-1.0
// An awaiter of one's own, and a coroutine that waits in it.
#include <asynchio/task/suspension.hpp>
#include <asynchio/task/task.hpp>

namespace {

struct never : asynchio::suspension {
    bool await_ready() const noexcept { return false; }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> coroutine) {
        park(coroutine, std::source_location::current());
    }
    void await_resume() { resumed(); }
};

asynchio::task<> waits() { co_await never(); }

} // namespace

int main() {
    const auto dropped = waits();
    return dropped ? 0 : 1;
}
