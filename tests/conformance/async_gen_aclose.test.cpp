// SPDX-License-Identifier: BSL-1.0

// Asynchronous generators: lazy start, taking turns with the consumer, cleanup at aclose() after an early break; a
// second aclose() is harmless.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::async_generator<int> numbers(int n) {
    print("gen start");
    std::exception_ptr leaving;
    try {
        for (int i = 0; i < n; ++i) {
            print("yield", i);
            co_yield i;
            co_await aio::sleep(0s);
        }
        print("gen exhausted");
    } catch (...) {
        leaving = std::current_exception();
    }
    print("gen finally begins");
    co_await aio::sleep(20ms);
    print("gen finally ends");
    if (leaving) std::rethrow_exception(leaving);
}

aio::task<> amain() {
    auto first = numbers(2);
    auto all = [&]() -> aio::task<> {
        print("created");
        while (auto i = co_await first.next()) print("got", *i);
    };
    co_await aio::with(first, all);
    print("--- break");
    auto g = numbers(5);
    auto two = [&]() -> aio::task<> {
        while (auto i = co_await g.next()) {
            print("got", *i);
            if (*i == 1) break;
        }
        print("left the loop");
    };
    co_await aio::with(g, two);
    print("closed");
    co_await g.aclose();
    print("--- never started");
    auto h = numbers(1);
    co_await h.aclose();
    print("end");
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
