// SPDX-License-Identifier: BSL-1.0
#include "support/asio.hpp"
#include "yield/problem.hpp"

#include <chrono>

#include <sys/socket.h>

using namespace std::chrono_literals;

static asio::awaitable<void> give_way(asio::io_context& loop, std::size_t times, std::size_t& count) {
    for (std::size_t i = 0; i < times; ++i) {
        co_await bench::yield_asio(loop);
        if (++count == yield_problem::switches) loop.stop();
    }
}

static void many(benchmark::State& state, asio::io_context& loop) {
    const auto tasks = static_cast<std::size_t>(state.range(0));
    bench::measure(state, yield_problem::switches, [&] {
        std::size_t count = 0;
        for (std::size_t i = 0; i < tasks; ++i)
            asio::co_spawn(loop, give_way(loop, yield_problem::switches / tasks, count), asio::detached);
        loop.restart();
        loop.run();
        loop.restart();
        loop.poll(); // what has ended is freed
        bench::check(count == yield_problem::switches, "yield");
    });
}

static void yield_asio(benchmark::State& state) {
    asio::io_context loop(1);
    many(state, loop);
}
BENCHMARK(yield_asio)->Arg(1)->Arg(1000)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);

static void yield_asio_with_socket_and_timer(benchmark::State& state) {
    asio::io_context loop(1);
    int ends[2];
    bench::check(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
    asio::local::stream_protocol::socket one(loop, asio::local::stream_protocol(), ends[0]);
    asio::local::stream_protocol::socket other(loop, asio::local::stream_protocol(), ends[1]);
    one.async_wait(asio::socket_base::wait_read, [](asio::error_code) {});
    asio::steady_timer timer(loop, 1h);
    timer.async_wait([](asio::error_code) {});
    many(state, loop);
    timer.cancel();
    one.close();
    loop.restart();
    loop.run();
}
BENCHMARK(yield_asio_with_socket_and_timer)->Arg(1)->Arg(1000);
