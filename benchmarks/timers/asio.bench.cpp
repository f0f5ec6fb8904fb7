// SPDX-License-Identifier: BSL-1.0
#include "support/asio.hpp"
#include "timers/problem.hpp"

#include <chrono>
#include <deque>

using namespace std::chrono_literals;

static asio::awaitable<void> one_sleep(asio::io_context& loop, std::int64_t length, std::size_t& woken) {
    asio::steady_timer timer(loop, std::chrono::nanoseconds(length));
    co_await timer.async_wait(asio::use_awaitable);
    ++woken;
}

static void sleep_asio(benchmark::State& state) {
    asio::io_context loop(1);
    const auto n = static_cast<std::size_t>(state.range(0));
    bench::measure(state, n, [&] {
        std::size_t woken = 0;
        for (std::size_t i = 0; i < n; ++i)
            asio::co_spawn(loop, one_sleep(loop, timers_problem::length(i), woken), asio::detached);
        loop.restart();
        loop.run();
        bench::check(woken == n, "timers");
    });
}
BENCHMARK(sleep_asio)->Arg(1000)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);

static void timer_cancel_asio(benchmark::State& state) {
    asio::io_context loop(1);
    std::deque<asio::steady_timer> others;
    for (std::size_t i = 0; i < timers_problem::pending; ++i)
        others.emplace_back(loop, 1h + std::chrono::nanoseconds(timers_problem::length(i)))
            .async_wait([](asio::error_code) {});
    bench::measure(state, timers_problem::cancels, [&] {
        std::size_t cancelled = 0;
        asio::steady_timer timer(loop);
        for (std::size_t i = 0; i < timers_problem::cancels; ++i) {
            timer.expires_after(std::chrono::nanoseconds(timers_problem::length(i)));
            timer.async_wait([&](asio::error_code error) {
                if (error) ++cancelled;
            });
            timer.cancel();
        }
        loop.restart();
        loop.poll();
        bench::check(cancelled == timers_problem::cancels, "timer_cancel");
    });
}
BENCHMARK(timer_cancel_asio);
