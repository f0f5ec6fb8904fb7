// SPDX-License-Identifier: BSL-1.0
#pragma once

// The event loop: it runs what is ready, in order, and sleeps until a timer, a descriptor, a signal or another thread
// has work for it. Built on selector, which knows these sources.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/core/detail/late_value.hpp>
#include <asynchio/loop/callback.hpp>
#include <asynchio/loop/clock.hpp>
#include <asynchio/loop/context.hpp>
#include <asynchio/loop/detail/exception_handler.hpp>
#include <asynchio/loop/detail/intrusive_list.hpp>
#include <asynchio/loop/detail/running_mark.hpp>
#include <asynchio/loop/detail/scheduler.hpp>
#include <asynchio/loop/detail/selector.hpp>
#include <asynchio/loop/detail/services.hpp>
#include <asynchio/loop/detail/shuffled_order.hpp>
#include <asynchio/loop/detail/step_observer.hpp>
#include <asynchio/loop/detail/task_creator.hpp>
#include <asynchio/loop/loop_ref.hpp>
#include <asynchio/loop/run_options.hpp>

#include <cstdio>
#include <stdexcept>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

template<class T>
class future;

/// A single-threaded event loop. Most programs never name it: `run(main())` makes one and closes it.
///
/// Behaviour: one iteration asks for what is ready on descriptors, appends it and the timers that are due to the
/// ready queue, and then runs exactly what is in the queue at that moment, in order; tasks and calls that become ready
/// meanwhile run in the next iteration. A loop that only switches tasks makes no system call and reads no clock; a busy
/// loop with descriptors or timers asks about every 25 µs.
/// Threads: everything belongs to the thread that runs the loop, but call_soon_threadsafe, and what a loop_ref offers.
/// Lifetime: destroying the loop closes it: tasks that are left are destroyed where they are suspended, and reported.
/// Differs from Python: timers of equal deadline run in the order in which they were set.
/// See also: run, runner, get_running_loop.
class event_loop final : public detail::scheduler, public detail::task_creator<event_loop> {
public:
    /// Makes a loop. @param options its policies. @throws std::system_error when the system has no descriptors left.
    explicit event_loop(run_options options = {});
    event_loop(const event_loop&) = delete;
    event_loop& operator=(const event_loop&) = delete;
    ~event_loop() { shut(); }

    /// Calls `f(args...)` in the next iteration, behind what is queued already. Callable and arguments are copied in
    /// and destroyed after the call. An exception goes to the exception handler.
    /// @throws std::logic_error when the loop is closed, std::invalid_argument for a null callable.
    template<class F, class... Args>
    callback_handle call_soon(F&& f, Args&&... args) {
        require_usable("call_soon");
        detail::require_callable(f, "call_soon");
        auto* call = detail::make_callback<detail::callback>(*this, std::forward<F>(f), std::forward<Args>(args)...);
        call->retain();
        schedule(*call);
        return callback_handle(*call);
    }

    /// Calls `f(args...)` in a later iteration, from any thread; wakes the loop if it sleeps. Posts of one thread keep
    /// their order. @throws as call_soon().
    template<class F, class... Args>
    callback_handle call_soon_threadsafe(F&& f, Args&&... args) {
        return ref().call_soon_threadsafe(std::forward<F>(f), std::forward<Args>(args)...);
    }

    /// Calls `f(args...)` when `delay` has passed; 0 or less stands for the next iteration, behind what is ready.
    /// @throws as call_soon(), and std::invalid_argument for a NaN.
    template<class Rep, class Period, class F, class... Args>
    timer_handle call_later(std::chrono::duration<Rep, Period> delay, F&& f, Args&&... args) {
        const auto wait = detail::to_nanoseconds(delay);
        return call_at_count(detail::later(now(), wait), wait <= 0, std::forward<F>(f), std::forward<Args>(args)...);
    }

    /// Calls `f(args...)` at `when`, or in the next iteration if that has passed. @throws as call_later().
    template<class D, class F, class... Args>
    timer_handle call_at(std::chrono::time_point<clock, D> when, F&& f, Args&&... args) {
        const auto at = detail::to_nanoseconds(when);
        return call_at_count(at, at <= now(), std::forward<F>(f), std::forward<Args>(args)...);
    }

    /// Returns the time of the loop's clock, which is monotonic, and virtual if the loop was made so.
    time_point time() const noexcept { return time_point(duration(now())); }

    // Running

    /// Runs until stop(). @throws std::logic_error when this loop, or another one on this thread, is running.
    void run_forever() {
        const running_scope scope(*this);
        do run_once(true);
        while (!stopping_);
        stopping_ = false;
    }

