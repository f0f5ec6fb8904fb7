// SPDX-License-Identifier: BSL-1.0

// A generator gives values one by one to a plain loop: no event loop, no task. It runs only as far as it is asked, so it
// may be endless, and recursion through elements_of costs no stack.
//
//     c++ -std=c++20 -pthread -Iinclude examples/generator_primes.cpp -o generator_primes
//
// Run: ./generator_primes
// Prints:
//   primes: 2 3 5 7 11 13 17 19 23 29
//   twins below 100: (3,5) (5,7) (11,13) (17,19) (29,31) (41,43) (59,61) (71,73)
//   in order: 1 2 3 4 5 6 7
//
// Read next: async_generator_paging.cpp

#include <asynchio/core/generator.hpp>

#include <iostream>
#include <ranges>
#include <utility>
#include <vector>

namespace aio = asynchio;

aio::generator<int> primes() {
    std::vector<int> found;
    for (int candidate = 2;; ++candidate) {
        bool divisible = false;
        for (const int prime : found) {
            if (prime * prime > candidate) break;
            divisible = candidate % prime == 0;
            if (divisible) break;
        }
        if (divisible) continue;
        found.push_back(candidate);
        co_yield candidate;
    }
}

aio::generator<std::pair<int, int>> twins(aio::generator<int> numbers) {
    int before = 1;
    for (const int number : numbers) {
        if (number == before + 2) co_yield std::pair<int, int>(before, number);
        before = number;
    }
}

/// The numbers from `first` to `last` as a balanced tree would give them.
aio::generator<int> in_order(int first, int last) {
    if (first > last) co_return;
    const int root = (first + last) / 2;
    co_yield aio::elements_of(in_order(first, root - 1));
    co_yield root;
    co_yield aio::elements_of(in_order(root + 1, last));
}

int main() {
    std::cout << "primes:";
    for (const int prime : primes() | std::views::take(10)) std::cout << ' ' << prime;
    std::cout << "\ntwins below 100:";
    for (const auto& [small, large] : twins(primes())) {
        if (large >= 100) break; // the rest is dropped
        std::cout << " (" << small << ',' << large << ')';
    }
    std::cout << "\nin order:";
    for (const int number : in_order(1, 7)) std::cout << ' ' << number;
    std::cout << '\n';
}
