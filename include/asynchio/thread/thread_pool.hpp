// SPDX-License-Identifier: BSL-1.0
#pragma once

// A pool of threads for blocking calls.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/closure_check.hpp>
#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/core/detail/owner.hpp>
#include <asynchio/loop/clock.hpp>
#include <asynchio/loop/context.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/take.hpp>
#include <asynchio/task/task.hpp>
#include <asynchio/thread/concurrent_future.hpp>
#include <asynchio/thread/detail/held_by_loop.hpp>
#include <asynchio/thread/detail/pool_core.hpp>
#include <asynchio/thread/detail/thread_call.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <limits>
#include <optional>
#include <stdexcept>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// The options of a thread_pool.
///
/// Threads: a plain value.
struct thread_pool_options {
    /// How long a thread that has run out of work looks for more before it sleeps. This saves waking the thread, which
    /// takes most of the time of a short job, and keeps a core busy meanwhile. The loop itself still sleeps.
    duration spin{0};
};

namespace detail {

/// The message that a pool has ended, on its way to the loop that waits for it. It deletes itself.
class pool_end final : public pool_watcher, private ready_item {
public:
    pool_end(loop_ref loop, held_future<void>& waiting) noexcept
        : ready_item(&arrived), box_(std::move(loop)), waiting_(waiting) {}

    void ended() noexcept override {
        if (!access::post(loop_ref(box_), *this)) delete this;
    }

private:
    static void arrived(ready_item& item) noexcept {
        const owner<pool_end> self(&static_cast<pool_end&>(item));
        core_of(*self->box_.get()).post_arrived();
        if (!self->waiting_.target.done()) self->waiting_.target.set_result();
        self->waiting_.let_go();
    }

    loop_ref box_;
    held_future<void>& waiting_;
};

/// A job whose result a concurrent_future gets. It deletes itself when it has run.
template<class F, class... Args>
class submitted_call final : public pool_job {
    using call = thread_call<F, Args...>;

public:
    using result = typename call::result;
    using state = concurrent_state<result>;

    template<class G, class... Given>
    explicit submitted_call(std::in_place_t, G&& f, Given&&... args)
        : call_(std::in_place, std::forward<G>(f), std::forward<Given>(args)...), state_(new state(loop_ref())),
          context_(inherited_context()) {
        if constexpr (call::can_be_asked_to_stop) {
            auto asks = make_owner<stop_at_end>(call_->stop_source_of_call());
            state_->add(*asks.release());
        }
    }

    const counted_ptr<state>& future_state() const noexcept { return state_; }

    /// Runs on the worker. A job whose future was cancelled before never begins.
    void run() noexcept override {
        const owner<submitted_call> self(this);
        if (state_->done()) return;
        outcome<result> found;
        {
            const context_scope inside(&context_);
            call_->run(found);
        }
        call_.reset();
        state_->settle([&](outcome<result>& out) {
            if (!found.error()) {
                try {
                    if constexpr (std::is_void_v<result>)
                        out.emplace();
                    else
                        out.emplace(std::move(found).value());
                    return;
                } catch (...) { // the result's move constructor
                    found.set_error(std::current_exception(), false);
                }
            }
            out.set_error(found.error(), found.cancelled());
            found.set_error(nullptr, false);
        });
    }

private:
    /// Asks the job to stop, for a future that was cancelled; does nothing once the future has its result.
    template<class Source>
    class stop_at_end_of final : public concurrent_callback {
    public:
        explicit stop_at_end_of(Source source) noexcept : source_(std::move(source)) {}
        void call() override { source_.request_stop(); }

    private:
        Source source_;
    };
    using stop_at_end = stop_at_end_of<decltype(std::declval<const call&>().stop_source_of_call())>;

    std::optional<call> call_;
    counted_ptr<state> state_;
    context_slot context_; // a copy of the context of the submitting code
};

template<class = void>
task<> close_pool(counted_ptr<pool_core> core) {
    loop_core& loop = running_core();
    const future<> ended;
    auto watcher = make_owner<pool_end>(loop_of(loop).ref(), held_by_loop::make<held_future<void>>(loop, ended));
    loop.expect_post();
    core->close(watcher.release());
    co_await ended;
    core->join();
}

} // namespace detail

