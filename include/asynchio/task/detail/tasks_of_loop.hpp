// SPDX-License-Identifier: BSL-1.0
#pragma once

// The life of a task in its loop: how a coroutine becomes a task, how it ends, and how the loop destroys those that are
// left.

#include <asynchio/core/detail/failures.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/detail/debug_notes.hpp>
#include <asynchio/task/detail/done_callback.hpp>
#include <asynchio/task/detail/inspection_table.hpp> // so that every program with tasks has it
#include <asynchio/task/detail/task_name.hpp>
#include <asynchio/task/suspension.hpp>
#include <asynchio/task/task.hpp>

#include <cstdio>
#include <exception>
#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Returns the origin of an error, for reports.
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
            loop_of(*source.loop).call_exception_handler(context);
        else
            print_exception_context(context);
    } catch (...) { // no memory for a report
    }
}

/// The state of a future without its result, see future.hpp.
class future_base : public shared_state {
public:
    inline explicit future_base(loop_core& owner) noexcept;
    future_base(const future_base&) = delete;
    future_base& operator=(const future_base&) = delete;
    virtual ~future_base() = default;
};

/// Called when the last count is gone: frees the result, and reports an exception that was never looked at.
[[gnu::noinline]] inline void release_last(shared_state& c) noexcept {
    if (c.failed() && !c.has(flag_retrieved)) {
        c.references = 1; // the exception handler may hold it for a while
        c.note_retrieved();
        report(c, c.has(flag_future) ? "Future exception was never retrieved" : "Task exception was never retrieved",
               c.error());
        if (--c.references != 0) return;
    }
    if (c.has(flag_kept)) static_cast<loop_core&>(*c.loop).kept().remove(c);
    drop_callbacks(c);
    c.extra.drop();
    if (c.has(flag_future))
        delete static_cast<future_base*>(&c);
    else
        static_cast<frame&>(c).run(static_cast<frame&>(c));
}

/// Drops one count.
inline void release(shared_state& c) noexcept {
    if (--c.references == 0) release_last(c);
}

/// Has the loop tell `c` when the loop ends.
inline void keep(shared_state& c) noexcept {
    static_cast<loop_core&>(*c.loop).kept().push_back(c);
    c.note_kept(true);
}

/// Notes whether a task has failed or was cancelled.
[[gnu::noinline, gnu::cold]] inline void note_error(frame& task) noexcept {
    const bool cancelled = is_cancellation(task.error());
    if (cancelled) task.set_cancelled();
    if (!task.has(flag_branch)) ++(cancelled ? task.loop->tasks_cancelled : task.loop->tasks_failed);
}

/// Called when the coroutine of the task is gone: tells all watchers.
[[gnu::noinline]] inline void end_task(frame& task, ready_item::function dispose) noexcept {
    task.run = dispose;
    if (task.error()) [[unlikely]]
        note_error(task);
    std::uint32_t counts_that_end_with_loop = 1;
    if (child_owner* owner = task.get_owner()) {
        task.lose_owner(task.where());
        task.note_done();
        ++counts_that_end_with_loop; // the owner's count, which ends before the loop does
        owner->child_done(task);
    }
    task.complete();
    if (task.references > counts_that_end_with_loop) keep(task);
    release(task);
}

/// Ends a task for which finish_task has no shorter way.
inline void end_any_task(frame& task, ready_item::function dispose) noexcept {
    if (task.outcome_base::cancelled()) // the task cancelled itself and returned
        task.fail(std::make_exception_ptr(cancelled_error(task.extra != nullptr ? task.extra->message : shared_text())),
                  outcome_state::cancelled);
    end_task(task, dispose);
}

/// Releases a gathered task that has not ended, or that other handles hold, for an owner that does not need it any
/// more.
[[gnu::noinline]] inline void give_up_gathered(frame& task) noexcept {
    task.disown();
    task.note_retrieved();
    release(task);
}

/// Releases a gathered task for an owner that does not need it any more, whether the task has ended or not.
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
    branch.loop->tasks().remove(branch);
    branch.stop_waiting();
    destroy_chain(branch.innermost(), branch);
    destroy_coroutine(branch);
    branch.run = &dispose_task<void>;
    branch.set_cancelled();
    branch.note_done();
    child_owner& owner = *branch.owner;
    branch.disown();
    owner.child_done(branch);
    release(branch);
}

