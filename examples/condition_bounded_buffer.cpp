// SPDX-License-Identifier: BSL-1.0

// A condition is a mutex and a line of tasks that wait until somebody has changed what it protects. wait_for looks
// again at each notification, and gives the mutex up meanwhile. Here: a buffer out of which two items come together.
//
//     c++ -std=c++20 -pthread -Iinclude examples/condition_bounded_buffer.cpp -o condition_bounded_buffer
//
// Run: ./condition_bounded_buffer
// Prints:
//   a pair: 0 1
//   a pair: 2 3
//   a pair: 4 5
//   the buffer never held more than 3
//
// Read next: barrier_phases.cpp

#include <asynchio/combine.hpp>
#include <asynchio/sync.hpp>
#include <asynchio/task.hpp>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <iostream>
#include <utility>

namespace aio = asynchio;

class pair_buffer {
public:
    aio::task<> put(int item) {
        const auto guard = co_await not_full_.scoped_acquire();
        auto room = [this] { return items_.size() < 3; };
        co_await not_full_.wait_for(room);
        items_.push_back(item);
        most_ = std::max(most_, items_.size());
        not_empty_.notify();
    }

    aio::task<std::pair<int, int>> take_two() {
        const auto guard = co_await not_empty_.scoped_acquire();
        auto two = [this] { return items_.size() >= 2; };
        co_await not_empty_.wait_for(two);
        const std::pair taken(items_[0], items_[1]);
        items_.erase(items_.begin(), items_.begin() + 2);
        not_full_.notify(2);
        co_return taken;
    }

    std::size_t most() const { return most_; }

private:
    aio::mutex lock_; // both conditions share it
    aio::condition not_full_{lock_};
    aio::condition not_empty_{lock_};
    std::deque<int> items_;
    std::size_t most_ = 0;
};

aio::task<> fill(pair_buffer& buffer) {
    for (int item = 0; item < 6; ++item) co_await buffer.put(item);
}

aio::task<> empty(pair_buffer& buffer) {
    for (int i = 0; i < 3; ++i) {
        const auto taken = co_await buffer.take_two();
        std::cout << "a pair: " << taken.first << ' ' << taken.second << '\n';
    }
}

aio::task<> show_buffer() {
    pair_buffer buffer;
    co_await aio::gather(fill(buffer), empty(buffer));
    std::cout << "the buffer never held more than " << buffer.most() << '\n';
}

int main() { aio::run(show_buffer()); }
