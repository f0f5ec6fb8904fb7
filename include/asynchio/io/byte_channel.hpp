// SPDX-License-Identifier: BSL-1.0
#pragma once

// The extension point of streams: what carries the bytes of a stream in another way than a descriptor does.

#include <asynchio/io/address.hpp>
#include <asynchio/io/byte_view.hpp>
#include <asynchio/io/detail/descriptor.hpp>
#include <asynchio/io/detail/readiness.hpp>
#include <asynchio/io/fd_events.hpp>
#include <asynchio/io/system_calls.hpp>

#include <cerrno>
#include <cstddef>
#include <string>
#include <sys/types.h>
#include <sys/uio.h>

#pragma GCC visibility push(default)

namespace asynchio {

/// The result of byte_channel::receive() and byte_channel::send(): a number of bytes, or an error.
///
/// Threads: a plain value.
struct io_result {
    /// How many bytes were received or sent. A receive() of 0 bytes without an error is the end.
    std::size_t count = 0;
    /// An errno or a number of the carrier's own, see byte_channel::raise(); 0 for none, EAGAIN if the call would block.
    int error = 0;

    /// Returns the result of a system call that has just returned `result`; reads errno if that is negative.
    static io_result of(ssize_t result) noexcept {
        if (result >= 0) return {static_cast<std::size_t>(result), 0};
        return {0, detail::would_block(errno) ? EAGAIN : errno};
    }
    /// Returns a result of `count` bytes.
    static constexpr io_result bytes(std::size_t count) noexcept { return {count, 0}; }
    /// Returns the result of a receive() at the end.
    static constexpr io_result end() noexcept { return {0, 0}; }
    /// Returns the result of a call that can do nothing now.
    static constexpr io_result would_block() noexcept { return {0, EAGAIN}; }
    /// Returns the result of a call that has failed.
    /// @param error an errno or a number of the carrier's own, not 0.
    static constexpr io_result failed(int error) noexcept { return {0, error}; }
};

/// The base of carriers: what carries the bytes of a stream in another way than a descriptor does, for instance
/// encrypted, compressed, or in memory. `stream(std::make_unique<carrier>())` is an ordinary stream over it: all of its
/// calls work, and it keeps what was read ahead, the first error of each direction, and the rules about two readers.
///
/// Behaviour: no function waits. A function that can do nothing now returns io_result::would_block(), and the carrier
/// calls notify() as soon as another call has a chance. It is not called in that direction before. notify() may be
/// called at any time, also inside of these functions and although nothing waits; tasks go on in their turn.
/// Cancellation: nothing to do: a cancelled operation makes no further call.
/// Threads: the thread of the loop in which the stream is used; also notify().
/// Lifetime: the stream owns the carrier, and calls shut() exactly once before it destroys it. A carrier that is not
/// owned by a stream yet has nobody to notify.
/// Cost: a virtual call for each function; no allocation.
/// Example: `struct upside_down final : aio::layered_channel { ... }; aio::stream s(std::make_unique<upside_down>(...));`
/// See also: layered_channel, for a carrier over another stream; testing::stream_pair, two streams in memory.
class byte_channel {
public:
    byte_channel() noexcept = default;
    byte_channel(const byte_channel&) = delete;
    byte_channel& operator=(const byte_channel&) = delete;
    virtual ~byte_channel() = default;

    /// Moves bytes that have come into `into`.
    /// @param into the memory, of at least one byte.
    /// @return how many bytes were moved; io_result::end(), would_block(), or failed(). It is not called again after
    /// the end or an error.
    virtual io_result receive(mutable_byte_view into) noexcept = 0;
    /// Sends bytes, or as many of them as can be taken now.
    /// @param parts the first of one or more parts, none of them empty, which are to be sent one behind the other.
    /// @param count how many parts there are.
    /// @return how many bytes in all were taken, which need not be the whole of any part; would_block(), or failed()
    /// if none was taken. It is not called again after an error.
    virtual io_result send(const iovec* parts, std::size_t count) noexcept = 0;
    /// Passes on what send() has taken and the carrier still holds back, as one does that encrypts. A write of the stream
    /// is over when nothing is held back. The default is for carriers that hold nothing back.
    /// @return 0 if nothing is held back; EAGAIN if something is, and then the carrier calls notify() with writable when
    /// that has changed; another error number if it is lost.
    virtual int drain() noexcept { return 0; }
    /// Tells the other side that no more bytes will come. It is called once at most, and send() is not called again.
    /// @return an error number, or 0.
    virtual int end_sending() noexcept = 0;
    /// Ends both directions; no other function but the queries is called again.
    /// @param abort whether what was not delivered yet is to be dropped.
    virtual void shut(bool abort) noexcept = 0;
    /// Returns the name of the other side, for messages.
    virtual std::string name() const = 0;

    /// Returns the address of this end; empty if it has none.
    virtual address local_address() const { return {}; }
    /// Returns the address of the other end; empty if it has none.
    virtual address peer_address() const { return {}; }
    /// Returns the descriptor behind it, for stream::native_handle(); -1 if there is none.
    virtual int native_handle() const noexcept { return -1; }
    /// Prepares a wait: a task is about to wait until notify() is called with one of `what`.
    /// @throws any exception, which the waiting task gets.
    virtual void begin_wait(fd_events what) { static_cast<void>(what); }
    /// Throws the exception for an error that receive(), send() or end_sending() has returned.
    /// @param error that number. @param what what was done, and the name: "read from NAME".
    /// @throws std::system_error, unless a carrier has exceptions of its own. An override that returns leaves it to
    /// that.
    virtual void raise(int error, const std::string& what) const { detail::fail(error, what); }

protected:
    /// Tells that another call has a chance. Tasks that wait try again in their turn.
    /// @param what the directions: readable for receive(), writable for send().
    void notify(fd_events what) noexcept {
        if (waiting_ != nullptr) waiting_->notify(static_cast<unsigned char>(what));
    }

private:
    friend class stream;
    detail::readiness* waiting_ = nullptr; // null while no stream owns it
};

} // namespace asynchio

#pragma GCC visibility pop
