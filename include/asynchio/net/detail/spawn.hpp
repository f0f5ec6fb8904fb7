// SPDX-License-Identifier: BSL-1.0
#pragma once

// A program started, with pipes to it: posix_spawn(3), which tells when the program cannot be run.

#include <asynchio/net/detail/descriptor.hpp>
#include <asynchio/net/process_options.hpp>
#include <asynchio/net/system_calls.hpp>

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <spawn.h>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

extern char** environ;

namespace asynchio::detail {

/// A child, and this process's ends of its pipes.
struct spawned {
    pid_t pid;
    descriptor in;
    descriptor out;
    descriptor err;
};

/// posix_spawn's two arguments, released at the end.
class spawn_plan {
public:
    spawn_plan() {
        check(::posix_spawn_file_actions_init(&actions_));
        if (const int error = ::posix_spawnattr_init(&attributes_)) {
            ::posix_spawn_file_actions_destroy(&actions_);
            check(error);
        }
    }
    spawn_plan(const spawn_plan&) = delete;
    spawn_plan& operator=(const spawn_plan&) = delete;
    ~spawn_plan() {
        ::posix_spawn_file_actions_destroy(&actions_);
        ::posix_spawnattr_destroy(&attributes_);
    }

    /// @return this process's end of the pipe, if there is one.
    descriptor connect(int standard, const subprocess::stdio& to) {
        using kind = subprocess::stdio::kind;
        switch (to.what()) {
        case kind::inherit: return {};
        case kind::devnull:
            check(::posix_spawn_file_actions_addopen(&actions_, standard, "/dev/null", O_RDWR, 0));
            return {};
        case kind::to_stdout:
            if (standard != STDERR_FILENO) throw std::invalid_argument("create_subprocess: to_stdout is for err only");
            check(::posix_spawn_file_actions_adddup2(&actions_, STDOUT_FILENO, standard));
            return {};
        case kind::descriptor:
            if (::fcntl(to.descriptor(), F_GETFD) < 0)
                fail(errno, "create_subprocess: descriptor " + std::to_string(to.descriptor()));
            check(::posix_spawn_file_actions_adddup2(&actions_, to.descriptor(), standard));
            return {};
        case kind::pipe: break;
        }
        int ends[2];
        if (calls.pipe2(ends, O_CLOEXEC) != 0) fail(errno, "create_subprocess: pipe");
        descriptor ours(ends[standard == STDIN_FILENO ? 1 : 0]);
        descriptor theirs(ends[standard == STDIN_FILENO ? 0 : 1]);
        if (theirs.get() <= STDERR_FILENO) { // this process has closed its own, and one must not overwrite the other
            theirs = descriptor(::fcntl(theirs.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
            if (!theirs) fail(errno, "create_subprocess: pipe");
        }
        if (::fcntl(ours.get(), F_SETFL, O_NONBLOCK) != 0) fail(errno, "create_subprocess: pipe");
        check(::posix_spawn_file_actions_adddup2(&actions_, theirs.get(), standard));
        theirs_.push_back(std::move(theirs));
        return ours;
    }

    void apply(const process_options& options) {
        short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
        sigset_t none, standard;
        sigemptyset(&none);
        sigemptyset(&standard); // what Python's restore_signals restores; handlers end with exec anyway
        sigaddset(&standard, SIGPIPE);
        sigaddset(&standard, SIGXFSZ);
        check(::posix_spawnattr_setsigmask(&attributes_, &none));
        check(::posix_spawnattr_setsigdefault(&attributes_, &standard));
        if (options.new_group) {
            flags = static_cast<short>(flags | POSIX_SPAWN_SETPGROUP);
            check(::posix_spawnattr_setpgroup(&attributes_, 0));
        }
        if (options.new_session) {
#if defined(POSIX_SPAWN_SETSID)
            flags = static_cast<short>(flags | POSIX_SPAWN_SETSID);
#else
            throw std::invalid_argument("create_subprocess: this system has no new_session");
#endif
        }
        check(::posix_spawnattr_setflags(&attributes_, flags));
        if (!options.cwd.empty()) check(::posix_spawn_file_actions_addchdir_np(&actions_, options.cwd.c_str()));
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
        if (options.close_descriptors) check(::posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1));
#endif
    }

    /// @throws std::system_error naming the program.
    pid_t start(const std::vector<std::string>& command, const process_options& options) {
        const std::vector<char*> arguments = pointers(command);
        const std::vector<char*> environment = options.env ? pointers(*options.env) : std::vector<char*>();
        pid_t pid = 0;
        const int error = calls.posix_spawnp(&pid, arguments[0], &actions_, &attributes_, arguments.data(),
                                             options.env ? environment.data() : ::environ);
        if (error != 0)
            fail(error, "start '" + command[0] + "'" + (options.cwd.empty() ? "" : " in '" + options.cwd + "'"));
        return pid;
    }

private:
    static void check(int error) {
        if (error != 0) fail(error, "create_subprocess");
    }
    static std::vector<char*> pointers(const std::vector<std::string>& texts) {
        std::vector<char*> all;
        for (const std::string& each : texts) all.push_back(const_cast<char*>(each.c_str()));
        all.push_back(nullptr);
        return all;
    }

    posix_spawn_file_actions_t actions_;
    posix_spawnattr_t attributes_;
    std::vector<descriptor> theirs_; // the child's ends, open until it has them
};

/// @throws std::system_error naming the program, std::invalid_argument for no program or one with a zero byte.
inline spawned spawn(const std::vector<std::string>& command, const process_options& options) {
    if (command.empty() || command[0].empty()) throw std::invalid_argument("create_subprocess: there is no program");
    for (const std::string& each : command)
        if (each.find('\0') != std::string::npos)
            throw std::invalid_argument("create_subprocess: an argument of '" + command[0] + "' has a zero byte");
    spawn_plan plan;
    spawned child{};
    child.in = plan.connect(STDIN_FILENO, options.in);
    child.out = plan.connect(STDOUT_FILENO, options.out);
    child.err = plan.connect(STDERR_FILENO, options.err);
    plan.apply(options);
    child.pid = plan.start(command, options);
    return child;
}

} // namespace asynchio::detail
