// SPDX-License-Identifier: BSL-1.0
#pragma once

// The default thread pool of a loop, which is started when it is first needed, and ends with the loop.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/core/detail/owner.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/thread/thread_pool.hpp>

#include <cstdio>
#include <new>
#include <stdexcept>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

/// Reports, in debug mode, that a call has waited long for a thread of a pool.
template<class = void>
void report_queue(loop_core& loop, pool_core& pool, nanoseconds_count wait) noexcept {
    if (!loop.debug() || loop.closing() || wait < loop.slow_step() || !pool.notes_report(wait)) return;
    try {
        loop.report(formatted("a call has waited %.3f seconds for a thread of a pool that has at most %zu",
                              static_cast<double>(wait) * 1e-9, pool.most()),
                    {}, {});
    } catch (const std::bad_alloc&) { // no memory for a report
    }
}

/// Threads that end with their loop.
class loop_pool : public service {
public:
    loop_pool(loop_core& loop, std::size_t most, thread_pool_options options)
        : loop_(loop), waker_(new waker(*this)), core_(new pool_core(most, options.spin.count())) {}
    loop_pool(const loop_pool&) = delete;
    loop_pool& operator=(const loop_pool&) = delete;
    ~loop_pool() override {
        core_->close();
        if (core_->has_ended() || !given_up_)
            core_->join();
        else
            core_->abandon();
    }

    /// Has the threads end; the last one wakes the loop.
    void close() noexcept override {
        if (waker_) waker_->loop = loop_of(loop_).ref();
        core_->close(waker_.release());
    }
    bool closed() const noexcept override { return heard_of_end_; }
    /// Leaves threads behind that are in a call that does not end.
    void give_up() noexcept override {
        given_up_ = true;
        std::fputs("asynchio: a worker thread did not end in time and is left behind\n", stderr);
    }

    const counted_ptr<pool_core>& core() const noexcept { return core_; }

    void count(pool_counts& into) noexcept override {
        into.threads += core_->threads();
        into.queued += core_->queued();
        if (const nanoseconds_count wait = core_->longest_wait(); wait > into.longest_wait) into.longest_wait = wait;
    }

protected:
    bool given_up_ = false;

private:
    /// Tells the loop that the last thread has ended, and frees itself. A loop takes what was posted before its
    /// services are destroyed.
    struct waker final : pool_watcher, ready_item {
        explicit waker(loop_pool& of) noexcept : ready_item(&arrived), pool(of) {}
        void ended() noexcept override {
            if (!access::post(loop_ref(loop), *this)) delete this;
        }
        static void arrived(ready_item& item) noexcept {
            const owner<waker> self(static_cast<waker*>(&item));
            self->pool.heard_of_end_ = true;
        }
        loop_ref loop; // empty until the pool is closed: a loop to which only an idle pool refers can be deadlocked
        loop_pool& pool;
    };

    loop_core& loop_;
    bool heard_of_end_ = false;
    owner<waker> waker_; // made with the pool, so that ending it needs no memory
    counted_ptr<pool_core> core_;
};

class default_pool final : public loop_pool {
public:
    using loop_pool::loop_pool;
    explicit default_pool(loop_core& loop) : loop_pool(loop, thread_pool::default_size(), thread_pool_options()) {}

    static default_pool& of(loop_core& loop) { return loop.services().get<default_pool>(loop); }
};

} // namespace detail

/// Sets the size of the running loop's default pool. It must be called before anything uses that pool; without it, the
/// pool has thread_pool::default_size() threads.
///
/// @param most the maximum number of threads, at least 1. @param options how its threads wait for work.
/// @throws std::logic_error without a running loop, or once the pool exists; std::invalid_argument for 0.
/// Threads: the thread of the loop.
/// Cost: starts no thread; the pool does when there is work.
/// Example: `aio::set_default_pool(4);`
/// See also: to_thread, run_in_executor.
inline void set_default_pool(std::size_t most, thread_pool_options options = {}) {
    detail::loop_core& loop = detail::running_core();
    if (most == 0) throw std::invalid_argument("set_default_pool: the number of threads must be at least 1");
    if (loop.services().find<detail::default_pool>() != nullptr)
        throw std::logic_error("set_default_pool: the default pool is in use already");
    loop.services().get<detail::default_pool>(loop, most, options);
}

} // namespace asynchio

#pragma GCC visibility pop
