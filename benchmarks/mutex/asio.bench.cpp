// SPDX-License-Identifier: BSL-1.0
#include "support/asio.hpp"
#include "mutex/problem.hpp"

#include <asio/experimental/channel.hpp>

// Asio has no lock for coroutines: a channel with room for one message is what its documentation offers.
using lock_channel = asio::experimental::channel<void(asio::error_code, bool)>;

static asio::awaitable<void> lock(lock_channel& channel) {
    if (!channel.try_send(asio::error_code(), true))
        co_await channel.async_send(asio::error_code(), true, asio::use_awaitable);
}
static void unlock(lock_channel& channel) {
    channel.try_receive([](asio::error_code, bool) {});
}

static asio::awaitable<void> lock_and_unlock(asio::io_context& loop) {
    lock_channel channel(loop, 1);
    std::size_t count = 0;
    for (std::size_t i = 0; i < mutex_problem::locks; ++i) {
        co_await lock(channel);
        benchmark::DoNotOptimize(++count);
        unlock(channel);
    }
    mutex_problem::check(count);
}

static void mutex_uncontended_asio(benchmark::State& state) {
    asio::io_context loop(1);
    bench::measure_asio(state, loop, mutex_problem::locks, [&] { return lock_and_unlock(loop); });
}
BENCHMARK(mutex_uncontended_asio);

static asio::awaitable<void> holds(asio::io_context& loop, lock_channel& channel, std::size_t& count) {
    for (std::size_t i = 0; i < mutex_problem::locks / mutex_problem::tasks; ++i) {
        co_await lock(channel);
        co_await bench::yield_asio(loop);
        ++count;
        unlock(channel);
    }
}

static void mutex_contended_asio(benchmark::State& state) {
    asio::io_context loop(1);
    bench::measure(state, mutex_problem::locks, [&] {
        lock_channel channel(loop, 1);
        std::size_t count = 0;
        for (std::size_t i = 0; i < mutex_problem::tasks; ++i)
            asio::co_spawn(loop, holds(loop, channel, count), asio::detached);
        loop.restart();
        loop.run();
        mutex_problem::check(count);
    });
}
BENCHMARK(mutex_contended_asio);
