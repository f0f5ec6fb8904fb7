// SPDX-License-Identifier: BSL-1.0

// A room in which everybody reads what everybody writes, a line at a time.
//
//     c++ -std=c++20 -O2 -pthread -Iinclude examples/chat_server.cpp -o chat_server
//     ./chat_server 7000          then, elsewhere: ./chat_client localhost 7000 ann, or nc localhost 7000
//
// The first line that a client sends is its name. A client that reads slowly holds up nobody: each has a queue of its
// own, and is put out of the room when that is full. It prints its port, and ends with Ctrl-C.
//
// Run: ./chat_server help
// Test: exit 2
// Read next: chat_client.cpp

#include <asynchio.hpp>

#include <algorithm>
#include <cctype>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <string>
#include <system_error>
#include <utility>

namespace aio = asynchio;

class room {
public:
    aio::task<> operator()(aio::stream client) {
        try {
            const std::string name = co_await enter(client);
            if (name.empty()) co_return;
            member& self = members_.try_emplace(name, client).first->second;
            const auto leave = [&] {
                members_.erase(name);
                tell_all(name + " left\n");
            };
            auto talk = [&]() -> aio::task<> {
                tell_all(name + " joined\n");
                co_await aio::race(listen(client, name), deliver(self)); // whoever ends first, both end
            };
            co_await aio::finally(talk, leave);
        } catch (const std::system_error&) {        // the client is gone
        } catch (const aio::limit_overrun_error&) { // it sends a line that is too long
        }
    }

private:
    static constexpr std::size_t longest = 1000;
    struct member {
        explicit member(aio::stream& c) : client(c) {}
        aio::stream& client;
        aio::queue<std::string> lines{100}; // on their way
    };

    /// A name of its own; empty if it gives none.
    aio::task<std::string> enter(aio::stream& client) {
        for (;;) {
            co_await client.write("your name?\n");
            std::string name = co_await client.read_line(longest);
            if (name.empty()) co_return name;
            while (!name.empty() && std::isspace(static_cast<unsigned char>(name.back()))) name.pop_back();
            const bool printable = std::all_of(name.begin(), name.end(), [](unsigned char c) { return c > ' '; });
            if (!name.empty() && name.size() <= 20 && printable && members_.count(name) == 0) co_return name;
            co_await client.write("that one is taken, or no word of up to 20 letters\n");
        }
    }
    aio::task<> listen(aio::stream& client, const std::string& name) {
        for (;;) {
            const std::string line = co_await client.read_line(longest);
            if (line.empty()) co_return;
            tell_all(name + ": " + (line.ends_with('\n') ? line : line + '\n'));
        }
    }
    static aio::task<> deliver(member& self) {
        while (const auto line = co_await self.lines.next()) co_await self.client.write(*line);
    }
    void tell_all(const std::string& line) {
        for (auto& [name, each] : members_) {
            if (each.lines.full())
                each.client.abort(); // it reads too slowly
            else
                each.lines.put_nowait(line);
        }
    }

    std::map<std::string, member> members_;
};

aio::task<> serve(int port) {
    aio::signal_set stop(SIGINT, SIGTERM);
    room all;
    auto handler = [&all](aio::stream client) { return all(std::move(client)); };
    aio::server server = co_await aio::start_server(handler, "localhost", port);
    std::printf("%d\n", server.port());
    std::fflush(stdout);
    auto body = [&]() -> aio::task<> { co_await stop.wait(); };
    co_await aio::with(server, body);
}

int main(int argc, char** argv) {
    char* end = nullptr;
    const long port = argc > 1 ? std::strtol(argv[1], &end, 10) : 0;
    if (argc > 2 || (argc > 1 && (*end != '\0' || port < 0 || port > 65535))) {
        std::fputs("usage: chat_server [PORT]\n", stderr);
        return 2;
    }
    try {
        aio::run(serve(static_cast<int>(port)));
    } catch (const std::exception& e) {
        std::fprintf(stderr, "chat_server: %s\n", e.what());
        return 1;
    }
}
