// SPDX-License-Identifier: BSL-1.0
#pragma once

// Awaiting an operation that reports its end by a callback, on whatever thread.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/core/detail/late_value.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/core/outcome.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/suspension.hpp>

#include <atomic>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <source_location>
#include <stdexcept>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

/// The state that a completion, its awaiters, and its callbacks share. The callback that ends the wait writes the
/// result and posts the state itself; from the arrival on, all of it belongs to the loop's thread.
template<class T>
class completion_state final : public counted_object<completion_state<T>>, private ready_item {
public:
    explicit completion_state(event_loop& loop) : ready_item(&arrive), loop_(loop.ref()) {}

    // Any thread may call these.

    void add_callback() noexcept { callbacks_.fetch_add(1, std::memory_order_relaxed); }
    /// Drops a callback. The last one ends the wait without a result.
    void drop_callback() noexcept {
        if (callbacks_.fetch_sub(1, std::memory_order_acq_rel) == 1 && is_first()) send();
    }
    /// Ends the wait with the outcome that `make(outcome)` fills in, or with its exception, unless it has ended
    /// already.
    template<class Make>
    void end(Make make) noexcept {
        if (!is_first()) return;
        outcome<T>& result = result_.emplace();
        try {
            make(result);
        } catch (...) {
            result.set_error(std::current_exception(), false);
        }
        send();
    }

    // The loop's thread calls these.

    bool arrived() const noexcept { return arrived_; }
    void add_reader() noexcept { ++readers_; }
    /// Drops a reader. Without one, the result cannot be taken any more, and later calls are ignored.
    void drop_reader() noexcept {
        if (--readers_ == 0 && !is_first() && arrived_) result_.reset();
    }
    void wait(suspension& who, const scheduler& loop) {
        if (loop_.is_closed() || &loop != &core_of(*loop_.get()))
            refuse("completion", "it belongs to a different loop, or its loop is closed");
        if (waiter_ != nullptr) refuse("completion", "another task waits for it already");
        waiter_ = &who;
    }
    void forget(const suspension& who) noexcept {
        if (waiter_ == &who) waiter_ = nullptr;
    }
    /// Moves the result out. @throws the exception that has ended the wait.
    T take() {
        if (taken_) refuse<invalid_state_error>("completion", "the result was taken already");
        if (!result_) refuse("completion", "every copy of its callback was dropped without a call");
        struct ending {
            completion_state& of;
            ~ending() { of.result_.reset(); }
        } const afterwards{*this};
        taken_ = true;
        return std::move(*result_).value();
    }

private:
    bool is_first() noexcept { return !ended_.exchange(true, std::memory_order_relaxed); }

    /// Posts the state, and keeps it: the task that is woken may destroy the callback that is called.
    void send() noexcept {
        const counted_ptr<completion_state> kept = this->share();
        this->share().release();
        if (access::post(loop_, *this)) return;
        result_.reset();
        static_cast<void>(counted_ptr<completion_state>(this));
    }
    static void arrive(ready_item& item) noexcept {
        auto& self = static_cast<completion_state&>(item);
        const counted_ptr<completion_state> posted(&self);
        self.arrived_ = true;
        if (self.readers_ == 0) return self.result_.reset();
        suspension* const waiter = detail::exchange(self.waiter_, nullptr);
        if (waiter != nullptr && waiter->parked()) waiter->wake();
    }

    const loop_ref loop_;
    std::atomic<std::size_t> callbacks_ = 0;
    std::atomic<bool> ended_ = false; // whether a callback may send the state, or no reader is left
    bool arrived_ = false;
    bool taken_ = false;
    late_value<outcome<T>> result_;
    suspension* waiter_ = nullptr;
    std::size_t readers_ = 0;
};

/// A reference to a state from which the result may be taken.
template<class T>
class completion_reader {
public:
    explicit completion_reader(counted_ptr<completion_state<T>> state) noexcept : state_(std::move(state)) {
        state_->add_reader();
    }
    completion_reader(completion_reader&& other) noexcept = default;
    completion_reader& operator=(completion_reader&& other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    ~completion_reader() {
        if (state_) state_->drop_reader();
    }

    const counted_ptr<completion_state<T>>& state() const {
        if (!state_) refuse("completion", "it was moved from");
        return state_;
    }

private:
    counted_ptr<completion_state<T>> state_;
};

template<class T>
class [[nodiscard("waiting begins only when this is awaited")]] completion_awaiter final : public suspension {
public:
    explicit completion_awaiter(completion_reader<T> reader) noexcept : reader_(std::move(reader)) {}
    completion_awaiter(const completion_awaiter&) = delete;
    completion_awaiter& operator=(const completion_awaiter&) = delete;
    ~completion_awaiter() override { state().forget(*this); }

    bool await_ready() const noexcept { return state().arrived(); }

    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> coroutine,
                       std::source_location where = std::source_location::current()) {
        frame& root = running_root(coroutine);
        state().wait(*this, *root.loop);
        park(root, coroutine, where);
    }

    T await_resume() {
        resumed();
        return state().take();
    }

    const char* waiting_for() const noexcept override { return "completion"; }
    cancel_reply cancel(const shared_text&) noexcept override {
        state().forget(*this);
        return cancel_reply::left;
    }

private:
    completion_state<T>& state() const { return *reader_.state(); }

