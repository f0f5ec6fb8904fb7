// SPDX-License-Identifier: BSL-1.0
#pragma once

// Blocking calls in a thread of a given pool, as futures.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/closure_check.hpp>
#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/core/detail/late_value.hpp>
#include <asynchio/core/detail/owner.hpp>
#include <asynchio/core/detail/steady.hpp>
#include <asynchio/core/outcome.hpp>
#include <asynchio/loop/context.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/take.hpp>
#include <asynchio/task/task.hpp>
#include <asynchio/thread/default_pool.hpp>
#include <asynchio/thread/detail/thread_call.hpp>
#include <asynchio/thread/thread_pool.hpp>

#include <atomic>
#include <exception>
#include <stdexcept>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

class executor_jobs;

/// A job that no object owns: it is on its way to a thread, or back. The future is touched on the loop's thread only.
/// The side that sees the job last deletes it.
class executor_job : public pool_job, private ready_item, private watcher {
public:
    /// Passes the job to the pool. @throws the exceptions of the pool; the job remains the caller's then.
    void submit(loop_core& loop, shared_state& result, counted_ptr<pool_core> core);
    /// Passes a job to an executor of the program. @throws the exceptions of the executor.
    template<class Executor>
    static void execute(Executor& executor, loop_core& loop, shared_state& result, owner<executor_job> job);

    /// The job on its way through an executor of the program, which copies and destroys it as it likes. The first call
    /// runs the job. If there is none, the job fails.
    class executed {
    public:
        explicit executed(executor_job& job) : kept_(new kept(job)) {}
        void operator()() const noexcept {
            if (executor_job* const job = take()) job->run();
        }
        /// Takes the job out. @return null if it was taken before.
        executor_job* take() const noexcept { return kept_->job.exchange(nullptr, std::memory_order_acq_rel); }

    private:
        struct kept final : counted_object<kept> {
            explicit kept(executor_job& its) noexcept : job(&its) {}
            ~kept() {
                executor_job* const left = job.load(std::memory_order_relaxed);
                if (left == nullptr) return;
                left->refuse();
                left->come_back();
            }
            std::atomic<executor_job*> job;
        };
        counted_ptr<kept> kept_;
    };
    /// Detaches the job from its loop, which ends: the result is dropped.
    void orphan() noexcept {
        drop_future();
        if (withdraw()) return delete this;
        unwanted_.store(true, std::memory_order_relaxed);
        request_stop();
        if (phase_.exchange(phase::orphaned) == phase::refused) delete this;
    }

protected:
    executor_job() noexcept : ready_item(&arrived), watcher(&settled_early) {}

    virtual void call() noexcept = 0;
    virtual void request_stop() noexcept = 0;
    /// Called in place of call() if the job will never run.
    virtual void refuse() noexcept {}
    virtual void deliver(shared_state& result) noexcept = 0;
    /// Whether a worker must run the job although its future was cancelled.
    virtual bool must_run() const noexcept { return false; }

private:
    friend executor_jobs;
    enum class phase : unsigned char { out, orphaned, refused };
    struct place : list_link {
        explicit place(executor_job& j) noexcept : list_link(), job(j) {}
        executor_job& job;
    };

    void run() noexcept final {
        if (must_run() || !unwanted_.load(std::memory_order_relaxed)) call();
        come_back();
    }
    void come_back() noexcept {
        const loop_ref box = box_;
        if (access::post(box, *this)) return; // the loop frees it
        if (phase_.exchange(phase::refused) == phase::orphaned) delete this;
    }

    static void arrived(ready_item& item) noexcept {
        auto& self = static_cast<executor_job&>(item);
        if (self.queued != 0) [[unlikely]]
            report_queue(core_of(*self.box_.get()), *self.core_, self.queued);
        self.leave_loop();
        shared_state& result = *self.future_;
        result.unwatch(self);
        if (!result.done()) self.deliver(result);
        self.drop_future();
        delete &self;
    }

    /// Called when the future was cancelled, or when other code has set it.
    static void settled_early(watcher& who, shared_state&) noexcept {
        auto& self = static_cast<executor_job&>(who);
        if (!self.withdraw()) { // a thread has it, or will get it
            self.unwanted_.store(true, std::memory_order_relaxed);
            return self.request_stop();
        }
        self.leave_loop();
        self.drop_future();
        delete &self;
    }

    bool withdraw() noexcept { return !must_run() && core_ && core_->withdraw(*this); }
    void enter_loop(loop_core& loop, shared_state& result);
    void leave_loop() noexcept;
    void drop_future() noexcept {
        future_->unwatch(*this);
        release(*future_);
    }

