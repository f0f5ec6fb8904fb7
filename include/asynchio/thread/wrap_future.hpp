// SPDX-License-Identifier: BSL-1.0
#pragma once

// Futures of the running loop for futures that other threads complete.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/owner.hpp>
#include <asynchio/core/outcome.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/thread/concurrent_future.hpp>
#include <asynchio/thread/default_pool.hpp>
#include <asynchio/thread/detail/held_by_loop.hpp>
#include <asynchio/thread/run_in_executor.hpp>

#include <atomic>
#include <chrono>
#include <exception>
#include <stdexcept>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

/// A std::future, or a type that is used as one. <future> is not included: code that has a std::future has included it.
template<class Source>
concept blocking_future = requires(Source& source) {
    static_cast<bool>(source.valid());
    source.get();
    source.wait_for(std::chrono::seconds(0)) == decltype(source.wait_for(std::chrono::seconds(0)))::ready;
};

/// The wait for such a future, on a worker. The source is destroyed on the worker, whatever happens: the destructor of
/// a future of std::async waits for its thread.
template<class Source, class T>
class blocking_future_wait final : public executor_job {
public:
    explicit blocking_future_wait(Source&& source) noexcept : source_(std::move(source)) {}

    static future<T> start(loop_core& loop, Source&& source) {
        if (!source.valid())
            throw std::logic_error(
                "wrap_future: the std::future is empty: default-constructed, moved from, or asked before");
        future<T> made(loop_of(loop));
        const auto status = source.wait_for(std::chrono::seconds(0));
        const bool ready = status == decltype(source.wait_for(std::chrono::seconds(0)))::ready;
        auto job = make_owner<blocking_future_wait>(std::move(source));
        if (ready) {
            job->call();
            job->deliver(*access::state(made));
        } else {
            job->submit(loop, *access::state(made), default_pool::of(loop).core());
            static_cast<void>(job.release());
        }
        return made;
    }

private:
    void call() noexcept override {
        Source source = std::move(source_);
        if (unwanted_.load(std::memory_order_relaxed)) return;
        try {
            if constexpr (std::is_void_v<T>) {
                source.get();
                outcome_.emplace();
            } else {
                outcome_.emplace(source.get());
            }
        } catch (...) {
            outcome_.set_error(std::current_exception(), is_cancellation(std::current_exception()));
        }
    }
    void request_stop() noexcept override { unwanted_.store(true, std::memory_order_relaxed); }
    bool must_run() const noexcept override { return true; }
    void deliver(shared_state& c) noexcept override { complete_with(c, outcome_); }

    Source source_;
    outcome<T> outcome_;
    std::atomic<bool> unwanted_ = false;
};

/// The result of a concurrent_future on its way to a loop. It is made beforehand, so that sending needs no memory, and
/// deletes itself.
template<class T>
class followed_result final : private ready_item {
public:
    followed_result(loop_ref to, concurrent_future<T> source, held_future<T>& held) noexcept
        : ready_item(&arrived), box_(std::move(to)), source_(std::move(source)), held_(held) {}

    /// Posts the result; called on the thread that completes the future.
    static void send(owner<followed_result> self) noexcept {
        const loop_ref box = self->box_;
        if (access::post(box, *self)) static_cast<void>(self.release());
    }

private:
    static void arrived(ready_item& item) noexcept {
        const owner<followed_result> self(&static_cast<followed_result&>(item));
        const future<T> target = self->held_.target;
        self->held_.let_go();
        if (target.done() || core_of(*self->box_.get()).closing()) return;
        if (self->source_.cancelled()) {
            auto& state = static_cast<future_state<T>&>(static_cast<future_base&>(*access::state(target)));
            state.set_error(self->source_.result().error(), true);
            return state.complete();
        }
        try {
            if constexpr (std::is_void_v<T>) {
                self->source_.get();
                target.set_result();
            } else {
                target.set_result(self->source_.get());
            }
        } catch (...) {
            target.set_exception(std::current_exception());
        }
    }

    loop_ref box_;
    concurrent_future<T> source_;
    held_future<T>& held_;
};

} // namespace detail

/// Makes a future of the running loop that follows a concurrent_future. The result is copied over, through the loop's
/// mailbox; a result that comes after the loop was closed or the future cancelled is dropped.
///
/// @param source the future of another loop's task.
/// @return a future of the running loop.
/// @throws std::logic_error without a running loop, or if `source` is empty.
/// Cancellation: cancelling the one cancels the other.
/// Threads: the thread of the running loop. Virtual time does not wait for the result.
/// Example: `int n = co_await aio::wrap_future(loops.submit(count));`
/// See also: run_coroutine_threadsafe, loop_group::submit.
template<class T>
future<T> wrap_future(const concurrent_future<T>& source) {
    detail::loop_core& loop = detail::running_core();
    future<T> followed;
    followed.add_done_callback([source](const future<T>& done) {
        if (done.cancelled()) source.cancel();
    });
    auto& held = detail::held_by_loop::make<detail::held_future<T>>(loop, followed);
    try {
        auto result = detail::make_owner<detail::followed_result<T>>(detail::loop_of(loop).ref(), source, held);
        source.add_done_callback(
            [result = std::move(result)]() mutable { detail::followed_result<T>::send(std::move(result)); });
    } catch (...) {
        held.let_go();
        throw;
    }
    return followed;
}

/// Makes a future of the running loop for a std::future. A thread of the loop's default pool waits for the std::future,
/// unless it is ready already: each pending one holds a thread. A deferred function runs there.
///
/// @param source a std::future; a std::shared_future, whose value is copied; or an object of another template with
/// valid(), wait_for() and get().
/// @return a future of the running loop.
/// @throws std::logic_error without a running loop, or for a std::future that is empty.
/// Cancellation: the future is cancelled at once. The wait in the thread cannot be interrupted, so the thread stays
/// until the std::future is ready, and the result is dropped; a wait that was still queued is not begun. To have a
/// cancellation wait for the result instead: `co_await to_thread(get, std::move(f))` with a function that calls
/// `get()`.
/// Threads: the thread of the loop. In virtual time the clock stands still until the std::future is ready.
/// Lifetime: at its end the loop waits for the thread as for every job (run_options::shutdown_timeout).
/// Cost: two allocations.
/// See also: to_thread.
template<template<class> class Source, class T>
    requires detail::blocking_future<Source<T>>
future<T> wrap_future(Source<T> source) {
    static_assert(!std::is_copy_constructible_v<Source<T>> || std::is_void_v<T> || std::is_reference_v<T> ||
                      std::is_copy_constructible_v<T>,
                  "wrap_future copies the value of a std::shared_future");
    return detail::blocking_future_wait<Source<T>, T>::start(detail::running_core(), std::move(source));
}

} // namespace asynchio

#pragma GCC visibility pop
