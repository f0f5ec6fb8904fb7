// SPDX-License-Identifier: BSL-1.0
#pragma once

// The threads of a pool and the jobs that wait for them.

#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/core/detail/owner.hpp>
#include <asynchio/core/detail/trivial_vector.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/loop/clock.hpp>
#include <asynchio/loop/detail/fork_count.hpp>
#include <asynchio/loop/detail/intrusive_list.hpp>
#include <asynchio/loop/detail/native_thread.hpp>
#include <asynchio/thread/detail/native_condition.hpp>
#include <asynchio/thread/detail/worker_count.hpp>

#include <atomic>
#include <cstddef>
#include <limits>
#include <mutex>
#include <new>
#include <stdexcept>
#include <system_error>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Work for a thread. It is part of an object that waits for it; the pool only links it while it is queued.
class pool_job : public list_link {
public:
    pool_job() noexcept : list_link() {}
    pool_job(const pool_job&) = delete;
    pool_job& operator=(const pool_job&) = delete;

    /// The pool calls it once, on a worker, and does not touch the job afterwards.
    virtual void run() noexcept = 0;

    process_mark given_in; // the process in which the job was submitted
    /// The time at which it was queued behind others, and from its begin on how long it has waited; 0 if it need not wait.
    nanoseconds_count queued = 0;

protected:
    virtual ~pool_job() = default;
};

/// Waits for the end of a pool's threads.
class pool_watcher : public list_link {
public:
    pool_watcher() noexcept : list_link() {}
    pool_watcher(const pool_watcher&) = delete;
    pool_watcher& operator=(const pool_watcher&) = delete;

    /// The pool calls it once, on the last worker or in close(), and does not touch the watcher afterwards.
    virtual void ended() noexcept = 0;

protected:
    virtual ~pool_watcher() = default;
};

/// The state that pool and threads share. A thread that is left behind in a call that does not end keeps it alive.
///
/// In a child process it starts anew: without threads, and without the jobs of the parent.
class pool_core : public counted_object<pool_core> {
public:
    static constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();

    pool_core(std::size_t most, nanoseconds_count spin, std::size_t max_queued = unbounded) noexcept
        : most_(most), max_queued_(max_queued), spin_(spin) {
        watch_forks();
    }

    /// Queues a job. @throws std::logic_error after close(), queue_full when all threads work and as many jobs wait as
    /// may, std::system_error when not even one thread can be started.
    void submit(pool_job& job) {
        const counted_ptr<pool_core> self = share(); // job and pool may be destroyed before the thread is woken
        bool wake = false;
        notice_fork();
        job.given_in.renew();
        {
            const std::unique_lock lock(mutex_);
            if (closing_) throw std::logic_error("thread_pool: cannot take new work after shutdown");
            if (max_queued_ != unbounded && is_full()) throw queue_full();
            if (idle_ <= queued_.load(std::memory_order_relaxed) && running_ < most_ + lent_) add_thread(self);
            job.queued = idle_ > queued_.load(std::memory_order_relaxed) ? 0 : steady_now();
            jobs_.push_back(job);
            queued_.fetch_add(1, std::memory_order_release);
            wake = sleeping_ > 0;
        }
        if (wake) work_.notify_one(); // under the lock the thread would wake only to wait for it
    }

    /// Takes `job` back if no thread has begun it. @return whether it will never run.
    bool withdraw(pool_job& job) noexcept {
        if (!job.given_in.is_here()) return true;
        const std::unique_lock lock(mutex_);
        if (job.next == nullptr) return false;
        jobs_.remove(job);
        queued_.fetch_sub(1, std::memory_order_relaxed);
        return true;
    }

