// SPDX-License-Identifier: BSL-1.0

// After shutdown(), puts that wait, and later ones, fail at once; what is in the queue can still be taken; then gets fail.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<> putter(aio::queue<std::string>& q, std::string item) {
    try {
        co_await q.put(item);
    } catch (const aio::queue_shut_down&) {
        print("blocked put of", item, "QueueShutDown");
    }
}

aio::task<> getter(aio::queue<std::string>& q) {
    try {
        const std::string item = co_await q.get();
        print("got", item);
    } catch (const aio::queue_shut_down&) {
        print("blocked get QueueShutDown");
    }
}

aio::task<> amain() {
    aio::queue<std::string> q(1);
    q.put_nowait("one");
    auto p = aio::create_task(putter(q, "two"));
    co_await aio::sleep(0s);
    q.shutdown();
    print("shutdown, size", q.size());
    co_await p;
    try {
        q.put_nowait("three");
    } catch (const aio::queue_shut_down&) {
        print("put_nowait QueueShutDown");
    }
    const std::string remaining = co_await q.get();
    print("remaining item:", remaining);
    try {
        co_await q.get();
    } catch (const aio::queue_shut_down&) {
        print("get QueueShutDown");
    }
    q.task_done();
    co_await q.join();
    print("joined");
    aio::queue<std::string> r;
    std::vector<aio::task_handle<>> gs;
    for (int i = 0; i < 2; ++i) gs.push_back(aio::create_task(getter(r)));
    co_await aio::sleep(0s);
    r.shutdown();
    co_await aio::gather(gs);
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
