// SPDX-License-Identifier: BSL-1.0
#pragma once

// The system calls of this module, through one table, so that a test can make any of them fail, be short or be
// interrupted.

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#endif

#pragma GCC visibility push(default)

namespace asynchio::detail {

#if defined(__linux__)
inline int pidfd_open(pid_t pid, unsigned flags) noexcept {
    return static_cast<int>(::syscall(SYS_pidfd_open, pid, flags));
}
inline int pidfd_send_signal(int pidfd, int number, siginfo_t* info, unsigned flags) noexcept {
    return static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd, number, info, flags));
}
#endif

/// open(2) with a mode.
inline int open_with(const char* path, int flags, mode_t mode) noexcept { return ::open(path, flags, mode); }
#if defined(__linux__)
/// @param parameters an io_uring_params.
inline int io_uring_setup(unsigned entries, void* parameters) noexcept {
#if defined(SYS_io_uring_setup)
    return static_cast<int>(::syscall(SYS_io_uring_setup, entries, parameters));
#else
    static_cast<void>(entries), static_cast<void>(parameters);
    errno = ENOSYS;
    return -1;
#endif
}
inline int io_uring_enter(int ring, unsigned to_submit, unsigned to_wait_for, unsigned flags) noexcept {
#if defined(SYS_io_uring_enter)
    return static_cast<int>(::syscall(SYS_io_uring_enter, ring, to_submit, to_wait_for, flags, nullptr, 0));
#else
    static_cast<void>(ring), static_cast<void>(to_submit), static_cast<void>(to_wait_for), static_cast<void>(flags);
    errno = ENOSYS;
    return -1;
#endif
}
#endif

/// fcntl(2) with an argument.
inline int fcntl_with(int fd, int command, int argument) noexcept { return ::fcntl(fd, command, argument); }

/// Each returns what the system's function of that name returns, and sets errno.
struct system_calls {
    using file_status = struct stat;

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
    int (*open)(const char*, int, mode_t) = &open_with;
    ssize_t (*pread)(int, void*, size_t, off_t) = &::pread;
    ssize_t (*pwrite)(int, const void*, size_t, off_t) = &::pwrite;
    off_t (*lseek)(int, off_t, int) = &::lseek;
    int (*fsync)(int) = &::fsync;
    int (*ftruncate)(int, off_t) = &::ftruncate;
    int (*close)(int) = &::close;
    int (*fcntl)(int, int, int) = &fcntl_with;
    int (*fstat)(int, file_status*) = &::fstat;
    int (*stat)(const char*, file_status*) = &::stat;
    int (*unlink)(const char*) = &::unlink;
    int (*chmod)(const char*, mode_t) = &::chmod;
    char* (*getcwd)(char*, size_t) = &::getcwd;
    unsigned (*if_nametoindex)(const char*) = &::if_nametoindex;
    int (*file_actions_init)(posix_spawn_file_actions_t*) = &::posix_spawn_file_actions_init;
    int (*file_actions_addopen)(posix_spawn_file_actions_t*, int, const char*, int,
                                mode_t) = &::posix_spawn_file_actions_addopen;
    int (*file_actions_adddup2)(posix_spawn_file_actions_t*, int, int) = &::posix_spawn_file_actions_adddup2;
    int (*file_actions_addchdir)(posix_spawn_file_actions_t*, const char*) = &::posix_spawn_file_actions_addchdir_np;
    int (*spawnattr_init)(posix_spawnattr_t*) = &::posix_spawnattr_init;
    int (*spawnattr_setsigmask)(posix_spawnattr_t*, const sigset_t*) = &::posix_spawnattr_setsigmask;
    int (*spawnattr_setsigdefault)(posix_spawnattr_t*, const sigset_t*) = &::posix_spawnattr_setsigdefault;
    int (*spawnattr_setpgroup)(posix_spawnattr_t*, pid_t) = &::posix_spawnattr_setpgroup;
    int (*spawnattr_setflags)(posix_spawnattr_t*, short) = &::posix_spawnattr_setflags;
    int (*posix_spawnp)(pid_t*, const char*, const posix_spawn_file_actions_t*, const posix_spawnattr_t*, char* const*,
                        char* const*) = &::posix_spawnp;
    pid_t (*fork)() = &::fork;
    int (*waitid)(idtype_t, id_t, siginfo_t*, int) = &::waitid;
    int (*kill)(pid_t, int) = &::kill;
    int (*getaddrinfo)(const char*, const char*, const addrinfo*, addrinfo**) = &::getaddrinfo;
#if defined(__linux__)
    ssize_t (*sendfile)(int, int, off_t*, size_t) = &::sendfile;
    ssize_t (*preadv2)(int, const iovec*, int, off_t, int) = &::preadv2;
    void* (*mmap)(void*, size_t, int, int, int, off_t) = &::mmap;
    int (*io_uring_setup)(unsigned, void*) = &detail::io_uring_setup;
    int (*io_uring_enter)(int, unsigned, unsigned, unsigned) = &detail::io_uring_enter;
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
    int (*file_actions_addclosefrom)(posix_spawn_file_actions_t*, int) = &::posix_spawn_file_actions_addclosefrom_np;
#endif
    int (*pidfd_open)(pid_t, unsigned) = &detail::pidfd_open;
    int (*pidfd_send_signal)(int, int, siginfo_t*, unsigned) = &detail::pidfd_send_signal;
#endif
    /// Whether a read of a TCP socket that returns less than it could has emptied it. A test that cuts calls short says
    /// no.
    bool short_means_empty = true;
};

/// The table in use. It may be changed only while no loop is running.
inline constinit system_calls calls{};

/// Descriptors that this module holds in the process.
inline std::atomic<std::ptrdiff_t> descriptors_alive = 0;

/// Whether an error number is EAGAIN or EWOULDBLOCK. The two may be one number; compilers warn of comparing with both
/// then.
inline bool would_block(int error) noexcept {
    return error == EAGAIN || (EWOULDBLOCK != EAGAIN && error == EWOULDBLOCK);
}

/// Repeats a call that a signal interrupted.
template<class Call>
auto uninterrupted(Call call) noexcept {
    for (;;) {
        const auto result = call();
        if (result >= 0 || errno != EINTR) return result;
    }
}

} // namespace asynchio::detail

#pragma GCC visibility pop
