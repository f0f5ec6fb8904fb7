// SPDX-License-Identifier: BSL-1.0
#pragma once

// Moving a named object into what is awaited on the spot.

#include <asynchio/core/kept.hpp>

#include <type_traits>

#pragma GCC visibility push(default)

namespace asynchio {

/// Moves `named` into a call that would reference or copy an lvalue: `with(resource, take(body))`,
/// `create_task(take(body))`. Everything that keeps a callable, and its arguments, takes one so.
///
/// g++ before 13 destroys a lambda with captures twice if it is written inside a co_await expression; named first and
/// passed through take it is safe there. See the pitfalls in the README.
template<class T>
taken<std::remove_const_t<T>> take(T& named) noexcept(std::is_nothrow_move_constructible_v<T>) {
    static_assert(!std::is_const_v<T>, "take moves from what it is given, which must not be const");
    return taken<std::remove_const_t<T>>(static_cast<std::remove_const_t<T>&&>(named));
}

} // namespace asynchio

#pragma GCC visibility pop
