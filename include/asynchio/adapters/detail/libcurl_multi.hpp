// SPDX-License-Identifier: BSL-1.0
#pragma once

// A multi handle of libcurl, driven by the loop.
//
// libcurl must not be called from inside of its own callbacks. So these only note what has happened and wake tasks,
// which run in a later iteration; what has ended is looked for when a call of libcurl has returned.

#include <asynchio/adapters/libcurl_error.hpp>
#include <asynchio/adapters/libcurl_options.hpp>
#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/io/fd_watcher.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/sync/event.hpp>
#include <asynchio/sync/semaphore.hpp>
#include <asynchio/task/task.hpp>

#include <curl/curl.h>

#include <chrono>
#include <cstddef>
#include <exception>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <unordered_map>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::libcurl::detail {

/// Prepares libcurl, which happens once in a process. @throws error if libcurl cannot start.
inline void prepare_library() {
    static const CURLcode prepared = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (prepared != CURLE_OK)
        throw error(prepared, std::string("libcurl: curl_global_init: ") + curl_easy_strerror(prepared));
}

/// A transfer in a multi handle, from add() until it is over or has left.
class participant {
public:
    explicit participant(CURL* handle) noexcept : easy_(handle) {}
    participant(const participant&) = delete;
    participant& operator=(const participant&) = delete;
    virtual ~participant() = default;

    CURL* easy() const noexcept { return easy_; }
    /// Whether libcurl has done with it.
    bool over() const noexcept { return over_; }
    /// Awaitable: waits until something is new.
    auto news() noexcept {
        news_.clear();
        return event::wait_awaiter(news_, "transfer of libcurl");
    }

protected:
    virtual void ended() noexcept {}

    CURLcode code_ = CURLE_OK;   // how libcurl has ended it
    std::exception_ptr failure_; // what has gone wrong besides
    event news_;

private:
    friend class multi;
    CURL* easy_;
    bool over_ = false;
    std::shared_ptr<participant> kept_; // while it is in the list of those that leave
    participant* next_leaving_ = nullptr;
};

class multi : public std::enable_shared_from_this<multi> {
public:
    explicit multi(const session_options& how)
        : loop_(get_running_loop().ref()),
          places_(checked(how.max_transfers, "max_transfers") > 0 ? how.max_transfers
                                                                  : std::numeric_limits<std::ptrdiff_t>::max()) {
        prepare_library();
        handle_ = curl_multi_init();
        if (handle_ == nullptr) throw std::bad_alloc();
        try {
            set(CURLMOPT_SOCKETFUNCTION, &on_socket);
            set(CURLMOPT_SOCKETDATA, this);
            set(CURLMOPT_TIMERFUNCTION, &on_timer);
            set(CURLMOPT_TIMERDATA, this);
            set(CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_MULTIPLEX));
            set(CURLMOPT_MAX_TOTAL_CONNECTIONS, checked(how.max_connections, "max_connections"));
            set(CURLMOPT_MAX_HOST_CONNECTIONS, checked(how.max_connections_per_host, "max_connections_per_host"));
            set(CURLMOPT_MAXCONNECTS, checked(how.max_idle_connections, "max_idle_connections"));
            set(CURLMOPT_MAX_CONCURRENT_STREAMS, checked(how.max_streams_per_connection, "max_streams_per_connection"));
        } catch (...) {
            curl_multi_cleanup(handle_);
            throw;
        }
    }
    ~multi() { close(); }

    CURLM* handle() const noexcept { return handle_; }
    bool closed() const noexcept { return closed_; }
    /// Returns the number of transfers under way or waiting for that.
    std::size_t size() const noexcept { return all_.size() + waiting_; }

    /// @throws std::logic_error if no transfer can begin.
    void require_usable() const {
        if (closed_) throw std::logic_error("libcurl: the session is closed");
        if (loop_.is_closed() || loop_.get() != &get_running_loop())
            throw std::logic_error("libcurl: the session belongs to another loop");
        if (inside_) throw std::logic_error("libcurl: a transfer cannot begin inside of a callback of libcurl");
    }
    /// Waits until a transfer may begin. libcurl itself looks at all that wait each time that one ends.
    template<class = void>
    task<semaphore_guard> take_place() {
        require_usable();
        ++waiting_;
        const struct at_end {
            std::size_t& count;
            ~at_end() { --count; }
        } waited{waiting_};
        semaphore_guard place = co_await places_.scoped_acquire();
        if (closed_) std::rethrow_exception(closed_error());
        co_return place;
    }

    /// Begins a transfer. @throws std::logic_error, std::invalid_argument.
    void add(const std::shared_ptr<participant>& one) {
        require_usable();
        if (!all_.emplace(one->easy(), one.get()).second)
            throw std::invalid_argument("libcurl: the handle is in a transfer of the session already");
        CURLMcode code = CURLM_OK;
        call([&] { code = curl_multi_add_handle(handle_, one->easy()); });
        if (code == CURLM_OK) return settle();
        all_.erase(one->easy());
        settle();
        if (code == CURLM_OUT_OF_MEMORY) throw std::bad_alloc();
        throw std::invalid_argument(std::string("libcurl: the handle: ") + curl_multi_strerror(code));
    }
    /// Takes a transfer out, which ends it. Does nothing if it is over. Inside of a callback of libcurl, it is taken
    /// out when that is over.
    void leave(const std::shared_ptr<participant>& one) noexcept {
        if (!is_in(*one)) return;
        if (!inside_) {
            take_out(*one);
            settle();
        } else if (!one->kept_) {
            one->kept_ = one;
            one->next_leaving_ = asynchio::detail::exchange(leaving_, one.get());
        }
    }
    /// Ends a transfer with an exception, outside of callbacks.
    void fail(participant& one, std::exception_ptr why) noexcept {
        if (!is_in(one)) return;
        end(one, CURLE_ABORTED_BY_CALLBACK, std::move(why));
        settle();
    }
    /// Lets a transfer go on, outside of callbacks. @param paused what is still to wait.
    void go_on(participant& one, int paused) noexcept {
        if (!is_in(one)) return;
        CURLcode code = CURLE_OK;
        call([&] { code = curl_easy_pause(one.easy(), paused); });
        if (code != CURLE_OK) end(one, code, nullptr);
        settle();
    }
    /// Ends all transfers, and closes all connections.
    void close() noexcept {
        closed_ = true;
        settle();
    }

