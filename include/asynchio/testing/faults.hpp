// SPDX-License-Identifier: BSL-1.0
#pragma once

// Making system calls of module io fail, stop short or be interrupted when a test wants it.

#include <asynchio/core/detail/trivial_vector.hpp>
#include <asynchio/io/system_calls.hpp>

#include <cerrno>
#include <cstddef>
#include <limits>
#include <mutex>
#include <netdb.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::testing {

/// A system call and the error that it was made to fail with.
///
/// Threads: a plain value.
struct fault {
    /// The name of the call, such as "accept4"; empty if nothing failed.
    std::string call;
    /// An error number, or one of getaddrinfo's, which are negative.
    int error = 0;

    fault() = default;
    /// Makes a fault of a name and an error.
    fault(std::string c, int e) : call(std::move(c)), error(e) {}
    friend bool operator==(const fault&, const fault&) = default;
};

namespace detail {

using asynchio::detail::calls;
using asynchio::detail::system_calls;

/// The decision what a call is to do.
struct verdict {
    int error;    // 0 stands for no error
    bool is_made; // whether the call is made for its effect, and reported as failed
    bool is_short;
};

/// The rules for all calls of all threads.
class fault_state {
public:
    struct known_call {
        std::string_view name;
        const int* errors; // those of its manual page except EAGAIN, after which nothing would say when to try again
        std::size_t choices;
        bool interruptible;
        std::size_t count = 0;
        bool interrupted = false; // whether the last call was interrupted
    };
    struct rule {
        std::size_t call;
        int error;
        std::size_t left;
    };

    verdict ask(std::size_t which) {
        const std::lock_guard lock(mutex);
        known_call& call = known[which];
        ++call.count;
        ++made;
        verdict v{0, false, all_short};
        for (rule& each : rules) {
            if (each.call != which || each.left == 0) continue;
            if (each.left != std::numeric_limits<std::size_t>::max()) --each.left;
            v.error = each.error;
        }
        if (at != 0 && made == at && choice < call.choices) {
            hit = fault(std::string(call.name), call.errors[choice]);
            v.error = hit.error;
        } else if (all_later && call.name == hit.call && hit.error != EINTR) { // EINTR would have it repeated for ever
            v.error = hit.error;
        }
        if (v.error == 0 && all_interrupted && call.interruptible) {
            call.interrupted = !call.interrupted;
            if (call.interrupted) v.error = EINTR;
        }
        // close() has its effect whatever it returns; an interrupted connect goes on.
        v.is_made = v.error != 0 && (call.name == "close" || (call.name == "connect" && v.error == EINTR));
        return v;
    }
    std::size_t index(std::string_view name) const {
        for (std::size_t i = 0; i < known.size(); ++i)
            if (known[i].name == name) return i;
        throw std::invalid_argument("faults: module io makes no call named '" + std::string(name) + "'");
    }

