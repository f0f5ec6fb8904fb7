// SPDX-License-Identifier: BSL-1.0
#include <asynchio/core/detail/pointer_set.hpp>

#include "support/catch.hpp"

#include <cstddef>
#include <vector>

using asynchio::detail::pointer_set;

TEST_CASE("pointer_set: knows what it was given, for as many as it was made for") {
    for (const std::size_t most : {std::size_t(0), std::size_t(1), std::size_t(4), std::size_t(1000)}) {
        std::vector<int> objects(most);
        pointer_set seen(most);
        std::size_t fresh = 0, known = 0;
        for (const int& each : objects)
            if (seen.insert(&each)) ++fresh;
        for (const int& each : objects)
            if (!seen.insert(&each)) ++known;
        CHECK(fresh == most);
        CHECK(known == most);
    }
}

TEST_CASE("pointer_set: tells addresses of blocks of any size apart") {
    std::vector<char> block(std::size_t(1) << 20);
    for (std::size_t step = 1; step <= 4096; step *= 4) {
        pointer_set seen(256);
        bool all = true;
        for (std::size_t i = 0; i < 256; ++i) all = all && seen.insert(&block[i * step % block.size()]);
        CHECK(all);
        CHECK_FALSE(seen.insert(&block[0]));
    }
}
