// SPDX-License-Identifier: BSL-1.0

// A cancelled getter loses no item: if put_nowait had woken it, the item stays and the next getter is woken.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<> getter(aio::queue<std::string>& q, std::string name) {
    try {
        const std::string item = co_await q.get();
        print(name, "got", item);
    } catch (const aio::cancelled_error&) {
        print(name, "cancelled, size:", q.size());
        throw;
    }
}

aio::task<> amain() {
    aio::queue<std::string> q;
    auto a = aio::create_task(getter(q, "a"));
    auto b = aio::create_task(getter(q, "b"));
    auto c = aio::create_task(getter(q, "c"));
    co_await aio::sleep(0s);
    a.cancel(); // still waiting
    co_await aio::sleep(0s);
    q.put_nowait("item 1"); // wakes b ...
    b.cancel();             // ... who is cancelled before it runs
    co_await aio::wait(b, c);
    try {
        co_await aio::wait_for(q.get(), 40ms);
    } catch (const aio::timeout_error&) {
        print("TimeoutError on the empty queue");
    }
    q.put_nowait("item 2");
    const std::string item = co_await q.get();
    print("nothing lost:", item, "size:", q.size());
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
