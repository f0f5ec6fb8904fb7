// SPDX-License-Identifier: BSL-1.0
#pragma once

// The thread of a watchdog, and its place in the loop that it watches.

#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/debug/detail/native_stack.hpp>
#include <asynchio/debug/detail/probe.hpp>
#include <asynchio/debug/detail/report_limit.hpp>
#include <asynchio/debug/detail/system_call.hpp>
#include <asynchio/debug/detail/task_snapshot.hpp>
#include <asynchio/debug/stall_report.hpp>
#include <asynchio/debug/watchdog_options.hpp>
#include <asynchio/loop/detail/native_thread.hpp>
#include <asynchio/loop/event_loop.hpp>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <exception>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#pragma GCC visibility push(default)

namespace asynchio::debug::detail {

using asynchio::detail::nanoseconds_count;

/// The thread of a watchdog, and what it shares with the loop. It never wakes the loop: it reads the iteration counter,
/// and whether the loop sleeps. While the loop does not run, it touches neither the loop nor its thread.
class watch final : public asynchio::detail::counted_object<watch>, private probe {
public:
    using reporter = std::function<void(const stall_report&)>;

    watch(loop_core& loop, duration limit, watchdog_options options, reporter tell, bool gives_way)
        : mailbox_(loop.outside().mailbox), limit_(limit.count()), options_(options), tell_(std::move(tell)),
          gives_way_(gives_way) {
        ++mailbox_->silent;
    }
    ~watch() {
        withdraw();
        --mailbox_->silent;
    }

    /// Starts the thread. @throws std::system_error if the system has none left.
    void start() {
        auto own = share();
        thread_ = asynchio::detail::native_thread(&run_thread, own.get());
        static_cast<void>(own.release());
    }
    /// Ends the thread; a second call does nothing.
    void stop() noexcept {
        if (stopping_.exchange(true) || !process_.is_here()) return;
        {
            const std::lock_guard lock(mutex_);
            changed_.notify_all();
        }
        thread_.join();
    }
    bool stopped() const noexcept { return stopping_; }
    /// Whether it ends when the program makes a watchdog of its own.
    bool gives_way() const noexcept { return gives_way_; }

    /// Called on the thread of the loop, when that begins to run.
    void began(loop_core& loop) {
        if (!process_.is_here()) return;
        unblock();
        native_stack::warm_up();
        const std::lock_guard lock(mutex_);
        loop_ = &loop;
        state_ = &asynchio::detail::this_thread;
        thread_id_ = static_cast<int>(::syscall(SYS_gettid));
        pthread_getcpuclockid(pthread_self(), &processor_clock_);
        restart(loop.iterations(), asynchio::detail::steady_now());
        watching_ = true;
        changed_.notify_all();
    }
    /// Called on the thread of the loop, when that ends to run.
    void ended() noexcept {
        if (!process_.is_here()) return;
        watching_ = false; // also ends a wait for an answer
        const std::lock_guard lock(mutex_);
    }

private:
    static constexpr nanoseconds_count patience = 2'000'000'000; // for the answer to a signal

    enum class phase : unsigned char { idle, asked, answering, answered, missed };

    static void* run_thread(void* self) {
        asynchio::detail::name_this_thread("watchdog", 1);
        const asynchio::detail::counted_ptr<watch> own(static_cast<watch*>(self));
        own->run();
        return nullptr;
    }

    void run() noexcept {
        const nanoseconds_count period = limit_ / 4 > 100'000 ? limit_ / 4 : 100'000;
        std::unique_lock lock(mutex_);
        while (!stopping_) {
            if (!watching_) {
                changed_.wait(lock, [this] { return stopping_ || watching_; });
                continue;
            }
            const nanoseconds_count before = asynchio::detail::steady_now();
            changed_.wait_for(lock, duration(period));
            if (stopping_ || !watching_) continue;
            const nanoseconds_count now = asynchio::detail::steady_now();
            if (now - before > period + limit_) // the process was stopped, or the system asleep
                restart(loop_->iterations(), now);
            else if (look(now)) {
                lock.unlock();
                report();
                lock.lock();
            }
        }
    }

