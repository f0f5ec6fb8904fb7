// SPDX-License-Identifier: BSL-1.0
#pragma once

// The event loop: it runs what is ready, in order, and sleeps until a timer, a descriptor, a signal or another thread
// has work for it. This is what users see of it; the mechanism is loop_core.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/loop/callback.hpp>
#include <asynchio/loop/clock.hpp>
#include <asynchio/loop/detail/exception_handler.hpp>
#include <asynchio/loop/detail/loop_core.hpp>
#include <asynchio/loop/detail/running_mark.hpp>
#include <asynchio/loop/detail/task_creator.hpp>
#include <asynchio/loop/loop_ref.hpp>
#include <asynchio/loop/run_options.hpp>

#include <cstddef>
#include <cstdlib>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

template<class T>
class future;
class event_loop;
struct loop_metrics;

namespace detail {
loop_core& core_of(event_loop& loop) noexcept;
event_loop& loop_of(scheduler& core) noexcept;
} // namespace detail

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
class event_loop final : private detail::loop_core, public detail::task_creator<event_loop> {
public:
    /// Makes a loop. @param options its policies. @throws std::system_error when the system has no descriptors left.
    explicit event_loop(run_options options = {}) : loop_core(options) {}
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
        return detail::access::make<callback_handle>(*call);
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

    /// Runs until stop(). If all tasks wait and nothing can wake them any more (there is no timer, descriptor, signal
    /// handler, job of a thread or loop_ref of another thread), it says so to the exception handler, once, and sleeps on,
    /// since a thread may hold the loop itself, which the loop cannot know.
    /// @throws std::logic_error when this loop, or another one on this thread, is running; deadlock_error, instead of that
    /// report, in virtual time.
    void run_forever() {
        const running_scope scope(*this);
        do run_once(true);
        while (!stopping_);
        stopping_ = false;
        if (detail::exchange(deadlocked_, false)) throw deadlock_error(describe_deadlock());
    }

    /// Runs until a task, handle or future is done. @return its result. @throws its exception, or std::runtime_error if
    /// stop() came first: it stays pending and can be run again.
    template<class X>
    decltype(auto) run_until_complete(X&& x); // task/run_until_complete.hpp

    // Guest mode: a host, which has a main loop of its own, waits for native_handle() and next_deadline(), and then calls
    // run_ready(). Between the calls it may use the loop as a callback does, such as create_task(), and set futures. The
    // loop belongs to the host's thread. A host may have several loops. Nothing is reported as a deadlock.
    // The end of a runner waits for the tasks that are left without the host, which cancels those that wait for it before.

    /// Returns a descriptor that is readable when a descriptor, a signal or a post of another thread has something for
    /// run_ready(); all else is told by next_deadline(). It stays the loop's, which closes it in close(): the host ends
    /// its watch before.
    /// @throws std::logic_error when the loop is closed, and for poller_kind::poll; std::system_error.
    int native_handle() {
        require_usable("native_handle");
        const int found = descriptor_for_host();
        if (found < 0)
            throw std::logic_error(
                "native_handle: poller_kind::poll has no descriptor; make the loop with poller_kind::epoll");
        return found;
    }

    /// Returns the time at which the host calls run_ready() at the latest: the present, or a time before it, if something
    /// is ready; nothing while only native_handle() can tell of work. The host asks after each run_ready(), and after code
    /// of its own that used the loop. In virtual time, which jumps in run_ready(), a timer is ready at once.
    std::optional<time_point> next_deadline() const noexcept {
        if (closing_) return std::nullopt;
        if (is_due()) return time();
        if (outside_.in_virtual_time() || outside_.timers.empty()) return std::nullopt;
        return time_point(duration(outside_.timers.next_deadline()));
    }

    /// Runs what is ready, and what becomes ready by that, without waiting; stop() ends it after the current iteration.
    /// Exceptions of callbacks and tasks go to the exception handler, as ever. When it is called in a callback or task,
    /// where a nested main loop runs, it runs nothing, returns false, and reports that once to the exception handler.
    /// @param max_iterations the maximum, so that the host has its turn. @return whether something is left that is ready.
    /// @throws std::logic_error when the loop is closed, when it runs on another thread, and in debug mode on another
    /// thread than the host's.
    inline bool run_ready(std::size_t max_iterations = 128);

    /// Ends run_forever after the current iteration; before it, the next run_forever makes one iteration.
    void stop() noexcept { loop_core::stop(); }

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

    /// Sets debug mode: what looks like a mistake of the program is reported, such as a long step, a task that was never
    /// awaited, tasks that wait for locks of each other, and a server that is dropped while it is open. Calls from a wrong
    /// thread throw. Dumps and call graphs say for how long a task has waited, and who holds the lock for which it waits.
    void set_debug(bool on) noexcept { debug_ = on; }
    /// Whether the loop is in debug mode.
    bool debug() const noexcept { return debug_; }
    /// Sets `handler(event_loop&, const exception_context&)`, which gets what debug mode reports, on the thread of the
    /// loop; nullptr restores the default, which prints to stderr. If the environment has ASYNCHIO_DEBUG=2, the first
    /// report is printed, too, and the process aborts.
    template<class Handler>
    void set_report_handler(Handler&& handler) {
        report_handler_.set(std::forward<Handler>(handler));
    }
    /// Sets the duration from which on debug mode reports steps and calls, look-ups of names, and how long a call has
    /// waited for a thread of a pool; it is 100 ms at first.
    void set_slow_callback_duration(duration limit) noexcept { slow_ = limit.count(); }

