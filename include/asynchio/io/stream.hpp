// SPDX-License-Identifier: BSL-1.0
#pragma once

// A connection or a pipe: bytes in order, one way or both. Built on io_operation; a channel carries the bytes.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/owner.hpp>
#include <asynchio/core/detail/range.hpp>
#include <asynchio/io/address.hpp>
#include <asynchio/io/byte_view.hpp>
#include <asynchio/io/detail/carried_channel.hpp>
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
/// Returns the channel of a stream. @throws std::logic_error if the stream is empty.
channel& channel_of(const stream& s);
} // namespace detail

/// A connection or a pipe: bytes in order, to be read, written, or both. open_connection() returns one, and the handler
/// of a server is called with one.
///
/// Behaviour: calls that can be done at once do not suspend, but every 128th in a row gives way to other tasks. One
/// task may read while another one writes; a second reader or writer gets std::logic_error. Each direction keeps its
/// first error, which every later call throws; what has come is read before that, and also after a write has failed. A
/// read after aclose() sees the end; a write after aclose() is misuse.
/// Cancellation: a cancelled read loses no byte: what has come stays to be read. A cancelled write has sent
/// bytes_written() bytes in all.
/// Threads: the thread of the loop in which a call waits first.
/// Lifetime: the destructor closes it. What is written must live until the write is over.
/// Cost: one allocation; memory for what was read ahead only while there is some. Reading and writing allocate nothing
/// beyond the string that is returned.
/// Differs from Python: one object reads and writes; `write` waits until the system has taken everything, which makes
/// `drain` unnecessary; reading a line that is too long throws limit_overrun_error.
/// See also: open_connection, start_server, create_subprocess; byte_channel, to carry the bytes in another way.
class stream {
public:
    /// The maximum number of bytes that read_line and read_until search for a delimiter, unless a limit is given.
    static constexpr std::size_t default_limit = 65'536;

    /// Makes an empty stream. Every call but is_closed() and the conversion to bool throws std::logic_error.
    stream() noexcept = default;
    /// Makes a stream over a carrier of another kind, and owns it from then on.
    /// @param carrier a std::unique_ptr, or another owner with `release()`, of a class that derives from byte_channel;
    /// it owns the carrier if the call fails. A null pointer makes an empty stream.
    template<detail::owner_of_carrier Owner>
    explicit stream(Owner carrier);
    stream(stream&&) noexcept = default;
    stream& operator=(stream&& other) noexcept {
        const stream old(std::move(*this));
        channel_ = std::move(other.channel_);
        return *this;
    }
    ~stream() {
        if (channel_ != nullptr) channel_->note_dropped();
    }

    /// Whether this is not empty: neither default-constructed nor moved from.
    explicit operator bool() const noexcept { return channel_ != nullptr; }

    /// Returns a stream over a descriptor that was made elsewhere, and owns it from then on: a connected socket, an end
    /// of a pipe, or a terminal. The descriptor becomes non-blocking, for every process that shares it.
    /// @param fd the descriptor. If the call fails, it is closed, too.
    /// @param name for messages; an empty string stands for the socket's peer, or for "descriptor 5".
    /// @throws std::system_error if `fd` is not an open descriptor, std::invalid_argument for a descriptor that is
    /// always ready, such as a file's.
    static stream from_descriptor(int fd, std::string name = {});

    // Reading

    /// Reads what has come into `into`, and waits for at least one byte.
    /// @param into the memory, which must stay in place until the call is over.
    /// @return how many bytes were read; 0 at the end, or if `into` has no room.
    /// @throws std::system_error if reading fails.
    auto read_some(mutable_byte_view into) { return detail::read_into(open(), into); }
    /// Reads what has come as a string, and waits for at least one byte.
    /// @param most the maximum number of bytes.
    /// @return 1 to `most` bytes; an empty string at the end.
    /// @throws std::system_error if reading fails.
    auto read(std::size_t most) { return reading(detail::some_bytes(most)); }
    /// Reads a given number of bytes, and waits until they have come.
    /// @param count the number of bytes.
    /// @return a string of `count` bytes.
    /// @throws incomplete_read_error if the end comes first: it has the bytes that came; std::system_error.
    auto read_exactly(std::size_t count) { return reading(detail::exactly(count)); }
    /// Reads a line.
    /// @param limit the maximum number of bytes before the newline, at least 1.
    /// @return the line with its newline; at the end what is left, and then an empty string.
    /// @throws limit_overrun_error for a longer line, which is dropped as far as it has come; std::system_error.
    auto read_line(std::size_t limit = default_limit) { return reading(detail::line(limit)); }
    /// Reads up to a delimiter.
    /// @param delimiter a text of at least one byte. @param limit the maximum number of bytes before it, at least 1.
    /// @return everything up to and including the delimiter.
    /// @throws limit_overrun_error when more bytes come before it: they stay to be read; incomplete_read_error if the
    /// end comes first; std::system_error.
    auto read_until(std::string_view delimiter, std::size_t limit = default_limit) {
        return reading(detail::up_to(std::vector<std::string>(1, std::string(delimiter)), limit));
    }
    /// Reads up to one of several delimiters: the one that ends first counts, the shorter one of two that end together.
    /// @param delimiters a range of texts. @param limit the maximum number of bytes before the delimiter, at least 1.
    /// @return everything up to and including the delimiter.
    /// @throws limit_overrun_error, incomplete_read_error, std::system_error as with one delimiter.
    template<detail::range_of<std::string_view> Delimiters>
        requires(!std::convertible_to<Delimiters, std::string_view>)
    auto read_until(Delimiters&& delimiters, std::size_t limit = default_limit) {
        std::vector<std::string> all;
        for (auto&& each : delimiters) all.emplace_back(std::string_view(each));
        return reading(detail::up_to(std::move(all), limit));
    }
    /// Reads everything until the end.
    /// @param limit the maximum number of bytes.
    /// @throws limit_overrun_error when more bytes come: they stay to be read; std::system_error.
    auto read_all(std::size_t limit = std::string::npos) { return reading(detail::everything(limit)); }
    /// Whether the end has come and everything before it was read.
    bool at_eof() const { return open().at_end() && open().buffer().empty(); }

