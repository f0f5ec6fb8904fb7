// SPDX-License-Identifier: BSL-1.0

// Other programs: their input and output as streams, their end awaited, killed when they take too long.
//
//     c++ -std=c++20 -pthread -Iinclude examples/subprocess_communicate.cpp -o subprocess_communicate
//
// Run: ./subprocess_communicate
// Prints:
//   sort says: apple pear plum
//   line: one
//   line: two
//   ended with status 3
//   sleep took too long and was ended by signal 15
//   start '/no/such/program': No such file or directory
//
// Read next: datagram_echo.cpp

#include <asynchio/combine.hpp>
#include <asynchio/io.hpp>
#include <asynchio/task.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <string>
#include <system_error>

namespace aio = asynchio;
using namespace std::chrono_literals;

aio::task<> amain() {
    aio::process_options pipes; // what is not said is inherited
    pipes.in = pipes.out = aio::subprocess::pipe;

    aio::process sort = co_await aio::create_subprocess("sort", pipes);
    aio::process_output result = co_await sort.communicate("plum\napple\npear\n"); // writes and reads at once
    result.out.pop_back();
    std::replace(result.out.begin(), result.out.end(), '\n', ' ');
    std::cout << "sort says: " << result.out << '\n';

    aio::process shell = co_await aio::create_subprocess_shell("echo one; echo two; exit 3", pipes);
    for (std::string line; !(line = co_await shell.out().read_line()).empty();) std::cout << "line: " << line;
    const int status = co_await shell.wait();
    std::cout << "ended with status " << status << '\n';

    aio::process sleep = co_await aio::create_subprocess("sleep", "60");
    try {
        co_await aio::wait_for(sleep.wait(), 50ms); // ends the waiting only
    } catch (const aio::timeout_error&) {
        sleep.terminate();
    }
    const int signal = -co_await sleep.wait();
    std::cout << "sleep took too long and was ended by signal " << signal << '\n';

    try {
        co_await aio::create_subprocess("/no/such/program");
    } catch (const std::system_error& e) {
        std::cout << e.what() << '\n';
    }
}

int main() { aio::run(amain()); }
