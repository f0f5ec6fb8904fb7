// SPDX-License-Identifier: BSL-1.0
#pragma once

// The awaiters of a stream.

#include <asynchio/core/detail/range.hpp>
#include <asynchio/io/byte_view.hpp>
#include <asynchio/io/detail/channel.hpp>
#include <asynchio/io/detail/readiness.hpp>

#include <cstddef>
#include <cstring>
#include <exception>
#include <iterator>
#include <new>
#include <source_location>
#include <string_view>
#include <sys/uio.h>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// The base of a stream's operations.
class stream_operation : public io_operation {
public:
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        suspend(awaiting, where);
    }

protected:
    stream_operation(channel& c, direction d, const char* name) noexcept : io_operation(c, d, name), channel_(&c) {}

    channel* channel_;
};

/// Reads into the channel's buffer until the goal is reached.
template<class Goal>
class [[nodiscard("reading begins only when this is awaited")]] read_operation final : public stream_operation {
public:
    read_operation(channel& c, Goal goal) : stream_operation(c, direction::read, Goal::name), goal_(std::move(goal)) {}
    read_operation(read_operation&& other) noexcept : read_operation(*other.channel_, std::move(other.goal_)) {}
    read_operation& operator=(read_operation&&) = delete;
    ~read_operation() override = default;

    bool await_ready(bool may_give_way = true) { return begin(may_give_way); }
    auto await_resume() {
        finish();
        if (!reached_) channel_->rethrow(direction::read);
        return goal_.take(*channel_);
    }

private:
    bool attempt() noexcept override try {
        for (std::size_t taken = 0;; taken += channel_->fill()) {
            if ((reached_ = goal_.reached(*channel_)) || channel_->ended()) return true;
            if (!channel_->open(direction::read) || taken >= channel::most_in_a_turn) return false;
        }
    } catch (...) {
        failed();
        return true;
    }

    Goal goal_;
    bool reached_ = false;
};

/// Reads into the caller's memory, without a copy if nothing was read ahead.
class [[nodiscard("reading begins only when this is awaited")]] read_into final : public stream_operation {
public:
    read_into(channel& c, mutable_byte_view into) noexcept
        : stream_operation(c, direction::read, "read_some"), into_(into) {}
    read_into(read_into&& other) noexcept : read_into(*other.channel_, other.into_) {}
    read_into& operator=(read_into&&) = delete;
    ~read_into() override = default;

    bool await_ready(bool may_give_way = true) { return begin(may_give_way); }
    std::size_t await_resume() {
        finish();
        if (count_ == 0) channel_->rethrow(direction::read);
        return count_;
    }

private:
    bool attempt() noexcept override {
        byte_buffer& buffer = channel_->buffer();
        if (!buffer.empty()) {
            count_ = buffer.size() < into_.size() ? buffer.size() : into_.size();
            std::memcpy(into_.data(), buffer.view().data(), count_);
            buffer.consume(count_);
            return true;
        }
        if (into_.size() == 0 || channel_->ended()) return true;
        if (!channel_->open(direction::read)) return false;
        count_ = channel_->received(channel_->receive(into_.data(), into_.size()), into_.size());
        return count_ != 0 || channel_->ended();
    }

    mutable_byte_view into_;
    std::size_t count_ = 0;
};

/// Parts to be written, which it passes to system calls one after the other.
class one_part {
public:
    static constexpr std::size_t most = 1;
    explicit one_part(byte_view data) noexcept : data_(static_cast<const char*>(data.data()), data.size()) {}

    std::size_t fill(iovec* parts) const noexcept {
        parts[0] = {const_cast<char*>(data_.data()), data_.size()};
        return data_.empty() ? 0 : 1;
    }
    void advance(std::size_t count) noexcept { data_.remove_prefix(count); }

private:
    std::string_view data_;
};

/// @tparam Parts a reference, or the range itself, kept here.
template<class Parts>
class several_parts {
public:
    static constexpr std::size_t most = 64;
    explicit several_parts(Parts&& parts) : parts_(std::forward<Parts>(parts)) {}

    std::size_t fill(iovec* to) {
        std::size_t count = 0;
        std::size_t skip = offset_;
        auto each = std::next(detail::begin_of(parts_), static_cast<std::ptrdiff_t>(done_));
        for (; each != detail::end_of(parts_) && count < most; ++each) {
            const byte_view part(*each);
            if (part.size() > skip)
                to[count++] = {const_cast<char*>(static_cast<const char*>(part.data())) + skip, part.size() - skip};
            else if (count == 0)
                ++done_;
            skip = 0;
            if (count == 0) offset_ = 0;
        }
        return count;
    }
    void advance(std::size_t count) {
        auto each = std::next(detail::begin_of(parts_), static_cast<std::ptrdiff_t>(done_));
        while (count != 0) {
            const std::size_t left = byte_view(*each).size() - offset_;
            if (count < left) {
                offset_ += count;
                return;
            }
            count -= left;
            offset_ = 0;
            ++done_;
            ++each;
        }
    }

private:
    Parts parts_;
    std::size_t done_ = 0;   // parts that were written
    std::size_t offset_ = 0; // bytes that were written of the next part
};

template<class Parts>
class [[nodiscard("writing begins only when this is awaited")]] write_operation final : public stream_operation {
public:
    write_operation(channel& c, Parts parts)
        : stream_operation(c, direction::write, "write"), parts_(std::move(parts)) {}
    write_operation(write_operation&& other) : write_operation(*other.channel_, std::move(other.parts_)) {}
    write_operation& operator=(write_operation&&) = delete;
    ~write_operation() override = default;

    bool await_ready(bool may_give_way = true) {
        channel_->require_writable("write");
        return begin(may_give_way);
    }
    void await_resume() {
        finish();
        if (!all_) channel_->fail_unfinished_write();
    }

private:
    bool attempt() noexcept override try {
        for (std::size_t sent = 0;;) {
            if (channel_->closed() || channel_->failed(direction::write)) return true;
            iovec parts[Parts::most];
            const std::size_t count = parts_.fill(parts);
            if (count == 0) return (all_ = channel_->all_sent()) || channel_->failed(direction::write);
            if (!channel_->open(direction::write) || sent >= channel::most_in_a_turn) return false;
            const std::size_t taken = channel_->sent(channel_->send(parts, count));
            parts_.advance(taken);
            sent += taken;
        }
    } catch (...) { // an exception of the range
        failed();
        return true;
    }

    Parts parts_;
    bool all_ = false;
};

/// The awaiter of a call that is done at once and never suspends.
template<class F>
class [[nodiscard("nothing happens before this is awaited")]] plain_operation {
public:
    explicit plain_operation(F f) noexcept : f_(std::move(f)) {}
    bool await_ready() {
        f_();
        return true;
    }
    static void await_suspend(std::coroutine_handle<>) noexcept {}
    static void await_resume() noexcept {}

private:
    F f_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