    place place_{*this};
    executor_jobs* registry_ = nullptr;
    shared_state* future_ = nullptr;
    counted_ptr<pool_core> core_; // null in an executor of the program
    loop_ref box_;
    std::atomic<phase> phase_ = phase::out;
    std::atomic<bool> unwanted_ = false;
};

/// An object with a member execute() that takes a job, a copyable function object.
template<class E>
concept executor =
    requires(std::remove_reference_t<E>& where, const executor_job::executed& job) { where.execute(job); };

/// The jobs of a loop that are on their way.
class executor_jobs final : public service {
public:
    executor_jobs() = default;
    executor_jobs(const executor_jobs&) = delete;
    executor_jobs& operator=(const executor_jobs&) = delete;
    ~executor_jobs() override {
        while (executor_job::place* each = out.pop_front()) each->job.orphan();
    }

    void close() noexcept override {}
    bool closed() const noexcept override { return true; }

    static executor_jobs& of(loop_core& loop) { return loop.services().get<executor_jobs>(); }

    intrusive_list<executor_job::place> out;
};

inline void executor_job::enter_loop(loop_core& loop, shared_state& result) {
    registry_ = &executor_jobs::of(loop);
    box_ = loop_of(loop).ref();
    future_ = &result;
    ++result.references;
    result.watch(*this);
    registry_->out.push_back(place_);
    loop.expect_post();
}

inline void executor_job::submit(loop_core& loop, shared_state& result, counted_ptr<pool_core> core) {
    core_ = std::move(core);
    enter_loop(loop, result);
    try {
        core_->submit(*this);
    } catch (...) {
        leave_loop();
        drop_future();
        throw;
    }
}

template<class Executor>
void executor_job::execute(Executor& executor, loop_core& loop, shared_state& result, owner<executor_job> job) {
    const executed on_its_way(*job);
    executor_job& entering = *job.release();
    try {
        entering.enter_loop(loop, result);
        executor.execute(on_its_way);
    } catch (...) {
        if (executor_job* const left = on_its_way.take()) {
            if (left->registry_ != nullptr) {
                left->leave_loop();
                left->drop_future();
            }
            delete left;
        }
        throw;
    }
}

inline void executor_job::leave_loop() noexcept {
    registry_->out.remove(place_);
    core_of(*box_.get()).post_arrived();
}

/// Completes a future<T> with the outcome of a worker.
template<class T>
void complete_with(shared_state& c, outcome<T>& found) noexcept {
    auto& state = static_cast<future_state<T>&>(static_cast<future_base&>(c));
    if (found.error()) {
        state.set_error(found.error(), found.cancelled());
    } else if constexpr (std::is_void_v<T>) {
        state.emplace();
    } else {
        try {
            state.emplace(std::move(found).value());
        } catch (...) { // the result's move constructor
            state.set_error(std::current_exception(), false);
        }
    }
    state.complete();
}

template<class F, class... Args>
class executor_call final : public executor_job {
    using kept_call = thread_call<F, Args...>;
    using result = typename kept_call::result;

public:
    template<class G, class... Given>
    explicit executor_call(G&& f, Given&&... args) : call_(std::forward<G>(f), std::forward<Given>(args)...) {}

    /// Starts the call in the worker's context, as asyncio does.
    static future<result> start(loop_core& loop, const counted_ptr<pool_core>& core, F f, Args... args) {
        return submitted(loop, core, make_owner<executor_call>(std::move(f), std::move(args)...));
    }
    /// Starts the call in a copy of the caller's context.
    static future<result> start_in_context(loop_core& loop, const counted_ptr<pool_core>& core, F f, Args... args) {
        auto job = make_owner<executor_call>(std::move(f), std::move(args)...);
        job->context_.emplace(inherited_context());
        return submitted(loop, core, std::move(job));
    }
    /// Starts the call in an executor of the program.
    template<class Executor>
    static future<result> start_in(Executor& executor, loop_core& loop, F f, Args... args) {
        auto job = make_owner<executor_call>(std::move(f), std::move(args)...);
        future<result> made(loop_of(loop));
        execute(executor, loop, *access::state(made), owner<executor_job>(job.release()));
        return made;
    }

private:
    static future<result> submitted(loop_core& loop, const counted_ptr<pool_core>& core, owner<executor_call> job) {
        future<result> made(loop_of(loop));
        job->submit(loop, *access::state(made), core);
        static_cast<void>(job.release());
        return made;
    }

