// SPDX-License-Identifier: BSL-1.0
#pragma once

// A connection or a pipe: bytes in order, one way or both. Built on io_operation; see channel for what is behind it.

#include <asynchio/core/detail/owner.hpp>
#include <asynchio/core/detail/range.hpp>
#include <asynchio/io/address.hpp>
#include <asynchio/io/byte_view.hpp>
#include <asynchio/io/detail/channel.hpp>
#include <asynchio/io/detail/descriptor_channel.hpp>
#include <asynchio/io/detail/read_goals.hpp>
#include <asynchio/io/detail/send_file_operation.hpp>
#include <asynchio/io/detail/stream_operations.hpp>

#include <cerrno>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <fcntl.h>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/stat.h>
#include <type_traits>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

class stream;
namespace detail {
/// What is behind a stream. @throws std::logic_error for an empty one.
channel& channel_of(const stream& s);
} // namespace detail

/// What open_connection gives, and what a server's handler gets.
///
/// Behaviour: calls that can be done at once do not suspend, but every 128th in a row gives way to the others. One task
/// may read while another one writes. Each direction keeps its first error, which every later call throws; what has come
/// is read before that, and also after a write has failed. Reading on after aclose() gives the end; writing then is
/// misuse.
/// Cancellation: a cancelled read loses no byte: what has come stays to be read. A cancelled write has sent
/// bytes_written() bytes in all.
/// Threads: those of the loop in which it is used first.
/// Lifetime: the destructor closes it. What is written must live until the write is over.
/// Cost: one allocation; memory for what was read ahead only while there is some. Reading and writing allocate nothing
/// beyond the string that is given back.
/// Differs from Python: one object reads and writes; `write` waits until the system has taken everything, which makes
/// `drain` unnecessary; reading a line that is too long throws limit_overrun_error.
/// See also: open_connection, start_server, create_subprocess.
class stream {
public:
    /// The most that read_line and read_until look for a delimiter in, unless told otherwise.
    static constexpr std::size_t default_limit = 65'536;

    /// Of nothing: every call is misuse.
    stream() noexcept = default;
    explicit stream(detail::owner<detail::channel> c) noexcept : channel_(std::move(c)) {}
    stream(stream&&) noexcept = default;
    stream& operator=(stream&&) noexcept = default;
    ~stream() = default;

    explicit operator bool() const noexcept { return channel_ != nullptr; }

    /// Takes over a descriptor that was made elsewhere: a connected socket, an end of a pipe, a terminal. It is set not
    /// to block, for everybody who shares it.
    /// @param name for messages; empty: the socket's peer, or "descriptor 5".
    /// @throws std::system_error if it is none, std::invalid_argument for one that is always ready, such as a file: the
    /// descriptor is closed then, too.
    static stream from_descriptor(int fd, std::string name = {});

    // Reading

    /// Reads what has come into `into`, waiting for at least one byte.
    /// @return how many bytes; 0 at the end, or if `into` has no room. @throws std::system_error when that fails.
    auto read_some(mutable_byte_view into) { return detail::read_into(open(), into); }
    /// The same as a string of 1 to `most` bytes, empty at the end.
    auto read(std::size_t most) { return reading(detail::some_bytes(most)); }
    /// @throws incomplete_read_error if the end comes first; what was there is in it.
    auto read_exactly(std::size_t count) { return reading(detail::exactly(count)); }
    /// A line with its newline; the rest at the end; then an empty string.
    /// @param limit bytes before the newline, at least 1. @throws limit_overrun_error for a longer line, which is dropped
    /// as far as it has come.
    auto read_line(std::size_t limit = default_limit) { return reading(detail::line(limit)); }
    /// Everything up to the delimiter, and the delimiter.
    /// @param delimiter one, or a range of them: the one that ends first counts.
    /// @param limit bytes before the delimiter, at least 1.
    /// @throws limit_overrun_error when there are more: they stay to be read; incomplete_read_error at the end.
    auto read_until(std::string_view delimiter, std::size_t limit = default_limit) {
        return reading(detail::up_to(std::vector<std::string>(1, std::string(delimiter)), limit));
    }
    template<detail::range_of<std::string_view> Delimiters>
    requires(!std::convertible_to<Delimiters, std::string_view>) auto read_until(Delimiters&& delimiters,
                                                                                 std::size_t limit = default_limit) {
        std::vector<std::string> all;
        for (auto&& each : delimiters) all.emplace_back(std::string_view(each));
        return reading(detail::up_to(std::move(all), limit));
    }
    /// Everything until the end.
    /// @throws limit_overrun_error for more than `limit` bytes: they stay to be read.
    auto read_all(std::size_t limit = std::string::npos) { return reading(detail::everything(limit)); }
    /// Whether the end has come and everything before it was read.
    bool at_eof() const { return open().at_end() && open().buffer().empty(); }

