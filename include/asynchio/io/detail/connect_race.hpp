// SPDX-License-Identifier: BSL-1.0
#pragma once

// Several attempts to connect, the first of which to succeed counts: RFC 8305, Happy Eyeballs.

#include <asynchio/core/detail/late_value.hpp>
#include <asynchio/core/detail/owner_vector.hpp>
#include <asynchio/core/detail/trivial_vector.hpp>
#include <asynchio/io/address.hpp>
#include <asynchio/io/detail/descriptor.hpp>
#include <asynchio/io/socket_options.hpp>
#include <asynchio/io/tcp_options.hpp>
#include <asynchio/loop/detail/deadline.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/suspension.hpp>

#include <cerrno>
#include <coroutine>
#include <exception>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <source_location>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio::detail {

struct connected {
    descriptor socket; // without one, no attempt has succeeded
    address peer;
};

struct failed_attempt {
    address peer;
    int error;
};

/// Begins a new attempt whenever one has failed or `stagger` has passed; all attempts under way go on meanwhile.
/// Returns the first connected socket, or none when all attempts have failed or the deadline has come.
///
/// Cancellation: closes all sockets.
class connect_race final : public suspension {
public:
    /// @param local the address to connect from; empty for any.
    connect_race(const std::vector<address>& peers, const tcp_options& options, const address& local,
                 nanoseconds_count stagger, nanoseconds_count deadline) noexcept
        : peers_(peers), options_(options), local_(local), stagger_(stagger), deadline_(deadline) {}
    connect_race(const connect_race&) = delete;
    connect_race& operator=(const connect_race&) = delete;
    ~connect_race() override { end(); }

    bool await_ready() {
        loop_ = &running_core();
        attempts_.reserve(peers_.size());
        failures_.reserve(peers_.size());
        begin_next();
        return over_;
    }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        if (deadline_ != far_future) limit_.emplace(*loop_, deadline_, *this);
        park(awaiting, where);
    }
    connected await_resume() {
        end();
        resumed();
        if (failure_) std::rethrow_exception(failure_);
        return std::move(winner_);
    }

    const trivial_vector<failed_attempt>& failures() const noexcept { return failures_; }

    const char* waiting_for() const noexcept override { return "connect"; }
    cancel_reply cancel(const shared_text&) noexcept override {
        end();
        return cancel_reply::left;
    }

private:
    struct attempt : edge_watch {
        attempt(connect_race& r, const address& p) noexcept : race(r), peer(p) {
            ready = [](fd_watch& self, unsigned char what) noexcept {
                auto& each = static_cast<attempt&>(static_cast<edge_watch&>(self));
                if (what & writable) each.race.answered(each);
            };
        }
        connect_race& race;
        address peer;
        descriptor socket;
    };

    void stagger_is_over() noexcept {
        begin_next();
        wake_if_over();
    }
    void time_is_up() noexcept {
        over_ = true;
        wake_if_over();
    }
    void begin_next() noexcept {
        if (over_) return;
        next_attempt_.reset();
        while (next_ < peers_.size() && !over_) {
            const int error = begin(peers_[next_++]);
            if (error == 0) break;
        }
        try {
            if (!over_ && next_ < peers_.size()) next_attempt_.emplace(*loop_, later(loop_->now(), stagger_), *this);
        } catch (const std::bad_alloc&) { // the next one begins when this one fails
        }
        if (next_ == peers_.size() && under_way_ == 0) over_ = true;
    }

    /// @return 0 if the attempt is under way or connected, else the error.
    int begin(const address& peer) noexcept {
        int error = ENOMEM;
        try {
            auto each = make_owner<attempt>(*this, peer);
            each->socket = descriptor(calls.socket(peer.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
            if (!each->socket) return failed(peer, errno);
            each->fd = each->socket.get();
            if (!prepare(each->fd, peer)) return 0;
            if (local_ && calls.bind(each->fd, local_.data(), local_.size()) != 0) return failed(peer, errno);
            if (calls.connect(each->fd, peer.data(), peer.size()) == 0) {
                win(*each);
                return 0;
            }
            error = errno;
            if (error != EINPROGRESS && error != EINTR) return failed(peer, error);
            loop_->outside().attach(*each);
            each->wanted = fd_watch::writable;
            attempts_.push_back(std::move(each));
            ++under_way_;
            return 0;
        } catch (const std::system_error& e) {
            error = e.code().value();
        } catch (const std::bad_alloc&) {}
        return failed(peer, error);
    }
    /// Sets the options. @return false if the caller's function has failed, which ends everything.
    /// @throws std::system_error for an option that the system refuses.
    bool prepare(int fd, const address& peer) {
        if (peer.is_ip() && options_.no_delay) set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        apply(options_, fd, peer);
        try {
            options_.configure(fd, peer);
            return true;
        } catch (...) {
            failure_ = std::current_exception();
            over_ = true;
            return false;
        }
    }
    int failed(const address& peer, int error) noexcept {
        failures_.push_back({peer, error}); // there is room
        return error;
    }
    void win(attempt& each) noexcept {
        winner_ = {std::move(each.socket), each.peer};
        over_ = true;
    }

    void answered(attempt& each) noexcept {
        if (over_ || !each.socket) return;
        int error = 0;
        socklen_t size = sizeof error;
        if (calls.getsockopt(each.fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
        if (error == 0 && !is_connected(each)) {
            each.wanted = fd_watch::writable;
            return; // a false alarm
        }
        loop_->outside().descriptors.detach(each);
        if (error == 0) {
            win(each);
        } else {
            --under_way_;
            each.socket = descriptor();
            failed(each.peer, error);
            begin_next();
        }
        wake_if_over();
    }
    static bool is_connected(const attempt& each) noexcept {
        sockaddr_storage peer;
        socklen_t size = sizeof peer;
        return calls.getpeername(each.fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0 || errno != ENOTCONN;
    }
    void wake_if_over() noexcept {
        if (over_ && parked()) wake();
    }

    void end() noexcept {
        next_attempt_.reset();
        limit_.reset();
        for (attempt* each : attempts_) {
            loop_->outside().descriptors.detach(*each);
            each->socket = descriptor();
        }
    }

    const std::vector<address>& peers_;
    const tcp_options& options_;
    address local_;
    nanoseconds_count stagger_;
    nanoseconds_count deadline_;
    loop_core* loop_ = nullptr;
    owner_vector<attempt> attempts_;
    trivial_vector<failed_attempt> failures_;
    std::size_t next_ = 0;
    std::size_t under_way_ = 0;
    bool over_ = false;
    connected winner_;
    std::exception_ptr failure_; // of the caller's function
    late_value<deadline<connect_race, &connect_race::stagger_is_over>> next_attempt_;
    late_value<deadline<connect_race, &connect_race::time_is_up>> limit_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
