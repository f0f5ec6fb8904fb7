// SPDX-License-Identifier: BSL-1.0
#pragma once

// Programs with sockets: run on each poller, in real time, with nothing left open.

#include "virtual_run.hpp"

#include <asynchio/io/stream.hpp>
#include <asynchio/io/system_calls.hpp>
#include <asynchio/loop/detail/poller.hpp>
#include <asynchio/task/task.hpp>
#include <asynchio/task/yield.hpp>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <dirent.h>
#include <exception>
#include <string>
#include <sys/socket.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>

namespace asynchio_tests {

/// How many descriptors the process has open.
inline std::size_t open_descriptors() {
    std::size_t count = 0;
    ::DIR* all = ::opendir("/proc/self/fd");
    REQUIRE(all != nullptr);
    while (::readdir(all) != nullptr) ++count;
    ::closedir(all);
    return count;
}

/// Whether no more than `before` are left; a thread that just ends may hold one for a moment.
inline bool closed_down_to(std::size_t before) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (open_descriptors() > before && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    return open_descriptors() <= before;
}

/// `run(make())` with epoll and with poll.
template<class Make>
void on_each_poller(Make make) {
    for (const auto kind : {asynchio::poller_kind::epoll, asynchio::poller_kind::poll}) {
        INFO("poller: " << (kind == asynchio::poller_kind::epoll ? "epoll" : "poll"));
        asynchio::run_options options;
        options.poller = kind;
        const std::size_t before = open_descriptors();
        virtual_run(make(), options);
        CHECK(closed_down_to(before));
    }
}

/// Two streams that are connected with each other.
struct stream_pair {
    stream_pair() {
        int ends[2];
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
            throw std::system_error(errno, std::generic_category(), "socketpair");
        first = asynchio::stream::from_descriptor(ends[0], "first");
        second = asynchio::stream::from_descriptor(ends[1], "second");
    }
    asynchio::stream first;
    asynchio::stream second;
};

/// What `f()`, when awaited, throws says of itself; empty if there is nothing.
template<class F>
asynchio::task<std::string> error_of(F f) {
    try {
        co_await f();
    } catch (const std::exception& e) {
        co_return e.what();
    }
    co_return std::string();
}

/// The value of a socket's option.
inline int option_of(int fd, int level, int option) {
    int value = -1;
    socklen_t size = sizeof value;
    REQUIRE(::getsockopt(fd, level, option, &value, &size) == 0);
    return value;
}

/// Sends every line of a connection back, until its end.
inline asynchio::task<> echo_lines(asynchio::stream client) {
    for (;;) {
        const std::string line = co_await client.read_line();
        if (line.empty()) co_return;
        co_await client.write(line);
    }
}

/// Lets the tasks that are ready, and what arrives meanwhile, run for a while.
inline asynchio::task<> settle() {
    for (int i = 0; i < 20; ++i) co_await asynchio::yield();
}

/// While it lives, the system calls are what the test makes of them.
class changed_calls {
public:
    changed_calls() = default;
    changed_calls(const changed_calls&) = delete;
    changed_calls& operator=(const changed_calls&) = delete;
    ~changed_calls() { asynchio::detail::calls = before_; }
    asynchio::detail::system_calls* operator->() const noexcept { return &asynchio::detail::calls; }

private:
    asynchio::detail::system_calls before_ = asynchio::detail::calls;
};

} // namespace asynchio_tests
