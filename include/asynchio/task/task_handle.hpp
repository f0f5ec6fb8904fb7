// SPDX-License-Identifier: BSL-1.0
#pragma once

// Handles of running tasks: ask, cancel, await.

#include <asynchio/task/handle_base.hpp>

#include <string>
#include <string_view>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// A handle to a task whose result type does not matter: what every task_handle converts to.
/// See also: task_handle, current_task, all_tasks.
class any_task_handle : public handle_base {
public:
    any_task_handle() noexcept = default;
    /// Takes over one count; null makes an empty handle.
    explicit any_task_handle(detail::shared_state* counted) noexcept : handle_base(counted) {}

    /// How many requests to cancel there were that nobody took back.
    int cancelling() const { return task("cancelling").cancels; }

    /// Takes one request back: whoever called cancel() and then dealt with it. At 0, a request that was not delivered
    /// yet is withdrawn. @return what is left.
    int uncancel() const {
        detail::frame& t = task("uncancel");
        if (t.cancels > 0 && --t.cancels == 0) {
            t.clear(detail::flag_must_cancel);
            if (t.extra != nullptr && !t.has(detail::flag_left)) t.extra->message = {};
        }
        return t.cancels;
    }

    /// "Task-7", or what it was given.
    std::string name() const { return detail::task_name(task("name")); }
    void set_name(std::string_view name) const { detail::set_task_name(task("set_name"), name); }

    /// Calls `f(handle)` or `f()` through the loop when the task is done; at once, but still through the loop, if it
    /// is. @return an id for remove_done_callback.
    template<class F>
    std::uint64_t add_done_callback(F&& f) const {
        return add_callback<any_task_handle>(std::forward<F>(f));
    }

protected:
    detail::frame& task(const char* what) const { return static_cast<detail::frame&>(get(what)); }
};

/// A running task: what create_task gives, any number of tasks may await.
///
/// The loop owns the task; dropping the handle detaches it. `co_await handle` gives `const T&`, `co_await
/// std::move(handle)` moves the result out, after which the others get invalid_state_error.
///
/// Cancellation: cancelling a task that awaits a handle cancels the task behind it, and waits until that has ended.
/// Threads: the loop's.
/// Lifetime: the result lives as long as a handle; the coroutine and its arguments end with the task.
/// See also: create_task, gather, wait, shield.
template<class T = void>
class task_handle : public any_task_handle {
public:
    using value_type = T;
    using any_task_handle::any_task_handle;

    /// The result; a reference to it inside the task's state. @throws invalid_state_error while pending, what the task
    /// ended with, cancelled_error.
    decltype(auto) result() const { return detail::take_result<T, false>(done_or_throw("result")); }

    template<class F>
    std::uint64_t add_done_callback(F&& f) const {
        return add_callback<task_handle>(std::forward<F>(f));
    }

    /// @throws std::logic_error when empty.
    detail::handle_awaiter<T, false> operator co_await() const& {
        get("co_await");
        return detail::handle_awaiter<T, false>(*this);
    }
    detail::handle_awaiter<T, true> operator co_await() && {
        get("co_await");
        return detail::handle_awaiter<T, true>(std::move(*this));
    }
};

inline any_task_handle exception_context::task() const {
    if (object != nullptr) ++object->references;
    return any_task_handle(object);
}

} // namespace asynchio

#pragma GCC visibility pop
