// SPDX-License-Identifier: BSL-1.0
#pragma once

// A computation that several threads share: its chunks, the threads that take them, and the task that waits.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/loop/context.hpp>
#include <asynchio/task/suspension.hpp>
#include <asynchio/thread/default_pool.hpp>
#include <asynchio/thread/detail/pool_core.hpp>

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <source_location>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// The threads of a loop that compute, one for each processor: those of the default pool may all be blocked.
class processor_pool final : public loop_pool {
public:
    explicit processor_pool(loop_core& loop) : loop_pool(loop, processors(), thread_pool_options()) {}

    static processor_pool& of(loop_core& loop) { return loop.services().get<processor_pool>(loop); }
};

/// The awaiter. `Body` has prepare(count), which may throw, a call with the first index of a chunk and the one behind
/// it, and result().
///
/// The chunks are taken in order from one counter, so that whichever fails, those before it have begun, and run to
/// their ends: the exception of the first one in order is the same in every run.
template<class Body>
class [[nodiscard("nothing is computed until it is awaited")]] parallel_run final : public suspension,
                                                                                    private ready_item {
public:
    /// @param chunk the size of a chunk, @param most the maximum number of threads; 0 leaves them to the run.
    /// @param core of the pool; the loop's own if it is null.
    parallel_run(Body body, std::size_t count, std::size_t chunk, std::size_t most, counted_ptr<pool_core> core)
        : ready_item(&arrived), body_(std::move(body)), count_(count), chunk_(chunk), most_(most),
          core_(std::move(core)) {}
    parallel_run(parallel_run&& other)
        : parallel_run(std::move(other.body_), other.count_, other.chunk_, other.most_, std::move(other.core_)) {}
    parallel_run& operator=(parallel_run&&) = delete;
    ~parallel_run() override {
        if (state_ == state::given) wait_outside();
    }

    bool await_ready() const noexcept { return count_ == 0; }

    /// A refusal of the pool is reported by await_resume, whose exceptions nothrow() catches.
    template<class Promise>
    bool await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        loop_core& loop = running_core();
        try {
            prepare(loop);
            submit();
        } catch (...) {
            error_ = std::current_exception();
            return false;
        }
        state_ = state::given;
        loop.expect_post();
        park(awaiting, where);
        part_ended();
        return true;
    }

    auto await_resume() {
        if (cancelled_) throw cancelled_error(std::move(message_));
        if (state_ != state::idle) resumed();
        if (error_) std::rethrow_exception(std::move(error_));
        return body_.result();
    }

    const char* waiting_for() const noexcept override { return "parallel"; }

    /// Ends at the borders of the chunks that run.
    cancel_reply cancel(const shared_text& message) noexcept override {
        if (state_ != state::given) return cancel_reply::refused;
        if (nothing_runs_after_withdrawal()) {
            state_ = state::over;
            core_of(*box_.get()).post_arrived();
            return cancel_reply::left;
        }
        cancelled_ = true;
        message_ = message;
        return cancel_reply::forwarded;
    }

private:
    enum class state : unsigned char { idle, given, over };

    struct worker final : pool_job {
        void run() noexcept override { of->work(*this); }
        parallel_run* of = nullptr;
        context_slot context; // a copy of the awaiting task's context
    };

    void prepare(loop_core& loop) {
        body_.prepare(count_);
        if (!core_) core_ = processor_pool::of(loop).core();
        if (most_ == 0 || most_ > core_->most()) most_ = core_->most();
        if (loop.outside().in_virtual_time()) most_ = 1; // everything happens in one order then
        // Small enough that one slow chunk does not hold up the others, and large enough that the counter costs nothing.
        constexpr std::size_t chunks_of_thread = 32;
        if (chunk_ == 0) chunk_ = count_ / most_ / chunks_of_thread;
        if (chunk_ == 0) chunk_ = 1;
        chunks_ = count_ / chunk_ + (count_ % chunk_ != 0 ? 1 : 0);
        if (most_ > chunks_) most_ = chunks_;
        workers_ = std::make_unique<worker[]>(most_);
        box_ = loop_of(loop).ref();
    }

    /// Passes a job for each thread to the pool; as many as it takes, but at least one.
    void submit() {
        parts_.store(most_ + 1, std::memory_order_relaxed);
        for (; given_ < most_; ++given_) {
            worker& each = workers_[given_];
            each.of = this;
            each.context = inherited_context();
            try {
                core_->submit(each);
            } catch (...) {
                if (given_ == 0) throw;
                parts_.fetch_sub(most_ - given_, std::memory_order_relaxed);
                return;
            }
        }
    }

    /// Runs on the loop.
    static void arrived(ready_item& item) noexcept {
        auto& self = static_cast<parallel_run&>(item);
        self.state_ = state::over;
        core_of(*self.box_.get()).post_arrived();
        if (self.parked()) self.wake();
    }

    /// Runs on the workers.
    void work(worker& self) noexcept {
        {
            const context_scope inside(&self.context);
            while (!stopped_.load(std::memory_order_relaxed)) {
                const std::size_t index = next_.fetch_add(1, std::memory_order_relaxed);
                if (index >= chunks_) break;
                const std::size_t first = index * chunk_;
                try {
                    body_(first, count_ - first < chunk_ ? count_ : first + chunk_);
                } catch (...) {
                    failed(index);
                }
            }
        }
        part_ended();
    }

    void failed(std::size_t index) noexcept {
        const std::lock_guard lock(error_mutex_);
        stopped_.store(true, std::memory_order_relaxed);
        if (error_ && failed_ < index) return;
        error_ = std::current_exception();
        failed_ = index;
    }

    /// Stops the computation. @return whether no worker is in it, so that none will post.
    bool nothing_runs_after_withdrawal() noexcept {
        stopped_.store(true, std::memory_order_relaxed);
        std::size_t count = 0;
        for (std::size_t i = 0; i < given_; ++i)
            if (core_->withdraw(workers_[i])) ++count;
        return parts_.fetch_sub(count, std::memory_order_acq_rel) == count;
    }

    /// The last part to end posts. Once it has, the loop may destroy all this at any moment.
    void part_ended() noexcept {
        if (parts_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
        const loop_ref box = box_;
        const counted_ptr<pool_core> core = core_;
        if (!access::post(box, *this)) core->tell_end(refused_);
    }

    /// Waits for running chunks when the loop was closed: they refer to what is about to be destroyed.
    void wait_outside() noexcept {
        if (!nothing_runs_after_withdrawal()) core_->wait_for_end(refused_);
    }

    Body body_;
    std::size_t count_;
    std::size_t chunk_;
    std::size_t most_;
    counted_ptr<pool_core> core_;
    std::size_t chunks_ = 0;
    std::unique_ptr<worker[]> workers_;
    std::size_t given_ = 0; // workers whose job the pool has, or had
    loop_ref box_;
    std::mutex error_mutex_;
    std::exception_ptr error_;
    std::size_t failed_ = 0; // the chunk that threw it
    shared_text message_;
    std::atomic<std::size_t> parts_ =
        0;                              // that have not ended: each worker is one, and the loop's thread, which submits
    std::atomic<std::size_t> next_ = 0; // the chunk that the next worker takes
    std::atomic<bool> stopped_ = false;
    state state_ = state::idle;
    bool cancelled_ = false;
    bool refused_ = false;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
