// SPDX-License-Identifier: BSL-1.0

// Several cancel() calls before the task runs again deliver one cancelled_error; cancelling() counts them all.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<std::string> child() {
    try {
        co_await aio::sleep(10s);
    } catch (const aio::cancelled_error&) {
        print("caught 1, cancelling:", aio::current_task().cancelling());
    }
    try {
        co_await aio::sleep(0s);
        co_await aio::sleep(20ms);
        print("no second CancelledError");
    } catch (const aio::cancelled_error&) {
        print("caught 2 (must not appear)");
    }
    co_return "value";
}

aio::task<> amain() {
    auto t = aio::create_task(child());
    co_await aio::sleep(0s);
    print(t.cancel(), t.cancel(), t.cancel());
    const std::string& result = co_await t;
    print("result:", result);
    print("cancelled:", t.cancelled(), "cancelling:", t.cancelling());
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
