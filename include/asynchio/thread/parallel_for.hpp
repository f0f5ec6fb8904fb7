// SPDX-License-Identifier: BSL-1.0
#pragma once

// Computing on all processors while the loop goes on: a loop over numbers, and a function of each element of a range.

#include <asynchio/core/awaitable.hpp>
#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/closure_check.hpp>
#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/core/detail/functional.hpp>
#include <asynchio/core/detail/range.hpp>
#include <asynchio/core/kept.hpp>
#include <asynchio/task/take.hpp>
#include <asynchio/thread/detail/parallel_run.hpp>
#include <asynchio/thread/thread_pool.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

/// The options of parallel_for() and parallel_map().
///
/// Threads: a plain value.
struct parallel_options {
    /// How many consecutive calls a thread takes at a time; 0 gives each thread 32 chunks. An exception or cancellation
    /// is noticed between two chunks.
    std::size_t chunk = 0;
    /// The maximum number of threads; 0 stands for all of the pool.
    std::size_t threads = 0;
    /// The pool, which must live until the work is done; null stands for the loop's own pool, with a thread for each
    /// processor.
    thread_pool* pool = nullptr;
};

namespace detail {

template<class Index, class F>
class parallel_numbers {
    static_assert(std::is_invocable_v<F&, Index>, "the function of parallel_for is called with a number");
    static_assert(!awaitable<std::invoke_result_t<F&, Index>>,
                  "the function of parallel_for computes on other threads: a task that it returns would belong to a "
                  "loop; gather and map_ordered run coroutines");

public:
    template<class G>
    parallel_numbers(Index first, G&& f) : first_(first), f_(std::forward<G>(f)) {}

    void prepare(std::size_t) noexcept {}
    void operator()(std::size_t begin, std::size_t end) {
        const Index last = number(end);
        for (Index i = number(begin); i < last; ++i) static_cast<void>(detail::invoke(f_, Index(i)));
    }
    void result() noexcept {}

private:
    /// Returns the number at an offset; it wraps where the type ends, since half of the numbers may be negative.
    Index number(std::size_t offset) const noexcept {
        using wide = std::make_unsigned_t<Index>;
        return static_cast<Index>(static_cast<wide>(static_cast<wide>(first_) + static_cast<wide>(offset)));
    }

    Index first_;
    F f_;
};

/// Places for results that come in any order, each written by one thread.
template<class R>
class parallel_results {
    // Such objects may stand in the vector before they have a value. The elements of a vector<bool> share words.
    static constexpr bool in_place =
        std::is_trivially_default_constructible_v<R> && std::is_move_assignable_v<R> && !std::is_same_v<R, bool>;

public:
    void prepare(std::size_t count) {
        count_ = count;
        if constexpr (in_place)
            values_.resize(count);
        else
            places_ = std::make_unique<std::optional<R>[]>(count);
    }
    template<class Make>
    void put(std::size_t index, Make make) {
        if constexpr (in_place)
            values_[index] = make();
        else
            places_[index].emplace(make());
    }
    std::vector<R> result() {
        if constexpr (!in_place) {
            values_.reserve(count_);
            for (std::size_t i = 0; i < count_; ++i) values_.push_back(std::move(*places_[i]));
        }
        return std::move(values_);
    }

private:
    std::size_t count_ = 0;
    std::vector<R> values_;
    std::unique_ptr<std::optional<R>[]> places_;
};
template<>
class parallel_results<void> {
public:
    void prepare(std::size_t) noexcept {}
    template<class Make>
    void put(std::size_t, Make make) {
        make();
    }
    void result() noexcept {}
};

/// @tparam Range the type of the range, or a reference to it.
template<class Range, class F>
class parallel_elements {
    using reference = range_reference_t<Range>;
    static_assert(std::is_invocable_v<F&, reference>, "the function of parallel_map is called with an element");
    using R = std::decay_t<std::invoke_result_t<F&, reference>>;
    static_assert(!awaitable<R>,
                  "the function of parallel_map computes on other threads: a task that it returns would belong to a "
                  "loop; gather and map_ordered run coroutines");

public:
    template<class G>
    parallel_elements(Range&& elements, G&& f) : range_(std::forward<Range>(elements)), f_(std::forward<G>(f)) {}

    std::size_t size() { return static_cast<std::size_t>(detail::end_of(range_) - detail::begin_of(range_)); }