    /// Begins to measure. The rest of a stall that was noticed is none of its own.
    void restart(std::uint64_t iteration, nanoseconds_count now) noexcept {
        noticed_ = noticed_ && iteration == iteration_;
        iteration_ = iteration;
        since_ = now;
        processor_since_ = processor_now();
    }
    nanoseconds_count processor_now() const noexcept {
        timespec used{};
        ::clock_gettime(processor_clock_, &used);
        return nanoseconds_count(used.tv_sec) * 1'000'000'000 + used.tv_nsec;
    }

    /// @return whether there is something to report, of which the code that runs is taken then.
    bool look(nanoseconds_count now) {
        const std::uint64_t iteration = loop_->iterations();
        if (mailbox_->asleep() || iteration != iteration_) {
            restart(iteration, now);
            return false;
        }
        if (noticed_ || now - since_ < limit_) return false;
        noticed_ = true;
        if (!limit_of_reports_.allows(now)) return false;
        late_ = now - since_;
        processor_time_ = processor_now() - processor_since_;
        if (!take_code()) return false;
        limit_of_reports_.note(now);
        return true;
    }

    /// @return false if the iteration has ended meanwhile.
    bool take_code() {
        note_ = nullptr;
        stack_.depth = 0;
        const thread_files files(thread_id_);
        asleep_ = files.sleeps(call_);
        return asleep_ && !options_.interrupt_system_calls ? read_asleep(files) : ask();
    }

    /// Reads the task of a thread that sleeps: if it has not run between two looks at it, all that was read was still.
    bool read_asleep(const thread_files& files) {
        for (int tries = 0; tries < 10; ++tries) {
            blocked_call later;
            const long long switches = files.switches();
            if (!files.sleeps(call_)) return ask();
            code_.read(*state_, *loop_, true);
            if (files.sleeps(later) && switches >= 0 && files.switches() == switches)
                return code_.runs != task_snapshot::code::outside && loop_->iterations() == iteration_;
        }
        code_.runs = task_snapshot::code::unknown;
        note_ = "the task is not known: the thread makes many short system calls";
        return loop_->iterations() == iteration_;
    }

