// SPDX-License-Identifier: BSL-1.0
#pragma once

// The lines of a stream or of a file, one after another.

#include <asynchio/core/read_errors.hpp>
#include <asynchio/io/file.hpp>
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

/// @tparam File a reference to a file, or a file that the frame keeps.
template<class File>
async_generator<std::string> lines_of_file(File from, std::size_t limit) {
    constexpr std::size_t step = 65'536;
    std::string chunk(step, '\0');
    std::string ahead; // what was read behind the position
    bool at_end = false;
    for (std::size_t searched = 0;;) {
        const std::size_t newline = ahead.find('\n', searched);
        const bool whole = newline != std::string::npos;
        if ((whole ? newline + 1 : ahead.size()) > limit)
            throw limit_overrun_error("lines: a line is longer than the limit", ahead.size());
        if (whole || at_end) {
            std::string line = ahead.substr(0, whole ? newline + 1 : newline);
            ahead.erase(0, line.size());
            from.seek(from.position() + line.size());
            searched = 0;
            if (!without_newline(line)) co_return;
            co_yield std::move(line);
            continue;
        }
        searched = ahead.size();
        const std::size_t got = co_await from.read_at(chunk, from.position() + searched);
        ahead.append(chunk, 0, got);
        at_end = got < chunk.size();
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
/// Yields the lines of a file from its position on, which moves from line to line; all else is as above.
///
/// @param from the file, which must live as long as the generator.
/// @param limit the maximum length of a line in bytes, with its newline.
/// @return an async_generator; its next() throws limit_overrun_error for a longer line, and the exceptions of
/// file::read_at.
/// Cancellation: the position is behind the last line that was yielded.
/// Cost: reads 64 KiB at a time, which it keeps.
/// Example: `aio::file f = co_await aio::open_file("log"); auto all = aio::lines(f);`
/// See also: file.
template<class = void>
async_generator<std::string> lines(file& from, std::size_t limit = stream::default_limit) {
    return detail::lines_of_file<file&>(from, limit);
}
/// Yields the lines of a file that the generator owns, and closes when it is destroyed; all else is as above.
/// @param from the file, which is moved from. @param limit the maximum length of a line in bytes, with its newline.
template<class = void>
async_generator<std::string> lines(file&& from, std::size_t limit = stream::default_limit) {
    return detail::lines_of_file<file>(std::move(from), limit);
}

} // namespace asynchio

#pragma GCC visibility pop
