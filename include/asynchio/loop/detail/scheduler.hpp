// SPDX-License-Identifier: BSL-1.0
#pragma once

// The part of the event loop that coroutines touch: the ready queue, which task runs, and how one coroutine hands
// over to another without the stack growing. Kept free of clocks, threads and containers, so that a header that
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

namespace asynchio {
class event_loop;
}

namespace asynchio::detail {

class scheduler;
class context_word;
class shared_state;
struct frame;
class timer_queue;

/// What one thread knows about the coroutines it runs.
struct thread_state {
    scheduler* running = nullptr;  // the loop that runs on this thread
    ready_item* current = nullptr; // the task whose step runs now; null in a plain call and outside
    char* stack_limit = nullptr;   // a transfer from below this address unwinds to the driver first
    void* parked = nullptr;        // the coroutine that such a transfer was to resume
    void* gone = nullptr;          // a child frame that was destroyed before its parent, see destroy_chain
    context_word* context = nullptr; // of the plain call that runs; null: the task's, or the thread's
    frame* dropped = nullptr;      // frames that wait for the innermost drop to destroy them
    bool dropping = false;
    unsigned process = 0;          // the fork_count when `running` was set
};

inline constinit thread_local thread_state this_thread{};

/// How far the stack may grow before a transfer goes through the driver, where there is that much: see stack_room.
/// Symmetric transfer is a tail call only where the compiler makes it one: g++ grows the stack at -O0, -O1 and under every
/// sanitizer.
inline constexpr std::ptrdiff_t stack_slack = std::ptrdiff_t(64) * 1024;

[[gnu::always_inline]] inline char* stack_address() noexcept {
    return static_cast<char*>(__builtin_frame_address(0)); // a local may live on ASan's fake stack
}

/// What await_suspend returns to resume `next`: `next` itself, or nothing after parking it for the driver.
inline std::coroutine_handle<> transfer(std::coroutine_handle<> next) noexcept {
    thread_state& thread = this_thread;
    if (stack_address() < thread.stack_limit) [[unlikely]] {
        thread.parked = next.address();
        return std::noop_coroutine();
    }
    return next;
}

/// Marks this thread's stack as the place that transfers unwind to; a nested one keeps the outermost mark.
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

/// What the module that makes tasks tells the loop of them; and what a header that knows a task only, and not the loop,
/// has it do. So code that uses that header alone links.
struct task_hooks {
    void (*destroy)(event_loop& loop) noexcept;                // those that are left when the loop closes
    context_word* (*context)(ready_item& task) noexcept; // a task's context; null if it has none of its own
    void (*describe)(ready_item& task, char* into, std::size_t size) noexcept; // the step it is about to make
    void (*end)(frame& task, ready_item::function dispose) noexcept; // the task has come to its end
    ready_item::function end_unstarted;                              // completes one that was cancelled before its first step
    void (*release)(shared_state& c) noexcept;                         // gives up one count of a task or future
};

/// Runs steps and calls in order. event_loop is built on it; tasks know only this much of their loop.
class scheduler {
public:
    scheduler(const scheduler&) = delete;
    scheduler& operator=(const scheduler&) = delete;

    void schedule(ready_item& item) noexcept {
        if (closing_) [[unlikely]]
            return; // nothing will run any more, and the item may be about to die
        ready_.push(item);
    }

    /// All of them, in their order.
    void schedule(ready_queue& items) noexcept {
        if (!closing_) [[likely]]
            ready_.append(items);
    }

    /// Takes back an item that will not live until its turn. Linear; see ready_queue::remove.
    void unschedule(ready_item& item) noexcept {
        if (!batch_.remove(item)) ready_.remove(item);
    }

    /// Takes back all calls of which `which(item)` is true. Linear.
    template<class F>
    void unschedule_if(F which) noexcept {
        batch_.remove_if(which);
        ready_.remove_if(which);
    }

    /// The context of the task that runs; null when there is none.
    context_word* context_of_current() const noexcept {
        ready_item* const task = this_thread.current;
        return task != nullptr && hooks_ != nullptr ? hooks_->context(*task) : nullptr;
    }
    /// Set by whoever makes tasks.
    void set_task_hooks(const task_hooks& hooks) noexcept { hooks_ = &hooks; }
    /// Only where there is a task or future.
    const task_hooks& hooks() const noexcept { return *hooks_; }
    /// Not done, in order of creation.
    intrusive_list<frame>& tasks() noexcept { return tasks_; }

