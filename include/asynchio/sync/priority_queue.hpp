// SPDX-License-Identifier: BSL-1.0
#pragma once

// A queue between tasks: the smallest item first.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/detail/functional.hpp>
#include <asynchio/core/detail/steady.hpp>
#include <asynchio/sync/detail/basic_queue.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

/// A store from which the smallest item comes out first, and the oldest of equal ones. It is a heap that compares
/// before it moves anything: a comparison that throws changes nothing.
template<class T, class Compare>
class priority_store {
public:
    explicit priority_store(Compare less = Compare()) : less_(std::move(less)) {}

    std::size_t size() const noexcept { return heap_.size(); }

    void push(T&& value) {
        std::size_t place = heap_.size();
        while (place > 0 && less_(std::as_const(value), item(parent(place)))) place = parent(place);
        heap_.emplace_back(std::move(value), pushed_);
        ++pushed_;
        std::size_t hole = heap_.size() - 1;
        node last(std::move(heap_.back()));
        for (; hole != place; hole = parent(hole)) heap_[hole] = std::move(heap_[parent(hole)]);
        heap_[place] = std::move(last);
    }

    template<class R>
    R pop() {
        std::size_t place = place_of_last();
        R taken(std::move(heap_.front().value.get()));
        for (node moving(std::move(heap_.back()));; place = parent(place)) {
            std::swap(moving, heap_[place]);
            if (place == 0) break;
        }
        heap_.pop_back();
        return taken;
    }

    auto take_all() noexcept { return detail::exchange(heap_, {}); }

private:
    struct node {
        node(T&& given, std::uint64_t n) : value(std::move(given)), number(n) {}
        steady<T> value;
        std::uint64_t number; // in order of arrival
    };

    static std::size_t parent(std::size_t child) noexcept { return (child - 1) / 2; }
    const T& item(std::size_t at) const noexcept { return heap_[at].value.get(); }

    /// Whether the item at `a` comes out before the item at `b`.
    bool before(std::size_t a, std::size_t b) {
        return heap_[a].number < heap_[b].number ? !less_(item(b), item(a)) : less_(item(a), item(b));
    }

    /// Returns the place of the last item when the front is gone: the items above that place move up by one.
    std::size_t place_of_last() {
        const std::size_t last = heap_.size() - 1;
        for (std::size_t place = 0;;) {
            std::size_t child = 2 * place + 1;
            if (child >= last) return place;
            if (child + 1 < last && before(child + 1, child)) ++child;
            if (before(last, child)) return place;
            place = child;
        }
    }

    std::vector<node> heap_;
    std::uint64_t pushed_ = 0;
    [[no_unique_address]] Compare less_;
};

} // namespace detail

/// A queue whose smallest item comes out first, and the oldest of equal ones; all else is as with queue.
///
/// Cancellation: as with queue: no item is lost.
/// Threads: the thread of the loop.
/// Cost: put and get are O(log n).
/// Differs from Python: equal items keep their order. Unlike with std::priority_queue, the smallest item comes out
/// first, and move-only types are allowed.
/// Example: `aio::priority_queue<job, by_deadline> jobs;`
/// See also: queue.
template<class T, class Compare = std::less<T>>
class priority_queue : public detail::basic_queue<T, detail::priority_store<T, Compare>> {
    using base = detail::basic_queue<T, detail::priority_store<T, Compare>>;

public:
    /// Makes an empty queue.
    /// @param maxsize the maximum number of items; 0 stands for no limit.
    /// @param less returns whether its first argument is to come out before its second.
    explicit priority_queue(std::size_t maxsize = 0, Compare less = Compare())
        : base(maxsize, detail::priority_store<T, Compare>(std::move(less))) {}
};

} // namespace asynchio

#pragma GCC visibility pop
