// SPDX-License-Identifier: BSL-1.0

// outer.cancel() cancels the task that outer awaits; outer sees cancelled_error only after the inner task has finished
// its cleanup.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<> inner() {
    std::exception_ptr stop;
    try {
        co_await aio::sleep(10s);
    } catch (const aio::cancelled_error&) {
        stop = std::current_exception();
    }
    if (stop) {
        print("inner cleanup begins");
        co_await aio::sleep(40ms);
        print("inner cleanup ends");
        std::rethrow_exception(stop);
    }
}

aio::task<> outer(aio::task_handle<> t) {
    try {
        co_await t;
    } catch (const aio::cancelled_error&) {
        print("outer CancelledError, inner cancelled:", t.cancelled());
        throw;
    }
}

aio::task<> amain() {
    auto i = aio::create_task(inner());
    auto o = aio::create_task(outer(i));
    co_await aio::sleep(0s);
    co_await aio::sleep(0s);
    print("cancel outer ->", o.cancel());
    print("inner cancelling:", i.cancelling(), "outer cancelling:", o.cancelling());
    co_await aio::wait(o);
    print("outer cancelled:", o.cancelled(), "inner cancelled:", i.cancelled());
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
