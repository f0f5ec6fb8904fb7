// SPDX-License-Identifier: BSL-1.0
#pragma once

// An open file, and how its bytes are read and written without holding up the loop: at once if they are cached, by
// io_uring, or by a worker thread.

#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/io/byte_channel.hpp>
#include <asynchio/io/byte_view.hpp>
#include <asynchio/io/detail/descriptor.hpp>
#include <asynchio/io/detail/file_ring.hpp>
#include <asynchio/io/system_calls.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/task.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/thread/to_thread.hpp>

#include <cerrno>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <string>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// What the handles and the operations of a file share. The descriptor is closed with the last of them, so that no
/// other file can get its number before they have done with it.
struct file_state final : counted_object<file_state> {
    descriptor opened;
    std::string name;
    bool readable = false;
    bool writable = false;
    bool appends = false;
    bool may_be_cached = true; // whether preadv2(2) can tell without waiting
    bool closed = false;
    bool has_turn = false;    // whether a task uses the position
    unsigned char streak = 0; // reads in a row that did not have to wait
    std::uint64_t position = 0;
    std::size_t users = 0;          // operations under way
    std::optional<future<>> unused; // for aclose(): done when the last of them has ended

    [[noreturn]] void fail(int error, const char* what) const {
        detail::fail(error, std::string(what) + " \"" + name + '"');
    }
    void require_open(const char* what) const {
        if (closed) throw std::logic_error(std::string(what) + ": the file \"" + name + "\" is closed");
    }
    void require_readable(const char* what) const {
        require_open(what);
        if (!readable) throw std::logic_error(std::string(what) + ": \"" + name + "\" is open for writing only");
    }
    void require_writable(const char* what) const {
        require_open(what);
        if (!writable) throw std::logic_error(std::string(what) + ": \"" + name + "\" is open for reading only");
    }
};

using file_ptr = counted_ptr<file_state>;

/// An operation under way, for which aclose() waits.
class file_user {
public:
    explicit file_user(file_state& of) noexcept : of_(of) { ++of.users; }
    file_user(const file_user&) = delete;
    file_user& operator=(const file_user&) = delete;
    ~file_user() {
        if (--of_.users == 0 && of_.unused && !of_.unused->done()) of_.unused->set_result();
    }

private:
    file_state& of_;
};

/// The use of a file's position, by one task at a time.
class file_turn {
public:
    file_turn(file_state& of, const char* what) : of_(of) {
        if (of.has_turn)
            throw std::logic_error(std::string(what) + ": another task reads or writes \"" + of.name +
                                   "\" from its position; one at a time");
        of.has_turn = true;
    }
    file_turn(const file_turn&) = delete;
    file_turn& operator=(const file_turn&) = delete;
    ~file_turn() { of_.has_turn = false; }

private:
    file_state& of_;
};

enum class file_action : unsigned char { read, write, sync };

/// Bytes of a file that are to be read or written. Those of a write are not changed.
struct file_part {
    char* data;
    std::size_t size;
    std::uint64_t offset;

    void advance(std::size_t count) noexcept {
        data += count;
        size -= count;
        offset += count;
    }
};

/// Reads what is in the page cache.
/// @return how many bytes. @param part is moved on by them; its size is 0 at the end of the file.
inline std::size_t read_cached(file_state& f, file_part& part) noexcept {
    std::size_t count = 0;
#if defined(__linux__)
    while (f.may_be_cached && part.size > 0) {
        const iovec into{part.data, part.size};
        const ssize_t got = uninterrupted(
            [&] { return calls.preadv2(f.opened.get(), &into, 1, static_cast<off_t>(part.offset), RWF_NOWAIT); });
        if (got < 0) {
            f.may_be_cached = errno == EAGAIN;
            break;
        }
        if (got == 0) part.size = 0;
        part.advance(static_cast<std::size_t>(got));
        count += static_cast<std::size_t>(got);
    }
#endif
    return count;
}

