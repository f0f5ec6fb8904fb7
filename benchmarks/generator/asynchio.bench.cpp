// SPDX-License-Identifier: BSL-1.0
#include "generator/problem.hpp"
#include "support/count_allocations.hpp"

#include <asynchio/core/generator.hpp>
#include <asynchio/task/async_generator.hpp>

using asynchio::task;
using generator_problem::n;

[[gnu::noinline]] static asynchio::generator<long> count(long end) {
    for (long i = 0; i < end; ++i) co_yield long(i);
}

static void generator_asynchio(benchmark::State& state) {
    bench::measure(state, n, [] {
        long sum = 0;
        for (const long item : count(n)) sum += item;
        generator_problem::check(sum);
    });
}
BENCHMARK(generator_asynchio);

[[gnu::noinline]] static asynchio::async_generator<long> count_async(long end) {
    for (long i = 0; i < end; ++i) co_yield long(i);
}

static task<> consume() {
    long sum = 0;
    auto numbers = count_async(n);
    while (auto item = co_await numbers.next()) sum += *item;
    generator_problem::check(sum);
}

static void async_generator_asynchio(benchmark::State& state) { bench::measure_task(state, n, consume); }
BENCHMARK(async_generator_asynchio);

static task<> begin_and_end() {
    for (long i = 0; i < n; ++i) {
        auto numbers = count_async(1);
        while (auto item = co_await numbers.next()) bench::check(*item == 0, "generator");
    }
}

/// One generator for each item: made, begun, ended.
static void async_generator_asynchio_one_item(benchmark::State& state) { bench::measure_task(state, n, begin_and_end); }
BENCHMARK(async_generator_asynchio_one_item);
