// SPDX-License-Identifier: BSL-1.0
#pragma once

// The owner of one object made with new. tests/compile_cost/README.md has the reasons why it is not std::unique_ptr.

#include <asynchio/core/detail/exchange.hpp>

#include <concepts>
#include <cstddef>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

struct deleter {
    template<class T>
    static void dispose(T* object) noexcept {
        delete object;
    }
};

/// The owner of an object, with the members of std::unique_ptr.
/// @tparam Deleter its `dispose(T*)` destroys the object; it is never called for null.
template<class T, class Deleter = deleter>
class owner {
public:
    owner() noexcept = default;
    explicit owner(T* object) noexcept : object_(object) {}
    owner(owner&& other) noexcept : object_(other.release()) {}
    template<std::derived_from<T> Derived>
    owner(owner<Derived, Deleter>&& other) noexcept : object_(other.release()) {}
    owner& operator=(owner&& other) noexcept {
        T* const next = other.release(); // also if that is this one
        const owner before(detail::exchange(object_, next));
        return *this;
    }
    ~owner() {
        if (object_ != nullptr) Deleter::dispose(object_);
    }

    void reset() noexcept { *this = owner(); }

    explicit operator bool() const noexcept { return object_ != nullptr; }
    T* get() const noexcept { return object_; }
    T& operator*() const noexcept { return *object_; }
    T* operator->() const noexcept { return object_; }
    T* release() noexcept { return detail::exchange(object_, nullptr); }

    friend bool operator==(const owner& o, std::nullptr_t) noexcept { return o.object_ == nullptr; }

private:
    T* object_ = nullptr;
};

template<class T, class... Args>
owner<T> make_owner(Args&&... args) {
    return owner<T>(new T(std::forward<Args>(args)...));
}

/// A value that is kept on the heap, also if its type has an operator new of its own, or none that can be called.
template<class T>
struct heap_value {
    template<class U>
    explicit heap_value(std::in_place_t, U&& given) : value(std::forward<U>(given)) {}
    T value;
};
template<class T, class U>
owner<heap_value<T>> make_heap_value(U&& given) {
    return make_owner<heap_value<T>>(std::in_place, std::forward<U>(given));
}

} // namespace asynchio::detail

#pragma GCC visibility pop
