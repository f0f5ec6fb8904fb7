// SPDX-License-Identifier: BSL-1.0
#include "problem.hpp"

#include <string>
#include <thread>

static void echo(int fd) {
    char buffer[4096];
    for (ssize_t got = 0; (got = ::recv(fd, buffer, sizeof buffer, 0)) > 0;)
        ::send(fd, buffer, static_cast<std::size_t>(got), MSG_NOSIGNAL);
}

static void answer(int fd) {
    std::string kept;
    char buffer[4096];
    for (ssize_t got = 0; (got = ::recv(fd, buffer, sizeof buffer, 0)) > 0;) {
        kept.append(buffer, static_cast<std::size_t>(got));
        const servers::heads found = servers::complete_requests(kept);
        for (std::size_t n = 0; n < found.count; ++n)
            ::send(fd, servers::response.data(), servers::response.size(), MSG_NOSIGNAL);
        kept.erase(0, found.size);
    }
}

/// A thread for each connection.
int main(int argc, char** argv) {
    const servers::kind what = servers::parse(argc, argv);
    const int listener = servers::listen_on_loopback(0);
    for (int fd = -1; (fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
        servers::no_delay(fd);
        std::thread([fd, what] {
            what == servers::kind::echo ? echo(fd) : answer(fd);
            ::close(fd);
        }).detach();
    }
}
