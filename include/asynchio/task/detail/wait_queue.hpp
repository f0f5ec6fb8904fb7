// SPDX-License-Identifier: BSL-1.0
#pragma once

// The line in which tasks wait for their turn; every lock, event and queue is built on it.

#include <asynchio/core/detail/failures.hpp>
#include <asynchio/loop/detail/intrusive_list.hpp>
#include <asynchio/loop/detail/loop_call.hpp>
#include <asynchio/task/detail/debug_notes.hpp>
#include <asynchio/task/detail/tasks_of_loop.hpp>
#include <asynchio/task/suspension.hpp>

#include <coroutine>
#include <cstddef>
#include <new>
#include <source_location>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// A line of tasks in the order in which they came.
///
/// As in asyncio, a task that was woken or cancelled leaves the line when it runs, an iteration later: until then a
/// newcomer can see that another task was first. A task that was woken and is cancelled before it runs learns of both
/// in waiter::leave, so that it can pass on what it was given.
/// Threads: the tasks that stand in it at one time belong to one loop. The line is bound to none: when it is empty,
/// tasks of another loop may wait in it.
/// Lifetime: if it is destroyed while tasks wait, as when a loop is closed, it drops them unresumed.
/// Cost: every call is O(1), waking all is O(number); no allocation. Three words.
class wait_queue {
public:
    class waiter;
    class retrying_waiter;

    wait_queue() noexcept = default;
    /// Makes a line. @param of_lock whether debug mode notes who holds what tasks wait for in it.
    explicit constexpr wait_queue(bool of_lock) noexcept : standing_(of_lock ? noted_flag : 0) {}
    wait_queue(const wait_queue&) = delete;
    wait_queue& operator=(const wait_queue&) = delete;
    ~wait_queue();

    /// Whether a task is in line that was not cancelled; one that was woken and has not run yet counts. It is true for
    /// the line of a lock that is noted(), so that the path on which nobody waits need not ask for that.
    bool contended() const noexcept { return standing_ != 0; }
    /// Whether a task is in line as contended() says, also in the line of a lock.
    bool occupied() const noexcept { return (standing_ & ~noted_flag) != 0; }
    /// Whether it is the line of a lock whose holder is noted, or will be from the next acquisition on, in debug mode.
    bool noted() const noexcept { return (standing_ & noted_flag) != 0; }
    /// Ends that: the lock has several holders, or the loop is not in debug mode.
    void note_no_more() noexcept { standing_ &= ~noted_flag; }
    /// Notes that the running task has acquired a lock that is noted(), at `where`.
    [[gnu::noinline, gnu::cold]] void note_acquired(const std::source_location& where) noexcept {
        debug_notes<>* const notes = notes_of(this_thread.running);
        if (notes == nullptr) return note_no_more();
        if (this_thread.current != nullptr) notes->holds(this, current_root(), where);
    }
    /// Notes that the running task is going to wait for a lock that is noted(). @param where the line. @param owned whether
    /// the task that acquires it is the one that releases it, so that one that waits for itself is a mistake.
    [[gnu::noinline, gnu::cold]] void note_wait(const std::source_location& where, bool owned) noexcept {
        debug_notes<>* const notes = notes_of(this_thread.running);
        if (notes != nullptr && this_thread.current != nullptr) notes->waits(this, current_root(), where, owned);
    }
    /// Notes that nobody holds a lock that is noted().
    [[gnu::noinline, gnu::cold]] void note_released() noexcept {
        if (debug_notes<>* const notes = notes_of(this_thread.running)) notes->released(this);
    }

    /// Wakes the first task that was neither woken nor cancelled. @return false if there is none.
    bool wake_one() noexcept { return next_ != nullptr && wake_next(); }
    /// Wakes the first task, unless it was woken or cancelled already: it wakes the next one when it runs then.
    void wake_front() noexcept {
        if (next_ != nullptr) wake_first();
    }
    void wake_all() noexcept {
        while (wake_one()) {}
    }

    /// Refuses a call that a task of another loop must not make while tasks wait here.
    /// @param what the name of what is waited for. @throws std::logic_error on another loop while tasks wait.
    void require_own_loop(const char* what) const { require_loop(this_thread.running, what); }

private:
    waiter* next_to_wake() noexcept;
    waiter* pass_over() noexcept;
    bool wake_next() noexcept;
    void wake_first() noexcept;
    void require_loop(const scheduler* own, const char* what) const;
    void enter(waiter& w, const frame& root);
    void enter_again(waiter& w) noexcept;
    void leave(waiter& w) noexcept;

    static constexpr std::size_t noted_flag = ~(~std::size_t(0) >> 1); // in standing_

