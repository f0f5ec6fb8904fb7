// SPDX-License-Identifier: BSL-1.0
#pragma once

// The system call in which a thread of this process sleeps, as the kernel tells it; the thread is not disturbed.

#include <asynchio/core/detail/failures.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#pragma GCC visibility push(default)

namespace asynchio::debug::detail {

/// A thread that sleeps.
struct blocked_call {
    static constexpr long no_call = -1; // it sleeps elsewhere in the kernel: because of a page fault, for instance

    long number = no_call;
    unsigned long long arguments[6] = {};
};

/// The files in which the kernel describes one thread of this process.
class thread_files {
public:
    explicit thread_files(int thread) noexcept : thread_(thread) {}

    /// Whether the thread sleeps. @param its gets the call in which it does.
    bool sleeps(blocked_call& its) const noexcept {
        char text[256];
        if (!read("syscall", text, sizeof text)) return false;
        if (std::strncmp(text, "running", 7) == 0) return false;
        char* at = text;
        its.number = std::strtol(at, &at, 10);
        for (unsigned long long& each : its.arguments) each = its.number < 0 ? 0 : std::strtoull(at, &at, 16);
        return true;
    }

    /// Returns how often the thread has given its processor away; negative if that is not known. While it sleeps, an
    /// equal number says that it has not run meanwhile.
    long long switches() const noexcept {
        char text[4096];
        if (!read("status", text, sizeof text)) return -1;
        const char* const voluntary = std::strstr(text, "\nvoluntary_ctxt_switches:");
        const char* const forced = std::strstr(text, "\nnonvoluntary_ctxt_switches:");
        if (voluntary == nullptr || forced == nullptr) return -1;
        return std::atoll(std::strchr(voluntary, ':') + 1) + std::atoll(std::strchr(forced, ':') + 1);
    }

private:
    bool read(const char* name, char* text, std::size_t size) const noexcept {
        char path[64];
        std::snprintf(path, sizeof path, "/proc/self/task/%d/%s", thread_, name);
        const int file = ::open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0) return false;
        std::size_t length = 0;
        while (length < size - 1) {
            const ::ssize_t got = ::read(file, text + length, size - 1 - length);
            if (got == 0 || (got < 0 && errno != EINTR)) break;
            if (got > 0) length += static_cast<std::size_t>(got);
        }
        ::close(file);
        text[length] = '\0';
        return length > 0;
    }

    int thread_;
};

/// What is known of a system call in which threads sleep.
struct known_call {
    long number;
    const char* name;
    int arguments;
    bool has_descriptor; // the first argument is one
};

// Newer ways to wait have other numbers on some systems, and old ones none on others.
inline constexpr known_call known_calls[] = {
    {SYS_read, "read", 3, true},
    {SYS_write, "write", 3, true},
    {SYS_readv, "readv", 3, true},
    {SYS_writev, "writev", 3, true},
    {SYS_pread64, "pread64", 4, true},
    {SYS_pwrite64, "pwrite64", 4, true},
    {SYS_recvfrom, "recvfrom", 6, true},
    {SYS_sendto, "sendto", 6, true},
    {SYS_recvmsg, "recvmsg", 3, true},
    {SYS_sendmsg, "sendmsg", 3, true},
    {SYS_accept, "accept", 3, true},
    {SYS_accept4, "accept4", 4, true},
    {SYS_connect, "connect", 3, true},
    {SYS_fsync, "fsync", 1, true},
    {SYS_fdatasync, "fdatasync", 1, true},
    {SYS_flock, "flock", 2, true},
    {SYS_fcntl, "fcntl", 3, true},
    {SYS_ioctl, "ioctl", 3, true},
    {SYS_sendfile, "sendfile", 4, true},
    {SYS_splice, "splice", 6, true},
    {SYS_getdents64, "getdents64", 3, true},
    {SYS_ftruncate, "ftruncate", 2, true},
    {SYS_fallocate, "fallocate", 4, true},
    {SYS_openat, "openat", 4, false},
    {SYS_unlinkat, "unlinkat", 3, false},
    {SYS_futex, "futex", 6, false},
    {SYS_nanosleep, "nanosleep", 2, false},
    {SYS_clock_nanosleep, "clock_nanosleep", 4, false},
    {SYS_ppoll, "ppoll", 5, false},
    {SYS_pselect6, "pselect6", 6, false},
    {SYS_epoll_pwait, "epoll_pwait", 6, true},
    {SYS_wait4, "wait4", 4, false},
    {SYS_waitid, "waitid", 5, false},
    {SYS_rt_sigsuspend, "rt_sigsuspend", 2, false},
    {SYS_rt_sigtimedwait, "rt_sigtimedwait", 4, false},
    {SYS_msgrcv, "msgrcv", 5, false},
    {SYS_msgsnd, "msgsnd", 4, false},
    {SYS_semop, "semop", 3, false},
    {SYS_getrandom, "getrandom", 3, false},
    {SYS_munmap, "munmap", 2, false},
    {SYS_mmap, "mmap", 6, false},
    {SYS_msync, "msync", 3, false},
    {SYS_sync, "sync", 0, false},
    {SYS_clone, "clone", 5, false},
    {SYS_execve, "execve", 3, false},
#if defined(SYS_open)
    {SYS_open, "open", 3, false},
    {SYS_poll, "poll", 3, false},
    {SYS_select, "select", 5, false},
    {SYS_pause, "pause", 0, false},
    {SYS_epoll_wait, "epoll_wait", 4, true},
    {SYS_vfork, "vfork", 0, false},
    {SYS_unlink, "unlink", 1, false},
    {SYS_rename, "rename", 2, false},
#endif
};

/// Returns a call as text: "read(7 /var/log/mail, 0x55d0c2a3e2c0, 4096)".
[[gnu::cold]] inline std::string describe(const blocked_call& call) {
    using asynchio::detail::formatted;
    if (call.number < 0) return "the kernel, outside of a system call";
    known_call its{call.number, nullptr, 6, false};
    for (const known_call& each : known_calls)
        if (each.number == call.number) its = each;
    std::string text = its.name != nullptr ? std::string(its.name) : formatted("system call %ld", call.number);
    text += '(';
    for (int i = 0; i < its.arguments; ++i) {
        const unsigned long long value = call.arguments[i];
        const auto as_number = static_cast<int>(value);
        if (i > 0) text += ", ";
        if (value < 65'536 || (as_number < 0 && as_number > -4'096))
            text += formatted("%d", as_number);
        else
            text += formatted("%#llx", value);
        if (i > 0 || !its.has_descriptor) continue;
        char path[256];
        const ::ssize_t length = ::readlink(formatted("/proc/self/fd/%d", as_number).c_str(), path, sizeof path);
        if (length > 0) text.append(1, ' ').append(path, static_cast<std::size_t>(length));
    }
    return text += ')';
}

} // namespace asynchio::debug::detail

#pragma GCC visibility pop
