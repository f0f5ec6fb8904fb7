// SPDX-License-Identifier: BSL-1.0
#pragma once

// A queue of values in one block that is reused: what stands behind queues, buffers between threads and merged streams.

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

namespace asynchio::detail {

/// First in, first out. Grows by doubling and never shrinks; once it has grown, nothing is allocated.
template<class T>
class ring_buffer {
    static_assert(std::is_move_constructible_v<T>, "what goes through a queue must be movable");

public:
    ring_buffer() noexcept = default;
    ring_buffer(const ring_buffer&) = delete;
    ring_buffer& operator=(const ring_buffer&) = delete;
    ~ring_buffer() {
        clear();
        free();
    }

    bool empty() const noexcept { return first_ == end_; }
    std::size_t size() const noexcept { return end_ - first_; }
    T& front() noexcept { return at(first_); }

    /// @throws std::bad_alloc, or what moving a `T` throws: the buffer is unchanged then.
    void push_back(T&& value) {
        if (size() == capacity_) [[unlikely]]
            grow();
        new (&at(end_)) T(std::move(value));
        ++end_;
    }
    void push_front(T&& value) {
        if (size() == capacity_) [[unlikely]]
            grow();
        new (&at(first_ - 1)) T(std::move(value));
        --first_;
    }

    /// Only while not empty. If moving a `T` throws, it stays in front.
    T pop_front() {
        T value(std::move(front()));
        drop_front();
        return value;
    }

    void clear() noexcept {
        while (!empty()) drop_front();
    }

private:
    T& at(std::size_t index) noexcept { return block_[index & (capacity_ - 1)]; }
    void drop_front() noexcept { at(first_++).~T(); }
    void free() noexcept {
        if (block_ != nullptr) ::operator delete(block_, std::align_val_t(alignof(T)));
    }

    [[gnu::noinline]] void grow() {
        ring_buffer larger;
        larger.capacity_ = capacity_ == 0 ? 8 : capacity_ * 2;
        larger.block_ =
            static_cast<T*>(::operator new(larger.capacity_ * sizeof(T), std::align_val_t(alignof(T))));
        for (std::size_t i = first_; i != end_; ++i) larger.push_back(std::move_if_noexcept(at(i)));
        std::swap(block_, larger.block_);
        std::swap(capacity_, larger.capacity_);
        std::swap(first_, larger.first_);
        std::swap(end_, larger.end_);
    }

    T* block_ = nullptr;
    std::size_t capacity_ = 0; // a power of two
    std::size_t first_ = 0;    // counts on for ever; unsigned wrap-around is fine
    std::size_t end_ = 0;
};

} // namespace asynchio::detail
