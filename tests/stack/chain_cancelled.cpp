// SPDX-License-Identifier: BSL-1.0

// A chain of co_awaits 1,000,000 deep, suspended in its leaf and cancelled: each coroutine is unwound, the leaf first.

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/testing/policies.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include "small_stack.hpp"

#include <chrono>

namespace aio = asynchio;
using asynchio_tests::require;

namespace {

const int depth = asynchio_tests::many(1'000'000);

/// What the coroutines find as they go: how many unwound, and whether in order.
struct unwinding {
    int alive = 0;
    int next = 0; // whose turn it is: 0 is the leaf
    bool in_order = true;
};

class witness {
public:
    witness(unwinding& what, int height) noexcept : what_(what), height_(height) { ++what_.alive; }
    witness(const witness&) = delete;
    witness& operator=(const witness&) = delete;
    ~witness() {
        --what_.alive;
        what_.in_order = what_.in_order && what_.next == height_;
        ++what_.next;
    }

private:
    unwinding& what_;
    int height_;
};

aio::task<> descend(int height, unwinding& seen) {
    const witness here(seen, height);
    if (height == 0)
        co_await aio::sleep(std::chrono::hours(1));
    else
        co_await descend(height - 1, seen);
}

aio::task<> cancel_it(unwinding& seen) {
    const auto chain = aio::create_task(descend(depth, seen));
    co_await aio::testing::run_until_idle();
    require(seen.alive == depth + 1, "not all coroutines were entered");
    require(chain.cancel("enough"), "the chain was done before it was cancelled");
    require(seen.alive == depth + 1, "cancel() ran something at once");
    bool cancelled = false;
    try {
        co_await chain;
    } catch (const aio::cancelled_error& e) {
        cancelled = e.message() == "enough";
    }
    require(cancelled, "the chain did not end with the cancellation and its message");
}

void test() {
    unwinding seen;
    aio::run(cancel_it(seen), aio::testing::virtual_clock());
    require(seen.alive == 0, "some coroutines were not unwound");
    require(seen.next == depth + 1 && seen.in_order, "they were not unwound leaf first, each once");
}

} // namespace

int main() { return asynchio_tests::on_small_stack(&test); }
