// SPDX-License-Identifier: BSL-1.0
#pragma once

// A queue between tasks: last in, first out.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/detail/steady.hpp>
#include <asynchio/sync/detail/basic_queue.hpp>

#include <cstddef>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

/// A store from which the newest item comes out first.
template<class T>
class lifo_store {
public:
    std::size_t size() const noexcept { return items_.size(); }
    void push(T&& value) { items_.emplace_back(std::move(value)); }
    template<class R>
    R pop() {
        R taken(std::move(items_.back().get()));
        items_.pop_back();
        return taken;
    }
    auto take_all() noexcept { return detail::exchange(items_, {}); }

private:
    std::vector<steady<T>> items_;
};

} // namespace detail

/// A queue whose newest item comes out first; all else is as with queue.
///
/// Cancellation: as with queue: no item is lost.
/// Threads: the thread of the loop.
/// Cost: no allocation but for room, which grows by doubling and is kept.
/// Example: `aio::lifo_queue<job> jobs(16); co_await jobs.put(job());`
/// See also: queue.
template<class T>
class lifo_queue : public detail::basic_queue<T, detail::lifo_store<T>> {
public:
    using detail::basic_queue<T, detail::lifo_store<T>>::basic_queue;
};

} // namespace asynchio

#pragma GCC visibility pop
