// SPDX-License-Identifier: BSL-1.0
#pragma once

// A pointer that shares an object by counting references. The atomic operations are the compiler's own, as in
// frame_pool; tests/compile_cost/README.md has the reasons.

#include <asynchio/core/detail/exchange.hpp>

#include <cstddef>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// A pointer that counts its copies in the object's `references`; the last one calls the object's `destroy()`. Copies
/// may be made and destroyed on any thread.
template<class T>
class counted_ptr {
public:
    counted_ptr() noexcept = default;
    /// Takes over one count.
    explicit counted_ptr(T* counted) noexcept : target_(counted) {}
    counted_ptr(const counted_ptr& other) noexcept : target_(other.target_) {
        if (target_ != nullptr) __atomic_fetch_add(&target_->references, 1, __ATOMIC_RELAXED);
    }
    counted_ptr(counted_ptr&& other) noexcept : target_(detail::exchange(other.target_, nullptr)) {}
    counted_ptr& operator=(counted_ptr other) noexcept {
        std::swap(target_, other.target_);
        return *this;
    }
    ~counted_ptr() {
        if (target_ != nullptr && __atomic_sub_fetch(&target_->references, 1, __ATOMIC_ACQ_REL) == 0)
            target_->destroy();
    }

    explicit operator bool() const noexcept { return target_ != nullptr; }
    T* get() const noexcept { return target_; }
    T* operator->() const noexcept { return target_; }
    T& operator*() const noexcept { return *target_; }
    /// Returns the pointer, whose count the caller owns then.
    T* release() noexcept { return detail::exchange(target_, nullptr); }
    friend bool operator==(const counted_ptr& a, const counted_ptr& b) noexcept { return a.target_ == b.target_; }

private:
    T* target_ = nullptr;
};

/// The base of a class `T` whose objects a counted_ptr<T> may point to; they are made with new and destroyed with
/// delete.
template<class T>
class counted_object {
public:
    counted_object() noexcept = default;
    counted_object(const counted_object&) = delete;
    counted_object& operator=(const counted_object&) = delete;

    /// Returns another pointer to this object; one must exist.
    counted_ptr<T> share() noexcept {
        __atomic_fetch_add(&references, 1, __ATOMIC_RELAXED);
        return counted_ptr<T>(static_cast<T*>(this));
    }

    std::size_t references = 1;
    void destroy() noexcept { delete static_cast<T*>(this); }

protected:
    ~counted_object() = default;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