    completion_reader<T> reader_;
};

} // namespace detail

/// The callback of a completion, which is passed to an API that wants one. It is copyable and may be kept in a
/// std::function.
///
/// Behaviour: the first call of any copy ends the wait; later calls are ignored. When the last copy is destroyed
/// without a call, the awaiting task gets a std::logic_error.
/// Threads: any, also several at once, each with a copy of its own or all with the same one; also the loop's own.
/// Lifetime: independent of the loop and of the completion. A call for which no task waits any more does nothing, and
/// destroys its argument.
/// Cost: a copy counts twice; a call moves the value in and posts to the loop without allocating.
template<class T>
class completion_callback {
public:
    completion_callback(const completion_callback& other) noexcept : completion_callback(other.state_) {}
    completion_callback(completion_callback&& other) noexcept = default;
    completion_callback& operator=(completion_callback other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    ~completion_callback() {
        if (state_) state_->drop_callback();
    }

    /// Ends the wait with a value. If its copy or move throws, the awaiting task gets that exception. A moved-from
    /// callback does nothing.
    template<class U = T>
        requires(!std::is_void_v<T> && std::is_convertible_v<U, T>)
    void operator()(U&& value) const noexcept {
        end([&value](outcome<T>& result) { result.emplace(std::forward<U>(value)); });
    }
    /// Ends the wait of a completion<void>.
    void operator()() const noexcept
        requires std::is_void_v<T>
    {
        end([](outcome<T>& result) { result.emplace(); });
    }

    /// Ends the wait with an exception.
    /// @param error a pointer that is not null. @throws std::invalid_argument for a null pointer.
    void fail(std::exception_ptr error) const {
        if (!error) throw std::invalid_argument("completion: fail: the exception_ptr is null");
        end([&error](outcome<T>& result) { result.set_error(std::move(error), false); });
    }
    /// Ends the wait with an exception. @param error an exception object, which is copied or moved.
    template<class E>
        requires(!std::convertible_to<E, std::exception_ptr>)
    void fail(E&& error) const {
        fail(std::make_exception_ptr(std::forward<E>(error)));
    }

private:
    friend struct detail::access;
    explicit completion_callback(detail::counted_ptr<detail::completion_state<T>> state) noexcept
        : state_(std::move(state)) {
        if (state_) state_->add_callback();
    }

    template<class Make>
    void end(Make make) const noexcept {
        if (state_) state_->end(make);
    }

    detail::counted_ptr<detail::completion_state<T>> state_;
};

/// Makes one call of a callback awaitable: the bridge from any callback API, on any thread, to coroutines.
///
/// Behaviour: the program passes `callback()` to the API. `co_await` returns the argument of the call, moved out, or
/// throws the exception of fail(). One task waits at a time, before or after the call; the result is taken once.
///
/// @tparam T the callback's argument: an object, which may be move-only, or void.
/// @throws std::logic_error by co_await when every copy of the callback was dropped without a call, when another task
/// waits already, and on another loop; invalid_state_error when the result was taken before.
/// Cancellation: the awaiting task leaves at once. The operation behind the callback goes on; while the completion
/// lives, its result can be awaited again, and after that a call is ignored.
/// Threads: the completion belongs to the loop for which it was made; any thread may use its callbacks. A call wakes
/// the task through the loop's mailbox, never on the spot.
/// Lifetime: a task that waits keeps the shared state; the API may keep the callback as long as it likes.
/// Cost: one allocation. Virtual time does not wait for a callback.
/// Differs from Python: asyncio has a future and call_soon_threadsafe for this.
/// Example: `aio::completion<int> c; start_reading(file, c.callback()); int size = co_await c;`
/// See also: future, foreign, to_thread.
template<class T = void>
class completion {
    static_assert(
        !std::is_reference_v<T> && !std::is_array_v<T>,
        "the result of a completion is an object or void: a reference that a callback is called with would refer to "
        "what is gone when the task runs");

public:
    using value_type = T;

    /// Makes a completion for a task of the running loop. @throws std::logic_error without a running loop.
    completion() : completion(get_running_loop()) {}
    /// Makes a completion for a task of `loop`. @throws std::logic_error when that is closed.
    explicit completion(event_loop& loop) : reader_(make(loop)) {}

    /// Returns a callback for this completion; all of them, and their copies, count as one.
    /// @throws std::logic_error when the completion was moved from.
    completion_callback<T> callback() const { return detail::access::make<completion_callback<T>>(reader_.state()); }

    /// Whether co_await would return at once. @throws std::logic_error when the completion was moved from.
    bool done() const { return reader_.state()->arrived(); }

    detail::completion_awaiter<T> operator co_await() const {
        return detail::completion_awaiter<T>(detail::completion_reader<T>(reader_.state()));
    }

private:
    static detail::counted_ptr<detail::completion_state<T>> make(event_loop& loop) {
        detail::core_of(loop).require_usable("completion");
        return detail::counted_ptr<detail::completion_state<T>>(new detail::completion_state<T>(loop));
    }

    detail::completion_reader<T> reader_;
};

} // namespace asynchio

#pragma GCC visibility pop
