// SPDX-License-Identifier: BSL-1.0
#include "support/asio.hpp"
#include "gather/problem.hpp"

#include <asio/experimental/deferred.hpp>
#include <asio/experimental/parallel_group.hpp>

#include <exception>
#include <tuple>

namespace group = asio::experimental;

static asio::awaitable<int> child(int x) { co_return x; }

/// Asio's own way: a parallel_group.
static asio::awaitable<void> tens(asio::io_context& loop) {
    long sum = 0;
    auto start = [&](int x) { return asio::co_spawn(loop, child(x), group::deferred); };
    for (std::size_t i = 0; i < gather_problem::rounds; ++i) {
        auto all = co_await group::make_parallel_group(start(0), start(1), start(2), start(3), start(4), start(5),
                                                       start(6), start(7), start(8), start(9))
                       .async_wait(group::wait_for_all(), asio::use_awaitable);
        std::apply(
            [&sum](const auto&, const auto&... each) {
                auto add = [&sum](const auto& one) {
                    if constexpr (std::is_same_v<std::decay_t<decltype(one)>, int>) sum += one;
                };
                (add(each), ...);
            },
            all);
    }
    gather_problem::check(sum, 45 * static_cast<long>(gather_problem::rounds));
}

static void gather_10_asio(benchmark::State& state) {
    asio::io_context loop(1);
    bench::measure_asio(state, loop, gather_problem::rounds, [&] { return tens(loop); });
}
BENCHMARK(gather_10_asio);

/// Gathers a range with completion handlers that count; the last one wakes the coroutine that waits.
static asio::awaitable<void> range(asio::io_context& loop, std::size_t n) {
    long sum = 0;
    std::size_t running = n;
    asio::steady_timer all_done(loop, asio::steady_timer::time_point::max());
    for (std::size_t i = 0; i < n; ++i)
        asio::co_spawn(loop, child(1), [&](const std::exception_ptr&, int value) {
            sum += value;
            if (--running == 0) all_done.cancel();
        });
    asio::error_code cancelled;
    co_await all_done.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    gather_problem::check(sum, static_cast<long>(n));
}

static void gather_range_asio(benchmark::State& state) {
    asio::io_context loop(1);
    const auto n = static_cast<std::size_t>(state.range(0));
    bench::measure_asio(state, loop, n, [&] { return range(loop, n); });
}
BENCHMARK(gather_range_asio)->Arg(1000)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);
