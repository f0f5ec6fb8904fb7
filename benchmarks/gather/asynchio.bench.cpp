// SPDX-License-Identifier: BSL-1.0
#include "gather/problem.hpp"
#include "support/count_allocations.hpp"

#include <asynchio/combine/gather.hpp>

#include <tuple>
#include <vector>

using asynchio::task;

static task<int> child(int x) { co_return x; }

static task<> tens() {
    long sum = 0;
    for (std::size_t i = 0; i < gather_problem::rounds; ++i) {
        const auto all = co_await asynchio::gather(child(0), child(1), child(2), child(3), child(4), child(5), child(6),
                                                   child(7), child(8), child(9));
        std::apply([&sum](auto... each) { sum += (each + ...); }, all);
    }
    gather_problem::check(sum, 45 * static_cast<long>(gather_problem::rounds));
}

static void gather_10_asynchio(benchmark::State& state) { bench::measure_task(state, gather_problem::rounds, tens); }
BENCHMARK(gather_10_asynchio);

static task<> range(std::size_t n) {
    std::vector<task<int>> children;
    children.reserve(n);
    for (std::size_t i = 0; i < n; ++i) children.push_back(child(1));
    long sum = 0;
    for (const int each : co_await asynchio::gather(std::move(children))) sum += each;
    gather_problem::check(sum, static_cast<long>(n));
}

static void gather_range_asynchio(benchmark::State& state) {
    const auto n = static_cast<std::size_t>(state.range(0));
    bench::measure_task(state, n, [n] { return range(n); });
}
BENCHMARK(gather_range_asynchio)->Arg(1000)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);
