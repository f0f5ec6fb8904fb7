// SPDX-License-Identifier: BSL-1.0
#pragma once

// A wait for several children, on which gather, race and shield are built.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/closure_check.hpp>
#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/detail/functional.hpp>
#include <asynchio/core/detail/steady.hpp>
#include <asynchio/loop/detail/loop_call.hpp>
#include <asynchio/task/co_invoke.hpp>
#include <asynchio/task/detail/watched_handle.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/take.hpp>
#include <asynchio/task/task_handle.hpp>

#include <source_location>
#include <stdexcept>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// The line that made the children tasks. It is a base class, which a debugger finds by its name.
struct line_of_children {
    std::source_location where_;
};

/// A suspension with children. The children that it started (tasks), armed in place (branches) or watches (handles,
/// futures) tell it in the step in which they end. The consequences are decided one iteration later, in decide(), which
/// is when asyncio's done-callbacks run.
class child_set : public suspension, public child_owner, public loop_call<child_set>, private line_of_children {
public:
    child_set& operator=(child_set&&) = delete;

    /// Called when a watched child has ended, in its last step. A child that was started calls child_done.
    virtual void watched_done(shared_state& child) noexcept = 0;
    void ended(const watched_handle<handle_base, child_set>& child) noexcept {
        watched_done(*access::state(child.handle));
    }

    frame* identity() const noexcept final { return origin_; }

    std::source_location child_created() const noexcept final { return where_; }

protected:
    child_set() noexcept = default;
    child_set(child_set&&) noexcept : child_set() {} // before begin()

    /// Begins the wait; called once, before the first child starts.
    template<class Promise>
    void begin(std::coroutine_handle<Promise> awaiting, const std::source_location& where) {
        bind(running_core());
        frame& running = awaiting.promise().state();
        running.stand_at(where);
        origin_ = identity_of(&root_of(running));
        where_ = where;
    }

    /// Ends the wait; decide() calls it last. A branch ends in this call, as asyncio's future of an inner gather or
    /// shield is set in it; a task takes its turn.
    void go_on() noexcept {
        if (!task()->has(flag_branch) || task()->awaited_frame() != nullptr) return wake();
        task()->mark(mark_settled);
        run_now();
    }

    /// Called when `child` has ended and a decision follows.
    void decide_after(const shared_state& child) noexcept {
        if (decided_later(child))
            call_soon();
        else
            decide();
    }

    /// Whether the decision that follows the end of `child` comes an iteration later. The last step of a branch that
    /// waited for an operation is that iteration already.
    static bool decided_later(const shared_state& child) noexcept {
        return !child.has(flag_branch) || static_cast<const frame&>(child).has_mark(mark_settled);
    }

    /// Whether the wait has begun.
    bool begun() const noexcept { return origin_ != nullptr; }

    virtual void decide() noexcept = 0;

private:
    friend loop_call;
    void called() noexcept { decide(); }

    frame* origin_ = nullptr;
};

/// Leaves a branch whose result is not needed, if it waits in a fork itself, which stops what it owns. If the fork only
/// waits for what other code owns, the branch ends at once, in the iteration in which asyncio leaves the future of an
/// inner gather pending. @return false if the branch waits for something else, and must be cancelled.
inline bool leave_branch(frame& branch) noexcept {
    suspension* const hook = branch.awaited_frame() == nullptr ? hook_of(branch) : nullptr;
    fork* const inner = hook != nullptr ? access::forks(*hook) : nullptr;
    if (inner == nullptr) return false;
    if (inner->stop()) destroy_branch(branch);
    return true;
}

/// The children of a set while they start. Those that become tasks enter the loop together, in their order.
class starting_children {
public:
    explicit starting_children(child_set& set) noexcept : set_(set) {}
    starting_children(const starting_children&) = delete;
    starting_children& operator=(const starting_children&) = delete;
    ~starting_children() { enter_loop(); }

    child_set& set() const noexcept { return set_; }

