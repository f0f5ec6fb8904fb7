// SPDX-License-Identifier: BSL-1.0
#pragma once

// The line of the program at which a call of the library was made, for reports of debug mode.

#include <asynchio/loop/detail/loop_core.hpp>
#include <asynchio/task/detail/running_root.hpp>

#include <cstddef>
#include <cstring>
#include <exception>
#include <source_location>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Whether a line is in a header of this library.
template<class = void> // a template, as all of debug mode's code that no hot path calls
bool is_line_of_library(const std::source_location& line) noexcept {
    constexpr const char* here = __FILE__;
    constexpr std::size_t prefix = sizeof __FILE__ - sizeof "task/detail/user_line.hpp";
    return std::strncmp(line.file_name(), here, prefix) == 0;
}

/// Returns the innermost line of the running task that is not the library's own, in debug mode; no line otherwise.
template<class = void>
std::source_location user_line() noexcept {
    const auto* const loop = static_cast<const loop_core*>(this_thread.running);
    if (loop == nullptr || !loop->debug() || this_thread.current == nullptr) return {};
    frame& root = current_root();
    for (const frame* each = &root.innermost(); each != &root; each = each->parent)
        if (!is_line_of_library<>(each->where())) return each->where();
    return is_line_of_library<>(root.where()) ? root.created() : root.where();
}

/// Whether debug mode reports an object of `loop` that is dropped now: it does not if an exception or the end of the
/// loop is the reason.
inline bool reports_dropped(const loop_core& loop) noexcept {
    return loop.debug() && !loop.closing() && std::uncaught_exceptions() == 0;
}

} // namespace asynchio::detail

#pragma GCC visibility pop
