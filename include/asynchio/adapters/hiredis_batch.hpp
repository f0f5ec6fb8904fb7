// SPDX-License-Identifier: BSL-1.0
#pragma once

// Several commands of Redis that are sent together.

#include <asynchio/adapters/detail/hiredis_words.hpp>

#include <cstddef>
#include <string>

#pragma GCC visibility push(default)

namespace asynchio::hiredis {

/// Commands that are sent together, by connection::pipeline() or connection::transaction(). It can be used again.
///
/// Threads: a plain value.
/// Example: `hiredis::batch b; b.add("INCR", "n"); b.add("EXPIRE", "n", 60); co_await db.transaction(b);`
class batch {
public:
    batch() = default;

    /// Adds a command.
    /// @param words as those of connection::command(). @return the batch itself.
    /// @throws std::invalid_argument as connection::command() does.
    template<class... Words>
    batch& add(const Words&... words) {
        text_ += detail::format_command(detail::allowed::stateless, words...);
        ++size_;
        return *this;
    }
    /// The number of commands.
    std::size_t size() const noexcept { return size_; }
    /// Removes all commands.
    void clear() noexcept {
        text_.clear();
        size_ = 0;
    }

private:
    friend class connection;

    std::string text_;
    std::size_t size_ = 0;
};

} // namespace asynchio::hiredis

#pragma GCC visibility pop
