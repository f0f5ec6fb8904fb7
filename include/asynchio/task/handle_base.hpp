// SPDX-License-Identifier: BSL-1.0
#pragma once

// The base of handles of tasks and futures: a counted pointer to a result that comes once.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/core/kept.hpp>
#include <asynchio/task/detail/tasks_of_loop.hpp>

#include <cstdint>
#include <exception>
#include <string_view>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// The part of a handle that does not depend on the type of the result. Handles are cheap to copy and equal if they
/// refer to the same task or future; a handle may be empty.
///
/// Threads: the thread of the loop.
/// Lifetime: it stays valid, and can be queried, after its loop is gone.
/// Cost: a counted pointer, whose count is not atomic.
class handle_base {
public:
    handle_base() noexcept = default;
    handle_base(const handle_base& other) noexcept : state_(other.state_) {
        if (state_ != nullptr) ++state_->references;
    }
    handle_base(handle_base&& other) noexcept : state_(detail::exchange(other.state_, nullptr)) {}
    handle_base& operator=(handle_base other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    ~handle_base() {
        if (state_ != nullptr) detail::release(*state_);
    }

    /// Whether the handle refers to a task or future.
    explicit operator bool() const noexcept { return state_ != nullptr; }
    friend bool operator==(const handle_base& a, const handle_base& b) noexcept { return a.state_ == b.state_; }

    /// Whether there is a result, an exception or a cancellation.
    /// @throws std::logic_error when the handle is empty, as all functions below do.
    bool done() const { return get("done").done(); }
    /// Whether the task or future is done and was cancelled.
    bool cancelled() const {
        const detail::shared_state& c = get("cancelled");
        return c.done() && c.outcome_base::cancelled();
    }

    /// Asks a task to stop: the `co_await` where it waits throws cancelled_error in the next iteration. A future is
    /// cancelled at once.
    /// @param message the text of cancelled_error::message(); it is dropped if there is no memory for it.
    /// @return false if it is done already, so that nothing happens.
    bool cancel(std::string_view message = {}) const {
        detail::shared_state& c = get("cancel");
        return detail::cancel_completion(c, detail::shared_text::if_possible(message));
    }

    /// Returns the exception of the task or future, null if it has a value.
    /// @throws invalid_state_error while it is pending, or if run_coroutine_threadsafe has moved the exception to its
    /// future; cancelled_error if it was cancelled.
    std::exception_ptr exception() const {
        detail::shared_state& c = done_or_throw("exception");
        if (c.outcome_base::cancelled()) {
            c.rethrow();
            throw cancelled_error();
        }
        if (c.failed() && !c.error()) throw invalid_state_error("the exception was moved out already");
        return c.error();
    }

    /// Removes a callback. @param id what add_done_callback() returned.
    /// @return how many callbacks with this id were removed: 0 once it was scheduled.
    int remove_done_callback(std::uint64_t id) const {
        return detail::remove_done_callback(get("remove_done_callback"), id);
    }

protected:
    friend struct detail::access;
    /// Takes over one count.
    explicit handle_base(detail::shared_state* counted) noexcept : state_(counted) {}

    detail::shared_state& get(const char* what) const {
        if (state_ == nullptr) detail::refuse(what, "the handle is empty");
        return *state_;
    }
    /// Returns the state if it is done. Marks the exception, if any, as seen.
    detail::shared_state& done_or_throw(const char* what) const {
        detail::shared_state& c = get(what);
        if (!c.done()) detail::refuse<invalid_state_error>(what, "Result is not ready");
        c.note_retrieved();
        return c;
    }

    template<class Handle, class F>
    std::uint64_t add_callback(F&& f) const {
        detail::shared_state& c = get("add_done_callback");
        detail::require_callable(f, "add_done_callback");
        if (c.loop == nullptr || c.loop->closing()) throw std::logic_error("add_done_callback: Event loop is closed");
        using callable = detail::copied_t<F>;
        struct bound final : detail::done_callback {
            explicit bound(F&& given) : f(detail::pass_on<F>(given)) {}
            void call(detail::shared_state& source) override {
                if constexpr (std::is_invocable_v<callable&, Handle>) {
                    ++source.references;
                    f(detail::access::make<Handle>(&source));
                } else {
                    f();
                }
            }
            callable f;
        };
        static_assert(std::is_invocable_v<callable&, Handle> || std::is_invocable_v<callable&>,
                      "a done callback is called with the handle, or with nothing");
        auto* callback = new bound(std::forward<F>(f));
        const std::uint64_t id = callback->id;
        callback->attach(c);
        return id;
    }

private:
    detail::shared_state* state_ = nullptr;
};

inline handle_base suspension::awaited() const noexcept {
    detail::shared_state* const state = awaited_state();
    if (state == nullptr || state->has(detail::flag_branch)) return {};
    ++state->references;
    return detail::access::make<handle_base>(state);
}

namespace detail {

/// @throws std::invalid_argument if `what` belongs to another loop, and so would never wake a task of the running one.
inline void require_own_loop(const shared_state& what, const char* who) {
    if (!what.done() && what.loop != this_thread.running)
        refuse<std::invalid_argument>(who, "a task or future belongs to a different loop, or its loop is closed");
}

/// The outcome of a task or future whose result type is known to be `T`.
template<class T>
using future_state = basic_outcome<T, future_base>;

template<class T, class F>
decltype(auto) with_outcome(shared_state& c, F f) {
    if (c.has(flag_future)) return f(static_cast<future_state<T>&>(static_cast<future_base&>(c)));
    return f(static_cast<task_state<T>&>(static_cast<frame&>(c)));
}

/// Returns the result of a task or future that is done: a reference to it, or with `Move` the object itself.
/// @throws its exception; invalid_state_error if the result was moved out before.
template<class T, bool Move>
decltype(auto) take_result(shared_state& c) {
    using result = std::conditional_t<Move || std::is_reference_v<T> || std::is_void_v<T>, T,
                                      std::add_lvalue_reference_t<const T>>;
    c.note_retrieved();
    if (c.has(flag_moved)) throw invalid_state_error("what it ended with was moved out already");
    if constexpr (Move && !std::is_reference_v<T> && !std::is_void_v<T>)
        if (c.has_value()) c.note_moved();
    return with_outcome<T>(c, [](auto& outcome) -> result {
        if constexpr (Move)
            return std::move(outcome).value();
        else
            return std::as_const(outcome).value();
    });
}

/// Returns the exception of a task or future that is done, or null. The exception is moved out as a result is.
inline std::exception_ptr take_error(shared_state& c) noexcept {
    c.note_retrieved();
    std::exception_ptr error = c.error();
    if (error) {
        c.note_moved();
        c.fail(nullptr, c.outcome_base::cancelled() ? outcome_state::cancelled : outcome_state::error);
    }
    return error;
}

/// @throws std::logic_error that says why the task `self` cannot await `target`.
[[noreturn, gnu::noinline, gnu::cold]] inline void cannot_await(const shared_state& target, const frame* self) {
    if (self == &target) refuse("Task cannot await on itself", task_name(*self).c_str());
    refuse("co_await", "the task or future belongs to a different loop, or its loop is closed");
}

/// What a suspension waits for. It is a base class, which a debugger finds by its name.
class awaited_handle {
protected:
    awaited_handle() noexcept = default;
    explicit awaited_handle(handle_base target) noexcept : target_(std::move(target)) {}

