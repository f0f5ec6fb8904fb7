// SPDX-License-Identifier: BSL-1.0
#pragma once

// A vector of owners.

#include <asynchio/core/detail/owner.hpp>
#include <asynchio/core/detail/trivial_vector.hpp>

#include <cstddef>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// A vector of owners with the members of std::vector; it returns elements as pointers, and destroys them in reverse
/// order.
template<class T, class Deleter = deleter>
class owner_vector {
public:
    using element = owner<T, Deleter>;

    owner_vector() noexcept = default;
    owner_vector(const owner_vector&) = delete;
    owner_vector& operator=(const owner_vector&) = delete;
    ~owner_vector() { clear(); }

    bool empty() const noexcept { return objects_.empty(); }
    std::size_t size() const noexcept { return objects_.size(); }
    T* operator[](std::size_t i) const noexcept { return objects_[i]; }
    T* back() const noexcept { return objects_.back(); }
    T* const* begin() const noexcept { return objects_.begin(); }
    T* const* end() const noexcept { return objects_.end(); }

    /// @throws std::bad_alloc without memory.
    void reserve(std::size_t count) { objects_.reserve(count); }
    /// @throws std::bad_alloc without memory.
    void push_back(element object) {
        objects_.push_back(object.get());
        static_cast<void>(object.release());
    }
    void pop_back() noexcept {
        const element last(objects_.back());
        objects_.pop_back();
    }
    /// Adds places without an object. @throws std::bad_alloc without memory.
    void extend(std::size_t count) {
        if (count > size()) objects_.resize(count);
    }
    /// Replaces the object at `i`, and destroys the old one.
    void set(std::size_t i, element object) noexcept {
        const element before(objects_[i]);
        objects_[i] = object.release();
    }
    void clear() noexcept {
        while (!empty()) pop_back();
    }

private:
    trivial_vector<T*> objects_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
