// SPDX-License-Identifier: BSL-1.0
#pragma once

// The state of a server: listening sockets, connections, and the tasks of their handlers.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/detail/late_value.hpp>
#include <asynchio/core/detail/owner.hpp>
#include <asynchio/io/detail/channel.hpp>
#include <asynchio/io/detail/descriptor_channel.hpp>
#include <asynchio/io/detail/listening_socket.hpp>
#include <asynchio/io/server_options.hpp>
#include <asynchio/io/socket_options.hpp>
#include <asynchio/io/stream.hpp>
#include <asynchio/loop/detail/deadline.hpp>
#include <asynchio/loop/detail/intrusive_list.hpp>
#include <asynchio/loop/detail/loop_call.hpp>
#include <asynchio/loop/detail/services.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/detail/child_tasks.hpp>
#include <asynchio/task/detail/user_line.hpp>
#include <asynchio/task/detail/wait_queue.hpp>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <exception>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <source_location>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio::detail {

class server_state;

/// The servers of a loop that are still referred to, or have handlers or connections. They end with the loop at the
/// latest.
class open_servers final : public service {
public:
    open_servers() = default;
    open_servers(const open_servers&) = delete;
    open_servers& operator=(const open_servers&) = delete;
    inline ~open_servers() override;

    void close() noexcept override {}
    bool closed() const noexcept override { return true; }

    intrusive_list<server_state> all;
};

/// Lives while it is referred to, a handler runs, or a connection is open.
class server_state : public child_tasks, public channel_owner, public list_link {
public:
    server_state(const server_state&) = delete;
    server_state& operator=(const server_state&) = delete;

    // Serving

    void start_serving() {
        if (closed_) throw std::logic_error("server: it is closed");
        if (serving_) return;
        for (const listening_socket& each : listeners_) each.listen(backlog_);
        try {
            for (listening_socket& each : listeners_) watch(each);
        } catch (...) {
            stop_watching();
            throw;
        }
        serving_ = true;
    }
    bool serving() const noexcept { return serving_ && !closed_; }
    bool closed() const noexcept { return closed_; }
    const auto& listeners() const noexcept { return listeners_; }

    /// Stops listening; connections stay.
    void close() noexcept {
        if (detail::exchange(closed_, true)) return;
        stop_watching();
        listeners_.clear();
        changed();
    }
    /// Called when the server object is gone: ends the server, and reports in debug mode that it was open.
    void drop() noexcept {
        if (!closed_ && reports_dropped(loop())) [[unlikely]]
            loop().report("a server was dropped while it was open, so that nobody waits for its handlers", {},
                          made_at_);
        close();
        cancel_handlers();
    }
    void close_clients() noexcept {
        while (channel* each = connections_.front()) each->hang_up();
    }
    void abort_clients() noexcept {
        while (channel* each = connections_.front()) each->lose(ECONNABORTED);
    }
    void end_idle_clients() noexcept {
        for (channel* each = connections_.front(); each != nullptr; each = connections_.after(*each))
            each->end_when_idle();
    }
    void cancel_handlers() noexcept { cancel_all(); }
    /// Whether there is a connection, or the last one was closed in this iteration: tasks that read from it have seen
    /// the end, and gone on, before this becomes false.
    bool connected() const noexcept { return !connections_.empty() || last_has_left_.queued(); }
    loop_core& loop() const noexcept { return *loop_; }

    /// Wakes all tasks that wait in change().
    void tell_change() noexcept { changed(); }
    /// Waits until something has ended: listening, the last connection, or the last handler.
    line_awaiter change() noexcept { return line_awaiter(line_, "server"); }

    /// Whether a task is in serve_forever().
    bool serves_forever = false;

    // References

    void retain() noexcept { ++holders_; }
    void release() noexcept {
        if (--holders_ != 0) return;
        if (servers_ == nullptr)
            delete this;
        else
            free_if_idle();
    }

protected:
    server_state(std::vector<listening_socket> sockets, const server_options& options)
        : list_link(), listeners_(std::move(sockets)), backlog_(options.backlog), no_delay_(options.no_delay) {
        servers_ = &loop().services().get<open_servers>();
        servers_->all.push_back(*this);
    }
    ~server_state() override { leave_loop(); }

    virtual void handle(stream connection) = 0;

private:
    friend open_servers;
    struct reaper : loop_call<reaper> {
        explicit reaper(server_state& s) noexcept : state(s) { bind(s.loop()); }
        void called() noexcept { delete &state; } // when the loop closes, the service deletes it
        using loop_call::call_soon;
        server_state& state;
    };
    struct leave_note : loop_call<leave_note> {
        explicit leave_note(server_state& s) noexcept : state(s) { bind(s.loop()); }
        void called() noexcept { state.changed(); }
        using loop_call::call_soon;
        using loop_call::queued;
        server_state& state;
    };
    static constexpr nanoseconds_count pause = 100'000'000;

    void leave_loop() noexcept {
        if (servers_ == nullptr) return;
        close();
        while (channel* each = connections_.pop_front()) each->disown();
        detail::exchange(servers_, nullptr)->all.remove(*this);
    }
    /// Detaches the state from its loop, which ends. It stays readable for remaining owners.
    void loop_ended() noexcept {
        leave_loop();
        if (holders_ == 0) delete this;
    }

