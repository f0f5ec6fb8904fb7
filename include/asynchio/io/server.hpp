// SPDX-License-Identifier: BSL-1.0
#pragma once

// Servers: they accept connections and run a handler task for each. Built on child_tasks and on the loop's readers.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/closure_check.hpp>
#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/core/detail/late_value.hpp>
#include <asynchio/core/detail/range.hpp>
#include <asynchio/core/detail/steady.hpp>
#include <asynchio/io/address.hpp>
#include <asynchio/io/detail/listening_socket.hpp>
#include <asynchio/io/detail/server_state.hpp>
#include <asynchio/io/resolve.hpp>
#include <asynchio/io/server_options.hpp>
#include <asynchio/io/stream.hpp>
#include <asynchio/loop/detail/deadline.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/take.hpp>
#include <asynchio/task/task.hpp>

#include <chrono>
#include <concepts>
#include <exception>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

/// A server: it listens, and runs a task with the handler for each connection. start_server() makes it.
///
/// Behaviour: an exception of a handler goes to the loop's exception handler, and its connection is closed; a handler
/// that is cancelled ends quietly. A connection counts until its stream is closed or destroyed. When descriptors or
/// memory run out, new clients wait in the backlog; accepting is tried again every 100 ms.
/// Cancellation: each call that waits describes its own.
/// Threads: the thread of its loop. For more than one core, give each loop its own server with `reuse_port`.
/// Lifetime: it owns the tasks of its handlers. A server that is destroyed before aclose() has ended stops listening
/// and cancels them, and the loop waits for them at its end.
/// Differs from Python: aclose(), and the end of a `with`, cancel the handlers and wait for them; several addresses and
/// port 0 share one port.
/// Example: `aio::server s = co_await aio::start_server(handle, "localhost", 8080); co_await s.serve_forever();`
/// See also: start_server, start_server_on, open_connection, stream.
class server {
public:
    server(server&&) noexcept = default;
    server& operator=(server&& other) noexcept {
        server old(std::move(*this));
        state_ = std::move(other.state_);
        return *this;
    }
    ~server() {
        if (state_) state_->drop();
    }

    /// Returns the port that it listens on, which is the same at all addresses; 0 once it is closed and for Unix-domain
    /// sockets.
    int port() const { return state().listeners().empty() ? 0 : state().listeners().front().where().port(); }
    /// Returns the addresses that it listens at; empty once it is closed.
    std::vector<address> addresses() const {
        std::vector<address> all;
        for (const auto& each : state().listeners()) all.push_back(each.where());
        return all;
    }
    /// Whether it listens: start_serving() was called, and it was not closed since.
    bool is_serving() const { return state().serving(); }

    /// Begins to listen; does nothing if it listens already.
    /// @throws std::system_error if the system refuses, after which it can be tried again; std::logic_error once the
    /// server is closed.
    void start_serving() { state().start_serving(); }
    /// Stops listening. Open connections and their handlers stay. A second call does nothing.
    void close() { state().close(); }
    /// Closes all connections. In this process, reads see the end of the stream, and writes fail with EPIPE.
    void close_clients() { state().close_clients(); }
    /// Resets all connections. Reads and writes in this process fail with ECONNABORTED, a read after what has come.
    void abort_clients() { state().abort_clients(); }

    /// Waits until the server was closed and no connection is left.
    /// Cancellation: the server goes on.
    template<class = void> // a template: g++ makes code of every other coroutine, also where it is not used
    task<> wait_closed() {
        return until_closed(held::to(state()));
    }

    /// Begins to listen, waits until the server is closed, and then cancels the handlers and waits for them, as
    /// aclose() does.
    /// @throws std::logic_error if another task is in serve_forever(), or once the server is closed.
    /// Cancellation: closes the server, cancels the handlers and waits for them; then cancelled_error goes on.
    template<class = void>
    task<> serve_forever() {
        return serving(held::to(state()));
    }

    /// Ends the server in good order: it stops listening, a read in a handler that would have to wait sees the end of
    /// the stream instead, and the handlers have time to answer what they have received. When the time is up, the
    /// connections that are left are reset, and their handlers are cancelled and waited for.
    /// @param limit the maximum time.
    /// @return whether all handlers ended, and all connections were closed, in time.
    /// @throws std::logic_error in a handler of this server, which would wait for itself; std::invalid_argument for a
    /// NaN.
    /// Cancellation: resets the connections and cancels the handlers at once, and waits for them; then cancelled_error
    /// goes on.
    template<class Rep, class Period>
    task<bool> drain(std::chrono::duration<Rep, Period> limit) {
        return draining<>(held::to(state()), detail::to_nanoseconds(limit));
    }
    /// Ends the server in good order, as above, without a time limit.
    /// @return whether all handlers ended, and all connections were closed, by themselves.
    /// @throws std::logic_error in a handler of this server. Cancellation: as above.
    template<class = void>
    task<bool> drain(std::nullopt_t) {
        return draining<>(held::to(state()), std::nullopt);
    }

