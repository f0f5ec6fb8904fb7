// SPDX-License-Identifier: BSL-1.0
#pragma once

// A server of PostgreSQL for tests, in a temporary folder, with a Unix socket and a port of 127.0.0.1 that asks for a
// password.

#include <libpq-fe.h>

#include <arpa/inet.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
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

/// Returns the folder of initdb and postgres, or an empty path.
inline std::filesystem::path postgres_programs() {
    std::vector<std::filesystem::path> found;
    std::error_code ignored;
    for (const auto& each : std::filesystem::directory_iterator("/usr/lib/postgresql", ignored))
        if (std::filesystem::exists(each.path() / "bin/postgres")) found.push_back(each.path() / "bin");
    std::sort(found.begin(), found.end());
    return found.empty() ? std::filesystem::path() : found.back();
}

class postgres_server {
public:
    postgres_server() : programs_(postgres_programs()) {
        char name[] = "/tmp/asynchio_pg_XXXXXX";
        if (::mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
        folder_ = name;
        if (::geteuid() == 0) {
            user_ = ::getpwnam("postgres");
            if (user_ == nullptr) throw std::runtime_error("there is no user postgres, and root may not run a server");
            if (::chown(name, user_->pw_uid, user_->pw_gid) != 0) throw std::runtime_error("chown");
        }
        const std::string data = folder_ / "data";
        const pid_t making = start(
            {programs_ / "initdb", "-D", data, "-U", "tester", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"});
        int status = 0;
        ::waitpid(making, &status, 0);
        if (status != 0) throw std::runtime_error("initdb failed: " + text_of("log"));
        std::ofstream(data + "/pg_hba.conf") << "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
        port_ = free_port();
        run();
    }
    postgres_server(const postgres_server&) = delete;
    postgres_server& operator=(const postgres_server&) = delete;
    ~postgres_server() {
        stop();
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }

    /// Ends the server at once, and its connections with it.
    void stop() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGQUIT);
        ::waitpid(pid_, nullptr, 0);
        pid_ = 0;
    }
    /// Starts the server, and waits until it answers.
    void run() {
        const std::string port = std::to_string(port_);
        pid_ = start({programs_ / "postgres", "-D", folder_ / "data", "-k", folder_, "-p", port, "-c",
                      "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=50"});
        for (int i = 0; i < 3000; ++i) {
            if (PQping(address().c_str()) == PQPING_OK) return;
            if (::waitpid(pid_, nullptr, WNOHANG) == pid_) break;
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
        throw std::runtime_error("postgres does not start: " + text_of("log"));
    }
    /// A connection string for the Unix socket.
    std::string address() const {
        return "host=" + folder_.string() + " port=" + std::to_string(port_) + " user=tester dbname=postgres";
    }
    int port() const { return port_; }

    static int free_port() {
        const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in any{};
        any.sin_family = AF_INET;
        any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof any;
        ::bind(fd, reinterpret_cast<sockaddr*>(&any), size);
        ::getsockname(fd, reinterpret_cast<sockaddr*>(&any), &size);
        ::close(fd);
        return ntohs(any.sin_port);
    }

private:
    /// Starts a program as a user without privileges. It ends with this process.
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
        ::prctl(PR_SET_PDEATHSIG, SIGQUIT);
        const int out = ::open(log.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
        ::dup2(out, 1);
        ::dup2(out, 2);
        if (::chdir("/") == 0) ::execv(arguments[0], arguments.data());
        ::_exit(127);
    }
    std::string text_of(const char* name) const {
        std::ifstream file(folder_ / name);
        return std::string(std::istreambuf_iterator<char>(file), {});
    }

    std::filesystem::path programs_, folder_;
    const passwd* user_ = nullptr;
    int port_ = 0;
    pid_t pid_ = 0;
};

} // namespace asynchio_tests
