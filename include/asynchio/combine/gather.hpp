// SPDX-License-Identifier: BSL-1.0
#pragma once

// Running several awaitables at once and waiting for all of them. Built on child_set.

#include <asynchio/combine/detail/child_join.hpp>
#include <asynchio/core/detail/functional.hpp>

#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

/// The type of return_exceptions.
///
/// Threads: a plain value.
struct return_exceptions_t {
    explicit return_exceptions_t() = default;
};
/// The first argument of gather() with which it returns outcomes, and no failure ends it early.
inline constexpr return_exceptions_t return_exceptions{};

namespace detail {

/// The type of a result inside a tuple, where void has to be an object.
template<class T>
using tuple_slot = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template<class Child>
using child_result_t = typename kept_result<typename Child::value_type>::type;

template<class Child>
auto take_slot(Child& child) -> tuple_slot<std::conditional_t<std::is_reference_v<typename Child::value_type>,
                                                              typename Child::value_type, child_result_t<Child>>> {
    if constexpr (std::is_void_v<typename Child::value_type>) {
        child.take();
        return {};
    } else {
        return child.take();
    }
}

template<class Child>
auto take_outcome(Child& child) {
    outcome<typename Child::value_type> out;
    try {
        if constexpr (std::is_void_v<typename Child::value_type>) {
            child.take();
            out.emplace();
        } else {
            out.emplace(child.take());
        }
    } catch (const cancelled_error&) {
        out.set_error(std::current_exception(), true);
    } catch (...) {
        out.set_error(std::current_exception(), false);
    }
    return out;
}

/// The awaiter of gather(a, b, ...).
template<bool Outcomes, class... Children>
class [[nodiscard("gather does nothing until it is awaited")]] gather_tuple final
    : public child_join<std::tuple<Children...>> {
    using base = child_join<std::tuple<Children...>>;

public:
    template<class... Args>
    explicit gather_tuple(std::in_place_t, Args&&... children)
        : base(Outcomes ? join_end::all_done : join_end::first_failure, std::forward<Args>(children)...) {}

    auto await_resume() {
        this->end();
        return std::apply(
            [](Children&... each) {
                if constexpr (Outcomes)
                    return std::tuple<outcome<typename Children::value_type>...>{take_outcome(each)...};
                else if constexpr ((std::is_void_v<typename Children::value_type> && ...))
                    (each.take(), ...);
                else
                    return std::tuple<decltype(take_slot(each))...>{take_slot(each)...};
            },
            this->children_);
    }

    const char* waiting_for() const noexcept override { return "gather"; }
};

/// The awaiter of gather(range).
template<bool Outcomes, class Children>
class [[nodiscard("gather does nothing until it is awaited")]] gather_range final : public child_join<Children> {
    using base = child_join<Children>;
    using Child = typename Children::value_type;
    using T = typename Child::value_type;

public:
    explicit gather_range(Children children)
        : base(Outcomes ? join_end::all_done : join_end::first_failure, std::move(children)) {}

    auto await_resume() {
        this->end();
        if constexpr (Outcomes) {
            std::vector<outcome<T>> results;
            results.reserve(this->children_.size());
            this->each_child([&](auto& each) { results.push_back(take_outcome(each)); });
            this->children_.clear();
            return results;
        } else if constexpr (std::is_void_v<T>) {
            this->each_child([](auto& each) { each.take(); });
            this->children_.clear();
        } else {
            using element =
                std::conditional_t<std::is_reference_v<T>, std::reference_wrapper<std::remove_reference_t<T>>,
                                   child_result_t<Child>>;
            std::vector<element> results;
            results.reserve(this->children_.size());
            this->each_child([&](auto& each) { results.push_back(each.take()); });
            this->children_.clear();
            return results;
        }
    }

    const char* waiting_for() const noexcept override { return "gather"; }
};

} // namespace detail

/// Awaitable: runs all its arguments at once, and waits for all of them.
///
/// Behaviour: the first exception ends it: owned children are cancelled and waited for, watched ones run on, then the
/// exception is rethrown. Later exceptions are dropped. If all children are done already it does not suspend.
///
/// @param x the children. Tasks and callables become tasks when the gather is awaited, and are owned; handles and
/// futures are watched; any other awaitable is armed in place. An lvalue callable or awaitable is referenced (see
/// take).
/// @return the results in the order of the arguments, as a tuple (`std::monostate` for void; nothing if all are void).
/// @throws the first exception of a child.
/// Cancellation: all children are cancelled, watched ones too, in the order of the arguments; the gather ends when the
/// owned children have ended.
/// Threads: the thread of the loop. Lifetime: it is awaited once.
/// Cost: nothing beyond the frames of the children that it starts.
/// Differs from Python: owned children never outlive it; it is an awaitable, not a future.
/// Example: `auto [page, image] = co_await aio::gather(fetch(a), fetch(b));`
/// See also: wait, race, task_group.
template<class... X>
    requires(sizeof...(X) != 1 || (!detail::child_range<X> && ...))
auto gather(X&&... x) {
    detail::check_awaited_arguments<X...>();
    return detail::gather_tuple<false, detail::child_t<X>...>(std::in_place,
                                                              detail::child_argument(std::forward<X>(x))...);
}

/// Awaitable: runs all elements of a range at once, and waits for all of them, as gather(x...) does. 1,000,000 children
/// are a normal case.
///
/// @param range children of one type. A range of tasks is moved from; a range of handles is copied if it is an lvalue.
/// @return the results in the order of the range, as a vector; nothing for void.
/// @throws the first exception of a child.
/// Cancellation: all children are cancelled, watched ones too; the gather ends when the owned children have ended.
/// Cost: the vector of the results; for all but a `std::vector<task<T>>` that is moved in, another vector of 8 bytes
/// for each owned child and 40 for each watched one.
template<detail::child_range Range>
auto gather(Range&& range) {
    return detail::gather_range<false, detail::range_children_t<Range>>(
        detail::make_children(std::forward<Range>(range)));
}

/// Awaitable: runs all its arguments at once, waits for all of them, and returns outcomes: no failure ends it early.
///
/// @param x the children, as for gather(x...). @return a tuple with an outcome for each child.
/// Cancellation: all children are cancelled, watched ones too; it waits for all, then throws.
template<class... X>
    requires(sizeof...(X) != 1 || (!detail::child_range<X> && ...))
auto gather(return_exceptions_t, X&&... x) {
    detail::check_awaited_arguments<X...>();
    return detail::gather_tuple<true, detail::child_t<X>...>(std::in_place,
                                                             detail::child_argument(std::forward<X>(x))...);
}

/// Awaitable: runs all elements of a range at once, waits for all of them, and returns outcomes: no failure ends it
/// early.
///
/// @param range children of one type, as for gather(range). @return a vector with an outcome for each child.
/// Cancellation: all children are cancelled, watched ones too; it waits for all, then throws.
template<detail::child_range Range>
auto gather(return_exceptions_t, Range&& range) {
    return detail::gather_range<true, detail::range_children_t<Range>>(
        detail::make_children(std::forward<Range>(range)));
}

} // namespace asynchio

#pragma GCC visibility pop
