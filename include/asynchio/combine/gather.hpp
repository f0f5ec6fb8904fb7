// SPDX-License-Identifier: BSL-1.0
#pragma once

// Running several things at once and waiting for all of them. Built on child_set.

#include <asynchio/combine/detail/joint.hpp>
#include <asynchio/core/detail/functional.hpp>

#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

/// Tag: gather gives outcomes, and no failure ends it early.
struct return_exceptions_t {
    explicit return_exceptions_t() = default;
};
inline constexpr return_exceptions_t return_exceptions{};

namespace detail {

/// A void result has to be something inside a tuple.
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

/// gather(a, b, ...): awaited once.
template<bool Outcomes, class... Children>
class [[nodiscard("gather does nothing until it is awaited")]] gather_tuple final
    : public joint<std::tuple<Children...>> {
    using base = joint<std::tuple<Children...>>;

public:
    template<class... Args>
    explicit gather_tuple(std::in_place_t, Args&&... children)
        : base(Outcomes ? joint_end::all_done : joint_end::first_failure, std::forward<Args>(children)...) {}

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

/// gather(range): awaited once.
template<bool Outcomes, class Children>
class [[nodiscard("gather does nothing until it is awaited")]] gather_range final : public joint<Children> {
    using base = joint<Children>;
    using Child = typename Children::value_type;
    using T = typename Child::value_type;

public:
    explicit gather_range(Children children)
        : base(Outcomes ? joint_end::all_done : joint_end::first_failure, std::move(children)) {}

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
            using element = std::conditional_t<std::is_reference_v<T>, std::reference_wrapper<std::remove_reference_t<T>>,
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

/// Runs everything it is given at once; `co_await` gives the results in the order of the arguments, as a tuple
/// (`std::monostate` for void; nothing if all are void).
///
/// Arguments: tasks and callables become tasks when the gather is awaited, and are owned; handles and futures are
/// watched; any other awaitable is armed in place. An lvalue callable or awaitable is referenced (see take).
/// Behaviour: the first exception ends it: owned children are cancelled and waited for, watched ones run on, then
/// the exception is rethrown. Later exceptions are dropped. If all is done already it does not suspend.
/// Cancellation: cancels all children, watched ones too, in order of the arguments; ends when the owned have ended.
/// Cost: nothing beyond the frames of the children that it starts.
/// Differs from Python: what it owns never outlives it; it is an awaitable, not a future.
/// See also: wait, race, task_group.
template<class... X>
    requires(sizeof...(X) != 1 || (!detail::child_range<X> && ...))
auto gather(X&&... x) {
    detail::check_awaited_arguments<X...>();
    return detail::gather_tuple<false, detail::child_t<X>...>(std::in_place,
                                                              detail::child_argument(std::forward<X>(x))...);
}

/// The same for a range of one type: gives a vector, or nothing for void. A range of tasks is moved from, a range of
/// handles copied if it is an lvalue. 1,000,000 children are a normal case.
/// Cost: the results' vector; for all but a `std::vector<task<T>>` that is moved in, another of 8 bytes an owned child, 40 a
/// watched one.
template<detail::child_range Range>
auto gather(Range&& range) {
    return detail::gather_range<false, detail::range_children_t<Range>>(
        detail::make_children(std::forward<Range>(range)));
}

/// The same without failing: waits for all and gives an outcome for each.
/// Cancellation: waits for all, then throws.
template<class... X>
    requires(sizeof...(X) != 1 || (!detail::child_range<X> && ...))
auto gather(return_exceptions_t, X&&... x) {
    detail::check_awaited_arguments<X...>();
    return detail::gather_tuple<true, detail::child_t<X>...>(std::in_place,
                                                             detail::child_argument(std::forward<X>(x))...);
}

template<detail::child_range Range>
auto gather(return_exceptions_t, Range&& range) {
    return detail::gather_range<true, detail::range_children_t<Range>>(
        detail::make_children(std::forward<Range>(range)));
}

} // namespace asynchio

#pragma GCC visibility pop
