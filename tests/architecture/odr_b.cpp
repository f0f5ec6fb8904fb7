// SPDX-License-Identifier: BSL-1.0

// The other half of odr_a.cpp.

#include <asynchio.hpp>

asynchio::task<int> from_the_other_half();

asynchio::task<int> from_the_other_half() {
    co_await asynchio::yield();
    co_return 21;
}
