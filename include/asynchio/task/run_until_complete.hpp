// SPDX-License-Identifier: BSL-1.0
#pragma once

// Running a loop until one task or future is done.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/loop/detail/loop_call.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>

#include <stdexcept>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

/// Stops the loop one iteration after `handle` is done, as asyncio does: other calls that are ready then still run.
[[gnu::cold]] inline void run_until_done(loop_core& loop, const handle_base& handle) {
    struct stopper final : watcher, loop_call<stopper> {
        stopper(loop_core& l, shared_state& c) noexcept : watcher(&told), main(c) {
            bind(l);
            if (main.done())
                told(*this, main);
            else
                main.watch(*this);
        }
        stopper(const stopper&) = delete;
        stopper& operator=(const stopper&) = delete;
        ~stopper() { main.unwatch(*this); }
        static void told(watcher& self, shared_state&) noexcept { static_cast<stopper&>(self).call_soon(); }
        void called() noexcept { loop().stop(); }
        shared_state& main;
    } waiting(loop, *access::state(handle));
    loop_of(loop).run_forever();
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
        if (detail::access::state(x)->loop != this)
            throw std::logic_error("run_until_complete: the task or future belongs to a different loop");
        detail::run_until_done(*this, x);
        return detail::take_result<T, !std::is_lvalue_reference_v<X>>(*detail::access::state(x));
    } else {
        { const running_scope refused_before_anything_is_made(*this); }
        const auto handle = create_task(std::forward<X>(x));
        using T = typename std::remove_cvref_t<decltype(handle)>::value_type;
        detail::run_until_done(*this, handle);
        return detail::take_result<T, true>(*detail::access::state(handle));
    }
}

} // namespace asynchio

#pragma GCC visibility pop
