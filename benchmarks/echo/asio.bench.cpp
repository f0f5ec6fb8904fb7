// SPDX-License-Identifier: BSL-1.0
#include "echo/problem.hpp"

#include <asio.hpp>

#include <utility>
#include <vector>

using asio::ip::tcp;

static asio::awaitable<void> echo(tcp::socket client) {
    char buffer[4096];
    for (;;) {
        asio::error_code error;
        const std::size_t got =
            co_await client.async_read_some(asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
        if (error) co_return;
        co_await asio::async_write(client, asio::buffer(buffer, got), asio::use_awaitable);
    }
}

static asio::awaitable<void> ask(tcp::socket& server, std::size_t times, std::size_t& running, asio::io_context& loop) {
    char buffer[4096];
    for (std::size_t i = 0; i < times; ++i) {
        const std::string sent = echo_problem::message(i);
        co_await asio::async_write(server, asio::buffer(sent), asio::use_awaitable);
        const std::size_t got = co_await server.async_read_some(asio::buffer(buffer), asio::use_awaitable);
        bench::check(std::string_view(buffer, got) == sent, "echo");
    }
    if (--running == 0) loop.stop();
}

/// Asio's own coroutines, told that there is one thread.
static void echo_asio(benchmark::State& state) {
    const auto connections = static_cast<std::size_t>(state.range(0));
    if (!echo_problem::has_room(state, connections)) return;
    asio::io_context loop(1);
    tcp::acceptor acceptor(loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    std::vector<tcp::socket> sockets;
    for (std::size_t i = 0; i < connections; ++i) {
        sockets.emplace_back(loop).connect(acceptor.local_endpoint());
        tcp::socket server = acceptor.accept();
        server.set_option(tcp::no_delay(true));
        sockets.back().set_option(tcp::no_delay(true));
        asio::co_spawn(loop, echo(std::move(server)), asio::detached);
    }
    bench::measure(state, echo_problem::round_trips, [&] {
        std::size_t running = connections;
        for (tcp::socket& each : sockets)
            asio::co_spawn(loop, ask(each, echo_problem::round_trips / connections, running, loop), asio::detached);
        loop.restart();
        loop.run();
    });
}
BENCHMARK(echo_asio)->Arg(1)->Arg(100)->Arg(1000)->Arg(9'900);
