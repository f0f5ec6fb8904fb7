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

/// Removes the newline at the end of a line. @return whether there was a line; none at the end of a stream.
inline bool without_newline(std::string& line) {
    if (line.empty()) return false;
    if (line.back() == '\n') line.pop_back();
    return true;
}

/// @tparam Stream a reference to a stream, or a stream that the frame keeps.
template<class Stream>
async_generator<std::string> lines_of(Stream from, std::size_t limit) {
    for (;;) {
        std::string line = co_await from.read_line(limit);
        if (!without_newline(line)) co_return;
        co_yield std::move(line);
    }
}

} // namespace detail

/// Yields the lines of a stream, without their newlines, until its end. Bytes behind the last newline are a line, too.
///
/// @param from the stream, which must live as long as the generator.
/// @param limit the maximum length of a line in bytes, with its newline.
/// @return an async_generator; its next() throws the exceptions of stream::read_line, after which it has ended.
/// Cancellation: a cancelled next() loses no byte; the generator has ended, and the stream can be read on.
/// Threads: the thread of the running loop. Cost: that of read_line(), and one coroutine frame.
/// Example: `auto all = aio::lines(s); while (auto line = co_await all.next()) use(*line);`
/// See also: stream::read_line.
inline async_generator<std::string> lines(stream& from, std::size_t limit = stream::default_limit) {
    return detail::lines_of<stream&>(from, limit);
}
/// Yields the lines of a stream that the generator owns, and closes when it is destroyed; all else is as above.
/// @param from the stream, which is moved from. @param limit the maximum length of a line in bytes, with its newline.
/// Cancellation: as above, but the stream is closed with the generator.
inline async_generator<std::string> lines(stream&& from, std::size_t limit = stream::default_limit) {
    return detail::lines_of<stream>(std::move(from), limit);
}

} // namespace asynchio

#pragma GCC visibility pop
