// SPDX-License-Identifier: BSL-1.0
#pragma once

// Waiting for several children until enough of them have ended: the common part of gather and race.

#include <asynchio/combine/detail/owned_tasks.hpp>
#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/detail/range.hpp>
#include <asynchio/task/detail/child_set.hpp>

#include <cstdint>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio::detail {

enum class join_end : unsigned char {
    all_done,      // nothing ends the wait early
    first_failure, // an exception or a cancellation of a child ends it
    first_done,    // the child that ends first ends it
};

/// The decisions, which do not depend on the types of the children. An early end stops the owned children, and waits
/// for them.
class child_join_state : public child_set, private fork {
public:
    void child_done(shared_state& child) noexcept final { ended(child); }
    void watched_done(shared_state& child) noexcept final {
        --running_watched_;
        ended(child);
    }

    fork* forks() noexcept final { return this; }
    bool stop() noexcept final {
        collecting_ = true; // a child that ends now does not wake the branch, which may end with it
        stop_others();
        if (owned_run()) leave_branches();
        collecting_ = false;
        cancelled_ = true;
        return !owned_run();
    }

protected:
    [[gnu::noinline]] ~child_join_state() override {} // compiled once, not in each gather
    explicit child_join_state(join_end end) noexcept : end_(end) {}
    child_join_state(child_join_state&& other) noexcept : child_join_state(other.end_) {} // before begin()

    void ended(shared_state& child) noexcept {
        --running_;
        if (running_ != 0 && child.has_value() && end_ != join_end::first_done && deciding_ == nullptr) [[likely]]
            return;
        consider(child);
    }

    [[gnu::noinline]] void consider(shared_state& child) noexcept {
        const bool decides = end_ == join_end::first_done || (end_ == join_end::first_failure && !child.has_value());
        const bool first = decides && (deciding_ == nullptr || overtakes(child));
        if (decides && !child.has_value()) child.note_retrieved(); // later ones are dropped silently
        if (first) {
            deciding_ = &child;
            if (end_ == join_end::first_done && !collecting_) stop_children(children_kind::branches);
        }
        if (collecting_ || (!first && !complete())) return;
        decide_after(child);
    }

    /// Whether the end of `child` counts now, and that of another child, which came before, an iteration later.
    bool overtakes(const shared_state& child) const noexcept {
        return end_ == join_end::first_failure && !decided_ && !decided_later(child) && decided_later(*deciding_);
    }

    enum class children_kind : unsigned char { branches, tasks };
    /// Cancels the owned children of a kind.
    virtual void stop_children(children_kind which) noexcept = 0;
    /// Ends the branches that only wait for what other code owns; asyncio leaves an inner gather as it is.
    virtual void leave_branches() noexcept = 0;

    bool owned_run() const noexcept { return running_ != running_watched_; }

    /// Whether the awaiting task can go on.
    bool complete() const noexcept { return running_ == 0 || (deciding_ != nullptr && !owned_run()); }

    void decide() noexcept final {
        if (deciding_ != nullptr) {
            collecting_ = true;
            stop_others();
            if (owned_run()) leave_branches();
            collecting_ = false;
        }
        if (complete() && parked()) go_on();
    }

    /// Stops the owned children once: a child that ends later does not interrupt the cleanup of the others. A race has
    /// stopped its branches as soon as one child had ended, so that none of them takes anything that is lost.
    [[gnu::noinline]] void stop_others() noexcept {
        decided_ = true;
        if (detail::exchange(stopped_, true) || !owned_run()) return;
        if (end_ != join_end::first_done || deciding_ == nullptr) stop_children(children_kind::branches);
        stop_children(children_kind::tasks);
    }

    /// The body of await_resume. @throws the exception that ends the wait.
    void finish() {
        if ((deciding_ != nullptr ? deciding_->cancelled() : cancelled_) && interrupted()) deliver_with_result();
        if (end_ != join_end::first_done || deciding_ == nullptr) resumed();
        if (deciding_ != nullptr) {
            // A request to cancel that came while it waited for the children that it has stopped, or to a race that has
            // its result, is delivered at the next suspension, unless it throws a cancellation now.
            if (cancelled_late_ && !deciding_->cancelled()) task()->pend_request();
            deciding_->rethrow();
        }
        if (cancelled_ && (deciding_ == nullptr || end_ == join_end::first_done))
            throw cancelled_error(std::move(message_));
    }

