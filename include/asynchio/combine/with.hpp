// SPDX-License-Identifier: BSL-1.0
#pragma once

// A block with an asynchronous end, as `async with` in Python. C++ cannot await in a destructor.

#include <asynchio/core/detail/closure_check.hpp>
#include <asynchio/core/detail/functional.hpp>
#include <asynchio/core/detail/steady.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/take.hpp>
#include <asynchio/task/task.hpp>

#include <cstddef>
#include <exception>
#include <optional>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

template<class R>
concept enters = requires(R& r) { r.async_enter(); };
template<class R>
concept exits = requires(R& r) { r.async_exit(std::exception_ptr()); };
template<class R>
using exit_t = decltype(std::declval<R&>().async_exit(std::declval<const std::exception_ptr&>()));
template<class R>
concept closes = requires(R& r) { r.aclose(); };

/// The type of the final result of a call: that of awaiting what it returns if that is possible, else what it returns.
template<class X>
struct eventual {
    using type = X;
};
template<awaitable X>
struct eventual<X> {
    using type = await_result_t<X>;
};

template<class R>
struct entered {
    using type = void;
};
template<enters R>
struct entered<R> {
    using type = typename eventual<decltype(std::declval<R&>().async_enter())>::type;
};

/// Calls the body with the results of entering, or with nothing if it takes nothing; or returns it if it is awaitable.
/// `B` is a reference type if the body is referenced.
template<class B, class... Entered>
decltype(auto) call_body(std::remove_reference_t<B>& body, Entered&... given) {
    using callable = std::remove_reference_t<B>;
    if constexpr (std::is_invocable_v<callable&, Entered&...>) {
        static_assert(awaitable<std::invoke_result_t<callable&, Entered&...>>,
                      "the body of with must return an awaitable");
        return detail::invoke(body, given...);
    } else if constexpr (std::is_invocable_v<callable&>) {
        static_assert(awaitable<std::invoke_result_t<callable&>>, "the body of with must return an awaitable");
        return detail::invoke(body);
    } else {
        static_assert(awaitable<B&&>, "the body of with is an awaitable, or is called with what entering the resources "
                                      "gives, or with nothing, and returns an awaitable");
        return static_cast<B&&>(body);
    }
}
template<class B, class... Entered>
using body_result_t =
    typename kept_result<await_result_t<decltype(call_body<B>(std::declval<B&>(), std::declval<Entered&>()...))>>::type;

template<class B, class... Entered>
task<body_result_t<B, Entered...>> run_body(std::remove_reference_t<B>& body, Entered&... given) {
    if constexpr (std::is_same_v<decltype(call_body<B>(body, given...)), B> && std::is_lvalue_reference_v<B>)
        co_return co_await body; // g++ 12 copies what a call refers to
    else
        co_return co_await call_body<B>(body, given...);
}

/// Whether a resource may end its block quietly: with() returns an optional then, or whether the block ran to its end.
template<class R>
inline constexpr bool ends_quietly = requires { requires std::remove_reference_t<R>::ends_quietly; };

template<class R, class Inner>
using block_result =
    std::conditional_t<!ends_quietly<R>, Inner,
                       std::conditional_t<std::is_void_v<Inner>, bool,
                                          std::optional<std::conditional_t<std::is_void_v<Inner>, bool, Inner>>>>;

/// The result of the blocks from resource `I` on, if entering those before has returned `Entered`.
template<std::size_t I, class Resources, class B, class... Entered>
struct level_result {
    using resource = std::tuple_element_t<I, Resources>;
    using given = typename entered<resource>::type;
    template<class G>
    struct next {
        using type = typename level_result<I + 1, Resources, B, Entered..., std::remove_reference_t<G>>::type;
    };
    template<class G>
        requires std::is_void_v<G>
    struct next<G> {
        using type = typename level_result<I + 1, Resources, B, Entered...>::type;
    };
    using type = block_result<resource, typename next<given>::type>;
};
template<std::size_t I, class Resources, class B, class... Entered>
    requires(I == std::tuple_size_v<Resources>)
struct level_result<I, Resources, B, Entered...> {
    using type = body_result_t<B, Entered...>;
};

/// Returns the task that `make()` returns. If there is no memory for it, `ended` has the exception, and the task is
/// empty.
template<class T, class Make>
task<T> make_or_fail(outcome<T>& ended, Make make) noexcept {
    try {
        return make();
    } catch (...) {
        ended.set_error(std::current_exception(), false);
        return task<T>();
    }
}

template<std::size_t I, class Resources, class B, class... Entered>
task<typename level_result<I, Resources, B, Entered...>::type>
with_level(Resources& resources, std::remove_reference_t<B>& body, Entered&... given);

template<std::size_t I, class Resources, class B, class... Entered>
auto next_level(Resources& resources, std::remove_reference_t<B>& body, Entered&... given) {
    if constexpr (I + 1 == std::tuple_size_v<Resources>)
        return run_body<B, Entered...>(body, given...);
    else
        return with_level<I + 1, Resources, B, Entered...>(resources, body, given...);
}

