// SPDX-License-Identifier: BSL-1.0
#pragma once

// Moving a named object into a call whose result is awaited on the spot.

#include <asynchio/core/kept.hpp>

#include <type_traits>

#pragma GCC visibility push(default)

namespace asynchio {

/// Moves an object into a call that would reference or copy an lvalue: `with(resource, take(body))`,
/// `create_task(take(body))`. Every function that keeps a callable, and its arguments, accepts it.
///
/// g++ before 13 destroys a lambda with captures twice if it is written inside a co_await expression. A lambda that is
/// named first and passed through take() is safe there. See the pitfalls in the README.
///
/// @param named an object that is not const; it is moved from.
/// @return a wrapper that the call unpacks.
template<class T>
taken<std::remove_const_t<T>> take(T& named) noexcept(std::is_nothrow_move_constructible_v<T>) {
    static_assert(!std::is_const_v<T>, "take moves from what it is given, which must not be const");
    return taken<std::remove_const_t<T>>(static_cast<std::remove_const_t<T>&&>(named));
}

} // namespace asynchio

#pragma GCC visibility pop