    cancel_reply all_asked(const shared_text& message, bool any) noexcept final {
        const bool race_is_over = deciding_ != nullptr && end_ == join_end::first_done;
        if (!any && !race_is_over) return cancel_reply::refused;
        if (deciding_ == nullptr) {
            stopped_ = true;
            cancelled_ = true;
            message_ = message;
        } else if (race_is_over || owned_run()) {
            stopped_ = stopped_ || owned_run();
            cancelled_late_ = true;
            keep_message(*task(), message, true);
        }
        return cancel_reply::forwarded;
    }

    std::size_t running_ = 0;
    std::size_t running_watched_ = 0; // those of them that are watched, and outlive us
    shared_state* deciding_ = nullptr;
    shared_text message_;
    join_end end_;
    bool collecting_ = false; // ends are only recorded, and the code that has set this decides
    bool stopped_ = false;
    bool cancelled_ = false;
    bool cancelled_late_ = false;
    bool decided_ = false; // whether the consequences of deciding_ have begun
};

/// The properties of the children that are known at compile time: those of a vector or owned_tasks, and of a tuple.
template<class Children>
struct children_kinds {
    using child = typename Children::value_type;
    static constexpr bool all_owned = child::owned;
    static constexpr bool any_owned = child::owned;
    static constexpr bool takes_nothing = child::takes_nothing;
    static constexpr bool only_tasks_of_tuple = false;
    static std::size_t count(const Children& c) noexcept { return c.size(); }
    static std::size_t count_owned(const Children& c) noexcept { return child::owned ? c.size() : 0; }
};
template<class... Each>
struct children_kinds<std::tuple<Each...>> {
    static constexpr bool all_owned = (Each::owned && ...);
    static constexpr bool any_owned = (Each::owned || ...);
    static constexpr bool takes_nothing = (Each::takes_nothing && ...);
    static constexpr bool only_tasks_of_tuple = sizeof...(Each) != 0 && (Each::is_a_task && ...);
    static std::size_t count(const std::tuple<Each...>&) noexcept { return sizeof...(Each); }
    static std::size_t count_owned(const std::tuple<Each...>&) noexcept {
        return (std::size_t(0) + ... + std::size_t(Each::owned));
    }
};

/// A child_join_state with its children: a tuple or a vector of owned_child and watched_child, or owned_tasks.
template<class Children>
class child_join : public child_join_state {
public:
    /// Whether arming it takes nothing from other tasks: no child is an operation.
    static constexpr bool takes_nothing = children_kinds<Children>::takes_nothing;

    bool await_ready() {
        if (begun()) throw std::logic_error("gather or race: awaited a second time");
        if constexpr (all_owned) {
            return count() == 0;
        } else {
            bool all_done = true;
            bool decided = false;
            each_child([&](auto& child) {
                if constexpr (!std::remove_reference_t<decltype(child)>::owned) {
                    if (child.empty()) throw std::logic_error("gather or race: a handle is empty");
                    require_own_loop(*child.get(), "gather or race");
                    if (!child.done_before_start())
                        all_done = false;
                    else if (end_ == join_end::first_done ||
                             (end_ == join_end::first_failure && !child.get()->has_value()))
                        decided = true;
                }
            });
            if (any_owned || (!all_done && !decided)) return false;
            // All results that count are there, so it need not suspend.
            collecting_ = true;
            running_ = running_watched_ = count();
            each_child([&](auto& child) {
                if constexpr (!std::remove_reference_t<decltype(child)>::owned)
                    if (child.done_before_start()) child.watch(*this);
            });
            running_ = running_watched_ = 0;
            return true;
        }
    }

    template<class Promise>
    bool await_suspend(std::coroutine_handle<Promise> coroutine,
                       std::source_location where = std::source_location::current()) {
        begin(coroutine, where);
        collecting_ = true;
        running_ = count();
        running_watched_ = count() - count_owned();
        start_children();
        collecting_ = false;
        if (deciding_ != nullptr) {
            if (end_ == join_end::first_done) stop_children(children_kind::branches);
            stop_others();
        }
        if (complete()) return false;
        park(coroutine, where);
        return true;
    }

protected:
    template<class... Args>
    explicit child_join(join_end end, Args&&... children)
        : child_join_state(end), children_(std::forward<Args>(children)...) {}

