// SPDX-License-Identifier: BSL-1.0
#pragma once

// The coroutine type: a computation that has not started, which is awaited or made a task of its own.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/task/detail/frame.hpp>

#include <coroutine>
#include <cstddef>
#include <exception>
#include <source_location>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

template<class T>
class task;

namespace detail {

template<class T>
using task_state = basic_outcome<T, frame>;

/// Frees the block of a task whose coroutine is gone. `void` serves for every type of a result that is not there.
template<class T>
void dispose_task(ready_item& item) noexcept {
    auto& self = static_cast<task_state<T>&>(static_cast<frame&>(item));
    void* block = self.handle().address();
    const std::size_t size = self.block_size;
    self.~basic_outcome();
    frame_pool::deallocate(block, size);
}

/// Ends a task that has not failed, and that nothing holds, watches or owns: everything is freed at once.
template<class T>
[[gnu::noinline]] void end_detached(task_state<T>& task) noexcept {
    scheduler& loop = *task.loop;
    loop.tasks().remove(task);
    this_thread.current = nullptr; // destructors of arguments find no current task
    const std::coroutine_handle<> coroutine = task.handle();
    task.extra.drop();
    task.~basic_outcome();
    coroutine.destroy();
}

/// Ends a task that only its owner holds, which frees it with free_gathered later. The coroutine stays until then,
/// since the destructors of its arguments do nothing.
inline void end_gathered(frame& task) noexcept {
    task.loop->tasks().remove(task);
    task.rest();
    task.references = 1;
    task.owner->child_done(task);
}

/// Ends any other task.
template<class T>
[[gnu::noinline]] void finish_task_slowly(task_state<T>& task) noexcept {
    if (task.has(flag_must_cancel) && task.has_value()) // the task cancelled itself and returned
        task.set_error(nullptr, true);
    task.loop->tasks().remove(task);
    detail::destroy_coroutine(task); // in the code that made it: a plugin may have a pool of its own
    task.loop->hooks().end(task, &dispose_task<T>);
}

template<class T>
void finish_task(ready_item& item) noexcept {
    auto& task = static_cast<task_state<T>&>(static_cast<frame&>(item));
    if (task.has_value() && task.watchers.empty()) [[likely]] {
        constexpr unsigned gathered = flag_gathered | flag_plain;
        if (task.has_of(gathered | flag_must_cancel) == gathered && task.references == 2)
            return detail::end_gathered(task);
        if (task.has_of(flag_owned | flag_must_cancel) == 0 && task.references == 1) return end_detached(task);
    }
    finish_task_slowly(task);
}

/// The part of a promise that `co_return` needs; void has a specialization.
template<class T, class Promise>
struct promise_result {
    template<class U = std::remove_cvref_t<T>>
    void return_value(U&& value) noexcept(std::is_nothrow_constructible_v<T, U&&>) {
        constexpr bool converts = std::is_reference_v<T> || std::is_convertible_v<U, T>;
        static_assert(converts, "co_return: this does not convert to the task's result without an explicit conversion");
        if constexpr (converts) static_cast<Promise*>(this)->state().emplace(std::forward<U>(value));
    }
};

template<class Promise>
struct promise_result<void, Promise> {
    void return_void() noexcept { static_cast<Promise*>(this)->state().emplace(); }
};

/// Whether the destruction of an argument has no effect. A type that is only declared counts as one whose destructor
/// does something.
template<class A>
inline constexpr bool dies_silently = false;
template<class A>
    requires requires { sizeof(A); }
inline constexpr bool dies_silently<A> = std::is_trivially_destructible_v<A>;

template<class T>
class task_promise : public promise_base, public promise_result<T, task_promise<T>> {
public:
    task_promise() noexcept { (new (bytes_) task_state<T>)->note_plain(); }
    /// Sees the types of the coroutine's arguments; a reference counts as the object that it refers to.
    template<class... Args>
    explicit task_promise(const Args&...) noexcept {
        auto* made = new (bytes_) task_state<T>;
        if constexpr ((dies_silently<Args> && ...)) made->note_plain();
    }

    task_state<T>& state() noexcept { return *std::launder(reinterpret_cast<task_state<T>*>(bytes_)); }

