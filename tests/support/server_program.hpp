// SPDX-License-Identifier: BSL-1.0
#pragma once

// Programs that serve a test: started in a folder of their own, ended with the test.

#include "catch.hpp"

#include <arpa/inet.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace asynchio_tests {

/// Returns a port of 127.0.0.1 at which nobody listens.
inline int unused_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof any;
    ::bind(fd, reinterpret_cast<sockaddr*>(&any), size);
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&any), &size);
    ::close(fd);
    return ntohs(any.sin_port);
}

/// Whether a test that needs a program can run. Without the program it is skipped, or fails where all adapters must be
/// tested.
inline bool can_run(bool installed, const char* program) {
    if (installed) return true;
    INFO(program << " is not installed");
    if (std::getenv("ASYNCHIO_ADAPTERS_REQUIRED") != nullptr) FAIL();
    WARN("skipped: " << program << " is not installed");
    return false;
}

class server_program {
public:
    /// @param name of the program, for its folder. @param last the signal that ends it at once. @param user as whom it
    /// runs; null stands for that of the test.
    explicit server_program(const std::string& name, int last, const passwd* user = nullptr)
        : name_(name), last_(last), user_(user) {
        std::string pattern = "/tmp/asynchio_" + name + "_XXXXXX";
        if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
        folder_ = pattern;
        if (user_ != nullptr && ::chown(pattern.c_str(), user_->pw_uid, user_->pw_gid) != 0)
            throw std::runtime_error("chown");
    }
    server_program(const server_program&) = delete;
    server_program& operator=(const server_program&) = delete;
    ~server_program() {
        stop();
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }

    const std::filesystem::path& folder() const noexcept { return folder_; }
    /// Ends the server at once, and its connections with it.
    void stop() {
        if (pid_ <= 0) return;
        ::kill(pid_, last_);
        ::waitpid(pid_, nullptr, 0);
        pid_ = 0;
    }
    /// Starts the server, and waits until `serves()`. @throws std::runtime_error with what it has written.
    template<class F>
    void run(const std::vector<std::string>& words, F serves) {
        pid_ = start(words);
        for (int i = 0; i < 6000; ++i) {
            if (serves()) return;
            if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
                pid_ = 0;
                break;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        throw std::runtime_error(name_ + " does not start: " + log());
    }
    /// Runs a program to its end. @throws std::runtime_error with what it has written if it fails.
    void run_to_end(const std::vector<std::string>& words) const {
        int status = 0;
        ::waitpid(start(words), &status, 0);
        if (status != 0) throw std::runtime_error(words[0] + " failed: " + log());
    }

private:
    /// Starts a program, which ends with this process.
    pid_t start(const std::vector<std::string>& words) const {
        std::vector<char*> arguments;
        for (const std::string& each : words) arguments.push_back(const_cast<char*>(each.c_str()));
        arguments.push_back(nullptr);
        const std::string log = folder_ / "log";
        const pid_t pid = ::fork();
        if (pid != 0) return pid;
        if (user_ != nullptr) {
            const bool left =
                ::setgroups(0, nullptr) == 0 && ::setgid(user_->pw_gid) == 0 && ::setuid(user_->pw_uid) == 0;
            if (!left) ::_exit(126);
        }
        ::prctl(PR_SET_PDEATHSIG, last_);
        const int out = ::open(log.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
        ::dup2(out, 1);
        ::dup2(out, 2);
        if (::chdir("/") == 0) ::execv(arguments[0], arguments.data());
        ::_exit(127);
    }
    std::string log() const {
        std::ifstream file(folder_ / "log");
        return std::string(std::istreambuf_iterator<char>(file), {});
    }

    std::string name_;
    int last_;
    const passwd* user_;
    std::filesystem::path folder_;
    pid_t pid_ = 0;
};

} // namespace asynchio_tests
