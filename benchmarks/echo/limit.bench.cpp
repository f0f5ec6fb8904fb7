// SPDX-License-Identifier: BSL-1.0
#include "echo/problem.hpp"

#include <sys/epoll.h>

#include <cerrno>
#include <cstring>
#include <vector>

/// Raw epoll, edge-triggered, a switch over two kinds of descriptors: send, wait, receive, and nothing in between.
static void echo_limit(benchmark::State& state) {
    const auto connections = static_cast<std::size_t>(state.range(0));
    if (!echo_problem::has_room(state, connections)) return;
    struct end {
        int fd;
        bool is_server;
        std::size_t sent;
        std::string expected;
    };
    sockaddr_in where;
    const int listener = echo_problem::listen_on_loopback(where);
    const int poller = ::epoll_create1(EPOLL_CLOEXEC);
    std::vector<end> ends;
    for (std::size_t i = 0; i < connections; ++i) {
        const echo_problem::connection made = echo_problem::connect_to(listener, where);
        ends.push_back({made.client, false, 0, {}});
        ends.push_back({made.server, true, 0, {}});
    }
    for (std::size_t i = 0; i < ends.size(); ++i) {
        echo_problem::not_blocking(ends[i].fd);
        epoll_event event{};
        event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
        event.data.u64 = i;
        ::epoll_ctl(poller, EPOLL_CTL_ADD, ends[i].fd, &event);
    }
    bench::measure(state, echo_problem::round_trips, [&] {
        const std::size_t each = echo_problem::round_trips / connections;
        std::size_t running = connections;
        const auto send_next = [&](end& e) {
            e.expected = echo_problem::message(e.sent++);
            bench::check(::send(e.fd, e.expected.data(), e.expected.size(), MSG_NOSIGNAL) == echo_problem::size,
                         "send");
        };
        for (end& e : ends) {
            e.sent = 0;
            if (!e.is_server) send_next(e);
        }
        epoll_event events[256];
        while (running > 0) {
            const int count = ::epoll_wait(poller, events, 256, -1);
            for (int i = 0; i < count; ++i) {
                if (!(events[i].events & EPOLLIN)) continue;
                end& e = ends[events[i].data.u64];
                char buffer[4096];
                const ssize_t got = ::recv(e.fd, buffer, sizeof buffer, 0);
                if (got < 0 && errno == EAGAIN) continue;
                bench::check(got == echo_problem::size, "recv");
                if (e.is_server) {
                    bench::check(::send(e.fd, buffer, echo_problem::size, MSG_NOSIGNAL) == echo_problem::size, "send");
                } else {
                    bench::check(std::memcmp(buffer, e.expected.data(), echo_problem::size) == 0, "echo");
                    if (e.sent < each)
                        send_next(e);
                    else
                        --running;
                }
            }
        }
    });
    for (const end& e : ends) ::close(e.fd);
    ::close(poller);
    ::close(listener);
}
BENCHMARK(echo_limit)->Arg(1)->Arg(100)->Arg(1000)->Arg(9'900);
