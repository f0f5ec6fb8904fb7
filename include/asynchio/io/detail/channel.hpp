// SPDX-License-Identifier: BSL-1.0
#pragma once

// The channel of a stream, whatever carries its bytes: the calls, what was read ahead, and how it ended.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/core/detail/owner.hpp>
#include <asynchio/io/address.hpp>
#include <asynchio/io/byte_channel.hpp>
#include <asynchio/io/detail/byte_buffer.hpp>
#include <asynchio/io/detail/descriptor.hpp>
#include <asynchio/io/detail/readiness.hpp>
#include <asynchio/loop/detail/intrusive_list.hpp>
#include <asynchio/loop/detail/loop_core.hpp>
#include <asynchio/task/detail/user_line.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <stdexcept>
#include <string>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

class channel;

/// Counts channels: it is told once when one of them was closed or is destroyed.
class channel_owner {
public:
    virtual void released(channel& c) noexcept = 0;

protected:
    ~channel_owner() = default;
};

/// Bytes in order, both ways. Derived classes carry them; the channel keeps what was read ahead, the first error of
/// each direction, and how the two ends were closed.
class channel : public readiness, public list_link {
public:
    /// The maximum that a call reads or writes ahead, and that an operation reads in one iteration, in bytes.
    static constexpr std::size_t first_chunk = 4096;
    static constexpr std::size_t largest_chunk = 65'536;
    static constexpr std::size_t most_in_a_turn = 262'144;

    channel() noexcept : list_link{nullptr, nullptr} {}
    ~channel() override { release(); }

    /// Called when the stream object is gone: in debug mode, an open one from which not all was read is reported.
    void note_dropped() const noexcept {
        auto* const loop = static_cast<loop_core*>(this_thread.running);
        if (loop != nullptr && loop->debug() && !closed_ && !hung_up_ && !failed(direction::read) &&
            reports_dropped(*loop)) [[unlikely]]
            report_dropped(*loop);
    }

    // Derived classes carry the bytes. None of these functions blocks.

    virtual io_result receive(void* into, std::size_t size) noexcept = 0;
    virtual io_result send(const iovec* parts, std::size_t count) noexcept = 0;
    /// Sends a file's bytes without copying them, and none at the file's end; EINVAL if the system cannot do that.
    virtual io_result send_file(int, std::uint64_t, std::size_t) noexcept { return {0, EINVAL}; }
    /// @return 0 if nothing of what was sent is held back, EAGAIN while something is, or errno.
    virtual int drain() noexcept { return 0; }
    /// @return errno or 0.
    virtual int end_sending() noexcept = 0;
    /// @param abort without sending what the system still holds.
    virtual void shut(bool abort) noexcept = 0;
    /// Returns the name of the other side, for messages.
    virtual std::string name() const = 0;
    virtual address local() const { return {}; }
    virtual address peer() const { return {}; }
    virtual int descriptor() const noexcept { return -1; }
    /// Whether a read that returned less than it was asked for has emptied what it read from.
    virtual bool short_means_empty() const noexcept { return false; }
    /// Gives up the descriptor without closing it. @return the descriptor, which is the caller's; -1 if there is none.
    virtual int give_up() noexcept { return -1; }
    /// Returns what carries the bytes, if that is a carrier of the user's.
    virtual byte_channel* carrier() const noexcept { return nullptr; }
    /// Throws the exception for an error. @param what the operation, and the name.
    virtual void raise(int error, const std::string& what) const { detail::fail(error, what); }

    // Reading

    byte_buffer& buffer() noexcept { return buffer_; }
    const byte_buffer& buffer() const noexcept { return buffer_; }
    bool at_end() const noexcept { return eof_ || closed_; }
    /// Whether no more bytes will come: the end, or an error of reading, has been seen.
    bool ended() const noexcept { return at_end() || failed(direction::read); }

    /// Makes one call that reads into the buffer. @return how many bytes came; 0 if it would block, or once ended().
    /// @throws std::bad_alloc without memory.
    std::size_t fill() {
        char* to = buffer_.prepare(chunk_);
        const std::size_t room = buffer_.room();
        const std::size_t got = received(receive(to, room), room);
        buffer_.commit(got);
        if (got == room && chunk_ < largest_chunk) chunk_ *= 2;
        if (got == 0 && buffer_.empty()) {
            buffer_.release();
            chunk_ = first_chunk;
        }
        return got;
    }
    /// Records the result of a call that was asked for `size` bytes.
    std::size_t received(io_result t, std::size_t size) noexcept {
        const bool idle = t.error == EAGAIN;
        if (idle && !ends_when_idle_)
            blocked(direction::read);
        else if (t.error != 0 && !idle)
            fail(direction::read, t.error, "read from");
        else if (!idle && t.count == 0 &&
                 ends_connection(error_of(direction::write).number)) // told once, to the writer
            fail(direction::read, error_of(direction::write).number, "read from");
        else if (idle || t.count == 0)
            eof_ = true;
        else if (t.count < size && short_means_empty())
            drained();
        return t.count;
    }

    // Writing

