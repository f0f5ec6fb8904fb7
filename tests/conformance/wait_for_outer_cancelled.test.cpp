// SPDX-License-Identifier: BSL-1.0

// Cancelling the task in wait_for cancels the child, waits for it, and throws cancelled_error, not timeout_error.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<> child() {
    std::exception_ptr stop;
    try {
        co_await aio::sleep(10s);
    } catch (const aio::cancelled_error&) {
        stop = std::current_exception();
    }
    if (stop) {
        print("child cleanup begins");
        co_await aio::sleep(40ms);
        print("child cleanup ends");
        std::rethrow_exception(stop);
    }
}

aio::task<> outer(aio::task_handle<> c) {
    try {
        co_await aio::wait_for(c, 500ms);
    } catch (const aio::cancelled_error&) {
        print("outer CancelledError, child done:", c.done());
        throw;
    } catch (const aio::timeout_error&) {
        print("must not appear");
    }
}

aio::task<> amain() {
    auto c = aio::create_task(child());
    auto o = aio::create_task(outer(c));
    co_await aio::sleep(40ms);
    o.cancel();
    co_await aio::wait(o);
    print("outer cancelled:", o.cancelled(), "child cancelled:", c.cancelled());
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
