// SPDX-License-Identifier: BSL-1.0
#pragma once

// Running several awaitables until the first one has ended. Built on child_set, as gather is.

#include <asynchio/combine/detail/child_join.hpp>
#include <asynchio/core/detail/functional.hpp>

#include <cstddef>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

template<class T>
using race_slot =
    std::conditional_t<std::is_void_v<T>, std::monostate,
                       std::conditional_t<std::is_reference_v<T>, std::reference_wrapper<std::remove_reference_t<T>>,
                                          std::remove_cv_t<T>>>;

template<class... Children>
class [[nodiscard("race does nothing until it is awaited")]] race_tuple final
    : public child_join<std::tuple<Children...>> {
    using base = child_join<std::tuple<Children...>>;

public:
    using result = std::variant<race_slot<typename Children::value_type>...>;

    explicit race_tuple(Children&&... children) : base(join_end::first_done, std::move(children)...) {}

    result await_resume() {
        this->end();
        return take(std::index_sequence_for<Children...>());
    }

    const char* waiting_for() const noexcept override { return "race"; }

private:
    template<std::size_t First, std::size_t... Rest>
    result take(std::index_sequence<First, Rest...>) {
        auto& child = std::get<First>(this->children_);
        if constexpr (sizeof...(Rest) != 0)
            if (child.get() != this->deciding_) return take(std::index_sequence<Rest...>());
        if constexpr (std::is_void_v<typename std::remove_reference_t<decltype(child)>::value_type>) {
            child.take();
            return result(std::in_place_index<First>);
        } else {
            return result(std::in_place_index<First>, child.take());
        }
    }
};

template<class Children>
class [[nodiscard("race does nothing until it is awaited")]] race_range final : public child_join<Children> {
    using base = child_join<Children>;
    using T = typename Children::value_type::value_type;

public:
    explicit race_range(Children children) : base(join_end::first_done, std::move(children)) {
        if (this->children_.empty()) throw std::invalid_argument("race: the range is empty");
    }

    std::pair<std::size_t, race_slot<T>> await_resume() {
        this->end();
        std::size_t winner = 0;
        while (this->children_[winner].get() != this->deciding_) ++winner;
        if constexpr (std::is_void_v<T>) {
            this->children_[winner].take();
            return {winner, {}};
        } else {
            return {winner, this->children_[winner].take()};
        }
    }

    const char* waiting_for() const noexcept override { return "race"; }
};

} // namespace detail

/// Awaitable: runs all its arguments until the first has ended, by a value or an exception.
///
/// Behaviour: the other owned children are cancelled and waited for, and their results are dropped; watched ones run
/// on. Once one child has ended, no further one is armed or started, and operations that were armed take nothing any
/// more:
/// `race(a.get(), b.get())` takes one item. An item that a coroutine of the program has taken, and returns as a loser,
/// is dropped.
///
/// @param x a child, as for gather. @param more the other children.
/// @return a variant with the result of the first child (`std::monostate` for void) at its index.
/// @throws the exception of the first child.
/// Cancellation: all children are cancelled, watched ones too; the race ends when the owned children have ended. A
/// request that comes when one child has ended already is delivered at the next suspension, so that the result is not
/// lost.
/// Threads: the thread of the loop. Lifetime: it is awaited once.
/// Cost: nothing beyond the frames of the children that it starts.
/// Differs from Python: asyncio has nothing like it; see wait with first_completed.
/// Example: `auto first = co_await aio::race(fetch(a), fetch(b));`
/// See also: gather, wait.
template<class X, class... More>
    requires(sizeof...(More) != 0 || !detail::child_range<X>)
auto race(X&& x, More&&... more) {
    detail::check_awaited_arguments<X, More...>();
    return detail::race_tuple<detail::child_t<X>, detail::child_t<More>...>(
        detail::make_child(std::forward<X>(x)), detail::make_child(std::forward<More>(more))...);
}

/// Awaitable: runs all elements of a range until the first has ended, as race(x, more...) does.
///
/// @param range children of one type. @return index and result of the first child (`std::monostate` for void).
/// @throws std::invalid_argument for an empty range; the exception of the first child.
/// Cancellation: all children are cancelled, watched ones too; the race ends when the owned children have ended.
template<detail::child_range Range>
auto race(Range&& range) {
    return detail::race_range<detail::range_children_t<Range>>(detail::make_children(std::forward<Range>(range)));
}

} // namespace asynchio

#pragma GCC visibility pop
