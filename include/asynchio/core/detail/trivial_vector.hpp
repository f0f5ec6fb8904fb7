// SPDX-License-Identifier: BSL-1.0
#pragma once

// A vector of values that memcpy can move: pointers, numbers, structures of the system. tests/compile_cost/README.md
// has the reasons why it is not std::vector.

#include <cstddef>
#include <cstring>
#include <new>
#include <type_traits>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// The part that does not depend on the type.
class trivial_storage {
public:
    trivial_storage(const trivial_storage&) = delete;
    trivial_storage& operator=(const trivial_storage&) = delete;

protected:
    trivial_storage() noexcept = default;
    ~trivial_storage() { ::operator delete(items_); }

    /// Moves the items into a block for `capacity` of them, each of `item` bytes. @throws std::bad_alloc; nothing has
    /// changed then.
    [[gnu::noinline]] void move_to(std::size_t capacity, std::size_t item) {
        const std::size_t bytes = capacity * item;
        void* larger = ::operator new(bytes);
        if (size_ != 0) std::memcpy(larger, items_, size_ * item);
        ::operator delete(items_);
        items_ = larger;
        capacity_ = capacity;
    }

    [[gnu::cold]] void exchange_with(trivial_storage& other) noexcept {
        void* const items = items_;
        const std::size_t size = size_;
        const std::size_t capacity = capacity_;
        items_ = other.items_;
        size_ = other.size_;
        capacity_ = other.capacity_;
        other.items_ = items;
        other.size_ = size;
        other.capacity_ = capacity;
    }

    void* items_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

/// A vector with the members of std::vector. The items that resize() adds are zero.
template<class T>
class trivial_vector : private trivial_storage {
    static_assert(std::is_trivially_copyable_v<T>);

public:
    bool empty() const noexcept { return size_ == 0; }
    std::size_t size() const noexcept { return size_; }
    T* data() noexcept { return static_cast<T*>(items_); }
    const T* data() const noexcept { return static_cast<const T*>(items_); }
    T* begin() noexcept { return data(); }
    T* end() noexcept { return data() + size_; }
    const T* begin() const noexcept { return data(); }
    const T* end() const noexcept { return data() + size_; }
    T& operator[](std::size_t i) noexcept { return data()[i]; }
    const T& operator[](std::size_t i) const noexcept { return data()[i]; }
    T& front() noexcept { return data()[0]; }
    const T& front() const noexcept { return data()[0]; }
    T& back() noexcept { return data()[size_ - 1]; }
    const T& back() const noexcept { return data()[size_ - 1]; }

    /// @throws std::bad_alloc without memory.
    void reserve(std::size_t count) {
        if (count > capacity_) move_to(count, item_size);
    }
    /// @throws std::bad_alloc without memory.
    void push_back(T item) {
        if (size_ == capacity_) [[unlikely]]
            move_to(capacity_ == 0 ? 4 : 2 * capacity_, item_size);
        add(item);
    }
    void pop_back() noexcept { --size_; }
    void pop_front() noexcept { std::memmove(items_, data() + 1, --size_ * item_size); }
    /// @throws std::bad_alloc without memory.
    void resize(std::size_t count) {
        if (count > capacity_) move_to(count < 2 * capacity_ ? 2 * capacity_ : count, item_size);
        while (size_ < count) add(T());
        size_ = count;
    }
    /// Drops all but the first `count`.
    void shrink(std::size_t count) noexcept { size_ = count; }
    void clear() noexcept { size_ = 0; }
    void swap(trivial_vector& other) noexcept { exchange_with(other); }

private:
    struct slot {
        T item;
    };
    static constexpr std::size_t item_size = sizeof(slot);

    void add(T item) noexcept { ::new (static_cast<void*>(data() + size_++)) T(item); }
};

} // namespace asynchio::detail

#pragma GCC visibility pop
