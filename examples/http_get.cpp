// SPDX-License-Identifier: BSL-1.0

// A page over HTTP by hand: what a stream can do in twenty lines. Without a host it asks a server of its own.
//
//     c++ -std=c++20 -pthread -Iinclude examples/http_get.cpp -o http_get
//     ./http_get example.com /
//
// Run: ./http_get
// Prints:
//   HTTP/1.1 200 OK
//   Content-Length: 12
//   Hello there
//
// Read next: redis_pipeline.cpp

#include <asynchio/combine.hpp>
#include <asynchio/io.hpp>
#include <asynchio/task.hpp>

#include <chrono>
#include <exception>
#include <iostream>
#include <string>

namespace aio = asynchio;
using namespace std::chrono_literals;

aio::task<std::string> get(std::string host, int port, std::string path) {
    aio::stream server = co_await aio::open_connection(host, port);
    const std::string request = "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n";
    co_await server.write(request);
    const std::string head = co_await server.read_until("\r\n\r\n");
    const std::string body = co_await server.read_all(10'000'000); // to the end of the connection
    co_return head.substr(0, head.size() - 2) + body;              // without the empty line between them
}

aio::task<> hello(aio::stream client) {
    co_await client.read_until("\r\n\r\n");
    co_await client.write("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nHello there\n");
}

aio::task<> amain(std::string host, std::string path) {
    std::string page;
    if (host.empty()) {
        aio::server server = co_await aio::start_server(hello, "localhost", 0);
        auto body = [&]() -> aio::task<> { page = co_await get("localhost", server.port(), "/"); };
        co_await aio::with(server, body);
    } else {
        page = co_await aio::wait_for(get(host, 80, path), 10s);
    }
    std::erase(page, '\r');
    std::cout << page;
}

int main(int argc, char** argv) {
    try {
        aio::run(amain(argc > 1 ? argv[1] : "", argc > 2 ? argv[2] : "/"));
    } catch (const std::exception& e) { // "connect to ...: Connection refused"
        std::cerr << "http_get: " << e.what() << '\n';
        return 1;
    }
}
