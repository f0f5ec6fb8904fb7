// SPDX-License-Identifier: BSL-1.0

// for_each_cancellation runs a scenario again and again, and cancels it after its first step, its second, and so on. It
// finds the cleanup that is missing at the one point where nobody tried.
//
//     c++ -std=c++20 -pthread -Iinclude examples/for_each_cancellation_testing.cpp -o for_each_cancellation_testing
//
// Run: ./for_each_cancellation_testing
// Prints:
//   careful: 5 of 5 cancellations went well
//   careless: the account is locked for ever, after the cancellation at point 3
//
// Read next: dump_tasks_when_stuck.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>
#include <asynchio/testing.hpp>

#include <chrono>
#include <iostream>
#include <stdexcept>
#include <string>

namespace aio = asynchio;
using namespace std::chrono_literals;

struct account {
    bool locked = false;
};

aio::task<> lock(account& a) {
    co_await aio::sleep(1ms);
    a.locked = true;
}

aio::task<> unlock(account& a) {
    a.locked = false;
    co_await aio::yield();
}

aio::task<> pay() { co_await aio::sleep(5ms); }

aio::task<> transfer_carelessly(account& a) {
    co_await lock(a);
    co_await pay(); // cancelled here, it leaves the account locked
    co_await unlock(a);
}

aio::task<> transfer_carefully(account& a) {
    co_await lock(a);
    co_await aio::finally(pay(), [&a] { return unlock(a); });
}

void test(const std::string& name, aio::task<> (*transfer)(account&)) {
    account a;
    int runs = 0;
    const auto scenario = [&]() -> aio::task<> {
        if (a.locked)
            throw std::logic_error("the account is locked for ever, after the cancellation at point " +
                                   std::to_string(runs));
        ++runs;
        return transfer(a);
    };
    try {
        const auto report = aio::testing::for_each_cancellation(scenario);
        std::cout << name << ": " << report.cancelled << " of " << report.points << " cancellations went well\n";
    } catch (const std::logic_error& e) {
        std::cout << name << ": " << e.what() << '\n';
    }
}

int main() {
    test("careful", transfer_carefully);
    test("careless", transfer_carelessly);
}
