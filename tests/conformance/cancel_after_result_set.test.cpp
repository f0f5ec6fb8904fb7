// SPDX-License-Identifier: BSL-1.0

// cancel() after the awaited future got its result but before the task woke up: cancelled_error is delivered all the
// same, and the result is lost to the task.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<> child(aio::future<int> f) {
    try {
        const int got = co_await f;
        print("got", got);
    } catch (const aio::cancelled_error&) {
        print("CancelledError although the future has result", f.result());
        throw;
    }
}

aio::task<> amain() {
    auto f = aio::get_running_loop().create_future<int>();
    auto t = aio::create_task(child(f));
    co_await aio::sleep(0s);
    f.set_result(99);
    const bool accepted = t.cancel();
    print("cancel ->", accepted, "future cancelled:", f.cancelled());
    co_await aio::wait(t);
    print("task cancelled:", t.cancelled());
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
