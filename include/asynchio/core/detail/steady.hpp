// SPDX-License-Identifier: BSL-1.0
#pragma once

// Values that can be moved without an exception, for containers that must not lose any and for parameters of coroutines.

#include <asynchio/core/detail/owner.hpp>

#include <new>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// A value in a block of memory of its own.
template<class T>
class boxed_value {
public:
    /// @throws std::bad_alloc, or the exceptions of moving a `T`.
    explicit boxed_value(T&& value) : box_(make_heap_value<T>(std::move(value))) {}
    T& get() noexcept { return box_->value; }
    const T& get() const noexcept { return box_->value; }

private:
    owner<heap_value<T>> box_;
};

/// A value in place.
template<class T>
class in_place_value {
public:
    explicit in_place_value(T&& value) noexcept : value_(std::move(value)) {}
    in_place_value(in_place_value&&) noexcept = default;
    in_place_value& operator=(in_place_value&& other) noexcept { // `T` may have no assignment
        if (this != &other) {
            value_.~T();
            ::new (static_cast<void*>(&value_)) T(std::move(other.value_));
        }
        return *this;
    }
    ~in_place_value() = default;

    T& get() noexcept { return value_; }
    const T& get() const noexcept { return value_; }

private:
    T value_;
};

/// A `T` that can be moved and assigned without an exception: in place if its own moves do not throw, else in a box.
template<class T>
using steady = std::conditional_t<std::is_nothrow_move_constructible_v<T>, in_place_value<T>, boxed_value<T>>;

/// A parameter of a coroutine in a block of memory of its own. It converts to references to its value.
template<class T>
class boxed_parameter {
public:
    /// @throws std::bad_alloc, or the exceptions of making a `T` of `given`.
    template<class U>
        requires(!std::is_same_v<std::remove_cvref_t<U>, boxed_parameter>)
    boxed_parameter(U&& given) : box_(make_heap_value<T>(std::forward<U>(given))) {}
    operator T&() noexcept { return box_->value; }
    operator T&&() noexcept { return std::move(box_->value); }

private:
    owner<heap_value<T>> box_;
};

/// The type with which a coroutine takes a `T`. A parameter is moved into the frame, and if that throws, code of clang 19
/// without optimization reads the frame that it has freed; so a value whose move may throw comes in a box.
template<class T>
using parameter =
    std::conditional_t<std::is_reference_v<T> || std::is_nothrow_move_constructible_v<T>, T, boxed_parameter<T>>;

} // namespace asynchio::detail

#pragma GCC visibility pop
