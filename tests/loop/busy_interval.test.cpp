// SPDX-License-Identifier: BSL-1.0
#include <asynchio/loop/detail/busy_interval.hpp>

#include "support/catch.hpp"

namespace {

using asynchio::detail::busy_interval;
using asynchio::detail::nanoseconds_count;

/// Iterations until it wants to read the clock.
int until_over(busy_interval& b) {
    int iterations = 1;
    while (!b.over()) {
        ++iterations;
        REQUIRE(iterations < 1000);
    }
    return iterations;
}

} // namespace

TEST_CASE("busy_interval: the first iteration reads the clock") {
    busy_interval b;
    CHECK(until_over(b) == 1);
}

TEST_CASE("busy_interval: quick iterations are looked at less and less, down to one in 32") {
    busy_interval b;
    nanoseconds_count now = 1'000'000'000;
    b.restart(now);
    for (const int expected : {1, 2, 4, 8, 16, 32, 32, 32}) {
        CHECK(until_over(b) == expected);
        b.looked(now += 100);
    }
}

TEST_CASE("busy_interval: one slow iteration has the next one looked at") {
    busy_interval b;
    nanoseconds_count now = 1'000'000'000;
    b.restart(now);
    for (int i = 0; i < 8; ++i) {
        until_over(b);
        b.looked(now += 100);
    }
    CHECK(until_over(b) == 32);
    b.looked(now += 1'000'000);
    CHECK(until_over(b) == 1);
    b.looked(now += 100);
    CHECK(until_over(b) == 2);
}

TEST_CASE("busy_interval: the poller is asked once in 25 microseconds", "[LOOP-4]") {
    busy_interval b;
    nanoseconds_count now = 1'000'000'000;
    b.restart(now);
    int polls = 0;
    for (int i = 0; i < 1000; ++i)
        if (b.looked(now += 1000)) ++polls;
    CHECK(polls == 40);
    CHECK(b.looked(now + busy_interval::poll_every));
    CHECK_FALSE(b.looked(now + busy_interval::poll_every + 1));
}

TEST_CASE("busy_interval: a timer that is due has the next iteration look") {
    busy_interval b;
    nanoseconds_count now = 1'000'000'000;
    b.restart(now);
    for (int i = 0; i < 8; ++i) {
        until_over(b);
        b.looked(now += 100);
    }
    b.end();
    CHECK(until_over(b) == 1);
}

TEST_CASE("busy_interval: sleeping counts as having asked everything") {
    busy_interval b;
    const nanoseconds_count now = 1'000'000'000;
    b.looked(now);
    b.restart(now + 1'000'000);
    CHECK(until_over(b) == 1);
    CHECK_FALSE(b.looked(now + 1'000'000 + busy_interval::poll_every - 1));
    CHECK(b.looked(now + 1'000'000 + busy_interval::poll_every));
}
