// SPDX-License-Identifier: BSL-1.0

// A server and its clients in one program: a handler task for each connection, lines read and written, and an end that
// waits for all of it.
//
//     c++ -std=c++20 -pthread -Iinclude examples/echo_client_server.cpp -o echo_client_server
//
// Run: ./echo_client_server
// Prints:
//   client 1: hello 1
//   client 2: hello 2
//   client 3: hello 3
//   the server has answered 3 lines
//
// Read next: http_get.cpp

#include <asynchio/combine.hpp>
#include <asynchio/io.hpp>
#include <asynchio/task.hpp>

#include <iostream>
#include <string>
#include <utility>
#include <vector>

namespace aio = asynchio;

int answered = 0;

aio::task<> answer(aio::stream client) {
    for (;;) {
        const std::string line = co_await client.read_line();
        if (line.empty()) co_return; // the client has closed; so does this stream
        co_await client.write(line);
        ++answered;
    }
}

aio::task<std::string> ask(int port, int number) {
    aio::stream server = co_await aio::open_connection("localhost", port);
    const std::string line = "hello " + std::to_string(number) + "\n";
    co_await server.write(line); // waits until the system has taken it
    co_return co_await server.read_line();
}

aio::task<> amain() {
    aio::server server = co_await aio::start_server(answer, "localhost", 0); // port 0: one that is free
    auto body = [&]() -> aio::task<> {
        std::vector<aio::task<std::string>> clients;
        for (int i = 1; i <= 3; ++i) clients.push_back(ask(server.port(), i));
        const std::vector<std::string> lines = co_await aio::gather(std::move(clients));
        for (std::size_t i = 0; i < lines.size(); ++i) std::cout << "client " << i + 1 << ": " << lines[i];
    };
    co_await aio::with(server, body); // stops listening, and waits for the handlers
    std::cout << "the server has answered " << answered << " lines\n";
}

int main() { aio::run(amain()); }
