// SPDX-License-Identifier: BSL-1.0
#pragma once

// Servers of Redis for tests: the real one in a temporary folder, with a Unix socket and a port of 127.0.0.1, and one in
// memory that answers what a test wants.

#include "support/server_program.hpp"

#include <asynchio/adapters/hiredis.hpp>
#include <asynchio/io/stream.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/task.hpp>
#include <asynchio/testing/stream_pair.hpp>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
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
    redis_server() { run(); }

    /// Kills the server, and its connections with it.
    void stop() { program_.stop(); }
    /// Starts the server, and waits until it can be connected to.
    void run() {
        const std::string port = std::to_string(port_), path = unix_path();
        ::unlink(path.c_str());
        program_.run({redis_program(), "--port", port, "--bind", "127.0.0.1", "--unixsocket", path, "--save", "",
                      "--appendonly", "no", "--dir", program_.folder(), "--enable-debug-command", "yes"},
                     [&path] { return answers(path); });
    }

    std::string unix_path() const { return program_.folder() / "socket"; }
    int port() const { return port_; }
    /// The options for the Unix socket.
    asynchio::hiredis::options address() const {
        asynchio::hiredis::options how;
        how.unix_path = unix_path();
        return how;
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

    server_program program_{"redis", SIGKILL};
    int port_ = unused_port();
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