/// Enters a resource, runs what is inside, and leaves the resource. If entering throws, there is nothing to leave; a
/// resource that was entered is left in any case, which takes no memory but what the resource asks for.
template<std::size_t I, class Resources, class B, class... Entered>
task<typename level_result<I, Resources, B, Entered...>::type>
with_level(Resources& resources, std::remove_reference_t<B>& body, Entered&... given) {
    using level = level_result<I, Resources, B, Entered...>;
    using inner = typename level::template next<typename level::given>::type;
    auto& resource = std::get<I>(resources);
    using R = std::remove_reference_t<decltype(resource)>;
    outcome<inner> ended;
    const auto inside = [&](auto&... more) noexcept {
        return make_or_fail(ended, [&] { return next_level<I, Resources, B>(resources, body, given..., more...); });
    };
    task<inner> block;
    if constexpr (!enters<R>) {
        block = inside();
        if (block) co_await capture_into(ended, std::move(block));
    } else if constexpr (std::is_void_v<typename level::given>) {
        if constexpr (awaitable<decltype(resource.async_enter())>)
            co_await resource.async_enter();
        else
            resource.async_enter();
        block = inside();
        if (block) co_await capture_into(ended, std::move(block));
    } else if constexpr (awaitable<decltype(resource.async_enter())>) {
        auto&& it = co_await resource.async_enter();
        block = inside(it);
        if (block) co_await capture_into(ended, std::move(block));
    } else {
        auto&& it = resource.async_enter();
        block = inside(it);
        if (block) co_await capture_into(ended, std::move(block));
    }
    bool suppressed = false;
    if constexpr (!exits<R>) {
        static_assert(closes<R>, "a resource of with has async_exit(std::exception_ptr) or aclose()");
        co_await resource.aclose();
    } else if constexpr (awaitable<exit_t<R>>) {
        if constexpr (std::is_void_v<await_result_t<exit_t<R>>>)
            co_await resource.async_exit(ended.error());
        else
            suppressed = static_cast<bool>(co_await resource.async_exit(ended.error()));
    } else if constexpr (std::is_void_v<exit_t<R>>) {
        resource.async_exit(ended.error());
    } else {
        suppressed = static_cast<bool>(resource.async_exit(ended.error()));
    }
    if constexpr (ends_quietly<R>) {
        if (suppressed) {
            if constexpr (std::is_void_v<inner>)
                co_return false;
            else
                co_return std::nullopt;
        }
        if constexpr (std::is_void_v<inner>) {
            ended.rethrow();
            co_return true;
        } else {
            co_return std::move(ended).value();
        }
    } else if constexpr (std::is_void_v<inner>) {
        if (!suppressed) ended.rethrow();
    } else {
        if (suppressed && ended.error())
            throw std::logic_error("with: the resource suppressed the exception of a body that returns a result; a "
                                   "resource with `static constexpr bool ends_quietly = true` makes it an optional");
        co_return std::move(ended).value();
    }
}

template<class Resources, class B>
task<typename level_result<0, Resources, B>::type> with_all(parameter<Resources> resources, parameter<B> body) {
    co_return co_await with_level<0, Resources, B>(resources, body);
}

/// The arguments of with(): the resources, and the body behind them.
template<class... X>
struct with_arguments {
    static constexpr std::size_t resources = sizeof...(X) - 1;
    template<std::size_t I>
    using given = std::tuple_element_t<I, std::tuple<X...>>;

    template<std::size_t... I>
    static auto start(std::tuple<X&&...> all, std::index_sequence<I...>) {
        using kept = std::tuple<kept_t<given<I>>...>;
        using body = given<resources>;
        return detail::with_all<kept, kept_t<body>>(kept(keep<given<I>>(std::get<I>(all))...),
                                                    keep<body>(std::get<resources>(all)));
    }
};

} // namespace detail

/// Awaitable: `with(resource, body)` enters the resource, runs the body in the calling task, and leaves the resource on
/// every path, exceptions and cancellation included. Several resources, `with(a, b, body)`, are left in reverse order.
///
/// Behaviour: a resource has `async_enter()` and `async_exit(std::exception_ptr)`, or just `aclose()`. Each may return
/// an awaitable or a plain value. The result of entering is passed to the body, if the body takes it. `async_exit`
/// returns true to suppress the body's exception, and throws another one to replace it.
///
/// @param x the resources, and the body behind them: an awaitable, or a callable that returns one.
/// @return the result of the body; an optional, or a bool for void, if a resource may end the block quietly.
/// @throws the exception of the body, or of entering or leaving a resource.
/// Cancellation: it reaches whatever the body, or the leaving, waits for.
/// Threads: the thread of the loop.
/// Lifetime: an lvalue resource or body is referenced, a temporary or taken one kept until the end.
/// Cost: two frames from the pool, and one more for each resource.
/// Example: `co_await aio::with(aio::timeout(5s), [&]() -> aio::task<> { co_await fetch(); });`
/// See also: finally, timeout, task_group.
template<class... X>
    requires(sizeof...(X) >= 2)
auto with(X&&... x) {
    detail::check_awaited_arguments<X...>();
    return detail::with_arguments<X...>::start(std::tuple<X&&...>(std::forward<X>(x)...),
                                               std::make_index_sequence<sizeof...(X) - 1>());
}

} // namespace asynchio

#pragma GCC visibility pop
