// SPDX-License-Identifier: BSL-1.0
#pragma once

// The sampling profiler: where the processor time of a loop goes, per coroutine and line, in any build. Tools are apart
// from asynchio.hpp; with a C library older than glibc 2.34, a program that includes this is linked with -lrt.

#include <asynchio/core/detail/failures.hpp>
#include <asynchio/core/detail/trivial_vector.hpp>
#include <asynchio/debug/detail/probe.hpp>
#include <asynchio/debug/detail/task_snapshot.hpp>
#include <asynchio/debug/function_name.hpp>
#include <asynchio/loop/detail/fork_count.hpp>
#include <asynchio/loop/event_loop.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <map>
#include <ostream>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/syscall.h>
#include <unistd.h>

#pragma GCC visibility push(default)

namespace asynchio::debug {

/// The options of a profiler.
///
/// Threads: a plain value.
/// Example: `aio::debug::profiler p({.frequency = 199});`
struct profiler_options {
    /// How many samples are taken in a second of processor time, 1 to 10,000. The kernel looks at such timers at its
    /// ticks only: there are no more samples than ticks, 250 in a second on many systems.
    unsigned frequency = 997;
    /// The maximum number of different stacks, at least 1; what comes when there is no room is counted as dropped.
    std::size_t stacks = 4'096;
};

namespace detail {

/// The samples of a profiler, in memory that is there before the first one. A signal handler adds to them; another
/// thread may read them meanwhile.
class sample_table {
public:
    struct stack {
        std::atomic<std::uint64_t> samples; // 0: nobody has the place yet
        std::uint64_t hash;
        std::size_t begin; // of its lines
        std::size_t depth;
    };

    explicit sample_table(std::size_t stacks) : stacks_(2 * stacks), room_(stacks) {
        lines_.resize(8 * stacks + task_snapshot::most_frames);
    }

    /// Counts samples of a stack, the outermost line first. It allocates nothing.
    void add(const std::source_location* lines, std::size_t depth, std::uint64_t samples) noexcept {
        const std::uint64_t hash = hash_of(lines, depth);
        for (std::size_t tries = 0, at = hash % stacks_.size(); tries < stacks_.size(); ++tries) {
            stack& each = stacks_[at];
            if (each.samples.load(std::memory_order_relaxed) == 0) return add_stack(each, hash, lines, depth, samples);
            if (each.hash == hash && holds(each, lines, depth)) {
                each.samples.fetch_add(samples, std::memory_order_relaxed);
                return;
            }
            if (++at == stacks_.size()) at = 0;
        }
    }

    /// Calls `f(lines, depth, samples)` for each stack.
    template<class F>
    void for_each(F f) const {
        for (const stack& each : stacks_)
            if (const std::uint64_t samples = each.samples.load(std::memory_order_acquire); samples != 0)
                f(lines_.data() + each.begin, each.depth, samples);
    }

    std::uint64_t dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }

private:
    static std::uint64_t hash_of(const std::source_location* lines, std::size_t depth) noexcept {
        std::uint64_t hash = 14'695'981'039'346'656'037U; // FNV-1a, a word at a time
        for (std::size_t i = 0; i < depth; ++i) {
            hash = (hash ^ __builtin_bit_cast(std::uintptr_t, lines[i])) * 1'099'511'628'211U;
            hash ^= hash >> 29;
        }
        return hash;
    }
    static bool same(const std::source_location& a, const std::source_location& b) noexcept {
        return __builtin_bit_cast(std::uintptr_t, a) == __builtin_bit_cast(std::uintptr_t, b);
    }
    bool holds(const stack& each, const std::source_location* lines, std::size_t depth) const noexcept {
        return each.depth == depth && std::equal(lines, lines + depth, lines_.data() + each.begin, &same);
    }
    void add_stack(stack& free, std::uint64_t hash, const std::source_location* lines, std::size_t depth,
                   std::uint64_t samples) noexcept {
        if (used_ == room_ || begin_ + depth > lines_.size()) {
            dropped_.fetch_add(samples, std::memory_order_relaxed);
            return;
        }
        std::copy(lines, lines + depth, lines_.data() + begin_);
        free.hash = hash;
        free.begin = begin_;
        free.depth = depth;
        begin_ += depth;
        ++used_;
        free.samples.store(samples, std::memory_order_release);
    }

