// SPDX-License-Identifier: BSL-1.0
#pragma once

// What is needed of <functional>, which brings searchers and hash tables along, 12 MB of what g++ allocates: invoke,
// here; std::less and std::reference_wrapper, which both standard libraries also have in <memory>.

#include <memory>
#include <tuple>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// std::invoke.
template<class F, class... Args>
constexpr decltype(auto) invoke(F&& f, Args&&... args) {
    return std::apply(std::forward<F>(f), std::forward_as_tuple(std::forward<Args>(args)...));
}

} // namespace asynchio::detail

#pragma GCC visibility pop
