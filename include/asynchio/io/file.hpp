// SPDX-License-Identifier: BSL-1.0
#pragma once

// Files of the file system, whose reads and writes do not hold up the loop.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/io/byte_view.hpp>
#include <asynchio/io/detail/descriptor.hpp>
#include <asynchio/io/detail/file_state.hpp>
#include <asynchio/io/detail/open_file.hpp>
#include <asynchio/io/system_calls.hpp>
#include <asynchio/task/task.hpp>
#include <asynchio/thread/to_thread.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

template<class File>
task<File> opened_by_worker(std::string path, int flags, ::mode_t permissions) {
    const auto open = [&] { return detail::open_path(std::move(path), flags, permissions); };
    co_return access::make<File>(co_await to_thread(open));
}

} // namespace detail

/// An open file: one that has positions, as a regular file or a disk. Pipes, sockets and terminals are streams.
///
/// Behaviour: bytes are bytes; nothing is encoded, and nothing is buffered here. What the system has in its page cache
/// is read at once, without a switch to another task (but for every 128th time in a row). What it has not, and what is
/// written, goes to io_uring(7) where the system allows that, and to a worker thread otherwise; which of them it is
/// changes neither contents nor errors. Any number of tasks may use read_at() and write_at() at once. read(), read_all(),
/// write() and lines() use the position, one task at a time.
/// Cancellation: io_uring is asked to give the operation up; a worker's call is waited for. In either case the task goes
/// on when nobody uses its memory any more. What was cancelled may have been written, as a whole or in part; the position
/// is where it was.
/// Threads: the thread of the loop. Lifetime: operations under way keep the file open until they end, also if this is
/// destroyed. The destructor closes it in the thread of the loop, and drops errors; aclose() does neither.
/// Differs from Python: asyncio has no files, and the modes of open() have no text.
/// Example: `aio::file f = co_await aio::open_file("data"); std::string all = co_await f.read_all();`
/// See also: open_file, lines, stream::send_file.
class file {
public:
    /// Makes an empty file. Every call but is_closed() and the conversion to bool throws std::logic_error.
    file() noexcept = default;
    file(file&&) noexcept = default;
    file& operator=(file&&) noexcept = default;
    ~file() = default;

    /// Takes over a descriptor.
    /// @param fd of something that has positions; it is closed, whatever happens. What it may be used for is found out.
    /// Its position is where this begins; it is not moved.
    /// @param name of the file in errors.
    /// @throws std::invalid_argument for a pipe, a socket or a terminal; std::system_error.
    static file from_descriptor(int fd, std::string name) {
        detail::descriptor owned(fd);
        return file(detail::adopt_file(std::move(owned), std::move(name)));
    }

    /// Reads from a place in the file.
    /// @param into where to. The memory must stay until the call is over.
    /// @param offset of the first byte.
    /// @return how many bytes were read: fewer than `into` takes only at the end of the file.
    /// @throws std::system_error; std::logic_error if the file is closed, or open for writing only.
    /// Cost: one system call if the bytes are cached, and one more at the end of the file; no allocation and no switch.
    detail::file_read read_at(mutable_byte_view into, std::uint64_t offset) {
        return detail::file_read(open("read_at"), part_of(into.data(), into.size(), offset), "read");
    }
    /// Writes all of `data` to a place in the file, which grows if it is too short.
    /// @param data the bytes, which must stay in place until the call is over. @param offset of the first byte.
    /// @throws std::system_error; std::logic_error if the file is closed, or open for reading or for appending only.
    template<class = void>
    task<> write_at(byte_view data, std::uint64_t offset) {
        const detail::file_ptr& f = open("write_at");
        if (f->appends) throw std::logic_error("write_at: \"" + f->name + "\" is open for appending");
        return write(f, part_of(data.data(), data.size(), offset), "write_at");
    }

    /// Reads from the position on, which moves.
    /// @param max_count the maximum number of bytes.
    /// @return the bytes: fewer than `max_count` only at the end of the file.
    /// @throws std::system_error; std::logic_error as read_at() does, or if another task uses the position.
    template<class = void>
    task<std::string> read(std::size_t max_count) {
        return read(open("read"), max_count);
    }
    /// Reads from the position to the end of the file.
    /// @return the bytes. @throws as read().
    template<class = void>
    task<std::string> read_all() {
        return read(open("read_all"), std::string::npos);
    }
    /// Writes all of `data` from the position on, or to the end of a file that is open for appending. The position moves
    /// behind it.
    /// @param data the bytes, which must stay in place until the call is over.
    /// @throws std::system_error; std::logic_error if the file is closed, open for reading only, or if another task uses
    /// the position.
    template<class = void>
    task<> write(byte_view data) {
        return write_here(open("write"), part_of(data.data(), data.size(), 0));
    }
    /// The position: where read() and write() go on, in bytes from the start of the file.
    std::uint64_t position() const { return open("position")->position; }
    /// Sets the position. It may be behind the end of the file. @param offset in bytes from the start.
    void seek(std::uint64_t offset) { open("seek")->position = part_of(nullptr, 0, offset).offset; }

    /// Waits until everything that was written is on the disk, with what the file system needs to find it.
    /// @throws std::system_error, std::logic_error if the file is closed.
    template<class = void>
    task<> sync() {
        return sync(open("sync"));
    }
    /// Returns the size of the file in bytes. @throws std::system_error, std::logic_error if the file is closed.
    template<class = void>
    task<std::uint64_t> size() const {
        return size(open("size"));
    }
    /// Cuts the file, or makes it longer by zero bytes.
    /// @param size its size from now on. @throws std::system_error; std::logic_error if the file is closed, or open for
    /// reading only.
    template<class = void>
    task<> truncate(std::uint64_t size) {
        const detail::file_ptr& f = open("truncate");
        f->require_writable("truncate");
        return truncate(f, part_of(nullptr, 0, size).offset);
    }

