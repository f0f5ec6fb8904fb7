// SPDX-License-Identifier: BSL-1.0
#pragma once

// A pointer that shares an object by counting references. The atomic operations are the compiler's own, as in
// frame_pool; tests/compile_cost/README.md has the reasons.

#include <asynchio/core/detail/exchange.hpp>

#include <cstddef>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// A pointer to an object that counts the pointers to it: a copy calls the object's `retain()`, and the destructor its
/// `release()`. Whether other threads may copy it is up to the object: those of a counted_object may.
template<class T>
class counted_ptr {
public:
    counted_ptr() noexcept = default;
    /// Takes over one count.
    explicit counted_ptr(T* counted) noexcept : target_(counted) {}
    /// Returns a pointer with a count of its own.
    static counted_ptr to(T& counted) noexcept {
        counted.retain();
        return counted_ptr(&counted);
    }
    counted_ptr(const counted_ptr& other) noexcept : target_(other.target_) {
        if (target_ != nullptr) target_->retain();
    }
    counted_ptr(counted_ptr&& other) noexcept : target_(detail::exchange(other.target_, nullptr)) {}
    counted_ptr& operator=(counted_ptr other) noexcept {
        target_ = detail::exchange(other.target_, target_);
        return *this;
    }
    ~counted_ptr() {
        if (target_ != nullptr) target_->release();
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

/// The base of a class `T` whose objects are counted on any thread, from 1 on. The last count calls `destroy()`, which
/// is `delete` unless `T` has its own.
template<class T>
class counted_object {
public:
    counted_object() noexcept = default;
    counted_object(const counted_object&) = delete;
    counted_object& operator=(const counted_object&) = delete;

    /// Returns another pointer to this object; one must exist.
    counted_ptr<T> share() noexcept { return counted_ptr<T>::to(static_cast<T&>(*this)); }

    std::size_t references = 1;
    /// Returns how many pointers there are. What other threads did before they gave up theirs is visible.
    std::size_t pointers() const noexcept { return __atomic_load_n(&references, __ATOMIC_ACQUIRE); }
    void retain() noexcept { __atomic_fetch_add(&references, 1, __ATOMIC_RELAXED); }
    void release() noexcept {
        if (__atomic_sub_fetch(&references, 1, __ATOMIC_ACQ_REL) == 0) static_cast<T*>(this)->destroy();
    }
    void destroy() noexcept { delete static_cast<T*>(this); }

protected:
    ~counted_object() = default;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
