// SPDX-License-Identifier: BSL-1.0
#pragma once

// An immutable text that is cheap to copy and never throws while copying: names of tasks and messages of
// cancellations travel in it, also inside exceptions and from thread to thread.

#include <cstddef>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

namespace asynchio::detail {

class shared_text {
public:
    shared_text() noexcept = default;

    /// @throws std::bad_alloc for a text that is not empty.
    explicit shared_text(std::string_view text) {
        if (text.empty()) return;
        block_ = static_cast<block*>(::operator new(sizeof(block) + text.size()));
        new (block_) block{1, text.size()};
        std::memcpy(block_ + 1, text.data(), text.size());
    }

    shared_text(const shared_text& other) noexcept : block_(other.block_) {
        if (block_ != nullptr) __atomic_fetch_add(&block_->references, 1, __ATOMIC_RELAXED);
    }
    shared_text(shared_text&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
    shared_text& operator=(shared_text other) noexcept {
        std::swap(block_, other.block_);
        return *this;
    }
    ~shared_text() {
        if (block_ != nullptr && __atomic_sub_fetch(&block_->references, 1, __ATOMIC_ACQ_REL) == 0)
            ::operator delete(block_);
    }

    std::string_view view() const noexcept {
        if (block_ == nullptr) return {};
        return {reinterpret_cast<const char*>(block_ + 1), block_->size};
    }

private:
    struct block {
        std::size_t references;
        std::size_t size;
    };
    block* block_ = nullptr;
};

} // namespace asynchio::detail
