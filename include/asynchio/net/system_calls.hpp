// SPDX-License-Identifier: BSL-1.0
#pragma once

// The system calls of this room, through one table, so that a test can make any of them fail, be short or be
// interrupted.

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <fcntl.h>
#include <netdb.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/sendfile.h>
#include <sys/syscall.h>
#endif

namespace asynchio::detail {

#if defined(__linux__)
inline int pidfd_open(pid_t pid, unsigned flags) noexcept {
    return static_cast<int>(::syscall(SYS_pidfd_open, pid, flags));
}
inline int pidfd_send_signal(int pidfd, int number, siginfo_t* info, unsigned flags) noexcept {
    return static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd, number, info, flags));
}
#endif

/// Each returns what the system's function of that name returns, and sets errno.
struct system_calls {
    int (*socket)(int, int, int) = &::socket;
    int (*bind)(int, const sockaddr*, socklen_t) = &::bind;
    int (*listen)(int, int) = &::listen;
    int (*connect)(int, const sockaddr*, socklen_t) = &::connect;
    int (*accept4)(int, sockaddr*, socklen_t*, int) = &::accept4;
    int (*getsockopt)(int, int, int, void*, socklen_t*) = &::getsockopt;
    int (*setsockopt)(int, int, int, const void*, socklen_t) = &::setsockopt;
    int (*getsockname)(int, sockaddr*, socklen_t*) = &::getsockname;
    int (*getpeername)(int, sockaddr*, socklen_t*) = &::getpeername;
    int (*shutdown)(int, int) = &::shutdown;
    ssize_t (*recv)(int, void*, size_t, int) = &::recv;
    ssize_t (*recvmsg)(int, msghdr*, int) = &::recvmsg;
    ssize_t (*send)(int, const void*, size_t, int) = &::send;
    ssize_t (*sendmsg)(int, const msghdr*, int) = &::sendmsg;
    ssize_t (*read)(int, void*, size_t) = &::read;
    ssize_t (*writev)(int, const iovec*, int) = &::writev;
    int (*pipe2)(int*, int) = &::pipe2;
    ssize_t (*pread)(int, void*, size_t, off_t) = &::pread;
    int (*close)(int) = &::close;
    int (*posix_spawnp)(pid_t*, const char*, const posix_spawn_file_actions_t*, const posix_spawnattr_t*, char* const*,
                        char* const*) = &::posix_spawnp;
    int (*waitid)(idtype_t, id_t, siginfo_t*, int) = &::waitid;
    int (*kill)(pid_t, int) = &::kill;
    int (*getaddrinfo)(const char*, const char*, const addrinfo*, addrinfo**) = &::getaddrinfo;
#if defined(__linux__)
    ssize_t (*sendfile)(int, int, off_t*, size_t) = &::sendfile;
    int (*pidfd_open)(pid_t, unsigned) = &detail::pidfd_open;
    int (*pidfd_send_signal)(int, int, siginfo_t*, unsigned) = &detail::pidfd_send_signal;
#endif
    /// Whether a read of a TCP socket that gives less than it could has emptied it. Not where a test cuts it short.
    bool short_means_empty = true;
};

/// The table in use. Changed only while no loop is running.
inline constinit system_calls calls{};

/// Descriptors that this room holds in the process.
inline std::atomic<std::ptrdiff_t> descriptors_alive = 0;

/// The two names of one error; where they are one number, a compiler warns of comparing with both.
inline bool would_block(int error) noexcept { return error == EAGAIN || (EWOULDBLOCK != EAGAIN && error == EWOULDBLOCK); }

/// Repeats a call that a signal interrupted.
template<class Call>
auto uninterrupted(Call call) noexcept {
    for (;;) {
        const auto result = call();
        if (result >= 0 || errno != EINTR) return result;
    }
}

} // namespace asynchio::detail
