// SPDX-License-Identifier: BSL-1.0
#include <asynchio/debug/timeit.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"

#include <chrono>
#include <stdexcept>

using namespace asynchio;
using namespace std::chrono_literals;

namespace {

/// Uses the processor for `time`.
void compute(std::chrono::nanoseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {}
}

} // namespace

TEST_CASE("timeit: the time of one call", "[time]") {
    const debug::timing took = debug::timeit([] { compute(100us); }, 4);
    CHECK(took.least >= 100us);
    CHECK(took.median >= took.least);
    CHECK(took.least + took.spread >= took.median);
    CHECK(took.calls >= 20); // so that a batch lasts for 20 ms, unless the machine is busy
}

TEST_CASE("timeit: a call that lasts longer than a batch is made once in each", "[time]") {
    int calls = 0;
    const debug::timing took = debug::timeit(
        [&] {
            ++calls;
            compute(21ms);
            return calls;
        },
        3);
    CHECK(took.calls == 1);
    CHECK(calls == 4); // one of them to find out
    CHECK(took.median >= 21ms);
}

TEST_CASE("timeit: the exception of the call, and no repetitions") {
    CHECK_THROWS_AS(debug::timeit([] { throw std::runtime_error("no"); }), std::runtime_error);
    CHECK(asynchio_tests::message_of([] { debug::timeit([] {}, 0); }) ==
          "timeit: the number of repetitions must be at least 1");
}