    /// Closes the server, cancels its handlers, and waits until they have ended.
    /// @throws std::logic_error in a handler of this server, which would wait for itself.
    /// Cancellation: cancels the handlers once more and goes on waiting for them; then cancelled_error goes on.
    template<class = void>
    task<> aclose() {
        return closing(held::to(state()));
    }

private:
    friend struct detail::access;
    using held = detail::counted_ptr<detail::server_state>;
    explicit server(detail::server_state& state) noexcept : state_(held::to(state)) {}

    template<class = void>
    static task<> until_closed(held state) {
        while (!state->closed() || state->connected()) co_await state->change();
    }
    template<class = void>
    static task<> serving(held state) {
        if (state->serves_forever) throw std::logic_error("serve_forever: the server is in it already");
        state->start_serving();
        const struct mark {
            explicit mark(bool& f) noexcept : flag(f) { flag = true; }
            mark(const mark&) = delete;
            mark& operator=(const mark&) = delete;
            ~mark() { flag = false; }
            bool& flag;
        } in_it(state->serves_forever);
        std::exception_ptr cancellation;
        while (!state->closed() && !cancellation) cancellation = co_await detail::cancellation_of(state->change());
        co_await closing(state);
        if (cancellation) std::rethrow_exception(cancellation);
    }
    static void require_other_task(const held& state, const char* call) {
        if (const detail::frame* self = detail::current_task_frame(); self != nullptr && state->has(*self))
            throw std::logic_error(
                detail::formatted("server: %s in one of its own handlers would wait for itself; use close()", call));
    }
    /// Tells the state when the time is up.
    class time_limit {
    public:
        time_limit(const held& state, std::optional<detail::nanoseconds_count> limit) : state_(state) {
            if (limit) timer_.emplace(state->loop(), detail::later(state->loop().now(), *limit), *this);
        }
        bool up() const noexcept { return up_; }

    private:
        void pass() noexcept {
            up_ = true;
            state_->tell_change();
        }

        const held& state_;
        bool up_ = false;
        detail::late_value<detail::deadline<time_limit, &time_limit::pass>> timer_;
    };
    template<class = void>
    static task<bool> draining(held state, std::optional<detail::nanoseconds_count> most) {
        require_other_task(state, "drain()");
        time_limit limit(state, most);
        state->close();
        state->end_idle_clients();
        std::exception_ptr cancellation;
        const auto busy = [&] { return state->running() != 0 || state->connected(); };
        while (busy() && !limit.up() && !cancellation) cancellation = co_await detail::cancellation_of(state->change());
        const bool in_time = !busy();
        if (!in_time) state->abort_clients();
        co_await closing(state);
        if (cancellation) std::rethrow_exception(cancellation);
        co_return in_time;
    }
    template<class = void>
    static task<> closing(held state) {
        require_other_task(state, "aclose()");
        state->close();
        state->cancel_handlers();
        std::exception_ptr cancellation;
        while (state->running() != 0) {
            std::exception_ptr request = co_await detail::cancellation_of(state->change());
            if (!request) continue;
            cancellation = std::move(request);
            state->cancel_handlers();
        }
        if (cancellation) std::rethrow_exception(cancellation);
    }

    detail::server_state& state() const {
        if (!state_) [[unlikely]]
            throw std::logic_error("server: it was moved from");
        return *state_;
    }

    held state_;
};

namespace detail {

template<class Handler>
server make_server(std::vector<listening_socket> sockets, Handler handler, const server_options& options) {
    static_assert(std::is_invocable_v<Handler&, stream>,
                  "the handler of a server is called with a stream: task<> handle(aio::stream connection)");
    detail::require_callable(handler, "start_server");
    auto* state = new server_of<Handler>(std::move(sockets), options, std::move(handler));
    auto made = access::make<server>(*state);
    if (options.start_serving) state->start_serving();
    return made;
}

inline void require_valid(const server_options& options, const char* what) {
    if (options.backlog < 1) throw std::invalid_argument(std::string(what) + ": the backlog must be at least 1");
    require_valid(static_cast<const socket_options&>(options), what);
}

template<class Handler>
task<server> start_server(parameter<Handler> handler, std::vector<std::string> hosts, int port,
                          server_options options) {
    require_port(port, "start_server");
    require_valid(options, "start_server");
    if (options.mode) throw std::invalid_argument("start_server: a mode is for Unix-domain sockets");
    if (hosts.empty()) throw std::invalid_argument("start_server: there is no host");
    std::vector<address> all;
    for (std::string& host : hosts) {
        const std::vector<address> found =
            co_await resolve(name_query(std::move(host), std::to_string(port), AF_UNSPEC, AI_PASSIVE));
        for (const address& each : found) {
            bool known = false;
            for (const address& other : all) known = known || other == each;
            if (!known) all.push_back(each);
        }
    }
    co_return detail::make_server<Handler>(listen_at(all, options), static_cast<Handler&&>(handler), options);
}

template<class Handler>
task<server> start_unix_server(parameter<Handler> handler, address where, server_options options) {
    require_valid(options, "start_unix_server");
    if (options.mode && (where.path().front() == '@' || *options.mode > 07777))
        throw std::invalid_argument("start_unix_server: a mode is 0 to 07777, and for a socket with a file");
    co_return detail::make_server<Handler>(listen_at(std::vector<address>(1, where), options),
                                           static_cast<Handler&&>(handler), options);
}

} // namespace detail