    std::vector<stack> stacks_; // twice the room, so that a search is short
    asynchio::detail::trivial_vector<std::source_location> lines_;
    std::size_t room_;
    std::size_t used_ = 0;
    std::size_t begin_ = 0;
    std::atomic<std::uint64_t> dropped_ = 0;
};

} // namespace detail

/// A profiler of a loop's thread: it counts at which coroutine, and in which chain, the thread is when a part of its
/// processor time has passed.
///
/// Behaviour: between start() and stop() a timer of the kernel, which counts the processor time of the thread,
/// interrupts the thread by a signal: SIGURG, or, if the program handles that, the highest real-time signal that it
/// does not handle. A thread that sleeps is not interrupted, and interrupted system calls restart. Each sample is
/// counted for the innermost coroutine of the task that runs. The line of a coroutine is where its step began: that of
/// the co_await from which it goes on, or the function in its first step; what it calls is counted for that line. What
/// runs besides is counted as the loop itself, as calls (call_soon, timers, readers), or, where a task was just being
/// made or destroyed, as unknown.
/// Threads: it is made and started on the thread that runs the loop. Other members may be called on any, one at a time.
/// Lifetime: it may outlive the loop and the thread.
/// Cost: its memory is allocated when it is made, 128 bytes for each stack. A sample takes some microseconds, so that
/// the loop is slower by about a percent. A profiler that is not started costs nothing.
/// Differs from Python: cProfile's place, by samples.
/// Example: `aio::debug::profiler p; p.start(); co_await work(); p.stop(); p.print(std::cout);`
/// See also: watchdog, tools.hpp.
class profiler final : private detail::probe {
public:
    /// Makes a profiler of the loop that runs on this thread; it does not run yet.
    /// @param options how often it samples, and its room.
    /// @throws std::logic_error without a running loop; std::invalid_argument for a value out of range; std::bad_alloc.
    explicit profiler(profiler_options options = {})
        : options_(checked(options)), loop_(&asynchio::detail::running_core()), table_(options.stacks) {}
    profiler(const profiler&) = delete;
    profiler& operator=(const profiler&) = delete;
    /// Stops it.
    ~profiler() {
        stop();
        withdraw();
    }

    /// Begins to sample, or goes on; does nothing while it samples.
    /// @throws std::logic_error on another thread than the one that made it; std::system_error if the system has no
    /// timer left.
    void start() {
        if (running_) return;
        if (thread_ != &asynchio::detail::this_thread)
            throw std::logic_error("profiler::start: it is called on the thread that made the profiler, the loop's");
        unblock();
        sigevent event{};
        event.sigev_notify = SIGEV_THREAD_ID;
        event.sigev_signo = signal_number();
        event.sigev_value = ticket();
#if defined(sigev_notify_thread_id)
        event.sigev_notify_thread_id = static_cast<int>(::syscall(SYS_gettid));
#else
        event._sigev_un._tid = static_cast<int>(::syscall(SYS_gettid));
#endif
        if (::timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer_) != 0)
            asynchio::detail::system_refuses(errno, "profiler: timer_create");
        const timespec period = {options_.frequency == 1 ? 1 : 0,
                                 options_.frequency == 1 ? 0 : 1'000'000'000 / static_cast<long>(options_.frequency)};
        const itimerspec each{period, period};
        ::timer_settime(timer_, 0, &each, nullptr);
        process_.renew();
        running_ = true;
    }
    /// Ends sampling; does nothing if it does not sample. The samples are kept.
    void stop() noexcept {
        if (!running_) return;
        running_ = false;
        if (process_.is_here()) ::timer_delete(timer_); // a child process has no timers of its parent
    }
    /// Whether it samples.
    bool is_running() const noexcept { return running_; }

