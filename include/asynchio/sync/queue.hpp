// SPDX-License-Identifier: BSL-1.0
#pragma once

// A queue between tasks: first in, first out.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/detail/ring_buffer.hpp>
#include <asynchio/core/detail/steady.hpp>
#include <asynchio/sync/detail/basic_queue.hpp>

#include <cstddef>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

/// A store from which the oldest item comes out first.
template<class T>
class fifo_store {
public:
    std::size_t size() const noexcept { return items_.size(); }
    void push(T&& value) { items_.emplace_back(std::move(value)); }
    template<class R>
    R pop() {
        R taken(std::move(items_.front().get()));
        items_.drop_front();
        return taken;
    }
    auto take_all() noexcept { return detail::exchange(items_, {}); }

private:
    ring_buffer<steady<T>> items_;
};

} // namespace detail

/// A queue that passes items from tasks that put to tasks that get, the oldest first.
///
/// Behaviour: `get()` waits while the queue is empty, `put()` while it has `maxsize` items; else neither suspends.
/// Waiting tasks are woken in the order of arrival, one for each item or free place, and run in the next iteration; the
/// item is taken then, unless a task that came meanwhile was quicker. After `shutdown()` nothing goes in, and what is
/// in the queue can be drained. `join()` waits until `task_done()` was called for every item.
/// Cancellation: a cancelled put() puts nothing, a cancelled get() or next() takes nothing; the place or item that the
/// task was woken for goes to the next.
/// Threads: the thread of the loop.
/// Lifetime: the queue must outlive the tasks that wait. `T` may be move-only and needs no default constructor; its
/// destructor must not use the queue that it is in.
/// Cost: no allocation but for room, which grows by doubling and is kept; an item whose moves may throw is kept in a
/// block of its own, so that nothing is lost.
/// Differs from Python: there is `next()`; the items have one type, `T`.
/// Example: `while (auto job = co_await jobs.next()) { co_await work(*job); jobs.task_done(); }`
/// See also: lifo_queue, priority_queue, semaphore.
template<class T>
class queue : public detail::basic_queue<T, detail::fifo_store<T>> {
public:
    using detail::basic_queue<T, detail::fifo_store<T>>::basic_queue;
};

} // namespace asynchio

#pragma GCC visibility pop
