// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a loop counts and measures, as values and as text for Prometheus.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/debug/function_name.hpp>
#include <asynchio/loop/clock.hpp>
#include <asynchio/loop/detail/services.hpp>
#include <asynchio/loop/detail/step_observer.hpp>
#include <asynchio/task/current_task.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)

namespace asynchio {

/// What a loop has counted, at one moment. The first part is always there; the second part is measured between
/// `loop.set_metrics(true)` and `loop.set_metrics(false)`. It is a value.
///
/// Threads: any, as for values.
/// Example: `if (loop.metrics().longest_step > 50ms) log(loop.metrics().longest_step_at);`
/// See also: event_loop::metrics, metrics_text.
struct loop_metrics {
    /// The upper limits of the buckets of `lags`, in seconds; the last bucket has none.
    static constexpr std::array<double, 9> lag_limits = {0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5};

    /// How many iterations the loop has begun.
    std::uint64_t iterations = 0;
    /// How many tasks were made, with the parts of gather and race that run in place.
    std::uint64_t tasks_created = 0;
    /// How many tasks were cancelled, and have ended so.
    std::uint64_t tasks_cancelled = 0;
    /// How many tasks have ended with another exception.
    std::uint64_t tasks_failed = 0;
    /// How many tasks are not done.
    std::size_t tasks = 0;
    /// How many steps and calls are queued.
    std::size_t ready = 0;
    /// How many timers are set.
    std::size_t timers = 0;
    /// How many descriptors are watched.
    std::size_t descriptors = 0;
    /// How many times the system was asked for ready descriptors.
    std::uint64_t polls = 0;
    /// How many threads the pools of the loop have: the default pool, and that which resolves names.
    std::size_t pool_threads = 0;
    /// How many calls wait for one of those threads.
    std::size_t pool_queued = 0;
    /// How long a call has waited for one of those threads at most.
    duration pool_longest_wait{0};

    /// Whether the members below were measured.
    bool measured = false;
    /// How many steps of tasks, and calls, the loop has made.
    std::uint64_t steps = 0;
    /// The time in them.
    duration busy{0};
    /// The time in which the loop has slept.
    duration asleep{0};
    /// The longest of them.
    duration longest_step{0};
    /// The line from which that step went on; its line is 0 for a call.
    std::source_location longest_step_at;
    /// How many iterations took how long. A call or task that becomes ready waits for no longer than the iteration that
    /// is under way. Each bucket counts those above the limit before it.
    std::array<std::uint64_t, lag_limits.size() + 1> lags{};
    /// The time in all those iterations.
    duration lag{0};
};

namespace debug::detail {

/// Measures the steps of a loop while it is on.
class loop_meter final : public asynchio::detail::service, public asynchio::detail::step_observer {
    using nanoseconds_count = asynchio::detail::nanoseconds_count;

public:
    explicit loop_meter(asynchio::detail::loop_core& loop) noexcept : loop_(loop) {}

    void turn(bool on) noexcept {
        if (on == on_) return;
        on_ = on;
        if (!on) return loop_.remove_observer(*this);
        seen_ = {};
        seen_.measured = true;
        iteration_ = 0;
        began_ = 0;
        loop_.add_observer(*this);
    }
    const loop_metrics& seen() const noexcept { return seen_; }

    void begins(const asynchio::detail::ready_item&, nanoseconds_count now) noexcept override {
        if (loop_.iterations() != iteration_) {
            end_iteration();
            iteration_ = loop_.iterations();
            iteration_began_ = now;
        }
        began_ = now;
        at_ = std::source_location();
    }
    void steps(const asynchio::detail::ready_item& task) noexcept override {
        // The step may end the task, and its coroutine with it.
        if (at_.line() == 0) at_ = asynchio::detail::frame::of(task.resume_point).where();
    }
    void ran(nanoseconds_count now) noexcept override {
        if (began_ == 0) return; // switched on in this step
        const duration took(now - asynchio::detail::exchange(began_, nanoseconds_count(0)));
        ended_ = now;
        ++seen_.steps;
        seen_.busy += took;
        if (took <= seen_.longest_step) return;
        seen_.longest_step = took;
        seen_.longest_step_at = at_;
    }
    void slept(nanoseconds_count since, nanoseconds_count now) noexcept override {
        seen_.asleep += duration(now - since);
    }

    void close() noexcept override { turn(false); }
    bool closed() const noexcept override { return true; }

private:
    void end_iteration() noexcept {
        if (iteration_ == 0) return;
        const duration took(ended_ - iteration_began_);
        const double seconds = std::chrono::duration<double>(took).count();
        std::size_t bucket = 0;
        while (bucket < loop_metrics::lag_limits.size() && seconds > loop_metrics::lag_limits[bucket]) ++bucket;
        ++seen_.lags[bucket];
        seen_.lag += took;
    }

