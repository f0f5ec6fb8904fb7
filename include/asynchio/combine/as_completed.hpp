// SPDX-License-Identifier: BSL-1.0
#pragma once

// Results in the order in which they come. It watches handles as a child_set does.

#include <asynchio/combine/detail/prepared_exit.hpp>
#include <asynchio/combine/detail/wait_arguments.hpp>
#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/late_value.hpp>
#include <asynchio/core/detail/range.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/loop/detail/deadline.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/detail/settled.hpp>

#include <coroutine>
#include <cstdint>
#include <exception>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

/// The stream of handles that as_completed() returns.
///
/// Behaviour: next() returns the handles one by one as they are done, each once, then nothing. After the deadline it
/// throws timeout_error once for each handle that remains, then returns nothing. One task at a time may wait in next().
/// Cancellation: a cancelled next() loses nothing and leaves the children alone; so does leaving early.
/// Threads: the thread of the loop.
/// Lifetime: it watches the handles while it lives.
/// Example: `while (auto next = co_await finished.next()) use(next->result());`
template<class H>
class [[nodiscard]] as_completed_iterator final {
    class child;

public:
    class next_awaiter;

    /// as_completed() calls it.
    as_completed_iterator(std::vector<H> handles, detail::nanoseconds_count timeout)
        : loop_(detail::running_core()), children_(detail::watched_once<child>(std::move(handles), "as_completed")),
          left_(children_.size()), running_(left_) {
        if (timeout != detail::no_timeout && left_ != 0)
            deadline_.emplace(loop_, detail::later(loop_.now(), timeout), *this);
        for (child& each : children_) each.watch(*this);
    }
    as_completed_iterator(as_completed_iterator&&) = delete;
    as_completed_iterator& operator=(as_completed_iterator&&) = delete;
    inline ~as_completed_iterator();

    /// Awaitable: waits for the next handle that is done.
    /// @return the handle, or nothing at the end.
    /// @throws timeout_error after the deadline; std::logic_error while another task waits in next().
    /// Cancellation: no handle is lost, and the children are left alone.
    next_awaiter next() noexcept { return next_awaiter(*this); }

private:
    friend detail::watched_handle<H, as_completed_iterator>;

    void ended(detail::watched_handle<H, as_completed_iterator>& each) noexcept;
    void announce(child& each) noexcept;
    void expire() noexcept {
        for (child& each : children_) each.stop_watching();
        expired_ = true;
        wake_waiter();
    }
    void wake_waiter() noexcept;

    std::optional<H> take() {
        if (child* next = first_done_) {
            first_done_ = next->next_done;
            --left_;
            return std::move(next->handle);
        }
        if (left_ == 0) return std::nullopt;
        --left_;
        throw timeout_error();
    }

    detail::loop_core& loop_;
    std::vector<child> children_;
    std::size_t left_;
    std::size_t running_;    // children that have not been announced
    std::size_t on_way_ = 0; // children that have ended and will be announced
    child* first_done_ = nullptr;
    child* last_done_ = nullptr;
    detail::late_value<detail::deadline<as_completed_iterator, &as_completed_iterator::expire>> deadline_;
    next_awaiter* waiter_ = nullptr;
    bool expired_ = false;
};

/// A child. It is announced in the iteration after its end, in its turn among the calls of that iteration.
template<class H>
class as_completed_iterator<H>::child : public detail::watched_handle<H, as_completed_iterator>,
                                        public detail::ready_item {
public:
    explicit child(H h) : detail::watched_handle<H, as_completed_iterator>(std::move(h)), ready_item(&run) {}
    child(child&& other) noexcept : child(std::move(other.handle)) {}
    child& operator=(child&&) = delete;
    ~child() = default;

    static void run(ready_item& item) noexcept {
        auto& self = static_cast<child&>(item);
        self.owner->announce(self);
    }

    child* next_done = nullptr; // links the children that were announced and not taken
};

template<class H>
as_completed_iterator<H>::~as_completed_iterator() {
    if (on_way_ == 0) return;
    loop_.unschedule_if([this](detail::ready_item& item) {
        return item.run == &child::run && static_cast<child&>(item).owner == this;
    });
}

template<class H>
void as_completed_iterator<H>::ended(detail::watched_handle<H, as_completed_iterator>& each) noexcept {
    ++on_way_;
    loop_.schedule(static_cast<child&>(each));
}

template<class H>
void as_completed_iterator<H>::announce(child& each) noexcept {
    --on_way_;
    if (expired_ || loop_.closing()) return;
    (first_done_ == nullptr ? first_done_ : last_done_->next_done) = &each;
    last_done_ = &each;
    if (--running_ == 0) deadline_.reset();
    wake_waiter();
}

/// The awaiter of as_completed_iterator::next().
///
/// Threads: the thread of the loop. Lifetime: the iterator must outlive it.
template<class H>
class [[nodiscard]] as_completed_iterator<H>::next_awaiter final : public suspension {
public:
    explicit next_awaiter(as_completed_iterator& from) noexcept : from_(&from) {}
    next_awaiter(next_awaiter&& other) noexcept : from_(other.from_) {}
    next_awaiter& operator=(next_awaiter&&) = delete;
    ~next_awaiter() override {
        if (from_->waiter_ == this) from_->waiter_ = nullptr;
    }