    void watch(listening_socket& l) {
        loop_of(loop()).add_reader(l.get(), [this, &l] { accept_from(l); });
        l.paused = false;
    }
    void stop_watching() noexcept {
        retry_.reset();
        for (const listening_socket& each : listeners_) loop_of(loop()).remove_reader(each.get());
    }

    void accept_from(listening_socket& l) {
        int failures = 0;
        for (int n = 0; n < backlog_ && !closed_; ++n) {
            sockaddr_storage peer{};
            socklen_t size = sizeof peer;
            descriptor made(uninterrupted([&] {
                return calls.accept4(l.get(), reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
            }));
            if (made) {
                l.failing = false;
                take(std::move(made), address(reinterpret_cast<const sockaddr*>(&peer), size));
            } else if (would_block(errno)) {
                return;
            } else if (!is_of_one_connection(errno) || ++failures == backlog_) { // the whole backlog: it will not pass
                return wait_and_retry(l, errno);
            }
        }
    }

    /// Whether an error of accept(2) belongs to a connection that is gone already, and not to the listening socket.
    static bool is_of_one_connection(int error) noexcept {
        switch (error) {
        case ECONNABORTED:
        case EPROTO:
        case EPERM: // a firewall refused the connection
        case ENETDOWN:
        case ENOPROTOOPT:
        case EHOSTDOWN:
        case EHOSTUNREACH:
        case EOPNOTSUPP:
        case ENETUNREACH: return true;
        default: return false;
        }
    }

    /// Handles a lack of descriptors or memory: new clients wait in the backlog meanwhile. It is reported once until it
    /// is over.
    void wait_and_retry(listening_socket& l, int error) {
        retry_later(); // if that fails, the next attempt is at once
        loop_of(loop()).remove_reader(l.get());
        l.paused = true;
        if (detail::exchange(l.failing, true)) return;
        report("Cannot accept connections, trying again every 100 ms",
               std::make_exception_ptr(
                   std::system_error(error, std::generic_category(), "accept on " + l.where().to_string())));
    }

    /// Uses one timer for all listening sockets, so that several of them do not wake the loop more often.
    void retry_later() {
        if (!retry_) retry_.emplace(loop(), later(loop().now(), pause), *this);
    }
    void retry() noexcept try {
        retry_.reset();
        try {
            for (listening_socket& each : listeners_)
                if (each.paused) watch(each);
        } catch (...) {
            retry_later();
        }
    } catch (...) {
        report("Cannot accept connections any more", std::current_exception());
    }

    void take(descriptor made, const address& peer) {
        try {
            if (peer.is_ip() && no_delay_) set_option(made.get(), IPPROTO_TCP, TCP_NODELAY, 1);
            owner<channel> connection = make_channel<socket_channel>(std::move(made), peer);
            connections_.push_back(*connection);
            connection->own(*this);
            handle(access::make<stream>(std::move(connection)));
        } catch (...) {
            report("Unhandled exception in a server's handler", std::current_exception());
        }
    }

    void released(channel& c) noexcept override {
        connections_.remove(c);
        if (connections_.empty()) last_has_left_.call_soon();
    }
    void child_ended(frame& child) noexcept override {
        if (child.failed()) {
            child.note_retrieved();
            report("Unhandled exception in a server's handler", child.error(), &child);
        }
        if (running() == 0) changed();
    }
    void report(const char* message, const std::exception_ptr& error, shared_state* task = nullptr) noexcept try {
        exception_context context;
        context.message = message;
        context.exception = error;
        context.object = task;
        if (task != nullptr) context.source = context.task().name();
        loop_of(loop()).call_exception_handler(context);
    } catch (...) { // no memory for a report
    }

    void changed() noexcept {
        line_.wake_all();
        free_if_idle();
    }
    void free_if_idle() noexcept {
        if (holders_ != 0 || running() != 0 || connected()) return;
        reaper_.call_soon(); // not destroyed here: a function further up may use it
    }

    std::vector<listening_socket> listeners_;
    intrusive_list<channel> connections_;
    wait_queue line_;
    loop_core* loop_ = &running_core();
    leave_note last_has_left_{*this};
    reaper reaper_{*this};
    open_servers* servers_ = nullptr; // null once the loop has ended
    late_value<deadline<server_state, &server_state::retry>> retry_;
    std::source_location made_at_ = user_line(); // in debug mode
    int backlog_;
    bool no_delay_;
    unsigned holders_ = 0;
    bool serving_ = false;
    bool closed_ = false;
};

inline open_servers::~open_servers() {
    while (server_state* each = all.front()) each->loop_ended();
}

template<class Handler>
class server_of final : public server_state {
public:
    server_of(std::vector<listening_socket> sockets, const server_options& options, Handler handler)
        : server_state(std::move(sockets), options), handler_(std::move(handler)) {}

private:
    void handle(stream connection) override {
        if constexpr (std::is_void_v<std::invoke_result_t<Handler&, stream>>) {
            handler_(std::move(connection));
        } else {
            reservation room = make_room();
            const auto started = make_task(loop(), as_task(handler_(std::move(connection))), {}, false, {});
            adopt(*access::state(started), std::move(room));
        }
    }

    Handler handler_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
