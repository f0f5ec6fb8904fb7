// SPDX-License-Identifier: BSL-1.0
#pragma once

// The line in which tasks wait for their turn: one under every lock, event and queue.

#include <asynchio/core/detail/failures.hpp>
#include <asynchio/loop/detail/intrusive_list.hpp>
#include <asynchio/task/suspension.hpp>
#include <asynchio/task/detail/tasks_of_loop.hpp>

#include <coroutine>
#include <cstddef>
#include <cstdio>
#include <new>
#include <source_location>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Tasks in the order in which they came.
///
/// As in asyncio, who was woken or cancelled leaves the line when its task runs, an iteration later: until then a
/// newcomer can see that somebody was first. Who was woken and is cancelled before it runs still finds out, in
/// waiter::leave, so that it can pass on what it was given.
/// Threads: those who stand in it at one time belong to one loop. It is bound to none: when it is empty, tasks of
/// another loop may wait in it.
/// Lifetime: one that ends while tasks wait, as when a loop is closed, lets them go unresumed.
/// Cost: all in O(1), waking all in O(number); no allocation. Three words.
class wait_queue {
public:
    class waiter;
    class retrying_waiter;

    wait_queue() noexcept = default;
    wait_queue(const wait_queue&) = delete;
    wait_queue& operator=(const wait_queue&) = delete;
    ~wait_queue();

    /// Whether somebody is in line who has not been cancelled; who was woken and has not run yet counts.
    bool contended() const noexcept { return standing_ != 0; }

    /// Wakes the first that has neither been woken nor cancelled. @return false if there is none.
    bool wake_one() noexcept { return next_ != nullptr && wake_next(); }
    /// The same, but lets whoever is first and knows already (woken, or cancelled) wake the next when it runs.
    void wake_front() noexcept {
        if (next_ != nullptr) wake_first();
    }
    void wake_all() noexcept {
        while (wake_one()) {}
    }

    /// Before something is done that a task of another loop must not do while tasks wait here.
    /// @param what the thing that is waited for. @throws std::logic_error then.
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

    intrusive_list<waiter> line_;
    waiter* next_ = nullptr; // those before it were woken or cancelled; null: so were all
    std::size_t standing_ = 0;
};

/// A task's place in a line.
class wait_queue::waiter : public suspension, public list_link {
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
    /// From enter() to leave(), while the queue lives. In a destructor: the task goes away with its loop.
    bool in_line() const noexcept { return next != nullptr; }
    /// Woken by the queue.
    bool woken() const noexcept { return granted_; }

    /// First in await_resume of a task that entered: leaves the line.
    /// @throws cancelled_error if the task is cancelled, after a call of `pass_on()`; std::logic_error if what it was
    /// woken by is gone.
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
    /// The same for those who do not care whether it is gone. @throws cancelled_error if the task is cancelled.
    void leave() {
        if (queue_ != nullptr) queue_->leave(*this);
        resumed();
    }

    const char* waiting_for() const noexcept override { return what_; }
    cancel_reply cancel(const shared_text&) noexcept override {
        if (granted_) return cancel_reply::refused;
        if (queue_ != nullptr) --queue_->standing_;
        return cancel_reply::left;
    }

protected:
    waiter(wait_queue& queue, const char* what, bool retries) noexcept
        : list_link{nullptr, nullptr}, queue_(&queue), what_(what), retries_(retries) {}

private:
    friend wait_queue;

    wait_queue* queue_; // null once that has ended
    const char* what_;
    bool granted_ = false; // woken by the queue
    bool retries_;         // a retrying_waiter
};

/// A place for those who, when their turn comes, may find that a newcomer was quicker, and then wait again, at the end.
class wait_queue::retrying_waiter : public waiter, private ready_item {
protected:
    retrying_waiter(wait_queue& queue, const char* name) noexcept : waiter(queue, name, true), ready_item(&run) {}
    ~retrying_waiter() {
        if (queued_) task()->loop->unschedule(*this);
    }

    /// Called when its turn has come, before the task runs: whether it can go on.
    virtual bool try_again() noexcept = 0;

private:
    friend wait_queue;

    void run_soon() noexcept {
        queued_ = true;
        task()->loop->schedule(*this);
    }
    static void run(ready_item& item) noexcept;

    bool queued_ = false;
};

/// In debug mode, names the task that let go of an awaiter which it did not await.
[[gnu::noinline]] inline void report_unawaited(const char* what) noexcept try {
    const auto* loop = static_cast<const event_loop*>(this_thread.running);
    const frame* task = current_task_frame();
    if (task == nullptr || !loop->debug() || loop->closing()) return;
    std::fprintf(stderr, "asynchio: %s was never awaited, so that it waited for nothing\n  in task '%s', from %s:%u on\n",
                 what, task_name(*task).c_str(), task->where().file_name(), static_cast<unsigned>(task->where().line()));
} catch (...) { // no memory for a name
}

/// A waiter that an awaiter makes when its task has to wait: the way without waiting touches none of it.
///
/// @tparam Expected what debug mode calls an awaiter that goes away unawaited, as its `unawaited`; void if nobody minds.
/// It costs nothing: the awaiter calls give_on() when it is awaited without having entered, and whoever moves one answers
/// for it from then on.
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

    /// Makes it of `arguments`, and parks the running task.
    template<class Promise, class... Arguments>
    void enter(std::coroutine_handle<Promise> coroutine, const std::source_location& where, Arguments&&... arguments) {
        ::new (static_cast<void*>(&waiter_)) Waiter(std::forward<Arguments>(arguments)...);
        stage_ = stage::entered;
        waiter_.enter(coroutine, where);
    }
    bool entered() const noexcept {
        return std::is_void_v<Expected> ? stage_ != stage::given_on : stage_ == stage::entered;
    }
    /// Nothing is to be reported any more. Only while it is not entered.
    void give_on() noexcept { stage_ = stage::given_on; }
    /// Once entered.
    Waiter* operator->() noexcept { return &waiter_; }
    /// As Waiter::leave(); what has left the line has nothing to do at its end. Only while it is entered.
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

/// Waits in a line until woken, once.
class [[nodiscard("waiting begins only when this is awaited")]] line_awaiter {
public:
    /// @param what the name of the wait in reports.
    line_awaiter(wait_queue & line, const char* what) noexcept : line_(&line), what_(what) {}
    line_awaiter(line_awaiter && other) noexcept : line_awaiter(*other.line_, other.what_) {} // before it is awaited
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
    do
        next_ = line_.after(*next_);
    while (next_ != nullptr && (next_->granted_ || !next_->parked()));
    return next_;
}

/// Only while `next_` is not null.
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

inline void wait_queue::retrying_waiter::run(ready_item& item) noexcept {
    auto& self = static_cast<retrying_waiter&>(item);
    self.queued_ = false;
    if (self.task()->loop->closing()) return;
    if (self.queue_ == nullptr || self.interrupted() || self.try_again())
        self.run_now();
    else
        self.queue_->enter_again(self);
}

} // namespace asynchio::detail

#pragma GCC visibility pop
