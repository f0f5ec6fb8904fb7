// SPDX-License-Identifier: BSL-1.0

// timeout is a deadline for a whole block, a resource of `with`. It can be moved while the block runs, and asked
// afterwards.
//
//     c++ -std=c++20 -pthread -Iinclude examples/timeout_block.cpp -o timeout_block
//
// Run: ./timeout_block
// Prints:
//   header
//   body
//   body
//   the download timed out: 3 parts
//   the whole took less: 1 part
//
// Read next: move_on_after.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>

#include <chrono>
#include <iostream>

namespace aio = asynchio;
using namespace std::chrono_literals;

aio::task<> receive(aio::timeout& limit, int& parts) {
    std::cout << "header\n";
    ++parts;
    limit.reschedule(aio::clock::now() + 250ms); // it answers: from here on it has more time
    for (;;) {
        co_await aio::sleep(100ms);
        std::cout << "body\n";
        ++parts;
    }
}

aio::task<> download() {
    int parts = 0;
    try {
        co_await aio::with(aio::timeout(50ms), [&parts](aio::timeout& limit) { return receive(limit, parts); });
    } catch (const aio::timeout_error&) {
        std::cout << "the download timed out: " << parts << " parts\n";
    }

    parts = 0;
    auto limit = aio::timeout(10s);
    co_await aio::with(limit, [&parts]() -> aio::task<> {
        co_await aio::sleep(10ms);
        ++parts;
    });
    if (!limit.expired()) std::cout << "the whole took less: " << parts << " part\n";
}

int main() { aio::run(download()); }
