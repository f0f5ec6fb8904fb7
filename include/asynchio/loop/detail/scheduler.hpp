// SPDX-License-Identifier: BSL-1.0
#pragma once

// The part of the event loop that coroutines touch: the ready queue, the task that runs, and the transfer from one
// coroutine to another without the stack growing. It is free of clocks, threads and containers, so that a header that
// only declares tasks stays cheap.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/loop/detail/intrusive_list.hpp>
#include <asynchio/loop/detail/ready_queue.hpp>

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

class scheduler;
class loop_core;
class loop_notes;
class context_word;
class shared_state;
struct frame;
class timer_queue;

/// The state of one thread and the coroutines that it runs.
struct thread_state {
    scheduler* running = nullptr;    // the loop that runs on this thread
    ready_item* current = nullptr;   // the task whose step runs now; null in a plain call and outside
    char* stack_limit = nullptr;     // a transfer from below this address unwinds to the driver first
    void* parked = nullptr;          // the coroutine that such a transfer was to resume
    void* gone = nullptr;            // a child frame that was destroyed before its parent, see destroy_chain
    context_word* context = nullptr; // that of the plain call that runs; null: the task's, or the thread's
    frame* dropped = nullptr;        // frames that wait for the innermost drop to destroy them
    bool dropping = false;
    unsigned process = 0; // the fork_count when `running` was set
};

inline constinit thread_local thread_state this_thread{};

/// The size to which the stack may grow before a transfer goes through the driver, if there is that much: see
/// stack_room. Symmetric transfer is a tail call only where the compiler makes it one: g++ grows the stack at -O0, -O1
/// and under every sanitizer.
inline constexpr std::ptrdiff_t stack_slack = std::ptrdiff_t(64) * 1024;

[[gnu::always_inline]] inline char* stack_address() noexcept {
    return static_cast<char*>(__builtin_frame_address(0)); // a local may live on ASan's fake stack
}

/// Returns what await_suspend returns to resume `next`: `next` itself, or nothing after parking it for the driver.
inline std::coroutine_handle<> transfer(std::coroutine_handle<> next) noexcept {
    thread_state& thread = this_thread;
    if (stack_address() < thread.stack_limit) [[unlikely]] {
        thread.parked = next.address();
        return std::noop_coroutine();
    }
    return next;
}

/// A mark of the place in this thread's stack to which transfers unwind; a nested one keeps the outermost mark.
class stack_base {
public:
    explicit stack_base(std::ptrdiff_t room = stack_slack) noexcept : before_(this_thread.stack_limit) {
        if (before_ == nullptr) this_thread.stack_limit = stack_address() - room;
    }
    stack_base(const stack_base&) = delete;
    stack_base& operator=(const stack_base&) = delete;
    ~stack_base() { this_thread.stack_limit = before_; }

private:
    char* before_;
};

/// The functions for tasks that the module that makes them gives to the loop, and those that a header which knows a
/// task only, and not the loop, calls through it. So code that uses that header alone links.
struct task_hooks {
    void (*destroy)(loop_core& loop) noexcept;           // the tasks that are left when the loop closes
    context_word* (*context)(ready_item& task) noexcept; // a task's context; null if it has none of its own
    void (*describe)(ready_item& task, char* into, std::size_t size) noexcept; // its next step
    frame* (*describe_after)(loop_core& loop, frame* last, char* into,
                             std::size_t size) noexcept;             // the task behind `last`
    void (*end)(frame& task, ready_item::function dispose) noexcept; // ends a task
    ready_item::function end_unstarted;                              // completes a task cancelled before its first step
    void (*release)(shared_state& c) noexcept;                       // drops one count of a task or future
    loop_notes* (*make_notes)(loop_core& loop) noexcept; // begins to note what debug mode needs; null without memory
};

/// The part of a loop that runs steps and calls in order. event_loop is built on it; tasks know only this much of their
/// loop.
class scheduler {
public:
    scheduler(const scheduler&) = delete;
    scheduler& operator=(const scheduler&) = delete;

    void schedule(ready_item& item) noexcept {
        if (closing_) [[unlikely]]
            return; // nothing will run any more, and the item may be about to be destroyed
        ready_.push(item);
    }

    /// Schedules several items, in their order.
    void schedule(ready_queue& items) noexcept {
        if (!closing_) [[likely]]
            ready_.append(items);
    }

    /// Takes back an item that will not live until its turn. The cost is linear; see ready_queue::remove.
    void unschedule(ready_item& item) noexcept {
        if (!batch_.remove(item)) ready_.remove(item);
    }

    /// Takes back all calls for which `which(item)` is true. The cost is linear.
    template<class F>
    void unschedule_if(F which) noexcept {
        batch_.remove_if(which);
        ready_.remove_if(which);
    }

