// SPDX-License-Identifier: BSL-1.0

// Names that other libraries define away, in front of the umbrella: those of Qt, and those of assertion libraries.

#define signals public
#define slots
#define emit
#define foreach for
#define forever for (;;)
#define check(x) static_assert(false, #x)
#define verify(x) static_assert(false, #x)
#define require(x) static_assert(false, #x)

#include <asynchio.hpp>

asynchio::task<int> gives_nothing() {
    co_await asynchio::yield();
    co_return 0;
}

int main() { return asynchio::run(gives_nothing()); }
