// SPDX-License-Identifier: BSL-1.0

// map_ordered and map_unordered call an asynchronous function for each item of a range or stream, with at most so many
// calls at a time: in the order of the items, or as they end. A slow consumer holds them up; a failure stops them all.
//
//     c++ -std=c++20 -pthread -Iinclude examples/map_with_limit.cpp -o map_with_limit
//
// Run: ./map_with_limit
// Prints:
//   in order: a:50 b:10 c:30 d:20, at most 2 at a time
//   as they come: b:10 c:30 a:50 d:20
//   stopped: no such page: bad
//
// Read next: task_local_logging.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>
#include <asynchio/testing.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;

int under_way = 0;
int most_under_way = 0;

/// Takes as long as the page is large.
aio::task<std::string> fetch(std::string name) {
    const int size = name == "a" ? 50 : name == "b" ? 10 : name == "c" ? 30 : name == "d" ? 20 : 0;
    most_under_way = std::max(most_under_way, ++under_way);
    co_await aio::sleep(std::chrono::milliseconds(size));
    --under_way;
    if (size == 0) throw std::runtime_error("no such page: " + name);
    co_return name + ':' + std::to_string(size);
}

aio::task<> show() {
    const std::vector<std::string> names{"a", "b", "c", "d"};
    std::cout << "in order:";
    auto ordered = aio::map_ordered(names, fetch, 2);
    while (const auto page = co_await ordered.next()) std::cout << ' ' << *page;
    std::cout << ", at most " << most_under_way << " at a time\n";

    std::cout << "as they come:";
    auto unordered = aio::map_unordered(names, fetch, 2);
    while (const auto page = co_await unordered.next()) std::cout << ' ' << *page;
    std::cout << '\n';

    const std::vector<std::string> wrong{"a", "bad", "c"};
    auto failing = aio::map_ordered(wrong, fetch, 2);
    try {
        while (const auto page = co_await failing.next()) std::cout << *page << '\n';
    } catch (const std::runtime_error& e) {
        std::cout << "stopped: " << e.what() << '\n';
    }
}

int main() {
    aio::run(show(), aio::testing::virtual_clock()); // so that the order is exact
}