    /// Returns the context of the task that runs; null when there is none.
    context_word* context_of_current() const noexcept {
        ready_item* const task = this_thread.current;
        return task != nullptr && hooks_ != nullptr ? hooks_->context(*task) : nullptr;
    }
    /// Sets the functions for tasks; the module that makes tasks calls it.
    void set_task_hooks(const task_hooks& hooks) noexcept { hooks_ = &hooks; }
    /// Returns the functions for tasks; there must be a task or future.
    const task_hooks& hooks() const noexcept { return *hooks_; }
    /// How many tasks have ended with an exception, and how many were cancelled.
    std::uint64_t tasks_failed = 0;
    std::uint64_t tasks_cancelled = 0;
    /// The tasks that are not done, in order of creation.
    intrusive_list<frame>& tasks() noexcept { return tasks_; }

    /// Called by a root at its end: the driver completes the root when its coroutine is suspended.
    void finished(ready_item& root) noexcept { finished_ = &root; }

    /// Resumes a task and completes it if that was its last step.
    void step(ready_item& task) noexcept {
        this_thread.current = &task;
        std::coroutine_handle<>::from_address(task.resume_point).resume();
        come_to_rest();
    }
    /// Called after a step: goes on with coroutines that were parked on the way until the task gives way, and completes
    /// the task if that was its last step.
    [[gnu::always_inline]] void come_to_rest() noexcept {
        if (this_thread.parked != nullptr) [[unlikely]]
            resume_parked();
        if (finished_ != nullptr) {
            ready_item& done = *detail::exchange(finished_, nullptr);
            done.run(done);
        }
    }
    /// Called after a plain call of the program, in which a foreign awaiter may have resumed a coroutine.
    [[gnu::always_inline]] void after_call() noexcept {
        if (this_thread.parked != nullptr || finished_ != nullptr) [[unlikely]]
            come_to_rest_slowly();
    }
    /// Resumes a task in a plain call that the loop makes: whoever watches the call learns of the task.
    void step_in_call(ready_item& task) noexcept {
        if (watch_ != nullptr) [[unlikely]]
            watch_->steps(task);
        step(task);
    }
    /// Resumes a task inside the running code, which is current again afterwards.
    void step_inside(ready_item& task) noexcept {
        const interrupted_step here{this_thread.current, interrupted_};
        interrupted_ = &here;
        step(task);
        interrupted_ = here.outer;
        this_thread.current = here.task;
    }
    /// Whether `task` is running, possibly under a nested step.
    bool runs(const ready_item& task) const noexcept {
        if (this_thread.current == &task) return true;
        for (const interrupted_step* each = interrupted_; each != nullptr; each = each->outer)
            if (each->task == &task) return true;
        return false;
    }

    /// Whether the loop is closed or closing: items in the queue are dropped, and do not run.
    bool closing() const noexcept { return closing_; }

    /// Reports misuse. @throws std::logic_error with the text `what`.
    [[noreturn]] virtual void misuse(const char* what) = 0;
    /// Called if a call has thrown the exception that is being handled.
    virtual void callback_failed() noexcept = 0;
    /// Called if a task is destroyed that was never awaited.
    virtual void never_awaited(const std::source_location& function) noexcept = 0;
    /// Returns the time of the loop's clock, in nanoseconds.
    virtual std::int64_t now() const noexcept = 0;
    timer_queue& timers() const noexcept { return *timers_; }

protected:
    explicit scheduler(timer_queue& timers) noexcept : timers_(&timers) {}
    ~scheduler() = default;

    static constexpr std::size_t most_described = 512;

    /// What is told of the steps that a call makes while it lives.
    class call_watch {
    public:
        explicit call_watch(scheduler& s) noexcept : scheduler_(s) { s.watch_ = this; }
        call_watch(const call_watch&) = delete;
        call_watch& operator=(const call_watch&) = delete;
        virtual void steps(ready_item& task) noexcept = 0;

    protected:
        ~call_watch() { scheduler_.watch_ = nullptr; }

    private:
        scheduler& scheduler_;
    };

    struct interrupted_step {
        ready_item* task;
        const interrupted_step* outer;
    };

    ready_queue ready_;
    ready_queue batch_;
    const interrupted_step* interrupted_ = nullptr; // the innermost one
    ready_item* finished_ = nullptr;
    timer_queue* const timers_;
    const task_hooks* hooks_ = nullptr;
    intrusive_list<frame> tasks_;
    call_watch* watch_ = nullptr;
    bool closing_ = false;

private:
    [[gnu::noinline, gnu::cold]] void come_to_rest_slowly() noexcept { come_to_rest(); }
    [[gnu::noinline, gnu::cold]] static void resume_parked() noexcept {
        while (this_thread.parked != nullptr)
            std::coroutine_handle<>::from_address(detail::exchange(this_thread.parked, nullptr)).resume();
    }
};

/// Calls scheduler::misuse of the running loop. It is noinline, so that correct paths save no registers for it.
[[noreturn, gnu::noinline, gnu::cold]] inline void misuse(const char* what) {
    this_thread.running->misuse(what);
    __builtin_unreachable(); // g++ does not see that of a virtual function
}

} // namespace asynchio::detail

#pragma GCC visibility pop
