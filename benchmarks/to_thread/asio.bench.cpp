// SPDX-License-Identifier: BSL-1.0
#include "support/asio.hpp"
#include "to_thread/problem.hpp"

static asio::awaitable<std::size_t> one() { co_return 1; }
static asio::awaitable<void> calls(asio::thread_pool& pool) {
    std::size_t answer = 0;
    for (std::size_t i = 0; i < to_thread_problem::calls; ++i)
        answer += co_await asio::co_spawn(pool, one(), asio::use_awaitable);
    to_thread_problem::check(answer);
}

static void to_thread_asio(benchmark::State& state) {
    asio::thread_pool pool(1);
    asio::io_context loop; // not told that there is one thread: another one posts
    bench::measure_asio(state, loop, to_thread_problem::calls, [&] { return calls(pool); });
    pool.join();
}
BENCHMARK(to_thread_asio)->UseRealTime();
