// SPDX-License-Identifier: BSL-1.0

// A priority_queue gives the smallest item, a lifo_queue the newest; with a getter that waits already, the item is
// chosen when the getter runs, not when it is woken.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

template<class Queue>
aio::task<> getter(Queue& q) {
    const int item = co_await q.get();
    print("waiting getter got", item);
}

template<class Queue>
aio::task<> wake_and_put() {
    Queue q;
    auto t = aio::create_task(getter(q));
    co_await aio::sleep(0s);
    q.put_nowait(7); // wakes the getter
    q.put_nowait(4); // arrives before the getter runs
    co_await t;
    print("left", q.get_nowait());
}

aio::task<> amain() {
    aio::priority_queue<std::pair<int, std::string>> q;
    q.put_nowait({5, "e"});
    q.put_nowait({1, "a"});
    q.put_nowait({3, "c"});
    q.put_nowait({1, "b"});
    while (!q.empty()) print("priority", python::repr(q.get_nowait()));
    aio::lifo_queue<int> s;
    for (int i = 0; i < 3; ++i) s.put_nowait(i);
    std::vector<int> taken;
    while (!s.empty()) {
        const int item = co_await s.get();
        taken.push_back(item);
    }
    print("lifo", taken);
    co_await wake_and_put<aio::priority_queue<int>>();
    co_await wake_and_put<aio::lifo_queue<int>>();
    co_await wake_and_put<aio::queue<int>>();
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
