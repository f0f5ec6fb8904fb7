// SPDX-License-Identifier: BSL-1.0
#pragma once

// Values that can be moved without an exception, for containers that must not lose any.

#include <asynchio/core/detail/owner.hpp>

#include <memory>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// A value in a block of memory of its own.
template<class T>
class boxed_value {
public:
    /// @throws std::bad_alloc, or the exceptions of moving a `T`.
    explicit boxed_value(T&& value) : box_(make_owner<box>(std::move(value))) {}
    T& get() noexcept { return box_->value; }
    const T& get() const noexcept { return box_->value; }

private:
    /// The block, since `T` may have an operator new of its own, or none that can be called.
    struct box {
        explicit box(T&& v) : value(std::move(v)) {}
        T value;
    };
    owner<box> box_;
};

/// A value in place.
template<class T>
class in_place_value {
public:
    explicit in_place_value(T&& value) noexcept : value_(std::move(value)) {}
    in_place_value(in_place_value&&) noexcept = default;
    in_place_value& operator=(in_place_value&& other) noexcept { // `T` may have no assignment
        if (this != &other) {
            std::destroy_at(&value_);
            std::construct_at(&value_, std::move(other.value_));
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

} // namespace asynchio::detail

#pragma GCC visibility pop
