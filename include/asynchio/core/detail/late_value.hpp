// SPDX-License-Identifier: BSL-1.0
#pragma once

// An optional value: it is made after its owner, or destroyed before it. tests/compile_cost/README.md has the reasons
// why it is not std::optional.

#include <asynchio/core/detail/exchange.hpp>

#include <new>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// An optional value with the members of std::optional. It can be neither copied nor moved.
template<class T>
class late_value {
public:
    late_value() noexcept {}
    late_value(const late_value&) = delete;
    late_value& operator=(const late_value&) = delete;
    ~late_value() { reset(); }

    /// Destroys the old value, and makes a new one. @throws the exceptions of the constructor; there is no value then.
    template<class... Args>
    T& emplace(Args&&... args) {
        reset();
        T* const made = new (static_cast<void*>(__builtin_addressof(value_))) T(std::forward<Args>(args)...);
        full_ = true;
        return *made;
    }
    void reset() noexcept {
        if (detail::exchange(full_, false)) value_.~T();
    }

    explicit operator bool() const noexcept { return full_; }
    T& operator*() noexcept { return value_; }
    const T& operator*() const noexcept { return value_; }
    T* operator->() noexcept { return __builtin_addressof(value_); }
    const T* operator->() const noexcept { return __builtin_addressof(value_); }

private:
    union {
        T value_;
    };
    bool full_ = false;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