/// Makes one call in the thread that calls this.
inline io_result carry_out(int fd, file_action what, const file_part& part) noexcept {
    const auto at = static_cast<off_t>(part.offset);
    return io_result::of(uninterrupted([&]() -> ssize_t {
        if (what == file_action::read) return calls.pread(fd, part.data, part.size, at);
        if (what == file_action::write) return calls.pwrite(fd, part.data, part.size, at);
        return calls.fsync(fd);
    }));
}

#if defined(__linux__)
inline ring_submission submission_of(int fd, file_action what, const file_part& part) noexcept {
    constexpr std::size_t largest = 1U << 30U;
    ring_submission made;
    made.fd = fd;
    made.opcode = what == file_action::read    ? file_ring::read
                  : what == file_action::write ? file_ring::write
                                               : file_ring::sync;
    if (what == file_action::sync) return made;
    made.address = reinterpret_cast<std::uintptr_t>(part.data);
    made.size = static_cast<std::uint32_t>(part.size < largest ? part.size : largest);
    made.offset = part.offset;
    return made;
}
#endif

/// Reads, writes or syncs, however long it takes.
/// @param name of the call, for its errors. @param gives_way whether other tasks get a turn first.
/// @return how many bytes were read: fewer than the part has only at the end of the file.
template<class = void>
task<std::size_t> transfer(file_ptr f, file_action what, file_part part, const char* name, bool gives_way) {
    const file_user user(*f);
    const int fd = f->opened.get();
    if (gives_way) co_await yield();
    std::size_t done = gives_way && what == file_action::read ? read_cached(*f, part) : 0;
    bool by_ring = true;
    while (part.size > 0 || what == file_action::sync) {
        io_result r = io_result::would_block();
#if defined(__linux__)
        file_ring* const ring = by_ring ? file_ring::of(running_core()) : nullptr;
        if (ring != nullptr) r = co_await ring_operation(*ring, submission_of(fd, what, part));
#endif
        by_ring = r.error == 0;
        if (r.error == EAGAIN) { // the ring is not there, or takes no more
            const auto call = [fd, what, part] { return carry_out(fd, what, part); };
            r = co_await to_thread(call);
        }
        if (r.error == EINTR) continue;
        if (r.error != 0) f->fail(r.error, name);
        if (what == file_action::sync) break;
        if (r.count == 0 && what == file_action::write) f->fail(EIO, name);
        if (r.count == 0) break;
        part.advance(r.count);
        done += r.count;
    }
    co_return done;
}

/// The awaiter of file::read_at(). It does not suspend for bytes that are cached, but for every 128th time in a row, so
/// that other tasks get their turns.
class [[nodiscard("reading begins only when this is awaited")]] file_read {
public:
    file_read(file_ptr f, file_part part, const char* name) noexcept : file_(std::move(f)), part_(part), name_(name) {}
    file_read(file_read&& other) noexcept : file_read(std::move(other.file_), other.part_, other.name_) {}
    file_read& operator=(file_read&&) = delete;
    ~file_read() = default;

    bool await_ready(bool may_give_way = true) {
        file_->require_readable(name_);
        gives_way_ = may_give_way && ++file_->streak == most_in_a_row;
        if (gives_way_) {
            file_->streak = 0;
            return false;
        }
        done_ = read_cached(*file_, part_);
        if (part_.size == 0) return true;
        file_->streak = 0;
        return false;
    }
    template<class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting,
                                          std::source_location where = std::source_location::current()) {
        rest_.emplace(transfer(file_, file_action::read, part_, name_, gives_way_).operator co_await());
        return rest_->await_suspend(awaiting, where);
    }
    std::size_t await_resume() { return rest_ ? done_ + rest_->await_resume() : done_; }

private:
    static constexpr unsigned char most_in_a_row = 128;

    file_ptr file_;
    file_part part_;
    const char* name_;
    std::size_t done_ = 0;
    bool gives_way_ = false;
    std::optional<task<std::size_t>::awaiter> rest_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