private:
    static long checked(long value, const char* name) {
        if (value >= 0) return value;
        throw std::invalid_argument(std::string("libcurl: session_options::") + name + " is negative");
    }
    template<class T>
    void set(CURLMoption which, T value) {
        const CURLMcode code = curl_multi_setopt(handle_, which, value);
        if (code == CURLM_OUT_OF_MEMORY) throw std::bad_alloc();
        if (code != CURLM_OK)
            throw std::invalid_argument(std::string("libcurl: session_options: ") + curl_multi_strerror(code));
    }
    bool is_in(const participant& one) const noexcept {
        const auto found = all_.find(one.easy());
        return found != all_.end() && found->second == &one;
    }
    bool loop_is_there() const noexcept { return !loop_.is_closed() && !loop_.get()->is_closed(); }

    template<class F>
    void call(F f) noexcept {
        const bool outer = asynchio::detail::exchange(inside_, true);
        f();
        inside_ = outer;
    }
    void act(curl_socket_t socket, int events) noexcept {
        const std::shared_ptr<multi> kept = shared_from_this();
        if (closed_ || inside_) return;
        int running = 0;
        CURLMcode code = CURLM_OK;
        call([&] { code = curl_multi_socket_action(handle_, socket, events, &running); });
        if (code != CURLM_OK && code != CURLM_BAD_SOCKET) note_failure(code);
        settle();
    }

    static int on_socket(CURL*, curl_socket_t socket, int what, void* me, void*) noexcept {
        auto& self = *static_cast<multi*>(me);
        try {
            self.watch(socket, what);
        } catch (...) {
            self.failure_ = std::current_exception();
        }
        return 0; // otherwise libcurl would give up the multi handle, and not only the transfers
    }
    void watch(curl_socket_t socket, int what) {
        const auto found = sockets_.find(socket);
        if (what == CURL_POLL_REMOVE) {
            if (found != sockets_.end()) sockets_.erase(found);
            return;
        }
        if (!loop_is_there()) return;
        fd_events wanted = fd_events::none;
        if ((what & CURL_POLL_IN) != 0) wanted = wanted | fd_events::readable;
        if ((what & CURL_POLL_OUT) != 0) wanted = wanted | fd_events::writable;
        if (found != sockets_.end()) {
            try {
                return found->second.want(wanted);
            } catch (const std::system_error&) { // the number was closed and is used again
                sockets_.erase(found);
            }
        }
        const auto tell = [this, socket](fd_events events) {
            int came = 0;
            if ((events & fd_events::readable) != fd_events::none) came |= CURL_CSELECT_IN;
            if ((events & fd_events::writable) != fd_events::none) came |= CURL_CSELECT_OUT;
            act(socket, came);
        };
        sockets_.emplace(socket, fd_watcher(*loop_.get(), socket, tell, wanted));
    }

    static int on_timer(CURLM*, long milliseconds, void* me) noexcept {
        auto& self = *static_cast<multi*>(me);
        self.timer_.cancel();
        if (milliseconds < 0 || !self.loop_is_there()) return 0;
        try {
            // With 0 the call comes in the next iteration: libcurl must not be called here.
            self.timer_ = self.loop_.get()->call_later(std::chrono::milliseconds(milliseconds),
                                                       [&self] { self.act(CURL_SOCKET_TIMEOUT, 0); });
        } catch (...) {
            self.failure_ = std::current_exception();
        }
        return 0;
    }

    void note_failure(CURLMcode code) noexcept {
        try {
            if (code == CURLM_OUT_OF_MEMORY) throw std::bad_alloc();
            throw error(CURLE_FAILED_INIT, std::string("libcurl: ") + curl_multi_strerror(code));
        } catch (...) {
            failure_ = std::current_exception();
        }
    }
    void take_out(participant& one) noexcept {
        all_.erase(one.easy());
        call([&] { curl_multi_remove_handle(handle_, one.easy()); });
    }
    void end(participant& one, CURLcode code, std::exception_ptr why) noexcept {
        take_out(one);
        one.over_ = true;
        one.code_ = code;
        if (!one.failure_) one.failure_ = std::move(why);
        one.news_.set();
        one.ended();
    }
    void end_all(const std::exception_ptr& why) noexcept {
        while (!all_.empty()) end(*all_.begin()->second, CURLE_ABORTED_BY_CALLBACK, why);
    }

    /// Does what waits for the end of a call of libcurl. To take a handle out may itself have something fail.
    void settle() noexcept {
        if (inside_ || handle_ == nullptr) return;
        while (participant* const one = leaving_) {
            leaving_ = one->next_leaving_;
            const std::shared_ptr<participant> kept = std::move(one->kept_);
            if (!one->over_) take_out(*one);
        }
        int left = 0;
        while (const CURLMsg* const told = curl_multi_info_read(handle_, &left)) {
            if (told->msg != CURLMSG_DONE) continue;
            const CURLcode code = told->data.result;
            const auto found = all_.find(told->easy_handle);
            if (found != all_.end()) end(*found->second, code, nullptr);
        }
        // A socket that is not watched, and a timer that is not set, would leave some transfer waiting for ever, and
        // libcurl does not tell which ones.
        while (failure_) end_all(std::exchange(failure_, nullptr));
        if (closed_) finish();
    }
    static std::exception_ptr closed_error() noexcept {
        try {
            throw error(CURLE_ABORTED_BY_CALLBACK, "libcurl: the session was closed while the transfer was under way");
        } catch (...) {
            return std::current_exception();
        }
    }
    void finish() noexcept {
        if (!all_.empty()) end_all(closed_error());
        for (std::size_t i = 0; i < waiting_; ++i) places_.release();
        curl_multi_setopt(handle_, CURLMOPT_TIMERFUNCTION, static_cast<curl_multi_timer_callback>(nullptr));
        curl_multi_setopt(handle_, CURLMOPT_SOCKETFUNCTION, static_cast<curl_socket_callback>(nullptr));
        timer_.cancel();
        sockets_.clear();
        curl_multi_cleanup(asynchio::detail::exchange(handle_, nullptr));
    }

    const loop_ref loop_;
    CURLM* handle_ = nullptr;
    bool closed_ = false;
    bool inside_ = false; // whether a call of libcurl is under way
    semaphore places_;
    std::size_t waiting_ = 0; // for a place
    std::unordered_map<CURL*, participant*> all_;
    std::unordered_map<curl_socket_t, fd_watcher> sockets_;
    timer_handle timer_;
    std::exception_ptr failure_;     // of a callback
    participant* leaving_ = nullptr; // those that have left inside of a callback
};

} // namespace asynchio::libcurl::detail

#pragma GCC visibility pop
