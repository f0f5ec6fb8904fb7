// SPDX-License-Identifier: BSL-1.0
#pragma once

// Handles of running tasks, which are queried, cancelled and awaited.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/task/handle_base.hpp>

#include <string>
#include <string_view>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// A handle to a task whose result type does not matter. Every task_handle converts to it.
///
/// Behaviour: an empty handle throws std::logic_error in every call but the conversion to bool.
/// Threads: the thread of the loop.
/// Lifetime: it stays valid, and can be queried, after its loop is gone.
/// Cost: a counted pointer.
/// See also: task_handle, current_task, all_tasks.
class any_task_handle : public handle_base {
public:
    any_task_handle() noexcept = default;

    /// Returns how many requests to cancel there were that uncancel() has not taken back.
    int cancelling() const { return task("cancelling").cancels; }

    /// Takes one request to cancel back, for code that has called cancel() and then dealt with the cancellation. At 0,
    /// a request that was not delivered yet is withdrawn.
    /// @return how many requests are left.
    int uncancel() const {
        detail::frame& t = task("uncancel");
        if (t.cancels > 0 && --t.cancels == 0) {
            t.drop_request();
            if (t.extra != nullptr && !t.has(detail::flag_left)) t.extra->message = {};
        }
        return t.cancels;
    }

    /// Returns the name of the task: "Task-7", unless it was given another one.
    std::string name() const { return detail::task_name(task("name")); }
    /// Sets the name of the task. @throws std::bad_alloc without memory.
    void set_name(std::string_view name) const { detail::set_task_name(task("set_name"), name); }

    /// Has `f(handle)` or `f()` called through the loop when the task is done; in the next iteration if it is done
    /// already.
    /// @param f the callback, which is copied in, or moved in by take(). It runs in a copy of the caller's context.
    /// @return an id for remove_done_callback(). @throws std::logic_error when the loop is closed.
    template<class F>
    std::uint64_t add_done_callback(F&& f) const {
        return add_callback<any_task_handle>(std::forward<F>(f));
    }

protected:
    friend struct detail::access;
    explicit any_task_handle(detail::shared_state* counted) noexcept : handle_base(counted) {}

    detail::frame& task(const char* what) const { return static_cast<detail::frame&>(get(what)); }
};

/// A handle to a running task, which create_task() returns. Python calls it Task.
///
/// Behaviour: the loop owns the task; dropping the handle detaches it. Any number of tasks may await it: `co_await
/// handle` returns `const T&`, and `co_await std::move(handle)` moves the result out, after which the others get
/// invalid_state_error.
/// Cancellation: cancelling a task that awaits a handle cancels the task behind it, and waits until that has ended.
/// Threads: the thread of the loop.
/// Lifetime: the result lives as long as a handle; the coroutine and its arguments are destroyed with the end of the
/// task.
/// Cost: a counted pointer; the state is part of the task's frame.
/// Differs from Python: awaiting a handle twice returns the same object, unless it was moved out.
/// Example: `aio::task_handle<int> h = aio::create_task(count()); int n = co_await h;`
/// See also: create_task, gather, wait, shield.
template<class T = void>
class task_handle : public any_task_handle {
public:
    using value_type = T;
    using any_task_handle::any_task_handle;

    /// Returns a reference to the result, which is part of the task's state.
    /// @throws invalid_state_error while the task is pending, the exception of the task, cancelled_error if it was
    /// cancelled.
    decltype(auto) result() const { return detail::take_result<T, false>(done_or_throw("result")); }

    /// Has `f(handle)` or `f()` called through the loop when the task is done, as that of any_task_handle does; the
    /// callback gets a handle with the type of the result. @return an id for remove_done_callback().
    template<class F>
    std::uint64_t add_done_callback(F&& f) const {
        return add_callback<task_handle>(std::forward<F>(f));
    }

    /// Waits for the end of the task, and returns its result. @throws std::logic_error when the handle is empty.
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
    return detail::access::make<any_task_handle>(object);
}

} // namespace asynchio

#pragma GCC visibility pop
