// SPDX-License-Identifier: BSL-1.0

// gather runs several things at once and gives their results in the order of the arguments: a tuple for arguments of
// different types, a vector for a range. If one fails, the others are cancelled and awaited before the exception leaves.
//
//     c++ -std=c++20 -pthread -Iinclude examples/gather_results.cpp -o gather_results
//
// Run: ./gather_results
// Prints:
//   Berlin has 3700000 inhabitants
//   squares: 1 4 9 16
//   the second of three failed, the third was cancelled
//   with return_exceptions: 1, an error, 3
//
// Read next: wait_first_completed.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>

#include <chrono>
#include <iostream>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;

aio::task<std::string> find_name() {
    co_await aio::sleep(20ms);
    co_return "Berlin";
}

aio::task<int> count_people() {
    co_await aio::sleep(10ms);
    co_return 3'700'000;
}

aio::task<int> square(int n) {
    co_await aio::sleep(std::chrono::milliseconds(50 - 10 * n)); // the last one is the first to end
    co_return n* n;
}

aio::task<int> pass(int n) {
    co_await aio::yield();
    if (n == 2) throw std::runtime_error("two is not allowed");
    co_await aio::sleep(10ms);
    co_return n;
}

aio::task<> gather_all() {
    const auto city = co_await aio::gather(find_name(), count_people());
    const auto& [name, people] = city; // in two steps: g++ 15 has a bug in `auto [a, b] = co_await ...`
    std::cout << name << " has " << people << " inhabitants\n";

    std::vector<aio::task<int>> squares;
    for (int n = 1; n <= 4; ++n) squares.push_back(square(n));
    std::cout << "squares:";
    for (const int each : co_await aio::gather(squares)) std::cout << ' ' << each;
    std::cout << '\n';

    try {
        co_await aio::gather(pass(1), pass(2), aio::sleep(1h));
    } catch (const std::runtime_error&) {
        std::cout << "the second of three failed, the third was cancelled\n";
    }

    const auto outcomes = co_await aio::gather(aio::return_exceptions, pass(1), pass(2), pass(3));
    const auto& [one, two, three] = outcomes;
    std::cout << "with return_exceptions: " << one.value() << ", " << (two ? "a value" : "an error") << ", "
              << three.value() << '\n';
}

int main() { aio::run(gather_all()); }