/// Threads for blocking calls. A thread is started when there is work and none is idle, up to a maximum; all threads
/// are joined at the end.
///
/// Behaviour: work starts in the order in which it was submitted. Threads are named "asynchio-0", "asynchio-1", ... and
/// take no signals.
/// Threads: any thread may submit work; the owner calls the functions that end the pool.
/// Lifetime: the destructor blocks until all submitted work is done. A loop's default pool ends with the loop.
/// Cost: one lock to submit a job and one to take it; to_thread() allocates nothing.
/// Example: `aio::thread_pool pool(2); int n = co_await aio::run_in_executor(pool, count, path);`
/// See also: to_thread, run_in_executor.
class thread_pool {
public:
    /// Returns `min(32, cores + 4)`, as Python does.
    static std::size_t default_size() noexcept {
        const std::size_t cores = detail::processors();
        return cores < 28 ? cores + 4 : 32;
    }

    /// Makes a pool, and starts no thread yet.
    /// @param most the maximum number of threads, at least 1. @param options how the threads wait for work.
    /// @throws std::invalid_argument for 0.
    explicit thread_pool(std::size_t most = default_size(), thread_pool_options options = {})
        : core_(make(most, options, detail::pool_core::unbounded)) {}
    /// Makes a pool that refuses work with queue_full when all threads work and `max_queued` jobs wait for one.
    /// @param most the maximum number of threads, at least 1. @param max_queued the maximum number of jobs that wait.
    /// @param options how the threads wait for work. @throws std::invalid_argument for no threads.
    thread_pool(std::size_t most, std::size_t max_queued, thread_pool_options options = {})
        : core_(make(most, options, max_queued)) {}
    thread_pool(const thread_pool&) = delete;
    thread_pool& operator=(const thread_pool&) = delete;
    ~thread_pool() {
        core_->close();
        core_->join();
    }

    /// Returns the maximum number of threads.
    std::size_t size() const noexcept { return core_->most(); }
    /// Returns how many threads have been started, not counting those that took the place of one that had ended.
    std::size_t started() const noexcept { return core_->started(); }

    /// Calls `f(args...)` in a thread of the pool, for threads that have no loop.
    ///
    /// @param f a callable; if it takes a leading std::stop_token, it gets one. @param args its arguments. Both are
    /// copied in, or moved in by take(), and passed as rvalues.
    /// @return a concurrent_future for the result; wrap_future() makes a future of it that a task can await.
    /// Cancellation: when the future is cancelled, a queued job never runs, and is destroyed when its turn comes: until
    /// then it counts as queued. A running one has stop requested and ends by itself, and its result is dropped. Dropping
    /// the future cancels nothing.
    /// Threads: any; `f` runs in a copy of the caller's context (see context_var).
    /// @throws std::logic_error when the pool was closed, queue_full when it may queue no more.
    /// Cost: two allocations, and one for a stop_token.
    /// Example: `auto sum = pool.submit(add, 1, 2); use(sum.get());`
    template<class F, class... Args>
    auto submit(F&& f, Args&&... args) {
        detail::check_awaited_arguments<F, Args...>();
        detail::require_callable(f, "submit");
        using job = detail::submitted_call<detail::copied_t<F>, detail::copied_t<Args>...>;
        auto made = detail::make_owner<job>(std::in_place, detail::pass_on<F>(f), detail::pass_on<Args>(args)...);
        auto future = detail::access::make<concurrent_future<typename job::result>>(made->future_state());
        core_->submit(*made);
        static_cast<void>(made.release());
        return future;
    }

    /// Awaitable: takes no more work, waits without blocking the loop until the submitted work is done, and ends the
    /// threads. It makes the pool a resource for with().
    /// Cancellation: stops the waiting; the pool still takes no more work.
    template<class = void> // a template: g++ makes code of every other coroutine, also where it is not used
    task<> aclose() {
        return detail::close_pool<>(core_);
    }

private:
    friend struct detail::access;
    static detail::counted_ptr<detail::pool_core> make(std::size_t most, thread_pool_options options,
                                                       std::size_t max_queued) {
        if (most == 0) throw std::invalid_argument("thread_pool: the number of threads must be at least 1");
        return detail::counted_ptr<detail::pool_core>(new detail::pool_core(most, options.spin.count(), max_queued));
    }
    detail::counted_ptr<detail::pool_core> core_;
};

} // namespace asynchio

#pragma GCC visibility pop
