// SPDX-License-Identifier: BSL-1.0
#pragma once

// Starting a program, with pipes to it, by posix_spawn(3), which tells when the program cannot be run.

#include <asynchio/core/detail/trivial_vector.hpp>
#include <asynchio/io/detail/descriptor.hpp>
#include <asynchio/io/detail/forked_spawn.hpp>
#include <asynchio/io/process_options.hpp>
#include <asynchio/io/system_calls.hpp>

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <spawn.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

extern char** environ; // not every unistd.h declares it

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// A child process, and this process's ends of its pipes.
struct spawned {
    pid_t pid;
    descriptor in;
    descriptor out;
    descriptor err;
};

/// The two arguments of posix_spawn(3), which the destructor releases.
class spawn_plan {
public:
    spawn_plan() {
        require_done(calls.file_actions_init(&actions_));
        if (const int error = calls.spawnattr_init(&attributes_)) {
            ::posix_spawn_file_actions_destroy(&actions_);
            require_done(error);
        }
    }
    spawn_plan(const spawn_plan&) = delete;
    spawn_plan& operator=(const spawn_plan&) = delete;
    ~spawn_plan() {
        ::posix_spawn_file_actions_destroy(&actions_);
        ::posix_spawnattr_destroy(&attributes_);
    }

    /// Connects a standard stream. @return this process's end of the pipe, if there is one.
    descriptor connect(int standard, const subprocess::stdio& to) {
        using kind = subprocess::stdio::kind;
        switch (to.what()) {
        case kind::inherit: return {};
        case kind::devnull:
            require_done(calls.file_actions_addopen(&actions_, standard, "/dev/null", O_RDWR, 0));
            return {};
        case kind::to_stdout:
            if (standard != STDERR_FILENO) throw std::invalid_argument("create_subprocess: to_stdout is for err only");
            require_done(calls.file_actions_adddup2(&actions_, STDOUT_FILENO, standard));
            return {};
        case kind::descriptor: give(own_copy(to.descriptor()), standard); return {};
        case kind::pipe: break;
        }
        int ends[2];
        if (calls.pipe2(ends, O_CLOEXEC) != 0) fail(errno, "create_subprocess: pipe");
        descriptor ours(ends[standard == STDIN_FILENO ? 1 : 0]);
        descriptor theirs(ends[standard == STDIN_FILENO ? 0 : 1]);
        // This process may have closed its own stream: nothing that it prints shall go into the pipe.
        if (ours.get() <= STDERR_FILENO) ours = own_copy(ours.get());
        if (theirs.get() <= STDERR_FILENO) theirs = own_copy(theirs.get());
        if (calls.fcntl(ours.get(), F_SETFL, O_NONBLOCK) != 0) fail(errno, "create_subprocess: pipe");
        give(std::move(theirs), standard);
        return ours;
    }

    void apply(const process_options& options) {
        short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
        sigset_t none, standard;
        sigemptyset(&none);
        sigemptyset(&standard); // what Python's restore_signals restores; exec resets handlers anyway
        sigaddset(&standard, SIGPIPE);
        sigaddset(&standard, SIGXFSZ);
        require_done(calls.spawnattr_setsigmask(&attributes_, &none));
        require_done(calls.spawnattr_setsigdefault(&attributes_, &standard));
        if (options.new_group && !options.new_session) { // a session begins with a group of its own
            flags = static_cast<short>(flags | POSIX_SPAWN_SETPGROUP);
            require_done(calls.spawnattr_setpgroup(&attributes_, 0));
        }
        if (options.new_session) {
#if defined(POSIX_SPAWN_SETSID)
            flags = static_cast<short>(flags | POSIX_SPAWN_SETSID);
#else
            throw std::invalid_argument("create_subprocess: this system has no new_session");
#endif
        }
        require_done(calls.spawnattr_setflags(&attributes_, flags));
        if (!options.cwd.empty()) require_done(calls.file_actions_addchdir(&actions_, options.cwd.c_str()));
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
        if (options.close_descriptors) require_done(calls.file_actions_addclosefrom(&actions_, STDERR_FILENO + 1));
#endif
    }

