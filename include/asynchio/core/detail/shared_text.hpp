// SPDX-License-Identifier: BSL-1.0
#pragma once

// An immutable text that is cheap to copy and never throws while copying. It carries names of tasks and messages of
// cancellations, also inside exceptions and from thread to thread.

#include <asynchio/core/detail/counted_ptr.hpp>

#include <cstddef>
#include <cstring>
#include <new>
#include <string_view>

#pragma GCC visibility push(default)

namespace asynchio::detail {

struct inspection_table;

class shared_text {
public:
    shared_text() noexcept = default;

    /// @throws std::bad_alloc for a text that is not empty.
    explicit shared_text(std::string_view text) {
        if (text.empty()) return;
        block_ = counted_ptr<block>(new (::operator new(sizeof(block) + text.size())) block(text.size()));
        std::memcpy(static_cast<void*>(block_.get() + 1), text.data(), text.size());
    }

    /// Returns a copy of `text`, or an empty text if there is no memory.
    static shared_text if_possible(std::string_view text) noexcept {
        try {
            return shared_text(text);
        } catch (const std::bad_alloc&) {
            return shared_text();
        }
    }

    std::string_view view() const noexcept {
        if (!block_) return {};
        return {reinterpret_cast<const char*>(block_.get() + 1), block_->size};
    }

private:
    friend inspection_table;

    struct block : counted_object<block> {
        explicit block(std::size_t length) noexcept : size(length) {}
        std::size_t size;
        void destroy() noexcept { ::operator delete(this); }
    };
    counted_ptr<block> block_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
