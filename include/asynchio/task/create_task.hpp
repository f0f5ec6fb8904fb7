// SPDX-License-Identifier: BSL-1.0
#pragma once

// From a coroutine to a task that runs beside its creator.

#include <asynchio/core/exchange.hpp>
#include <asynchio/loop/context.hpp>
#include <asynchio/task/co_invoke.hpp>
#include <asynchio/task/task_handle.hpp>

#include <source_location>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace asynchio {

/// The context of task_options: refers to a context, which create_task takes hold of.
class context_choice {
public:
    /// None is chosen: the task gets a copy of its creator's.
    constexpr context_choice() noexcept = default;
    constexpr context_choice(const context& chosen) noexcept : chosen_(&chosen) {}
    constexpr const context* get() const noexcept { return chosen_; }

private:
    const context* chosen_ = nullptr;
};

/// What a task can be given beside what it runs. Both are only looked at during the call that it is given to.
struct task_options {
    std::string_view name = {};
    /// The context that the task runs in, itself and not a copy.
    context_choice context = {};
};
static_assert(std::is_trivially_destructible_v<task_options>, "g++ 12 destroys such temporaries twice in a co_await");

/// Tag: run the task at once, inside create_task, up to its first suspension.
struct eager_t {
    explicit eager_t() = default;
};
inline constexpr eager_t eager{};

namespace detail {

/// With all that a task may be given, and every check. Takes `given` over.
template<class T>
[[gnu::noinline]] task_handle<T> make_task_with(event_loop& loop, task_state<T>* given, std::string_view name,
                                                const context* chosen, bool eager, const std::source_location& created) {
    struct dropped {
        task_state<T>* coroutine;
        ~dropped() {
            if (coroutine != nullptr) drop_frame(*coroutine);
        }
    } unless_made{given};
    loop.require_usable("create_task");
    if (given == nullptr) throw std::logic_error("create_task: the task is empty: it was moved from or awaited before");
    task_extra* extra = name.empty() ? nullptr : new task_extra{shared_text(name), {}};
    task_state<T>& state = *detail::exchange(unless_made.coroutine, nullptr);
    become_task(state, loop, 1, created);
    if (chosen != nullptr)
        state.extra.context().share(chosen->cell());
    else if (context_in_use())
        inherit_context(state);
    state.extra = extra;
    task_handle<T> handle(&state);
    if (eager && loop.is_running())
        start_now(state);
    else
        loop.schedule(state);
    return handle;
}

template<class T>
task_handle<T> make_task(event_loop& loop, task<T>&& coroutine, const task_options& options, bool eager,
                         const std::source_location& created) {
    task_state<T>* const given = coroutine.release();
    const bool plain = options.name.empty() && options.context.get() == nullptr && !eager && !context_in_use();
    if (!plain || given == nullptr || loop.closing() || loop.debug()) [[unlikely]]
        return make_task_with(loop, given, options.name, options.context.get(), eager, created);
    become_task(*given, loop, 1, created);
    loop.schedule(*given);
    return task_handle<T>(given);
}

template<class... X>
concept named = sizeof...(X) == 2 && requires {
    requires std::is_convertible_v<std::tuple_element_t<1, std::tuple<X...>>, std::string_view>;
    requires !std::is_invocable_v<std::decay_t<std::tuple_element_t<0, std::tuple<X...>>>,
                                  std::decay_t<std::tuple_element_t<1, std::tuple<X...>>>>;
};

/// Understands `[task_options,] [eager,] x [, name]` and `[task_options,] [eager,] f, args...`.
template<class First, class... Rest>
auto make_task_from(event_loop& loop, task_options options, bool is_eager, std::source_location created, First&& first,
                    Rest&&... rest) {
    if constexpr (is_taken<First> || (is_taken<Rest> || ...)) {
        return make_task_from(loop, options, is_eager, created, pass_on<First>(first), pass_on<Rest>(rest)...);
    } else if constexpr (std::is_same_v<std::decay_t<First>, task_options>) {
        return make_task_from(loop, first, is_eager, created, std::forward<Rest>(rest)...);
    } else if constexpr (std::is_same_v<std::decay_t<First>, eager_t>) {
        return make_task_from(loop, options, true, created, std::forward<Rest>(rest)...);
    } else if constexpr (named<First, Rest...>) {
        options.name = std::string_view(rest...);
        return make_task_from(loop, options, is_eager, created, std::forward<First>(first));
    } else {
        require_callable(first, "create_task");
        return make_task(loop, as_task(std::forward<First>(first), std::forward<Rest>(rest)...), options, is_eager,
                         created);
    }
}

} // namespace detail

/// Makes a task of `x`, to run beside the caller on the running loop. Its first step comes in the next iteration, in
/// order of creation.
///
/// `x` is a task or any awaitable, optionally with a name: `create_task(work(), "worker")`; or a callable with
/// arguments, which are copied and kept until the task is done: `create_task([x] { return work(x); })`. In front may
/// stand task_options, or `eager`, which runs the task at once up to its first suspension.
///
/// @throws std::logic_error without a running loop, or for a task that was awaited or moved from.
/// Lifetime: the loop owns the task; the handle may be dropped. What the callable refers to must live long enough.
/// Cost: for a task nothing beyond its frame; for a callable one frame more.
/// Differs from Python: any awaitable and any callable will do.
template<class X>
[[gnu::always_inline]] inline auto create_task(X&& x, std::source_location created = std::source_location::current()) {
    return detail::make_task_from(get_running_loop(), {}, false, created, std::forward<X>(x));
}
template<class X, class A>
    requires(!std::is_same_v<std::decay_t<A>, std::source_location>)
auto create_task(X&& x, A&& a, std::source_location created = std::source_location::current()) {
    return detail::make_task_from(get_running_loop(), {}, false, created, std::forward<X>(x), std::forward<A>(a));
}
template<class X, class A, class B>
    requires(!std::is_same_v<std::decay_t<B>, std::source_location>)
auto create_task(X&& x, A&& a, B&& b, std::source_location created = std::source_location::current()) {
    return detail::make_task_from(get_running_loop(), {}, false, created, std::forward<X>(x), std::forward<A>(a),
                                  std::forward<B>(b));
}
/// With more arguments than that, the line of the call is not known; reports give the function instead.
template<class X, class A, class B, class C, class... More>
    requires(!std::is_same_v<std::decay_t<C>, std::source_location>)
auto create_task(X&& x, A&& a, B&& b, C&& c, More&&... more) {
    return detail::make_task_from(get_running_loop(), {}, false, std::source_location(), std::forward<X>(x),
                                  std::forward<A>(a), std::forward<B>(b), std::forward<C>(c),
                                  std::forward<More>(more)...);
}

template<class X>
auto event_loop::create_task(X&& x, std::source_location created) {
    return detail::make_task_from(*this, {}, false, created, std::forward<X>(x));
}
template<class X, class A, class... More>
auto event_loop::create_task(X&& x, A&& a, More&&... more) {
    return detail::make_task_from(*this, {}, false, std::source_location(), std::forward<X>(x), std::forward<A>(a),
                                  std::forward<More>(more)...);
}

} // namespace asynchio
