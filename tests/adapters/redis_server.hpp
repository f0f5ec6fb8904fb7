// SPDX-License-Identifier: BSL-1.0
#pragma once

// Servers of Redis for tests: the real one in a temporary folder, with a Unix socket and a port of 127.0.0.1, and one in
// memory that answers what a test wants.

#include <asynchio/adapters/hiredis.hpp>
#include <asynchio/io/stream.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/task.hpp>
#include <asynchio/testing/stream_pair.hpp>

#include <arpa/inet.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace asynchio_tests {

/// Returns the path of redis-server, or an empty one.
inline std::string redis_program() {
    for (const char* each : {"/usr/bin/redis-server", "/usr/local/bin/redis-server"})
        if (::access(each, X_OK) == 0) return each;
    return {};
}

class redis_server {
public:
    redis_server() {
        char name[] = "/tmp/asynchio_redis_XXXXXX";
        if (::mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
        folder_ = name;
        port_ = free_port();
        run();
    }
    redis_server(const redis_server&) = delete;
    redis_server& operator=(const redis_server&) = delete;
    ~redis_server() {
        stop();
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }

    /// Kills the server, and its connections with it.
    void stop() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        pid_ = 0;
    }
    /// Starts the server, and waits until it can be connected to.
    void run() {
        const std::string port = std::to_string(port_), path = unix_path();
        ::unlink(path.c_str());
        pid_ = start({redis_program(), "--port", port, "--bind", "127.0.0.1", "--unixsocket", path, "--save", "",
                      "--appendonly", "no", "--dir", folder_, "--enable-debug-command", "yes"});
        for (int i = 0; i < 3000; ++i) {
            if (answers(path)) return;
            if (::waitpid(pid_, nullptr, WNOHANG) == pid_) break;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        throw std::runtime_error("redis-server does not start");
    }

    std::string unix_path() const { return folder_ / "socket"; }
    int port() const { return port_; }
    /// The options for the Unix socket.
    asynchio::hiredis::options address() const {
        asynchio::hiredis::options how;
        how.unix_path = unix_path();
        return how;
    }

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
    static bool answers(const std::string& path) {
        sockaddr_un where{};
        where.sun_family = AF_UNIX;
        std::memcpy(where.sun_path, path.c_str(), path.size() + 1);
        const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
        const bool done = ::connect(fd, reinterpret_cast<sockaddr*>(&where), sizeof where) == 0;
        ::close(fd);
        return done;
    }
    /// Starts a program. It ends with this process.
    pid_t start(const std::vector<std::string>& words) const {
        std::vector<char*> arguments;
        for (const std::string& each : words) arguments.push_back(const_cast<char*>(each.c_str()));
        arguments.push_back(nullptr);
        const std::string log = folder_ / "log";
        const pid_t pid = ::fork();
        if (pid != 0) return pid;
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        const int out = ::open(log.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
        ::dup2(out, 1);
        ::dup2(out, 2);
        ::execv(arguments[0], arguments.data());
        ::_exit(127);
    }

    std::filesystem::path folder_;
    int port_ = 0;
    pid_t pid_ = 0;
};

/// Reads a command. @return its words; none at the end.
template<class = void>
asynchio::task<std::vector<std::string>> read_command(asynchio::stream& client) {
    std::vector<std::string> words;
    const std::string head = co_await client.read_line();
    if (head.size() < 4 || head[0] != '*') co_return words;
    const int count = std::atoi(head.c_str() + 1);
    for (int i = 0; i < count; ++i) {
        const std::string length = co_await client.read_line();
        const auto size = static_cast<std::size_t>(std::atoll(length.c_str() + 1));
        std::string word = co_await client.read_exactly(size + 2);
        word.resize(size);
        words.push_back(std::move(word));
    }
    co_return words;
}

/// A server in memory. It answers PING by itself, and all else as the test wants.
class fake_redis {
public:
    /// Returns what is sent for a command.
    using answer = std::function<std::string(const std::vector<std::string>&)>;

    explicit fake_redis(answer how) : state_(std::make_shared<state>()) { state_->how = std::move(how); }

    asynchio::hiredis::options address() {
        asynchio::hiredis::options made;
        made.open_stream = [with = state_] { return connect(with); };
        return made;
    }
    /// Closes the connection after the next answer, or not.
    void hang_up(bool next = true) { state_->hangs_up = next; }
    /// Closes the connection at once.
    void drop() {
        if (state_->client != nullptr) state_->client->abort();
    }
    /// Closes each connection after its login.
    void only_log_in() { state_->only_logs_in = true; }
    /// Refuses a number of further connections.
    void refuse(int count) { state_->refused = count; }
    int refused() const { return state_->refused; }
    /// How many connections were made.
    int connections() const { return state_->connections; }
    /// The names of the commands that have come, but for PING, each with its first argument.
    const std::vector<std::string>& seen() const { return state_->seen; }

private:
    struct state {
        answer how;
        asynchio::stream* client = nullptr;
        bool hangs_up = false;
        bool only_logs_in = false;
        int refused = 0;
        int connections = 0;
        std::vector<std::string> seen;
    };

    template<class = void>
    static asynchio::task<asynchio::stream> connect(std::shared_ptr<state> self) {
        if (self->refused > 0) {
            --self->refused;
            throw std::system_error(ECONNREFUSED, std::generic_category(), "connect to the fake");
        }
        ++self->connections;
        auto [here, there] = asynchio::testing::stream_pair();
        asynchio::create_task(serve(std::move(self), std::move(there)));
        co_return std::move(here);
    }
    template<class = void>
    static asynchio::task<> serve(std::shared_ptr<state> self, asynchio::stream given) {
        asynchio::stream client = std::move(given);
        self->client = &client;
        const struct at_end {
            state& of;
            asynchio::stream& gone;
            ~at_end() {
                if (of.client == &gone) of.client = nullptr;
            }
        } at_end{*self, client};
        try {
            for (;;) {
                const std::vector<std::string> words = co_await read_command(client);
                if (words.empty()) co_return;
                std::string text = "+PONG\r\n";
                if (words[0] != "PING") {
                    self->seen.push_back(words.size() > 1 ? words[0] + " " + words[1] : words[0]);
                    text = self->how(words);
                }
                co_await client.write(text);
                if (words[0] == "PING" ? self->only_logs_in : std::exchange(self->hangs_up, false)) co_return;
            }
        } catch (const std::exception&) { // the connection was closed
        }
    }

    std::shared_ptr<state> state_;
};

} // namespace asynchio_tests