    /// Starts a child as a task, in the loop's next iteration.
    [[gnu::always_inline]] void add(frame& task) noexcept {
        own(task);
        tasks_.push_back(task);
        steps_.push(task);
    }
    /// Starts a child as a branch, now.
    void run(frame& branch) noexcept {
        enter_loop();
        own(branch);
        branch.be_branch();
        set_.loop().tasks().push_back(branch);
        set_.loop().set_task_hooks(hooks_of_tasks);
        start_now(branch);
    }

private:
    [[gnu::always_inline]] void own(frame& child) noexcept {
        loop_core& loop = set_.loop();
        child.become_root(loop, 2, loop.next_task_id());
        child.own(set_);
        child.be_gathered();
    }
    void enter_loop() noexcept {
        if (tasks_.empty()) return;
        loop_core& loop = set_.loop();
        loop.set_task_hooks(hooks_of_tasks);
        if (context_in_use()) [[unlikely]]
            for (frame* each = tasks_.front(); each != nullptr; each = tasks_.after(*each)) inherit_context(*each);
        loop.tasks().append(tasks_);
        loop.schedule(steps_);
    }

    child_set& set_;
    intrusive_list<frame> tasks_;
    ready_queue steps_;
};

[[noreturn, gnu::cold]] inline void task_is_empty() {
    throw std::logic_error("a task that is to be awaited is empty: moved from or awaited before");
}

/// A child that was passed as a task or callable (it becomes a task), or as any other awaitable (a `Branch`, which runs
/// in the name of the awaiting task). It has eight bytes, so that ranges stay small: the pointer to its coroutine, or,
/// if `Place` is a reference, the place of that pointer in a task of a vector, which the owner of the vector frees.
template<class T, bool Branch, class Place = task_state<T>*, bool TakesNothing = !Branch>
class owned_child {
public:
    using value_type = T;
    static constexpr bool owned = true;
    static constexpr bool is_a_task = !Branch;
    /// Whether arming it takes nothing from other tasks: it is not an operation.
    static constexpr bool takes_nothing = TakesNothing;

    /// @throws std::logic_error for an empty task.
    explicit owned_child(task<T>&& what)
        requires(!std::is_reference_v<Place>)
        : state_(access::release(what)) {
        require_task(state_);
    }
    explicit owned_child(Place place) noexcept
        requires std::is_reference_v<Place>
        : state_(place) {}
    owned_child(owned_child&& other) noexcept
        requires(!std::is_reference_v<Place>)
        : state_(detail::exchange(other.state_, nullptr)) {}
    owned_child& operator=(owned_child&&) = delete;
    ~owned_child() {
        if constexpr (!std::is_reference_v<Place>)
            if (state_ != nullptr) give_up(*state_);
    }

    [[gnu::always_inline]] static void require_task(const task_state<T>* what) {
        if (what == nullptr) [[unlikely]]
            task_is_empty();
    }
    /// Frees a child whose result was never taken.
    [[gnu::noinline]] static void give_up(task_state<T>& what) noexcept {
        if (what.has(flag_root))
            free_gathered(what);
        else
            detail::drop_frame(what);
    }

    bool empty() const noexcept { return state_ == nullptr; }
    shared_state* get() const noexcept { return state_; }
    frame* coroutine() const noexcept { return state_; }
    bool done_before_start() const noexcept { return false; }

    void start(starting_children& all) noexcept {
        if constexpr (Branch)
            all.run(*state_);
        else
            all.add(*state_);
    }
    void stop_watching() noexcept {}
    /// Drops a child that will not be started.
    void leave_out() noexcept { detail::discard_frame(*detail::exchange(state_, nullptr)); }

    /// Moves the result out, and frees the frame. @throws the exception of the child.
    T take() {
        const seen last{detail::exchange(state_, nullptr)};
        return std::move(*last.state).value();
    }

private:
    struct seen {
        task_state<T>* state;
        ~seen() { free_gathered(*state); }
    };
    Place state_;
};

