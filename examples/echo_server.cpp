// SPDX-License-Identifier: BSL-1.0

// Sends back whatever comes, on as many cores as you like: a loop on each of N threads, each with a server of its own at
// the same port (SO_REUSEPORT).
//
//     c++ -std=c++20 -O2 -pthread -Iinclude examples/echo_server.cpp -o echo_server
//     ./echo_server 7000 4        port 7000, four threads; nc localhost 7000 talks to it
//
// It prints its port, and ends with Ctrl-C.
//
// Run: ./echo_server help
// Test: exit 2
// Read next: static_file_server.cpp

#include <asynchio.hpp>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

namespace aio = asynchio;

aio::task<> echo(aio::stream client) {
    std::vector<char> buffer(16'384);
    try {
        for (;;) {
            const std::size_t got = co_await client.read_some(buffer);
            if (got == 0) co_return;
            co_await client.write(std::string_view(buffer.data(), got));
        }
    } catch (const std::system_error&) { // the client is gone
    }
}

/// Gives the port, and goes on serving in a task of the loop.
aio::task<int> start(int port) {
    aio::server_options shared;
    shared.reuse_port = true;
    aio::server server = co_await aio::start_server(echo, "localhost", port, shared);
    port = server.port();
    aio::create_task([kept = std::move(server)]() mutable -> aio::task<> { co_await kept.serve_forever(); });
    co_return port;
}

aio::task<> serve(int port, std::size_t threads) {
    aio::signal_set stop(SIGINT, SIGTERM);
    aio::loop_group loops(threads);
    auto body = [&]() -> aio::task<> {
        for (std::size_t i = 0; i < threads; ++i) port = co_await aio::wrap_future(loops.submit(i, start, port));
        std::printf("%d\n", port);
        std::fflush(stdout);
        co_await stop.wait();
    };
    co_await aio::with(loops, body); // ends the loops, and with them their servers
}

int main(int argc, char** argv) {
    char* end = nullptr;
    const long port = argc > 1 ? std::strtol(argv[1], &end, 10) : 0;
    const bool no_port = argc > 1 && (*end != '\0' || port < 0 || port > 65535);
    const long threads = argc > 2 ? std::strtol(argv[2], &end, 10) : 1;
    if (no_port || argc > 3 || (argc > 2 && *end != '\0') || threads < 1 || threads > 1024) {
        std::fputs("usage: echo_server [PORT [THREADS]]\n", stderr);
        return 2;
    }
    try {
        aio::run(serve(static_cast<int>(port), static_cast<std::size_t>(threads)));
    } catch (const std::exception& e) {
        std::fprintf(stderr, "echo_server: %s\n", e.what());
        return 1;
    }
}
