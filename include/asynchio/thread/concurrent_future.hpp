// SPDX-License-Identifier: BSL-1.0
#pragma once

// The result of a task, for threads that do not run its loop.

#include <asynchio/core/cancelled_error.hpp>
#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/core/detail/owner.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/core/kept.hpp>
#include <asynchio/core/outcome.hpp>
#include <asynchio/loop/detail/intrusive_list.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/task_handle.hpp>
#include <asynchio/thread/detail/native_condition.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

/// A callback that runs when a concurrent_future is done; the future's state owns it.
class concurrent_callback : public list_link {
public:
    concurrent_callback() noexcept : list_link() {}
    concurrent_callback(const concurrent_callback&) = delete;
    concurrent_callback& operator=(const concurrent_callback&) = delete;
    virtual ~concurrent_callback() = default;
    virtual void call() = 0;
};

/// The state that the futures and the loop's side share. The first of value, exception and cancellation counts.
template<class T>
class concurrent_state : public counted_object<concurrent_state<T>>, private ready_item {
public:
    explicit concurrent_state(loop_ref l) noexcept : ready_item(&cancel_task), loop(std::move(l)) {}
    ~concurrent_state() {
        while (concurrent_callback* each = callbacks_.pop_front()) delete each;
    }

    /// Ends the future, on any thread, and calls the callbacks in the order in which they came. `tell_task` is called
    /// among them, after those that were there when the task began. @return false if the future was done already.
    template<class Set, class Tell>
    bool settle(Set set, Tell tell_task) noexcept {
        intrusive_list<concurrent_callback> callbacks;
        const concurrent_callback* last_before_task = nullptr;
        {
            const std::unique_lock lock(mutex_);
            if (done_) return false;
            set(result_);
            done_ = true;
            callbacks.append(callbacks_);
            last_before_task = last_before_task_;
            changed_.notify_all();
        }
        if (last_before_task == nullptr) tell_task();
        while (concurrent_callback* each = callbacks.pop_front()) {
            const bool task_is_next = each == last_before_task;
            try {
                each->call();
            } catch (...) {
                callback_failed();
            }
            delete each;
            let_go();
            if (task_is_next) tell_task();
        }
        return true;
    }
    template<class Set>
    bool settle(Set set) noexcept {
        return settle(set, [] {});
    }

    /// Counts a future, or a callback that a future is passed to.
    void hold() noexcept {
        const std::unique_lock lock(mutex_);
        ++futures_;
    }
    /// Undoes hold(). The last one destroys the exception, on its own thread, and not the loop's side: a race detector
    /// does not see the order that the exception's own count establishes.
    void let_go() noexcept {
        std::exception_ptr error;
        const std::unique_lock lock(mutex_);
        if (--futures_ != 0 || !done_ || !result_.error()) return;
        error = result_.error();
        result_.set_error(nullptr, result_.cancelled());
    }

    /// Cancels the future, on any thread, and has the loop cancel the task. Allocates nothing.
    /// @return false if the future was done already.
    bool cancel() noexcept {
        return settle([](outcome<T>& result) { result.set_error(std::make_exception_ptr(cancelled_error()), true); },
                      [this] {
                          counted_ptr<concurrent_state> on_its_way = this->share();
                          if (access::post(loop, *this)) // else the loop is closed, and the task with it
                              static_cast<void>(on_its_way.release());
                      });
    }

    bool done() const noexcept {
        const std::unique_lock lock(mutex_);
        return done_;
    }
    bool cancelled() const noexcept {
        const std::unique_lock lock(mutex_);
        return done_ && result_.cancelled();
    }
    void wait() const {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return done_; });
    }
    /// Waits until a point in time of std::chrono::steady_clock. @return whether the future is done.
    bool wait_until(nanoseconds_count deadline) const {
        const auto is_done = [this] { return done_; };
        std::unique_lock lock(mutex_);
        if (deadline != far_future) return changed_.wait_until(lock, deadline, is_done);
        changed_.wait(lock, is_done);
        return true;
    }
    /// Adds a callback. @return false if the future is done; the callback remains the caller's then.
    bool add(concurrent_callback& callback) noexcept {
        const std::unique_lock lock(mutex_);
        if (done_) return false;
        callbacks_.push_back(callback);
        ++futures_;
        return true;
    }
    /// Returns the outcome, which does not change any more once done() is true.
    outcome<T>& result() noexcept { return result_; }

    // The loop's thread calls these.

    /// From now on, cancelling the future cancels `task`.
    void task_begins(const any_task_handle& task) noexcept {
        task_ = task;
        const std::unique_lock lock(mutex_);
        last_before_task_ = callbacks_.back();
    }
    void task_ended() noexcept { task_ = any_task_handle(); }

    const loop_ref loop;

private:
    static void cancel_task(ready_item& item) noexcept {
        const counted_ptr<concurrent_state> self(static_cast<concurrent_state*>(&item));
        if (self->task_) self->task_.cancel();
    }

    /// Passes the exception of a callback to the loop's exception handler.
    void callback_failed() const noexcept {
        const std::exception_ptr error = std::current_exception();
        try {
            loop.call_soon_threadsafe([error] { std::rethrow_exception(error); });
        } catch (...) { // the loop is closed
            print(error);
        }
    }
    static void print(const std::exception_ptr& error) noexcept try {
        exception_context context;
        context.message = "Exception in callback of a concurrent_future";
        context.exception = error;
        print_exception_context(context);
    } catch (...) { // no memory for a report
    }

    mutable std::mutex mutex_;
    mutable native_condition changed_;
    outcome<T> result_;
    bool done_ = false;
    std::size_t futures_ = 0;
    intrusive_list<concurrent_callback> callbacks_;
    const concurrent_callback* last_before_task_ = nullptr;
    any_task_handle task_; // used by the loop's thread only
};

} // namespace detail