    /// Has the thread tell what it runs, by a signal.
    bool ask() {
        code_.runs = task_snapshot::code::unknown;
        if (!is_installed()) {
            note_ = "the functions are not known: the program has replaced the handler of the watchdog's signal";
            return true;
        }
        phase_.store(phase::asked, std::memory_order_release);
        if (!send_to(thread_id_)) {
            phase_ = phase::idle;
            return false;
        }
        const nanoseconds_count end = asynchio::detail::steady_now() + patience;
        const auto waits = [this, end] {
            return phase_ == phase::asked && watching_ && !stopping_ && loop_->iterations() == iteration_ &&
                   asynchio::detail::steady_now() < end;
        };
        while (waits()) pause();
        phase expected = phase::asked;
        if (phase_.compare_exchange_strong(expected, phase::idle)) {
            note_ = "the functions are not known: the thread does not answer the watchdog's signal; does it block it?";
            return watching_ && !stopping_ && loop_->iterations() == iteration_;
        }
        while (phase_.load(std::memory_order_acquire) == phase::answering) pause();
        return phase_.exchange(phase::idle, std::memory_order_acquire) == phase::answered;
    }
    static void pause() noexcept {
        const timespec moment{0, 100'000};
        ::nanosleep(&moment, nullptr);
    }

    /// Called in the thread of the loop. A signal that comes late, when the iteration is over, does nothing.
    void answer(const siginfo_t&) noexcept override {
        phase expected = phase::asked;
        if (!phase_.compare_exchange_strong(expected, phase::answering)) return;
        const bool in_time = watching_ && state_ == &asynchio::detail::this_thread && state_->running == loop_ &&
                             loop_->iterations() == iteration_;
        if (in_time) {
            code_.read(*state_, *loop_, true);
            const char* const limit = state_->stack_limit;
            stack_.take(limit != nullptr ? limit + asynchio::detail::stack_slack : nullptr);
        }
        phase_.store(in_time ? phase::answered : phase::missed, std::memory_order_release);
    }

    void report() noexcept try {
        stall_report made;
        made.late = duration(late_);
        made.processor_time = duration(processor_time_);
        made.what = name_of(code_);
        if (code_.runs == task_snapshot::code::task)
            for (std::size_t i = 0; i < code_.depth; ++i)
                if (is_readable(code_.lines[i])) made.awaits.push_back(code_.lines[i]);
        if (asleep_) made.system_call = describe(call_);
        made.functions = functions_of(stack_);
        if (note_ != nullptr)
            made.note = note_;
        else if (code_.runs == task_snapshot::code::task && code_.cut)
            made.note = "the chain is longer: it is shown without what awaits the last line";
        else if (!asleep_ && processor_time_ < late_ / 4)
            made.note = "other threads or processes had the processor most of the time";
        made.left_out = limit_of_reports_.take_left_out();
        tell_(made);
    } catch (const std::exception& e) {
        failed(e.what());
    } catch (...) {
        failed("an exception");
    }

    static void failed(const char* what) noexcept {
        std::fprintf(stderr, "asynchio: the report of a watchdog has failed: %s\n", what);
    }

    static std::string name_of(const task_snapshot& code) {
        using enum task_snapshot::code;
        if (code.runs == call) return "a call";
        if (code.runs == unknown) return "something";
        if (code.runs != task) return "the loop";
        if (code.branch) return "a part of a task";
        if (code.name_length > 0) return {code.name, code.name_length};
        return asynchio::detail::formatted("Task-%u", static_cast<unsigned>(code.id));
    }

    const asynchio::detail::counted_ptr<asynchio::detail::mailbox> mailbox_;
    const nanoseconds_count limit_;
    const watchdog_options options_;
    const reporter tell_;
    const bool gives_way_;
    asynchio::detail::process_mark process_;
    asynchio::detail::native_thread thread_;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::atomic<bool> stopping_ = false;
    std::atomic<bool> watching_ = false; // whether the loop runs, and all of this is valid
    loop_core* loop_ = nullptr;
    const thread_state* state_ = nullptr;
    int thread_id_ = 0;
    clockid_t processor_clock_{};

    // The thread of the watchdog has these; the first one is read by the signal's handler, too.
    std::uint64_t iteration_ = 0;
    nanoseconds_count since_ = 0;
    nanoseconds_count processor_since_ = 0;
    bool noticed_ = false; // whether the stall of this iteration was reported, or left out
    report_limit limit_of_reports_;

    // What is to be reported. While `phase_` says that it is asked, the signal's handler has it.
    std::atomic<phase> phase_ = phase::idle;
    nanoseconds_count late_ = 0;
    nanoseconds_count processor_time_ = 0;
    bool asleep_ = false;
    const char* note_ = nullptr;
    blocked_call call_;
    task_snapshot code_;
    native_stack stack_;
};

/// Tells the watch of a loop when the loop begins and ends to run.
class loop_watch final : public asynchio::detail::service {
public:
    void close() noexcept override {}
    bool closed() const noexcept override { return true; }

    static void on_run(loop_core& loop, bool begins) noexcept {
        loop_watch* const kept = loop.services().find<loop_watch>();
        if (kept == nullptr || !kept->dog || kept->dog->stopped()) return;
        if (begins)
            kept->dog->began(loop);
        else
            kept->dog->ended();
    }

    asynchio::detail::counted_ptr<watch> dog;
};

/// Sets the watch of a loop that runs on this thread.
[[gnu::cold]] inline asynchio::detail::counted_ptr<watch>
set_watch(loop_core& loop, duration limit, watchdog_options options, watch::reporter tell, bool gives_way) {
    if (limit.count() <= 0)
        throw std::invalid_argument("watchdog: the limit is not a time to wait; it has to be more than 0");
    loop_watch& kept = loop.services().get<loop_watch>();
    if (kept.dog && !kept.dog->stopped()) {
        if (!kept.dog->gives_way())
            throw std::logic_error("watchdog: this loop has a watchdog already; destroy that one first");
        kept.dog->stop();
    }
    asynchio::detail::counted_ptr<watch> made(new watch(loop, limit, options, std::move(tell), gives_way));
    made->began(loop);
    made->start();
    kept.dog = made;
    asynchio::detail::run_hook nobody = nullptr;
    asynchio::detail::told_of_runs.compare_exchange_strong(nobody, &loop_watch::on_run);
    return made;
}

} // namespace asynchio::debug::detail

#pragma GCC visibility pop
