// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a read throws that ends without what it was asked for.

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// The end came before what was asked for: read_exactly, read_until.
class incomplete_read_error : public std::runtime_error {
public:
    incomplete_read_error(std::string partial, std::optional<std::size_t> expected)
        : std::runtime_error(std::to_string(partial.size()) + " bytes read on a total of " +
                             (expected ? std::to_string(*expected) : "undefined") + " expected bytes"),
          partial_(std::move(partial)), expected_(expected) {}

    /// What was there before the end; it is no longer in the stream.
    const std::string& partial() const noexcept { return partial_; }
    /// How many bytes were asked for; nothing if a delimiter was.
    std::optional<std::size_t> expected() const noexcept { return expected_; }

private:
    std::string partial_;
    std::optional<std::size_t> expected_;
};

/// There is more than the limit before the delimiter or the end: read_until, read_line, read_all.
class limit_overrun_error : public std::runtime_error {
public:
    limit_overrun_error(const char* what, std::size_t consumed) : std::runtime_error(what), consumed_(consumed) {}

    /// How many bytes come before the delimiter, or are known not to hold it.
    std::size_t consumed() const noexcept { return consumed_; }

private:
    std::size_t consumed_;
};

} // namespace asynchio

#pragma GCC visibility pop
