// SPDX-License-Identifier: BSL-1.0

// Tests run in virtual time: the clock stands still while anything runs and jumps to the next deadline when nothing is
// ready. A day passes in no time, and always in the same way; audit() says whether anything was left.
//
//     c++ -std=c++20 -pthread -Iinclude examples/virtual_time_testing.cpp -o virtual_time_testing
//
// Run: ./virtual_time_testing
// Prints:
//   backup at 0 h
//   backup at 24 h
//   retry at 24 h 0 min 1 s
//   retry at 24 h 0 min 3 s
//   backup at 48 h
//   took less than a second: yes
//   everything is gone: yes
//
// Read next: for_each_cancellation_testing.cpp

#include <asynchio/task.hpp>
#include <asynchio/testing.hpp>

#include <chrono>
#include <iostream>

namespace aio = asynchio;
using namespace std::chrono_literals;

/// What is to be tested: backs up once a day, and tries again after 1, 2, 4 ... seconds.
template<class Upload>
aio::task<> back_up_daily(int days, Upload upload) {
    const aio::time_point begin = aio::clock::now();
    for (int day = 0; day < days; ++day) {
        co_await aio::sleep_until(begin + day * 24h);
        for (auto pause = 1s; !upload(); pause *= 2) co_await aio::sleep(pause);
    }
}

aio::task<> test_back_up() {
    const aio::time_point begin = aio::clock::now();
    int calls = 0;
    const auto upload = [&] {
        const bool retry = calls == 2 || calls == 3;
        const std::chrono::hh_mm_ss time(std::chrono::floor<std::chrono::seconds>(aio::clock::now() - begin));
        std::cout << (retry ? "retry" : "backup") << " at " << time.hours().count() << " h";
        if (retry) std::cout << ' ' << time.minutes().count() << " min " << time.seconds().count() << " s";
        std::cout << '\n';
        ++calls;
        return calls != 2 && calls != 3; // the second and the third fail
    };
    co_await back_up_daily(3, upload);
}

int main() {
    const auto begin = std::chrono::steady_clock::now();
    aio::run(test_back_up(), aio::testing::virtual_clock());
    std::cout << "took less than a second: " << (std::chrono::steady_clock::now() - begin < 1s ? "yes\n" : "no\n");
    std::cout << "everything is gone: " << (aio::testing::audit().clean() ? "yes\n" : "no\n");
}