    /// Ends the wait. Watched children that run on are forgotten; their exceptions count as seen.
    void end() {
        if constexpr (!all_owned)
            each_child([](auto& child) {
                if constexpr (!std::remove_reference_t<decltype(child)>::owned) {
                    if (!child.get()->done()) child.get()->note_retrieved();
                    child.stop_watching();
                }
            });
        finish();
    }

    template<class F>
    void each_child(F f) {
        if constexpr (requires { children_.size(); })
            for (auto&& child : children_) f(child);
        else
            each_of_tuple(f, std::make_index_sequence<std::tuple_size_v<Children>>());
    }
    template<class F, std::size_t... I> // several functions fewer than std::apply makes of it
    void each_of_tuple(F& f, std::index_sequence<I...>) {
        (f(std::get<I>(children_)), ...);
    }

    Children children_;

private:
    void start_children() {
        starting_children all(*this);
        if constexpr (kinds::only_tasks_of_tuple) // a loop, so that the code is compiled once
            std::apply(
                [&](auto&... child) {
                    for (frame* each : {child.coroutine()...}) all.add(*each);
                },
                children_);
        else
            each_child([&](auto& child) {
                if (end_ == join_end::first_done && deciding_ != nullptr)
                    leave_out(child);
                else
                    child.start(all);
            });
    }

    /// Leaves out a child that does not start because the race is over.
    template<class Child>
    void leave_out(Child& child) noexcept {
        --running_;
        if constexpr (Child::owned)
            child.leave_out();
        else
            --running_watched_;
    }

    void stop_children(children_kind which) noexcept final {
        each_child([&](auto& child) {
            using one = std::remove_reference_t<decltype(child)>;
            if constexpr (one::owned) {
                if (child.empty() || one::is_a_task != (which == children_kind::tasks)) return;
                if constexpr (!one::is_a_task)
                    if (leave_branch(*child.coroutine())) return;
                cancel_completion(*child.get(), shared_text());
            }
        });
    }
    void leave_branches() noexcept final {
        if constexpr (!kinds::only_tasks_of_tuple)
            each_child([](auto& child) {
                using one = std::remove_reference_t<decltype(child)>;
                if constexpr (one::owned && !one::is_a_task)
                    if (!child.empty()) leave_branch(*child.coroutine());
            });
    }

    shared_state* next_awaited(std::uintptr_t& place) noexcept final {
        shared_state* one = nullptr;
        while (one == nullptr && place < count()) one = child_at(place++);
        return one;
    }
    shared_state* next_asked(bool first) noexcept final {
        if (first) asked_ = 0;
        return next_awaited(asked_);
    }
    shared_state* child_at(std::size_t index) noexcept {
        if constexpr (requires { children_[index]; }) {
            return children_[index].get();
        } else {
            shared_state* found = nullptr;
            each_child([&](auto& child) {
                if (index-- == 0) found = child.get();
            });
            return found;
        }
    }

    using kinds = children_kinds<Children>;
    static constexpr bool all_owned = kinds::all_owned;
    static constexpr bool any_owned = kinds::any_owned;
    std::size_t count() const noexcept { return kinds::count(children_); }
    std::size_t count_owned() const noexcept { return kinds::count_owned(children_); }

    std::uintptr_t asked_ = 0; // how many children the walk of a request to cancel has asked
};

/// A range whose elements can be children: handles, futures, tasks or other awaitables.
template<class R>
concept child_range = range<R> && !awaitable<R>;

template<class R>
using range_element_t =
    std::conditional_t<std::is_lvalue_reference_v<R> && std::is_base_of_v<handle_base, range_value_t<R>>,
                       range_reference_t<R>, range_value_t<R>&&>;

/// Returns the children of a range. A vector of tasks that is moved in keeps them.
template<class T>
owned_tasks<T> make_children(std::vector<task<T>>&& tasks) {
    return owned_tasks<T>(std::move(tasks));
}
template<class R>
auto make_children(R&& range) {
    std::vector<child_t<range_element_t<R>>> children;
    if constexpr (requires { range.size(); }) children.reserve(range.size());
    for (auto&& each : range) children.push_back(make_child(static_cast<range_element_t<R>>(each)));
    return children;
}
template<class R>
using range_children_t = decltype(make_children(std::declval<R>()));

} // namespace asynchio::detail

#pragma GCC visibility pop
