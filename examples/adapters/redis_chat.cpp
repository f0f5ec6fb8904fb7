// SPDX-License-Identifier: BSL-1.0

// A chat in rooms, by publish and subscribe of a server of Redis.
//
//     c++ -std=c++20 -O2 -pthread -Iinclude examples/adapters/redis_chat.cpp -o redis_chat -lhiredis
//     ./redis_chat ann kitchen                          at localhost, port 6379
//     ./redis_chat --server 10.0.0.5:6380 ann kitchen   or the path of a Unix socket
//
// What is typed goes to all in the room, and the lines of the others are printed; first come the last fifty lines that
// were said. `/who` prints who is here. While the server is away, the program says so once, goes on by itself when it is
// back, and prints what was missed. It ends with the input's end (Ctrl-D) or with Ctrl-C, and tells the room.
//
// Run: ./redis_chat help
// Test: exit 2

#include <asynchio.hpp>
#include <asynchio/adapters/hiredis.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <exception>
#include <fcntl.h>
#include <iostream>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

namespace aio = asynchio;
namespace redis = asynchio::hiredis;
using namespace std::chrono_literals;

constexpr int kept_lines = 50;
constexpr auto sign_of_life = 10s; // how often a member tells that it is here
constexpr long gone_after = 30;    // seconds

/// Prints a line without characters that control the terminal.
void print(std::string_view line) {
    for (const char each : line) std::putchar((each >= 0 && each < ' ' && each != '\t') || each == '\x7f' ? '?' : each);
    std::putchar('\n');
    std::fflush(stdout);
}

/// Standard input, line by line. A terminal and a pipe are streams, and a file is a file.
class keyboard {
public:
    keyboard() : flags_(::fcntl(STDIN_FILENO, F_GETFL)) {
        try {
            typed_ = aio::stream::from_descriptor(::dup(STDIN_FILENO), "standard input");
        } catch (const std::invalid_argument&) {
            lines_ = aio::lines(aio::file::from_descriptor(::dup(STDIN_FILENO), "standard input"));
        }
    }
    keyboard(const keyboard&) = delete;
    keyboard& operator=(const keyboard&) = delete;
    ~keyboard() { ::fcntl(STDIN_FILENO, F_SETFL, flags_); } // the shell expects its terminal to block

    /// Returns the next line without its newline; nothing at the end.
    aio::task<std::optional<std::string>> next() {
        if (!typed_) co_return co_await lines_.next();
        std::string line = co_await typed_.read_line();
        if (line.empty()) co_return std::nullopt;
        if (line.back() == '\n') line.pop_back();
        co_return line;
    }

private:
    int flags_;
    aio::stream typed_;
    aio::async_generator<std::string> lines_;
};

/// A member of a room. What is published is the member's number and that of the line, and the line behind them, so that
/// no line is printed twice, and none to the member that has said it.
class member {
public:
    member(redis::connection& db, std::string name, const std::string& room)
        : db_(db), name_(std::move(name)), channel_("chat:" + room), lines_(channel_ + ":lines"),
          here_(channel_ + ":here"), id_(std::to_string(std::random_device{}())) {}

    /// Sends a line to the room, and keeps it for those who come later: both or nothing.
    aio::task<> say(std::string line) {
        std::string text = id_;
        text.append(".").append(std::to_string(++said_)).append(" ").append(line);
        redis::batch all;
        all.add("RPUSH", lines_, text).add("LTRIM", lines_, -kept_lines, -1).add("PUBLISH", channel_, text);
        co_await db_.transaction(all);
    }

    /// Prints what the others say, for ever.
    aio::task<> listen() {
        for (bool lost = false;;) {
            try {
                auto news = co_await db_.subscribe(channel_);
                lost = false;
                const auto before = co_await db_.command("LRANGE", lines_, 0, -1);
                for (const redis::reply& each : before) show(each.text());
                while (const auto each = co_await news.next()) show(each->payload);
            } catch (const redis::protocol_error&) {
                throw;
            } catch (const redis::connection_error&) {
                if (!std::exchange(lost, true)) print("* the server is away; trying again");
            }
        }
    }

    /// Sends what is typed, until the end.
    aio::task<> speak() {
        keyboard typed;
        for (;;) {
            std::optional<std::string> line;
            try {
                line = co_await typed.next();
                if (!line) co_return;
                if (*line == "/who")
                    co_await print_members();
                else if (!line->empty())
                    co_await say(name_ + ": " + *line);
            } catch (const aio::limit_overrun_error&) {
                print("* that line is too long");
            } catch (const redis::protocol_error&) {
                throw;
            } catch (const redis::connection_error& e) {
                print((e.was_sent() ? "* this may be lost: " : "* this is not sent: ") + line.value_or(""));
            }
        }
    }