    /// Runs until a task, handle or future is done. @return its result. @throws its exception, or std::runtime_error if
    /// stop() came first: it stays pending and can be run again.
    template<class X>
    decltype(auto) run_until_complete(X&& x); // task/run_until_complete.hpp

    /// Ends run_forever after the current iteration; before it, the next run_forever makes one iteration.
    void stop() noexcept { stopping_ = true; }

    /// Drops calls and timers without running them and destroys the tasks that are left. A second call does nothing.
    /// @throws std::logic_error while the loop is running.
    void close() {
        if (running_) throw std::logic_error("close: Cannot close a running event loop");
        shut();
    }

    /// Whether the loop runs.
    bool is_running() const noexcept { return running_; }
    /// Whether the loop is closed, or being closed.
    bool is_closed() const noexcept { return closing_; }

    // create_task(...) is that of task_creator: as the free create_task, and also before the loop runs.

    /// Returns a pending future that belongs to this loop.
    template<class T = void>
    future<T> create_future(); // task/future.hpp

    /// Sets `handler(event_loop&, const exception_context&)`, which gets the errors that no caller can catch; nullptr
    /// restores the default, which prints to stderr. A handler that throws is itself reported.
    template<class Handler>
    void set_exception_handler(Handler&& handler) {
        handler_.set(std::forward<Handler>(handler));
    }
    /// Calls the exception handler with `context`.
    void call_exception_handler(const exception_context& context) noexcept { handler_.call(*this, context); }
    /// Prints `context` to stderr: message, source, creation line, and the text of the exception.
    void default_exception_handler(const exception_context& context) { detail::print_exception_context(context); }

    /// Sets debug mode: long steps and tasks that were never awaited are reported; calls from a wrong thread throw.
    void set_debug(bool on) noexcept { debug_ = on; }
    /// Whether the loop is in debug mode.
    bool debug() const noexcept { return debug_; }
    /// Sets the duration from which on debug mode reports steps and calls; it is 100 ms at first.
    void set_slow_callback_duration(duration limit) noexcept { slow_ = limit.count(); }

    // Signals and descriptors

    /// Calls `f()` as an ordinary call of the loop when `signal` arrives, perhaps once for several arrivals; replaces
    /// this loop's handler for it. @param once whether the default action follows from the second arrival on, unless a
    /// signal_set has the signal. @throws std::invalid_argument, std::system_error, std::logic_error when another loop
    /// handles it.
    template<class F>
    void add_signal_handler(int signal, F&& f, bool once = false) {
        require_usable("add_signal_handler");
        detail::require_callable(f, "add_signal_handler");
        outside_.caught.set(signal, make_repeated(std::forward<F>(f)), *outside_.mailbox, once);
    }
    /// Restores what the signal did before. @return whether there was a handler.
    bool remove_signal_handler(int signal) noexcept { return outside_.caught.remove(signal); }

    /// Calls `f()` in every iteration in which `fd` is readable; replaces an earlier reader of it.
    /// @throws std::system_error for a descriptor that cannot be watched, std::invalid_argument for a negative number.
    template<class F>
    void add_reader(int fd, F&& f) {
        add_watch(fd, detail::fd_watch::readable, std::forward<F>(f));
    }
    /// Calls `f()` in every iteration in which `fd` is writable; else as add_reader().
    template<class F>
    void add_writer(int fd, F&& f) {
        add_watch(fd, detail::fd_watch::writable, std::forward<F>(f));
    }
    /// Removes the reader of `fd`. @return whether there was one.
    bool remove_reader(int fd) noexcept { return outside_.descriptors.remove(fd, detail::fd_watch::readable); }
    /// Removes the writer of `fd`. @return whether there was one.
    bool remove_writer(int fd) noexcept { return outside_.descriptors.remove(fd, detail::fd_watch::writable); }

