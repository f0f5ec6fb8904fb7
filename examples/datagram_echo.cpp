// SPDX-License-Identifier: BSL-1.0

// Datagrams: each arrives whole or not at all, with the address of who sent it.
//
//     c++ -std=c++20 -pthread -Iinclude examples/datagram_echo.cpp -o datagram_echo
//
// Run: ./datagram_echo
// Prints:
//   one comes back as ONE
//   two comes back as TWO
//   nobody answers in time
//
// Read next: signals_graceful_shutdown.cpp

#include <asynchio/combine.hpp>
#include <asynchio/io.hpp>
#include <asynchio/task.hpp>

#include <cctype>
#include <chrono>
#include <iostream>
#include <span>
#include <string>

namespace aio = asynchio;
using namespace std::chrono_literals;

aio::task<> shout(aio::datagram_socket& socket) {
    char buffer[1500];
    for (;;) {
        const aio::datagram got = co_await socket.receive_from(buffer);
        for (char& c : std::span(buffer, got.size)) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
        co_await socket.send_to(std::span(buffer, got.size), got.from);
    }
}

aio::task<> ask(const aio::address& where) {
    aio::datagram_socket socket = aio::datagram_socket::connected(where);
    char buffer[1500];
    for (const char* word : {"one", "two"}) {
        co_await socket.send(word);
        const aio::datagram got = co_await socket.receive_from(buffer);
        std::cout << word << " comes back as " << std::string(buffer, got.size) << '\n';
    }
    try {
        co_await aio::wait_for(socket.receive_from(buffer), 20ms); // the network may lose what it likes
    } catch (const aio::timeout_error&) {
        std::cout << "nobody answers in time\n";
    }
}

aio::task<> amain() {
    aio::datagram_socket server = aio::datagram_socket::bound(aio::address::ip("127.0.0.1", 0));
    co_await aio::race(shout(server), ask(server.local_address())); // the server ends with the client
}

int main() { aio::run(amain()); }