/// Listens by TCP and calls `handler(stream)` for each connection. A handler that is a coroutine runs as a task; a
/// handler that is a plain function is called.
///
/// @param handler takes a stream, which is the connection.
/// @param host a name or a numeric address; an empty string stands for all addresses of this machine.
/// @param port 0 to 65535; 0 picks a free one, see server::port().
/// @param options the backlog, the options of the sockets, and whether the port is shared and the server listens at
/// once.
/// @return the server, which listens.
/// @throws std::system_error with the address in its text ("bind to 127.0.0.1:80: Address already in use"), or of
/// resolve_category(); std::invalid_argument for a port outside of that range or for options that cannot be.
/// Cancellation: ends the resolution of the name; nothing listens then.
/// Lifetime: the handler is copied in, or moved in by take(), and lives until the last of its tasks has ended.
/// See also: server, open_connection.
template<class Handler>
task<server> start_server(Handler&& handler, std::string host, int port, server_options options = {}) {
    detail::check_awaited_arguments<Handler>();
    std::vector<std::string> hosts;
    hosts.push_back(std::move(host));
    return detail::start_server<std::decay_t<detail::kept_t<Handler>>>(detail::keep<Handler>(handler), std::move(hosts),
                                                                       port, std::move(options));
}
/// Listens at several hosts; else as with one.
/// @param hosts a range of names or numeric addresses, each as with one; port 0 picks one port for all of them.
/// @throws std::invalid_argument if there is no host. An address that this machine does not have is left out, unless
/// it has none of them.
/// Cancellation: ends the resolution of the names; nothing listens then.
template<class Handler, detail::range_of<std::string_view> Hosts>
    requires(!std::convertible_to<Hosts, std::string>)
task<server> start_server(Handler&& handler, Hosts&& hosts, int port, server_options options = {}) {
    detail::check_awaited_arguments<Handler>();
    std::vector<std::string> all;
    for (auto&& each : hosts) all.push_back(std::string(std::string_view(each)));
    return detail::start_server<std::decay_t<detail::kept_t<Handler>>>(detail::keep<Handler>(handler), std::move(all),
                                                                       port, std::move(options));
}
/// Listens at several hosts; else as with one.
/// @param hosts names or numeric addresses in braces, which g++ 12 refuses inside of a coroutine; a vector always works.
/// Cancellation: as above.
template<class Handler>
task<server> start_server(Handler&& handler, std::initializer_list<std::string_view> hosts, int port,
                          server_options options = {}) {
    detail::check_awaited_arguments<Handler>();
    std::vector<std::string> all;
    for (const std::string_view each : hosts) all.push_back(std::string(each));
    return detail::start_server<std::decay_t<detail::kept_t<Handler>>>(detail::keep<Handler>(handler), std::move(all),
                                                                       port, std::move(options));
}

/// Listens at a Unix-domain socket and calls `handler(stream)` for each connection. A file that a closed server has
/// left behind is removed first; the server removes its own file at close.
///
/// @param handler takes a stream, which is the connection.
/// @param path up to 107 bytes; a first `@` stands for the zero byte of an abstract name.
/// @param options the backlog, the permissions of the file, and whether the server listens at once.
/// @return the server, which listens.
/// @throws std::system_error with the path in its text; std::invalid_argument for a path that cannot be one, or for
/// options that cannot be.
/// Cancellation: a task that is cancelled before it runs makes no server; afterwards there is nothing to wait for.
/// Lifetime: the handler is copied in, or moved in by take(), and lives until the last of its tasks has ended.
template<class Handler>
task<server> start_unix_server(Handler&& handler, std::string path, server_options options = {}) {
    detail::check_awaited_arguments<Handler>();
    return detail::start_unix_server<std::decay_t<detail::kept_t<Handler>>>(
        detail::keep<Handler>(handler), address::unix_path(path), std::move(options));
}

} // namespace asynchio

#pragma GCC visibility pop