    /// For the modules above: timers, descriptors, signals and threads.
    detail::selector& outside() noexcept { return outside_; }
    /// Returns a copyable reference that other threads may hold.
    loop_ref ref() const noexcept { return loop_ref(outside_.mailbox, const_cast<event_loop*>(this)); }
    /// The objects that modules keep in the loop.
    detail::service_registry& services() noexcept { return services_; }
    /// Adds a timer. @param due whether it has expired: it is noticed in the next iteration then, without the clock.
    void add_timer(detail::timer& t, detail::nanoseconds_count deadline, bool due = false) {
        outside_.add_timer(t, deadline, due);
    }
    /// Schedules a timer that has expired: a call in the next iteration, which can be taken back like a timer.
    void schedule_timer(detail::timer& t) noexcept {
        t.pending = true;
        schedule(t);
    }
    /// Removes a timer whose call has not been made. The cost is linear if it stands in the ready queue already.
    void remove_timer(detail::timer& t) noexcept { detail::remove_timer(*this, t); }
    detail::nanoseconds_count now() const noexcept override { return outside_.now(); }
    /// Returns how many timers are set.
    std::size_t pending_timers() const noexcept { return outside_.timers.size(); }
    /// Returns how many descriptors are watched.
    std::size_t watched_descriptors() const noexcept { return outside_.descriptors.size(); }
    /// Counts a job of another thread that will come back: virtual time stands still meanwhile.
    void expect_post() noexcept { ++outside_.outstanding; }
    /// Counts a job that has come back.
    void post_arrived() noexcept { --outside_.outstanding; }
    /// Makes one iteration, inside a running_scope. @param may_sleep whether it sleeps first if nothing is ready.
    /// @return whether anything ran.
    bool run_once(bool may_sleep = true) noexcept;
    /// Iterates while `more()` returns true, also after stop(); inside a running_scope.
    template<class More>
    void run_while(More more) noexcept {
        for (; more(); stopping_ = false) run_once();
    }
    /// Makes one iteration, and sleeps at most `real` nanoseconds before, also in virtual time.
    void run_for(detail::nanoseconds_count real) noexcept {
        if (!has_ready()) outside_.sleep_at_most(real);
        run_once(false);
    }
    /// Whether a call or step is queued for the next iteration.
    bool has_ready() const noexcept { return !ready_.empty() || outside_.has_posts(); }
    /// Whether nothing is left to do in this iteration, and nothing came for the next one.
    bool nothing_else_ready() const noexcept { return batch_.empty() && !has_ready(); }
    /// Whether only another thread, a signal or a descriptor can go on: nothing is ready and no timer is set.
    bool is_stuck() const noexcept { return ready_.empty() && outside_.has_nothing_due(); }
    /// Has `o` told after every step and call; null ends that.
    void set_observer(detail::step_observer* o) noexcept { observer_ = o; }
    /// The futures and the tasks that are done, to which handles may still refer when the loop is gone.
    detail::intrusive_list<detail::shared_state>& kept() noexcept { return kept_; }
    /// Returns the number of the next task.
    std::uint32_t next_task_id() noexcept { return ++task_id_; }

    /// @throws std::logic_error when the loop is closed, and in debug mode on another thread than the loop's.
    void require_usable(const char* what) const {
        if (closing_ || debug_) [[unlikely]]
            check_usable(what);
    }
    [[noreturn]] void misuse(const char* what) override { throw std::logic_error(what); }
    inline void callback_failed() noexcept override;
    inline void never_awaited(const std::source_location& function) noexcept override;
    /// Makes this loop the running one of the thread while it lives.
    class running_scope {
    public:
        /// @throws std::logic_error if the loop is closed, or a loop runs on this thread.
        explicit running_scope(event_loop& loop);
        running_scope(const running_scope&) = delete;
        running_scope& operator=(const running_scope&) = delete;
        ~running_scope() { loop_.running_ = false; }

    private:
        event_loop& loop_;
        detail::late_value<detail::running_mark> mark_;
    };

private:
    friend detail::task_creator<event_loop>;
    template<class... X>
    auto create_task_at(const std::source_location& line, X&&... x); // task/create_task.hpp

    template<class F, class... Args>
    timer_handle call_at_count(detail::nanoseconds_count at, bool due, F&& f, Args&&... args) {
        require_usable("call_later or call_at");
        detail::require_callable(f, "call_later or call_at");
        auto* call =
            detail::make_callback<detail::timed_callback>(*this, std::forward<F>(f), std::forward<Args>(args)...);
        timer_handle handle(*call); // holds the count that becomes the loop's, should add_timer throw
        call->deadline = at;
        add_timer(*call, at, due);
        call->retain();
        return handle;
    }
    template<class F>
    detail::repeated_call_ptr make_repeated(F&& f) {
        return detail::repeated_call_ptr(detail::repeated_call::make(*this, std::forward<F>(f)));
    }
    template<class F>
    void add_watch(int fd, unsigned char direction, F&& f) {
        require_usable("add_reader or add_writer");
        detail::require_callable(f, "add_reader or add_writer");
        outside_.watch(fd, direction, make_repeated(std::forward<F>(f)));
    }

    void check_usable(const char* what) const;
    void run(detail::ready_item& item) noexcept;
    void run_watched(detail::ready_item& item) noexcept;
    void drop_ready() noexcept;
    void shut() noexcept;

