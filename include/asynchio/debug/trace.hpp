// SPDX-License-Identifier: BSL-1.0
#pragma once

// A trace of a loop: every step of every task, as slices that Perfetto and chrome://tracing show.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/debug/detail/tool_of_loop.hpp>
#include <asynchio/debug/detail/trace_file.hpp>
#include <asynchio/loop/detail/step_observer.hpp>
#include <asynchio/task/current_task.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <unordered_set>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio::debug {

namespace detail {

/// Records the steps of a loop, and gives them to the file in batches.
class step_recorder final : public asynchio::detail::step_observer {
    using nanoseconds_count = asynchio::detail::nanoseconds_count;
    using ready_item = asynchio::detail::ready_item;
    using frame = asynchio::detail::frame;

public:
    step_recorder(asynchio::detail::loop_core& loop, const std::string& path, std::uint64_t most_bytes)
        : loop_(loop), file_(path, most_bytes) {
        batch_.steps.reserve(batch_size);
        loop_.add_observer(*this);
    }
    ~step_recorder() override {
        loop_.remove_observer(*this);
        if (held_ != nullptr) asynchio::detail::release(*held_);
        flush();
    }

    void begins(const ready_item& item, nanoseconds_count now) noexcept override {
        step_ = {};
        step_.began = now;
        if (loop_.iterations() != iteration_) { // what was woken in the last one runs in this one
            iteration_ = loop_.iterations();
            queued_ = 0;
            woken_before_.clear();
            woken_.swap(woken_before_);
            turn_ = 0;
        }
        step_.woken_at = woken_at(item);
    }
    void steps(const ready_item& item) noexcept override {
        if (step_.began == 0 || held_ != nullptr) return; // a call that makes several counts for the first
        auto& task = const_cast<frame&>(static_cast<const frame&>(item));
        step_.from = frame::of(task.resume_point).where();
        step_.task = task.id;
        // The count keeps the state of the task until it is known whether it has ended.
        ++task.references;
        held_ = &task;
    }

    void ran(nanoseconds_count now) noexcept override {
        if (step_.began == 0) return; // the trace began in this step
        step_.took = now - step_.began;
        const bool ended = held_ != nullptr && held_->done();
        try {
            note_woken(now);
            if (held_ != nullptr) note_name(*held_, ended);
            step_.ends = ended;
            batch_.steps.push_back(step_);
        } catch (const std::bad_alloc&) { // the trace lacks this step
        }
        if (held_ != nullptr) asynchio::detail::release(*asynchio::detail::exchange(held_, nullptr));
        if (batch_.steps.size() >= batch_size) flush();
        step_.began = 0;
    }

    void slept(nanoseconds_count, nanoseconds_count) noexcept override { flush(); }

private:
    static constexpr std::size_t batch_size = 4096;
    static constexpr std::size_t most_walked = 1000;

    /// Returns when an item was made ready, 0 if that is not known. Items run in the order in which they were queued; one
    /// that was taken back leaves a gap.
    std::int64_t woken_at(const ready_item& item) noexcept {
        constexpr std::size_t widest_gap = 8;
        for (std::size_t i = turn_; i < woken_before_.size() && i < turn_ + widest_gap; ++i)
            if (woken_before_[i].item == &item) {
                turn_ = i + 1;
                return woken_before_[i].when;
            }
        return 0;
    }
    /// Notes which tasks the step has made ready: they stand behind what was queued before it.
    void note_woken(nanoseconds_count now) {
        std::size_t place = 0;
        for (const ready_item* each = loop_.next_ready(); each != nullptr && place < most_walked; each = each->next)
            if (++place > queued_) woken_.push_back({each, now});
        queued_ = place;
        step_.ready = static_cast<std::uint32_t>(place);
    }
    void note_name(const frame& task, bool ended) {
        if (task.extra == nullptr || task.extra->name.view().empty()) return;
        if (named_.insert(task.id).second) batch_.names.emplace_back(task.id, task.extra->name.view());
        if (ended) named_.erase(task.id);
    }
    void flush() noexcept {
        if (batch_.steps.empty()) return;
        try {
            file_.give(batch_);
        } catch (const std::bad_alloc&) { // the trace lacks these steps
            batch_.steps.clear();
            batch_.names.clear();
        }
    }

    asynchio::detail::loop_core& loop_;
    trace_file file_;
    trace_batch batch_;
    traced_step step_{};
    frame* held_ = nullptr;
    std::uint64_t iteration_ = 0;
    std::size_t queued_ = 0;
    struct woken_item {
        const ready_item* item;
        std::int64_t when;
    };
    std::vector<woken_item> woken_;           // in this iteration
    std::vector<woken_item> woken_before_;    // in the one before
    std::size_t turn_ = 0;                    // the first of those that have not run
    std::unordered_set<std::uint32_t> named_; // the tasks with a name of their own that have begun and not ended
};

} // namespace detail

/// A trace of the steps of a loop, in a file that Perfetto, chrome://tracing and speedscope show: a track with a slice for
/// each step and call, a track for each task from its first step to its end, an arrow from the step that woke a task to
/// the step that it made then, and curves of how many tasks there are and how many are ready.
///
/// Behaviour: it records from the step in which it is made, until it is destroyed or the loop is closed. A thread of its
/// own writes the file, which is a whole JSON text all the time, also after the program was killed. If that thread cannot
/// keep up, or the disk is full, or the file has its maximum size, one line on stderr says what is missing, and the
/// program goes on. Arrows are left out where more than 1000 tasks are ready.
/// Threads: it is made and destroyed on the thread that runs the loop.
/// Lifetime: it may outlive the loop.
/// Cost: one thread; some 600 instructions for each step, of both threads, and 300 to 500 bytes of the file.
/// Example: `const aio::debug::trace t("trace.json");`
/// See also: profiler, tools.hpp.
class trace {
public:
    /// Begins a trace of the running loop.
    /// @param path the file, which is overwritten. @param most_bytes the maximum size of the file.
    /// @throws std::logic_error without a running loop, or if that is traced already; std::system_error if the file cannot
    /// be made.
    explicit trace(const std::string& path, std::uint64_t most_bytes = std::uint64_t(1) << 30) {
        asynchio::detail::loop_core& loop = asynchio::detail::running_core();
        recorder_ = loop.services().get<detail::tool_of_loop<detail::step_recorder>>().shared;
        if (*recorder_) throw std::logic_error("trace: this loop is traced already; destroy that trace first");
        *recorder_ = std::make_unique<detail::step_recorder>(loop, path, most_bytes);
    }
    trace(const trace&) = delete;
    trace& operator=(const trace&) = delete;
    /// Ends the trace: writes what is left, and closes the file.
    ~trace() { recorder_->reset(); }

private:
    detail::tool_of_loop<detail::step_recorder>::place recorder_;
};

} // namespace asynchio::debug

#pragma GCC visibility pop
