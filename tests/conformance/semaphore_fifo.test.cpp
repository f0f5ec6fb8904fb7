// SPDX-License-Identifier: BSL-1.0

// At most so many at a time, first come, first served; a newcomer does not overtake who waits, even when a permit has
// just come back.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<> worker(aio::semaphore& sem, std::string name, aio::duration hold) {
    auto body = [&]() -> aio::task<> {
        print(name, "in");
        co_await aio::sleep(hold);
        print(name, "out");
    };
    co_await aio::with(sem, body);
}

aio::task<> amain() {
    aio::semaphore sem(2);
    std::vector<aio::task_handle<>> ts;
    ts.push_back(aio::create_task(worker(sem, "a", 40ms)));
    ts.push_back(aio::create_task(worker(sem, "b", 120ms)));
    ts.push_back(aio::create_task(worker(sem, "c", 120ms)));
    ts.push_back(aio::create_task(worker(sem, "d", 80ms)));
    co_await aio::sleep(0s);
    print("locked:", sem.locked());
    co_await aio::gather(ts);
    print("locked:", sem.locked());
    co_await sem.acquire();
    co_await sem.acquire();
    auto w = aio::create_task(worker(sem, "waiter", 0s));
    co_await aio::sleep(0s);
    sem.release();
    print("released, but reserved for the waiter, locked:", sem.locked());
    auto n = aio::create_task(worker(sem, "newcomer", 0s));
    sem.release();
    co_await aio::gather(w, n);
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
