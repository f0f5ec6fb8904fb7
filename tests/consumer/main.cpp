// SPDX-License-Identifier: BSL-1.0

// What a program needs of the library, built in every way that the README names (run.sh).

#include <asynchio.hpp>

#include <cstdio>

namespace aio = asynchio;

aio::task<int> answer() {
    co_await aio::yield();
    co_return 42;
}

int main() {
    const int result = aio::run(answer());
    std::printf("asynchio %d.%d.%d: %d\n", aio::version_major, aio::version_minor, aio::version_patch, result);
    return result == 42 ? 0 : 1;
}