    /// Lets one more thread work until take_back(), in place of one that is in a call whose result is no longer
    /// awaited.
    void lend() noexcept {
        const counted_ptr<pool_core> self = share();
        const std::unique_lock lock(mutex_);
        ++lent_;
        if (closing_ || jobs_.empty()) return;
        try {
            if (sleeping_ == 0) add_thread(self);
        } catch (const std::bad_alloc&) { // the next job, or the next thread that has time, sees to it
        }
        work_.notify_one();
    }
    /// Undoes lend(); the thread of that call makes it at its end.
    void take_back() noexcept {
        const std::unique_lock lock(mutex_);
        --lent_;
    }

    /// Lets the threads end when the queue is empty, and tells `watcher` when all have ended.
    void close(pool_watcher* watcher = nullptr) noexcept {
        notice_fork();
        {
            const std::unique_lock lock(mutex_);
            closing_ = true;
            work_.notify_all();
            if (watcher == nullptr) return;
            if (running_ != 0) return watchers_.push_back(*watcher);
        }
        watcher->ended();
    }
    bool has_ended() noexcept {
        notice_fork();
        const std::unique_lock lock(mutex_);
        return running_ == 0;
    }

    /// Blocks until the threads have ended; close() comes before.
    void join() noexcept {
        for (native_thread& each : threads_) each.join();
        threads_.clear();
    }
    /// Gives up on threads that are in a call that does not end.
    void abandon() noexcept {
        for (native_thread& each : threads_) each.detach();
        threads_.clear();
    }

    std::size_t most() const noexcept { return most_; }
    std::size_t started() noexcept {
        notice_fork();
        const std::unique_lock lock(mutex_);
        return threads_.size(); // their places are used again
    }

    /// Returns how many threads there are.
    std::size_t threads() noexcept {
        notice_fork();
        const std::unique_lock lock(mutex_);
        return running_;
    }
    /// Returns how many jobs wait for a thread.
    std::size_t queued() const noexcept { return queued_.load(std::memory_order_relaxed); }
    /// Returns for how long a job has waited for a thread at most, also one that still waits.
    nanoseconds_count longest_wait() noexcept {
        notice_fork();
        const std::unique_lock lock(mutex_);
        const pool_job* const first = jobs_.front();
        const nanoseconds_count now = first != nullptr && first->queued != 0 ? steady_now() - first->queued : 0;
        return now > longest_wait_ ? now : longest_wait_;
    }
    /// Whether a wait of a job is worth a report: it is twice as long as the one reported last, if there was one.
    bool notes_report(nanoseconds_count wait) noexcept {
        const std::unique_lock lock(mutex_);
        if (wait < 2 * reported_wait_) return false;
        reported_wait_ = wait;
        return true;
    }

    /// Whether a thread is in a job.
    bool busy() noexcept {
        notice_fork();
        const std::unique_lock lock(mutex_);
        return idle_ != running_;
    }

    // An object that waits, when its loop is gone, until a job has ended has a flag for that.

    /// Sets the flag; the job makes it at its end.
    void tell_end(bool& flag) noexcept {
        const std::unique_lock lock(mutex_);
        flag = true;
        job_ended_.notify_all();
    }
    void wait_for_end(const bool& flag) noexcept {
        std::unique_lock lock(mutex_);
        job_ended_.wait(lock, [&flag] { return flag; });
    }

private:
    bool is_full() const noexcept {
        const std::size_t working = running_ - idle_;
        const std::size_t free = most_ + lent_ > working ? most_ + lent_ - working : 0;
        return queued_.load(std::memory_order_relaxed) >= free + max_queued_;
    }
    void notice_fork() noexcept {
        if (!process_.is_here()) [[unlikely]]
            begin_anew();
    }
    /// Makes everything anew in a child process: another thread of the parent may have held the mutex, in the middle of
    /// a change of what it guards.
    [[gnu::noinline]] void begin_anew() noexcept {
        process_.renew();
        workers_alive.fetch_sub(static_cast<int>(running_), std::memory_order_relaxed);
        new (&mutex_) std::mutex;
        new (&work_) native_condition;
        new (&job_ended_) native_condition;
        new (&jobs_) intrusive_list<pool_job>;
        new (&watchers_) intrusive_list<pool_watcher>;
        new (&threads_) trivial_vector<native_thread>;
        queued_ = idle_ = sleeping_ = running_ = 0;
    }

