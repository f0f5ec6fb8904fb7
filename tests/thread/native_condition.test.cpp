// SPDX-License-Identifier: BSL-1.0
#include <asynchio/thread/detail/native_condition.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

using asynchio::detail::native_condition;
using asynchio::detail::steady_now;
using namespace std::chrono_literals;

TEST_CASE("native_condition: a thread waits until what it waits for holds") {
    std::mutex mutex;
    native_condition changed;
    int turn = 0;
    std::vector<int> order;
    {
        std::vector<std::jthread> threads;
        for (const int mine : {2, 1, 0})
            threads.emplace_back([&, mine] {
                std::unique_lock lock(mutex);
                changed.wait(lock, [&] { return turn == mine; });
                order.push_back(mine);
                ++turn;
                changed.notify_all();
            });
    }
    CHECK(order == std::vector<int>{0, 1, 2});
}

TEST_CASE("native_condition: one thread is woken by notify_one") {
    std::mutex mutex;
    native_condition changed;
    bool told = false;
    std::jthread waits([&] {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return told; });
    });
    {
        const std::unique_lock lock(mutex);
        told = true;
    }
    changed.notify_one();
    waits.join();
    CHECK(told);
}

TEST_CASE("native_condition: a time limit ends the wait, and not before it", "[time]") {
    std::mutex mutex;
    native_condition changed;
    std::unique_lock lock(mutex);
    const auto end = steady_now() + asynchio::duration(20ms).count();
    CHECK_FALSE(changed.wait_until(lock, end, [] { return false; }));
    CHECK(steady_now() >= end);
    CHECK(lock.owns_lock());
    CHECK(changed.wait_until(lock, end, [] { return true; }));
    CHECK_FALSE(changed.wait_until(lock, -5, [] { return false; }));
    bool told = false;
    std::jthread tells([&] {
        const std::unique_lock its(mutex);
        told = true;
        changed.notify_all();
    });
    CHECK(changed.wait_until(lock, steady_now() + asynchio::duration(1h).count(), [&] { return told; }));
}
