// SPDX-License-Identifier: BSL-1.0
#pragma once

// Opening a stream to a server, by TCP or by a Unix-domain socket.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/trivial_vector.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/io/address.hpp>
#include <asynchio/io/detail/connect_race.hpp>
#include <asynchio/io/resolve.hpp>
#include <asynchio/io/stream.hpp>
#include <asynchio/io/tcp_options.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/sleep.hpp>

#include <cerrno>
#include <chrono>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

/// The options of open_connection() and open_unix_connection(): those of stream sockets, and these.
///
/// Threads: a plain value.
struct connect_options : tcp_options {
    connect_options() = default;

    /// The maximum duration of the whole call, the resolution of the name included. Without a timeout, the system gives
    /// up after minutes.
    std::optional<duration> timeout = std::nullopt;
    /// How long one address is tried alone before the next one is tried beside it. The default is what RFC 8305
    /// recommends.
    duration happy_eyeballs_delay = std::chrono::milliseconds(250);
    /// AF_INET or AF_INET6 restricts the attempts to addresses of that family.
    int family = AF_UNSPEC;
    /// The address of this machine to connect from, port 0 for any port; empty leaves it to the system. Only addresses
    /// of its family can be connected to.
    address local_address = {};
};

namespace detail {

/// Orders addresses as RFC 8305, section 4, wants them: the families by turns, the system's first choice in front.
inline std::vector<address> interleaved(std::vector<address> all) {
    if (all.empty()) return all;
    const int first = all.front().family();
    std::vector<address> mixed, other;
    for (const address& each : all) (each.family() == first ? mixed : other).push_back(each);
    for (std::size_t i = 0; i < other.size(); ++i) {
        const std::size_t at = 2 * i + 1 < mixed.size() ? 2 * i + 1 : mixed.size();
        mixed.insert(mixed.begin() + static_cast<std::ptrdiff_t>(at), other[i]);
    }
    return mixed;
}

/// Throws "connect to localhost:80 (127.0.0.1:80)", with the errors one by one if they differ.
[[noreturn]] inline void fail_to_connect(const std::string& target, const trivial_vector<failed_attempt>& failures) {
    if (failures.empty()) fail(EADDRNOTAVAIL, "connect to " + target + " (a name without an address)");
    const int error = failures.front().error;
    bool alike = true;
    for (const failed_attempt& each : failures) alike = alike && each.error == error;
    std::string list;
    for (const failed_attempt& each : failures) {
        if (!list.empty()) list.append(alike ? ", " : "; ");
        list.append(each.peer.to_string());
        if (!alike) list.append(": ").append(std::generic_category().message(each.error));
    }
    fail(error, list == target ? "connect to " + target : "connect to " + target + " (" + list + ")");
}

template<class = void>
task<stream> connect_to(std::vector<address> peers, std::string target, const connect_options& options,
                        nanoseconds_count deadline) {
    connect_race race(peers, options, options.local_address, options.happy_eyeballs_delay.count(), deadline);
    connected winner = co_await race;
    if (winner.socket)
        co_return access::make<stream>(make_channel<socket_channel>(std::move(winner.socket), winner.peer));
    if (race.failures().size() < peers.size()) throw timeout_error("connect to " + target + ": timed out");
    fail_to_connect(target, race.failures());
}

template<class = void>
task<stream> open_connection(std::string host, int port, connect_options options) {
    require_port(port, "open_connection");
    require_valid(options, "open_connection");
    loop_core& loop = running_core();
    const nanoseconds_count deadline = options.timeout ? later(loop.now(), options.timeout->count()) : far_future;
    const std::string target = host_and_port(host.empty() ? "localhost" : host, std::to_string(port));
    name_query query(host, std::to_string(port), options.family);
    std::vector<address> peers = look_up_numbers(query);
    if (peers.empty()) {
        const future<std::vector<address>> answer = name_service::ask(loop, std::move(query));
        const struct limit {
            timer_handle timer;
            ~limit() { timer.cancel(); }
        } limit{options.timeout ? loop_of(loop).call_at(time_point(duration(deadline)), [answer] { answer.cancel(); })
                                : timer_handle()};
        const outcome<std::vector<address>> found = co_await nothrow(answer);
        if (found.cancelled()) throw timeout_error("connect to " + target + ": timed out while resolving");
        std::vector<address> answered(found.value());
        peers.swap(answered);
    }
    co_return co_await connect_to(interleaved(std::move(peers)), target, options, deadline);
}

/// Connects to a Unix-domain socket. One whose server has a full backlog refuses at once and does not report when there
/// is room again, so the attempt is repeated after a pause.
template<class = void>
task<stream> open_unix_connection(address peer, connect_options options) {
    require_valid(options, "open_unix_connection");
    const nanoseconds_count begin = running_core().now();
    const nanoseconds_count deadline = options.timeout ? later(begin, options.timeout->count()) : far_future;
    const std::vector<address> peers(1, peer);
    constexpr auto longest = std::chrono::milliseconds(50);
    for (auto pause = std::chrono::milliseconds(1);; pause = pause * 2 < longest ? pause * 2 : longest) {
        connect_race race(peers, options, {}, 0, deadline);
        connected winner = co_await race;
        if (winner.socket) co_return access::make<stream>(make_channel<socket_channel>(std::move(winner.socket), peer));
        if (race.failures().empty() || running_core().now() >= deadline)
            throw timeout_error("connect to " + peer.to_string() + ": timed out");
        if (race.failures().front().error != EAGAIN) fail_to_connect(peer.to_string(), race.failures());
        co_await sleep(pause);
    }
}

} // namespace detail

/// Connects by TCP: resolves `host`, tries its addresses by turns of IPv6 and IPv4 (Happy Eyeballs, RFC 8305), and
/// returns a stream over the first connection.
///
/// @param host a name or a numeric address; an empty string stands for this machine. @param port 0 to 65535.
/// @param options the timeout, the delay between two attempts, the family of the addresses, and the options of the
/// sockets.
/// @return the connected stream.
/// @throws std::system_error with host and addresses in its text ("connect to [::1]:5432: Connection refused"); its
/// category is resolve_category() if the name could not be resolved.
/// @throws timeout_error when the timeout has passed.
/// @throws std::invalid_argument for a port outside of that range, for a host with a zero byte, and for options that
/// cannot be; what `configure` throws.
/// Cancellation: the sockets of all attempts are closed.
/// Cost: a numeric address needs no thread; a name is resolved as resolve() does it.
/// Example: `aio::stream s = co_await aio::open_connection("localhost", 80);`
/// See also: start_server.
template<class = void> // a template: g++ makes code of every other coroutine, also where it is not used
task<stream> open_connection(std::string host, int port, connect_options options = {}) {
    return detail::open_connection(std::move(host), port, std::move(options));
}

/// Connects to a Unix-domain socket. While the server's backlog is full, the attempt is repeated every 1 to 50 ms.
///
/// @param path up to 107 bytes; a first `@` stands for the zero byte of an abstract name.
/// @param options of which the timeout, the sizes of the buffers and `configure` count.
/// @return the connected stream.
/// @throws std::system_error with the path in its text; timeout_error when the timeout has passed.
/// @throws std::invalid_argument if the path is empty or too long, or has a zero byte; it is thrown by the call itself.
/// Cancellation: the socket is closed.
/// See also: start_unix_server.
template<class = void>
task<stream> open_unix_connection(std::string path, connect_options options = {}) {
    return detail::open_unix_connection(address::unix_path(path), std::move(options));
}

} // namespace asynchio

#pragma GCC visibility pop
