// SPDX-License-Identifier: BSL-1.0
#pragma once

// Awaiting a blocking call that runs in a worker thread.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/closure_check.hpp>
#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/core/outcome.hpp>
#include <asynchio/loop/context.hpp>
#include <asynchio/task/suspension.hpp>
#include <asynchio/task/take.hpp>
#include <asynchio/thread/default_pool.hpp>
#include <asynchio/thread/run_in_executor.hpp>

#include <coroutine>
#include <exception>
#include <optional>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// The type of abandon_on_cancel.
///
/// Threads: a plain value.
struct abandon_on_cancel_t {
    explicit abandon_on_cancel_t() = default;
};
/// The first argument of to_thread() for jobs that own all they touch: a cancelled call leaves a running job behind.
inline constexpr abandon_on_cancel_t abandon_on_cancel{};

namespace detail {

/// The job is part of the awaiting coroutine, which therefore waits for the thread whatever happens.
template<class F, class... Args>
class [[nodiscard("to_thread does nothing until it is awaited")]] to_thread_awaiter final : public suspension,
                                                                                            private pool_job,
                                                                                            private ready_item {
    using call = thread_call<F, Args...>;
    using result = typename call::result;

public:
    /// @param core of the pool; the loop's default pool if it is null.
    template<class G, class... Given>
    explicit to_thread_awaiter(counted_ptr<pool_core> core, G&& f, Given&&... args)
        : ready_item(&arrived), call_(std::in_place, std::forward<G>(f), std::forward<Given>(args)...),
          core_(std::move(core)) {}
    to_thread_awaiter(to_thread_awaiter&& other)
        : suspension(), pool_job(), ready_item(&arrived), call_(std::move(other.call_)), core_(std::move(other.core_)) {
    }
    to_thread_awaiter& operator=(to_thread_awaiter&&) = delete;
    ~to_thread_awaiter() override {
        if (state_ == state::given) wait_outside();
    }

    static bool await_ready() noexcept { return false; }

    /// A refusal of the pool is reported by await_resume, whose exceptions nothrow() catches.
    template<class Promise>
    bool await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        auto& loop = running_core();
        try {
            if (!core_) core_ = default_pool::of(loop).core();
            box_ = loop_of(loop).ref();
            context_ = inherited_context();
            core_->submit(*this);
        } catch (...) {
            outcome_.set_error(std::current_exception(), false);
            return false;
        }
        state_ = state::given;
        loop.expect_post();
        park(awaiting, where);
        return true;
    }

    result await_resume() {
        if (cancelled_) throw cancelled_error(std::move(message_));
        if (state_ != state::idle) resumed();
        return std::move(outcome_).value();
    }

    const char* waiting_for() const noexcept override { return "thread"; }

    /// Withdraws a job that is queued. A running job is asked to stop and waited for.
    cancel_reply cancel(const shared_text& message) noexcept override {
        if (state_ != state::given) return cancel_reply::refused;
        if (core_->withdraw(*this)) {
            state_ = state::over;
            core_of(*box_.get()).post_arrived();
            return cancel_reply::left;
        }
        call_->request_stop();
        cancelled_ = true;
        message_ = message;
        return cancel_reply::forwarded;
    }

private:
    enum class state : unsigned char { idle, given, over };

    /// Runs on the worker.
    void run() noexcept override {
        {
            const context_scope inside(&context_);
            call_->run(outcome_);
        }
        // Once posted, the loop may resume and destroy all this at any moment.
        const loop_ref box = box_;
        const counted_ptr<pool_core> core = core_;
        if (!access::post(box, *this)) core->tell_end(refused_);
    }

    /// Runs on the loop.
    static void arrived(ready_item& item) noexcept {
        auto& self = static_cast<to_thread_awaiter&>(item);
        self.state_ = state::over;
        if (self.queued != 0) [[unlikely]]
            report_queue(core_of(*self.box_.get()), *self.core_, self.queued);
        core_of(*self.box_.get()).post_arrived();
        if (self.parked()) self.wake();
    }

