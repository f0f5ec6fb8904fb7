// SPDX-License-Identifier: BSL-1.0
#pragma once

// Running a loop until one thing is done.

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>

#include <stdexcept>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

/// Stops the loop one iteration after `handle` is done, as asyncio does: what else is ready then still runs.
[[gnu::cold]] inline void run_until_done(event_loop& loop, const handle_base& handle) {
    struct stopper final : done_callback {
        explicit stopper(event_loop& l) noexcept : stopped(l) {}
        void call(shared_state&) override { stopped.stop(); }
        event_loop& stopped;
    };
    auto* callback = new stopper(loop);
    const auto id = callback->id;
    callback->attach(*handle.shared());
    try {
        loop.run_forever();
    } catch (...) {
        handle.remove_done_callback(id);
        throw;
    }
    handle.remove_done_callback(id);
    if (!handle.done()) throw std::runtime_error("Event loop stopped before Future completed.");
}

template<class X>
concept handle_like = std::is_base_of_v<handle_base, std::remove_cvref_t<X>>;

} // namespace detail

template<class X>
decltype(auto) event_loop::run_until_complete(X&& x) {
    if constexpr (detail::handle_like<X>) {
        using T = typename std::remove_cvref_t<X>::value_type;
        if (!x) throw std::logic_error("run_until_complete: the handle is empty");
        if (x.shared()->loop != this)
            throw std::logic_error("run_until_complete: the task or future belongs to a different loop");
        detail::run_until_done(*this, x);
        return detail::take_result<T, !std::is_lvalue_reference_v<X>>(*x.shared());
    } else {
        { const running_scope refused_before_anything_is_made(*this); }
        const auto handle = create_task(std::forward<X>(x));
        using T = typename std::remove_cvref_t<decltype(handle)>::value_type;
        detail::run_until_done(*this, handle);
        return detail::take_result<T, true>(*handle.shared());
    }
}

} // namespace asynchio

#pragma GCC visibility pop
