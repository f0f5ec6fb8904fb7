// SPDX-License-Identifier: BSL-1.0

// next() moves an item out; one that cannot be moved is given as a reference.

// expect: next\(\) moves the item out, which cannot be moved

#include <asynchio/task/async_generator.hpp>
#include <asynchio/task/task.hpp>

namespace aio = asynchio;

struct immovable {
    explicit immovable(int n) : value(n) {}
    immovable(immovable&&) = delete;
    int value;
};

#ifdef ASYNCHIO_CORRECT
aio::async_generator<immovable&> items() {
    immovable item(3);
    co_yield item;
}
#else
aio::async_generator<immovable> items() { co_yield immovable(3); }
#endif

aio::task<int> program() {
    auto all = items();
    const auto item = co_await all.next();
    co_return item ? item->value : 0;
}
