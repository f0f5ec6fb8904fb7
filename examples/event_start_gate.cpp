// SPDX-License-Identifier: BSL-1.0

// An event is a flag that tasks wait for. set() lets all of them go on, in the order in which they came; those
// that come later need not wait, until clear().
//
//     c++ -std=c++20 -pthread -Iinclude examples/event_start_gate.cpp -o event_start_gate
//
// Run: ./event_start_gate
// Prints:
//   ready
//   steady
//   go
//   Ann runs
//   Bob runs
//   Cid is late, and runs at once
//   closed again
//
// Read next: mutex_critical_section.cpp

#include <asynchio/combine.hpp>
#include <asynchio/sync.hpp>
#include <asynchio/task.hpp>

#include <chrono>
#include <iostream>
#include <string>

namespace aio = asynchio;
using namespace std::chrono_literals;

aio::task<> run_when_open(aio::event& gate, std::string name) {
    co_await gate.wait();
    std::cout << name << " runs\n";
}

aio::task<> start(aio::event& gate) {
    for (const char* word : {"ready", "steady", "go"}) {
        co_await aio::sleep(1ms);
        std::cout << word << '\n';
    }
    gate.set();
}

aio::task<> show_gate() {
    aio::event gate;
    co_await aio::gather(run_when_open(gate, "Ann"), run_when_open(gate, "Bob"), start(gate));
    co_await gate.wait(); // open: does not suspend
    std::cout << "Cid is late, and runs at once\n";
    gate.clear();
    std::cout << (gate.is_set() ? "open\n" : "closed again\n");
}

int main() { aio::run(show_gate()); }
