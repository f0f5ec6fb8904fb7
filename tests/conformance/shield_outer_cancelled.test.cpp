// SPDX-License-Identifier: BSL-1.0

// Cancelling the awaiter of shield(handle): it gets cancelled_error at once; the inner task runs on and can be awaited
// again.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<std::string> inner() {
    try {
        co_await aio::sleep(80ms);
    } catch (const aio::cancelled_error&) {
        print("inner cancelled (must not appear)");
        throw;
    }
    print("inner end");
    co_return "inner result";
}

aio::task<> outer(aio::task_handle<std::string> t) {
    std::exception_ptr stop;
    try {
        co_await aio::shield(t);
    } catch (const aio::cancelled_error&) {
        stop = std::current_exception();
    }
    if (stop) {
        print("outer CancelledError, inner done:", t.done());
        const std::string& r = co_await t;
        print("outer waited for", r);
        std::rethrow_exception(stop);
    }
}

aio::task<> amain() {
    auto t = aio::create_task(inner());
    auto o = aio::create_task(outer(t));
    co_await aio::sleep(20ms);
    o.cancel();
    print("inner cancelling:", t.cancelling());
    co_await aio::wait(o);
    print("outer cancelled:", o.cancelled(), "inner:", t.result());
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
