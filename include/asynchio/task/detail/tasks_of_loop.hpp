// SPDX-License-Identifier: BSL-1.0
#pragma once

// A task's life in its loop: how a coroutine becomes one, how it ends, and how the loop destroys what is left.

#include <asynchio/core/detail/failures.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/detail/done_callback.hpp>
#include <asynchio/task/suspension.hpp>
#include <asynchio/task/task.hpp>

#include <cstdio>
#include <exception>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// "Task-7", or the name it was given, while the task has that.
struct name_of_task {
    explicit name_of_task(const frame& task) noexcept {
        if (task.extra != nullptr) text = task.extra->name.view();
        if (!text.empty()) return;
        std::snprintf(numbered, sizeof numbered, "Task-%u", static_cast<unsigned>(task.id));
        text = numbered;
    }
    name_of_task(const name_of_task&) = delete;
    name_of_task& operator=(const name_of_task&) = delete;

    int length() const noexcept { return static_cast<int>(text.size()); }

    std::string_view text;
    char numbered[20];
};

inline std::string task_name(const frame& task) { return std::string(name_of_task(task).text); }

[[gnu::cold]] inline void set_task_name(frame& task, std::string_view name) {
    if (task.extra == nullptr) task.extra = new task_extra;
    task.extra->name = shared_text(name);
}

/// Who an error came from, for reports.
[[gnu::cold]] inline std::string source_of_error(const shared_state& source) {
    if (source.has(flag_future)) return "a future";
    const frame& task = static_cast<const frame&>(source);
    const name_of_task name(task);
    return formatted("%.*s (%s)", name.length(), name.text.data(), task.created().function_name());
}

[[gnu::cold]] inline void report(shared_state& source, const char* message, const std::exception_ptr& error) noexcept {
    try {
        const bool is_task = !source.has(flag_future);
        const exception_context context{
            .message = message,
            .exception = error,
            .source = source_of_error(source),
            .created = is_task ? static_cast<const frame&>(source).created() : std::source_location(),
            .object = is_task ? &source : nullptr,
        };
        if (source.loop != nullptr)
            static_cast<event_loop&>(*source.loop).call_exception_handler(context);
        else
            print_exception_context(context);
    } catch (...) { // no memory for a report
    }
}

/// The state of a future without its result; future.hpp.
class future_base : public shared_state {
public:
    inline explicit future_base(event_loop& owner) noexcept;
    future_base(const future_base&) = delete;
    future_base& operator=(const future_base&) = delete;
    virtual ~future_base() = default;
};

/// The last count is gone: frees the result, and reports an exception that nobody looked at.
[[gnu::noinline]] inline void release_last(shared_state& c) noexcept {
    if (c.failed() && !c.has(flag_retrieved)) {
        c.references = 1; // the handler may hold it for a while
        c.set(flag_retrieved);
        report(c, c.has(flag_future) ? "Future exception was never retrieved" : "Task exception was never retrieved",
               c.error());
        if (--c.references != 0) return;
    }
    if (c.has(flag_kept)) static_cast<event_loop&>(*c.loop).kept().remove(c);
    drop_callbacks(c);
    c.extra.drop();
    if (c.has(flag_future))
        delete static_cast<future_base*>(&c);
    else
        static_cast<frame&>(c).run(static_cast<frame&>(c));
}

/// Gives up one count.
inline void release(shared_state& c) noexcept {
    if (--c.references == 0) release_last(c);
}

/// Has the loop tell `c` of its end.
inline void keep(shared_state& c) noexcept {
    static_cast<event_loop&>(*c.loop).kept().push_back(c);
    c.set(flag_kept);
}

/// The coroutine of the task is gone: tells everybody who waits.
inline void end_task(frame& task, ready_item::function dispose) noexcept {
    task.run = dispose;
    if (task.error() && is_cancellation(task.error())) task.set_cancelled();
    std::uint32_t counts_that_end_with_loop = 1;
    if (child_owner* owner = task.get_owner()) {
        task.clear(flag_owned);
        task.made_at = task.where();
        task.set(flag_done);
        ++counts_that_end_with_loop; // the owner's, which ends before the loop does
        owner->child_done(task);
    }
    task.complete();
    if (task.references > counts_that_end_with_loop) keep(task);
    release(task);
}

/// The end of a task that finish_task has no shorter way for.
inline void end_any_task(frame& task, ready_item::function dispose) noexcept {
    if (task.outcome_base::cancelled()) // it cancelled itself and returned
        task.fail(std::make_exception_ptr(cancelled_error(task.extra != nullptr ? task.extra->message : shared_text())),
                  outcome_state::cancelled);
    end_task(task, dispose);
}