    bool await_ready() const noexcept { return from_->first_done_ != nullptr || from_->left_ == 0 || from_->expired_; }

    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        if (from_->waiter_ != nullptr)
            throw std::logic_error("as_completed: another task is waiting in next() already");
        from_->waiter_ = this;
        park(awaiting, where);
    }

    std::optional<H> await_resume() {
        if (from_->waiter_ == this) from_->waiter_ = nullptr;
        resumed();
        return from_->take();
    }

    const char* waiting_for() const noexcept override { return "as_completed"; }
    cancel_reply cancel(const cancel_message&) noexcept override { return cancel_reply::left; }

private:
    detail::shared_state* next_awaited(std::uintptr_t& place) noexcept override {
        detail::shared_state* one = nullptr;
        while (one == nullptr && place < from_->children_.size())
            one = detail::access::state(from_->children_[place++].handle); // it is null once it was returned
        return one;
    }

    as_completed_iterator* from_;
};

template<class H>
void as_completed_iterator<H>::wake_waiter() noexcept {
    if (waiter_ != nullptr && waiter_->parked()) waiter_->wake();
}

namespace detail {

/// The resource that as_completed() of tasks returns, which owns them.
template<class T>
class [[nodiscard]] as_completed_scope {
public:
    as_completed_scope(std::vector<task<T>> tasks, nanoseconds_count timeout) noexcept
        : tasks_(std::move(tasks)), timeout_(timeout) {}
    as_completed_scope(as_completed_scope&& other) noexcept // before it is entered
        : tasks_(std::move(other.tasks_)), timeout_(other.timeout_) {}
    as_completed_scope& operator=(as_completed_scope&&) = delete;
    ~as_completed_scope() = default;

    as_completed_iterator<task_handle<T>>& async_enter() {
        if (iterator_) throw std::logic_error("as_completed: entered a second time");
        exit_.prepare(children_end());
        handles_.reserve(tasks_.size());
        try {
            for (task<T>& each : tasks_) handles_.push_back(create_task(std::move(each)));
            tasks_.clear();
            return iterator_.emplace(handles_, timeout_);
        } catch (...) { // the tasks are not awaited, and never enter their bodies
            for (const task_handle<T>& each : handles_) each.cancel();
            throw;
        }
    }

    /// Cancels and awaits the tasks that are left. A request that comes meanwhile is delivered by the cancellation that
    /// leaves the block, if one does.
    task<> async_exit(std::exception_ptr error) {
        body_error_ = std::move(error);
        return exit_.take();
    }

private:
    task<> children_end() {
        const std::exception_ptr error = std::move(body_error_);
        for (const task_handle<T>& each : handles_) each.cancel();
        for (const task_handle<T>& each : handles_) co_await settled(*access::state(each));
        frame* const self = current_task_frame();
        if (self != nullptr && is_cancellation(error)) self->drop_request();
    }

    std::vector<task<T>> tasks_;
    std::vector<task_handle<T>> handles_;
    nanoseconds_count timeout_;
    std::exception_ptr body_error_;
    prepared_exit<void> exit_;
    std::optional<as_completed_iterator<task_handle<T>>> iterator_;
};

template<class R>
concept task_range = range<R> && is_task<range_value_t<R>>;

} // namespace detail

/// Returns handles in the order in which they are done.
///
/// @param handles a range of handles or futures, which are copied.
/// @param timeout a duration from now, or nullopt for none.
/// @return an as_completed_iterator.
/// @throws std::logic_error without a running loop, or for an empty handle; std::invalid_argument for a pending handle
/// of another loop.
/// Cancellation: that of as_completed_iterator::next(); the tasks behind the handles are left alone.
/// Threads: the thread of the loop.
/// Cost: one vector.
/// Differs from Python: it returns the handles themselves, which are done, as `async for` does there.
template<detail::handle_range Range, class Timeout = std::nullopt_t>
auto as_completed(Range&& handles, const Timeout& timeout = std::nullopt) {
    auto list = detail::handles_of(std::forward<Range>(handles));
    return as_completed_iterator<typename decltype(list)::value_type>(std::move(list), detail::timeout_of(timeout));
}

/// Makes a resource of a range of tasks: `with(as_completed(tasks), body)` starts them, calls `body` with an
/// as_completed_iterator&, and cancels and awaits the tasks that are left when the body ends.
///
/// @param tasks a range of tasks, which is moved from. @param timeout a duration from now, or nullopt for none.
/// @return a resource for with(); it is entered once.
/// Cancellation: a request that leaves the body cancels the tasks and waits for them.
/// Threads: the thread of the loop.
template<detail::task_range Tasks, class Timeout = std::nullopt_t>
auto as_completed(Tasks&& tasks, const Timeout& timeout = std::nullopt) {
    using T = typename detail::range_value_t<Tasks>::value_type;
    std::vector<task<T>> list;
    if constexpr (requires { tasks.size(); }) list.reserve(tasks.size());
    for (auto& each : tasks) list.push_back(std::move(each));
    return detail::as_completed_scope<T>(std::move(list), detail::timeout_of(timeout));
}

/// Refuses all other arguments with a message that says why.
template<class X, class Timeout = std::nullopt_t>
    requires(!detail::handle_range<X> && !detail::task_range<X>)
void as_completed(X&&, const Timeout& = std::nullopt) {
    static_assert(detail::always_false<X>,
                  "as_completed takes a range of handles, or a range of tasks that goes to with; make a range of "
                  "any_task_handle of handles of several types");
}

} // namespace asynchio

#pragma GCC visibility pop