    /// Tells again and again that this member is here.
    aio::task<> stay() {
        for (;;) {
            try {
                const long now = co_await time();
                co_await db_.command("ZADD", here_, now, id_ + " " + name_);
            } catch (const redis::connection_error&) {} // listen() tells
            co_await aio::sleep(sign_of_life);
        }
    }

    /// Tells the room that this member is gone, if that can be done at once.
    aio::task<> leave() {
        const std::string words = "* " + name_ + " has left";
        auto last = [&]() -> aio::task<> {
            co_await db_.command("ZREM", here_, id_ + " " + name_);
            co_await say(words);
        };
        try {
            co_await aio::wait_for(last, 2s);
        } catch (const std::runtime_error&) {} // the server is away
    }

    aio::task<> come() {
        const std::string words = "* " + name_ + " has come";
        co_await say(words);
    }

private:
    /// The server's time, which all members share.
    aio::task<long> time() {
        const redis::reply now = co_await db_.command("TIME");
        co_return now[0].get<long>();
    }
    aio::task<> print_members() {
        const long now = co_await time();
        co_await db_.command("ZREMRANGEBYSCORE", here_, "-inf", now - gone_after);
        const redis::reply members = co_await db_.command("ZRANGE", here_, 0, -1);
        std::vector<std::string> names;
        for (const redis::reply& each : members) names.emplace_back(each.text().substr(each.text().find(' ') + 1));
        std::sort(names.begin(), names.end());
        std::string line = "* here:";
        for (const std::string& each : names) line.append(" ").append(each);
        print(line);
    }
    void show(std::string_view text) {
        const std::size_t space = text.find(' ');
        if (space == std::string_view::npos) return; // it is not of this program
        const std::string head(text.substr(0, space));
        const bool mine = head.substr(0, head.find('.')) == id_;
        if (mine || std::find(shown_.begin(), shown_.end(), head) != shown_.end()) return;
        print(text.substr(space + 1));
        shown_.push_back(head);
        if (shown_.size() > 4 * kept_lines) shown_.pop_front();
    }

    redis::connection& db_;
    std::string name_, channel_, lines_, here_, id_;
    long said_ = 0;
    std::deque<std::string> shown_; // the numbers of the last lines
};

aio::task<> chat(redis::options server, std::string name, std::string room) {
    redis::connection db = co_await redis::connection::open(server);
    member me(db, name, room);
    std::exception_ptr stopped;
    try {
        co_await me.come();
        co_await aio::race(me.speak(), me.listen(), me.stay());
    } catch (...) {
        stopped = std::current_exception();
    }
    co_await me.leave();
    co_await db.aclose();
    if (stopped) std::rethrow_exception(stopped);
}

/// Returns whether `text` is HOST, HOST:PORT or the path of a Unix socket.
bool parse_server(const std::string& text, redis::options& server) {
    if (text.starts_with('/')) {
        server.unix_path = text;
        return true;
    }
    const std::size_t colon = text.rfind(':');
    server.host = text.substr(0, colon);
    if (colon == std::string::npos) return !text.empty();
    const std::string port = text.substr(colon + 1);
    if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != std::string::npos) return false;
    server.port = std::stoi(port);
    return !server.host.empty() && server.port > 0 && server.port <= 65'535;
}

/// Whether a name can stand in a line and in a key.
bool is_name(std::string_view text) {
    const auto bad = [](char each) { return (each >= 0 && each <= ' ') || each == '\x7f' || each == ':'; };
    return !text.empty() && text.size() <= 64 && std::none_of(text.begin(), text.end(), bad);
}

int main(int argc, char** argv) {
    std::vector<std::string> words(argv + 1, argv + argc);
    redis::options server;
    bool good = true;
    if (words.size() == 4 && words[0] == "--server") {
        good = parse_server(words[1], server);
        words.erase(words.begin(), words.begin() + 2);
    }
    if (!good || words.size() != 2 || !is_name(words[0]) || !is_name(words[1])) {
        std::fputs("usage: redis_chat [--server HOST[:PORT] | --server /PATH] NAME ROOM\n", stderr);
        return 2;
    }
    aio::run_options options;
    options.handle_sigint = true;
    try {
        aio::run(chat(server, words[0], words[1]), options);
    } catch (const aio::keyboard_interrupt&) {
        return 130;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "redis_chat: %s\n", e.what());
        return 1;
    }
}
