// SPDX-License-Identifier: BSL-1.0
#pragma once

// Making a task of a coroutine, which runs beside its creator.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/kept.hpp>
#include <asynchio/loop/context.hpp>
#include <asynchio/task/co_invoke.hpp>
#include <asynchio/task/task_handle.hpp>

#include <source_location>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// The type of task_options::context: a reference to a context, or none.
///
/// Threads: a plain value. Lifetime: the context must live until create_task() returns, which takes hold of it.
class context_choice {
public:
    /// Chooses no context: the task gets a copy of its creator's.
    constexpr context_choice() noexcept = default;
    /// Chooses a context.
    constexpr context_choice(const context& chosen) noexcept : chosen_(&chosen) {}
    /// Returns the chosen context; null if none was chosen.
    constexpr const context* get() const noexcept { return chosen_; }

private:
    const context* chosen_ = nullptr;
};

/// The options of create_task().
///
/// Threads: a plain value. Lifetime: name and context must live until create_task() returns.
/// Example: `aio::create_task(aio::task_options{.name = "worker"}, work, 1);`
struct task_options {
    /// The name of the task; an empty one stands for "Task-<number>".
    std::string_view name = {};
    /// The context in which the task runs, itself and not a copy.
    context_choice context = {};
};
static_assert(std::is_trivially_destructible_v<task_options>, "g++ 12 destroys such temporaries twice in a co_await");

/// The name of a task that create_task() makes: `create_task(named("worker"), f, 1, 2)`.
///
/// Threads: a plain value. Lifetime: the text must live until create_task() returns.
struct named {
    /// @param n the name.
    constexpr explicit named(std::string_view n) noexcept : name(n) {}
    /// The name.
    std::string_view name;
};

/// The type of eager.
///
/// Threads: a plain value.
struct eager_t {
    explicit eager_t() = default;
};
/// The argument of create_task() that has the task run at once, inside create_task(), up to its first suspension.
inline constexpr eager_t eager{};

namespace detail {

/// Makes a task with every option and every check. Takes `given` over.
template<class T>
[[gnu::noinline]] task_handle<T> make_task_with(loop_core& loop, task_state<T>* given, std::string_view name,
                                                const context* chosen, bool eager,
                                                const std::source_location& created) {
    struct dropped {
        task_state<T>* coroutine;
        ~dropped() {
            if (coroutine != nullptr) detail::drop_frame(*coroutine);
        }
    } unless_made{given};
    loop.require_usable("create_task");
    if (given == nullptr) throw std::logic_error("create_task: the task is empty: it was moved from or awaited before");
    task_extra* extra = name.empty() ? nullptr : new task_extra(shared_text(name));
    task_state<T>& state = *detail::exchange(unless_made.coroutine, nullptr);
    detail::become_task(state, loop, 1, created);
    if (chosen != nullptr)
        state.extra.context().share(access::cell(*chosen));
    else if (context_in_use())
        detail::inherit_context(state);
    state.extra = extra;
    auto handle = access::make<task_handle<T>>(&state);
    if (eager && loop.is_running())
        detail::start_now(state);
    else
        loop.schedule(state);
    return handle;
}

template<class T>
task_handle<T> make_task(loop_core& loop, task<T>&& coroutine, const task_options& options, bool eager,
                         const std::source_location& created) {
    task_state<T>* const given = access::release(coroutine);
    const bool plain = options.name.empty() && options.context.get() == nullptr && !eager && !context_in_use();
    if (!plain || given == nullptr || loop.closing() || loop.debug()) [[unlikely]]
        return make_task_with(loop, given, options.name, options.context.get(), eager, created);
    detail::become_task(*given, loop, 1, created);
    loop.schedule(*given);
    return access::make<task_handle<T>>(given);
}

/// Whether `Rest` is the name of a task or awaitable. Behind a callable stand its arguments, whatever their types.
template<class First, class... Rest>
concept given_with_name =
    sizeof...(Rest) == 1 && awaitable<First> && (std::is_convertible_v<Rest, std::string_view> && ...) &&
    !std::is_invocable_v<std::decay_t<First>, std::decay_t<Rest>...>;

/// Whether a text behind a callable that takes none was probably meant as a name.
template<class First, class... Rest>
concept name_behind_callable =
    sizeof...(Rest) == 1 && (std::is_convertible_v<Rest, std::string_view> && ...) &&
    std::is_invocable_v<std::decay_t<First>> && !std::is_invocable_v<std::decay_t<First>, std::decay_t<Rest>...>;

/// Makes a task of `[task_options | named | eager]... x [, name]` or `[task_options | named | eager]... f, args...`.
template<class First, class... Rest>
auto make_task_from(loop_core& loop, task_options options, bool is_eager, const std::source_location& created,
                    First&& first, Rest&&... rest) {
    using given = std::remove_cvref_t<First>;
    if constexpr (is_taken<given> || (is_taken<std::remove_cvref_t<Rest>> || ...)) {
        return detail::make_task_from(loop, options, is_eager, created, pass_on<First>(first), pass_on<Rest>(rest)...);
    } else if constexpr (std::is_same_v<given, task_options>) {
        return detail::make_task_from(loop, first, is_eager, created, std::forward<Rest>(rest)...);
    } else if constexpr (std::is_same_v<given, named>) {
        options.name = first.name;
        return detail::make_task_from(loop, options, is_eager, created, std::forward<Rest>(rest)...);
    } else if constexpr (std::is_same_v<given, eager_t>) {
        return detail::make_task_from(loop, options, true, created, std::forward<Rest>(rest)...);
    } else if constexpr (given_with_name<First, Rest...>) {
        options.name = std::string_view(rest...);
        return detail::make_task_from(loop, options, is_eager, created, std::forward<First>(first));
    } else if constexpr (name_behind_callable<First, Rest...>) {
        static_assert(always_false<First>, "what follows a callable is arguments for it: name its task with "
                                           "create_task(named(\"worker\"), f)");
    } else {
        detail::require_callable(first, "create_task");
        return detail::make_task(loop, detail::as_task(std::forward<First>(first), std::forward<Rest>(rest)...),
                                 options, is_eager, created);
    }
}

} // namespace detail

