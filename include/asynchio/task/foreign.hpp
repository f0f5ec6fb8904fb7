// SPDX-License-Identifier: BSL-1.0
#pragma once

// Awaiting awaitables of other libraries, which resume a plain coroutine_handle on any thread and inside any code.

#include <asynchio/core/awaitable.hpp>
#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/closure_check.hpp>
#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/suspension.hpp>
#include <asynchio/task/take.hpp>

#include <coroutine>
#include <exception>
#include <source_location>
#include <stdexcept>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

/// The end of a foreign wait, which the waiting task shares with the coroutine whose handle was passed on.
class foreign_wait final : public counted_object<foreign_wait>, public ready_item {
public:
    foreign_wait(event_loop& loop, suspension& waiter) : ready_item(&arrived), loop_(loop.ref()), waiter_(&waiter) {
        core_of(loop).expect_post();
    }

    /// Ends the wait, on any thread, once. @param resumed false if the handle was destroyed instead.
    void end(bool resumed) noexcept {
        resumed_ = resumed;
        share().release();
        if (!access::post(loop_, *this)) static_cast<void>(counted_ptr<foreign_wait>(this));
    }

    // The loop's thread calls these.

    bool resumed() const noexcept { return resumed_; }
    /// Called if the task is destroyed, or does not wait after all.
    void forget() noexcept { waiter_ = nullptr; }

private:
    static void arrived(ready_item& item) noexcept {
        auto& self = static_cast<foreign_wait&>(item);
        const counted_ptr<foreign_wait> posted(&self);
        core_of(*self.loop_.get()).post_arrived();
        if (self.waiter_ != nullptr && self.waiter_->parked()) self.waiter_->wake();
    }

    loop_ref loop_;
    suspension* waiter_;
    bool resumed_ = false;
};

/// A coroutine that ends a foreign_wait when it is resumed, or destroyed.
class foreign_signal {
public:
    class sender {
    public:
        explicit sender(counted_ptr<foreign_wait> to) noexcept : to_(std::move(to)) {}
        sender(sender&& other) noexcept : to_(std::move(other.to_)) {}
        sender& operator=(sender&&) = delete;
        ~sender() { send(false); }
        void send(bool resumed) noexcept {
            if (foreign_wait* const wait = to_.get()) {
                const counted_ptr<foreign_wait> ended = std::move(to_);
                wait->end(resumed);
            }
        }

    private:
        counted_ptr<foreign_wait> to_;
    };

    struct promise_type : promise_base {
        foreign_signal get_return_object() noexcept {
            return foreign_signal(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        static std::suspend_always initial_suspend() noexcept { return {}; }
        static std::suspend_never final_suspend() noexcept { return {}; }
        static void return_void() noexcept {}
        [[noreturn]] static void unhandled_exception() noexcept { std::terminate(); }
    };

    template<class = void> // a template: g++ makes code of every other coroutine, also where it is not used
    static foreign_signal make(sender end) {
        end.send(true);
        co_return;
    }

    const std::coroutine_handle<promise_type> handle;

private:
    explicit foreign_signal(std::coroutine_handle<promise_type> h) noexcept : handle(h) {}
};

template<class A>
class [[nodiscard("what is foreign begins only when this is awaited")]] foreign_awaiter final : public suspension {
public:
    explicit foreign_awaiter(A&& given)
        : awaitable_(std::forward<A>(given)), awaiter_(get_awaiter(std::forward<A>(awaitable_))) {}
    foreign_awaiter(const foreign_awaiter&) = delete;
    foreign_awaiter& operator=(const foreign_awaiter&) = delete;
    ~foreign_awaiter() override {
        if (wait_) wait_->forget();
    }

    bool await_ready() { return static_cast<bool>(awaiter_.await_ready()); }

    template<class Promise>
    bool await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        wait_ = counted_ptr<foreign_wait>(new foreign_wait(get_running_loop(), *this));
        const auto signal = foreign_signal::make(foreign_signal::sender(wait_)).handle;
        park(awaiting, where);
        try {
            using reply = decltype(awaiter_.await_suspend(signal));
            if constexpr (std::is_void_v<reply>) {
                awaiter_.await_suspend(signal);
            } else if constexpr (std::is_same_v<reply, bool>) {
                if (!awaiter_.await_suspend(signal)) {
                    go_on(signal);
                    return false;
                }
            } else {
                awaiter_.await_suspend(signal).resume();
            }
        } catch (...) {
            go_on(signal);
            throw;
        }
        return true;
    }

    decltype(auto) await_resume() {
        if (wait_ && !wait_->resumed())
            throw std::logic_error("foreign: the handle was destroyed, so that what was awaited never came");
        return awaiter_.await_resume();
    }

    const char* waiting_for() const noexcept override { return "a foreign awaiter"; }

private:
    /// Ends a wait that has not begun: no other code has the handle.
    void go_on(std::coroutine_handle<> signal) noexcept {
        unpark();
        detail::exchange(wait_, counted_ptr<foreign_wait>())->forget();
        signal.destroy();
    }

    A awaitable_;
    awaiter_t<A> awaiter_;
    counted_ptr<foreign_wait> wait_;
};

} // namespace detail

/// Awaitable: awaits an awaitable that was written for another library.
///
/// Behaviour: `x` gets the handle of a coroutine of its own. Resuming that, on any thread and inside any code, posts to
/// the loop, which then goes on with the awaiting task. An awaiter that resumes its coroutine only from plain calls of
/// this loop (`call_soon`, a timer, a reader) can be awaited without foreign(); current_task() is empty then until the
/// task's next suspension.
///
/// @param x the awaitable; an lvalue is referenced, a temporary kept.
/// @return the result of `x`.
/// @throws the exception of `x`; std::logic_error if the handle was destroyed instead of resumed.
/// Cancellation: refused; a request stays pending until the next suspension, so that the result of `x` is not lost.
/// Threads: it is awaited on the loop's thread, and resumed on any.
/// Lifetime: the handle stays valid until it is resumed or destroyed, also when the loop is gone. It must be resumed or
/// destroyed once; otherwise its frame is never freed.
/// Cost: one frame from the pool, one small allocation and one post. Virtual time stands still meanwhile.
/// See also: suspension, future, call_soon_threadsafe.
template<class A>
    requires awaitable<A>
auto foreign(A&& x) {
    detail::check_awaited_arguments<A>();
    return detail::foreign_awaiter<A>(std::forward<A>(x));
}

} // namespace asynchio

#pragma GCC visibility pop
