// SPDX-License-Identifier: BSL-1.0
#pragma once

// A group of tasks that end together: structured concurrency. Built on child_tasks.

#include <asynchio/combine/detail/prepared_exit.hpp>
#include <asynchio/combine/exception_group.hpp>
#include <asynchio/combine/task_status.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/loop/detail/task_creator.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/detail/child_tasks.hpp>
#include <asynchio/task/nothrow.hpp>

#include <coroutine>
#include <exception>
#include <source_location>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

template<class T>
class start_awaiter;

} // namespace detail

/// A resource for `with` that waits, at the end of its block, for all tasks created in it.
///
/// Behaviour: the first child that fails cancels the others, in order of creation, and the block's body; when all have
/// ended, one exception_group carries every error. A child that is cancelled on its own is not an error. After its own
/// abort, the awaiting task can go on as before.
/// Cancellation: cancelling the awaiting task cancels the children and waits for them; their errors win over the
/// cancellation, which is delivered again at the next suspension then.
/// Threads: the thread of the loop.
/// Lifetime: children may refer to objects that live around the block.
/// Cost: one recycled block of 64 bytes for each child beside its task, freed when the child has ended.
/// Differs from Python: `async with` is with(), and cancel() ends the block quietly.
/// Example: `co_await aio::with(aio::task_group(), [&](aio::task_group& g) -> aio::task<> { g.create_task(f()); ... })`
/// See also: gather.
class [[nodiscard("a task_group is a resource for with")]] task_group : private detail::child_tasks,
                                                                        public detail::task_creator<task_group> {
public:
    task_group() = default;
    /// Moves a group that was not entered yet. @throws std::logic_error for one that was.
    task_group(task_group&& other) : child_tasks(), task_creator(), group_cancelled_(other.group_cancelled_) {
        if (other.entered_) throw std::logic_error("task_group: moved while or after it was entered");
    }
    task_group& operator=(task_group&&) = delete;
    ~task_group() override {
        while (detail::start_wait* const each = starting_.front()) each->leave();
    }

    /// Makes a task of this group; the arguments are those of asynchio::create_task().
    /// @throws std::logic_error before the block, after its end, and while the group is shutting down; the task never
    /// runs then.
    using task_creator::create_task;

    /// Awaitable: calls `f(task_status<T>&, args...)` as a task of this group, and waits until that task calls
    /// `started(value)`. So a block goes on when a server is known to listen, and knows at which port.
    ///
    /// @param f a callable that returns an awaitable. `T` is the type in its first parameter; where that is generic, write
    /// `start<T>(f)`. @param args further arguments. Both are copied in, or moved in by take().
    /// @return the value that was passed to `started`.
    /// @throws the task's exception if it fails before it has started, which is no error of the group then;
    /// std::logic_error if it ends without having called `started`; the exceptions of create_task().
    /// Cancellation: cancels the task and waits until it has ended. A task that starts all the same has swallowed the
    /// request; one that has started is not concerned by a request.
    /// Threads: the thread of the loop.
    /// Lifetime: as for create_task(); the group also waits for a task that has not started.
    /// Cost: two frames beside that of `f`.
    /// Example: `int port = co_await g.start(serve, address);` with `aio::task<> serve(aio::task_status<int>&, std::string)`
    template<class T = detail::deduced_status, class F, class... Args>
    auto start(F&& f, Args&&... args) {
        detail::check_awaited_arguments<F, Args...>();
        detail::require_callable(f, "task_group: start");
        using callable = detail::copied_t<F>;
        using value = typename decltype(detail::started_value<T, callable>())::type;
        static_assert(detail::starts_with<callable, task_status<value>&, detail::copied_t<Args>...>,
                      "start calls f(task_status<T>&, args...), which returns a task or another awaitable");
        using starting = detail::starting<value>;
        return detail::start_awaiter<value>(
            *this, starting::template run<callable, detail::copied_t<Args>...>(starting_, detail::pass_on<F>(f),
                                                                               detail::pass_on<Args>(args)...));
    }

    /// Cancels children and body, and ends the block quietly; their errors are thrown all the same. A second call does
    /// nothing, nor does a call at the end; before the block it takes effect as soon as the block is entered.
    void cancel() {
        if (detail::exchange(group_cancelled_, true) || !entered_ || (exiting_ && running() == 0)) return;
        if (!parent_cancelled_) abort_with_parent();
    }

    // The resource; with() calls these.

    template<class = void> // templates: g++ makes code of every other coroutine, also where it is not used
    task_group& async_enter() {
        if (entered_) throw std::logic_error("task_group: has already been entered");
        parent_ = current_task();
        if (!parent_) throw std::logic_error("task_group: must be used inside a task");
        exit_.prepare(children_end());
        entered_ = true;
        if (group_cancelled_) abort_with_parent();
        return *this;
    }

    /// Waits for the children, also without memory.
    /// @return whether the body's exception is suppressed, which it is after cancel().
    /// Cancellation: the children are cancelled and waited for.
    template<class = void>
    task<bool> async_exit(std::exception_ptr error) {
        if (!exit_) exit_.prepare(children_end());
        body_error_ = std::move(error);
        return exit_.take();
    }

private:
    template<class = void>
    task<bool> children_end() {
        const std::exception_ptr error = std::move(body_error_);
        exiting_ = true;
        std::exception_ptr cancellation = detail::is_cancellation(error) ? error : nullptr;
        std::exception_ptr late; // a request that came while the group was ending already
        if (error && !aborting_) abort();
        while (running() != 0) {
            std::exception_ptr request = co_await detail::cancellation_of(all_ended(*this, "task_group", false));
            if (!request) continue;
            if (aborting_) {
                late = std::move(request);
            } else {
                cancellation = std::move(request);
                abort();
            }
        }
        bool quiet = false;
        if (parent_cancelled_) {
            if (parent_.uncancel() == 0) {
                quiet = group_cancelled_ && cancellation;
                cancellation = nullptr;
            } else if (group_cancelled_ && late) { // other code asked for it
                cancellation = std::move(late);
            }
        }
        if (unlisted_) errors_.push_back(std::move(unlisted_)); // or else std::bad_alloc stands for it
        if (error && !detail::is_cancellation(error)) errors_.push_back(error);
        if (!errors_.empty()) {
            if (parent_.cancelling() > 0) { // a request of other code is delivered at the next suspension
                parent_.uncancel();
                parent_.cancel();
            }
            throw exception_group("unhandled errors in a TaskGroup", std::move(errors_));
        }
        if (cancellation) std::rethrow_exception(cancellation);
        co_return quiet;
    }

    template<class>
    friend class detail::start_awaiter;
    task_handle<> adopt_starting(task<>&& child, const std::source_location& line) {
        detail::loop_core& loop = ready_to_adopt("start");
        reservation room = make_room();
        auto handle = detail::make_task(loop, std::move(child), {}, false, line);
        adopt(*detail::access::state(handle), std::move(room));
        return handle;
    }

    friend task_creator;
    template<class... X>
    auto create_task_at(const std::source_location& line, X&&... x) {
        detail::loop_core& loop = ready_to_adopt("create_task");
        reservation room = make_room();
        auto handle = detail::make_task_from(loop, {}, false, line, std::forward<X>(x)...);
        adopt(*detail::access::state(handle), std::move(room));
        return handle;
    }

    detail::loop_core& ready_to_adopt(const char* what) {
        const char* const why = !entered_                    ? "the group has not been entered"
                                : exiting_ && running() == 0 ? "the group is finished"
                                : aborting_                  ? "the group is shutting down"
                                                             : nullptr;
        if (why != nullptr) throw std::logic_error(detail::formatted("task_group: %s: %s", what, why));
        return detail::running_core();
    }

    void child_ended(detail::frame& child) noexcept override {
        if (detail::start_wait* const caller = detail::start_wait::find(starting_, &child)) return caller->over();
        if (!child.failed()) return;
        child.note_retrieved();
        try {
            errors_.push_back(child.error());
        } catch (const std::bad_alloc&) {
            if (!unlisted_) unlisted_ = child.error();
        }
        if (!aborting_ && !parent_cancelled_) abort_with_parent();
    }

    const detail::frame* parent() const noexcept override {
        return static_cast<const detail::frame*>(detail::access::state(parent_));
    }

    void abort() noexcept {
        aborting_ = true;
        cancel_all();
    }
    void abort_with_parent() noexcept {
        abort();
        parent_cancelled_ = true;
        detail::cancel_completion(*detail::access::state(parent_), detail::shared_text());
    }

    any_task_handle parent_;
    detail::start_wait::list starting_;
    std::vector<std::exception_ptr> errors_;
    std::exception_ptr unlisted_; // the first exception that there was no memory to list
    std::exception_ptr body_error_;
    detail::prepared_exit<bool> exit_;
    bool entered_ = false;
    bool exiting_ = false;
    bool aborting_ = false;
    bool parent_cancelled_ = false;
    bool group_cancelled_ = false;
};

namespace detail {

template<class T>
class [[nodiscard("start does nothing until it is awaited")]] start_awaiter final : public start_result<T> {
public:
    start_awaiter(task_group& group, task<> child) noexcept : group_(group), child_(std::move(child)) {}
    start_awaiter(start_awaiter&& other) noexcept : start_awaiter(other.group_, std::move(other.child_)) {}
    start_awaiter& operator=(start_awaiter&&) = delete;
    ~start_awaiter() override = default;

    static bool await_ready() noexcept { return false; }

    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> coroutine,
                       std::source_location where = std::source_location::current()) {
        frame& root = running_root(coroutine);
        this->enter(group_.starting_, group_.adopt_starting(std::move(child_), where));
        this->park(root, coroutine, where);
    }

    T await_resume() {
        shared_state& child = *this->awaited_state();
        const bool started = this->result.has_value();
        if (!started && child.outcome_base::cancelled() && this->interrupted()) this->deliver_with_result();
        this->resumed();
        if (started) return std::move(this->result).value();
        take_result<void, true>(child);
        refuse("task_group", "start: the task has ended without having called started");
    }

private:
    task_group& group_;
    task<> child_;
};

} // namespace detail

} // namespace asynchio

#pragma GCC visibility pop
