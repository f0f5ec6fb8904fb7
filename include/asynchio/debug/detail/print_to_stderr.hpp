// SPDX-License-Identifier: BSL-1.0
#pragma once

// Printing a whole text to stderr, which other threads print to, too.

#include <cerrno>
#include <cstddef>
#include <string_view>

#include <unistd.h>

#pragma GCC visibility push(default)

namespace asynchio::debug::detail {

/// Prints a text in one write, or in several where a pipe takes a part only. What cannot be written is dropped.
inline void print_to_stderr(std::string_view text) noexcept {
    while (!text.empty()) {
        const auto written = ::write(STDERR_FILENO, text.data(), text.size());
        if (written < 0 && errno != EINTR) return;
        if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
    }
}

} // namespace asynchio::debug::detail

#pragma GCC visibility pop