    task<T> get_return_object(std::source_location function = std::source_location::current()) noexcept;
    static std::suspend_always initial_suspend() noexcept { return {}; }
    static final_awaiter<&finish_task<T>> final_suspend() noexcept { return {}; }
    void unhandled_exception() noexcept { state().set_error(std::current_exception(), false); }

private:
    alignas(task_state<T>) std::byte bytes_[sizeof(task_state<T>)];
};

} // namespace detail

/// The return type of an asynchronous function. Python calls it a coroutine object.
///
/// Behaviour: it does nothing until it is awaited. `co_await f()` runs it inside the awaiting task, at once and without
/// going through the loop; `create_task(f())` makes it a task of its own. `T` may be void, a reference or move-only.
/// Cancellation: a request to cancel the awaiting task reaches whatever the innermost coroutine waits for.
/// Threads: it belongs to the thread of the loop that runs it.
/// Lifetime: it owns the coroutine. Destroying it before it started frees its arguments. Objects that are passed by
/// reference must live until it has ended.
/// Cost: one frame from a pool of recycled blocks; awaiting allocates nothing else.
/// Differs from Python: it can be awaited only once, which the type enforces: `co_await std::move(t)`.
/// Example: `aio::task<int> twice(int n) { co_await aio::sleep(1s); co_return 2 * n; }`
/// See also: create_task, task_handle, co_invoke.
template<class T = void>
class [[nodiscard("a task does nothing until it is awaited: write co_await, or pass it to create_task")]] task {
public:
    using value_type = T;
    using promise_type = detail::task_promise<T>;
    class awaiter;

    task() noexcept = default;
    task(task&& other) noexcept : state_(detail::exchange(other.state_, nullptr)) {}
    task& operator=(task&& other) noexcept {
        task old(static_cast<task&&>(*this));
        state_ = detail::exchange(other.state_, nullptr);
        return *this;
    }
    ~task() {
        if (state_ != nullptr) detail::drop_frame(*state_);
    }

    /// Whether there is a coroutine to await: false once it was moved from or awaited.
    explicit operator bool() const noexcept { return state_ != nullptr; }

    /// Runs the coroutine inside the awaiting task. @throws std::logic_error when the task is empty.
    awaiter operator co_await() && noexcept { return awaiter(detail::exchange(state_, nullptr)); }

    template<class U = T>
    awaiter operator co_await() & noexcept {
        static_assert(detail::always_false<U>,
                      "a task is awaited once and gives itself up: write co_await std::move(t), or make it a handle "
                      "with create_task, which any number of tasks can await");
        return awaiter(nullptr);
    }

private:
    friend promise_type;
    friend struct detail::access;
    explicit task(detail::task_state<T>& state) noexcept : state_(&state) {}

    detail::task_state<T>* state_ = nullptr;
};

/// The awaiter of a task, which runs it inside the awaiting one without a queue or an allocation.
///
/// Threads: the thread of the loop.
template<class T>
class task<T>::awaiter {
public:
    awaiter(awaiter&& other) noexcept : child_(detail::exchange(other.child_, nullptr)) {}
    awaiter& operator=(awaiter&&) = delete;
    ~awaiter() {
        if (child_ != nullptr) detail::drop_frame(*child_);
    }

    static bool await_ready() noexcept { return false; }

    template<class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> parent,
                                          std::source_location where = std::source_location::current()) {
        static_assert(std::is_base_of_v<detail::promise_base, Promise>,
                      "a task can be awaited only in a coroutine of this library, such as one that returns task<>");
        if (child_ == nullptr) [[unlikely]]
            detail::misuse("co_await of an empty task: it was moved from or awaited before");
        static_cast<detail::frame&>(parent.promise().state()).enter(*child_, where);
        return detail::transfer(child_->handle());
    }

    T await_resume() {
        const finished child{detail::exchange(child_, nullptr)};
        return static_cast<detail::task_state<T>&&>(*child.state).value();
    }

private:
    friend task;
    explicit awaiter(detail::task_state<T>* child) noexcept : child_(child) {}

    struct finished {
        detail::task_state<T>* state;
        ~finished() {
            std::coroutine_handle<> coroutine = state->handle();
            state->~basic_outcome();
            coroutine.destroy();
        }
    };

    detail::task_state<T>* child_;
};

template<class T>
task<T> detail::task_promise<T>::get_return_object(std::source_location function) noexcept {
    state().stand_at(function);
    return task<T>(state());
}

} // namespace asynchio

#pragma GCC visibility pop
