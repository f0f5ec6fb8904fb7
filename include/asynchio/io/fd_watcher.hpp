// SPDX-License-Identifier: BSL-1.0
#pragma once

// Callbacks while a descriptor is ready, for libraries that read and write themselves. Built on the loop's watches.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/core/detail/owner.hpp>
#include <asynchio/core/kept.hpp>
#include <asynchio/io/fd_events.hpp>
#include <asynchio/loop/callback.hpp>
#include <asynchio/loop/detail/watches.hpp>
#include <asynchio/loop/event_loop.hpp>

#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

/// The watch of an fd_watcher, and the call that it has made. It lives until that call is over.
class watcher_state : public repeated_call, public attached_watch {
public:
    watcher_state(loop_core& loop, int descriptor) noexcept : repeated_call(loop), loop_(loop) {
        fd = descriptor;
        ready = [](fd_watch& self, unsigned char news) noexcept {
            auto& each = static_cast<watcher_state&>(static_cast<attached_watch&>(self));
            each.seen_ = static_cast<unsigned char>(each.seen_ | news);
            each.schedule();
        };
    }

    void attach(fd_events events) {
        loop_.require_usable("fd_watcher");
        if (fd < 0) throw std::invalid_argument(formatted("fd_watcher: invalid descriptor %d", fd));
        explained([&] { loop_.outside().attach(*this); });
        change(events);
    }
    void change(fd_events events) {
        if (!attached()) throw std::logic_error("fd_watcher: Event loop is closed");
        loop_.require_usable("fd_watcher");
        explained([&] { loop_.outside().descriptors.change(*this, static_cast<unsigned char>(events)); });
    }

    struct remover {
        static void dispose(watcher_state* state) noexcept {
            if (state->attached()) state->loop_.outside().descriptors.detach(*state);
            state->remove();
        }
    };

protected:
    /// Returns the events that have come and are still wanted.
    fd_events take() noexcept {
        return static_cast<fd_events>(detail::exchange(seen_, static_cast<unsigned char>(0)) & wanted);
    }

private:
    template<class F>
    void explained(F f) const try {
        f();
    } catch (const std::system_error& e) {
        if (e.code().value() != EEXIST) throw;
        throw std::logic_error(formatted("fd_watcher: descriptor %d is watched already", fd));
    }

    loop_core& loop_;
    unsigned char seen_ = 0; // events since the last call
};

template<class F>
class watcher_of final : public watcher_state {
public:
    template<class G>
    watcher_of(loop_core& loop, int descriptor, G&& f) : watcher_state(loop, descriptor), f_(pass_on<G>(f)) {}

private:
    void call() override {
        const fd_events events = take();
        if (events == fd_events::none) return;
        if constexpr (std::is_invocable_v<F&, fd_events>)
            f_(events);
        else
            f_();
    }
    F f_;
};

} // namespace detail

/// Watches a descriptor, and calls a function in every iteration in which it is ready for an event that is wanted.
///
/// Behaviour: level-triggered: the function is called again as long as what made the descriptor ready was not read or
/// written. The end, and an error, are readiness for all that is wanted. The function runs as an ordinary call of the
/// loop, once for all events of an iteration; what it throws goes to the loop's exception handler. It may change what
/// is wanted, and detach, destroy or reassign the watcher. It is not called for an event that was given up since, nor
/// after the watcher was detached, even if the event had come already.
/// Threads: the thread of the loop.
/// Lifetime: the descriptor stays the caller's; destroying the watcher does not close it. A watcher whose descriptor was
/// closed is told nothing more, and leaves alone what has the number then. A closed loop calls nothing any more; the
/// watcher may outlive it.
/// Cost: one allocation by the constructor; a system call for each change of what is wanted, and no allocation.
/// Differs from Python: an object instead of add_reader, add_writer, remove_reader and remove_writer; one for both
/// directions.
/// Example: `aio::fd_watcher w(fd, [&](aio::fd_events events) { library.go_on(events); }, aio::fd_events::readable);`
/// See also: wait_ready, for a task that waits once; event_loop::add_reader.
class fd_watcher {
public:
    /// Makes an empty watcher, which watches nothing.
    fd_watcher() noexcept = default;
    /// Watches a descriptor in the running loop.
    /// @param fd the descriptor; it must stay open while something is wanted.
    /// @param f is called with the events that have come, or with nothing if it takes nothing. It is copied in, or moved
    /// in by take().
    /// @param events what is wanted at first.
    /// @throws std::system_error for a descriptor that is not open, or is always ready, such as a file's;
    /// std::invalid_argument for a negative number or an empty function; std::logic_error if the descriptor is watched
    /// already, by whatever means, or no loop runs.
    template<class F>
    fd_watcher(int fd, F&& f, fd_events events = fd_events::none)
        : fd_watcher(get_running_loop(), fd, std::forward<F>(f), events) {}
    /// Watches a descriptor in a loop that need not run yet; else as above.
    template<class F>
    fd_watcher(event_loop& loop, int fd, F&& f, fd_events events = fd_events::none) {
        using function = detail::copied_t<F>;
        static_assert(std::is_invocable_v<function&, fd_events> || std::is_invocable_v<function&>,
                      "fd_watcher: the function is called with fd_events, or with nothing");
        detail::require_callable(f, "fd_watcher");
        state_ = owner(new detail::watcher_of<function>(detail::core_of(loop), fd, std::forward<F>(f)));
        state_->attach(events);
    }
    fd_watcher(fd_watcher&&) noexcept = default;
    fd_watcher& operator=(fd_watcher&&) noexcept = default;
    ~fd_watcher() = default;

    /// Changes what is wanted.
    /// @param events both, one, or fd_events::none, which frees the descriptor for other watchers.
    /// @throws std::system_error if the descriptor was closed; std::logic_error if the watcher is empty, its loop is
    /// closed, or the descriptor is watched by something else meanwhile. What was wanted before is wanted still.
    void want(fd_events events) { state().change(events); }
    /// Returns what is wanted; nothing for an empty watcher.
    fd_events wanted() const noexcept { return state_ ? static_cast<fd_events>(state_->wanted) : fd_events::none; }
    /// Returns the descriptor; -1 for an empty watcher.
    int native_handle() const noexcept { return state_ ? state_->fd : -1; }
    /// Stops watching; the watcher is empty afterwards. The descriptor stays open. A second call does nothing.
    void detach() noexcept { state_.reset(); }
    /// Whether this is not empty: neither default-constructed, moved from, nor detached.
    explicit operator bool() const noexcept { return static_cast<bool>(state_); }

private:
    using owner = detail::owner<detail::watcher_state, detail::watcher_state::remover>;
    detail::watcher_state& state() const {
        if (!state_) throw std::logic_error("fd_watcher: it is empty, or was moved from");
        return *state_;
    }

    owner state_;
};

} // namespace asynchio

#pragma GCC visibility pop
