// SPDX-License-Identifier: BSL-1.0
#include "gather/problem.hpp"

#include <future>
#include <vector>

static void gather_10_std_async(benchmark::State& state) {
    bench::measure(state, 1, [] {
        std::vector<std::future<int>> children;
        for (int i = 0; i < 10; ++i) children.push_back(std::async(std::launch::async, [i] { return i; }));
        long sum = 0;
        for (std::future<int>& each : children) sum += each.get();
        gather_problem::check(sum, 45);
    });
}
BENCHMARK(gather_10_std_async)->UseRealTime();
