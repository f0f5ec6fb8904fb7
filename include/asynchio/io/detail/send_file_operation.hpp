// SPDX-License-Identifier: BSL-1.0
#pragma once

// The awaiter of stream::send_file().

#include <asynchio/io/detail/channel.hpp>
#include <asynchio/io/detail/stream_operations.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <sys/uio.h>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Uses sendfile(2), or reads and writes where that cannot be used.
class [[nodiscard("writing begins only when this is awaited")]] send_file_operation final : public stream_operation {
public:
    send_file_operation(channel& c, int file, std::uint64_t offset, std::size_t count) noexcept
        : stream_operation(c, direction::write, "send_file"), file_(file), offset_(offset), left_(count) {}
    send_file_operation(send_file_operation&& other) noexcept
        : send_file_operation(*other.channel_, other.file_, other.offset_, other.left_) {}
    send_file_operation& operator=(send_file_operation&&) = delete;
    ~send_file_operation() override = default;

    bool await_ready(bool may_give_way = true) {
        channel_->require_writable("send_file");
        return begin(may_give_way);
    }
    std::size_t await_resume() {
        finish();
        if (!all_) channel_->fail_unfinished_write();
        return sent_;
    }

private:
    static constexpr std::size_t chunk = 262'144;

    bool attempt() noexcept override try {
        for (std::size_t taken = 0;;) {
            if (channel_->closed() || channel_->failed(direction::write)) return true;
            if (left_ == 0 || at_end_) return (all_ = channel_->all_sent()) || channel_->failed(direction::write);
            if (!channel_->open(direction::write) || taken >= channel::most_in_a_turn) return false;
            taken += copies_ ? copy() : send();
        }
    } catch (...) {
        failed();
        return true;
    }

    std::size_t send() noexcept {
        const io_result r = channel_->send_file(file_, offset_, left_ < chunk ? left_ : chunk);
        if (is_of_the_file(r.error)) {
            copies_ = true; // copying works, or tells what is wrong with the file
            return 0;
        }
        at_end_ = r.error == 0 && r.count == 0;
        return advance(channel_->sent(r, "send a file to"));
    }
    static bool is_of_the_file(int error) noexcept {
        for (const int each : {EINVAL, ENOSYS, ESPIPE, EBADF, EIO, EISDIR, EOVERFLOW})
            if (error == each) return true;
        return false;
    }
    std::size_t copy() {
        if (buffer_.empty()) buffer_.resize(left_ < channel::largest_chunk ? left_ : channel::largest_chunk);
        const std::size_t most = left_ < buffer_.size() ? left_ : buffer_.size();
        const io_result r = io_result::of(
            uninterrupted([&] { return calls.pread(file_, buffer_.data(), most, static_cast<off_t>(offset_)); }));
        if (r.error != 0) fail(r.error, "read the file that is sent to " + channel_->name());
        at_end_ = r.count == 0;
        if (at_end_) return 0;
        const iovec part{buffer_.data(), r.count};
        return advance(channel_->sent(channel_->send(&part, 1))); // what was not taken is read again
    }
    std::size_t advance(std::size_t count) noexcept {
        offset_ += count;
        left_ -= count;
        sent_ += count;
        return count;
    }

    int file_;
    std::uint64_t offset_;
    std::size_t left_;
    std::size_t sent_ = 0;
    std::string buffer_;
    bool copies_ = false;
    bool at_end_ = false;
    bool all_ = false;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