    /// Returns how many samples there are, without those that were dropped.
    std::uint64_t samples() const {
        std::uint64_t sum = loop_samples_ + call_samples_ + unknown_samples_;
        table_.for_each([&](const std::source_location*, std::size_t, std::uint64_t samples) { sum += samples; });
        return sum;
    }
    /// Returns how much processor time of the thread has passed while it sampled, up to the last sample.
    duration processor_time() const noexcept {
        return duration(static_cast<std::int64_t>(periods_) * (1'000'000'000 / options_.frequency));
    }
    /// Returns how many samples were dropped because the table was full.
    std::uint64_t dropped() const noexcept { return table_.dropped(); }

    /// Prints a table of coroutines and lines, most samples first: the samples, their share, function, file and line.
    /// @param out where it prints.
    void print(std::ostream& out) const {
        using asynchio::detail::formatted;
        std::map<std::string, std::uint64_t> counts;
        table_.for_each([&](const std::source_location* lines, std::size_t depth, std::uint64_t samples) {
            counts[place(lines[depth - 1], true)] += samples;
        });
        for_each_other([&](const char* what, std::uint64_t samples) { counts[what] += samples; });
        std::vector<std::pair<std::string, std::uint64_t>> rows(counts.begin(), counts.end());
        std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
            return a.second != b.second ? a.second > b.second : a.first < b.first;
        });
        std::uint64_t sum = 0;
        for (const auto& [what, samples] : rows) sum += samples;
        out << "   samples   share  coroutine and the line where its step began\n";
        for (const auto& [what, samples] : rows)
            out << formatted("%10llu  %5.1f%%  ", static_cast<unsigned long long>(samples),
                             100.0 * static_cast<double>(samples) / static_cast<double>(sum))
                << what << '\n';
        out << formatted("%llu samples in %.2f s of the thread's processor time\n",
                         static_cast<unsigned long long>(sum), std::chrono::duration<double>(processor_time()).count());
        if (dropped() > 0)
            out << formatted("%llu samples were dropped for room: see profiler_options::stacks\n",
                             static_cast<unsigned long long>(dropped()));
    }

    /// Writes folded stacks, which tools draw as flame graphs: a line for each chain of coroutines, the outermost
    /// first, separated by semicolons, and then the number of samples. @param out where it writes.
    void write_folded(std::ostream& out) const {
        std::map<std::string, std::uint64_t> counts;
        table_.for_each([&](const std::source_location* lines, std::size_t depth, std::uint64_t samples) {
            std::string stack;
            for (std::size_t i = 0; i < depth; ++i) stack.append(i > 0 ? ";" : "").append(place(lines[i], false));
            counts[stack] += samples;
        });
        for_each_other([&](const char* what, std::uint64_t samples) { counts[what] += samples; });
        for (const auto& [stack, samples] : counts) out << stack << ' ' << samples << '\n';
    }

private:
    static profiler_options checked(profiler_options options) {
        if (options.frequency < 1 || options.frequency > 10'000)
            throw std::invalid_argument("profiler: the frequency has to be from 1 to 10,000 in a second");
        if (options.stacks < 1) throw std::invalid_argument("profiler: it needs room for one stack at least");
        return options;
    }

    /// Called in the thread of the loop. One signal stands for all periods that have passed since the last one; it is
    /// one sample all the same, since nobody knows where the thread was in the others.
    void answer(const siginfo_t& info) noexcept override {
        periods_ += 1 + static_cast<std::uint64_t>(info.si_overrun > 0 ? info.si_overrun : 0);
        detail::task_snapshot now;
        now.read(*thread_, *loop_, false);
        using enum detail::task_snapshot::code;
        switch (now.runs) {
        case outside: return;
        case loop: ++loop_samples_; return;
        case call: ++call_samples_; return;
        case unknown: ++unknown_samples_; return;
        case task: table_.add(now.lines, now.depth, 1); return;
        }
    }

    template<class F>
    void for_each_other(F f) const {
        if (loop_samples_ > 0) f("(the loop itself)", loop_samples_);
        if (call_samples_ > 0) f("(calls)", call_samples_);
        if (unknown_samples_ > 0) f("(unknown)", unknown_samples_);
    }

    /// Returns "function file:line". @param whole whether with the folders of the file.
    static std::string place(const std::source_location& where, bool whole) {
        if (!detail::is_readable(where)) return "(unknown)";
        std::string_view file = where.file_name();
        if (!whole) file.remove_prefix(file.rfind('/') + 1); // of npos, too
        std::string text = function_name(where);
        std::replace(text.begin(), text.end(), ';', ',');
        return text.append(1, ' ').append(file).append(1, ':').append(std::to_string(where.line()));
    }

    const profiler_options options_;
    const detail::loop_core* const loop_;                                       // only compared
    const detail::thread_state* const thread_ = &asynchio::detail::this_thread; // read on that thread only
    detail::sample_table table_;
    std::atomic<std::uint64_t> periods_ = 0;
    std::atomic<std::uint64_t> loop_samples_ = 0;
    std::atomic<std::uint64_t> call_samples_ = 0;
    std::atomic<std::uint64_t> unknown_samples_ = 0;
    asynchio::detail::process_mark process_;
    timer_t timer_{};
    bool running_ = false;
};

} // namespace asynchio::debug

#pragma GCC visibility pop