    /// Sets the duration from which on debug mode reports a task that still waits, once for each wait; a report comes up to
    /// a sixteenth of it late. At first it is 0, which stands for no limit: it is common that a task waits for long.
    void set_slow_wait_duration(duration limit) noexcept { slow_wait_ = limit.count(); }

    /// Returns what the loop has counted.
    loop_metrics metrics(); // debug/metrics.hpp
    /// Begins, or ends, to measure where the loop's time goes.
    void set_metrics(bool on); // debug/metrics.hpp

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

    // Other threads, and what the loop has

    /// Returns a copyable reference that other threads may hold.
    loop_ref ref() const noexcept {
        return detail::access::make<loop_ref>(outside_.mailbox, const_cast<event_loop*>(this));
    }
    /// Returns how many timers are set.
    std::size_t pending_timers() const noexcept { return outside_.timers.size(); }
    /// Returns how many descriptors are watched.
    std::size_t watched_descriptors() const noexcept { return outside_.descriptors.size(); }

private:
    friend detail::task_creator<event_loop>;
    friend detail::loop_core& detail::core_of(event_loop& loop) noexcept;
    friend event_loop& detail::loop_of(detail::scheduler& core) noexcept;

    template<class... X>
    auto create_task_at(const std::source_location& line, X&&... x); // task/create_task.hpp

    template<class F, class... Args>
    timer_handle call_at_count(detail::nanoseconds_count at, bool due, F&& f, Args&&... args) {
        require_usable("call_later or call_at");
        detail::require_callable(f, "call_later or call_at");
        auto* call =
            detail::make_callback<detail::timed_callback>(*this, std::forward<F>(f), std::forward<Args>(args)...);
        auto handle = detail::access::make<timer_handle>(
            *call); // holds the count that becomes the loop's, should add_timer throw
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

    inline void callback_failed() noexcept override;
    inline void report(std::string message, std::string source, const std::source_location& created) noexcept override;
    inline void report_deadlock() noexcept override;
    inline std::string describe_deadlock();

    inline void report_nested() noexcept;

    detail::exception_handler handler_;
    detail::exception_handler report_handler_;
    bool nested_reported_ = false;
};

namespace detail {

/// Returns the loop as the modules above it see it.
inline loop_core& core_of(event_loop& loop) noexcept { return loop; }
/// Returns the loop to which a core belongs.
inline event_loop& loop_of(scheduler& core) noexcept { return static_cast<event_loop&>(core); }
/// Returns the core of the loop that runs on this thread. @throws std::logic_error when there is none.
inline loop_core& running_core() {
    if (this_thread.running == nullptr) [[unlikely]]
        no_running_loop();
    return static_cast<loop_core&>(*this_thread.running);
}

} // namespace detail

/// Returns the loop that runs on this thread. @throws std::logic_error when there is none.
inline event_loop& get_running_loop() { return detail::loop_of(detail::running_core()); }

[[gnu::cold]] inline void event_loop::callback_failed() noexcept try {
    call_exception_handler({.message = "Exception in callback", .exception = std::current_exception()});
} catch (...) { // no memory for a report
}

inline bool event_loop::run_ready(std::size_t max_iterations) {
    require_usable("run_ready");
    if (detail::running_mark::is_set()) {
        if (!detail::exchange(nested_reported_, true)) report_nested();
        return false;
    }
    const running_scope scope(*this);
    loop_core::run_ready(max_iterations);
    return is_due();
}

[[gnu::cold]] inline void event_loop::report_nested() noexcept try {
    call_exception_handler({.message = "run_ready was called in a callback or task of a loop, and ran nothing: a main "
                                       "loop that is nested there waits for that callback to return"});
} catch (...) { // no memory for a report
}

[[gnu::cold]] inline void event_loop::report(std::string message, std::string source,
                                             const std::source_location& created) noexcept {
    const exception_context what{.message = std::move(message), .source = std::move(source), .created = created};
    report_handler_.call(*this, what);
    if (!detail::aborts_at_report()) return;
    if (!report_handler_.is_default()) detail::print_exception_context(what);
    std::abort();
}

[[gnu::cold]] inline std::string event_loop::describe_deadlock() {
    std::string lines;
    std::size_t count = 0;
    char line[most_described];
    for (detail::frame* each = nullptr; (each = hooks().describe_after(*this, each, line, sizeof line)) != nullptr;) {
        ++count;
        lines += "\n  ";
        lines += line;
    }
    return detail::formatted("deadlock: all %zu tasks wait and nothing can wake them", count) + lines;
}

[[gnu::cold]] inline void event_loop::report_deadlock() noexcept try {
    std::string text = describe_deadlock();
    text += "\n  (a thread that is going to wake one holds a loop_ref, or it is not seen)";
    call_exception_handler({.message = std::move(text)});
} catch (...) { // no memory for a report
}

} // namespace asynchio

#pragma GCC visibility pop
