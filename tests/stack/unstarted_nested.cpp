// SPDX-License-Identifier: BSL-1.0

// Tasks that were never started, each holding another one among its arguments, 1,000,000 deep, and dropped: outside of
// a loop, inside a running one, and as the arguments of a task that is destroyed with its loop.

#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/run.hpp>

#include "small_stack.hpp"

#include <string>
#include <utility>

namespace aio = asynchio;
using asynchio_tests::require;

namespace {

const int depth = asynchio_tests::many(1'000'000);

class counted {
public:
    counted() noexcept { ++alive; }
    counted(const counted&) = delete;
    counted(counted&&) noexcept {
        ++alive;
        ++moves;
    }
    counted& operator=(const counted&) = delete;
    ~counted() { --alive; }

    static inline int alive = 0;
    static inline int moves = 0;
};

bool entered = false;

aio::task<> holds(aio::task<> inner, counted argument) {
    entered = true;
    static_cast<void>(argument);
    co_await std::move(inner);
}

aio::task<> nest() {
    aio::task<> outermost;
    for (int i = 0; i < depth; ++i) {
        counted argument;
        outermost = holds(std::move(outermost), std::move(argument));
    }
    require(counted::alive == depth, "not every task holds its argument");
    return outermost;
}

aio::task<> drop_in_loop() {
    { const aio::task<> dropped = nest(); }
    require(counted::alive == 0, "in a loop: arguments were left alive");
    co_return;
}

void test() {
    { const aio::task<> dropped = nest(); }
    require(counted::alive == 0, "outside of a loop: arguments were left alive");

    aio::run(drop_in_loop());

    {
        aio::event_loop loop;
        std::string reported;
        loop.set_exception_handler(
            [&reported](aio::event_loop&, const aio::exception_context& context) { reported += context.message; });
        loop.create_task(nest());
        loop.close();
        require(reported == "Task was destroyed but it is pending!", "reported: '" + reported + "'");
    }
    require(counted::alive == 0, "with a loop: arguments were left alive");
    require(!entered, "a task that was only dropped has run");
}

} // namespace

int main() { return asynchio_tests::on_small_stack(&test); }
