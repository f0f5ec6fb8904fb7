// SPDX-License-Identifier: BSL-1.0
#pragma once

// Servers in processes of their own, loaded from outside by run.py: an echo of what comes, or HTTP keep-alive with a
// response of five bytes. Each prints its port on a line and serves until it is killed.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace servers {

inline constexpr std::string_view response =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
inline constexpr std::string_view end_of_head = "\r\n\r\n";

enum class kind { echo, http };

/// @return which one the command line asks for.
inline kind parse(int argc, char** argv) {
    const std::string_view asked = argc == 2 ? argv[1] : "";
    if (asked == "echo") return kind::echo;
    if (asked == "http") return kind::http;
    std::fprintf(stderr, "usage: %s echo|http\n", argv[0]);
    std::exit(2);
}

inline void announce(int port) {
    std::printf("%d\n", port);
    std::fflush(stdout);
}

[[noreturn]] inline void fail(const char* what) {
    std::perror(what);
    std::exit(1);
}

/// For those who bring no server of their own: listens, and announces the port.
inline int listen_on_loopback(int flags) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof where;
    if (::bind(fd, reinterpret_cast<sockaddr*>(&where), length) != 0 || ::listen(fd, 1024) != 0 ||
        ::getsockname(fd, reinterpret_cast<sockaddr*>(&where), &length) != 0)
        fail("listen");
    announce(ntohs(where.sin_port));
    return fd;
}

inline void no_delay(int fd) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

struct heads {
    std::size_t count;
    std::size_t size;
};
/// The requests that are whole in `data` and lie behind each other, from its start. @return how many, and their bytes.
inline heads complete_requests(std::string_view data) {
    heads found{0, 0};
    for (std::size_t end; (end = data.find(end_of_head, found.size)) != std::string_view::npos; ++found.count)
        found.size = end + end_of_head.size();
    return found;
}

} // namespace servers