    std::mutex mutex;
    system_calls real;
    asynchio::detail::trivial_vector<known_call> known;
    asynchio::detail::trivial_vector<rule> rules;
    std::size_t made = 0;
    std::size_t at = 0;     // the call that fails, counted from 1
    std::size_t choice = 0; // the index of its error
    fault hit;
    bool all_later = false;
    bool all_short = false;
    bool all_interrupted = false;
};

inline fault_state* active_faults = nullptr;

/// Makes a call that transfers bytes with one byte. Datagrams are left whole.
template<class... A>
ssize_t transfer_one(ssize_t (*real)(A...), A... a) {
    if constexpr (std::is_same_v<void(A...), void(int, msghdr*, int)>) {
        return real(a...);
    } else if constexpr (std::is_same_v<void(A...), void(int, const msghdr*, int)>) {
        const auto cut = [real](int fd, const msghdr* whole, int flags) {
            if (whole->msg_iovlen < 2) return real(fd, whole, flags);
            iovec one = whole->msg_iov[0]; // not empty
            one.iov_len = 1;
            msghdr part = *whole;
            part.msg_iov = &one;
            part.msg_iovlen = 1;
            return real(fd, &part, flags);
        };
        return cut(a...);
    } else if constexpr (std::is_same_v<void(A...), void(int, const iovec*, int)>) {
        const auto cut = [real](int fd, const iovec* parts, int) {
            const iovec one{parts->iov_base, 1};
            return real(fd, &one, 1);
        };
        return cut(a...);
    } else if constexpr (std::is_same_v<void(A...), void(int, const iovec*, int, off_t, int)>) {
        const auto cut = [real](int fd, const iovec* parts, int, off_t offset, int flags) {
            const iovec one{parts->iov_base, 1};
            return real(fd, &one, 1, offset, flags);
        };
        return cut(a...);
    } else {
        const auto cut = [](auto value) {
            if constexpr (std::is_same_v<decltype(value), std::size_t>)
                return value == 0 ? value : std::size_t(1);
            else
                return value;
        };
        return real(cut(a)...);
    }
}

template<auto Member, auto Other>
inline constexpr bool is_call =
    std::is_same_v<std::integral_constant<decltype(Member), Member>, std::integral_constant<decltype(Other), Other>>;

/// Whether a call is one of posix_spawn's helpers, which return the error.
template<class... A>
inline constexpr bool prepares_spawn = false;
template<class... Rest>
inline constexpr bool prepares_spawn<posix_spawn_file_actions_t*, Rest...> = true;
template<class... Rest>
inline constexpr bool prepares_spawn<posix_spawnattr_t*, Rest...> = true;

template<auto Member>
struct faulty_call;

template<class R, class... A, R (*system_calls::*Member)(A...)>
struct faulty_call<Member> {
    static inline std::size_t index = 0;