    /// Called by a root at its end: the driver completes it when the coroutine has come to rest.
    void finished(ready_item& root) noexcept { finished_ = &root; }

    /// Resumes a task and completes it if that was its last step.
    void step(ready_item& task) noexcept {
        this_thread.current = &task;
        std::coroutine_handle<>::from_address(task.resume_point).resume();
        come_to_rest();
    }
    /// After a step: goes on with whatever was parked on the way until the task gives way, and completes it if that was
    /// its last step.
    [[gnu::always_inline]] void come_to_rest() noexcept {
        if (this_thread.parked != nullptr) [[unlikely]]
            resume_parked();
        if (finished_ != nullptr) {
            ready_item& done = *detail::exchange(finished_, nullptr);
            done.run(done);
        }
    }
    /// After a plain call of the program, in which a foreign awaiter may have resumed a coroutine.
    [[gnu::always_inline]] void after_call() noexcept {
        if (this_thread.parked != nullptr || finished_ != nullptr) [[unlikely]]
            come_to_rest_slowly();
    }
    /// Resumes a task in a plain call that the loop makes: what is said of a slow call is said of the task.
    void step_in_call(ready_item& task) noexcept {
        if (description_ != nullptr) [[unlikely]]
            hooks_->describe(task, description_, most_described);
        step(task);
    }
    /// The same inside of what runs; afterwards that is current again.
    void step_inside(ready_item& task) noexcept {
        const interrupted_step here{this_thread.current, interrupted_};
        interrupted_ = &here;
        step(task);
        interrupted_ = here.outer;
        this_thread.current = here.task;
    }
    /// Whether a step of `task` runs now, be it that another one runs inside of it.
    bool runs(const ready_item& task) const noexcept {
        if (this_thread.current == &task) return true;
        for (const interrupted_step* each = interrupted_; each != nullptr; each = each->outer)
            if (each->task == &task) return true;
        return false;
    }

    /// Whether the loop is closed or closing: what stands in the queue is dropped, not run.
    bool closing() const noexcept { return closing_; }

    /// Something is used in a way that cannot work. @throws std::logic_error that says `what`.
    [[noreturn]] virtual void misuse(const char* what) = 0;
    /// A call threw the exception that is being handled.
    virtual void callback_failed() noexcept = 0;
    /// A task goes away that nobody awaited.
    virtual void never_awaited(const std::source_location& function) noexcept = 0;
    /// The loop's clock, in nanoseconds.
    virtual std::int64_t now() const noexcept = 0;
    timer_queue& timers() const noexcept { return *timers_; }

protected:
    explicit scheduler(timer_queue& timers) noexcept : timers_(&timers) {}
    ~scheduler() = default;

    static constexpr std::size_t most_described = 512;
    /// While it lives, what runs is described in `text`, unless that is null.
    class described_in {
    public:
        described_in(scheduler& s, char* text) noexcept : scheduler_(s) { s.description_ = text; }
        described_in(const described_in&) = delete;
        described_in& operator=(const described_in&) = delete;
        ~described_in() { scheduler_.description_ = nullptr; }

    private:
        scheduler& scheduler_;
    };

    struct interrupted_step {
        ready_item* task;
        const interrupted_step* outer;
    };

    ready_queue ready_;
    ready_queue batch_;
    const interrupted_step* interrupted_ = nullptr; // the innermost
    ready_item* finished_ = nullptr;
    timer_queue* const timers_;
    const task_hooks* hooks_ = nullptr;
    intrusive_list<frame> tasks_;
    char* description_ = nullptr; // where debug mode wants to know what runs
    bool closing_ = false;

private:
    [[gnu::noinline, gnu::cold]] void come_to_rest_slowly() noexcept { come_to_rest(); }
    [[gnu::noinline, gnu::cold]] static void resume_parked() noexcept {
        while (this_thread.parked != nullptr)
            std::coroutine_handle<>::from_address(detail::exchange(this_thread.parked, nullptr)).resume();
    }
};

/// As scheduler::misuse of the loop that runs. Noinline, so that the ways which are not mistaken save no registers for it.
[[noreturn, gnu::noinline, gnu::cold]] inline void misuse(const char* what) {
    this_thread.running->misuse(what);
    __builtin_unreachable(); // g++ does not see that of a virtual function
}

} // namespace asynchio::detail

#pragma GCC visibility pop