    /// Waits for a running job whose loop was closed: it may refer to what is about to be destroyed.
    void wait_outside() noexcept {
        if (core_->withdraw(*this)) return;
        call_->request_stop();
        core_->wait_for_end(refused_);
    }

    std::optional<call> call_;
    outcome<result> outcome_;
    context_slot context_; // a copy of the awaiting task's context
    shared_text message_;
    counted_ptr<pool_core> core_;
    loop_ref box_;
    state state_ = state::idle;
    bool cancelled_ = false;
    bool refused_ = false;
};

} // namespace detail

/// Awaitable: calls `f(args...)` in a thread of the loop's default pool. Callable and arguments are copied in, or moved
/// in by take(), and passed as rvalues. If `f` takes a leading std::stop_token, it gets one (where the standard library
/// has it: libc++ before 20 needs -fexperimental-library).
///
/// @param f a callable that blocks and is not a coroutine. @param args its arguments.
/// @return the result of the call. @throws the exception of the call; std::system_error if no thread can be started.
/// Cancellation: a job that is queued never starts. A running one has stop requested and is waited for; then
/// cancelled_error is thrown. It waits because the job may refer to the awaiting coroutine.
/// Threads: `f` runs on another thread, in a copy of the caller's context (see context_var). The program must protect
/// what `f` shares with other threads.
/// Cost: no allocation, but one for a stop_token; two system calls on each side if both threads sleep.
/// Differs from Python: a cancelled call waits for the running job; see abandon_on_cancel.
/// Example: `std::string text = co_await aio::to_thread(read_file, path);`
/// See also: run_in_executor, set_default_pool.
template<class F, class... Args>
    requires(!std::is_same_v<std::decay_t<F>, abandon_on_cancel_t> &&
             !std::is_same_v<std::remove_cvref_t<F>, thread_pool>)
auto to_thread(F&& f, Args&&... args) {
    detail::check_awaited_arguments<F, Args...>();
    detail::require_callable(f, "to_thread");
    return detail::to_thread_awaiter<std::decay_t<detail::kept_t<F>>, std::decay_t<detail::kept_t<Args>>...>(
        detail::counted_ptr<detail::pool_core>(), detail::keep<F>(f), detail::keep<Args>(args)...);
}

/// Awaitable: calls `f(args...)` in a thread of `pool`; all else is as in the default pool.
///
/// @param pool the pool, which must live until its work is done. @param f a callable that blocks and is not a
/// coroutine.
/// @param args its arguments.
/// @return the result of the call.
/// @throws the exception of the call; queue_full when `pool` may queue no more, std::logic_error when it was closed.
/// Cancellation: a job that is queued never starts. A running one has stop requested and is waited for; then
/// cancelled_error is thrown.
template<class F, class... Args>
auto to_thread(thread_pool& pool, F&& f, Args&&... args) {
    detail::check_awaited_arguments<F, Args...>();
    detail::require_callable(f, "to_thread");
    return detail::to_thread_awaiter<std::decay_t<detail::kept_t<F>>, std::decay_t<detail::kept_t<Args>>...>(
        detail::access::core(pool), detail::keep<F>(f), detail::keep<Args>(args)...);
}

/// Awaitable: calls `f(args...)` in a thread of the loop's default pool, for callables that own all they touch. This is
/// asyncio's behaviour.
///
/// @param f a callable that blocks and is not a coroutine. @param args its arguments.
/// @return the result of the call. @throws the exception of the call.
/// Cancellation: the call throws cancelled_error at once. A queued job never starts; a running job has stop requested
/// and ends by itself, and its result is dropped.
/// Cost: two allocations.
template<class F, class... Args>
auto to_thread(abandon_on_cancel_t, F&& f, Args&&... args) {
    detail::check_awaited_arguments<F, Args...>();
    detail::require_callable(f, "to_thread");
    return detail::abandoned_call<std::decay_t<detail::kept_t<F>>, std::decay_t<detail::kept_t<Args>>...>(
        detail::keep<F>(f), detail::keep<Args>(args)...);
}

} // namespace asynchio

#pragma GCC visibility pop