    bool stopping_ = false;
    bool running_ = false;
    bool debug_ = false;
    detail::selector outside_;
    detail::intrusive_list<detail::shared_state> kept_;
    std::uint32_t task_id_ = 0;
    detail::shuffled_order order_;
    detail::nanoseconds_count slow_ = 100'000'000;
    const detail::thread_state* thread_ = nullptr; // of the thread that ran it last
    detail::exception_handler handler_;
    detail::step_observer* observer_ = nullptr;
    detail::service_registry services_;
};

/// Returns the loop that runs on this thread. @throws std::logic_error when there is none.
inline event_loop& get_running_loop() {
    if (detail::this_thread.running == nullptr) [[unlikely]]
        detail::no_running_loop();
    return static_cast<event_loop&>(*detail::this_thread.running);
}

[[gnu::cold]] inline event_loop::event_loop(run_options o)
    : scheduler(outside_.timers), debug_(o.debug.value_or(detail::debug_from_environment())), outside_(o),
      order_(o.order_seed) {}

[[gnu::cold]] inline event_loop::running_scope::running_scope(event_loop& loop) : loop_(loop) {
    loop.require_usable("run");
    if (loop.running_) throw std::logic_error("run: This event loop is already running");
    if (detail::running_mark::is_set())
        throw std::logic_error("run: Cannot run the event loop while another loop is running");
    loop.running_ = true;
    loop.thread_ = &detail::this_thread;
    mark_.emplace(loop);
}

[[gnu::cold]] inline void event_loop::check_usable(const char* what) const {
    if (closing_) detail::refuse(what, "Event loop is closed");
    if (debug_ && running_ && thread_ != &detail::this_thread)
        detail::refuse(what, "Non-thread-safe operation invoked on an event loop other than the current one; use "
                             "call_soon_threadsafe");
}

[[gnu::noinline]] inline bool event_loop::run_once(bool may_sleep) noexcept {
    if (!ready_.empty() || stopping_ || !may_sleep || outside_.has_posts())
        outside_.look(ready_, stopping_ || !may_sleep);
    else
        outside_.sleep(ready_);
    batch_.append(ready_);
    if (order_.active()) order_.shuffle(batch_);
    const bool ran = !batch_.empty();
    if (debug_ || observer_ != nullptr)
        while (detail::ready_item* item = batch_.pop()) run_watched(*item);
    while (detail::ready_item* item = batch_.pop()) run(*item);
    detail::this_thread.current = nullptr;
    return ran;
}

inline void event_loop::run(detail::ready_item& item) noexcept {
    if (item.what == detail::ready_item::kind::step) [[likely]]
        return step(item);
    detail::this_thread.current = nullptr;
    item.run(item);
}

/// Runs a step or call that debug mode reports if it holds up the loop.
[[gnu::cold]] inline void event_loop::run_watched(detail::ready_item& item) noexcept {
    char what[most_described] = "a call";
    const described_in description(*this, debug_ ? what : nullptr);
    const detail::nanoseconds_count begin = detail::steady_now();
    item.what == detail::ready_item::kind::step ? step_in_call(item) : run(item);
    const detail::nanoseconds_count took = detail::steady_now() - begin;
    if (observer_ != nullptr) observer_->ran();
    if (!debug_ || took < slow_) return;
    std::fprintf(stderr, "asynchio: executing %s took %.3f seconds\n", what, static_cast<double>(took) * 1e-9);
}

[[gnu::cold]] inline void event_loop::callback_failed() noexcept try {
    call_exception_handler({.message = "Exception in callback", .exception = std::current_exception()});
} catch (...) { // no memory for a report
}

[[gnu::cold]] inline void event_loop::never_awaited(const std::source_location& function) noexcept {
    if (!debug_ || closing_) return;
    std::fprintf(stderr, "asynchio: task '%s' was never awaited\n  created at: %s:%u\n", function.function_name(),
                 function.file_name(), static_cast<unsigned>(function.line()));
}

/// Drops what is ready. Calls see closing() and drop their callables without calling them; steps are forgotten.
[[gnu::cold]] inline void event_loop::drop_ready() noexcept {
    batch_.append(ready_);
    while (detail::ready_item* item = batch_.pop())
        if (item->what == detail::ready_item::kind::call) item->run(*item);
}

[[gnu::cold]] inline void event_loop::shut() noexcept {
    if (detail::exchange(closing_, true)) return;
    outside_.close(ready_);
    drop_ready();
    outside_.timers.expire(detail::far_future, ready_);
    drop_ready();
    if (hooks_ != nullptr) hooks_->destroy(*this);
    services_.destroy();
    drop_ready();
    outside_.timers.clear();
}

} // namespace asynchio

#pragma GCC visibility pop
