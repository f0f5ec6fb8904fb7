// SPDX-License-Identifier: BSL-1.0

// A cancelled waiter leaves the line; if unlock() had woken it already, the mutex passes on to the next.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<> waiter(aio::mutex& lock, std::string name) {
    try {
        co_await lock.acquire();
    } catch (const aio::cancelled_error&) {
        print(name, "cancelled, locked:", lock.locked());
        throw;
    }
    print(name, "acquired");
    co_await aio::sleep(20ms);
    lock.release();
}

aio::task<> amain() {
    aio::mutex lock;
    co_await lock.acquire();
    std::vector<aio::task_handle<>> ts;
    for (const char* n : {"a", "b", "c", "d"}) ts.push_back(aio::create_task(waiter(lock, n)));
    co_await aio::sleep(0s);
    ts[1].cancel(); // still queued
    co_await aio::sleep(0s);
    lock.release(); // wakes a ...
    print("released, locked:", lock.locked());
    ts[0].cancel(); // ... who is cancelled before it runs
    co_await aio::wait(ts);
    std::string ends;
    for (std::size_t i = 0; i < ts.size(); ++i)
        ends += std::string(i == 0 ? "" : ", ") + "'" + "abcd"[i] + "': " + python::str(ts[i].cancelled());
    print("{" + ends + "}", "locked:", lock.locked());
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
