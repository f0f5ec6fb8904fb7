// SPDX-License-Identifier: BSL-1.0

// Runs many commands, some at a time, their output mixed line by line and never within a line.
//
//     c++ -std=c++20 -O2 -pthread -Iinclude examples/run_commands.cpp -o run_commands
//     ./run_commands --jobs 2 'echo one; echo two' 'sleep 1; echo late' 'exit 3'
//     printf 'make -C %s\n' a b c | ./run_commands --jobs 4
//
// Commands are words of the command line, or else lines of standard input; the shell runs each. A command that takes
// longer than --timeout, and those that run at Ctrl-C, are asked to terminate, and killed --grace seconds (2) later. Exit status: 0 if all succeeded, 1 if one did not, 2 for wrong usage, 130 for Ctrl-C.
//
// Run: ./run_commands --jobs 1 'echo one' 'echo two; echo three >&2' 'exit 3' 'kill -9 $$'
// Prints:
//   1: one
//   2: two
//   2! three
//   3 ended with status 3: exit 3
//   4 was killed by signal 9: kill -9 $$
//
// Test: exit 1
// Read next: web_crawler.cpp

#include <asynchio.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace aio = asynchio;

struct options {
    std::size_t jobs = 4;
    std::optional<double> timeout;
    double grace = 2;
    std::vector<std::string> commands;
};

/// The next line, without its end; one longer than a mebibyte comes in pieces. @return nothing at the end.
aio::task<std::optional<std::string>> next_line(aio::stream& from) {
    constexpr std::size_t most = 1 << 20;
    try {
        std::string line = co_await from.read_until("\n", most);
        line.pop_back();
        co_return line;
    } catch (const aio::incomplete_read_error& e) {
        if (e.partial().empty()) co_return std::nullopt;
        co_return e.partial();
    } catch (const aio::limit_overrun_error&) {
        // What is too long stays to be read.
    }
    co_return co_await from.read_exactly(most);
}

/// Prints the lines of a stream as they come, each with `mark` in front.
aio::task<> print(aio::stream& from, std::string mark) {
    for (;;) {
        const std::optional<std::string> line = co_await next_line(from);
        if (!line) co_return;
        const std::string text = mark + *line + '\n';
        std::fwrite(text.data(), 1, text.size(), stdout);
        std::fflush(stdout);
    }
}

/// Ends a command, and what it has started: kindly at first.
aio::task<> end_group(aio::process& child, double grace) {
    if (child.returncode()) co_return;
    ::kill(-child.pid(), SIGTERM);
    try {
        co_await aio::wait_for(child.wait(), std::chrono::duration<double>(grace));
    } catch (const aio::timeout_error&) {}
    ::kill(-child.pid(), SIGKILL); // who has not listened
}

/// @return whether it succeeded.
aio::task<bool> run(std::size_t number, const std::string& command, std::optional<double> timeout, double grace) {
    aio::process_options pipes;
    pipes.in = aio::subprocess::devnull;
    pipes.out = pipes.err = aio::subprocess::pipe;
    pipes.new_group = true; // so that what the shell has started can be ended with it
    const std::string name = std::to_string(number);
    aio::process child = co_await aio::create_subprocess_shell(command, pipes);
    auto talk = [&]() -> aio::task<> {
        co_await aio::gather(print(child.out(), name + ": "), print(child.err(), name + "! "));
        co_await child.wait();
    };
    bool late = false;
    auto limited = [&]() -> aio::task<> {
        try {
            if (timeout)
                co_await aio::wait_for(talk, std::chrono::duration<double>(*timeout));
            else
                co_await talk();
        } catch (const aio::timeout_error&) {
            late = true;
        }
    };
    const auto end = [&] { return end_group(child, grace); };
    co_await aio::finally(limited, end); // in time, late or cancelled
    const int code = co_await child.wait();
    if (late)
        std::printf("%s took longer than %g s: %s\n", name.c_str(), *timeout, command.c_str());
    else if (code > 0)
        std::printf("%s ended with status %d: %s\n", name.c_str(), code, command.c_str());
    else if (code < 0)
        std::printf("%s was killed by signal %d: %s\n", name.c_str(), -code, command.c_str());
    std::fflush(stdout);
    co_return code == 0 && !late;
}

aio::task<int> run_all(options o) {
    bool all_right = true;
    std::size_t next = 0;
    auto worker = [&]() -> aio::task<> {
        while (next < o.commands.size()) {
            const std::size_t mine = next++;
            const bool right = co_await run(mine + 1, o.commands[mine], o.timeout, o.grace);
            all_right = all_right && right;
        }
    };
    const std::size_t count = std::min(o.jobs, o.commands.size());
    std::vector<aio::task<>> workers;
    workers.reserve(count);
    for (std::size_t i = 0; i < count; ++i) workers.push_back(worker());
    co_await aio::gather(std::move(workers));
    co_return all_right ? 0 : 1;
}

std::optional<options> parse(int argc, char** argv) {
    options o;
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i += 2) {
        const std::string name = argv[i];
        if (i + 1 == argc) return std::nullopt;
        char* end = nullptr;
        const double value = std::strtod(argv[i + 1], &end);
        if (*end != '\0' || !(value > 0) || !(value < 1e6)) return std::nullopt;
        if (name == "--jobs" && value >= 1)
            o.jobs = static_cast<std::size_t>(value);
        else if (name == "--timeout")
            o.timeout = value;
        else if (name == "--grace")
            o.grace = value;
        else
            return std::nullopt;
    }
    o.commands.assign(argv + i, argv + argc);
    for (std::string line; o.commands.empty() && i == argc && std::getline(std::cin, line);) {
        do {
            if (!line.empty()) o.commands.push_back(line);
        } while (std::getline(std::cin, line));
    }
    return o;
}

int main(int argc, char** argv) {
    const std::optional<options> o = parse(argc, argv);
    if (!o) {
        std::fputs("usage: run_commands [--jobs N] [--timeout SECONDS] [--grace SECONDS] [COMMAND...]\n", stderr);
        return 2;
    }
    aio::run_options with_signal;
    with_signal.handle_sigint = true;
    try {
        return aio::run(run_all(*o), with_signal);
    } catch (const aio::keyboard_interrupt&) {
        std::fputs("run_commands: interrupted\n", stderr);
        return 130;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "run_commands: %s\n", e.what());
        return 1;
    }
}
