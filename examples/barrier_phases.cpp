// SPDX-License-Identifier: BSL-1.0

// Work in phases: nobody begins the next one before all have ended this one. wait() gives the order of arrival, so one
// of them, here the last, can do what is to be done once between the phases. abort() sends everybody home.
//
//     c++ -std=c++20 -pthread -Iinclude examples/barrier_phases.cpp -o barrier_phases
//
// Run: ./barrier_phases
// Prints:
//   phase 1: 3 parts done
//   phase 2: 6 parts done
//   the inspector aborts: worker 0, worker 1 go home
//
// Read next: producer_consumer.cpp

#include <asynchio/combine.hpp>
#include <asynchio/sync.hpp>
#include <asynchio/task.hpp>

#include <chrono>
#include <cstddef>
#include <iostream>
#include <string>
#include <tuple>

namespace aio = asynchio;
using namespace std::chrono_literals;

struct workshop {
    aio::barrier all{3};
    int parts = 0;
};

aio::task<> work(workshop& w, int speed) {
    for (int phase = 1; phase <= 2; ++phase) {
        co_await aio::sleep(speed * 1ms);
        ++w.parts;
        const std::size_t index = co_await w.all.wait();
        if (index + 1 == w.all.parties()) std::cout << "phase " << phase << ": " << w.parts << " parts done\n";
    }
}

aio::task<std::string> work_until_aborted(workshop& w, int number) {
    try {
        co_await w.all.wait();
    } catch (const aio::broken_barrier_error&) {
        co_return "worker " + std::to_string(number);
    }
    co_return "nobody";
}

aio::task<> inspect(workshop& w) {
    co_await aio::sleep(1ms);
    w.all.abort();
}

aio::task<> show_workshop() {
    workshop w;
    co_await aio::gather(work(w, 1), work(w, 2), work(w, 3));
    const auto gone = co_await aio::gather(work_until_aborted(w, 0), work_until_aborted(w, 1), inspect(w));
    std::cout << "the inspector aborts: " << std::get<0>(gone) << ", " << std::get<1>(gone) << " go home\n";
}

int main() { aio::run(show_workshop()); }