    intrusive_list<waiter> line_;
    waiter* next_ = nullptr; // all before it were woken or cancelled; null if all were
    std::size_t standing_ = 0;
};

/// The place of a task in a line.
class wait_queue::waiter : public named_suspension, public list_link {
public:
    /// @param what the name of the wait in reports.
    waiter(wait_queue& queue, const char* what) noexcept : waiter(queue, what, false) {}
    ~waiter() {
        if (in_line()) [[unlikely]]
            queue_->leave(*this);
    }

    /// Parks the running task at the end of the line. @throws std::logic_error if tasks of another loop stand in it.
    template<class Promise>
    void enter(std::coroutine_handle<Promise> coroutine, const std::source_location& where) {
        frame& root = running_root(coroutine);
        queue_->enter(*this, root);
        park(root, coroutine, where);
    }
    /// Whether it stands in the line: from enter() to leave(), while the queue lives. In a destructor this means that
    /// the task is destroyed with its loop.
    bool in_line() const noexcept { return next != nullptr; }
    /// Whether the queue has woken it.
    bool woken() const noexcept { return granted_; }
    /// Notes that its task has acquired a lock that is noted().
    [[gnu::noinline, gnu::cold]] void note_acquired() noexcept {
        frame& its = *task();
        if (debug_notes<>* const notes = notes_of(its.loop)) notes->holds(queue_, its, its.innermost().where());
    }

    /// Leaves the line; comes first in await_resume of a task that entered.
    /// @throws cancelled_error if the task is cancelled, after a call of `pass_on()`; std::logic_error if the queue was
    /// destroyed since it has woken the task.
    template<class PassOn>
    void leave(PassOn pass_on) {
        if (queue_ != nullptr) [[likely]]
            queue_->leave(*this);
        if (interrupted()) [[unlikely]] {
            if (queue_ != nullptr) pass_on();
            throw_cancelled(*task());
        }
        if (queue_ == nullptr) [[unlikely]]
            refuse(what_, "destroyed while a task waited for it");
    }
    /// Leaves the line, if the queue still lives. @throws cancelled_error if the task is cancelled.
    void leave() {
        if (queue_ != nullptr) queue_->leave(*this);
        resumed();
    }

    cancel_reply cancel(const shared_text&) noexcept override {
        if (granted_) return cancel_reply::refused;
        if (queue_ != nullptr) --queue_->standing_;
        return cancel_reply::left;
    }

protected:
    waiter(wait_queue& queue, const char* what, bool retries) noexcept
        : named_suspension(what), list_link{nullptr, nullptr}, queue_(&queue), retries_(retries) {}

private:
    friend wait_queue;

    wait_queue* queue_;    // null once the queue was destroyed
    bool granted_ = false; // woken by the queue
    bool retries_;         // a retrying_waiter
};

/// A place for a task that, when its turn comes, may find that a newcomer was quicker, and then waits again, at the
/// end.
class wait_queue::retrying_waiter : public waiter, private loop_call<wait_queue::retrying_waiter> {
protected:
    retrying_waiter(wait_queue& queue, const char* name) noexcept : waiter(queue, name, true) {}

    /// Called when the turn of the task has come, before it runs. @return whether it can go on.
    virtual bool try_again() noexcept = 0;

private:
    friend wait_queue;
    friend loop_call;

    void run_soon() noexcept {
        bind(*task()->loop);
        call_soon();
    }
    inline void called() noexcept;
};

/// Reports, in debug mode, the task that has dropped an awaiter without awaiting it.
[[gnu::noinline, gnu::cold]] inline void report_unawaited(const char* what) noexcept try {
    auto* loop = static_cast<loop_core*>(this_thread.running);
    const frame* task = current_task_frame();
    if (task == nullptr || !loop->debug() || loop->closing()) return;
    const name_of_task name(*task);
    loop->report(formatted("%s was never awaited, so that it waited for nothing", what),
                 formatted("task '%.*s', from %s:%u on", name.length(), name.text.data(), task->where().file_name(),
                           static_cast<unsigned>(task->where().line())),
                 {});
} catch (...) { // no memory for a report
}

/// A waiter that an awaiter makes when its task must wait: the path without waiting touches none of it.
///
/// @tparam Expected an awaiter with `unawaited`, the name under which debug mode reports one that is destroyed
/// unawaited; void for no report. It costs nothing: the awaiter calls give_on() when it is awaited without having
/// entered, and when it is moved.
template<class Waiter, class Expected = void>
class late_waiter {
public:
    late_waiter() noexcept {} // `waiter_` is made by enter()
    late_waiter(const late_waiter&) = delete;
    late_waiter& operator=(const late_waiter&) = delete;
    ~late_waiter() {
        if (stage_ != stage::given_on) [[unlikely]]
            end();
    }