    static R call(A... a) {
        const verdict v = active_faults->ask(index);
        const auto real = active_faults->real.*Member;
        if (v.error == 0) {
            if constexpr (std::is_same_v<R, ssize_t>)
                if (v.is_short) return transfer_one(real, a...);
            return real(a...);
        }
        if (v.is_made) real(a...);
        errno = v.error;
        if constexpr (is_call<Member, &system_calls::posix_spawnp> || prepares_spawn<A...>)
            return v.error;
        else if constexpr (std::is_pointer_v<R> || std::is_unsigned_v<R>)
            return R();
        else if constexpr (is_call<Member, &system_calls::getaddrinfo>)
            return v.error < 0 ? v.error : EAI_SYSTEM;
        else
            return -1;
    }
};

/// The errors that a call can fail with.
template<int... Numbers>
struct errors {
    static constexpr int numbers[] = {Numbers...};
};

template<auto Member, int... Numbers>
void know(fault_state& state, std::string_view name, bool interruptible, errors<Numbers...>) {
    faulty_call<Member>::index = state.known.size();
    state.known.push_back({name, errors<Numbers...>::numbers, sizeof...(Numbers), interruptible});
    calls.*Member = &faulty_call<Member>::call;
}

template<class = void>
void know_all(fault_state& s) {
    using c = system_calls;
    know<&c::socket>(s, "socket", false,
                     errors<EACCES, EAFNOSUPPORT, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPROTONOSUPPORT>());
    know<&c::bind>(s, "bind", false,
                   errors<EACCES, EADDRINUSE, EADDRNOTAVAIL, EBADF, EINVAL, ENOTSOCK, EFAULT, ELOOP, ENAMETOOLONG,
                          ENOENT, ENOMEM, ENOTDIR, EROFS>());
    know<&c::listen>(s, "listen", false, errors<EADDRINUSE, EBADF, ENOTSOCK, EOPNOTSUPP>());
    know<&c::connect>(
        s, "connect", true,
        errors<EACCES, EPERM, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EALREADY, EBADF, ECONNREFUSED, EFAULT, EINTR,
               EISCONN, ENETUNREACH, EHOSTUNREACH, ENOTSOCK, EPROTOTYPE, ETIMEDOUT, ECONNRESET>());
    know<&c::accept4>(s, "accept4", true,
                      errors<EBADF, ECONNABORTED, EFAULT, EINTR, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOTSOCK,
                             EOPNOTSUPP, EPERM, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, EHOSTUNREACH, ENETUNREACH>());
    know<&c::getsockopt>(s, "getsockopt", false, errors<EBADF, EFAULT, EINVAL, ENOPROTOOPT, ENOTSOCK>());
    know<&c::setsockopt>(s, "setsockopt", false, errors<EBADF, EFAULT, EINVAL, ENOPROTOOPT, ENOTSOCK, EDOM, ENOMEM>());
    know<&c::getsockname>(s, "getsockname", false, errors<EBADF, EFAULT, EINVAL, ENOBUFS, ENOTSOCK>());
    know<&c::getpeername>(s, "getpeername", false, errors<EBADF, EFAULT, EINVAL, ENOBUFS, ENOTSOCK>());
    know<&c::shutdown>(s, "shutdown", false, errors<EBADF, EINVAL, ENOTCONN, ENOTSOCK>());
    constexpr errors<EBADF, ECONNREFUSED, ECONNRESET, EFAULT, EINTR, EINVAL, ENOMEM, ENOTCONN, ENOTSOCK, ETIMEDOUT,
                     EHOSTDOWN, EHOSTUNREACH, ENETUNREACH>
        reading;
    know<&c::recv>(s, "recv", true, reading);
    know<&c::recvmsg>(s, "recvmsg", true, reading);
    constexpr errors<EACCES, EBADF, ECONNRESET, EDESTADDRREQ, EFAULT, EINTR, EINVAL, EISCONN, EMSGSIZE, ENOBUFS, ENOMEM,
                     ENOTCONN, ENOTSOCK, EOPNOTSUPP, EPIPE, ETIMEDOUT, EHOSTUNREACH, ENETDOWN, ENETUNREACH>
        writing;
    know<&c::send>(s, "send", true, writing);
    know<&c::sendmsg>(s, "sendmsg", true, writing);
    know<&c::read>(s, "read", true, errors<EBADF, EFAULT, EINTR, EINVAL, EIO, EISDIR>());
    know<&c::writev>(s, "writev", true,
                     errors<EBADF, EDQUOT, EFAULT, EFBIG, EINTR, EINVAL, EIO, ENOSPC, EPERM, EPIPE>());
    know<&c::pipe2>(s, "pipe2", false, errors<EFAULT, EINVAL, EMFILE, ENFILE>());
    know<&c::pread>(s, "pread", true, errors<EBADF, EFAULT, EINTR, EINVAL, EIO, EISDIR, ENXIO, EOVERFLOW, ESPIPE>());
    know<&c::open>(s, "open", true,
                   errors<EACCES, EBUSY, EDQUOT, EEXIST, EFBIG, EINTR, EISDIR, ELOOP, EMFILE, ENAMETOOLONG, ENFILE,
                          ENODEV, ENOENT, ENOMEM, ENOSPC, ENOTDIR, ENXIO, EOVERFLOW, EPERM, EROFS, ETXTBSY>());
    know<&c::pwrite>(s, "pwrite", true,
                     errors<EBADF, EDQUOT, EFAULT, EFBIG, EINTR, EINVAL, EIO, ENOSPC, ENXIO, EPERM, ESPIPE>());
    know<&c::lseek>(s, "lseek", false, errors<EBADF, EINVAL, ENXIO, EOVERFLOW, ESPIPE>());
    know<&c::fsync>(s, "fsync", true, errors<EBADF, EDQUOT, EINTR, EINVAL, EIO, ENOSPC, EROFS>());
    know<&c::ftruncate>(s, "ftruncate", true, errors<EBADF, EFBIG, EINTR, EINVAL, EIO, EPERM, EROFS, ETXTBSY>());
    know<&c::close>(s, "close", true, errors<EBADF, EINTR, EIO, ENOSPC, EDQUOT>());
    know<&c::fcntl>(s, "fcntl", false, errors<EBADF, EINVAL, EMFILE>());
    know<&c::fstat>(s, "fstat", false, errors<EBADF, EFAULT, ENOMEM, EOVERFLOW>());
    know<&c::stat>(s, "stat", false, errors<EACCES, EFAULT, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR, EOVERFLOW>());
    know<&c::unlink>(s, "unlink", false,
                     errors<EACCES, EBUSY, EIO, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR, EPERM, EROFS>());
    know<&c::chmod>(s, "chmod", false,
                    errors<EACCES, EFAULT, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR, EPERM, EROFS>());
    know<&c::getcwd>(s, "getcwd", false, errors<EACCES, ENOENT, ENOMEM, ERANGE>());
    know<&c::if_nametoindex>(s, "if_nametoindex", false, errors<EMFILE, ENFILE, ENOBUFS, ENODEV, ENOMEM>());
    know<&c::file_actions_init>(s, "posix_spawn_file_actions_init", false, errors<ENOMEM>());
    know<&c::file_actions_addopen>(s, "posix_spawn_file_actions_addopen", false, errors<EBADF, EINVAL, ENOMEM>());
    know<&c::file_actions_adddup2>(s, "posix_spawn_file_actions_adddup2", false, errors<EBADF, EINVAL, ENOMEM>());
    know<&c::file_actions_addchdir>(s, "posix_spawn_file_actions_addchdir_np", false, errors<ENOMEM>());
    know<&c::spawnattr_init>(s, "posix_spawnattr_init", false, errors<ENOMEM>());
    know<&c::spawnattr_setsigmask>(s, "posix_spawnattr_setsigmask", false, errors<EINVAL>());
    know<&c::spawnattr_setsigdefault>(s, "posix_spawnattr_setsigdefault", false, errors<EINVAL>());
    know<&c::spawnattr_setpgroup>(s, "posix_spawnattr_setpgroup", false, errors<EINVAL>());
    know<&c::spawnattr_setflags>(s, "posix_spawnattr_setflags", false, errors<EINVAL>());
    know<&c::posix_spawnp>(s, "posix_spawnp", false,
                           errors<EACCES, EAGAIN, EMFILE, ENOENT, ENOEXEC, ENOMEM, E2BIG, ETXTBSY>());
    know<&c::fork>(s, "fork", false, errors<EAGAIN, ENOMEM, ENOSYS>());
    know<&c::waitid>(s, "waitid", true, errors<EINTR>());
    know<&c::kill>(s, "kill", false, errors<EPERM, ESRCH>());
    know<&c::getaddrinfo>(s, "getaddrinfo", false,
                          errors<EAI_AGAIN, EAI_BADFLAGS, EAI_FAIL, EAI_FAMILY, EAI_MEMORY, EAI_NONAME, EAI_SERVICE,
                                 EAI_SOCKTYPE, EMFILE, ENFILE, ENOMEM, ECONNREFUSED>());
#if defined(__linux__)
    know<&c::preadv2>(s, "preadv2", true, errors<EAGAIN, EBADF, EFAULT, EINTR, EINVAL, EIO, ENOSYS, EOPNOTSUPP>());
    know<&c::mmap>(s, "mmap", false, errors<EACCES, EAGAIN, EINVAL, ENFILE, ENOMEM, EPERM>());
    know<&c::io_uring_setup>(s, "io_uring_setup", false,
                             errors<EFAULT, EINVAL, EMFILE, ENFILE, ENOMEM, ENOSYS, EPERM>());
    know<&c::io_uring_enter>(s, "io_uring_enter", true,
                             errors<EAGAIN, EBADF, EBADFD, EBUSY, EFAULT, EINTR, EINVAL, ENXIO, EOPNOTSUPP>());
    know<&c::sendfile>(s, "sendfile", true,
                       errors<EBADF, EFAULT, EINTR, EINVAL, EIO, ENOMEM, EOVERFLOW, ESPIPE, EPIPE, ECONNRESET>());
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
    know<&c::file_actions_addclosefrom>(s, "posix_spawn_file_actions_addclosefrom_np", false, errors<EBADF, ENOMEM>());
#endif
    know<&c::pidfd_open>(s, "pidfd_open", false, errors<EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM, ENOSYS, ESRCH>());
    know<&c::pidfd_send_signal>(s, "pidfd_send_signal", false, errors<EPERM, ESRCH, ENOSYS>());
#endif
}

} // namespace detail