/// The future that run_coroutine_threadsafe() returns: the result of a task, which other threads wait for.
///
/// Behaviour: all copies of a future share one result. Every call but the conversion to bool throws std::logic_error if
/// the future is empty: default-constructed or moved from.
/// Threads: any thread may use it, also several at once; but the loop's own thread must not block in it.
/// Lifetime: independent of the loop. If the loop closes first, the future is cancelled.
/// Cost: a mutex and a condition variable in the shared state.
/// Differs from Python: `result(timeout)` is wait_for() and get(), and what the program awaits is wrap_future() of it.
/// Example: `int n = aio::run_coroutine_threadsafe(count(), loop).get();`
/// See also: wrap_future, which makes a future of the running loop from it.
template<class T = void>
class concurrent_future {
public:
    concurrent_future() noexcept = default;
    concurrent_future(const concurrent_future& other) noexcept : concurrent_future(other.state_) {}
    concurrent_future(concurrent_future&& other) noexcept = default;
    concurrent_future& operator=(concurrent_future other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    ~concurrent_future() {
        if (state_) state_->let_go();
    }

    /// Whether there is a future: neither default-constructed nor moved from.
    explicit operator bool() const noexcept { return static_cast<bool>(state_); }

    /// Blocks until the future is done.
    /// @return a copy of the result, or the value itself if it cannot be copied (then only one call can have it).
    /// @throws the exception of the task, cancelled_error if the future was cancelled, std::logic_error as wait() does.
    T get() const {
        wait("get");
        if constexpr (std::is_void_v<T> || std::is_reference_v<T>) {
            return state_->result().value();
        } else if constexpr (std::is_copy_constructible_v<T>) {
            return std::as_const(state_->result()).value();
        } else {
            return std::move(state_->result()).value();
        }
    }

    /// Blocks until the future is done.
    /// @throws std::logic_error on the thread of the task's loop while it is not done: the loop would wait for itself.
    void wait() const { wait("wait"); }

    /// Blocks until the future is done, or the time is up. Cancels nothing.
    /// @param limit the maximum time to wait, by the steady clock.
    /// @return whether the future is done. @throws std::logic_error as wait() does.
    template<class Rep, class Period>
    bool wait_for(std::chrono::duration<Rep, Period> limit) const {
        require_other_thread("wait_for");
        const detail::nanoseconds_count wait = detail::to_nanoseconds(limit);
        return get_state("wait_for").wait_until(detail::later(detail::steady_now(), wait));
    }

    /// Whether there is a result, an exception or a cancellation.
    bool done() const { return get_state("done").done(); }
    /// Whether the future is done and was cancelled.
    bool cancelled() const { return get_state("cancelled").cancelled(); }

    /// Cancels the future at once, and then, on the loop, the task behind it.
    /// @return false if the future was done already; nothing happens then.
    bool cancel() const { return get_state("cancel").cancel(); }

    /// Has `f(future)` or `f()` called when the future is done: on the thread that completes it, where an exception
    /// goes to the loop's exception handler; or at once, by this call, if it is done already.
    /// @param f the callback, which is copied in, or moved in by take().
    /// @throws the exception of `f` if it is called at once.
    template<class F>
    void add_done_callback(F f) const {
        auto& state = get_state("add_done_callback");
        using callable = detail::copied_t<F>;
        static_assert(std::is_invocable_v<callable&, concurrent_future> || std::is_invocable_v<callable&>,
                      "a done callback is called with the concurrent_future, or with nothing");
        detail::require_callable(f, "add_done_callback");
        struct callback final : detail::concurrent_callback {
            callback(F&& g, detail::concurrent_state<T>& of) : f(detail::pass_on<F>(g)), state(of) {}
            void call() override {
                if constexpr (std::is_invocable_v<callable&, concurrent_future>)
                    f(concurrent_future(state.share()));
                else
                    f();
            }
            callable f;
            detail::concurrent_state<T>& state;
        };
        auto waiting = detail::make_owner<callback>(std::move(f), state);
        if (state.add(*waiting))
            static_cast<void>(waiting.release());
        else
            waiting->call();
    }

    /// Returns the outcome of a future that is done, for code that passes results on. All copies share it, so threads
    /// must not change it.
    outcome<T>& result() const { return get_state("result").result(); }

private:
    friend struct detail::access;
    explicit concurrent_future(detail::counted_ptr<detail::concurrent_state<T>> state) noexcept
        : state_(std::move(state)) {
        if (state_) state_->hold();
    }

    detail::concurrent_state<T>& get_state(const char* what) const {
        if (!state_) throw std::logic_error(std::string(what) + ": the concurrent_future is empty");
        return *state_;
    }
    void require_other_thread(const char* what) const {
        auto& state = get_state(what);
        if (detail::this_thread.running == nullptr || state.done()) return;
        if (get_running_loop().ref() == state.loop)
            throw std::logic_error(std::string(what) +
                                   ": would block the loop that has to run the task; co_await the task instead");
    }
    void wait(const char* what) const {
        require_other_thread(what);
        state_->wait();
    }

    detail::counted_ptr<detail::concurrent_state<T>> state_;
};

} // namespace asynchio

#pragma GCC visibility pop