    /// Makes the waiter of `arguments`, and parks the running task.
    template<class Promise, class... Arguments>
    void enter(std::coroutine_handle<Promise> coroutine, const std::source_location& where, Arguments&&... arguments) {
        ::new (static_cast<void*>(&waiter_)) Waiter(std::forward<Arguments>(arguments)...);
        stage_ = stage::entered;
        waiter_.enter(coroutine, where);
    }
    bool entered() const noexcept {
        return std::is_void_v<Expected> ? stage_ != stage::given_on : stage_ == stage::entered;
    }
    /// Ends the duty to be awaited: nothing is reported any more. It must not have entered.
    void give_on() noexcept { stage_ = stage::given_on; }
    /// Returns the waiter, once it has entered.
    Waiter* operator->() noexcept { return &waiter_; }
    /// Leaves the line as Waiter::leave() does; its destructor has nothing to do then. It must have entered.
    void leave() {
        waiter_.leave();
        stage_ = stage::given_on;
    }

private:
    enum class stage : unsigned char { given_on, made, entered };

    [[gnu::noinline]] void end() noexcept {
        if constexpr (!std::is_void_v<Expected>)
            if (stage_ == stage::made) return report_unawaited(Expected::unawaited);
        waiter_.Waiter::~Waiter(); // not a virtual call
    }

    union {
        Waiter waiter_;
    };
    stage stage_ = std::is_void_v<Expected> ? stage::given_on : stage::made;
};

/// An awaiter that waits in a line until it is woken, once.
class [[nodiscard("waiting begins only when this is awaited")]] line_awaiter {
public:
    /// @param what the name of the wait in reports.
    line_awaiter(wait_queue& line, const char* what) noexcept : line_(&line), what_(what) {}
    line_awaiter(line_awaiter&& other) noexcept : line_awaiter(*other.line_, other.what_) {} // before it is awaited
    line_awaiter& operator=(line_awaiter&&) = delete;
    ~line_awaiter() = default;

    static bool await_ready() noexcept { return false; }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        waiter_.enter(awaiting, where, *line_, what_);
    }
    void await_resume() { waiter_.leave(); }

private:
    wait_queue* line_;
    const char* what_;
    late_waiter<wait_queue::waiter> waiter_;
};

inline wait_queue::~wait_queue() {
    while (waiter* w = line_.pop_front()) w->queue_ = nullptr;
}

[[gnu::noinline]] inline wait_queue::waiter* wait_queue::pass_over() noexcept {
    do next_ = line_.after(*next_);
    while (next_ != nullptr && (next_->granted_ || !next_->parked()));
    return next_;
}

/// Returns the next task to wake, or null; `next_` must not be null.
inline wait_queue::waiter* wait_queue::next_to_wake() noexcept {
    return next_->granted_ || !next_->parked() ? pass_over() : next_;
}

[[gnu::noinline]] inline bool wait_queue::wake_next() noexcept {
    waiter* w = next_to_wake();
    if (w == nullptr) return false;
    next_ = line_.after(*w);
    w->granted_ = true;
    if (w->retries_)
        static_cast<retrying_waiter*>(w)->run_soon();
    else
        w->wake();
    return true;
}

[[gnu::noinline]] inline void wait_queue::wake_first() noexcept {
    if (noted()) [[unlikely]]
        note_released();
    if (line_.front() == next_to_wake()) wake_next();
}

inline void wait_queue::require_loop(const scheduler* own, const char* what) const {
    if (line_.empty() || line_.front()->task()->loop == own) [[likely]]
        return;
    refuse(what, "tasks of a different event loop wait for it");
}

inline void wait_queue::enter(waiter& w, const frame& root) {
    require_loop(root.loop, w.what_);
    line_.push_back(w);
    if (next_ == nullptr) next_ = &w;
    ++standing_;
}

inline void wait_queue::enter_again(waiter& w) noexcept {
    w.granted_ = false;
    line_.remove(w);
    line_.push_back(w);
    if (next_ == nullptr) next_ = &w;
}

[[gnu::always_inline]] inline void wait_queue::leave(waiter& w) noexcept {
    if (!w.task()->has(flag_left)) --standing_;
    if (next_ == &w) next_ = line_.after(w);
    line_.remove(w);
}

inline void wait_queue::retrying_waiter::called() noexcept {
    if (queue_ == nullptr || interrupted() || try_again())
        run_now();
    else
        queue_->enter_again(*this);
}

} // namespace asynchio::detail

#pragma GCC visibility pop
