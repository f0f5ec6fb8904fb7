// SPDX-License-Identifier: BSL-1.0
#pragma once

// Waiting for some or all of several tasks and futures, without touching them. It watches them as a child_set does.

#include <asynchio/combine/detail/wait_arguments.hpp>
#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/late_value.hpp>
#include <asynchio/loop/detail/deadline.hpp>
#include <asynchio/loop/detail/loop_call.hpp>
#include <asynchio/task/task_handle.hpp>

#include <cstdint>
#include <source_location>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

/// The moment at which wait() returns: when all handles are done, when the first is done, or when the first has failed.
enum class return_when : unsigned char { all_completed, first_completed, first_exception };
/// wait() returns when all handles are done.
inline constexpr return_when all_completed = return_when::all_completed;
/// wait() returns when the first handle is done.
inline constexpr return_when first_completed = return_when::first_completed;
/// wait() returns when the first handle has failed, or all are done. A cancelled handle has not failed.
inline constexpr return_when first_exception = return_when::first_exception;

/// The result of wait(): handles in the order of the arguments, each once.
///
/// Threads: as the handles.
template<class H>
struct wait_result {
    /// The handles that are done.
    std::vector<H> done;
    /// The handles that are not done.
    std::vector<H> pending;

    wait_result() = default;
};

namespace detail {

template<class H>
class [[nodiscard("wait does nothing until it is awaited")]] wait_awaiter final : public suspension,
                                                                                  private loop_call<wait_awaiter<H>> {
    using child = watched_handle<H, wait_awaiter>;

public:
    wait_awaiter(std::vector<H> handles, return_when when, nanoseconds_count timeout)
        : handles_(watched_once<child>(std::move(handles), "wait")), when_(when), timeout_(timeout) {
        if (handles_.empty()) throw std::invalid_argument("wait: Set of Tasks/Futures is empty");
    }
    wait_awaiter(wait_awaiter&& other) noexcept
        : handles_(std::move(other.handles_)), when_(other.when_), timeout_(other.timeout_) {}
    wait_awaiter& operator=(wait_awaiter&&) = delete;
    ~wait_awaiter() override = default;

    static bool await_ready() noexcept { return false; }

    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        loop_core& loop = running_core();
        this->bind(loop);
        running_ = handles_.size();
        if (timeout_ != no_timeout) deadline_.emplace(loop, later(loop.now(), timeout_), *this);
        for (child& each : handles_) each.watch(*this);
        park(awaiting, where);
    }

    wait_result<H> await_resume() {
        stop();
        resumed();
        wait_result<H> result;
        for (child& each : handles_)
            (each.handle.done() ? result.done : result.pending).push_back(std::move(each.handle));
        return result;
    }

    void ended(child& each) noexcept {
        --running_;
        if (running_ == 0 || when_ == first_completed ||
            (when_ == first_exception && access::state(each.handle)->failed()))
            this->call_soon();
    }

    /// Leaves the children alone.
    cancel_reply cancel(const shared_text&) noexcept override {
        stop();
        return cancel_reply::left;
    }
    const char* waiting_for() const noexcept override { return "wait"; }

private:
    friend loop_call<wait_awaiter>;
    shared_state* next_awaited(std::uintptr_t& place) noexcept override {
        return place < handles_.size() ? access::state(handles_[place++].handle) : nullptr;
    }
    void called() noexcept {
        if (parked()) wake();
    }
    void stop() noexcept {
        deadline_.reset();
        for (child& each : handles_) each.stop_watching();
    }

    std::vector<child> handles_;
    std::size_t running_ = 0;
    return_when when_;
    nanoseconds_count timeout_;
    late_value<deadline<wait_awaiter, &wait_awaiter::called>> deadline_;
};

/// The type that several handles share: their own if they have one type, else any_task_handle.
template<class... H>
using common_handle = std::conditional_t<(std::is_same_v<H, std::tuple_element_t<0, std::tuple<H...>>> && ...),
                                         std::tuple_element_t<0, std::tuple<H...>>, any_task_handle>;

template<class... X>
auto wait_for_each(const X&... x) {
    const auto list = []<class... H>(return_when when, const H&... handles) {
        using common = common_handle<H...>;
        std::vector<common> copies;
        copies.reserve(sizeof...(H));
        (copies.push_back(handles), ...);
        return wait_awaiter<common>(std::move(copies), when, no_timeout);
    };
    if constexpr ((std::is_same_v<X, return_when> || ...)) {
        const auto split = [&]<std::size_t... I>(std::index_sequence<I...>) {
            const std::tuple<const X&...> all(x...);
            return list(std::get<sizeof...(X) - 1>(all), std::get<I>(all)...);
        };
        return split(std::make_index_sequence<sizeof...(X) - 1>());
    } else {
        return list(all_completed, x...);
    }
}

} // namespace detail

/// Awaitable: waits until handles are done. It does not throw their exceptions, and cancels nothing. It suspends even
/// if all are done already.
///
/// @param handles a range of handles or futures, which are copied.
/// @param when whether it waits for all, for the first, or for the first that fails.
/// @return the handles that are done and those that are not, in their order.
/// @throws std::invalid_argument for an empty range or a handle of another loop, std::logic_error for an empty handle.
/// Cancellation: the children are left alone.
/// Threads: the thread of the loop.
/// Cost: one vector.
/// Differs from Python: it keeps the order of the arguments.
/// Example: `auto [done, pending] = co_await aio::wait(handles, aio::first_completed);`
/// See also: gather, as_completed.
template<detail::handle_range Range>
auto wait(Range&& handles, return_when when = all_completed) {
    auto list = detail::handles_of(std::forward<Range>(handles));
    return detail::wait_awaiter<typename decltype(list)::value_type>(std::move(list), when, detail::no_timeout);
}
/// Awaitable: waits until handles are done, or the time is up.
///
/// @param handles a range of handles or futures. @param when what it waits for.
/// @param timeout a duration, or nullopt for none; 0 or less stands for one pass of the loop.
/// @return the handles that are done by then and those that are not.
/// @throws std::invalid_argument for an empty range or a handle of another loop, std::logic_error for an empty handle.
/// Cancellation: the children are left alone.
template<detail::handle_range Range, class Timeout>
auto wait(Range&& handles, return_when when, const Timeout& timeout) {
    auto list = detail::handles_of(std::forward<Range>(handles));
    return detail::wait_awaiter<typename decltype(list)::value_type>(std::move(list), when,
                                                                     detail::timeout_of(timeout));
}

/// Awaitable: waits for handles that are passed one by one.
///
/// @param first a handle or future. @param more others; a return_when may stand last.
/// @return the handles that are done and those that are not; any_task_handle if their types differ.
/// @throws std::logic_error for an empty handle, std::invalid_argument for a handle of another loop.
/// Cancellation: the children are left alone.
template<class First, class... More>
    requires(std::is_base_of_v<handle_base, First>)
auto wait(const First& first, const More&... more) {
    return detail::wait_for_each(first, more...);
}

/// Refuses all other arguments with a message that says why.
template<class X, class... More>
    requires(!detail::handle_range<X> && !std::is_base_of_v<handle_base, std::remove_cvref_t<X>>)
void wait(X&&, const More&...) {
    static_assert(detail::always_false<X>,
                  "wait takes handles and futures: make a handle of a task with create_task, and of handles of several "
                  "types a range of any_task_handle");
}

} // namespace asynchio

#pragma GCC visibility pop
