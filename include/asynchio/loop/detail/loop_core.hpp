// SPDX-License-Identifier: BSL-1.0
#pragma once

// The loop as the modules above it see it: the iteration, timers, services and what belongs to tasks. event_loop keeps
// it to itself and shows its users what they need; the modules get it by core_of.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/core/detail/late_value.hpp>
#include <asynchio/loop/callback.hpp>
#include <asynchio/loop/clock.hpp>
#include <asynchio/loop/detail/intrusive_list.hpp>
#include <asynchio/loop/detail/loop_notes.hpp>
#include <asynchio/loop/detail/loops_of_process.hpp>
#include <asynchio/loop/detail/running_mark.hpp>
#include <asynchio/loop/detail/scheduler.hpp>
#include <asynchio/loop/detail/selector.hpp>
#include <asynchio/loop/detail/services.hpp>
#include <asynchio/loop/detail/shuffled_order.hpp>
#include <asynchio/loop/detail/step_observer.hpp>
#include <asynchio/loop/exception_context.hpp>
#include <asynchio/loop/run_options.hpp>

#include <atomic>
#include <cstdint>
#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

class loop_core;

/// What a tool has called when a loop begins to run, and when it ends, on the thread of the loop; null without tools.
using run_hook = void (*)(loop_core& loop, bool begins) noexcept;
inline constinit std::atomic<run_hook> told_of_runs = nullptr;

/// The iteration of a loop, with its sources of work and what modules keep in it. Every loop_core is the base of an
/// event_loop: see core_of and loop_of.
class loop_core : public scheduler, public listed_loop {
public:
    /// Timers, descriptors, signals and threads.
    selector& outside() noexcept { return outside_; }
    /// The objects that modules keep in the loop.
    service_registry& services() noexcept { return services_; }
    /// The futures and the tasks that are done, to which handles may still refer when the loop is gone.
    intrusive_list<shared_state>& kept() noexcept { return kept_; }
    /// Returns the number of the next task.
    std::uint32_t next_task_id() noexcept { return ++task_id_; }
    bool is_running() const noexcept { return running_; }
    bool debug() const noexcept { return debug_; }
    /// Returns what debug mode has noted; null without it, and until the first iteration with a task.
    loop_notes* notes() const noexcept { return notes_; }
    /// Returns how long a step, or another thing that should be short, may last before debug mode reports it.
    nanoseconds_count slow_step() const noexcept { return slow_; }
    /// Returns how long a wait may last before debug mode reports it; 0 stands for no limit.
    nanoseconds_count slow_wait() const noexcept { return slow_wait_; }

    nanoseconds_count now() const noexcept override { return outside_.now(); }
    bool in_virtual_time() const noexcept { return outside_.in_virtual_time(); }
    /// Adds a timer. @param due whether it has expired: it is noticed in the next iteration then, without the clock.
    void add_timer(timer& t, nanoseconds_count deadline, bool due = false) { outside_.add_timer(t, deadline, due); }
    /// Schedules a timer that has expired: a call in the next iteration, which can be taken back like a timer.
    void schedule_timer(timer& t) noexcept {
        t.pending = true;
        schedule(t);
    }
    /// Removes a timer whose call has not been made. The cost is linear if it stands in the ready queue already.
    void remove_timer(timer& t) noexcept { detail::remove_timer(*this, t); }

    /// Counts a job of another thread that will come back: virtual time stands still meanwhile.
    void expect_post() noexcept { ++outside_.outstanding; }
    /// Counts a job that has come back.
    void post_arrived() noexcept { --outside_.outstanding; }