    // Writing

    /// Writes all of `data`, and waits until the system has taken it.
    /// @param data the bytes, which must stay in place until the call is over.
    /// @throws std::system_error if writing fails, std::logic_error after write_eof() or aclose().
    auto write(byte_view data) { return detail::write_operation(open(), detail::one_part(data)); }
    /// Writes several parts one behind the other, with as few system calls as possible, and waits until the system has
    /// taken them.
    /// @param parts a range of texts or bytes. An lvalue must outlive the call; an rvalue is kept.
    /// @throws std::system_error if writing fails, std::logic_error after write_eof() or aclose().
    template<detail::range_of<byte_view> Parts>
        requires(!std::convertible_to<Parts, byte_view>)
    auto write(Parts&& parts) {
        return detail::write_operation(open(), detail::several_parts<Parts>(std::forward<Parts>(parts)));
    }
    /// Writes up to `count` bytes of a file from `offset` on, without copying them where the system can do that.
    /// @param file a descriptor that is open for reading; its own position is neither used nor changed.
    /// @param offset of the first byte in the file. @param count the maximum number of bytes.
    /// @return how many bytes were written: fewer than `count` if the file ends before.
    /// @throws std::system_error, std::logic_error as write() does.
    auto send_file(int file, std::uint64_t offset, std::size_t count = std::string::npos) {
        return detail::send_file_operation(open(), file, offset, count);
    }
    /// Returns how many bytes the system has taken in all.
    std::uint64_t bytes_written() const { return open().written(); }
    /// Tells the other side that no more bytes will come; reading goes on. Awaitable that does not suspend.
    /// @throws std::logic_error while another task writes.
    auto write_eof() {
        return detail::plain_operation([c = &open()] { c->write_eof(); });
    }

    // The end

    /// Closes the stream; other tasks that read see the end, and those that write get an error. A second call does
    /// nothing. Awaitable that does not suspend.
    /// Cancellation: none, since it does not wait.
    auto aclose() {
        return detail::plain_operation([c = &open()] { c->close(); });
    }
    /// Closes the stream at once: what the system has not sent yet is dropped, and the other side of a TCP connection
    /// gets a reset.
    void abort() { open().close(true); }
    /// Whether the stream was closed, or is empty.
    bool is_closed() const noexcept { return channel_ == nullptr || channel_->closed(); }

    /// Gives the descriptor up: the stream is empty afterwards, and neither closes nor watches the descriptor, which
    /// stays non-blocking. A server does not count the connection any more. If the call fails, the stream stays as it
    /// is.
    /// @return the descriptor, which the caller must close.
    /// @throws std::logic_error if bytes were read ahead, which would be lost: read the buffered() ones first; if a
    /// task reads or writes; if the stream is closed, or has no descriptor of its own, as one in memory or over another
    /// stream.
    [[nodiscard("the descriptor must be closed by the caller")]] int release();
    /// Returns how many bytes were read ahead: a read of no more than these does not wait.
    std::size_t buffered() const { return open().buffer().size(); }

    /// Returns the address of this end; empty if it has none, as that of a pipe.
    address local_address() const { return open().local(); }
    /// Returns the address of the other end; empty if it has none, as that of a pipe.
    address peer_address() const { return open().peer(); }
    /// Returns the descriptor, for setsockopt(2) and the like; -1 if there is none. The stream keeps it.
    int native_handle() const { return open().descriptor(); }
    /// Returns the carrier that the stream was made over; nullptr if that is a descriptor. The stream keeps it.
    byte_channel* carrier() const { return open().carrier(); }

private:
    friend struct detail::access;
    friend detail::channel& detail::channel_of(const stream& s);
    explicit stream(detail::owner<detail::channel> c) noexcept : channel_(std::move(c)) {}

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

template<detail::owner_of_carrier Owner>
stream::stream(Owner carrier) {
    auto made = detail::make_owner<detail::carried_channel>();
    detail::owner<byte_channel> by(carrier.release());
    if (by == nullptr) return;
    by->waiting_ = made.get();
    made->carry(std::move(by));
    channel_ = std::move(made);
}

inline int stream::release() {
    detail::channel& from = open();
    if (from.closed()) throw std::logic_error("release: the stream is closed");
    if (from.busy(detail::direction::read) || from.busy(detail::direction::write))
        throw std::logic_error("release: a task reads or writes");
    if (!from.buffer().empty())
        throw std::logic_error("release: " + std::to_string(buffered()) +
                               " bytes were read ahead and would be lost; read the buffered() ones first");
    const int fd = from.give_up();
    if (fd < 0) throw std::logic_error("release: the stream has no descriptor of its own");
    channel_.reset();
    return fd;
}

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
        const bool is_pipe = S_ISFIFO(what.st_mode) && !(flags & O_DIRECT); // O_DIRECT reads one packet at a time
        return detail::access::make<stream>(
            detail::make_channel<detail::pipe_channel>(std::move(owned), std::move(name), is_pipe));
    }
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    if (detail::calls.getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0)
        detail::fail(errno, "stream of " + name);
    return detail::access::make<stream>(detail::make_channel<detail::socket_channel>(
        std::move(owned), address(reinterpret_cast<const sockaddr*>(&peer), size)));
}

} // namespace asynchio

#pragma GCC visibility pop
