// SPDX-License-Identifier: BSL-1.0
#pragma once

// The tasks that are left at the end of a run, which are cancelled together, waited for, and reported if they have
// failed.

#include <asynchio/loop/detail/intrusive_list.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/detail/tasks_of_loop.hpp>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Reports a task that failed when its run had ended to the exception handler.
[[gnu::cold]] inline void report_leftover(shared_state& task, const std::exception_ptr& error) noexcept {
    detail::report(task, "unhandled exception during asyncio.run() shutdown", error);
}

/// Asks all tasks of a loop to end, in order of creation, and holds them until it is destroyed. A task that several
/// others wait for passes the request on once. It allocates nothing, so that the end of a run needs no memory.
class leftovers {
public:
    [[gnu::cold]] explicit leftovers(loop_core& loop) noexcept : loop_(loop) {
        intrusive_list<frame>& tasks = loop.tasks();
        const shared_text no_message;
        cancel_walk walk(no_message, true);
        for (frame* each = tasks.front(); each != nullptr; each = tasks.after(*each)) {
            if (!each->has(flag_branch)) {
                ++each->references;
                walk.request(*each);
            }
            each->mark(mark_leftover);
        }
    }
    leftovers(const leftovers&) = delete;
    leftovers& operator=(const leftovers&) = delete;
    ~leftovers() = default;

    /// Whether one of the tasks has not ended. They stand in front of all that were created since.
    bool running() const noexcept {
        const frame* const oldest = loop_.tasks().front();
        return oldest != nullptr && oldest->has_mark(mark_leftover);
    }

    /// Drops the tasks, and reports those that failed to the exception handler, in order of creation. None runs, but
    /// those that nothing can wake.
    [[gnu::cold]] void report() noexcept {
        intrusive_list<frame>& stuck = loop_.tasks();
        for (frame* each = stuck.front(); each != nullptr && each->has_mark(mark_leftover); each = stuck.after(*each)) {
            each->unmark(mark_leftover);
            if (!each->has(flag_branch)) release(*each);
        }
        intrusive_list<shared_state>& kept = loop_.kept();
        intrusive_list<shared_state> failed;
        for (shared_state* each = kept.front(); each != nullptr;) {
            shared_state& one = *each;
            each = kept.after(one);
            if (one.has(flag_future) || !static_cast<frame&>(one).has_mark(mark_leftover)) continue;
            static_cast<frame&>(one).unmark(mark_leftover);
            if (one.failed() && one.error()) // else a future of another thread has the exception
                put_in_order(failed, one);
            else
                release(one);
        }
        while (shared_state* const each = failed.pop_front()) {
            keep(*each);
            each->note_retrieved();
            report_leftover(*each, each->error());
            release(*each);
        }
    }

private:
    /// Moves a task from the loop's list into `failed`.
    void put_in_order(intrusive_list<shared_state>& failed, shared_state& one) noexcept {
        loop_.kept().remove(one);
        one.note_kept(false);
        shared_state* behind = failed.back();
        while (behind != nullptr && number(*behind) > number(one)) behind = failed.before(*behind);
        failed.insert_after(behind, one);
    }
    static std::uint32_t number(const shared_state& task) noexcept { return static_cast<const frame&>(task).id; }

    loop_core& loop_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