    // Writing

    /// Writes all of `data`, waiting until the system has taken it.
    /// @throws std::system_error, std::logic_error after write_eof() or aclose().
    auto write(byte_view data) { return detail::write_operation(open(), detail::one_part(data)); }
    /// The same with several parts, as few system calls as possible.
    template<detail::range_of<byte_view> Parts>
    requires(!std::convertible_to<Parts, byte_view>) auto write(Parts&& parts) {
        return detail::write_operation(open(), detail::several_parts<Parts>(std::forward<Parts>(parts)));
    }
    /// Writes up to `count` bytes of a file from `offset` on, without copying them where the system can do that.
    /// @param file a descriptor that is open for reading; its own position is neither used nor changed.
    /// @return how many there were: fewer than `count` at the file's end.
    /// @throws std::system_error, std::logic_error as write does.
    auto send_file(int file, std::uint64_t offset, std::size_t count = std::string::npos) {
        return detail::send_file_operation(open(), file, offset, count);
    }
    /// How many bytes the system has taken in all.
    std::uint64_t bytes_written() const { return open().written(); }
    /// Tells the other side that no more will come; reading goes on. Does not suspend.
    /// @throws std::logic_error while another task writes.
    auto write_eof() {
        return detail::plain_operation([c = &open()] { c->write_eof(); });
    }

    // The end

    /// Closes it, once; other tasks that read see the end. Does not suspend and cannot be cancelled.
    auto aclose() {
        return detail::plain_operation([c = &open()] { c->close(); });
    }
    /// Closes it at once; what the system has not sent yet is dropped, and the other side gets a reset.
    void abort() { open().close(true); }
    bool is_closed() const noexcept { return channel_ == nullptr || channel_->closed(); }

    /// Empty where there is none, as of a pipe.
    address local_address() const { return open().local(); }
    address peer_address() const { return open().peer(); }
    /// For setsockopt and the like; -1 where there is none. It stays the stream's.
    int native_handle() const { return open().descriptor(); }

private:
    friend detail::channel& detail::channel_of(const stream& s);
    detail::channel& open() const {
        if (channel_ == nullptr) [[unlikely]]
            throw std::logic_error("stream: it is empty, or was moved from");
        return *channel_;
    }
    template<class Goal>
    detail::read_operation<Goal> reading(Goal goal) {
        return detail::read_operation<Goal>(open(), std::move(goal));
    }

    detail::owner<detail::channel> channel_;
};

inline detail::channel& detail::channel_of(const stream& s) { return s.open(); }

inline stream stream::from_descriptor(int fd, std::string name) {
    if (name.empty()) name = "descriptor " + std::to_string(fd);
    if (fd < 0) detail::fail(EBADF, "stream of " + name);
    detail::descriptor owned(fd);
    detail::system_calls::file_status what{};
    const int flags = detail::calls.fcntl(fd, F_GETFL, 0);
    if (flags < 0 || detail::calls.fstat(fd, &what) != 0) detail::fail(errno, "stream of " + name);
    if (S_ISREG(what.st_mode) || S_ISDIR(what.st_mode) || S_ISBLK(what.st_mode))
        throw std::invalid_argument("stream of " + name + ": a file is always ready; read it with to_thread");
    if (!(flags & O_NONBLOCK) && detail::calls.fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        detail::fail(errno, "stream of " + name);
    if (!S_ISSOCK(what.st_mode)) {
        const bool is_pipe = S_ISFIFO(what.st_mode) && !(flags & O_DIRECT); // which reads a packet at a time
        return stream(detail::make_channel<detail::pipe_channel>(std::move(owned), std::move(name), is_pipe));
    }
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    if (detail::calls.getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0)
        detail::fail(errno, "stream of " + name);
    return stream(detail::make_channel<detail::socket_channel>(
        std::move(owned), address(reinterpret_cast<const sockaddr*>(&peer), size)));
}

} // namespace asynchio

#pragma GCC visibility pop
