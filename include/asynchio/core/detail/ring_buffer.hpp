// SPDX-License-Identifier: BSL-1.0
#pragma once

// A queue of values in one block of memory that is reused, for queues, buffers between threads and merged streams.

#include <asynchio/core/detail/exchange.hpp>

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// A queue, first in, first out. It grows by doubling and never shrinks; once it has grown, nothing is allocated.
/// For a type whose moves may throw, its elements are of type `steady` (core/detail/steady.hpp).
template<class T>
class ring_buffer {
    static_assert(std::is_nothrow_move_constructible_v<T>,
                  "a ring_buffer moves its values when it grows, and loses none");

public:
    ring_buffer() noexcept = default;
    ring_buffer(ring_buffer&& other) noexcept
        : block_(detail::exchange(other.block_, nullptr)), capacity_(detail::exchange(other.capacity_, std::size_t(0))),
          first_(detail::exchange(other.first_, std::size_t(0))), end_(detail::exchange(other.end_, std::size_t(0))) {}
    ring_buffer& operator=(ring_buffer&& other) noexcept {
        ring_buffer taken(std::move(other));
        swap(taken);
        return *this;
    }
    ~ring_buffer() {
        clear();
        if (block_ != nullptr) ::operator delete(block_, std::align_val_t(alignof(T)));
    }

    bool empty() const noexcept { return first_ == end_; }
    std::size_t size() const noexcept { return end_ - first_; }
    T& front() noexcept { return at(first_); }
    const T& front() const noexcept { return block_[first_ & (capacity_ - 1)]; }
    /// Returns the element behind the first `index` ones.
    T& operator[](std::size_t index) noexcept { return at(first_ + index); }

    /// Makes an element at the end. @throws std::bad_alloc, before it looks at the arguments; the exceptions of the
    /// constructor. Nothing has changed then.
    template<class... Args>
    void emplace_back(Args&&... args) {
        make_room();
        ::new (static_cast<void*>(&at(end_))) T(std::forward<Args>(args)...);
        ++end_;
    }
    template<class... Args>
    void emplace_front(Args&&... args) {
        make_room();
        ::new (static_cast<void*>(&at(first_ - 1))) T(std::forward<Args>(args)...);
        --first_;
    }
    void push_back(T&& value) { emplace_back(std::move(value)); }
    void push_front(T&& value) { emplace_front(std::move(value)); }

    // These need an element.

    T pop_front() noexcept {
        T value(std::move(front()));
        drop_front();
        return value;
    }
    T pop_back() noexcept {
        T value(std::move(at(end_ - 1)));
        drop_back();
        return value;
    }
    void drop_front() noexcept {
        T& gone = front();
        ++first_; // before the destructor, which may use the buffer
        gone.~T();
    }
    void drop_back() noexcept {
        T& gone = at(end_ - 1);
        --end_;
        gone.~T();
    }

    void clear() noexcept {
        while (!empty()) drop_front();
    }
    void swap(ring_buffer& other) noexcept {
        std::swap(block_, other.block_);
        std::swap(capacity_, other.capacity_);
        std::swap(first_, other.first_);
        std::swap(end_, other.end_);
    }

private:
    T& at(std::size_t index) noexcept { return block_[index & (capacity_ - 1)]; }
    void make_room() {
        if (size() == capacity_) [[unlikely]]
            grow();
    }
    [[gnu::noinline]] void grow() {
        ring_buffer larger;
        const std::size_t capacity = capacity_ == 0 ? 8 : capacity_ * 2;
        larger.block_ = static_cast<T*>(::operator new(capacity * sizeof(T), std::align_val_t(alignof(T))));
        larger.capacity_ = capacity;
        for (std::size_t i = first_; i != end_; ++i) larger.push_back(std::move(at(i)));
        swap(larger);
    }

    T* block_ = nullptr;
    std::size_t capacity_ = 0; // a power of two
    std::size_t first_ = 0;    // counts on for ever; unsigned wrap-around is fine
    std::size_t end_ = 0;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
