// SPDX-License-Identifier: BSL-1.0
#pragma once

// The results of several tasks, which one async_generator takes; merge and map are built on it.

#include <asynchio/core/cancelled_error.hpp>
#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/owner.hpp>
#include <asynchio/core/detail/ring_buffer.hpp>
#include <asynchio/core/detail/steady.hpp>
#include <asynchio/task/async_generator.hpp>
#include <asynchio/task/detail/child_tasks.hpp>
#include <asynchio/task/detail/wait_queue.hpp>
#include <asynchio/task/take.hpp>

#include <cstddef>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

template<class T>
inline constexpr bool is_async_generator = false;
template<class T>
inline constexpr bool is_async_generator<async_generator<T>> = true;

/// Returns the result of next() of an async_generator<T> as a value: moved out, or copied if it refers to an object of
/// the source.
template<class T>
std::remove_cvref_t<T> own_item(typename async_generator<T>::item_type& item) {
    if constexpr (std::is_reference_v<T>)
        return std::as_const(*item);
    else
        return std::move(*item);
}

/// The tasks, and the places of the items on their way, in the order in which they will be taken. A place gets its item
/// when it is made, or later. The first task that fails, or is cancelled by other code, ends all.
template<class R>
class ordered_results : private child_tasks {
public:
    using item_type = R;
    /// The number of a place, counted from the first one ever made.
    using ticket = std::size_t;

    explicit ordered_results(const char* name) noexcept : name_(name) {}
    ordered_results(const ordered_results&) = delete;
    ordered_results& operator=(const ordered_results&) = delete;
    ~ordered_results() override = default;

    /// Runs `work` in a task beside the others.
    void launch(task<> work) {
        reservation made = make_room();
        adopt(*access::state(create_task(std::move(work))), std::move(made));
    }

    // The tasks call these.

    ticket reserve() {
        places_.push_back(std::nullopt);
        return taken_ + places_.size() - 1;
    }
    void fill(ticket place, R&& item) {
        places_[place - taken_].emplace(std::move(item));
        if (place == taken_) changed_.wake_one();
    }
    ticket append(R&& item) {
        places_.push_back(std::optional<steady<R>>(std::move(item)));
        if (places_.size() == 1) changed_.wake_one();
        return taken_ + places_.size() - 1;
    }
    std::size_t taken() const noexcept { return taken_; }
    /// Whether it ends. Items of a task that goes on in spite of that will not be taken.
    bool stopping() const noexcept { return stopping_; }
    /// Awaitable: waits until an item was taken.
    line_awaiter room() noexcept { return line_awaiter(taken_one_, name_); }

    // The generator calls these.

    /// Whether there is an item, or no item will come.
    bool settled() const noexcept { return ready() || failure_ || running() == 0; }
    /// Awaitable: waits until settled() may have changed.
    line_awaiter change() noexcept { return line_awaiter(changed_, name_); }
    /// Whether there is an item; settled() must be true. @throws the exception of a task that has failed.
    bool more() const {
        if (ready()) return true;
        if (failure_) std::rethrow_exception(failure_);
        return false;
    }
    R pop() {
        std::optional<steady<R>> item = places_.pop_front();
        ++taken_;
        taken_one_.wake_one();
        return std::move(item->get());
    }
    /// Cancels the tasks. @return whether there is one to be waited for.
    bool stop() noexcept {
        stopping_ = true;
        cancel_all();
        return running() != 0;
    }
    /// Awaitable: waits until the tasks have ended; stop() comes before. A request to cancel that comes meanwhile is
    /// passed on to them, and stays pending.
    all_ended stopped() noexcept { return all_ended(*this, name_, true); }
    /// Returns the exception of a task that has failed, if that is not a cancellation; once stopped(), also that of a
    /// cleanup.
    std::exception_ptr failure() const { return is_cancellation(failure_) ? nullptr : failure_; }

private:
    bool ready() const noexcept { return !places_.empty() && places_.front().has_value(); }

    void child_ended(frame& child) noexcept override {
        if (!child.has_value()) {
            child.note_retrieved();
            if (!stopping_) {
                stopping_ = true;
                failure_ = child.error();
                cancel_all();
            } else if (!failure_ && child.failed()) {
                failure_ = child.error();
            }
        }
        if (failure_ || running() == 0) changed_.wake_one();
    }

    const char* name_;
    ring_buffer<std::optional<steady<R>>> places_;
    std::size_t taken_ = 0;
    wait_queue changed_;
    wait_queue taken_one_;
    std::exception_ptr failure_;
    bool stopping_ = false;
};

/// Yields the items of a `State`, which is an ordered_results with its tasks, until its end or until it is closed; then
/// no task is left.
template<class State>
async_generator<typename State::item_type> stream_of(owner<State> state) {
    std::exception_ptr error;
    bool closed = false;
    try {
        state->start();
        for (;;) {
            while (!state->settled()) co_await state->change();
            const bool more = state->more();
            if (!more) break;
            auto item = state->pop();
            co_yield take(item);
        }
    } catch (const generator_exit&) {
        error = std::current_exception();
        closed = true;
    } catch (...) {
        error = std::current_exception();
    }
    const bool some_run = state->stop(); // allocates nothing
    if (some_run) co_await state->stopped();
    if (!error) co_return;
    // The exception of a cleanup takes the place of the reason for which it ran, as in one stream.
    if ((closed || is_cancellation(error)) && state->failure()) error = state->failure();
    if (is_cancellation(error)) current_root().drop_request(); // the exception delivers the later request as well
    std::rethrow_exception(error);
}

} // namespace asynchio::detail

#pragma GCC visibility pop
