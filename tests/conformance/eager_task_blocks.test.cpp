// SPDX-License-Identifier: BSL-1.0

// An eager task that suspends: the creator goes on at the suspension, then the task runs like any other; eager creation
// nests; cancellation works.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<std::string> inner() {
    print("inner start");
    co_await aio::sleep(0s);
    print("inner end");
    co_return "inner";
}

aio::task<std::string> outer() {
    print("outer start");
    auto t = aio::create_task(aio::eager, inner());
    print("outer created inner, done:", t.done());
    std::string r = co_await t;
    print("outer end");
    co_return r;
}

aio::task<> sleeper() {
    try {
        co_await aio::sleep(10s);
    } catch (const aio::cancelled_error&) {
        print("sleeper cancelled");
        throw;
    }
}

aio::task<> amain() {
    auto t = aio::create_task(aio::eager, outer());
    print("main continues, done:", t.done());
    const std::string& result = co_await t;
    print(result);
    auto s = aio::create_task(aio::eager, sleeper());
    s.cancel();
    try {
        co_await s;
    } catch (const aio::cancelled_error&) {
        print("cancelled:", s.cancelled());
    }
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