    /// The argument of a thread; it keeps the core alive.
    struct start {
        counted_ptr<pool_core> core;
        std::size_t index;
    };
    static void* run(void* what) noexcept {
        const owner<start> self(static_cast<start*>(what));
        self->core->work(self->index);
        return nullptr;
    }
    void add_thread(const counted_ptr<pool_core>& self) {
        try {
            std::size_t place = 0;
            while (place < threads_.size() && threads_[place].started()) ++place;
            auto what = make_owner<start>(start{self, place});
            if (place == threads_.size()) threads_.push_back(native_thread());
            threads_[place] = native_thread(&run, what.get());
            static_cast<void>(what.release());
            ++running_;
            ++idle_;
            workers_alive.fetch_add(1, std::memory_order_relaxed);
        } catch (const std::system_error&) {
            if (running_ == 0) throw;
        }
    }
    /// Whether one more thread may run a job: at most `most_` threads run jobs whose results are awaited.
    bool may_work() const noexcept { return running_ - idle_ < most_ + lent_; }

    void work(std::size_t index) noexcept {
        count_worker_until_its_end();
        name_this_thread("asynchio", index);
        std::unique_lock lock(mutex_);
        for (;;) {
            if (pool_job* job = may_work() ? jobs_.pop_front() : nullptr) {
                queued_.fetch_sub(1, std::memory_order_relaxed);
                --idle_;
                if (job->queued != 0) [[unlikely]]
                    note_wait(*job);
                lock.unlock();
                job->run();
                lock.lock();
                ++idle_;
                continue;
            }
            if (closing_) break;
            if (running_ > most_ + lent_) { // the thread that it stood in for is back
                threads_[index].detach();
                break;
            }
            if (spin_ > 0 && spin(lock)) continue;
            ++sleeping_;
            work_.wait(lock);
            --sleeping_;
        }
        --idle_;
        const bool last = --running_ == 0;
        intrusive_list<pool_watcher> told;
        if (last) std::swap(told, watchers_);
        lock.unlock();
        while (pool_watcher* each = told.pop_front()) each->ended();
    }

    void note_wait(pool_job& job) noexcept {
        job.queued = steady_now() - job.queued;
        if (job.queued > longest_wait_) longest_wait_ = job.queued;
    }

    /// Looks for work without sleeping. @return whether there may be some.
    bool spin(std::unique_lock<std::mutex>& lock) noexcept {
        lock.unlock();
        const nanoseconds_count end = later(steady_now(), spin_);
        bool found = false;
        do {
            for (int i = 0; i < 64 && !found; ++i) found = queued_.load(std::memory_order_acquire) != 0;
        } while (!found && steady_now() < end);
        lock.lock();
        return !jobs_.empty() || closing_;
    }

    process_mark process_;
    std::mutex mutex_;
    native_condition work_;
    native_condition job_ended_;
    intrusive_list<pool_job> jobs_;
    std::atomic<std::size_t> queued_ = 0; // changed under the mutex
    std::size_t idle_ = 0;                // threads that run no job
    std::size_t sleeping_ = 0;
    std::size_t running_ = 0; // threads that have not ended
    std::size_t lent_ = 0;    // threads beyond the maximum, in place of those in calls that are not awaited
    const std::size_t most_;
    const std::size_t max_queued_; // jobs that wait for a thread
    const nanoseconds_count spin_;
    bool closing_ = false;
    nanoseconds_count longest_wait_ = 0;  // of a job for its thread
    nanoseconds_count reported_wait_ = 0; // the last one that debug mode has reported
    intrusive_list<pool_watcher> watchers_;
    trivial_vector<native_thread> threads_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
