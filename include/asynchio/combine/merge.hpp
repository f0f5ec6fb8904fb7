// SPDX-License-Identifier: BSL-1.0
#pragma once

// Merging several streams of values into one.

#include <asynchio/combine/detail/ordered_results.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/core/awaitable.hpp>
#include <asynchio/core/detail/owner.hpp>
#include <asynchio/core/detail/range.hpp>
#include <asynchio/task/async_generator.hpp>

#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

/// The size of the buffer of merge(): how many items may wait beyond one for each source.
///
/// Threads: a plain value.
/// Example: `merge(buffered(16), std::move(a), std::move(b))`
struct buffered {
    /// @param n the number of items.
    constexpr explicit buffered(std::size_t n) noexcept : items(n) {}
    /// The number of items.
    std::size_t items;
};

namespace detail {

template<class T>
class merging final : public ordered_results<std::remove_cvref_t<T>> {
public:
    merging(std::vector<async_generator<T>> sources, std::size_t buffer) noexcept
        : ordered_results<std::remove_cvref_t<T>>("merge"), sources_(std::move(sources)), buffer_(buffer) {}

    void start() {
        for (async_generator<T>& each : sources_) this->launch(pump(each));
    }

private:
    /// Passes on the items of one source. It goes on when its item is among the first `buffer_` that wait, or was
    /// taken.
    task<> pump(async_generator<T>& source) {
        auto body = [this, &source]() -> task<> {
            while (auto item = co_await source.next()) {
                const std::size_t place = this->append(own_item<T>(item));
                if (this->stopping()) co_return; // the item came in spite of the request to end
                while (place >= this->taken() && place - this->taken() >= buffer_) co_await this->room();
            }
        };
        co_await with(source, body);
    }

    std::vector<async_generator<T>> sources_;
    std::size_t buffer_;
};

template<class R>
concept generator_range = range<R> && is_async_generator<range_value_t<R>>;

} // namespace detail

/// Merges several streams into one, which yields items as they come.
///
/// Behaviour: it begins with the first next(). Each source then runs in a task of its own, up to one item ahead, and
/// further while fewer items wait than the buffer allows. It ends when all sources have ended. The first failure of a
/// source cancels the others; items that came before it are still yielded, then next() throws the failure.
///
/// @param buffer how many items may wait beyond one for each source.
/// @param sources a range of async_generators, which is moved from.
/// @return an async_generator of all items.
/// Cancellation: cancelling a task that waits in next() ends it: the sources are cancelled, closed and waited for.
/// aclose() does that, too: after leaving it through `with`, nothing of it runs any more. Either throws a failure that
/// next() has not thrown, also one of a source's cleanup; it takes the place of the cancellation, as in a task_group.
/// Threads: the thread of the loop.
/// Lifetime: it owns the sources. What their bodies refer to must live until it has ended.
/// Cost: a task for each source; an item passes a queue. Items of sources of references are copied.
/// Differs from Python: asyncio has nothing like it; libraries of streams call it merge.
/// Example: `auto all = merge(std::move(a), std::move(b)); while (auto tick = co_await all.next()) show(*tick);`
/// See also: map_unordered, async_generator.
template<detail::generator_range Range>
auto merge(buffered buffer, Range&& sources) {
    using source = detail::range_value_t<Range>;
    using T = typename source::value_type;
    std::vector<source> all;
    for (auto&& each : sources) all.push_back(std::move(each));
    return detail::stream_of(detail::make_owner<detail::merging<T>>(std::move(all), buffer.items));
}

/// Merges streams that are passed one by one: `merge(buffered(4), std::move(a), std::move(b))`.
/// @param buffer how many items may wait beyond one for each source.
/// @param first an async_generator. @param rest others of its type. @return an async_generator of all items.
template<class T, class... Rest>
auto merge(buffered buffer, async_generator<T>&& first, Rest&&... rest) {
    static_assert((std::is_same_v<std::remove_cvref_t<Rest>, async_generator<T>> && ...),
                  "merge takes async_generators of one type; a buffer stands in front: merge(buffered(n), a, b)");
    static_assert((!std::is_lvalue_reference_v<Rest> && ...), "merge takes its sources over: write std::move(source)");
    std::vector<async_generator<T>> all;
    all.push_back(std::move(first));
    if constexpr ((std::is_same_v<Rest, async_generator<T>> && ...)) (all.push_back(std::forward<Rest>(rest)), ...);
    return detail::stream_of(detail::make_owner<detail::merging<T>>(std::move(all), buffer.items));
}

/// Refuses a source that is not passed with std::move.
template<class T, class... Rest>
async_generator<T> merge(buffered, async_generator<T>&, Rest&&...) {
    static_assert(detail::always_false<T>, "merge takes its sources over: write std::move(source)");
    return {};
}

/// Merges the streams of a range without a buffer: each source may be one item ahead.
/// @param sources a range of async_generators, which is moved from. @return an async_generator of all items.
template<detail::generator_range Range>
auto merge(Range&& sources) {
    return asynchio::merge(buffered(0), std::forward<Range>(sources));
}
/// Merges streams that are passed one by one, without a buffer: each source may be one item ahead.
/// @param first an async_generator. @param rest others of its type. @return an async_generator of all items.
template<class T, class... Rest>
auto merge(async_generator<T>&& first, Rest&&... rest) {
    return asynchio::merge(buffered(0), std::move(first), std::forward<Rest>(rest)...);
}
/// Refuses a source that is not passed with std::move.
template<class T, class... Rest>
auto merge(async_generator<T>& first, Rest&&... rest) {
    return asynchio::merge(buffered(0), first, std::forward<Rest>(rest)...);
}

} // namespace asynchio

#pragma GCC visibility pop
