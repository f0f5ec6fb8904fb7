// SPDX-License-Identifier: BSL-1.0
#pragma once

// The lines of a stream, one after another.

#include <asynchio/io/stream.hpp>
#include <asynchio/task/async_generator.hpp>

#include <cstddef>
#include <string>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

inline bool without_newline(std::string& line) {
    if (line.empty()) return false;
    if (line.back() == '\n') line.pop_back();
    return true;
}

template<class = void>
async_generator<std::string> borrowed_lines(stream& from, std::size_t limit) {
    for (;;) {
        std::string line = co_await from.read_line(limit);
        if (!without_newline(line)) co_return;
        co_yield std::move(line);
    }
}
template<class = void>
async_generator<std::string> owned_lines(stream from, std::size_t limit) {
    for (;;) {
        std::string line = co_await from.read_line(limit);
        if (!without_newline(line)) co_return;
        co_yield std::move(line);
    }
}

} // namespace detail

/// Reads the lines of a stream, without their newlines, until its end. What stands behind the last newline is a line, too.
///
/// @param from the stream, which must live as long as the generator, or one that is given up, and which the generator
/// closes when it is destroyed.
/// @param limit the maximum length of a line in bytes, with its newline.
/// @throws from `next()` what stream::read_line throws; the generator has ended then.
/// Cancellation: of `next()`: no byte is lost; the generator has ended, and the stream can be read on.
/// Threads: the thread of the running loop. Cost: that of read_line(), and one coroutine frame.
/// Example: `auto all = aio::lines(s); while (auto line = co_await all.next()) use(*line);`
/// See also: stream::read_line.
inline async_generator<std::string> lines(stream& from, std::size_t limit = stream::default_limit) {
    return detail::borrowed_lines<>(from, limit);
}
inline async_generator<std::string> lines(stream&& from, std::size_t limit = stream::default_limit) {
    return detail::owned_lines<>(std::move(from), limit);
}

} // namespace asynchio

#pragma GCC visibility pop
