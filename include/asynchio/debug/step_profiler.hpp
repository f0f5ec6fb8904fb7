// SPDX-License-Identifier: BSL-1.0
#pragma once

// The exact profiler: it measures each step, where the sampling one looks now and then.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/debug/detail/tool_of_loop.hpp>
#include <asynchio/debug/function_name.hpp>
#include <asynchio/loop/clock.hpp>
#include <asynchio/loop/detail/step_observer.hpp>
#include <asynchio/task/current_task.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <new>
#include <ostream>
#include <source_location>
#include <stdexcept>
#include <unordered_map>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio::debug {

/// The steps that began at one line: of a `co_await` from which coroutines went on, or of a function for its first steps.
///
/// Threads: a plain value.
/// See also: step_profiler.
struct step_profile {
    /// The line; its line is 0 for calls that are no step of a task.
    std::source_location from;
    /// How many steps there were.
    std::uint64_t steps = 0;
    /// The time in all of them.
    duration time{0};
    /// The longest of them.
    duration longest{0};
};

namespace detail {

/// Adds the steps of a loop to a table.
class step_counter final : public asynchio::detail::step_observer {
    using nanoseconds_count = asynchio::detail::nanoseconds_count;

public:
    using table = std::unordered_map<const void*, step_profile>; // by the compiler's object for the place

    step_counter(asynchio::detail::loop_core& loop, std::shared_ptr<table> counts)
        : loop_(loop), counts_(std::move(counts)) {
        loop_.add_observer(*this);
    }
    ~step_counter() override { loop_.remove_observer(*this); }

    void begins(const asynchio::detail::ready_item&, nanoseconds_count now) noexcept override {
        began_ = now;
        from_ = std::source_location();
    }
    void steps(const asynchio::detail::ready_item& task) noexcept override {
        if (from_.line() == 0) from_ = asynchio::detail::frame::of(task.resume_point).where();
    }
    void ran(nanoseconds_count now) noexcept override {
        if (began_ == 0) return; // it began in this step
        const duration took(now - asynchio::detail::exchange(began_, nanoseconds_count(0)));
        const void* const key = __builtin_bit_cast(const void*, from_);
        if (last_ == nullptr || key != last_key_) {
            try {
                last_ = &(*counts_)[key];
            } catch (const std::bad_alloc&) { // the table lacks this step
                return;
            }
            last_key_ = key;
            last_->from = from_;
        }
        ++last_->steps;
        last_->time += took;
        last_->longest = std::max(last_->longest, took);
    }

private:
    asynchio::detail::loop_core& loop_;
    std::shared_ptr<table> counts_;
    nanoseconds_count began_ = 0;
    std::source_location from_;
    const void* last_key_ = nullptr;
    step_profile* last_ = nullptr; // the row of the last step, which is often that of the next
};

} // namespace detail

/// A profiler that measures each step of a loop, for the line where the step began: how many steps, the time in them, and
/// the longest one. What a step calls counts for its line.
///
/// Behaviour: it measures from the step in which it is made until it is stopped, destroyed, or the loop is closed; what it
/// has counted stays.
/// Threads: the thread that runs the loop.
/// Lifetime: it may outlive the loop.
/// Cost: a reading of the clock and some 150 instructions for each step. The sampling profiler costs less, and sees other
/// time than that of steps.
/// Differs from Python: cProfile's place; it counts steps, not calls.
/// Example: `aio::debug::step_profiler p; co_await work(); p.print(std::cout);`
/// See also: profiler, trace, event_loop::metrics.
class step_profiler {
public:
    /// Begins to measure the running loop.
    /// @throws std::logic_error without a running loop, or if that has a step_profiler already; std::bad_alloc.
    step_profiler() {
        asynchio::detail::loop_core& loop = asynchio::detail::running_core();
        counter_ = loop.services().get<detail::tool_of_loop<detail::step_counter>>().shared;
        if (*counter_)
            throw std::logic_error("step_profiler: this loop has one already; stop or destroy that one first");
        *counter_ = std::make_unique<detail::step_counter>(loop, counts_);
        measures_ = counter_->get();
    }
    step_profiler(const step_profiler&) = delete;
    step_profiler& operator=(const step_profiler&) = delete;
    ~step_profiler() { stop(); }

    /// Ends measuring; a second call does nothing.
    void stop() noexcept {
        if (measures_ != nullptr && counter_->get() == measures_) counter_->reset();
        measures_ = nullptr;
    }

    /// Returns what was counted, the line with the most time first.
    std::vector<step_profile> profiles() const {
        std::vector<step_profile> all;
        all.reserve(counts_->size());
        for (const auto& [key, each] : *counts_) all.push_back(each);
        std::sort(all.begin(), all.end(), [](const step_profile& a, const step_profile& b) { return a.time > b.time; });
        return all;
    }

    /// Prints a table: steps, the time in them in milliseconds, their share, the longest one, function, file and line.
    /// @param out where it prints.
    void print(std::ostream& out) const {
        using asynchio::detail::formatted;
        const auto milliseconds = [](duration d) { return std::chrono::duration<double, std::milli>(d).count(); };
        const std::vector<step_profile> all = profiles();
        duration sum{0};
        for (const step_profile& each : all) sum += each.time;
        out << "     steps        ms   share   longest  line where the step began\n";
        for (const step_profile& each : all) {
            out << formatted("%10llu %9.3f  %5.1f%% %9.3f  ", static_cast<unsigned long long>(each.steps),
                             milliseconds(each.time),
                             100.0 * static_cast<double>(each.time.count()) /
                                 static_cast<double>(std::max<std::int64_t>(sum.count(), 1)),
                             milliseconds(each.longest));
            if (each.from.line() == 0)
                out << "(calls)\n";
            else
                out << function_name(each.from) << ' ' << each.from.file_name() << ':' << each.from.line() << '\n';
        }
    }

private:
    const std::shared_ptr<detail::step_counter::table> counts_ = std::make_shared<detail::step_counter::table>();
    detail::tool_of_loop<detail::step_counter>::place counter_;
    const detail::step_counter* measures_ = nullptr;
};

} // namespace asynchio::debug

#pragma GCC visibility pop
