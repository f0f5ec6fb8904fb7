// SPDX-License-Identifier: BSL-1.0

// merge makes one stream of several: items come as they come. Each source runs in a task of its own; leaving through
// `with` cancels and closes them all.
//
//     c++ -std=c++20 -pthread -Iinclude examples/merge_streams.cpp -o merge_streams
//
// Run: ./merge_streams
// Prints:
//   10 ms: inside 20.5
//   14 ms: outside 4.0
//   20 ms: inside 20.6
//   28 ms: outside 4.5
//   30 ms: inside 20.7
//   enough
//   inside is off
//   outside is off
//
// Read next: map_with_limit.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>
#include <asynchio/testing.hpp>

#include <chrono>
#include <iomanip>
#include <iostream>
#include <string>
#include <utility>

namespace aio = asynchio;
using namespace std::chrono_literals;

struct reading {
    std::string sensor;
    double degrees;

    reading(std::string s, double d) : sensor(std::move(s)), degrees(d) {}
};

/// Tells when it is closed, on whatever path.
class power {
public:
    explicit power(std::string name) : name_(std::move(name)) {}
    power(const power&) = delete;
    power& operator=(const power&) = delete;
    ~power() { std::cout << name_ << " is off\n"; }

private:
    std::string name_;
};

aio::async_generator<reading> sensor(std::string name, aio::duration interval, double start, double step) {
    const power on(name);
    for (int i = 0;; ++i) {
        co_await aio::sleep(interval);
        co_yield reading(name, start + i * step);
    }
}

aio::task<> watch() {
    const auto begin = aio::clock::now();
    auto readings = aio::merge(sensor("inside", 10ms, 20.5, 0.1), sensor("outside", 14ms, 4.0, 0.5));
    auto body = [&]() -> aio::task<> {
        for (int i = 0; i < 5; ++i) {
            const auto item = co_await readings.next();
            const auto time = std::chrono::duration_cast<std::chrono::milliseconds>(aio::clock::now() - begin);
            std::cout << time.count() << " ms: " << item->sensor << ' ' << item->degrees << '\n';
        }
        std::cout << "enough\n";
    };
    co_await aio::with(readings, body);
}

int main() {
    std::cout << std::fixed << std::setprecision(1);
    aio::run(watch(), aio::testing::virtual_clock()); // so that the times are exact
}