    /// Starts the program. @throws std::system_error with the program in its text.
    template<class = void>
    pid_t start(const std::vector<std::string>& command, const process_options& options) {
        trivial_vector<char*> arguments;
        point_to(command, arguments);
        const bool inherited = !options.env && options.add_env.empty() && !needs_fork(options);
        std::vector<std::string> variables;
        if (!inherited) variables = environment_of(options);
        trivial_vector<char*> environment;
        point_to(variables, environment);
        pid_t pid = 0;
        if (needs_fork(options))
            return start_by_fork(command, options, arguments.data(), variables, environment.data());
        const auto try_at = [&](const char* program) {
            return calls.posix_spawnp(&pid, program, &actions_, &attributes_, arguments.data(),
                                      inherited ? ::environ : environment.data());
        };
        const bool to_be_found = !inherited && command[0].find('/') == std::string::npos;
        const int error = to_be_found ? try_each(command[0], path_of(variables), try_at) : try_at(arguments[0]);
        if (error != 0) refuse(error, command, options);
        return pid;
    }

private:
    [[noreturn]] static void refuse(int error, const std::vector<std::string>& command, const process_options& options,
                                    const char* step = "") {
        std::string text = "start '" + command[0] + "'" + (options.cwd.empty() ? "" : " in '" + options.cwd + "'");
        if (*step != '\0') text.append(" (").append(step).append(")");
        fail(error, text);
    }
    static bool needs_fork(const process_options& options) noexcept {
        return options.uid || options.gid || !options.groups.empty() || options.umask ||
               !options.pass_descriptors.empty();
    }
    template<class = void>
    pid_t start_by_fork(const std::vector<std::string>& command, const process_options& options, char* const* arguments,
                        const std::vector<std::string>& variables, char* const* environment) const {
        std::vector<std::string> programs;
        if (command[0].find('/') != std::string::npos)
            programs.push_back(command[0]);
        else
            try_each(command[0], path_of(variables), [&](const char* program) {
                programs.emplace_back(program);
                return ENOENT;
            });
        const int theirs[] = {theirs_[0].get(), theirs_[1].get(), theirs_[2].get()};
        pid_t pid = 0;
        const char* step = "";
        forked_spawn<> child(options, theirs, programs, arguments, environment);
        if (const int error = child.start(pid, step)) refuse(error, command, options, step);
        return pid;
    }
    static void require_done(int error) {
        if (error != 0) fail(error, "create_subprocess");
    }
    /// Moves a descriptor above the standard streams, so that passing it to the child does not overwrite another one.
    static descriptor own_copy(int fd) {
        descriptor copy(calls.fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
        if (!copy) fail(errno, "create_subprocess: descriptor " + std::to_string(fd));
        return copy;
    }
    void give(descriptor theirs, int standard) {
        require_done(calls.file_actions_adddup2(&actions_, theirs.get(), standard));
        theirs_[standard] = std::move(theirs);
    }
    static void point_to(const std::vector<std::string>& texts, trivial_vector<char*>& all) {
        for (const std::string& each : texts) all.push_back(const_cast<char*>(each.c_str()));
        all.push_back(nullptr);
    }

    /// Returns the first PATH of an environment; without one, the path where the system looks.
    static std::string_view path_of(const std::vector<std::string>& variables) noexcept {
        constexpr std::string_view name = "PATH=";
        for (const std::string_view each : variables)
            if (each.starts_with(name)) return each.substr(name.size());
        return "/bin:/usr/bin";
    }
    /// Searches as execvp(3) does, but in the PATH that the program is given, not in this process's.
    /// @return an error number or 0.
    template<class Try>
    static int try_each(const std::string& name, std::string_view path, Try try_at) {
        int found = ENOENT; // or the error of a file that could not be run
        for (bool more = true; more;) {
            const std::size_t end = path.find(':');
            more = end != std::string_view::npos;
            std::string program(end == 0 || path.empty() ? "." : path.substr(0, end));
            program.append("/").append(name);
            const int error = try_at(program.c_str());
            if (error == EACCES)
                found = error;
            else if (!is_elsewhere(error))
                return error;
            path.remove_prefix(more ? end + 1 : path.size());
        }
        return found;
    }

    /// Adds variables. An added variable replaces one of the same name, also one that was added before.
    static std::vector<std::string> environment_of(const process_options& options) {
        const std::vector<std::string>& added = options.add_env;
        std::vector<std::string> all;
        const auto add = [&](std::string_view variable, std::size_t first_to_replace_it) {
            const std::string_view name = variable.substr(0, variable.find('=') + 1);
            for (std::size_t i = first_to_replace_it; i < added.size(); ++i)
                if (added[i].starts_with(name)) return;
            all.emplace_back(variable);
        };
        if (options.env)
            for (const std::string& each : *options.env) add(each, 0);
        else
            for (char** each = ::environ; each != nullptr && *each != nullptr; ++each) add(*each, 0);
        for (std::size_t i = 0; i < added.size(); ++i) add(added[i], i + 1);
        return all;
    }

    posix_spawn_file_actions_t actions_;
    posix_spawnattr_t attributes_;
    descriptor theirs_[3]; // the child's ends, open until the child has them
};

/// Checks command and options. @throws std::invalid_argument for what a program cannot be given.
inline void require_valid(const std::vector<std::string>& command, const process_options& options) {
    if (command.empty() || command[0].empty()) throw std::invalid_argument("create_subprocess: there is no program");
    const std::string program = command[0].substr(0, command[0].find('\0'));
    for (const std::string& each : command)
        if (each.find('\0') != std::string::npos)
            throw std::invalid_argument("create_subprocess: an argument of '" + program + "' has a zero byte");
    if (options.cwd.find('\0') != std::string::npos)
        throw std::invalid_argument("create_subprocess: cwd has a zero byte");
    const auto require_variables = [](const std::vector<std::string>& all) {
        for (const std::string& each : all) {
            const std::string name = each.substr(0, each.find('='));
            if (each.find('\0') != std::string::npos) // the byte would end the message, too
                throw std::invalid_argument("create_subprocess: variable '" + name.substr(0, name.find('\0')) +
                                            "' has a zero byte");
            if (name.empty() || name.size() == each.size())
                throw std::invalid_argument("create_subprocess: '" + each + "' is no \"NAME=value\"");
        }
    };
    if (options.env) require_variables(*options.env);
    require_variables(options.add_env);
    for (const int each : options.pass_descriptors)
        if (each <= STDERR_FILENO)
            throw std::invalid_argument("create_subprocess: " + std::to_string(each) +
                                        " cannot be passed; in, out and err are the standard streams");
    // The system takes this number for "unchanged".
    if (options.uid == static_cast<uid_t>(-1) || options.gid == static_cast<gid_t>(-1))
        throw std::invalid_argument("create_subprocess: uid or gid is no user's or group's");
    if (options.umask && *options.umask > 0777) throw std::invalid_argument("create_subprocess: umask is 0 to 0777");
}

/// Starts a valid command. @throws std::system_error with the program in its text.
template<class = void>
spawned spawn(const std::vector<std::string>& command, const process_options& options) {
    for (const int each : options.pass_descriptors) // before there are others, whose numbers they might be
        if (calls.fcntl(each, F_GETFD, 0) < 0) fail(errno, "create_subprocess: descriptor " + std::to_string(each));
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

#pragma GCC visibility pop
