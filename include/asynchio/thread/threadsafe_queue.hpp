// SPDX-License-Identifier: BSL-1.0
#pragma once

// A queue that passes data from threads to a loop, back, and from loop to loop.

#include <asynchio/core/detail/closure_check.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/loop/clock.hpp>
#include <asynchio/task/take.hpp>
#include <asynchio/thread/detail/threadsafe_queue_awaiters.hpp>
#include <asynchio/thread/detail/threadsafe_queue_core.hpp>

#include <chrono>
#include <cstddef>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// A bounded queue between threads and tasks of any number of loops. A putter waits while the queue is full.
///
/// Behaviour: first in, first out. Tasks and blocked threads wait in one line on each side, first come, first served,
/// without barging. A task runs in the iteration after it was woken. After shutdown() nothing goes in, pending puts get
/// queue_shut_down, and what is in the queue can still be taken; then get() throws queue_shut_down, and next() and
/// blocking_next() return an empty optional.
///
/// Cancellation: a put that is cancelled while it waits puts nothing in; if the queue had taken its item before the
/// request came, the item stays in. A get that is cancelled takes nothing: its turn passes to the next in line.
/// Threads: any. A `T` is moved under a lock and must not use the queue meanwhile. Calls named blocking_... throw on a
/// thread that runs a loop: they would block it. In virtual time a task that waits here does not hold the clock; a
/// to_thread job that it waits for as well does.
/// Lifetime: the destructor shuts the queue down and wakes all that wait in it. Calls must not begin any more then.
/// Cost: a mutex, which a put or get holds for a few instructions; one allocation when the queue is made, none for each
/// item (but those of the buffer, which grows up to the maxsize, and one for each item whose move may throw); a system
/// call only to wake a thread or loop that sleeps.
/// Differs from Python: it is always bounded; asyncio's Queue belongs to one loop, queue.Queue only blocks.
/// Example: `while (auto line = co_await lines.next()) handle(*line);`
/// See also: to_thread, loop_ref::call_soon_threadsafe.
template<class T>
class threadsafe_queue {
    static_assert(std::is_object_v<T> && !std::is_const_v<T> && std::is_move_constructible_v<T>,
                  "what goes through a threadsafe_queue is an object that can be moved");
    using core = detail::threadsafe_queue_core<T>;

public:
    using value_type = T;

    /// Makes an empty queue.
    /// @param maxsize the maximum number of items, at least 1. @throws std::invalid_argument for 0.
    explicit threadsafe_queue(std::size_t maxsize) : core_(make(maxsize)) {}
    threadsafe_queue(const threadsafe_queue&) = delete;
    threadsafe_queue& operator=(const threadsafe_queue&) = delete;
    ~threadsafe_queue() { shutdown(); }

    // Any thread

    /// Returns the maximum number of items.
    std::size_t maxsize() const noexcept { return core_->maxsize; }
    /// Returns the number of items. Other threads may have changed it before the caller looks at it.
    std::size_t size() const {
        const std::lock_guard lock(core_->mutex);
        return core_->size();
    }
    /// Whether shutdown() was called.
    bool is_shut_down() const {
        const std::lock_guard lock(core_->mutex);
        return core_->is_shut_down();
    }

    /// Shuts the queue down: nothing goes in any more, and all that wait in vain are woken. A second call changes
    /// nothing.
    /// @param immediate whether the items that are in the queue are dropped, also after an earlier shutdown; else they
    /// can still be taken. An item for which a getter has been woken is that getter's.
    void shutdown(bool immediate = false) noexcept {
        {
            const std::lock_guard lock(core_->mutex);
            core_->shut_down();
        }
        if (immediate) core::drop_unclaimed(core_);
    }

    /// Puts an item in if there is room, without waiting.
    /// @return whether it was put; if not, `item` is untouched.
    /// @throws queue_shut_down after shutdown(); exceptions of moving the item.
    bool try_put(T&& item) { return offer(std::move(item)); }
    /// Puts a copy of an item in if there is room, without waiting.
    /// @return whether it was put. @throws queue_shut_down after close(); exceptions of copying the item.
    bool try_put(const T& item)
        requires std::is_copy_constructible_v<T>
    {
        return offer(item);
    }

    /// Takes the first item that was not promised to a waiting getter, without waiting.
    /// @return the item, or nothing if there is none. @throws queue_shut_down once shut down and drained.
    std::optional<T> try_get() {
        const std::lock_guard lock(core_->mutex);
        if (core_->has_item()) return core_->template take<std::optional<T>>();
        if (core_->drained()) throw queue_shut_down();
        return std::nullopt;
    }

    /// Puts an item in without waiting. @throws queue_full if there is no room, queue_shut_down after shutdown():
    /// `item` is as it was then; exceptions of moving the item.
    void put_nowait(T&& item) {
        if (!offer(std::move(item))) throw queue_full();
    }
    /// Puts a copy of an item in without waiting. @throws queue_full, queue_shut_down as above; exceptions of copying.
    void put_nowait(const T& item)
        requires std::is_copy_constructible_v<T>
    {
        if (!offer(item)) throw queue_full();
    }

    /// Takes the first item that was not promised to a waiting getter, without waiting. @return the item.
    /// @throws queue_empty if there is none, queue_shut_down once shut down and drained.
    T get_nowait() {
        const std::lock_guard lock(core_->mutex);
        if (core_->has_item()) return core_->template take<T>();
        if (core_->drained()) throw queue_shut_down();
        throw queue_empty();
    }

