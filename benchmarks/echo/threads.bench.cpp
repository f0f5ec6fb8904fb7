// SPDX-License-Identifier: BSL-1.0
#include "echo/problem.hpp"

#include <cstring>
#include <thread>
#include <vector>

/// Blocking calls: a thread for each end of each connection, made before the clock starts to matter.
static void echo_threads(benchmark::State& state) {
    const auto connections = static_cast<std::size_t>(state.range(0));
    sockaddr_in where;
    const int listener = echo_problem::listen_on_loopback(where);
    std::vector<echo_problem::connection> made;
    for (std::size_t i = 0; i < connections; ++i) made.push_back(echo_problem::connect_to(listener, where));
    std::vector<std::thread> servers;
    for (const auto& each : made)
        servers.emplace_back([fd = each.server] {
            char buffer[4096];
            for (;;) {
                const ssize_t got = ::recv(fd, buffer, sizeof buffer, 0);
                if (got <= 0) return;
                ::send(fd, buffer, static_cast<std::size_t>(got), MSG_NOSIGNAL);
            }
        });
    bench::measure(state, echo_problem::round_trips, [&] {
        std::vector<std::thread> clients;
        for (const auto& each : made)
            clients.emplace_back([&, fd = each.client] {
                char buffer[4096];
                for (std::size_t i = 0; i < echo_problem::round_trips / connections; ++i) {
                    const std::string sent = echo_problem::message(i);
                    bench::check(::send(fd, sent.data(), sent.size(), MSG_NOSIGNAL) == echo_problem::size, "send");
                    const ssize_t got = ::recv(fd, buffer, sizeof buffer, 0);
                    bench::check(got == echo_problem::size && std::memcmp(buffer, sent.data(), sent.size()) == 0,
                                 "echo");
                }
            });
        for (std::thread& each : clients) each.join();
    });
    for (const auto& each : made) ::shutdown(each.client, SHUT_RDWR);
    for (std::thread& each : servers) each.join();
    for (const auto& each : made) {
        ::close(each.client);
        ::close(each.server);
    }
    ::close(listener);
}
BENCHMARK(echo_threads)->Arg(1)->Arg(100)->UseRealTime();