    /// Makes one iteration, inside a running_scope. @param may_sleep whether it sleeps first if nothing is ready. In
    /// virtual time it does not sleep when it is deadlocked(), but stops. @return whether anything ran.
    bool run_once(bool may_sleep = true) noexcept;
    /// Iterates while `more()` returns true, also after stop(); inside a running_scope.
    template<class More>
    void run_while(More more) noexcept {
        for (; more(); stopping_ = false) run_once();
    }
    /// Makes one iteration, and sleeps at most `real` nanoseconds before, also in virtual time.
    void run_for(nanoseconds_count real) noexcept {
        if (!has_ready()) outside_.sleep_at_most(real);
        run_once(false);
    }
    /// Makes at most `most` iterations, and does not sleep; inside a running_scope. It ends after an iteration in which
    /// stop() was called. From now on, the loop belongs to this thread.
    inline void run_ready(std::size_t most) noexcept;
    /// Whether an iteration would find something to do without asking the system.
    bool is_due() const noexcept { return has_ready() || outside_.can_jump(); }
    /// Returns the descriptor for which a host waits between the runs, -1 if there is none. From now on, the loop belongs
    /// to this thread. @throws std::system_error when the system has no descriptors left.
    [[gnu::cold]] int descriptor_for_host() {
        const int found = outside_.descriptor();
        if (found < 0) return found;
        hosted_ = true;
        if (!running_) {
            thread_ = &this_thread;
            outside_.mailbox->wait_in_host();
        }
        return found;
    }
    /// Whether a call or step is queued for the next iteration.
    bool has_ready() const noexcept { return !ready_.empty() || outside_.has_posts(); }
    /// Whether nothing is left to do in this iteration, and nothing came for the next one.
    bool nothing_else_ready() const noexcept { return batch_.empty() && !has_ready(); }
    /// Whether only another thread, a signal or a descriptor can go on: nothing is ready and no timer is set.
    bool is_stuck() const noexcept { return ready_.empty() && outside_.has_nothing_due(); }
    void stop() noexcept { stopping_ = true; }
    /// Whether, in virtual time, it was about to sleep for ever: all tasks wait, and nothing can wake them.
    bool deadlocked() const noexcept { return deadlocked_; }
    /// Returns how many tasks it was given, with the parts of a gather or race that run in place.
    std::uint32_t tasks_created() const noexcept { return task_id_; }
    /// Returns the first step or call of the next iteration, which leads to the others; null if there is none.
    const ready_item* next_ready() const noexcept { return ready_.front(); }
    /// Returns how many steps and calls are queued. The cost is linear.
    std::size_t queued() const noexcept { return batch_.size() + ready_.size(); }
    /// Returns how many iterations it has begun. Any thread may ask.
    std::uint64_t iterations() const noexcept { return iterations_.load(std::memory_order_relaxed); }
    /// Has `o` told of every step and call, until it is removed.
    void add_observer(step_observer& o) noexcept { observers_.push_back(o); }
    void remove_observer(step_observer& o) noexcept { observers_.remove(o); }

    /// @throws std::logic_error when the loop is closed, and in debug mode on another thread than the loop's.
    void require_usable(const char* what) const {
        if (closing_ || debug_) [[unlikely]]
            check_usable(what);
    }
    [[noreturn]] void misuse(const char* what) override { throw std::logic_error(what); }
    inline void never_awaited(const std::source_location& function) noexcept override;
    /// Reports what debug mode has found to the report handler. @param message what happened. @param source the name of
    /// the object concerned, or empty. @param created the line that made it, or none.
    virtual void report(std::string message, std::string source, const std::source_location& created) noexcept = 0;

    /// Makes this loop the running one of the thread while it lives.
    class running_scope {
    public:
        /// @throws std::logic_error if the loop is closed, or a loop runs on this thread.
        explicit running_scope(loop_core& loop);
        running_scope(const running_scope&) = delete;
        running_scope& operator=(const running_scope&) = delete;
        [[gnu::cold]] ~running_scope() {
            tell(false);
            loop_.running_ = false;
            if (loop_.hosted_) loop_.outside_.mailbox->wait_in_host();
        }

    private:
        void tell(bool begins) const noexcept {
            if (const run_hook hook = told_of_runs.load(std::memory_order_acquire); hook != nullptr) [[unlikely]]
                hook(loop_, begins);
        }

        loop_core& loop_;
        late_value<running_mark> mark_;
    };

protected:
    explicit loop_core(const run_options& options);
    ~loop_core() = default;

    /// Closes the loop; a second call does nothing.
    void shut() noexcept;
    /// Reports that all tasks wait, and nothing can wake them.
    virtual void report_deadlock() noexcept = 0;

    bool stopping_ = false;
    bool running_ = false;
    bool debug_ = false;
    bool deadlocked_ = false;
    bool hosted_ = false; // whether a host calls run_ready, or waits for the descriptor
    selector outside_;
    nanoseconds_count slow_ = 100'000'000;
    nanoseconds_count slow_wait_ = 0;
    loop_notes* notes_ = nullptr;
    std::atomic<std::uint64_t> iterations_ = 0; // written by the loop's thread only
    const thread_state* thread_ = nullptr;      // of the thread that ran it last

private:
    void check_usable(const char* what) const;
    void run(ready_item& item) noexcept;
    void run_watched() noexcept;
    nanoseconds_count run_watched(ready_item& item, nanoseconds_count begin) noexcept;
    void report_slow_step(const char* step, nanoseconds_count took) noexcept;
    void drop_ready() noexcept;
    template<class Tell>
    void tell_observers(Tell tell) noexcept;
    void sleep() noexcept;
    void sleep_watched() noexcept;
    void keep_notes(nanoseconds_count now) noexcept;
    bool sleep_until_look(nanoseconds_count now) noexcept;
    void sleep_until_post() noexcept;

