// SPDX-License-Identifier: BSL-1.0
#include "support/count_allocations.hpp"
#include "threadsafe_queue/problem.hpp"

#include <asynchio/task/create_task.hpp>
#include <asynchio/thread/threadsafe_queue.hpp>

#include <cstdint>
#include <thread>

using asynchio::task;
using number_queue = asynchio::threadsafe_queue<std::uint64_t>;
using namespace threadsafe_queue_problem;

static void put_all(number_queue& to, std::size_t number) {
    for (std::uint64_t i = 0; i < number; ++i) to.blocking_put(i);
}
static void get_all(number_queue& from, std::size_t number) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < number; ++i) sum += from.blocking_get();
    check(sum, number);
}
static task<> co_put_all(number_queue& to, std::size_t number) {
    for (std::uint64_t i = 0; i < number; ++i) co_await to.put(i);
}
static task<> co_get_all(number_queue& from, std::size_t number) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < number; ++i) sum += co_await from.get();
    check(sum, number);
}

/// Runs `there(queue, number)` on a thread and `here(queue, number)` on this one, again and again.
template<class There, class Here>
static void measure_both(benchmark::State& state, There there, Here here) {
    const auto capacity = static_cast<std::size_t>(state.range(0));
    const std::size_t number = items(capacity);
    number_queue shared(capacity);
    bench::measure(state, number, [&] {
        std::thread other([&] { there(shared, number); });
        here(shared, number);
        other.join();
    });
}

static void thread_to_loop_asynchio(benchmark::State& state) {
    asynchio::runner loop;
    measure_both(state, put_all, [&](number_queue& q, std::size_t number) { loop.run(co_get_all(q, number)); });
}
BENCHMARK(thread_to_loop_asynchio)->Apply(capacities);

static void loop_to_thread_asynchio(benchmark::State& state) {
    asynchio::runner loop;
    measure_both(state, get_all, [&](number_queue& q, std::size_t number) { loop.run(co_put_all(q, number)); });
}
BENCHMARK(loop_to_thread_asynchio)->Apply(capacities);

static void thread_to_thread_asynchio(benchmark::State& state) { measure_both(state, put_all, get_all); }
BENCHMARK(thread_to_thread_asynchio)->Apply(capacities);

/// Both ends on one loop: what the lock costs where nobody contends for it.
static void within_loop_asynchio(benchmark::State& state) {
    const auto capacity = static_cast<std::size_t>(state.range(0));
    const std::size_t number = items(capacity);
    number_queue shared(capacity);
    const auto both = [&]() -> task<> {
        const auto putter = asynchio::create_task(co_put_all(shared, number));
        co_await co_get_all(shared, number);
        co_await putter;
    };
    bench::measure_task(state, number, [&] { return both(); });
}
BENCHMARK(within_loop_asynchio)->Apply(capacities);
