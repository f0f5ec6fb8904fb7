// SPDX-License-Identifier: BSL-1.0
#pragma once

// Starting a program by fork(2) and execve(2), for what posix_spawn(3) cannot do: other users, groups and umasks, and
// descriptors that stay open while all others are closed.

#include <asynchio/io/detail/descriptor.hpp>
#include <asynchio/io/process_options.hpp>
#include <asynchio/io/system_calls.hpp>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstddef>
#include <fcntl.h>
#include <grp.h>
#include <string>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>
#if defined(__linux__)
#include <sys/syscall.h>
#endif

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Whether an error of execve(2) lets the search go on in the next folder of a PATH.
inline bool is_elsewhere(int error) noexcept {
    for (const int each : {ENOENT, ENOTDIR, ELOOP, ENODEV, ESTALE})
        if (error == each) return true;
    return false;
}

/// A child between fork(2) and execve(2), in which only functions are called that a signal handler may call: another
/// thread may have held any lock at the fork. The child reports an error through a pipe that a successful execve closes.
template<class = void> // a template: nothing of it is compiled where no process is started
class forked_spawn {
public:
    /// @param theirs the child's standard streams; -1 for one that is no descriptor, see the options.
    /// @param programs the files to try one after the other.
    forked_spawn(const process_options& options, const int (&theirs)[3], const std::vector<std::string>& programs,
                 char* const* arguments, char* const* environment)
        : options_(options), programs_(programs), arguments_(arguments), environment_(environment),
          kept_(options.pass_descriptors) {
        for (std::size_t i = 0; i < 3; ++i) theirs_[i] = theirs[i];
        const bool is_ours =
            (!options.uid || *options.uid == ::geteuid()) && (!options.gid || *options.gid == ::getegid());
        keeps_groups_ = is_ours && options.groups.empty();
    }

    /// Starts the child, and waits until the program runs in it.
    /// @param pid its number. @param failed the step that has failed, as a text, empty for the program itself.
    /// @return errno or 0.
    int start(pid_t& pid, const char*& failed) {
        int ends[2];
        if (calls.pipe2(ends, O_CLOEXEC) != 0) return errno;
        const descriptor in(ends[0]);
        descriptor out(ends[1]);
        if (out.get() <= STDERR_FILENO) { // where the child gets its standard streams
            out = descriptor(calls.fcntl(out.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
            if (!out) return errno;
        }
        report_ = out.get();
        kept_.push_back(report_);
        for (std::size_t i = 1; i < kept_.size(); ++i) // sorts; there are few
            for (std::size_t j = i; j > 0 && kept_[j] < kept_[j - 1]; --j) std::swap(kept_[j], kept_[j - 1]);
        sigset_t all, before;
        sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before); // no handler of this process runs in the child
        pid = calls.fork();
        if (pid == 0) run();
        const int error = errno;
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
        if (pid < 0) return error;
        out = descriptor();
        return hear(in.get(), pid, failed);
    }

private:
    struct report {
        int error;
        int step;
    };
    static constexpr const char* steps[] = {"",    "its standard streams", "cwd", "new_session", "groups", "gid",
                                            "uid", "a passed descriptor"};
    enum step : int { program, streams, folder, session, groups, gid, uid, passing };

    static int hear(int from, pid_t pid, const char*& failed) noexcept {
        report heard{};
        ssize_t got = 0;
        std::size_t size = 0;
        do {
            char* const next = reinterpret_cast<char*>(&heard) + size;
            got = uninterrupted([&] { return calls.read(from, next, sizeof heard - size); });
            if (got > 0) size += static_cast<std::size_t>(got);
        } while (got > 0 && size < sizeof heard);
        if (got == 0 && size == 0) return 0; // the program runs
        if (size == sizeof heard) {
            failed = steps[heard.step];
        } else {
            heard.error = got < 0 ? errno : EIO;
            ::kill(pid, SIGKILL);
        }
        siginfo_t info{};
        uninterrupted([&] { return calls.waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED); });
        return heard.error;
    }

    // The rest runs in the child.

    [[noreturn]] void fail_in(int at) const noexcept {
        const report told{errno, at};
        static_cast<void>(!::write(report_, &told, sizeof told));
        ::_exit(127);
    }
    void demand(bool done, int at) const noexcept {
        if (!done) fail_in(at);
    }

    [[noreturn]] void run() const noexcept {
        connect_streams();
        if (!options_.cwd.empty()) demand(::chdir(options_.cwd.c_str()) == 0, folder);
        if (options_.umask) ::umask(static_cast<mode_t>(*options_.umask));
        reset_signals();
        if (options_.new_session)
            demand(::setsid() >= 0, session);
        else if (options_.new_group)
            ::setpgid(0, 0);
        if (!keeps_groups_) demand(::setgroups(options_.groups.size(), options_.groups.data()) == 0, groups);
        if (options_.gid) demand(::setregid(*options_.gid, *options_.gid) == 0, gid);
        if (options_.uid) demand(::setreuid(*options_.uid, *options_.uid) == 0, uid);
        for (const int each : options_.pass_descriptors) demand(::fcntl(each, F_SETFD, 0) == 0, passing);
        if (options_.close_descriptors) close_others();
        execute();
    }
    void connect_streams() const noexcept {
        using kind = subprocess::stdio::kind;
        const subprocess::stdio* const places[] = {&options_.in, &options_.out, &options_.err};
        for (int standard = 0; standard < 3; ++standard) {
            if (theirs_[standard] >= 0) {
                demand(::dup2(theirs_[standard], standard) >= 0, streams);
            } else if (places[standard]->what() == kind::to_stdout) {
                demand(::dup2(STDOUT_FILENO, standard) >= 0, streams);
            } else if (places[standard]->what() == kind::devnull) {
                const int null = ::open("/dev/null", O_RDWR);
                demand(null >= 0 && ::dup2(null, standard) >= 0, streams);
                if (null != standard) ::close(null);
            }
        }
    }
    static void reset_signals() noexcept {
        for (int number = 1; number < NSIG; ++number) {
            struct sigaction now{};
            if (::sigaction(number, nullptr, &now) != 0) continue;
            const bool is_ignored = !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_IGN;
            if (is_ignored && number != SIGPIPE && number != SIGXFSZ) continue;
            struct sigaction standard{};
            standard.sa_handler = SIG_DFL;
            ::sigaction(number, &standard, nullptr);
        }
        sigset_t none;
        sigemptyset(&none);
        ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
    }
    /// Closes all descriptors from 3 on but those that are kept, if the system can do that.
    void close_others() const noexcept {
#if defined(SYS_close_range)
        unsigned first = STDERR_FILENO + 1;
        for (const int each : kept_) {
            const auto next = static_cast<unsigned>(each);
            if (next > first) ::syscall(SYS_close_range, first, next - 1, 0);
            if (next >= first) first = next + 1;
        }
        ::syscall(SYS_close_range, first, UINT_MAX, 0);
#endif
    }
    [[noreturn]] void execute() const noexcept {
        int found = ENOENT; // or the error of a file that could not be run
        for (const std::string& each : programs_) {
            ::execve(each.c_str(), arguments_, environment_);
            if (errno == EACCES)
                found = errno;
            else if (programs_.size() == 1 || !is_elsewhere(errno))
                fail_in(program);
        }
        errno = found;
        fail_in(program);
    }

    const process_options& options_;
    const std::vector<std::string>& programs_;
    char* const* arguments_;
    char* const* environment_;
    int theirs_[3];
    std::vector<int> kept_;
    bool keeps_groups_ = false;
    int report_ = -1;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
