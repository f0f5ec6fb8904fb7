// SPDX-License-Identifier: BSL-1.0

// One half of a pair: both include everything and are linked into one program, which fails when a definition in a header
// is not inline.

#include <asynchio.hpp>

asynchio::task<int> from_the_other_half();

int main() {
    const auto twice = []() -> asynchio::task<int> { co_return 2 * co_await from_the_other_half(); };
    return asynchio::run(twice()) == 42 ? 0 : 1;
}
