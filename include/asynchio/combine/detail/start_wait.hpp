// SPDX-License-Identifier: BSL-1.0
#pragma once

// Under task_group::start: the wait of the caller for a child to start, and what the child holds of that wait.

#include <asynchio/core/awaitable.hpp>
#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/detail/functional.hpp>
#include <asynchio/core/detail/steady.hpp>
#include <asynchio/core/outcome.hpp>
#include <asynchio/loop/detail/intrusive_list.hpp>
#include <asynchio/task/suspension.hpp>
#include <asynchio/task/task.hpp>
#include <asynchio/task/task_handle.hpp>

#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

template<class T>
class task_status;

namespace detail {

class start_status;

/// A wait for a child of a group to start. It stands in the list of the group until the child has started or ended, or it
/// is given up. A child without a wait in the list is an ordinary one.
class start_wait : public suspension, public list_link, private awaited_handle {
public:
    using list = intrusive_list<start_wait>;

    /// Finds the wait in `all` for `child`; null if there is none. Linear in the number of waits.
    static start_wait* find(const list& all, const frame* child) noexcept {
        for (start_wait* each = all.front(); each != nullptr; each = all.after(*each))
            if (access::state(each->target_) == child) return each;
        return nullptr;
    }
    /// Records the status of a child that has begun to run, or null when that status is destroyed.
    void meet(start_status* status) noexcept { status_ = status; }
    /// Ends the wait: the child has started, or ended.
    void over() noexcept {
        leave();
        if (parked()) wake();
    }
    inline void leave() noexcept;

    const char* waiting_for() const noexcept override { return "task_group::start"; }
    shared_state* awaited_state() const noexcept override { return access::state(target_); }
    bool forwards() const noexcept override { return true; }
    /// Called only if forwarding the request would lead round a circle.
    cancel_reply cancel(const shared_text&) noexcept override {
        leave();
        return cancel_reply::left;
    }

protected:
    start_wait() noexcept : list_link() {}
    ~start_wait() override { leave(); }

    void enter(list& all, task_handle<> child) noexcept {
        target_ = std::move(child);
        all_ = &all;
        all.push_back(*this);
    }

private:
    list* all_ = nullptr;
    start_status* status_ = nullptr;
};

template<class T>
class start_result : public start_wait {
public:
    outcome<T> result;
};

/// A task_status without the result's type: it and the wait know each other while there are both.
class start_status {
public:
    start_status(const start_status&) = delete;
    start_status& operator=(const start_status&) = delete;

    void forget() noexcept { wait_ = nullptr; }

protected:
    explicit start_status(start_wait* wait) noexcept : wait_(wait) {
        if (wait_ != nullptr) wait_->meet(this);
    }
    ~start_status() {
        if (wait_ != nullptr) wait_->meet(nullptr);
    }

    start_wait* wait() const noexcept { return wait_; }
    bool has_started() const noexcept { return started_; }
    void set_started() noexcept {
        started_ = true;
        if (wait_ != nullptr) wait_->over();
    }

private:
    start_wait* wait_;
    bool started_ = false;
};

inline void start_wait::leave() noexcept {
    if (status_ != nullptr) detail::exchange(status_, nullptr)->forget();
    if (all_ != nullptr) detail::exchange(all_, nullptr)->remove(*this);
}

template<class T>
struct starting {
    /// Keeps status, callable and arguments in its frame while what they start runs.
    template<class F, class... Args>
    static task<> run(const start_wait::list& waits, parameter<F> f, parameter<Args>... args) {
        task_status<T> status(start_wait::find(waits, current_task_frame()));
        static_cast<void>(co_await detail::invoke(static_cast<F&&>(f), status, static_cast<Args&&>(args)...));
    }
};

/// The `T` of a callable whose first parameter is a task_status<T>&; there is none for one with several call operators.
struct deduced_status;
template<class R, class T, class... A>
constexpr std::type_identity<T> status_of(R (*)(task_status<T>&, A...)) {
    return {};
}
template<class R, class C, class T, class... A>
constexpr std::type_identity<T> status_of(R (C::*)(task_status<T>&, A...)) {
    return {};
}
template<class R, class C, class T, class... A>
constexpr std::type_identity<T> status_of(R (C::*)(task_status<T>&, A...) const) {
    return {};
}

template<class Wanted, class F>
consteval auto started_value() {
    if constexpr (!std::is_same_v<Wanted, deduced_status>)
        return std::type_identity<Wanted>();
    else if constexpr (requires { detail::status_of(&F::operator()); })
        return decltype(detail::status_of(&F::operator()))();
    else if constexpr (requires(F f) { detail::status_of(f); })
        return decltype(detail::status_of(std::declval<F>()))();
    else
        static_assert(always_false<F>,
                      "what the task starts with cannot be told from this callable, whose first parameter is "
                      "not a task_status<T>&: write group.start<T>(f, args...)");
}

} // namespace detail

} // namespace asynchio

#pragma GCC visibility pop
