// SPDX-License-Identifier: BSL-1.0
#include <asynchio/core/detail/spin_lock.hpp>

#include "support/catch.hpp"

#include <thread>
#include <type_traits>

using asynchio::detail::spin_lock;

TEST_CASE("a spin_lock lets one thread in at a time") {
    constexpr int rounds = 10'000;
    spin_lock lock;
    int count = 0;
    const auto add = [&] {
        for (int i = 0; i < rounds; ++i) {
            const spin_lock::guard guard(lock);
            ++count;
        }
    };
    std::thread other(add);
    add();
    other.join();
    CHECK(count == 2 * rounds);
}

TEST_CASE("a spin_lock may be used by what is destroyed last") {
    STATIC_REQUIRE(std::is_trivially_destructible_v<spin_lock>);
}
