// SPDX-License-Identifier: BSL-1.0

// A server that ends well: the first signal stops what is new and lets what has begun end, for a time; the second does
// not wait.
//
// With an argument it sends the signal to itself after so many seconds; without one it waits for your Ctrl-C.
//
//     c++ -std=c++20 -pthread -Iinclude examples/signals_graceful_shutdown.cpp -o signals_graceful_shutdown
//
// Run: ./signals_graceful_shutdown 0.1
// Prints:
//   serving; Ctrl-C ends it
//   signal 15: no more clients
//   the last answer: done
//   ended
//
// Read next: custom_carrier.cpp

#include <asynchio/combine.hpp>
#include <asynchio/io.hpp>
#include <asynchio/task.hpp>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>

namespace aio = asynchio;
using namespace std::chrono_literals;

aio::task<> answer_slowly(aio::stream client) {
    co_await client.read_line();
    co_await aio::sleep(300ms);
    co_await client.write("done\n");
}

aio::task<> client(int port) {
    aio::stream server = co_await aio::open_connection("localhost", port);
    co_await server.write("please\n");
    const std::string line = co_await server.read_line();
    std::cout << "the last answer: " << line;
}

aio::task<> amain(double seconds) {
    aio::signal_set signals(SIGINT, SIGTERM); // from here on they end nothing by themselves
    aio::server server = co_await aio::start_server(answer_slowly, "localhost", 0);
    if (seconds > 0) {
        aio::create_task(client(server.port()));
        aio::get_running_loop().call_later(std::chrono::duration<double>(seconds), [] { std::raise(SIGTERM); });
    }
    std::cout << "serving; Ctrl-C ends it" << std::endl;
    const int number = co_await signals.wait();
    std::cout << "signal " << number << ": no more clients" << std::endl;
    server.close();
    co_await aio::race(server.wait_closed(), signals.wait(), aio::sleep(10s));
    co_await server.aclose(); // whoever is left is cancelled
    std::cout << "ended\n";
}

int main(int argc, char** argv) { aio::run(amain(argc > 1 ? std::atof(argv[1]) : 0)); }
