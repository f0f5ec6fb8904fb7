// SPDX-License-Identifier: BSL-1.0
#pragma once

// Channels over descriptors: connected sockets, pipes, and other descriptors that can be read or written.

#include <asynchio/io/detail/channel.hpp>
#include <asynchio/io/detail/socket_address.hpp>
#include <asynchio/io/detail/watched_descriptor.hpp>

#include <csignal>
#include <ctime>
#include <fcntl.h>
#include <string>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// A channel over a descriptor.
class descriptor_channel : public watched_descriptor<channel> {
public:
    using watched_descriptor<channel>::watched_descriptor;

    void shut(bool) noexcept override { close_descriptor(); }
    int descriptor() const noexcept final { return handle(); }
    int give_up() noexcept final { return release_descriptor(); }
};

/// Keeps SIGPIPE of this thread's own writes from being delivered while it lives.
class without_sigpipe {
public:
    without_sigpipe() noexcept {
        sigset_t pending;
        ::sigpending(&pending);
        if (sigismember(&pending, SIGPIPE)) return; // another write has raised it, and it stays pending
        sigset_t pipe = only_sigpipe();
        sigset_t before;
        ::pthread_sigmask(SIG_BLOCK, &pipe, &before);
        unblock_ = !sigismember(&before, SIGPIPE);
        active_ = true;
    }
    without_sigpipe(const without_sigpipe&) = delete;
    without_sigpipe& operator=(const without_sigpipe&) = delete;
    ~without_sigpipe() {
        if (!active_) return;
        const int error = errno;
        const sigset_t pipe = only_sigpipe();
        const timespec at_once{};
        if (!complete_)
            while (::sigtimedwait(&pipe, nullptr, &at_once) < 0 && errno == EINTR) {}
        if (unblock_) ::pthread_sigmask(SIG_UNBLOCK, &pipe, nullptr);
        errno = error;
    }

    /// Records the result of a call. A call that has written only a part may have raised the signal, as may one that
    /// failed.
    void wrote(std::size_t count, std::size_t size) noexcept { complete_ = count == size; }

private:
    static sigset_t only_sigpipe() noexcept {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGPIPE);
        return set;
    }
    bool active_ = false;
    bool unblock_ = false;
    bool complete_ = false;
};

class socket_channel final : public descriptor_channel {
public:
    socket_channel(detail::descriptor d, const address& peer) noexcept
        : descriptor_channel(std::move(d)), peer_(peer) {}

    io_result receive(void* into, std::size_t size) noexcept override {
        return io_result::of(uninterrupted([&] { return calls.recv(descriptor(), into, size, 0); }));
    }
    io_result send(const iovec* parts, std::size_t count) noexcept override {
        if (count == 1) // cheaper than a message
            return io_result::of(
                uninterrupted([&] { return calls.send(descriptor(), parts->iov_base, parts->iov_len, MSG_NOSIGNAL); }));
        msghdr message{};
        message.msg_iov = const_cast<iovec*>(parts);
        message.msg_iovlen = count;
        return io_result::of(uninterrupted([&] { return calls.sendmsg(descriptor(), &message, MSG_NOSIGNAL); }));
    }
    io_result send_file(int file, std::uint64_t offset, std::size_t size) noexcept override {
#if defined(__linux__)
        without_sigpipe quiet; // sendfile knows no MSG_NOSIGNAL
        auto from = static_cast<off_t>(offset);
        const auto sent = io_result::of(uninterrupted([&] { return calls.sendfile(descriptor(), file, &from, size); }));
        quiet.wrote(sent.count, size);
        return sent;
#else
        return channel::send_file(file, offset, size);
#endif
    }
    int end_sending() noexcept override { return calls.shutdown(descriptor(), SHUT_WR) == 0 ? 0 : errno; }
    void shut(bool abort) noexcept override {
        if (abort && peer_.is_ip()) { // the other side gets a reset
            const linger at_once{1, 0};
            calls.setsockopt(descriptor(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        }
        descriptor_channel::shut(abort);
    }
    std::string name() const override { return peer_.to_string(); }
    address local() const override { return local_address_of(descriptor()); }
    address peer() const override { return peer_; }
    /// A read of a Unix-domain socket stops at descriptors that are passed along.
    bool short_means_empty() const noexcept override { return peer_.is_ip() && calls.short_means_empty; }

private:
    address peer_;
};

/// A pipe, a terminal, or another descriptor that can be read or written, and watched.
class pipe_channel final : public descriptor_channel {
public:
    /// @param name for messages. @param is_pipe whether a read that returns less than it was asked for has emptied it.
    pipe_channel(detail::descriptor d, std::string name, bool is_pipe) noexcept
        : descriptor_channel(std::move(d)), name_(std::move(name)), is_pipe_(is_pipe) {}

    io_result receive(void* into, std::size_t size) noexcept override {
        return io_result::of(uninterrupted([&] { return calls.read(descriptor(), into, size); }));
    }
    io_result send(const iovec* parts, std::size_t count) noexcept override {
        without_sigpipe quiet;
        const auto sent =
            io_result::of(uninterrupted([&] { return calls.writev(descriptor(), parts, static_cast<int>(count)); }));
        std::size_t size = 0;
        for (std::size_t i = 0; i < count; ++i) size += parts[i].iov_len;
        quiet.wrote(sent.count, size);
        return sent;
    }
    /// Tells the end of writing. A pipe can only do so by closing; a descriptor that can be read, too, such as a
    /// terminal's, has no way, and stays open.
    int end_sending() noexcept override {
        const int flags = calls.fcntl(descriptor(), F_GETFL, 0);
        if (flags < 0 || (flags & O_ACCMODE) == O_WRONLY) shut(false);
        return 0;
    }
    std::string name() const override { return name_; }
    bool short_means_empty() const noexcept override { return is_pipe_ && calls.short_means_empty; }

private:
    std::string name_;
    bool is_pipe_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
