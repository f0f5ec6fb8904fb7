// SPDX-License-Identifier: BSL-1.0
#pragma once

// A buffer for bytes that were read and not asked for yet.

#include <asynchio/core/detail/exchange.hpp>

#include <cstddef>
#include <cstring>
#include <string_view>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Bytes are taken from the front and added at the back.
/// Cost: amortised O(1) a byte; no memory while it is empty and released.
class byte_buffer {
public:
    byte_buffer() noexcept = default;
    byte_buffer(const byte_buffer&) = delete;
    byte_buffer& operator=(const byte_buffer&) = delete;
    ~byte_buffer() { delete[] data_; }

    std::string_view view() const noexcept { return {data_ + begin_, end_ - begin_}; }
    std::size_t size() const noexcept { return end_ - begin_; }
    bool empty() const noexcept { return begin_ == end_; }

    void consume(std::size_t count) noexcept {
        begin_ += count;
        if (begin_ == end_) begin_ = end_ = 0;
    }

    /// Returns room for at least `count` bytes behind the last one, valid until the next call.
    /// @throws std::bad_alloc without memory.
    char* prepare(std::size_t count) {
        if (capacity_ - end_ < count) make_room(count);
        return data_ + end_;
    }
    /// Returns how many bytes fit behind the last one.
    std::size_t room() const noexcept { return capacity_ - end_; }
    /// Adds the `count` bytes that were written into the room that prepare() returned.
    void commit(std::size_t count) noexcept { end_ += count; }

    /// Releases the memory if it holds nothing.
    void release() noexcept {
        if (!empty()) return;
        delete[] detail::exchange(data_, nullptr);
        capacity_ = begin_ = end_ = 0;
    }

private:
    void make_room(std::size_t count) {
        const std::size_t size = this->size();
        if (capacity_ - size >= count && size <= capacity_ / 2) {
            std::memmove(data_, data_ + begin_, size);
        } else {
            std::size_t wanted = size + count;
            if (wanted < capacity_ * 2) wanted = capacity_ * 2;
            char* const larger = new char[wanted];
            if (size != 0) std::memcpy(larger, data_ + begin_, size);
            delete[] detail::exchange(data_, larger);
            capacity_ = wanted;
        }
        begin_ = 0;
        end_ = size;
    }

    char* data_ = nullptr;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
