// SPDX-License-Identifier: BSL-1.0
#pragma once

// The parts of <functional> that are needed: invoke, which is defined here, and std::less and std::reference_wrapper,
// which both standard libraries also have in <memory>. tests/compile_cost/README.md has the reasons.

#include <tuple>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Calls `f` with `args`, as std::invoke does.
template<class F, class... Args>
constexpr decltype(auto) invoke(F&& f, Args&&... args) {
    return std::apply(std::forward<F>(f), std::forward_as_tuple(std::forward<Args>(args)...));
}

} // namespace asynchio::detail

#pragma GCC visibility pop