    // Tasks

    /// Awaitable: waits for its turn and for room, and puts an item in.
    /// @param item it is copied or moved into the awaiter at once.
    /// @throws queue_shut_down after shutdown(), also while it waits.
    /// Cancellation: the item is not put, unless the queue had taken it before the request came.
    template<class U = T>
    detail::threadsafe_put<T> put(U&& item) {
        detail::check_awaited_arguments<U>();
        static_assert(std::is_constructible_v<T, detail::kept_t<U>>, "put: a T cannot be made from what is put");
        return detail::threadsafe_put<T>(core_, core::store(detail::keep<U>(item)));
    }

    /// Awaitable: waits for its turn and for an item, and takes the first one.
    /// @return the item. @throws queue_shut_down once shut down and drained.
    /// Cancellation: takes nothing; the turn passes to the next in line.
    detail::threadsafe_get<T, false> get() noexcept { return detail::threadsafe_get<T, false>(core_); }

    /// Awaitable: waits for its turn and for an item, and takes the first one.
    /// @return the item, or nothing once the queue is shut down and drained.
    /// Cancellation: takes nothing; the turn passes to the next in line.
    detail::threadsafe_get<T, true> next() noexcept { return detail::threadsafe_get<T, true>(core_); }

    // Threads without a loop; where one runs they throw std::logic_error

    /// Blocks until the item was put in.
    /// @throws queue_shut_down after shutdown(), also while it waits; std::logic_error on a thread that runs a loop.
    void blocking_put(T item) {
        require_no_loop("blocking_put", "put()");
        auto held = core::store(std::move(item));
        core::put_until(core_, held, detail::far_future);
    }

    /// Blocks until the item was put in, or the time is up.
    /// @param item if it is not put, it has its value again afterwards. @param limit the maximum time, by the steady
    /// clock.
    /// @return whether the item was put.
    /// @throws queue_shut_down after shutdown(), also while it waits; std::logic_error on a thread that runs a loop.
    template<class Rep, class Period>
    bool blocking_put_for(T&& item, std::chrono::duration<Rep, Period> limit) {
        require_no_loop("blocking_put_for", "wait_for(put(), ...)");
        if constexpr (core::boxed) {
            static_assert(std::is_move_assignable_v<T>, "blocking_put_for: an item that comes back must be assignable");
            auto held = core::store(std::move(item));
            try {
                if (core::put_until(core_, held, deadline(limit))) return true;
            } catch (...) {
                item = std::move(held->value);
                throw;
            }
            item = std::move(held->value);
            return false;
        } else {
            return core::put_until(core_, item, deadline(limit));
        }
    }
    /// Blocks until a copy of the item was put in, or the time is up.
    /// @param item what is copied. @param limit the maximum time, by the steady clock.
    /// @return whether the copy was put. @throws queue_shut_down, std::logic_error as above.
    template<class Rep, class Period>
    bool blocking_put_for(const T& item, std::chrono::duration<Rep, Period> limit)
        requires std::is_copy_constructible_v<T>
    {
        require_no_loop("blocking_put_for", "wait_for(put(), ...)");
        auto held = core::store(item);
        return core::put_until(core_, held, deadline(limit));
    }

    /// Blocks until there is an item, and takes it.
    /// @return the item.
    /// @throws queue_shut_down once shut down and drained; std::logic_error on a thread that runs a loop.
    T blocking_get() {
        require_no_loop("blocking_get", "get()");
        return core::template get_until<T, false>(core_, detail::far_future);
    }

    /// Blocks until there is an item, and takes it.
    /// @return the item, or nothing once the queue is shut down and drained.
    /// @throws std::logic_error on a thread that runs a loop.
    std::optional<T> blocking_next() {
        require_no_loop("blocking_next", "next()");
        return core::template get_until<std::optional<T>, true>(core_, detail::far_future);
    }

    /// Blocks until there is an item, or the time is up, and takes it.
    /// @param limit the maximum time, by the steady clock.
    /// @return the item, or nothing when the time is up.
    /// @throws queue_shut_down once shut down and drained; std::logic_error on a thread that runs a loop.
    template<class Rep, class Period>
    std::optional<T> blocking_get_for(std::chrono::duration<Rep, Period> limit) {
        require_no_loop("blocking_get_for", "wait_for(get(), ...)");
        return core::template get_until<std::optional<T>, false>(core_, deadline(limit));
    }

private:
    static detail::counted_ptr<core> make(std::size_t maxsize) {
        if (maxsize == 0) throw std::invalid_argument("threadsafe_queue: the maxsize must be at least 1");
        return detail::counted_ptr<core>(new core(maxsize));
    }
    static void require_no_loop(const char* call, const char* instead) {
        if (detail::this_thread.running == nullptr) return;
        throw std::logic_error(std::string("threadsafe_queue: ") + call +
                               " would block the event loop that runs on this thread; use co_await " + instead);
    }
    template<class Rep, class Period>
    static detail::nanoseconds_count deadline(std::chrono::duration<Rep, Period> limit) {
        return detail::later(detail::steady_now(), detail::to_nanoseconds(limit));
    }

    template<class U>
    bool offer(U&& item) {
        const std::lock_guard lock(core_->mutex);
        if (core_->is_shut_down()) throw queue_shut_down();
        if (!core_->has_room()) return false;
        core_->insert_from(std::forward<U>(item));
        return true;
    }

    detail::counted_ptr<core> core_;
};

} // namespace asynchio

#pragma GCC visibility pop