    void prepare(std::size_t count) { results_.prepare(count); }
    void operator()(std::size_t begin, std::size_t end) {
        const auto first = detail::begin_of(range_);
        using distance = decltype(first - first);
        for (; begin != end; ++begin)
            results_.put(begin,
                         [&]() -> decltype(auto) { return detail::invoke(f_, first[static_cast<distance>(begin)]); });
    }
    auto result() { return results_.result(); }

private:
    Range range_;
    F f_;
    parallel_results<R> results_;
};

template<class R>
concept random_access_range = range<R> && requires(std::remove_reference_t<R>& elements) {
    detail::begin_of(elements)[0];
    static_cast<std::size_t>(detail::end_of(elements) - detail::begin_of(elements));
};

template<class = void>
counted_ptr<pool_core> pool_of(const parallel_options& options) {
    return options.pool != nullptr ? access::core(*options.pool) : counted_ptr<pool_core>();
}

} // namespace detail

/// Awaitable: calls `f(i)` for each number `i` from `first` up to, and without, `last`, on several threads at once. The
/// loop goes on meanwhile.
///
/// Behaviour: the threads take chunks of consecutive numbers in order. A call that throws ends its chunk, and no other
/// is begun; when those that run have ended, the exception of the lowest number is thrown, which is the same in every
/// run. For an empty range nothing happens. What `f` returns is dropped.
///
/// @param first an integer. @param last an integer. @param f a callable, which is copied, or moved in by take(); all
/// threads call the same object. @param options the size of chunks, the number of threads, the pool.
/// @throws the exception of a call; std::system_error if not even one thread can be started.
/// Cancellation: no further chunk is begun. The task waits for the chunks that run, and gets cancelled_error.
/// Threads: `f` runs on other threads, in a copy of the caller's context (see context_var); the program must protect
/// what the calls share. In virtual time one thread makes all calls, in order.
/// Lifetime: what `f` refers to must live until the end, as the awaiting coroutine does.
/// Cost: one allocation, and a job of the pool for each thread. The threads of the loop's own pool are started when they
/// are first needed, and end with the loop.
/// Example: `co_await aio::parallel_for(0, image.height, [&](int y) { blur_row(image, y); });`
/// See also: parallel_map, to_thread, run_in_executor.
template<class First, class Last, class F>
auto parallel_for(First first, Last last, F&& f, const parallel_options& options = {}) {
    using index = std::common_type_t<First, Last>;
    static_assert(std::is_integral_v<index> && !std::is_same_v<index, bool>,
                  "parallel_for counts from one integer to another; parallel_map takes a range");
    detail::check_awaited_arguments<F>();
    detail::require_callable(f, "parallel_for");
    const auto begin = static_cast<index>(first);
    const auto end = static_cast<index>(last);
    using body = detail::parallel_numbers<index, detail::copied_t<F>>;
    return detail::parallel_run<body>(body(begin, detail::pass_on<F>(f)),
                                      begin < end ? static_cast<std::size_t>(end) - static_cast<std::size_t>(begin) : 0,
                                      options.chunk, options.threads, detail::pool_of<>(options));
}

/// Awaitable: calls `f(element)` for each element of a range, on several threads at once, and returns the results in the
/// order of the elements.
///
/// @param elements a range with random access, such as a std::vector or a std::span. A named one is used where it is,
/// and must not change until the end; a temporary one, and one in take(), is moved in. @param f a callable, which is
/// copied, or moved in by take(); all threads call the same object. @param options the size of chunks, the number of
/// threads, the pool.
/// @return a std::vector of the results, which may be move-only; nothing if `f` returns void.
/// @throws the exception of the call for the first element whose call fails; std::system_error if not even one thread can
/// be started.
/// Cancellation: no further chunk is begun. The task waits for the chunks that run, and gets cancelled_error.
/// Threads: as for parallel_for().
/// Cost: that of parallel_for(), and the vector. Results that are not trivial are moved once.
/// Example: `std::vector<image> small = co_await aio::parallel_map(photos, shrink);`
/// See also: parallel_for, map_ordered, which calls a coroutine for each.
template<class Range, class F>
auto parallel_map(Range&& elements, F&& f, const parallel_options& options = {}) {
    using kept = detail::kept_t<Range>;
    static_assert(detail::random_access_range<kept>,
                  "parallel_map needs random access to the elements: copy them to a std::vector first");
    detail::check_awaited_arguments<Range, F>();
    detail::require_callable(f, "parallel_map");
    using body = detail::parallel_elements<kept, detail::copied_t<F>>;
    body made(detail::keep<Range>(elements), detail::pass_on<F>(f));
    const std::size_t count = made.size();
    return detail::parallel_run<body>(std::move(made), count, options.chunk, options.threads,
                                      detail::pool_of<>(options));
}

} // namespace asynchio

#pragma GCC visibility pop
