// SPDX-License-Identifier: BSL-1.0
#pragma once

// The result of something that runs on a loop, for threads that are not the loop's.

#include <asynchio/core/cancelled_error.hpp>
#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/core/kept.hpp>
#include <asynchio/core/outcome.hpp>
#include <asynchio/core/detail/owner.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/loop/detail/intrusive_list.hpp>
#include <asynchio/task/task_handle.hpp>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

/// A call that is made when a concurrent_future is done; its state owns it.
class concurrent_callback : public list_link {
public:
    concurrent_callback() noexcept : list_link() {}
    concurrent_callback(const concurrent_callback&) = delete;
    concurrent_callback& operator=(const concurrent_callback&) = delete;
    virtual ~concurrent_callback() = default;
    virtual void call() = 0;
};

/// Shared by the futures and by the loop's side. The first of value, exception and cancellation counts.
template<class T>
class concurrent_state : public counted_object<concurrent_state<T>>, private ready_item {
public:
    explicit concurrent_state(loop_ref l) noexcept : ready_item(&cancel_task), loop(std::move(l)) {}
    ~concurrent_state() {
        while (concurrent_callback* each = callbacks_.pop_front()) delete each;
    }

    /// Any thread; calls the callbacks, and `tell_task` among them, in the order in which they came: the task's turn is
    /// after those that were there when it began. @return false if it was done already.
    template<class Set, class Tell>
    bool settle(Set set, Tell tell_task) noexcept {
        intrusive_list<concurrent_callback> callbacks;
        const concurrent_callback* last_before_task;
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

    /// A future, or a callback that is to be given one, refers to it.
    void hold() noexcept {
        const std::unique_lock lock(mutex_);
        ++futures_;
    }
    /// And no longer does. An exception goes with the last one, on that thread, and not with the loop's side: its own
    /// count is no ordering that a race detector sees.
    void let_go() noexcept {
        std::exception_ptr error;
        const std::unique_lock lock(mutex_);
        if (--futures_ != 0 || !done_ || !result_.error()) return;
        error = result_.error();
        result_.set_error(nullptr, result_.cancelled());
    }

    /// Any thread: cancels it, and has the loop cancel the task. Takes no memory. @return false if it was done already.
    bool cancel() noexcept {
        return settle([](outcome<T>& result) { result.set_error(std::make_exception_ptr(cancelled_error()), true); },
                      [this] {
                          counted_ptr<concurrent_state> on_its_way = this->share();
                          if (loop.post(*this)) // else the loop is closed, and the task with it
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
    /// Until a point in time of std::chrono::steady_clock.
    bool wait_until(nanoseconds_count deadline) const {
        const auto is_done = [this] { return done_; };
        std::unique_lock lock(mutex_);
        if (deadline != far_future)
            return changed_.wait_until(lock, std::chrono::steady_clock::time_point(duration(deadline)), is_done);
        changed_.wait(lock, is_done);
        return true;
    }
    /// @return false if it is done, and the callback was not taken.
    bool add(concurrent_callback& callback) noexcept {
        const std::unique_lock lock(mutex_);
        if (done_) return false;
        callbacks_.push_back(callback);
        ++futures_;
        return true;
    }
    /// After done(): does not change any more.
    outcome<T>& result() noexcept { return result_; }

    // On the loop.

    /// `task` is cancelled from now on when the future is.
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

    /// The loop's exception handler hears of it.
    void callback_failed() const noexcept {
        const std::exception_ptr error = std::current_exception();
        try {
            loop.call_soon_threadsafe([error] { std::rethrow_exception(error); });
        } catch (...) { // it is closed
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
    mutable std::condition_variable changed_;
    outcome<T> result_;
    bool done_ = false;
    std::size_t futures_ = 0;
    intrusive_list<concurrent_callback> callbacks_;
    const concurrent_callback* last_before_task_ = nullptr;
    any_task_handle task_; // the loop's
};

} // namespace detail

/// What run_coroutine_threadsafe gives: a result to be waited for by a thread. Copyable; all copies are the same.
///
/// Threads: any, also several at once; but the loop's own must not block in it.
/// Lifetime: independent of the loop's: if that closes first, the future is cancelled.
template<class T = void>
class concurrent_future {
public:
    concurrent_future() noexcept = default;
    explicit concurrent_future(detail::counted_ptr<detail::concurrent_state<T>> state) noexcept
        : state_(std::move(state)) {
        if (state_) state_->hold();
    }
    concurrent_future(const concurrent_future& other) noexcept : concurrent_future(other.state_) {}
    concurrent_future(concurrent_future&& other) noexcept = default;
    concurrent_future& operator=(concurrent_future other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    ~concurrent_future() {
        if (state_) state_->let_go();
    }

    explicit operator bool() const noexcept { return static_cast<bool>(state_); }

    /// Blocks until it is done and gives the result: a copy, or the value itself if it cannot be copied.
    /// @throws what the task threw, cancelled_error when cancelled; std::logic_error on the loop's thread.
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

    /// Blocks until it is done. @throws std::logic_error on the loop's own thread while it is not: it would wait for
    /// itself.
    void wait() const { wait("wait"); }

    /// Blocks for at most `limit`. @return whether it is done. Cancels nothing. @throws as wait().
    template<class Rep, class Period>
    bool wait_for(std::chrono::duration<Rep, Period> limit) const {
        require_other_thread("wait_for");
        const detail::nanoseconds_count wait = detail::to_nanoseconds(limit);
        return get_state("wait_for").wait_until(detail::later(detail::steady_now(), wait));
    }

    bool done() const { return get_state("done").done(); }
    bool cancelled() const { return get_state("cancelled").cancelled(); }

    /// Cancels it at once, and then, on the loop, the task behind it. @return false if it was done already.
    bool cancel() const {
        return get_state("cancel").cancel();
    }

    /// Calls `f(future)` or `f()` when it is done: on the thread that ends it, or here and now if it is done. What it
    /// throws there goes to the loop's exception handler.
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

    /// For those who chain: the outcome, once it is done.
    outcome<T>& result() const { return get_state("result").result(); }

private:
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
