// SPDX-License-Identifier: BSL-1.0

// A task cancelled before its first step never enters its body.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<> child() {
    print("body (must not appear)");
    const auto cleanup = [] { print("finally (must not appear)"); };
    co_await aio::finally(aio::sleep(0s), cleanup);
}

aio::task<> amain() {
    auto t = aio::create_task(child());
    t.add_done_callback([](const aio::task_handle<>& ended) { print("done-callback, cancelled:", ended.cancelled()); });
    print("cancel ->", t.cancel());
    print("done now:", t.done(), "cancelling:", t.cancelling());
    try {
        co_await t;
    } catch (const aio::cancelled_error&) {
        print("main caught CancelledError");
    }
    print("cancelled:", t.cancelled(), "cancel again ->", t.cancel());
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
