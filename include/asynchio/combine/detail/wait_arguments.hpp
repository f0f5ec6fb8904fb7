// SPDX-License-Identifier: BSL-1.0
#pragma once

// The arguments of wait and as_completed: the handles that they watch, and the timeout.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/core/detail/pointer_set.hpp>
#include <asynchio/core/detail/range.hpp>
#include <asynchio/loop/clock.hpp>
#include <asynchio/task/detail/watched_handle.hpp>

#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Returns each handle once, in order. @throws std::logic_error for an empty handle.
/// @tparam Watched a watched_handle, or derived from one.
template<class Watched, class H>
std::vector<Watched> watched_once(std::vector<H> handles, const char* who) {
    std::vector<Watched> list;
    list.reserve(handles.size());
    pointer_set seen(handles.size());
    for (H& each : handles) {
        if (!each) refuse(who, "a handle is empty");
        require_own_loop(*access::state(each), who);
        if (seen.insert(access::state(each))) list.emplace_back(std::move(each));
    }
    return list;
}

template<class R>
concept handle_range = range<R> && std::is_base_of_v<handle_base, range_value_t<R>>;

template<handle_range R>
auto handles_of(R&& range) {
    std::vector<range_value_t<R>> handles;
    if constexpr (requires { range.size(); }) handles.reserve(range.size());
    for (auto&& each : range) handles.push_back(each);
    return handles;
}

inline constexpr nanoseconds_count no_timeout = -1;

/// Returns the nanoseconds of a duration, or of an optional one; a negative duration counts as 0.
template<class D>
nanoseconds_count timeout_of(const D& timeout) {
    if constexpr (std::is_same_v<D, std::nullopt_t>) {
        return no_timeout;
    } else if constexpr (requires { timeout.has_value(); }) {
        return timeout ? timeout_of(*timeout) : no_timeout;
    } else {
        const nanoseconds_count count = to_nanoseconds(timeout);
        return count < 0 ? 0 : count;
    }
}

} // namespace asynchio::detail

#pragma GCC visibility pop
