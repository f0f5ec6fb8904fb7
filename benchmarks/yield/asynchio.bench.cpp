// SPDX-License-Identifier: BSL-1.0
#include "support/count_allocations.hpp"
#include "yield/problem.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/task/yield.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <vector>

using asynchio::task;
using namespace std::chrono_literals;

static task<> give_way(std::size_t times, std::size_t& count) {
    for (std::size_t i = 0; i < times; ++i) {
        co_await asynchio::yield();
        ++count;
    }
}

static task<> many(std::size_t tasks) {
    std::size_t count = 0;
    std::vector<task<>> all;
    for (std::size_t i = 0; i < tasks; ++i) all.push_back(give_way(yield_problem::switches / tasks, count));
    co_await asynchio::gather(std::move(all));
    bench::check(count == yield_problem::switches, "yield");
}

static void yield_asynchio(benchmark::State& state) {
    const auto tasks = static_cast<std::size_t>(state.range(0));
    bench::measure_task(state, yield_problem::switches, [tasks] { return many(tasks); });
}
BENCHMARK(yield_asynchio)->Arg(1)->Arg(1000)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);

static void yield_asynchio_with_socket_and_timer(benchmark::State& state) {
    const auto tasks = static_cast<std::size_t>(state.range(0));
    int ends[2];
    bench::check(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
    {
        asynchio::runner runner;
        runner.get_loop().add_reader(ends[0], [] {});
        asynchio::timer_handle timer = runner.get_loop().call_later(1h, [] {});
        bench::measure(state, yield_problem::switches, [&] { runner.run(many(tasks)); });
        timer.cancel();
    }
    ::close(ends[0]);
    ::close(ends[1]);
}
BENCHMARK(yield_asynchio_with_socket_and_timer)->Arg(1)->Arg(1000);
