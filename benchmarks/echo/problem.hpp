// SPDX-License-Identifier: BSL-1.0
#pragma once

// TCP echo over loopback, 64 bytes there and back: clients and server in one thread, over 1 to 9,900 connections, which
// 20,000 descriptors allow. Each client checks what comes back.

#include "support/report.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <string>

namespace echo_problem {

inline constexpr std::size_t round_trips = 10'000; // of all connections together
inline constexpr std::size_t size = 64;

/// Two descriptors for each connection; more than there may be, and the row is skipped.
inline bool has_room(benchmark::State& state, std::size_t connections) {
    bench::check(connections > 0, "echo: connections");
    const rlim_t needed = 2 * connections + 100;
    rlimit allowed{};
    ::getrlimit(RLIMIT_NOFILE, &allowed);
    if (allowed.rlim_cur >= needed) return true;
    const rlimit wanted{needed, allowed.rlim_max < needed ? needed : allowed.rlim_max}; // beyond the hard limit as root
    if (::setrlimit(RLIMIT_NOFILE, &wanted) == 0) return true;
    state.SkipWithError("the hard limit of descriptors is too low (ulimit -Hn)");
    return false;
}

inline std::string message(std::size_t number) {
    std::string text = std::to_string(number);
    text.resize(size, '.');
    return text;
}

/// For those who bring no server of their own.
inline int listen_on_loopback(sockaddr_in& where) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bench::check(fd >= 0, "echo: socket");
    where = {};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof where;
    bench::check(::bind(fd, reinterpret_cast<sockaddr*>(&where), length) == 0 && ::listen(fd, 1024) == 0 &&
                     ::getsockname(fd, reinterpret_cast<sockaddr*>(&where), &length) == 0,
                 "echo: listen");
    return fd;
}

inline void no_delay(int fd) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

inline void not_blocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

/// A pair of connected sockets.
struct connection {
    int client;
    int server;
};
inline connection connect_to(int listener, const sockaddr_in& where) {
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bench::check(client >= 0, "echo: socket");
    bench::check(::connect(client, reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0, "echo: connect");
    const int server = ::accept(listener, nullptr, nullptr);
    no_delay(client);
    no_delay(server);
    return {client, server};
}

} // namespace echo_problem