    /// Closes the file: waits for the operations under way, and then closes the descriptor in a worker thread. A second
    /// call does nothing.
    /// @throws std::system_error for what the system could not write.
    /// Cancellation: the file is closed all the same.
    template<class = void>
    task<> aclose() {
        return close(std::move(state_));
    }
    /// Whether the file was closed, or is empty.
    bool is_closed() const noexcept { return !state_ || state_->closed; }
    /// Whether this has a file: neither default-constructed, moved from, nor closed.
    explicit operator bool() const noexcept { return !is_closed(); }
    /// Returns the name by which it was opened. @throws std::logic_error if the file is closed.
    const std::string& name() const { return open("name")->name; }
    /// Returns the descriptor, which the file keeps. @throws std::logic_error if the file is closed.
    int native_handle() const { return open("native_handle")->opened.get(); }

private:
    friend struct detail::access;
    explicit file(detail::file_ptr state) noexcept : state_(std::move(state)) {}

    const detail::file_ptr& open(const char* what) const {
        if (!state_) throw std::logic_error(std::string(what) + ": the file is empty, was moved from, or is closed");
        state_->require_open(what);
        return state_;
    }
    static detail::file_part part_of(const void* data, std::size_t size, std::uint64_t offset) {
        constexpr auto largest = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
        if (offset > largest || size > largest - offset)
            throw std::invalid_argument("file: offset " + std::to_string(offset) + " is behind what a file can have");
        return {const_cast<char*>(static_cast<const char*>(data)), size, offset};
    }

    template<class = void>
    static task<std::string> read(detail::file_ptr f, std::size_t max_count) {
        f->require_readable("read");
        const detail::file_turn turn(*f, "read");
        std::string text;
        while (text.size() < max_count) {
            const std::size_t before = text.size();
            const std::size_t step = before < first_step ? first_step : before;
            const std::size_t wanted = step < max_count - before ? step : max_count - before;
            text.resize(before + wanted);
            const detail::file_part part = part_of(text.data() + before, wanted, f->position + before);
            const std::size_t got = co_await detail::file_read(f, part, "read");
            text.resize(before + got);
            if (got < wanted) break;
        }
        f->position += text.size();
        co_return std::move(text);
    }
    template<class = void>
    static task<> write(detail::file_ptr f, detail::file_part part, const char* name) {
        f->require_writable(name);
        co_await detail::transfer(std::move(f), detail::file_action::write, part, "write", false);
    }
    template<class = void>
    static task<> write_here(detail::file_ptr f, detail::file_part part) {
        f->require_writable("write");
        const detail::file_turn turn(*f, "write");
        part = part_of(part.data, part.size, f->position);
        co_await detail::transfer(f, detail::file_action::write, part, "write", false);
        f->position += part.size;
        if (f->appends) f->position = co_await size(f);
    }
    template<class = void>
    static task<> sync(detail::file_ptr f) {
        co_await detail::transfer(std::move(f), detail::file_action::sync, {}, "sync", false);
    }
    template<class = void>
    static task<std::uint64_t> size(detail::file_ptr f) {
        const detail::file_user user(*f);
        detail::system_calls::file_status now{};
        const auto ask = [&] { return detail::calls.fstat(f->opened.get(), &now) == 0 ? 0 : errno; };
        const int error = co_await to_thread(ask);
        if (error != 0) f->fail(error, "size of");
        co_return static_cast<std::uint64_t>(now.st_size);
    }
    template<class = void>
    static task<> truncate(detail::file_ptr f, std::uint64_t size) {
        const detail::file_user user(*f);
        const auto cut = [&] {
            const auto length = static_cast<off_t>(size);
            return detail::uninterrupted([&] { return detail::calls.ftruncate(f->opened.get(), length); }) == 0 ? 0
                                                                                                                : errno;
        };
        const int error = co_await to_thread(cut);
        if (error != 0) f->fail(error, "truncate");
    }
    template<class = void>
    static task<> close(detail::file_ptr f) {
        if (!f || detail::exchange(f->closed, true)) co_return;
        if (f->users > 0) co_await f->unused.emplace();
        detail::descriptor last = std::move(f->opened);
        const auto end = [&] { return last.close(); };
        const int error = co_await to_thread(end);
        if (error != 0) f->fail(error, "close");
    }

    static constexpr std::size_t first_step = 65'536;

    detail::file_ptr state_;
};

/// Opens a file.
///
/// @param path its name.
/// @param mode as in Python, always of bytes: "r" for reading; "w" for writing, empties the file or makes it; "a" for
/// writing at the end, makes the file if it is not there; "x" for writing a file that must not be there. With a '+'
/// behind it for reading and writing.
/// @param permissions of a new file, from which the umask takes.
/// @return the file, at its start. @throws std::system_error with the path; std::invalid_argument for another mode, for a
/// path with a zero byte, or what is a pipe, socket or terminal, which is a stream.
/// Cancellation: the file is closed again; one that "w" has emptied, or that was made, stays so.
/// Threads: the thread of the running loop; a worker thread opens the file. Cost: that of to_thread().
/// Example: `aio::file log = co_await aio::open_file("log", "a"); co_await log.write("started\n");`
/// See also: file.
template<class = void>
task<file> open_file(std::string path, std::string_view mode = "r", ::mode_t permissions = 0666) {
    const int flags = detail::flags_of(mode);
    if (path.find('\0') != std::string::npos) throw std::invalid_argument("open_file: the path has a zero byte");
    return detail::opened_by_worker<file>(std::move(path), flags, permissions);
}

} // namespace asynchio

#pragma GCC visibility pop
