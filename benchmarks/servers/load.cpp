// SPDX-License-Identifier: BSL-1.0
//
// The load: CONNECTIONS clients that each send 64 bytes and wait for them to come back, for SECONDS. Raw epoll in one
// thread. Prints requests, requests a second, and the latency's median and 99th percentile in microseconds, as JSON.

#include "problem.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

using steady = std::chrono::steady_clock;

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: %s PORT CONNECTIONS SECONDS\n", argv[0]);
        return 2;
    }
    const auto connections = static_cast<std::size_t>(std::atoi(argv[2]));
    const double seconds = std::atof(argv[3]);
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    where.sin_port = htons(static_cast<in_port_t>(std::atoi(argv[1])));

    struct client {
        int fd;
        std::size_t received;
        std::size_t sent;
        steady::time_point asked;
    };
    std::vector<client> clients;
    const int poller = ::epoll_create1(EPOLL_CLOEXEC);
    for (std::size_t i = 0; i < connections; ++i) {
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (::connect(fd, reinterpret_cast<sockaddr*>(&where), sizeof where) != 0) servers::fail("connect");
        servers::no_delay(fd);
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u64 = i;
        ::epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
        clients.push_back({fd, 0, 0, {}});
    }
    constexpr std::size_t size = 64;
    const auto ask = [](client& c) {
        char message[size];
        std::memset(message, 'a' + static_cast<int>(c.sent++ % 26), size);
        c.received = 0;
        c.asked = steady::now();
        if (::send(c.fd, message, size, MSG_NOSIGNAL) != size) servers::fail("send");
    };
    std::vector<std::uint32_t> latencies;
    latencies.reserve(4'000'000);
    const auto begin = steady::now();
    const auto end = begin + std::chrono::duration_cast<steady::duration>(std::chrono::duration<double>(seconds));
    for (client& each : clients) ask(each);
    std::size_t running = connections;
    while (running > 0) {
        epoll_event events[256];
        const int count = ::epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < count; ++i) {
            client& c = clients[events[i].data.u64];
            char buffer[size];
            const ssize_t got = ::recv(c.fd, buffer, size - c.received, 0);
            if (got <= 0) servers::fail("recv");
            if (buffer[0] != 'a' + static_cast<char>((c.sent - 1) % 26)) servers::fail("a wrong echo");
            c.received += static_cast<std::size_t>(got);
            if (c.received < size) continue;
            const auto now = steady::now();
            latencies.push_back(static_cast<std::uint32_t>(
                std::chrono::duration_cast<std::chrono::nanoseconds>(now - c.asked).count()));
            if (now < end)
                ask(c);
            else
                --running;
        }
    }
    const double took = std::chrono::duration<double>(steady::now() - begin).count();
    std::sort(latencies.begin(), latencies.end());
    const auto percentile = [&](double p) {
        return static_cast<double>(latencies[static_cast<std::size_t>(p * static_cast<double>(latencies.size() - 1))]) *
               1e-3;
    };
    std::printf("{\"requests\": %zu, \"rate\": %.0f, \"p50\": %.1f, \"p99\": %.1f}\n", latencies.size(),
                static_cast<double>(latencies.size()) / took, percentile(0.5), percentile(0.99));
}