    handle_base target_;
};

/// Awaits a task or future through its handle; `Move` takes the result out.
template<class T, bool Move>
class handle_awaiter : public suspension, public watcher, private awaited_handle {
public:
    /// Takes over one count.
    explicit handle_awaiter(handle_base target) noexcept : watcher(&fire), awaited_handle(std::move(target)) {}
    handle_awaiter(handle_awaiter&& other) noexcept : watcher(&fire), awaited_handle(std::move(other.target_)) {}
    handle_awaiter& operator=(handle_awaiter&&) = delete;
    ~handle_awaiter() {
        if (target_) access::state(target_)->unwatch(*this);
    }

    bool await_ready() const { return target_.done(); }

    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> coroutine,
                       std::source_location where = std::source_location::current()) {
        shared_state& target = *access::state(target_);
        frame& root = running_root(coroutine);
        const frame* const self = identity_of(&root);
        if (self == &target || target.loop != root.loop) [[unlikely]]
            cannot_await(target, self);
        target.watch(*this);
        park(root, coroutine, where);
    }

    decltype(auto) await_resume() {
        shared_state& target = *access::state(target_);
        if (target.done() && target.outcome_base::cancelled() && interrupted()) deliver_with_result();
        resumed();
        return take_result<T, Move>(target);
    }

    const char* waiting_for() const noexcept override {
        return access::state(target_)->has(flag_future) ? "future" : "task";
    }
    shared_state* awaited_state() const noexcept override { return access::state(target_); }
    bool forwards() const noexcept override { return true; }
    /// Called only if forwarding would go round in a circle.
    cancel_reply cancel(const shared_text&) noexcept override {
        if (!watching()) return cancel_reply::refused;
        access::state(target_)->unwatch(*this);
        return cancel_reply::left;
    }

private:
    static void fire(watcher& self, shared_state&) noexcept {
        auto& awaiter = static_cast<handle_awaiter&>(self);
        if (awaiter.parked()) awaiter.wake();
    }
};

} // namespace detail

} // namespace asynchio

#pragma GCC visibility pop
