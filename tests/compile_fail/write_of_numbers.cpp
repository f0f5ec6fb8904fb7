// SPDX-License-Identifier: BSL-1.0

// Bytes are char, std::byte or unsigned char: how a number is written is the caller's business.

// expect: no matching function|no matching member function

#include <asynchio/io/stream.hpp>
#include <asynchio/task/task.hpp>

#include <vector>

namespace aio = asynchio;

aio::task<> program(aio::stream& s) {
#ifdef ASYNCHIO_CORRECT
    const std::vector<unsigned char> data(10);
#else
    const std::vector<int> data(10);
#endif
    co_await s.write(data);
}
