// SPDX-License-Identifier: BSL-1.0

// create_task(eager, ...) runs a task at once, up to its first suspension. A task that finds its answer without waiting,
// as in a cache, is done before create_task returns.
//
//     c++ -std=c++20 -pthread -Iinclude examples/eager_tasks.cpp -o eager_tasks
//
// Run: ./eager_tasks
// Prints:
//   lazy: done at once? no
//   eager, not in the cache: done at once? no
//   eager, in the cache: done at once? yes
//   cost: 100 100 100
//
// Read next: virtual_time_testing.cpp

#include <asynchio/task.hpp>

#include <chrono>
#include <iostream>
#include <map>
#include <string>

namespace aio = asynchio;
using namespace std::chrono_literals;

class price_list {
public:
    aio::task<int> price_of(std::string thing) {
        if (const auto known = cache_.find(thing); known != cache_.end()) co_return known->second;
        co_await aio::sleep(10ms); // asks somebody
        co_return cache_[thing] = 100;
    }

private:
    std::map<std::string, int> cache_;
};

void report(const char* what, const aio::task_handle<int>& handle) {
    std::cout << what << ": done at once? " << (handle.done() ? "yes\n" : "no\n");
}

aio::task<> shop() {
    price_list prices;
    const auto lazy = aio::create_task(prices.price_of("tea"));
    report("lazy", lazy);
    const auto unknown = aio::create_task(aio::eager, prices.price_of("tea"));
    report("eager, not in the cache", unknown);
    const int first = co_await lazy;
    const int second = co_await unknown;
    const auto known = aio::create_task(aio::eager, prices.price_of("tea"));
    report("eager, in the cache", known);
    std::cout << "cost: " << first << ' ' << second << ' ' << known.result() << '\n';
}

int main() { aio::run(shop()); }