/// A child that was passed as a handle or future.
template<class T, bool Move>
class watched_child : private watched_handle<handle_base, child_set> {
public:
    using value_type = T;
    static constexpr bool owned = false;
    static constexpr bool is_a_task = false;
    static constexpr bool takes_nothing = true;

    using watched_handle::stop_watching;
    using watched_handle::watch;
    using watched_handle::watched_handle;

    bool empty() const noexcept { return !handle; }
    shared_state* get() const noexcept { return access::state(handle); }
    bool done_before_start() const { return get()->done(); }

    void start(starting_children& all) { watch(all.set()); }
    decltype(auto) take() { return take_result<T, Move>(*get()); }
};

/// Calls a callable that is kept elsewhere.
template<class F>
struct callable_reference {
    F* f;
    decltype(auto) operator()() const { return detail::invoke(*f); }
};

/// Whether an `A` is a gather or a shield, which is a future in asyncio, and not an operation.
template<class A>
inline constexpr bool takes_nothing = false;
template<class A>
    requires requires { std::remove_cvref_t<A>::takes_nothing; }
inline constexpr bool takes_nothing<A> = std::remove_cvref_t<A>::takes_nothing;

/// The type in which a branch keeps the result of `A`. It is a copy if the result refers to an object that the
/// awaitable may hold alone, as a shield holds a handle, since the awaitable is destroyed with the branch.
template<class R>
struct branch_result {
    using type = passed_result_t<R>;
};
template<class T>
    requires std::is_copy_constructible_v<T>
struct branch_result<const T&> {
    using type = T;
};
template<class A>
using branch_result_t = typename branch_result<await_result_t<A>>::type;

template<class A>
using branch_of = owned_child<branch_result_t<A>, true, task_state<branch_result_t<A>>*, takes_nothing<awaiter_t<A>>>;

template<class A>
task<branch_result_t<A>> await_in_place(parameter<kept_t<A>> awaitable) {
    co_return co_await static_cast<kept_t<A>&&>(awaitable);
}

/// Makes a child of a handle or future, a task, a callable, or another awaitable. An lvalue callable or awaitable is
/// referenced, a temporary or taken one is kept.
template<class X>
auto make_child(X&& x) {
    using plain = std::remove_cvref_t<X>;
    if constexpr (std::is_base_of_v<handle_base, plain>) {
        static_assert(
            requires { typename plain::value_type; },
            "this needs the result's type: pass the task_handle<T> itself, not an any_task_handle");
        return watched_child<typename plain::value_type, !std::is_lvalue_reference_v<X>>(std::forward<X>(x));
    } else if constexpr (is_task<plain>) {
        return owned_child<typename plain::value_type, false>(as_task(std::forward<X>(x)));
    } else if constexpr (is_taken<plain>) {
        return make_child(std::forward<X>(x).release());
    } else if constexpr (std::is_invocable_v<X>) {
        if constexpr (std::is_lvalue_reference_v<X>) {
            auto started = as_task(callable_reference<std::remove_reference_t<X>>{__builtin_addressof(x)});
            return owned_child<typename decltype(started)::value_type, false>(std::move(started));
        } else {
            auto started = as_task(std::forward<X>(x));
            return owned_child<typename decltype(started)::value_type, false>(std::move(started));
        }
    } else {
        static_assert(awaitable<X>, "this takes handles, futures, tasks, other awaitables, and callables without "
                                    "arguments that return a task");
        return branch_of<X>(detail::await_in_place<X>(std::forward<X>(x)));
    }
}

template<class X>
using child_t = decltype(make_child(std::declval<X>()));

/// Returns the argument from which a child_t<X> is made in place: a task that is moved from as it stands, else the
/// child.
template<class X>
decltype(auto) child_argument(X&& x) {
    if constexpr (is_task<X>)
        return std::forward<X>(x);
    else
        return make_child(std::forward<X>(x));
}

} // namespace asynchio::detail

#pragma GCC visibility pop