    intrusive_list<shared_state> kept_;
    std::uint32_t task_id_ = 0;
    std::uint64_t looked_again_ = 0; // the last iteration that has ended early, see sleep_until_post
    bool deadlock_reported_ = false;
    shuffled_order order_;
    intrusive_list<step_observer> observers_;
    service_registry services_;
};

[[gnu::cold]] inline loop_core::loop_core(const run_options& o)
    : scheduler(outside_.timers), debug_(o.debug.value_or(debug_from_environment())), outside_(o),
      order_(o.order_seed) {
    outside_.mailbox->loop = this;
}

[[gnu::cold]] inline loop_core::running_scope::running_scope(loop_core& loop) : loop_(loop) {
    loop.require_usable("run");
    if (loop.running_) throw std::logic_error("run: This event loop is already running");
    if (running_mark::is_set()) throw std::logic_error("run: Cannot run the event loop while another loop is running");
    loop.running_ = true;
    loop.deadlocked_ = false;
    loop.thread_ = &this_thread;
    loop.outside_.mailbox->wake_up();
    mark_.emplace(loop);
    tell(true);
}

[[gnu::cold]] inline void loop_core::check_usable(const char* what) const {
    if (closing_) refuse(what, "Event loop is closed");
    if (debug_ && (running_ || hosted_) && thread_ != &this_thread)
        refuse(what, "Non-thread-safe operation invoked on an event loop other than the current one; use "
                     "call_soon_threadsafe");
}

[[gnu::noinline]] inline bool loop_core::run_once(bool may_sleep) noexcept {
    iterations_.store(iterations() + 1, std::memory_order_relaxed);
    if (!ready_.empty() || stopping_ || !may_sleep || outside_.has_posts())
        outside_.look(ready_, stopping_ || !may_sleep);
    else if (observers_.empty()) [[likely]]
        sleep();
    else
        sleep_watched();
    batch_.append(ready_);
    if (order_.active()) order_.shuffle(batch_);
    const bool ran = !batch_.empty();
    if (debug_ || !observers_.empty()) run_watched();
    while (ready_item* item = batch_.pop()) run(*item);
    this_thread.current = nullptr;
    return ran;
}

/// The first iteration asks clock and poller; the others do so now and then, as those of a busy loop.
[[gnu::cold]] inline void loop_core::run_ready(std::size_t most) noexcept {
    hosted_ = true;
    for (bool first = true; most > 0 && (first || is_due()); --most) {
        if (!has_ready() && outside_.in_virtual_time()) outside_.jump(ready_);
        run_once(!detail::exchange(first, false) && has_ready());
        if (stopping_) break;
    }
    stopping_ = false;
}

/// Sleeps until something is ready, or may be.
inline void loop_core::sleep() noexcept {
    if (tasks_.empty() || !outside_.only_posts_can_come())
        outside_.sleep(ready_);
    else
        sleep_until_post();
}

[[gnu::cold, gnu::noinline]] inline void loop_core::sleep_watched() noexcept {
    const nanoseconds_count since = steady_now();
    if (!sleep_until_look(since)) sleep();
    const nanoseconds_count now = steady_now();
    tell_observers([&](step_observer& each) { each.slept(since, now); });
}

/// Sleeps until something is ready, but no longer than debug mode's notes allow. @return false if nothing limits that
/// sleep, which has not begun then.
[[gnu::cold]] inline bool loop_core::sleep_until_look(nanoseconds_count now) noexcept {
    if (notes_ == nullptr || !debug_ || outside_.in_virtual_time()) return false;
    if (outside_.only_posts_can_come() && outside_.no_post_can_come()) return false; // it is deadlocked
    notes_->look(now);
    const nanoseconds_count end = notes_->next_look();
    if (end == far_future || outside_.wakes_before(end)) return false;
    if (!has_ready()) outside_.sleep_at_most(end > now ? end - now : 0); // a report's handler may have given it work
    outside_.take(ready_);                                               // no timer is due
    return true;
}

/// Begins or ends to keep the notes of debug mode, and has them looked at.
[[gnu::cold]] inline void loop_core::keep_notes(nanoseconds_count now) noexcept {
    if (debug_ && notes_ == nullptr && hooks_ != nullptr && (notes_ = hooks_->make_notes(*this)) != nullptr)
        add_observer(*notes_);
    if (notes_ == nullptr) return;
    if (debug_) return notes_->look(now);
    remove_observer(*detail::exchange(notes_, nullptr)); // the object stays, as all services do
}