/// Destroys the tasks that are left in a loop that closes, each from its leaf inward. The youngest go first: a task may
/// refer to the frame of the task that has started it.
[[gnu::cold]] inline void destroy_tasks(loop_core& loop) noexcept {
    while (frame* task = loop.tasks().back()) {
        loop.tasks().remove(*task);
        task->stop_waiting();
        destroy_chain(task->innermost(), *task);
        destroy_coroutine(*task);
        task->run = &dispose_task<void>;
        task->disown();
        if (!task->has(flag_branch)) report(*task, "Task was destroyed but it is pending!", nullptr);
        task->loop = nullptr;
        drop_callbacks(*task); // they may hold handles of the task
        release(*task);
    }
    while (shared_state* each = loop.kept().pop_front()) {
        each->note_kept(false);
        each->loop = nullptr;
    }
}

/// Returns the context of a task that runs; that of a branch is the awaiting task's.
inline context_word* context_of_task(ready_item&) noexcept {
    frame* task = current_task_frame();
    return task != nullptr ? &task->extra.context() : nullptr;
}

[[gnu::noinline]] inline void inherit_context(frame& task) noexcept { task.extra.context().inherit(current_context()); }

/// Writes the name of the task (or of the task for which a branch runs) and the line at which it resumes.
[[gnu::cold]] inline void describe_step(ready_item& item, char* into, std::size_t size) noexcept {
    const frame* task = identity_of(static_cast<frame*>(&item));
    if (task == nullptr) task = static_cast<frame*>(&item);
    const std::source_location from = static_cast<frame&>(item).innermost().where();
    const name_of_task name(*task);
    std::snprintf(into, size, "a step of %.*s from %s:%u", name.length(), name.text.data(), from.file_name(),
                  static_cast<unsigned>(from.line()));
}

/// Writes what the task behind `last` waits for, and where; null stands for the first one.
/// @return that task, null behind the last one.
[[gnu::cold]] inline frame* describe_after(loop_core& loop, frame* last, char* into, std::size_t size) noexcept {
    frame* task = last;
    do task = task != nullptr ? loop.tasks().after(*task) : loop.tasks().front();
    while (task != nullptr && task->has(flag_branch));
    if (task == nullptr) return nullptr;
    const suspension* const hook = hook_of(*task);
    const std::source_location where = task->innermost().where();
    const name_of_task name(*task);
    std::snprintf(into, size, "%.*s waits for %s at %s:%u", name.length(), name.text.data(),
                  hook != nullptr ? hook->waiting_for() : "its turn", where.file_name(),
                  static_cast<unsigned>(where.line()));
    return task;
}

inline constexpr task_hooks hooks_of_tasks{&destroy_tasks, &context_of_task, &describe_step, &describe_after,
                                           &end_any_task,  &end_unstarted,   &release,       &make_notes<>};

inline future_base::future_base(loop_core& owner) noexcept {
    begin(owner, 1);
    set(flag_future);
    keep(*this);
    owner.set_task_hooks(hooks_of_tasks);
}

/// Makes a coroutine that has not started a task of `loop`. The loop holds one count, and the caller `handles`; the
/// context is empty.
inline void become_task(frame& coroutine, loop_core& loop, std::uint32_t handles,
                        const std::source_location& created) noexcept {
    coroutine.become_root(loop, 1 + handles, loop.next_task_id());
    coroutine.made_at = created.line() != 0 ? created : coroutine.where();
    loop.tasks().push_back(coroutine);
    loop.set_task_hooks(hooks_of_tasks);
}

/// Runs the first step of a task at once, inside the running code, which is current again afterwards.
inline void start_now(frame& task) noexcept {
    scheduler& loop = *task.loop;
    if (ready_item* outer = this_thread.current) static_cast<frame&>(*outer).note_started();
    task.note_started();
    const stack_base base;
    const context_scope its_own(nullptr);
    loop.step_inside(task);
}

} // namespace asynchio::detail

#pragma GCC visibility pop
