// SPDX-License-Identifier: BSL-1.0

// What blocks the loop? While a task computes, or sleeps in a system call, nothing else runs. A watchdog tells which task
// that is, where it stands, and what it does, while it does it, in every build. The loop pays nothing for it.
//
//     c++ -std=c++20 -pthread -rdynamic -Iinclude examples/who_blocks_the_loop.cpp -o who_blocks_the_loop
//
// Run: ./who_blocks_the_loop
// Prints:
//   parser computes
//       handle who_blocks_the_loop.cpp:58
//       parse who_blocks_the_loop.cpp:49
//   logger sleeps in clock_nanosleep
//       save who_blocks_the_loop.cpp:54
//
// Without a handler, the watchdog prints whole reports to stderr, with the functions that run; these have names in a
// program that was linked with -rdynamic:
//
//   asynchio: parser has held up the loop for 102 ms; it had the processor for 101 ms of them
//     awaits, the last line being where its step began:
//       handle who_blocks_the_loop.cpp:58
//       parse who_blocks_the_loop.cpp:49
//     runs, the innermost first:
//       check_signature
//
// A program that includes asynchio/debug/tools.hpp in one of its files gets that without another line: start it with
// ASYNCHIO_WATCHDOG=100ms in the environment.
//
// Read next: to_thread_blocking.cpp

#include <asynchio/debug/watchdog.hpp>
#include <asynchio/task.hpp>

#include <chrono>
#include <iostream>
#include <string_view>
#include <thread>

namespace aio = asynchio;
using namespace std::chrono_literals;

/// Something that takes long, and gives no way.
void check_signature() {
    const auto end = std::chrono::steady_clock::now() + 600ms;
    while (std::chrono::steady_clock::now() < end) {}
}

aio::task<> parse() {
    co_await aio::yield();
    check_signature();
}

aio::task<> save() {
    co_await aio::yield();
    std::this_thread::sleep_for(600ms); // aio::sleep would let others run
}

aio::task<> handle() { co_await parse(); }

/// The watchdog calls this on its own thread. Paths depend on how a program was compiled, so only names are printed.
void print(const aio::debug::stall_report& report) {
    const std::string_view call = report.system_call;
    std::cout << report.what;
    if (call.empty())
        std::cout << " computes\n";
    else
        std::cout << " sleeps in " << call.substr(0, call.find('(')) << '\n';
    for (const auto& line : report.awaits) {
        const std::string_view file = line.file_name();
        std::cout << "    " << aio::debug::function_name(line) << ' ' << file.substr(file.rfind('/') + 1) << ':'
                  << line.line() << '\n';
    }
}

aio::task<> amain() {
    const aio::debug::watchdog dog(200ms, &print);
    co_await aio::create_task(handle(), "parser");
    co_await aio::create_task(save(), "logger");
}

int main() { aio::run(amain()); }