/// Sleeps until another thread posts. If none can, the tasks are deadlocked: in virtual time the loop stops; in real
/// time, where a thread may hold the loop itself and no loop_ref, it reports that once, and sleeps on. It looks a second
/// time before that, a little later: a thread that has posted may be about to drop its loop_ref.
[[gnu::cold, gnu::noinline]] inline void loop_core::sleep_until_post() noexcept {
    constexpr nanoseconds_count a_little = 100'000'000;
    const bool stuck = outside_.no_post_can_come();
    if (stuck && outside_.in_virtual_time()) {
        deadlocked_ = stopping_ = true;
        return;
    }
    if (iterations() != looked_again_ + 1) {
        looked_again_ = iterations();
        return outside_.sleep_at_most(a_little);
    }
    if (stuck && !detail::exchange(deadlock_reported_, true)) report_deadlock();
    if (ready_.empty()) outside_.sleep(ready_); // unless the report's handler has given it work
}

inline void loop_core::run(ready_item& item) noexcept {
    if (item.what == ready_item::kind::step) [[likely]]
        return step(item);
    this_thread.current = nullptr;
    item.run(item);
}

/// Calls `tell(observer)` for each observer, which may remove itself then.
template<class Tell>
void loop_core::tell_observers(Tell tell) noexcept {
    for (step_observer* each = observers_.front(); each != nullptr;) {
        step_observer& one = *each;
        each = observers_.after(one);
        tell(one);
    }
}

/// Runs what is ready while somebody looks on: observers, or debug mode. The end of a step is the begin of the next one,
/// since a reading of the clock may take as long as a step.
[[gnu::cold, gnu::noinline]] inline void loop_core::run_watched() noexcept {
    nanoseconds_count now = steady_now();
    keep_notes(now);
    while (ready_item* item = batch_.pop()) now = run_watched(*item, now);
}

/// Runs a step or call of which observers are told, and that debug mode reports if it holds up the loop.
/// @return the time at its end.
inline nanoseconds_count loop_core::run_watched(ready_item& item, nanoseconds_count begin) noexcept {
    struct description final : call_watch {
        explicit description(loop_core& l) noexcept : call_watch(l), loop(l) {}
        void steps(ready_item& task) noexcept override {
            if (loop.debug_) loop.hooks_->describe(task, text, sizeof text);
            loop.tell_observers([&](step_observer& each) { each.steps(task); });
        }
        loop_core& loop;
        char text[most_described]; // it is empty for a call that makes no step
    } what(*this);
    what.text[0] = '\0';
    tell_observers([&](step_observer& each) { each.begins(item, begin); });
    item.what == ready_item::kind::step ? step_in_call(item) : run(item);
    const nanoseconds_count end = steady_now();
    tell_observers([&](step_observer& each) { each.ran(end); });
    if (const nanoseconds_count took = end - begin; debug_ && took >= slow_) report_slow_step(what.text, took);
    return end;
}

/// Reports a step that took long. @param step its description; an empty one is that of a call without a step.
[[gnu::cold, gnu::noinline]] inline void loop_core::report_slow_step(const char* step, nanoseconds_count took) noexcept
    try {
    this_thread.current = nullptr; // the task may be gone
    report(
        formatted("executing %s took %.3f seconds", *step != '\0' ? step : "a call", static_cast<double>(took) * 1e-9),
        {}, {});
} catch (...) { // no memory for a report
}

[[gnu::cold]] inline void loop_core::never_awaited(const std::source_location& function) noexcept try {
    if (!debug_ || closing_) return;
    report(formatted("task '%s' was never awaited", function.function_name()), {}, function);
} catch (...) { // no memory for a report
}

/// Drops what is ready. Calls see closing() and drop their callables without calling them; steps are forgotten.
[[gnu::cold]] inline void loop_core::drop_ready() noexcept {
    batch_.append(ready_);
    while (ready_item* item = batch_.pop())
        if (item->what == ready_item::kind::call) item->run(*item);
}

[[gnu::cold]] inline void loop_core::shut() noexcept {
    if (detail::exchange(closing_, true)) return;
    outside_.close(ready_);
    drop_ready();
    outside_.timers.expire(far_future, ready_);
    drop_ready();
    if (hooks_ != nullptr) hooks_->destroy(*this);
    if (notes_ != nullptr) remove_observer(*detail::exchange(notes_, nullptr));
    services_.destroy();
    drop_ready();
    outside_.timers.clear();
}

} // namespace asynchio::detail

#pragma GCC visibility pop
