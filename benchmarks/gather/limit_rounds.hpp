// SPDX-License-Identifier: BSL-1.0
#pragma once

// The problem for hand-written children. `Joined::make(int)` makes a coroutine, start() queues it and counts it as
// running, `co_await` of a Joined waits for all, and a child's take() gives its result and frees it.

#include "gather/problem.hpp"
#include "support/limit.hpp"

#include <cstddef>
#include <vector>

namespace gather_problem {

template<class Joined>
limit::detached tens() {
    long sum = 0;
    for (std::size_t i = 0; i < rounds; ++i) {
        Joined all;
        const typename Joined::child children[10] = {Joined::make(0), Joined::make(1), Joined::make(2), Joined::make(3),
                                                     Joined::make(4), Joined::make(5), Joined::make(6), Joined::make(7),
                                                     Joined::make(8), Joined::make(9)};
        for (const auto& each : children) all.start(each);
        co_await all;
        for (const auto& each : children) sum += each.take();
    }
    check(sum, 45 * static_cast<long>(rounds));
}

template<class Joined>
limit::detached range(std::size_t n) {
    Joined all;
    std::vector<typename Joined::child> children;
    children.reserve(n);
    for (std::size_t i = 0; i < n; ++i) children.push_back(Joined::make(1));
    for (const auto& each : children) all.start(each);
    co_await all;
    std::vector<int> results;
    results.reserve(n);
    for (const auto& each : children) results.push_back(each.take());
    long sum = 0;
    for (const int each : results) sum += each;
    check(sum, static_cast<long>(n));
}

template<class Joined>
void measure_ten(benchmark::State& state) {
    bench::measure(state, rounds, [] {
        std::size_t running = 0;
        tens<Joined>().start(running);
        limit::ready.run();
    });
}

template<class Joined>
void measure_range(benchmark::State& state) {
    const auto n = static_cast<std::size_t>(state.range(0));
    bench::measure(state, n, [n] {
        std::size_t running = 0;
        range<Joined>(n).start(running);
        limit::ready.run();
    });
}

} // namespace gather_problem
