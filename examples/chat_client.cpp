// SPDX-License-Identifier: BSL-1.0

// Talks to chat_server: what is typed goes out, what comes in is printed, at once.
//
//     c++ -std=c++20 -O2 -pthread -Iinclude examples/chat_client.cpp -o chat_client
//     ./chat_client localhost 7000 ann
//
// Standard input is a stream like any other when it is a terminal or a pipe; a file, which is always ready, is read in a
// worker thread. Ends with the input's end (Ctrl-D), or when the server closes.
//
// Run: ./chat_client help
// Test: exit 2
// Read next: run_commands.cpp

#include <asynchio.hpp>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fcntl.h>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <utility>

namespace aio = asynchio;

std::string blocking_line() {
    std::string text;
    return std::getline(std::cin, text) ? text + '\n' : std::string();
}

/// Lines of standard input, however it is connected.
class input {
public:
    input() : flags_(::fcntl(STDIN_FILENO, F_GETFL)) {
        try {
            stream_ = aio::stream::from_descriptor(::dup(STDIN_FILENO), "standard input");
        } catch (const std::invalid_argument&) { // a file
        }
    }
    input(const input&) = delete;
    input& operator=(const input&) = delete;
    /// The terminal is shared with the shell, which expects it to block.
    ~input() { ::fcntl(STDIN_FILENO, F_SETFL, flags_); }

    /// With its newline; empty at the end.
    aio::task<std::string> line() {
        if (stream_) co_return co_await stream_->read_line();
        co_return co_await aio::to_thread(&blocking_line);
    }

private:
    int flags_;
    std::optional<aio::stream> stream_;
};

aio::task<> send(aio::stream& server, std::string name) {
    input typed;
    const std::string first = name + "\n";
    co_await server.write(first);
    for (;;) {
        const std::string line = co_await typed.line();
        if (line.empty()) break;
        co_await server.write(line);
    }
    co_await server.write_eof();
}

aio::task<> receive(aio::stream& server) {
    for (;;) {
        const std::string line = co_await server.read_line();
        if (line.empty()) co_return;
        std::fputs(line.c_str(), stdout);
        std::fflush(stdout);
    }
}

aio::task<> talk(std::string host, int port, std::string name) {
    aio::stream server = co_await aio::open_connection(host, port);
    const auto sending = aio::create_task(send(server, name));
    const auto end = [&] { sending.cancel(); };
    auto receiving = [&]() -> aio::task<> { co_await receive(server); };
    co_await aio::finally(receiving, end);
    const auto ended = co_await aio::nothrow(sending);
}

int main(int argc, char** argv) {
    char* end = nullptr;
    const long port = argc == 4 ? std::strtol(argv[2], &end, 10) : 0;
    if (argc != 4 || *end != '\0' || port < 1 || port > 65535) {
        std::fputs("usage: chat_client HOST PORT NAME\n", stderr);
        return 2;
    }
    aio::run_options options;
    options.handle_sigint = true;
    try {
        aio::run(talk(argv[1], static_cast<int>(port), argv[3]), options);
    } catch (const aio::keyboard_interrupt&) {
        return 130;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "chat_client: %s\n", e.what());
        return 1;
    }
}
