// SPDX-License-Identifier: BSL-1.0

// task_group::start waits until a child says that it is ready, and with what: here a server with its port. A child that
// fails before that throws at the call of start; later it is a child like the others.
//
//     c++ -std=c++20 -pthread -Iinclude examples/start_in_group.cpp -o start_in_group
//
// Run: ./start_in_group
// Prints:
//   the server listens
//   the answer is: HELLO
//   the second one did not start: bind to
//   the server is cancelled
//
// Read next: exception_group_handling.cpp

#include <asynchio.hpp>

#include <iostream>
#include <string>
#include <system_error>

namespace aio = asynchio;

aio::task<> answer(aio::stream client) {
    std::string line = co_await client.read_line();
    for (char& c : line)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    co_await client.write(line);
}

/// Serves until it is cancelled, and says at which port.
aio::task<> serve(aio::task_status<int>& status, int port) {
    aio::server server = co_await aio::start_server(answer, "127.0.0.1", port);
    status.started(server.port());
    auto told = [] { std::cout << "the server is cancelled\n"; };
    co_await aio::on_cancel(server.serve_forever(), told);
}

aio::task<> program(aio::task_group& group) {
    const int port = co_await group.start(serve, 0); // 0 picks a free one
    std::cout << "the server listens\n";
    aio::stream client = co_await aio::open_connection("127.0.0.1", port);
    co_await client.write("hello\n");
    const std::string answer = co_await client.read_line();
    std::cout << "the answer is: " << answer;
    try {
        co_await group.start(serve, port); // which is taken
    } catch (const std::system_error& e) {
        std::cout << "the second one did not start: " << std::string(e.what()).substr(0, 7) << '\n';
    }
    group.cancel();
}

aio::task<> main_task() { co_await aio::with(aio::task_group(), program); }

int main() { aio::run(main_task()); }