/// Makes a task that runs beside the caller on the running loop. Its first step comes in the next iteration, in order
/// of creation.
///
/// The arguments are a task or any awaitable, optionally with a name behind it: `create_task(work(), "worker")`; or a
/// callable with arguments, which are copied and kept until the task is done: `create_task(work, 1, 2)`. In front may
/// stand task_options, or `named("worker")`, or `eager`, which runs the task at once up to its first suspension.
///
/// @param a the first of these arguments. @param line the line of the call, for reports.
/// @return a task_handle.
/// @throws std::logic_error without a running loop, or for a task that was awaited or moved from.
/// Threads: the thread of the loop; see run_coroutine_threadsafe for others.
/// Lifetime: the loop owns the task; the handle may be dropped. Objects that the callable refers to must live until the
/// task has ended.
/// Cost: for a task nothing beyond its frame; for a callable one frame more.
/// Differs from Python: any awaitable and any callable is accepted.
/// See also: task_handle, task_group, event_loop::create_task.
template<class A>
[[gnu::always_inline]] inline auto create_task(A&& a, std::source_location line = std::source_location::current()) {
    return detail::make_task_from(detail::running_core(), {}, false, line, std::forward<A>(a));
}
/// Makes a task of two arguments, as above.
template<class A, class B>
auto create_task(A&& a, B&& b, std::source_location line = std::source_location::current()) {
    return detail::make_task_from(detail::running_core(), {}, false, line, std::forward<A>(a), std::forward<B>(b));
}
/// Makes a task of three arguments, as above.
template<class A, class B, class C>
auto create_task(A&& a, B&& b, C&& c, std::source_location line = std::source_location::current()) {
    return detail::make_task_from(detail::running_core(), {}, false, line, std::forward<A>(a), std::forward<B>(b),
                                  std::forward<C>(c));
}
/// Makes a task of four arguments, as above.
template<class A, class B, class C, class D>
auto create_task(A&& a, B&& b, C&& c, D&& d, std::source_location line = std::source_location::current()) {
    return detail::make_task_from(detail::running_core(), {}, false, line, std::forward<A>(a), std::forward<B>(b),
                                  std::forward<C>(c), std::forward<D>(d));
}
/// Makes a task of five arguments, as above.
template<class A, class B, class C, class D, class E>
auto create_task(A&& a, B&& b, C&& c, D&& d, E&& e, std::source_location line = std::source_location::current()) {
    return detail::make_task_from(detail::running_core(), {}, false, line, std::forward<A>(a), std::forward<B>(b),
                                  std::forward<C>(c), std::forward<D>(d), std::forward<E>(e));
}
/// Makes a task of six arguments, as above.
template<class A, class B, class C, class D, class E, class F>
auto create_task(A&& a, B&& b, C&& c, D&& d, E&& e, F&& f,
                 std::source_location line = std::source_location::current()) {
    return detail::make_task_from(detail::running_core(), {}, false, line, std::forward<A>(a), std::forward<B>(b),
                                  std::forward<C>(c), std::forward<D>(d), std::forward<E>(e), std::forward<F>(f));
}
/// Makes a task of seven arguments, as above.
template<class A, class B, class C, class D, class E, class F, class G>
auto create_task(A&& a, B&& b, C&& c, D&& d, E&& e, F&& f, G&& g,
                 std::source_location line = std::source_location::current()) {
    return detail::make_task_from(detail::running_core(), {}, false, line, std::forward<A>(a), std::forward<B>(b),
                                  std::forward<C>(c), std::forward<D>(d), std::forward<E>(e), std::forward<F>(f),
                                  std::forward<G>(g));
}
/// Makes a task of eight arguments, as above.
template<class A, class B, class C, class D, class E, class F, class G, class H>
auto create_task(A&& a, B&& b, C&& c, D&& d, E&& e, F&& f, G&& g, H&& h,
                 std::source_location line = std::source_location::current()) {
    return detail::make_task_from(detail::running_core(), {}, false, line, std::forward<A>(a), std::forward<B>(b),
                                  std::forward<C>(c), std::forward<D>(d), std::forward<E>(e), std::forward<F>(f),
                                  std::forward<G>(g), std::forward<H>(h));
}
/// Makes a task of nine or more arguments. The line of the call is not known then; reports name the function instead.
template<class A, class B, class C, class D, class E, class F, class G, class H, class I, class... More>
auto create_task(A&& a, B&& b, C&& c, D&& d, E&& e, F&& f, G&& g, H&& h, I&& i, More&&... more) {
    return detail::make_task_from(detail::running_core(), {}, false, std::source_location(), std::forward<A>(a),
                                  std::forward<B>(b), std::forward<C>(c), std::forward<D>(d), std::forward<E>(e),
                                  std::forward<F>(f), std::forward<G>(g), std::forward<H>(h), std::forward<I>(i),
                                  std::forward<More>(more)...);
}

template<class... X>
auto event_loop::create_task_at(const std::source_location& line, X&&... x) {
    return detail::make_task_from(*this, {}, false, line, std::forward<X>(x)...);
}

} // namespace asynchio

#pragma GCC visibility pop