    void call() noexcept override {
        const context_scope inside(context_ ? &*context_ : nullptr);
        call_.run(outcome_);
    }
    void request_stop() noexcept override { call_.request_stop(); }
    void refuse() noexcept override {
        outcome_.set_error(
            std::make_exception_ptr(std::logic_error("run_in_executor: the executor has dropped the job unrun")),
            false);
    }
    void deliver(shared_state& c) noexcept override { complete_with(c, outcome_); }

    kept_call call_;
    outcome<result> outcome_;
    late_value<context_slot> context_;
};

/// The coroutine of to_thread(abandon_on_cancel, ...): the call goes to the pool when the task is awaited.
template<class F, class... Args>
task<typename thread_call<F, Args...>::result> abandoned_call(parameter<F> f, parameter<Args>... args) {
    loop_core& loop = running_core();
    co_return co_await executor_call<F, Args...>::start_in_context(loop, default_pool::of(loop).core(),
                                                                   static_cast<F&&>(f), static_cast<Args&&>(args)...);
}

} // namespace detail

/// Calls `f(args...)` in a thread of `pool`. Callable and arguments are copied in, or moved in by take(), and passed as
/// rvalues. If `f` takes a leading std::stop_token, it gets one.
///
/// @param pool the pool, which must live until its work is done; its destructor waits for that.
/// @param f the callable. @param args its arguments.
/// @return a future for the result, at once; the call begins although it is not awaited.
/// @throws std::logic_error without a running loop, or when the pool was closed; queue_full when it may queue no more;
/// std::system_error if not even one thread can be started.
/// Cancellation: when the future is cancelled, a queued job never runs. A running job has stop requested and ends by
/// itself; its result is dropped.
/// Threads: it is called on the loop's thread; `f` does not see the caller's context variables.
/// Cost: two allocations.
/// Differs from Python: it is a function, and not a member of the loop.
/// See also: to_thread, which is awaited and passes the context on.
template<class F, class... Args>
auto run_in_executor(thread_pool& pool, F&& f, Args&&... args) {
    detail::check_awaited_arguments<F, Args...>();
    detail::require_callable(f, "run_in_executor");
    return detail::executor_call<detail::copied_t<F>, detail::copied_t<Args>...>::start(
        detail::running_core(), detail::access::core(pool), detail::pass_on<F>(f), detail::pass_on<Args>(args)...);
}

/// Calls `f(args...)` in a thread of the loop's default pool; all else is as with a given pool.
///
/// @param f the callable. @param args its arguments. @return a future for the result, at once.
/// @throws std::logic_error without a running loop, or when the pool was closed.
/// Cancellation: when the future is cancelled, a queued job never runs. A running job has stop requested and ends by
/// itself; its result is dropped.
template<class F, class... Args>
    requires(!std::is_same_v<std::remove_cvref_t<F>, thread_pool> && !detail::executor<F>)
auto run_in_executor(F&& f, Args&&... args) {
    detail::check_awaited_arguments<F, Args...>();
    detail::require_callable(f, "run_in_executor");
    detail::loop_core& loop = detail::running_core();
    return detail::executor_call<detail::copied_t<F>, detail::copied_t<Args>...>::start(
        loop, detail::default_pool::of(loop).core(), detail::pass_on<F>(f), detail::pass_on<Args>(args)...);
}

/// Calls `f(args...)` where an executor of the program runs it, such as one of Asio, of TBB, or for recursive work; all
/// else is as with a given pool.
///
/// @param executor an object whose `execute(job)` has `job()` called once, on any thread; `job` is copyable.
/// @param f the callable. @param args its arguments. @return a future for the result, at once.
/// @throws std::logic_error without a running loop; the exceptions of `execute`. If the executor destroys the job and
/// has not called it, the future gets a std::logic_error.
/// Cancellation: when the future is cancelled, a job that has not begun does nothing when it is called. A running job has
/// stop requested and ends by itself; its result is dropped.
/// Lifetime: the executor must exist during this call only, and call the job or destroy it at some time.
/// Cost: three allocations beside those of the executor.
template<class Executor, class F, class... Args>
    requires detail::executor<Executor>
auto run_in_executor(Executor&& executor, F&& f, Args&&... args) {
    detail::check_awaited_arguments<Executor, F, Args...>();
    detail::require_callable(f, "run_in_executor");
    return detail::executor_call<detail::copied_t<F>, detail::copied_t<Args>...>::start_in(
        executor, detail::running_core(), detail::pass_on<F>(f), detail::pass_on<Args>(args)...);
}

} // namespace asynchio

#pragma GCC visibility pop
