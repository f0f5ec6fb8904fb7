// SPDX-License-Identifier: BSL-1.0
#include "problem.hpp"

#include <sys/epoll.h>

#include <cerrno>
#include <string>
#include <vector>

/// Raw epoll, edge-triggered: one buffer for all, and what is incomplete is kept.
int main(int argc, char** argv) {
    const servers::kind what = servers::parse(argc, argv);
    const int listener = servers::listen_on_loopback(SOCK_NONBLOCK);
    const int poller = ::epoll_create1(EPOLL_CLOEXEC);
    const auto watch = [&](int fd) {
        epoll_event event{};
        event.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
        event.data.fd = fd;
        ::epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    };
    watch(listener);
    std::vector<std::string> kept;
    epoll_event events[256];
    char buffer[65536];
    for (;;) {
        const int count = ::epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < count; ++i) {
            const int fd = events[i].data.fd;
            if (fd == listener) {
                for (int made = -1;
                     (made = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
                    servers::no_delay(made);
                    watch(made);
                    if (static_cast<std::size_t>(made) >= kept.size()) kept.resize(static_cast<std::size_t>(made) + 1);
                }
                continue;
            }
            const ssize_t got = ::recv(fd, buffer, sizeof buffer, 0);
            std::string& before = kept[static_cast<std::size_t>(fd)];
            if (got <= 0) {
                if (got < 0 && errno == EAGAIN) continue;
                before.clear();
                ::close(fd);
                continue;
            }
            const std::string_view data(buffer, static_cast<std::size_t>(got));
            if (what == servers::kind::echo) {
                ::send(fd, data.data(), data.size(), MSG_NOSIGNAL);
                continue;
            }
            if (!before.empty()) before.append(data);
            const std::string_view all = before.empty() ? data : std::string_view(before);
            const servers::heads found = servers::complete_requests(all);
            for (std::size_t n = 0; n < found.count; ++n)
                ::send(fd, servers::response.data(), servers::response.size(), MSG_NOSIGNAL);
            before = std::string(all.substr(found.size));
        }
    }
}
