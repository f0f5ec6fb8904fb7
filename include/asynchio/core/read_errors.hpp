// SPDX-License-Identifier: BSL-1.0
#pragma once

// The exceptions of reads that end without what they were asked for.

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// The exception of read_exactly() and read_until() if the stream ends too early.
///
/// Threads: as std::runtime_error.
class incomplete_read_error : public std::runtime_error {
public:
    /// Makes an exception. @param partial the bytes that came. @param expected how many were asked for, if that is
    /// known.
    incomplete_read_error(std::string partial, std::optional<std::size_t> expected)
        : std::runtime_error(std::to_string(partial.size()) + " bytes read on a total of " +
                             (expected ? std::to_string(*expected) : "undefined") + " expected bytes"),
          partial_(std::move(partial)), expected_(expected) {}

    /// Returns the bytes that came before the end; they are no longer in the stream.
    const std::string& partial() const noexcept { return partial_; }
    /// Returns how many bytes were asked for; nothing if a delimiter was.
    std::optional<std::size_t> expected() const noexcept { return expected_; }

private:
    std::string partial_;
    std::optional<std::size_t> expected_;
};

/// The exception of read_until(), read_line() and read_all() if more bytes than the limit come before the delimiter or
/// the end.
///
/// Threads: as std::runtime_error.
class limit_overrun_error : public std::runtime_error {
public:
    /// Makes an exception. @param what its text. @param consumed what consumed() returns.
    limit_overrun_error(const char* what, std::size_t consumed) : std::runtime_error(what), consumed_(consumed) {}

    /// Returns how many bytes come before the delimiter, or are known not to hold it.
    std::size_t consumed() const noexcept { return consumed_; }

private:
    std::size_t consumed_;
};

} // namespace asynchio

#pragma GCC visibility pop