/// The owner has what it wants of a gathered task that has not ended, or that others hold.
[[gnu::noinline]] inline void give_up_gathered(frame& task) noexcept {
    task.disown();
    task.set(flag_retrieved);
    release(task);
}

/// The owner has what it wants of a gathered task, whether that has ended or not.
template<class T>
[[gnu::always_inline]] inline void free_gathered(task_state<T>& task) noexcept {
    if (!task.has(flag_resting)) [[unlikely]]
        return detail::give_up_gathered(task);
    const std::coroutine_handle<> coroutine = task.handle();
    task.extra.drop();
    task.~basic_outcome();
    coroutine.destroy();
}

inline void end_unstarted(ready_item& item) noexcept {
    frame& task = static_cast<frame&>(item);
    if (!task.has(flag_must_cancel)) { // the request was withdrawn
        task.what = ready_item::kind::step;
        task.resume_point = task.handle().address();
        return task.loop->step(task);
    }
    task.fail(std::make_exception_ptr(cancelled_error(task.extra != nullptr ? task.extra->message : shared_text())),
              outcome_state::cancelled);
    task.loop->tasks().remove(task);
    destroy_coroutine(task);
    end_task(task, &dispose_task<void>);
}

/// Ends a suspended branch where it stands, and tells its owner.
[[gnu::noinline]] inline void destroy_branch(frame& branch) noexcept {
    static_cast<event_loop&>(*branch.loop).tasks().remove(branch);
    branch.clear(flag_waiting);
    destroy_chain(branch.innermost(), branch);
    destroy_coroutine(branch);
    branch.run = &dispose_task<void>;
    branch.set_cancelled();
    branch.set(flag_done);
    child_owner& owner = *branch.owner;
    branch.disown();
    owner.child_done(branch);
    release(branch);
}

/// Destroys the tasks that are left in a loop that closes, each from its leaf inward. The youngest go first: what a
/// task started may refer to the frame of that task.
[[gnu::cold]] inline void destroy_tasks(event_loop& loop) noexcept {
    while (frame* task = loop.tasks().back()) {
        loop.tasks().remove(*task);
        task->clear(flag_waiting);
        destroy_chain(task->innermost(), *task);
        destroy_coroutine(*task);
        task->run = &dispose_task<void>;
        task->disown();
        if (!task->has(flag_branch)) report(*task, "Task was destroyed but it is pending!", nullptr);
        task->loop = nullptr;
        drop_callbacks(*task); // they may hold handles of it
        release(*task);
    }
    while (shared_state* each = loop.kept().pop_front()) {
        each->clear(flag_kept);
        each->loop = nullptr;
    }
}

/// The context of a task that runs; that of a branch is the awaiting task's.
inline context_word* context_of_task(ready_item&) noexcept {
    frame* task = current_task_frame();
    return task != nullptr ? &task->extra.context() : nullptr;
}

[[gnu::noinline]] inline void inherit_context(frame& task) noexcept { task.extra.context().inherit(current_context()); }

/// Of the task that it is, or in whose name it runs, and the line that it goes on from.
[[gnu::cold]] inline void describe_step(ready_item& item, char* into, std::size_t size) noexcept {
    const frame* task = identity_of(static_cast<frame*>(&item));
    if (task == nullptr) task = static_cast<frame*>(&item);
    const std::source_location from = static_cast<frame&>(item).innermost().where();
    const name_of_task name(*task);
    std::snprintf(into, size, "a step of %.*s from %s:%u", name.length(), name.text.data(), from.file_name(),
                  static_cast<unsigned>(from.line()));
}

inline constexpr task_hooks hooks_of_tasks{&destroy_tasks, &context_of_task, &describe_step,
                                           &end_any_task,  &end_unstarted,   &release};

inline future_base::future_base(event_loop& owner) noexcept {
    begin(owner, 1);
    set(flag_future);
    keep(*this);
    owner.set_task_hooks(hooks_of_tasks);
}

/// Makes a coroutine that has not started a task of `loop`, which holds one count and the caller `handles`; its context
/// is empty.
inline void become_task(frame& coroutine, event_loop& loop, std::uint32_t handles,
                        const std::source_location& created) noexcept {
    coroutine.become_root(loop, 1 + handles, loop.next_task_id());
    coroutine.made_at = created.line() != 0 ? created : coroutine.where();
    loop.tasks().push_back(coroutine);
    loop.set_task_hooks(hooks_of_tasks);
}

/// Runs a task's first step now, inside whatever runs; afterwards that is current again.
inline void start_now(frame& task) noexcept {
    scheduler& loop = *task.loop;
    if (ready_item* outer = this_thread.current) static_cast<frame&>(*outer).set(flag_started);
    task.set(flag_started);
    const stack_base base;
    const context_scope its_own(nullptr);
    loop.step_inside(task);
}

} // namespace asynchio::detail

#pragma GCC visibility pop
