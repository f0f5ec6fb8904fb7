// SPDX-License-Identifier: BSL-1.0

// A text protocol by hand: Redis's commands as lines, all sent before the first reply is awaited. One task writes and
// one reads, side by side on one stream. Without a host it speaks to a small server of its own.
//
//     c++ -std=c++20 -pthread -Iinclude examples/redis_pipeline.cpp -o redis_pipeline
//     ./redis_pipeline localhost 6379
//
// Run: ./redis_pipeline
// Prints:
//   PING                      PONG
//   SET asynchio:count 41     OK
//   INCR asynchio:count       42
//   GET asynchio:count        42
//   DEL asynchio:count        1
//   GET asynchio:count        nothing
//   NOSUCH                    error: ERR unknown command 'NOSUCH'
//
// Read next: files_at_once.cpp

#include <asynchio/combine.hpp>
#include <asynchio/io.hpp>
#include <asynchio/task.hpp>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace aio = asynchio;

/// One reply: "+text", "-error", ":number", or "$size" and then as many bytes.
aio::task<std::string> read_reply(aio::stream& server) {
    std::string line = co_await server.read_until("\r\n");
    line.resize(line.size() - 2);
    if (line.empty()) throw std::runtime_error("an empty line is no reply");
    const std::string text = line.substr(1);
    if (line[0] == '+' || line[0] == ':') co_return text;
    if (line[0] == '-') co_return "error: " + text;
    if (line[0] != '$' || text.size() > 9) throw std::runtime_error("no reply known here: " + line);
    const int size = std::atoi(text.c_str());
    if (size < 0) co_return "nothing";
    std::string value = co_await server.read_exactly(static_cast<std::size_t>(size) + 2);
    value.resize(value.size() - 2);
    co_return value;
}

aio::task<> talk(std::string host, int port) {
    const std::vector<std::string> commands{"PING",
                                            "SET asynchio:count 41",
                                            "INCR asynchio:count",
                                            "GET asynchio:count",
                                            "DEL asynchio:count",
                                            "GET asynchio:count",
                                            "NOSUCH"};
    aio::stream server = co_await aio::open_connection(host, port);
    auto ask = [&]() -> aio::task<> {
        for (const std::string& command : commands) {
            const std::string line = command + "\r\n";
            co_await server.write(line);
        }
    };
    auto listen = [&]() -> aio::task<> {
        for (const std::string& command : commands) {
            const std::string reply = co_await read_reply(server);
            std::printf("%-25s %s\n", command.c_str(), reply.c_str());
        }
    };
    co_await aio::gather(ask, listen);
}

/// What a server of these commands replies to one line.
std::string reply_to(const std::string& line, std::map<std::string, std::string>& values) {
    std::istringstream words(line);
    std::string command, key, value;
    words >> command >> key >> value;
    if (command == "PING") return "+PONG\r\n";
    if (command == "SET") return values[key] = value, "+OK\r\n";
    if (command == "INCR") return ":" + (values[key] = std::to_string(std::atol(values[key].c_str()) + 1)) + "\r\n";
    if (command == "DEL") return ":" + std::to_string(values.erase(key)) + "\r\n";
    if (command != "GET") return "-ERR unknown command '" + command + "'\r\n";
    const auto found = values.find(key);
    if (found == values.end()) return "$-1\r\n";
    return "$" + std::to_string(found->second.size()) + "\r\n" + found->second + "\r\n";
}

aio::task<> answer(aio::stream client) {
    std::map<std::string, std::string> values;
    for (;;) {
        const std::string line = co_await client.read_line();
        if (line.empty()) co_return; // the client has closed
        const std::string reply = reply_to(line, values);
        co_await client.write(reply);
    }
}

aio::task<> by_itself() {
    aio::server server = co_await aio::start_server(answer, "localhost", 0);
    auto body = [&] { return talk("localhost", server.port()); };
    co_await aio::with(server, body);
}

int main(int argc, char** argv) {
    const int port = argc == 3 ? std::atoi(argv[2]) : 0;
    if (argc != 1 && (port < 1 || port > 65535)) {
        std::fputs("usage: redis_pipeline [HOST PORT]\n", stderr);
        return 2;
    }
    try {
        aio::run(argc == 1 ? by_itself() : talk(argv[1], port));
    } catch (const std::exception& e) { // "connect to ...: Connection refused"
        std::fprintf(stderr, "redis_pipeline: %s\n", e.what());
        return 1;
    }
}
