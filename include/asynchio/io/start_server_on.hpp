// SPDX-License-Identifier: BSL-1.0
#pragma once

// Servers on listening sockets that were made elsewhere: inherited from a service manager, or passed by a parent.

#include <asynchio/core/detail/closure_check.hpp>
#include <asynchio/core/detail/range.hpp>
#include <asynchio/core/detail/steady.hpp>
#include <asynchio/core/kept.hpp>
#include <asynchio/io/detail/descriptor.hpp>
#include <asynchio/io/detail/listening_socket.hpp>
#include <asynchio/io/server.hpp>
#include <asynchio/io/server_options.hpp>
#include <asynchio/io/system_calls.hpp>
#include <asynchio/task/task.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <fcntl.h>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <unistd.h>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

/// Owns the descriptors of a range, also if that throws.
template<class Descriptors>
std::vector<descriptor> own_all(Descriptors& all) {
    std::vector<descriptor> owned;
    try {
        for (auto&& each : all) owned.emplace_back(static_cast<int>(each));
    } catch (...) { // no memory
        std::size_t position = 0;
        for (auto&& each : all)
            if (position++ >= owned.size()) descriptor(static_cast<int>(each));
        throw;
    }
    return owned;
}

/// @throws std::invalid_argument if there is none, or for options that cannot be.
template<class = void>
std::vector<listening_socket> take_over(std::vector<descriptor> owned, const server_options& options) {
    require_valid(options, "start_server_on");
    if (owned.empty()) throw std::invalid_argument("start_server_on: there is no descriptor");
    std::vector<listening_socket> made;
    made.reserve(owned.size());
    for (descriptor& each : owned) made.emplace_back(std::move(each), options);
    return made;
}

template<class Handler>
task<server> start_server_on(parameter<Handler> handler, std::vector<listening_socket> sockets,
                             server_options options) {
    co_return detail::make_server<Handler>(std::move(sockets), static_cast<Handler&&>(handler), options);
}

/// Returns the number that a text is; 0 for anything else.
inline long number_of(const char* text) noexcept {
    if (text == nullptr) return 0;
    long number = 0;
    for (; *text >= '0' && *text <= '9' && number < 100'000'000; ++text) number = number * 10 + (*text - '0');
    return *text == '\0' ? number : 0;
}

} // namespace detail

/// Serves on a listening socket that was made elsewhere, and calls `handler(stream)` for each connection.
///
/// @param handler takes a stream, which is the connection.
/// @param fd a stream socket that is bound; it need not listen yet. The server owns it, and closes it at its end; if
/// the call fails, it is closed, too. The file of a Unix-domain socket stays, since others have made it.
/// @param options the backlog, the options of the connections, and whether the server listens at once. The others,
/// `configure` among them, are for sockets that are made here.
/// @return the server, which listens.
/// @throws std::system_error with the descriptor in its text; std::invalid_argument for a socket of another kind or a
/// backlog below 1; both are thrown by the call itself.
/// Cancellation: a task that is cancelled before it runs makes no server, and the descriptor is closed.
/// Lifetime: the handler is copied in, or moved in by take(), and lives until the last of its tasks has ended.
/// Differs from Python: the argument `sock` of start_server.
/// Example: `aio::server s = co_await aio::start_server_on(handle, aio::inherited_listeners());`
/// See also: inherited_listeners, start_server.
template<class Handler>
task<server> start_server_on(Handler&& handler, int fd, server_options options = {}) {
    const int one[] = {fd};
    return start_server_on(std::forward<Handler>(handler), one, std::move(options));
}

/// Serves on several listening sockets that were made elsewhere; else as with one.
/// @param fds a range of descriptors, which are closed if the call fails.
/// @throws std::invalid_argument if the range is empty.
/// Cancellation: as that of the other one.
template<class Handler, detail::range_of<int> Descriptors>
task<server> start_server_on(Handler&& handler, Descriptors&& fds, server_options options = {}) {
    detail::check_awaited_arguments<Handler>();
    std::vector<detail::listening_socket> sockets = detail::take_over(detail::own_all(fds), options);
    return detail::start_server_on<std::decay_t<detail::kept_t<Handler>>>(detail::keep<Handler>(handler),
                                                                          std::move(sockets), std::move(options));
}

/// Returns the sockets that a service manager such as systemd has passed to this process (socket activation): what
/// LISTEN_FDS says, if LISTEN_PID is this process. They are marked as not to be inherited by subprocesses.
///
/// @return the descriptors, from 3 on; empty if there are none. A second call returns them again.
/// @throws std::system_error if one of them is not open.
/// Threads: any thread, while no thread changes the environment.
/// See also: start_server_on.
template<class = void>
std::vector<int> inherited_listeners() {
    std::vector<int> all;
    if (detail::number_of(std::getenv("LISTEN_PID")) != ::getpid()) return all;
    constexpr int first = 3;
    const long count = detail::number_of(std::getenv("LISTEN_FDS"));
    for (int fd = first; fd < first + count; ++fd) {
        const int flags = detail::calls.fcntl(fd, F_GETFD, 0);
        if (flags < 0 || detail::calls.fcntl(fd, F_SETFD, flags | FD_CLOEXEC) != 0)
            detail::fail(errno, "inherited_listeners: descriptor " + std::to_string(fd));
        all.push_back(fd);
    }
    return all;
}

} // namespace asynchio

#pragma GCC visibility pop
