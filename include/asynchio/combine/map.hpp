// SPDX-License-Identifier: BSL-1.0
#pragma once

// Applying an asynchronous function to a stream of values, several at a time.

#include <asynchio/combine/detail/ordered_results.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/core/awaitable.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/core/detail/functional.hpp>
#include <asynchio/core/detail/owner.hpp>
#include <asynchio/core/detail/range.hpp>
#include <asynchio/core/detail/steady.hpp>
#include <asynchio/core/kept.hpp>
#include <asynchio/task/async_generator.hpp>
#include <asynchio/task/co_invoke.hpp>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

/// Yields the elements of a range. Elements of a range of references are copied, if they can be.
template<class V, class Range>
async_generator<V> elements(owner<heap_value<Range>> range) {
    for (auto&& each : range->value) {
        if constexpr (std::is_copy_constructible_v<V>) {
            V item(std::forward<decltype(each)>(each));
            co_yield take(item);
        } else {
            V item(std::move(each));
            co_yield take(item);
        }
    }
}

template<class Source>
auto as_stream(Source&& source) {
    using given = std::remove_cvref_t<Source>;
    if constexpr (is_async_generator<given>) {
        static_assert(!std::is_lvalue_reference_v<Source>,
                      "map_ordered and map_unordered take a stream over: write std::move(source)");
        return given(std::forward<Source>(source));
    } else {
        static_assert(range<given>, "map_ordered and map_unordered take an async_generator or a range");
        using V = range_value_t<given>;
        return elements<V>(make_heap_value<given>(std::forward<Source>(source)));
    }
}

template<class F, class V>
struct mapped {
    static_assert(std::is_invocable_v<F&, V>,
                  "the function of map_ordered or map_unordered is called with one item, as an "
                  "rvalue");
    static_assert(starts_with<F&, V>, "the function of map_ordered or map_unordered must return a task or another "
                                      "awaitable; for a plain blocking call use to_thread inside it");
    using awaited = started_result_t<F&, V>;
    using type = std::conditional_t<std::is_void_v<awaited>, std::monostate, std::remove_cvref_t<awaited>>;
};
template<class F, class V>
using mapped_t = typename mapped<F, V>::type;

/// The tasks behind map_ordered and map_unordered. If `Ordered`, an item has its place from the moment at which its
/// call begins, else from the moment at which the call ends.
template<bool Ordered, class T, class F>
class mapping final : public ordered_results<mapped_t<F, std::remove_cvref_t<T>>> {
    using V = std::remove_cvref_t<T>;
    using R = mapped_t<F, V>;

public:
    template<class G>
    mapping(async_generator<T> source, G&& f, std::size_t limit)
        : ordered_results<R>(Ordered ? "map_ordered" : "map_unordered"), source_(std::move(source)),
          f_(std::forward<G>(f)), limit_(limit) {}

    void start() { this->launch(feed()); }

private:
    task<> feed() {
        auto body = [this]() -> task<> {
            for (;;) {
                while (begun_ - this->taken() >= limit_) co_await this->room();
                auto item = co_await source_.next();
                if (!item || this->stopping()) co_return;
                ++begun_;
                const std::size_t place = Ordered ? this->reserve() : 0;
                this->launch(apply(own_item<T>(item), place));
            }
        };
        co_await with(source_, body);
    }

    task<> apply(parameter<V> item, std::size_t place) {
        if constexpr (std::is_void_v<typename mapped<F, V>::awaited>) {
            co_await detail::invoke(f_, static_cast<V&&>(item));
            put(R(), place);
        } else {
            auto&& result = co_await detail::invoke(f_, static_cast<V&&>(item));
            put(R(std::forward<decltype(result)>(result)), place);
        }
    }

    void put(R&& result, std::size_t place) {
        if constexpr (Ordered)
            this->fill(place, std::move(result));
        else
            this->append(std::move(result));
    }

    async_generator<T> source_;
    F f_;
    std::size_t limit_;
    std::size_t begun_ = 0;
};

template<bool Ordered, class Source, class F>
auto map(Source&& source, F&& f, std::size_t limit) {
    const char* name = Ordered ? "map_ordered" : "map_unordered";
    if (limit == 0) detail::refuse<std::invalid_argument>(name, "the limit must be at least 1");
    detail::require_callable(f, name);
    auto stream = as_stream(pass_on<Source>(source));
    using T = typename decltype(stream)::value_type;
    return stream_of(make_owner<mapping<Ordered, T, copied_t<F>>>(std::move(stream), pass_on<F>(f), limit));
}

} // namespace detail

/// Calls an asynchronous function for each item of a stream, several at a time, and yields the results in the order of
/// the stream.
///
/// Behaviour: it begins with the first next(). The source runs in a task of its own and each call in another; a slow
/// consumer holds them up. The first failure, of the source or of a call, cancels all others; results that are there
/// and in turn are still yielded, then next() throws the failure.
///
/// @param source an async_generator, passed with std::move, or a range, which is copied or moved in.
/// @param f is copied or moved in, called with an item as an rvalue, and returns a task or another awaitable.
/// @param limit the maximum number of calls that are under way, or done and wait for their turn; at least 1.
/// @return an async_generator of the results of `co_await f(item)`; std::monostate for void.
/// @throws std::invalid_argument for the limit 0.
/// Cancellation: cancelling a task that waits in next() ends it: source and calls are cancelled and waited for.
/// aclose() does that, too: after leaving it through `with`, nothing of it runs any more. Either throws a failure that
/// next() has not thrown, also one of the source's cleanup; it takes the place of the cancellation, as in a task_group.
/// Threads: the thread of the loop.
/// Lifetime: it owns source and function. What they refer to must live until it has ended.
/// Cost: a task for the source, and one for each item with a block of 64 bytes, all recycled.
/// Differs from Python: asyncio has nothing like it; multiprocessing has imap and imap_unordered.
/// Example: `auto pages = map_ordered(urls, fetch, 10); while (auto page = co_await pages.next()) index(*page);`
/// See also: gather, for all at once.
template<class Source, class F>
auto map_ordered(Source&& source, F&& f, std::size_t limit) {
    return detail::map<true>(std::forward<Source>(source), std::forward<F>(f), limit);
}

/// Calls an asynchronous function for each item of a stream, several at a time, and yields the results in the order in
/// which the calls end: a slow call does not hold up the others. All else is as with map_ordered.
///
/// @param source an async_generator, passed with std::move, or a range. @param f the function.
/// @param limit the maximum number of calls that are under way, or done and not taken; at least 1.
/// @return an async_generator of the results. @throws std::invalid_argument for the limit 0.
/// Cancellation: as that of map_ordered.
template<class Source, class F>
auto map_unordered(Source&& source, F&& f, std::size_t limit) {
    return detail::map<false>(std::forward<Source>(source), std::forward<F>(f), limit);
}

} // namespace asynchio

#pragma GCC visibility pop
