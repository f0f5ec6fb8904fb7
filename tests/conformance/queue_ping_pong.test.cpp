// SPDX-License-Identifier: BSL-1.0

// put() waits while the queue is full, get() while it is empty; how a producer and a consumer take turns at a queue of
// one place.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

using queue = aio::queue<std::optional<int>>;

aio::task<> producer(queue& q) {
    for (int i = 0; i < 4; ++i) {
        print("put", i, "full:", q.full());
        co_await q.put(i);
    }
    co_await q.put(std::nullopt);
    print("producer end");
}

aio::task<> consumer(queue& q) {
    while (true) {
        const std::optional<int> item = co_await q.get();
        if (!item) break;
        print("got", *item, "size:", q.size());
    }
    print("consumer end");
}

aio::task<> amain() {
    queue q(1);
    co_await aio::gather(producer(q), consumer(q));
    print("--- consumer first");
    queue other(1);
    co_await aio::gather(consumer(other), producer(other));
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