    std::uint64_t written() const noexcept { return written_; }
    std::size_t sent(io_result t, const char* operation = "write to") noexcept {
        if (t.error == EAGAIN)
            blocked(direction::write);
        else if (t.error != 0)
            fail(direction::write, t.error, operation);
        written_ += t.count;
        return t.count;
    }
    /// @return whether nothing of what was sent is held back.
    bool all_sent() noexcept {
        const int error = drain();
        sent({0, error});
        return error == 0;
    }
    /// @throws std::logic_error after write_eof() or once it was closed here, std::system_error after an error.
    void require_writable(const char* what) const {
        rethrow(direction::write);
        if (hung_up_) detail::fail(EPIPE, "write to " + name());
        if (closed_) throw std::logic_error(std::string(what) + ": the stream is closed");
        if (sent_eof_) throw std::logic_error(std::string(what) + ": write_eof() was called already");
    }
    /// Reports that a write which has begun cannot end. @throws std::system_error with the reason.
    [[noreturn]] void fail_unfinished_write() const {
        rethrow(direction::write);
        detail::fail(EPIPE, "write to " + name()); // closed here meanwhile
    }
    void write_eof() {
        if (sent_eof_) return;
        require_writable("write_eof");
        if (busy(direction::write)) throw std::logic_error("write_eof: another task is writing");
        sent_eof_ = true;
        const int error = end_sending();
        if (error != 0 && error != ENOTCONN) {
            fail(direction::write, error, "shut down");
            rethrow(direction::write);
        }
    }

    // The end

    bool closed() const noexcept { return closed_; }
    /// Whether this side has ended it: it was closed here, or has ended because end_when_idle() was called.
    bool ended_here() const noexcept { return closed_ || (eof_ && ends_when_idle_); }
    /// Pending reads see the end, pending writes an error.
    void close(bool abort = false) noexcept {
        if (closed_) return;
        closed_ = true;
        shut(abort);
        release();
        notify(fd_watch::readable | fd_watch::writable);
    }
    /// From now on a read that would wait sees the end instead.
    void end_when_idle() noexcept {
        ends_when_idle_ = true;
        if (!closed_) notify(fd_watch::readable);
    }
    /// Closes the channel for another reason than its owner's call: a later write fails then, and is not misuse.
    void hang_up() noexcept {
        hung_up_ = true;
        close();
    }
    /// Closes at once: reads and writes fail, a read after what has come.
    void lose(int error) noexcept {
        if (closed_) return;
        for (const direction each : {direction::read, direction::write}) fail(each, error, "connection to");
        close(true);
    }

    // Each direction keeps its first error. A reader gets what has come before the error.

    bool failed(direction d) const noexcept { return error_number(d) != 0; }
    int error_number(direction d) const noexcept { return error_of(d).number; }
    /// @throws std::system_error for the first error of that direction.
    void rethrow(direction d) const {
        if (failed(d)) [[unlikely]]
            tell(error_of(d));
    }

    void own(channel_owner& owner) noexcept { owner_ = &owner; }
    void disown() noexcept { owner_ = nullptr; }

private:
    struct failure {
        int number = 0;
        const char* operation = "";
    };
    [[noreturn, gnu::noinline]] void tell(const failure& what) const {
        const std::string text = std::string(what.operation) + " " + name();
        raise(what.number, text);
        detail::fail(what.number, text);
    }
    const failure& error_of(direction d) const noexcept { return d == direction::read ? read_error_ : write_error_; }
    void fail(direction d, int error, const char* operation) noexcept {
        failure& first = d == direction::read ? read_error_ : write_error_;
        if (first.number == 0) first = {error, operation};
    }
    /// Whether an error of writing means that the other side may have sent more than what has come. The system tells
    /// such an error once, and a read after that sees a clean end.
    static bool ends_connection(int error) noexcept {
        for (const int each : {ECONNRESET, ETIMEDOUT, ECONNABORTED, EHOSTUNREACH, ENETUNREACH})
            if (error == each) return true;
        return false;
    }

    [[gnu::noinline, gnu::cold]] void report_dropped(loop_core& loop) const noexcept try {
        int left = 0; // what the system has received, which makes it reset the connection
        const int fd = carrier() == nullptr ? descriptor() : -1; // what lies below a carrier are not the stream's bytes
        if (fd < 0 || ::ioctl(fd, FIONREAD, &left) != 0) left = 0;
        const std::size_t unread = buffer_.size() + static_cast<std::size_t>(left);
        if (unread == 0) return;
        loop.report(formatted("the stream to %s was dropped while %zu bytes that have come were unread", name().c_str(),
                              unread),
                    {}, made_at_);
    } catch (...) { // no memory for a report
    }

    void release() noexcept {
        if (channel_owner* owner = detail::exchange(owner_, nullptr)) owner->released(*this);
    }

    byte_buffer buffer_;
    std::size_t chunk_ = first_chunk;
    std::uint64_t written_ = 0;
    channel_owner* owner_ = nullptr;
    failure read_error_;
    failure write_error_;
    std::source_location made_at_ = user_line(); // in debug mode
    bool eof_ = false;
    bool sent_eof_ = false;
    bool closed_ = false;
    bool hung_up_ = false;
    bool ends_when_idle_ = false; // closed by a server
};

/// Makes a `C`, and returns it as its base.
template<class C, class... Args>
owner<channel> make_channel(Args&&... args) {
    return owner<channel>(new C(std::forward<Args>(args)...));
}

} // namespace asynchio::detail

#pragma GCC visibility pop