/// A set of faults: while it lives, the system calls of module io go through it.
///
/// Behaviour: a call that fails is not made, except if it would have its effect all the same: close, and a connect that
/// is interrupted.
/// Threads: calls of any thread go through it; the thread of the loop asks and changes it.
/// Lifetime: there is one at a time; it is made and destroyed while no loop runs.
/// Example: `testing::faults faulty; faulty.fail("accept4", EMFILE, 3); run(serves_and_recovers());`
/// See also: for_each_errno.
class faults {
public:
    /// The number of times for fail() that has each later call fail.
    static constexpr std::size_t always = std::numeric_limits<std::size_t>::max();

    /// Redirects the system calls. @throws std::logic_error if there is another set of faults.
    template<class = void> // a template: a file that does not use it pays nothing for the table
    faults() {
        if (detail::active_faults != nullptr) throw std::logic_error("faults: there are some already; one at a time");
        state_.real = detail::calls;
        know_all(state_);
        detail::calls.short_means_empty = false;
        detail::active_faults = &state_;
    }
    faults(const faults&) = delete;
    faults& operator=(const faults&) = delete;
    ~faults() {
        detail::calls = state_.real;
        detail::active_faults = nullptr;
    }

    /// Makes the next calls of a name fail.
    /// @param call the name, such as "accept4".
    /// @param error an error number; for getaddrinfo also EAI_NONAME and the like.
    /// @param times how many calls fail. @throws std::invalid_argument if module io makes no call of that name.
    void fail(std::string_view call, int error, std::size_t times = 1) {
        const std::lock_guard lock(state_.mutex);
        state_.rules.push_back({state_.index(call), error, times});
    }
    /// Undoes all calls of fail().
    void clear() {
        const std::lock_guard lock(state_.mutex);
        state_.rules.clear();
    }
    /// Limits each call to a single byte. @param on whether it is limited from now on.
    void one_byte_at_a_time(bool on = true) noexcept { state_.all_short = on; }
    /// Interrupts each call that a signal can interrupt once before it goes through. @param on whether from now on.
    void interrupt_everything(bool on = true) noexcept { state_.all_interrupted = on; }
    /// Returns how many calls of a name were made so far. @throws std::invalid_argument for a name of no call.
    std::size_t count(std::string_view call) {
        const std::lock_guard lock(state_.mutex);
        return state_.known[state_.index(call)].count;
    }

    /// Makes a call fail, whatever its name is.
    /// @param nth which call from now on, counted from 1. @param error_index which of the errors that it can have.
    /// @param all_later whether later calls of its name fail, too.
    void fail_at(std::size_t nth, std::size_t error_index, bool all_later = false) {
        const std::lock_guard lock(state_.mutex);
        state_.at = state_.made + nth;
        state_.choice = error_index;
        state_.all_later = all_later;
        state_.hit = fault();
    }
    /// Returns the fault that fail_at() has caused; its name is empty if there was none.
    fault hit() {
        const std::lock_guard lock(state_.mutex);
        return state_.hit;
    }
    /// Returns how many calls were made so far.
    std::size_t count() {
        const std::lock_guard lock(state_.mutex);
        return state_.made;
    }

private:
    detail::fault_state state_;
};

} // namespace asynchio::testing

#pragma GCC visibility pop
