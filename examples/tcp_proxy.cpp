// SPDX-License-Identifier: BSL-1.0

// Passes connections on to another server, both ways at once, half closes included.
//
//     c++ -std=c++20 -O2 -pthread -Iinclude examples/tcp_proxy.cpp -o tcp_proxy
//     ./tcp_proxy 8080 example.com 80
//
// It prints its port, then a line for each connection that has ended, and ends with Ctrl-C.
//
// Run: ./tcp_proxy help
// Test: exit 2
// Read next: chat_server.cpp

#include <asynchio.hpp>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;

/// Until the end of `from`, which is passed on.
aio::task<> pump(aio::stream& from, aio::stream& to) {
    std::vector<char> buffer(65'536);
    for (;;) {
        const std::size_t got = co_await from.read_some(buffer);
        if (got == 0) break;
        co_await to.write(std::string_view(buffer.data(), got));
    }
    co_await to.write_eof();
}

struct proxy {
    std::string host;
    int port;

    aio::task<> operator()(aio::stream client) {
        const std::string who = client.peer_address().to_string();
        std::string problem;
        std::uint64_t up = 0, down = 0;
        try {
            aio::connect_options options;
            options.timeout = 10s;
            aio::stream server = co_await aio::open_connection(host, port, options);
            try {
                co_await aio::gather(pump(client, server), pump(server, client)); // one fails: the other is cancelled
            } catch (const std::system_error& e) {
                problem = e.what();
            }
            up = server.bytes_written();
            down = client.bytes_written();
        } catch (const std::exception& e) {
            problem = e.what();
        }
        std::printf("%s: %llu bytes up, %llu down%s%s\n", who.c_str(), static_cast<unsigned long long>(up),
                    static_cast<unsigned long long>(down), problem.empty() ? "" : ", ", problem.c_str());
        std::fflush(stdout);
    }
};

aio::task<> serve(int port, proxy to) {
    aio::signal_set stop(SIGINT, SIGTERM);
    auto handler = [&to](aio::stream client) { return to(std::move(client)); };
    aio::server server = co_await aio::start_server(handler, "localhost", port);
    std::printf("%d\n", server.port());
    std::fflush(stdout);
    auto body = [&]() -> aio::task<> { co_await stop.wait(); };
    co_await aio::with(server, body); // ends the connections
}

/// @return nothing for what is no port.
int port_of(const char* word) {
    char* end = nullptr;
    const long port = std::strtol(word, &end, 10);
    return *word == '\0' || *end != '\0' || port < 0 || port > 65535 ? -1 : static_cast<int>(port);
}

int main(int argc, char** argv) {
    if (argc != 4 || port_of(argv[1]) < 0 || port_of(argv[3]) < 1) {
        std::fputs("usage: tcp_proxy PORT HOST HOST_PORT\n", stderr);
        return 2;
    }
    try {
        aio::run(serve(port_of(argv[1]), proxy{argv[2], port_of(argv[3])}));
    } catch (const std::exception& e) {
        std::fprintf(stderr, "tcp_proxy: %s\n", e.what());
        return 1;
    }
}
