// SPDX-License-Identifier: BSL-1.0
#include "queue/problem.hpp"
#include "support/count_allocations.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/sync/queue.hpp>

using asynchio::task;

static task<> produce(asynchio::queue<std::size_t>& queue) {
    for (std::size_t i = 0; i < queue_problem::items; ++i) co_await queue.put(i);
}

static task<> consume(asynchio::queue<std::size_t>& queue) {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < queue_problem::items; ++i) sum += co_await queue.get();
    queue_problem::check(sum);
}

static task<> pass(asynchio::queue<std::size_t>& queue) { co_await asynchio::gather(produce(queue), consume(queue)); }

static void queue_asynchio(benchmark::State& state) {
    asynchio::queue<std::size_t> queue(static_cast<std::size_t>(state.range(0)));
    bench::measure_task(state, queue_problem::items, [&] { return pass(queue); });
}
BENCHMARK(queue_asynchio)->Arg(1)->Arg(128)->Arg(0);
