// SPDX-License-Identifier: BSL-1.0
#pragma once

// What holds a job of a worker thread and its loop in step.

#include <asynchio/loop.hpp>

#include <condition_variable>
#include <coroutine>
#include <mutex>
#include <source_location>
#include <utility>

namespace oracle {

/// A job waits at it until the loop lets it go on; the loop waits until the job has come there.
class gate {
public:
    /// By the job.
    void begin() {
        std::unique_lock lock(mutex_);
        begun_ = true;
        changed_.notify_all();
        changed_.wait(lock, [this] { return open_; });
    }
    /// By the loop.
    void wait_for_begin() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return begun_; });
    }
    void open() {
        const std::unique_lock lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool begun_ = false;
    bool open_ = false;
};

/// An awaitable of a job, which suspends only when that has begun.
template<class Awaiter>
class begun {
public:
    begun(Awaiter&& awaiter, gate& turn) : awaiter_(std::move(awaiter)), turn_(turn) {}

    bool await_ready() { return awaiter_.await_ready(); }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        awaiter_.await_suspend(awaiting, where);
        turn_.wait_for_begin();
    }
    decltype(auto) await_resume() { return awaiter_.await_resume(); }

private:
    Awaiter awaiter_;
    gate& turn_;
};

/// Has the end of a run wait where it closes the pool, until the threads have ended and have told the loop.
void hold_up_end_of_pool(asynchio::event_loop& loop);

} // namespace oracle
