// SPDX-License-Identifier: BSL-1.0
#pragma once

// Accepting connections: a handler task for each. Built on crew and on the loop's readers.

#include <asynchio/core/detail/closure_check.hpp>
#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/io/address.hpp>
#include <asynchio/io/detail/held.hpp>
#include <asynchio/io/detail/listening_socket.hpp>
#include <asynchio/io/detail/server_state.hpp>
#include <asynchio/io/resolve.hpp>
#include <asynchio/io/stream.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/take.hpp>
#include <asynchio/task/task.hpp>

#include <exception>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

/// How a server listens.
struct server_options {
    /// How many connections may wait in the system, and how many are accepted in a row.
    int backlog = 128;
    /// Lets several servers, of several loops or processes, share a port: the system deals the connections out.
    bool reuse_port = false;
    /// Otherwise nobody can connect before start_serving().
    bool start_serving = true;
};

/// What start_server gives: listens, and runs a task of the handler for each connection.
///
/// Behaviour: an exception of a handler goes to the loop's exception handler, and its connection is closed; a handler
/// that is cancelled ends quietly. A connection counts until its stream is closed or destroyed. When descriptors or
/// memory run out, those who connect wait; accepting is tried again every 100 ms.
/// Lifetime: it owns the handlers' tasks. Destroyed before aclose() has ended, it stops listening and cancels them, and
/// the loop waits for them at its end.
/// Threads: its loop's. For more than one core, give each loop its own server with `reuse_port`.
/// Differs from Python: aclose(), and the end of a `with`, cancel the handlers and wait for them; several addresses and
/// port 0 give one port.
/// Example: `aio::server s = co_await aio::start_server(handle, "localhost", 8080); co_await s.serve_forever();`
/// See also: open_connection, stream.
class server {
public:
    explicit server(detail::server_state& state) noexcept : state_(&state) { state.hold(); }
    server(server&& other) noexcept : state_(detail::exchange(other.state_, nullptr)) {}
    server& operator=(server&& other) noexcept {
        server old(std::move(*this));
        state_ = detail::exchange(other.state_, nullptr);
        return *this;
    }
    ~server() {
        if (state_ == nullptr) return;
        state_->close();
        state_->cancel_handlers();
        state_->let_go();
    }

    /// The port it listens on, the same at all addresses; 0 once it is closed and for Unix-domain sockets.
    int port() const { return state().listeners().empty() ? 0 : state().listeners().front().socket.where().port(); }
    /// Where it listens; empty once it is closed.
    std::vector<address> addresses() const {
        std::vector<address> all;
        for (const auto& each : state().listeners()) all.push_back(each.socket.where());
        return all;
    }
    bool is_serving() const { return state().serving(); }

    /// Begins to listen; does nothing if it does. @throws std::system_error, std::logic_error once it is closed.
    void start_serving() { state().start_serving(); }
    /// Stops listening; connections that there are stay. Does nothing twice.
    void close() { state().close(); }
    /// Closes all connections: who reads sees the end, who writes gets EPIPE.
    void close_clients() { state().close_clients(); }
    /// The same at once: the others get a reset, who reads or writes here ECONNABORTED.
    void abort_clients() { state().abort_clients(); }

    /// Waits until it has been closed and no connection is left. Cancellation: ends the waiting.
    template<class = void> // a template: g++ makes code of every other coroutine, also where it is not used
    task<> wait_closed() {
        return until_closed(held(state()));
    }

    /// Begins to listen, and waits until the server is closed by somebody, or this is cancelled; then as aclose().
    /// @throws std::logic_error for a second one, or once it is closed.
    template<class = void>
    task<> serve_forever() {
        return serving(held(state()));
    }

    /// Closes, cancels the handlers, and waits until they have ended, also when it is cancelled itself meanwhile.
    /// @throws std::logic_error in a handler of the server, which would wait for itself.
    template<class = void>
    task<> aclose() {
        return closing(held(state()));
    }

private:
    using held = detail::held<detail::server_state>;

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
        try {
            while (!state->closed()) co_await state->change();
        } catch (const cancelled_error&) {
            cancellation = std::current_exception();
        }
        co_await closing(state);
        if (cancellation) std::rethrow_exception(cancellation);
    }
    template<class = void>
    static task<> closing(held state) {
        if (const detail::frame* self = detail::current_task_frame(); self != nullptr && state->has(*self))
            throw std::logic_error("server: aclose() in one of its own handlers would wait for itself; use close()");
        state->close();
        state->cancel_handlers();
        std::exception_ptr cancellation;
        while (state->running() != 0) {
            try {
                co_await state->change();
            } catch (const cancelled_error&) {
                cancellation = std::current_exception();
                state->cancel_handlers();
            }
        }
        if (cancellation) std::rethrow_exception(cancellation);
    }

    detail::server_state& state() const {
        if (state_ == nullptr) [[unlikely]]
            throw std::logic_error("server: it was moved from");
        return *state_;
    }

    detail::server_state* state_;
};

namespace detail {

template<class Handler>
server make_server(const std::vector<address>& where, Handler handler, const server_options& options) {
    static_assert(std::is_invocable_v<Handler&, stream>,
                  "the handler of a server is called with a stream: task<> handle(aio::stream connection)");
    detail::require_callable(handler, "start_server");
    if (options.backlog < 1) throw std::invalid_argument("start_server: the backlog must be at least 1");
    auto* state = new server_of<Handler>(listen_at(where, options.reuse_port), options.backlog, std::move(handler));
    server made(*state);
    if (options.start_serving) state->start_serving();
    return made;
}

template<class Handler>
task<server> start_server(Handler handler, std::string host, int port, server_options options) {
    require_port(port, "start_server");
    const std::vector<address> where =
        co_await resolve(name_query(std::move(host), std::to_string(port), AF_UNSPEC, AI_PASSIVE));
    co_return detail::make_server(where, std::move(handler), options);
}

template<class Handler>
task<server> start_unix_server(Handler handler, address where, server_options options) {
    co_return make_server(std::vector<address>(1, where), std::move(handler), options);
}

} // namespace detail

/// Listens by TCP and calls `handler(stream)` for each connection: what it gives is awaited in a task; a plain call is
/// just made.
///
/// @param host a name or a numeric address; empty: all of this machine's. @param port 0 picks a free one, see port().
/// @throws std::system_error naming the address ("bind to 127.0.0.1:80: Address already in use"),
/// std::invalid_argument for a port that is none.
/// Lifetime: the handler is copied in, or moved in by take(), and lives until the last of its tasks has ended.
template<class Handler>
task<server> start_server(Handler&& handler, std::string host, int port, server_options options = {}) {
    detail::check_awaited_arguments<Handler>();
    return detail::start_server<std::decay_t<detail::kept_t<Handler>>>(detail::keep<Handler>(handler), std::move(host),
                                                                       port, options);
}

/// The same at a Unix-domain socket. A file that a server left which is gone is removed first; it is removed at close.
/// @param path a first `@` stands for the zero byte of an abstract name.
template<class Handler>
task<server> start_unix_server(Handler&& handler, std::string path, server_options options = {}) {
    detail::check_awaited_arguments<Handler>();
    return detail::start_unix_server<std::decay_t<detail::kept_t<Handler>>>(detail::keep<Handler>(handler),
                                                                            address::unix_path(path), options);
}

} // namespace asynchio

#pragma GCC visibility pop
