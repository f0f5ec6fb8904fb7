// SPDX-License-Identifier: BSL-1.0
#include "echo/problem.hpp"
#include "support/count_allocations.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/io/open_connection.hpp>
#include <asynchio/io/server.hpp>

#include <utility>
#include <vector>

using asynchio::stream;
using asynchio::task;

static task<> echo(stream client) {
    char buffer[4096];
    for (;;) {
        const std::size_t got = co_await client.read_some(buffer);
        if (got == 0) co_return;
        co_await client.write(std::string_view(buffer, got));
    }
}

static task<> ask(stream& server, std::size_t times) {
    char buffer[4096];
    for (std::size_t i = 0; i < times; ++i) {
        const std::string sent = echo_problem::message(i);
        co_await server.write(sent);
        const std::size_t got = co_await server.read_some(buffer);
        bench::check(std::string_view(buffer, got) == sent, "echo");
    }
}

static void echo_asynchio(benchmark::State& state) {
    const auto connections = static_cast<std::size_t>(state.range(0));
    if (!echo_problem::has_room(state, connections)) return;
    asynchio::runner runner;
    std::vector<stream> streams;
    auto connect = [&]() -> task<asynchio::server> {
        asynchio::server server = co_await asynchio::start_server(echo, "127.0.0.1", 0);
        for (std::size_t i = 0; i < connections; ++i)
            streams.push_back(co_await asynchio::open_connection("127.0.0.1", server.port()));
        co_return server;
    };
    asynchio::server server = runner.run(connect);
    auto ask_all = [&]() -> task<> {
        std::vector<task<>> all;
        all.reserve(streams.size());
        for (stream& each : streams) all.push_back(ask(each, echo_problem::round_trips / connections));
        co_await asynchio::gather(std::move(all));
    };
    bench::measure(state, echo_problem::round_trips, [&] { runner.run(ask_all); });
    streams.clear();
    runner.run([&]() -> task<> { co_await server.aclose(); });
}
BENCHMARK(echo_asynchio)->Arg(1)->Arg(100)->Arg(1000)->Arg(9'900);