    asynchio::detail::loop_core& loop_;
    loop_metrics seen_;
    bool on_ = false;
    std::uint64_t iteration_ = 0; // the one under way; 0 before the first
    nanoseconds_count iteration_began_ = 0;
    nanoseconds_count began_ = 0; // of the step under way; 0 if there is none
    nanoseconds_count ended_ = 0;
    std::source_location at_;
};

} // namespace debug::detail

/// Returns what the loop has counted.
/// Threads: the thread of the loop.
/// Cost: linear in the number of tasks and of what is queued.
inline loop_metrics event_loop::metrics() {
    const auto* const meter = services().find<debug::detail::loop_meter>();
    loop_metrics all = meter != nullptr ? meter->seen() : loop_metrics();
    all.iterations = iterations();
    all.tasks_created = tasks_created();
    for (const detail::frame* each = tasks().front(); each != nullptr; each = tasks().after(*each))
        if (!each->has(detail::flag_branch)) ++all.tasks;
    all.ready = queued();
    all.timers = pending_timers();
    all.descriptors = watched_descriptors();
    all.polls = outside_.descriptors.polls;
    all.tasks_cancelled = tasks_cancelled;
    all.tasks_failed = tasks_failed;
    detail::pool_counts pools;
    services().count(pools);
    all.pool_threads = pools.threads;
    all.pool_queued = pools.queued;
    all.pool_longest_wait = duration(pools.longest_wait);
    return all;
}

/// Begins to measure where the loop's time goes, from zero, or ends that.
/// @param on whether it measures. @throws std::bad_alloc without memory; std::logic_error when the loop is closed.
/// Threads: the thread of the loop.
/// Cost: while it is on, a step takes a reading of the clock and some 150 instructions more.
inline void event_loop::set_metrics(bool on) {
    require_usable("set_metrics");
    services().get<debug::detail::loop_meter>(detail::core_of(*this)).turn(on);
}

/// Returns what a loop has counted in the text format of Prometheus, as an HTTP server at `/metrics` sends it.
/// @param loop the loop. @param name the value of the label `loop` of each metric, for a program with several loops; no
/// label if it is empty.
/// Threads: the thread of the loop.
/// Cost: that of event_loop::metrics() and of the text, some 2 kB.
/// Example: `co_await stream.write(aio::metrics_text(loop));`
/// See also: event_loop::set_metrics.
inline std::string metrics_text(event_loop& loop, std::string_view name = {}) {
    const loop_metrics all = loop.metrics();
    std::string label = name.empty() ? "" : "loop=\"";
    for (const char each : name) {
        if (each == '"' || each == '\\') label += '\\';
        if (each == '\n')
            label += "\\n";
        else
            label += each;
    }
    if (!name.empty()) label += '"';
    const std::string labels = label.empty() ? "" : detail::formatted("{%s}", label.c_str());

    std::string text;
    const auto describe = [&](const char* metric, const char* type, const char* help) {
        text += detail::formatted("# HELP asynchio_%s %s\n# TYPE asynchio_%s %s\n", metric, help, metric, type);
    };
    const auto add = [&](const char* metric, const char* type, const char* help, double value) {
        describe(metric, type, help);
        text += detail::formatted("asynchio_%s%s %.17g\n", metric, labels.c_str(), value);
    };
    const auto seconds = [](duration d) { return std::chrono::duration<double>(d).count(); };
    add("iterations_total", "counter", "Iterations of the loop.", static_cast<double>(all.iterations));
    add("tasks_created_total", "counter", "Tasks made.", static_cast<double>(all.tasks_created));
    add("tasks_cancelled_total", "counter", "Tasks that were cancelled.", static_cast<double>(all.tasks_cancelled));
    add("tasks_failed_total", "counter", "Tasks that have failed.", static_cast<double>(all.tasks_failed));
    add("tasks", "gauge", "Tasks that are not done.", static_cast<double>(all.tasks));
    add("ready", "gauge", "Steps and calls that are queued.", static_cast<double>(all.ready));
    add("timers", "gauge", "Timers that are set.", static_cast<double>(all.timers));
    add("descriptors", "gauge", "Descriptors that are watched.", static_cast<double>(all.descriptors));
    add("polls_total", "counter", "Questions to the system for ready descriptors.", static_cast<double>(all.polls));
    add("pool_threads", "gauge", "Threads of the loop's pools.", static_cast<double>(all.pool_threads));
    add("pool_queued", "gauge", "Calls that wait for a thread of them.", static_cast<double>(all.pool_queued));
    add("pool_longest_wait_seconds", "gauge", "The longest wait for such a thread.", seconds(all.pool_longest_wait));
    if (!all.measured) return text;
    add("steps_total", "counter", "Steps of tasks, and calls.", static_cast<double>(all.steps));
    add("busy_seconds_total", "counter", "Time in steps and calls.", seconds(all.busy));
    add("asleep_seconds_total", "counter", "Time in which the loop has slept.", seconds(all.asleep));
    add("longest_step_seconds", "gauge", "The longest step or call.", seconds(all.longest_step));

    describe("loop_lag_seconds", "histogram", "Time of an iteration, for which what becomes ready waits at most.");
    std::uint64_t count = 0;
    for (std::size_t i = 0; i < all.lags.size(); ++i) {
        const std::string limit =
            i < loop_metrics::lag_limits.size() ? detail::formatted("%g", loop_metrics::lag_limits[i]) : "+Inf";
        count += all.lags[i];
        text += detail::formatted("asynchio_loop_lag_seconds_bucket{%s%sle=\"%s\"} %llu\n", label.c_str(),
                                  label.empty() ? "" : ",", limit.c_str(), static_cast<unsigned long long>(count));
    }
    text += detail::formatted("asynchio_loop_lag_seconds_sum%s %.17g\n", labels.c_str(), seconds(all.lag));
    text += detail::formatted("asynchio_loop_lag_seconds_count%s %llu\n", labels.c_str(),
                              static_cast<unsigned long long>(count));
    return text;
}

/// Returns what the running loop has counted, as above. @throws std::logic_error without a running loop.
inline std::string metrics_text() { return metrics_text(get_running_loop()); }

} // namespace asynchio

#pragma GCC visibility pop
