// SPDX-License-Identifier: BSL-1.0

// notify(n) wakes n tasks in order; one that was woken goes on only when the notifier has unlocked, one at a time;
// without the mutex it is misuse.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<> waiter(aio::condition& cond, std::string name) {
    const auto guard = co_await cond.scoped_acquire();
    print(name, "waits");
    co_await cond.wait();
    print(name, "woke, locked:", cond.locked());
}

aio::task<> amain() {
    aio::condition cond;
    std::vector<aio::task_handle<>> ts;
    for (const char* n : {"a", "b", "c", "d"}) ts.push_back(aio::create_task(waiter(cond, n)));
    co_await aio::sleep(20ms);
    for (const std::size_t n : {1U, 2U}) {
        auto body = [&]() -> aio::task<> {
            cond.notify(n);
            print("notified", n);
            co_await aio::sleep(20ms);
            print("notifier releases");
        };
        co_await aio::with(cond, body);
        co_await aio::sleep(20ms);
    }
    {
        const auto guard = co_await cond.scoped_acquire();
        cond.notify_all();
    }
    co_await aio::gather(ts);
    try {
        cond.notify();
    } catch (const std::logic_error&) {
        print("RuntimeError: notify without the lock");
    }
    try {
        cond.notify_all();
    } catch (const std::logic_error&) {
        print("RuntimeError: notify without the lock");
    }
    try {
        co_await cond.wait();
    } catch (const std::logic_error&) {
        print("RuntimeError: wait without the lock");
    }
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
