// SPDX-License-Identifier: BSL-1.0

#include <asynchio/thread/threadsafe_queue.hpp>

// Everything that crosses threads, all at once: nothing is lost, and nothing comes twice. For ThreadSanitizer above all;
// wake_up.test.cpp aims at single wake-ups, interleavings.test.cpp goes through all orders of small models.

#include "support/catch.hpp"
#include "support/tally.hpp"
#include "support/threads.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/thread/loop_group.hpp>
#include <asynchio/thread/run_in_executor.hpp>
#include <asynchio/thread/to_thread.hpp>
#include <asynchio/thread/wrap_future.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// Puts `item` in one of the ways of a thread.
void put_somehow(aio::threadsafe_queue<int>& queue, int item) {
    switch (item % 3) {
    case 0: return queue.blocking_put(item);
    case 1:
        while (!queue.blocking_put_for(item, 50us)) {}
        return;
    default:
        if (!queue.try_put(item)) queue.blocking_put(item);
    }
}

/// Takes an item in one of the ways of a thread; empty at the end.
std::optional<int> get_somehow(aio::threadsafe_queue<int>& queue, int turn) {
    try {
        switch (turn % 3) {
        case 0: return queue.blocking_next();
        case 1:
            for (;;)
                if (const auto item = queue.blocking_get_for(50us)) return item;
        default:
            if (const auto item = queue.try_get()) return item;
            return queue.blocking_get();
        }
    } catch (const aio::queue_shut_down&) {
        return std::nullopt;
    }
}

} // namespace

TEST_CASE("stress: four threads and two loops, a million operations, nothing lost or doubled", "[TS-1][TS-4][stress]") {
    // Items go from two threads through one of two loops to two other threads: four operations each.
    const int items = 200'000;
    const int calls = 15'000;     // of each thread to each loop
    const int coroutines = 5'000; // the same
    const int jobs = 20'000;      // of each loop
    constexpr int threads = 4;
    constexpr int loops_used = 2;
    const audited afterwards;
    const watchdog guard;

    aio::threadsafe_queue<int> up(64);
    aio::threadsafe_queue<int> down(64);
    tally seen(items);
    tally called(calls * threads * loops_used);
    tally begun(coroutines * threads * loops_used);
    tally worked(jobs * loops_used);
    std::atomic<int> answers = 0;
    std::atomic<int> results = 0;
    {
        aio::loop_group loops(loops_used);
        std::vector<aio::concurrent_future<>> ends;
        for (int l = 0; l < loops_used; ++l) {
            for (int task = 0; task < 3; ++task) {
                ends.push_back(loops.submit(static_cast<std::size_t>(l), [&]() -> aio::task<> {
                    while (const auto item = co_await up.next()) co_await down.put(*item);
                }));
            }
            ends.push_back(loops.submit(static_cast<std::size_t>(l), [&, l]() -> aio::task<> {
                for (int i = 0; i < jobs; ++i) {
                    const int which = l * jobs + i;
                    const auto job = [&worked, which] {
                        worked.count(which);
                        return 1;
                    };
                    results += co_await aio::to_thread(job);
                }
            }));
        }

        std::vector<std::thread> users;
        for (int mine = 0; mine < threads; ++mine) {
            users.emplace_back([&, mine] {
                std::vector<aio::concurrent_future<int>> pending;
                const auto collect = [&] {
                    for (const auto& each : pending) answers += each.get();
                    pending.clear();
                };
                const auto disturb = [&](int turn) {
                    for (int l = 0; l < loops_used; ++l) {
                        const int base = (mine * loops_used + l);
                        if (turn < calls) {
                            const int which = base * calls + turn;
                            loops.loop(static_cast<std::size_t>(l)).call_soon_threadsafe([&called, which] {
                                called.count(which);
                            });
                        }
                        if (turn < coroutines) {
                            const int which = base * coroutines + turn;
                            pending.push_back(aio::run_coroutine_threadsafe(
                                [&begun, which]() -> aio::task<int> {
                                    begun.count(which);
                                    co_await aio::yield();
                                    co_return 1;
                                },
                                loops.loop(static_cast<std::size_t>(l))));
                        }
                    }
                    if (pending.size() >= 64) collect();
                };
                int turn = 0;
                if (mine < 2) {
                    for (int i = mine; i < items; i += 2) {
                        put_somehow(up, i);
                        disturb(turn++);
                    }
                } else {
                    while (const auto item = get_somehow(down, turn)) {
                        seen.count(*item);
                        disturb(turn++);
                    }
                }
                while (turn < std::max(calls, coroutines)) disturb(turn++);
                collect();
            });
        }
        users[0].join();
        users[1].join();
        up.shutdown();
        for (const auto& each : ends) each.get();
        down.shutdown();
        users[2].join();
        users[3].join();
    }
    CHECK(seen.wrong() == 0);
    CHECK(called.wrong() == 0);
    CHECK(begun.wrong() == 0);
    CHECK(worked.wrong() == 0);
    CHECK(answers == coroutines * threads * loops_used);
    CHECK(results == jobs * loops_used);
}

TEST_CASE("stress: consumers that are cancelled all the time lose nothing of what threads put", "[Q-6][stress]") {
    const int items = rounds(100'000);
    const audited afterwards;
    const watchdog guard;
    aio::threadsafe_queue<int> queue(8);
    tally seen(items);
    {
        aio::loop_group loops(2);
        const auto consumer = [&]() -> aio::task<bool> {
            const auto item = co_await queue.next();
            if (item) seen.count(*item);
            co_return item.has_value();
        };
        const auto churn = [&](unsigned seed) -> aio::task<> {
            std::mt19937 random(seed);
            std::vector<aio::task_handle<bool>> tasks;
            for (bool more = true; more;) {
                while (tasks.size() < 6) tasks.push_back(aio::create_task(consumer));
                co_await aio::yield();
                tasks[random() % tasks.size()].cancel();
                if (random() % 2 == 0) co_await aio::yield();
                for (std::size_t i = tasks.size(); i-- > 0;) {
                    if (!tasks[i].done()) continue;
                    more = more && (tasks[i].cancelled() || tasks[i].result());
                    tasks.erase(tasks.begin() + static_cast<std::ptrdiff_t>(i));
                }
            }
            for (const auto& each : tasks) static_cast<void>(co_await aio::nothrow(each));
        };
        const auto first = loops.submit(0, churn, 1U);
        const auto second = loops.submit(1, churn, 2U);
        std::vector<std::thread> users;
        for (int mine = 0; mine < 4; ++mine) {
            users.emplace_back([&, mine] {
                for (int i = mine; i < items; i += 4) put_somehow(queue, i);
            });
        }
        for (std::thread& each : users) each.join();
        queue.shutdown();
        first.get();
        second.get();
    }
    CHECK(seen.wrong() == 0);
    CHECK(queue.size() == 0);
}

TEST_CASE("stress: producers that are cancelled all the time double nothing, and what they put arrives",
          "[Q-7][stress]") {
    const int items = rounds(60'000);
    const audited afterwards;
    const watchdog guard;
    aio::threadsafe_queue<int> queue(2);
    tally seen(2 * items);
    tally put(2 * items);
    {
        aio::loop_group loops(2);
        const auto producer = [&](int item) -> aio::task<> {
            co_await queue.put(item);
            put.count(item);
        };
        const auto churn = [&](int from) -> aio::task<> {
            std::mt19937 random(static_cast<unsigned>(from + 1));
            for (int i = from; i < from + items;) {
                std::array<aio::task_handle<>, 4> tasks;
                for (auto& each : tasks) each = aio::create_task(producer(i++));
                for (auto pause = random() % 3; pause > 0; --pause) co_await aio::yield();
                tasks[random() % 4].cancel();
                for (const auto& each : tasks) static_cast<void>(co_await aio::nothrow(each));
            }
        };
        const auto first = loops.submit(0, churn, 0);
        const auto second = loops.submit(1, churn, items);
        std::vector<std::thread> users;
        for (int mine = 0; mine < 4; ++mine) {
            users.emplace_back([&, mine] {
                int turn = mine;
                while (const auto item = get_somehow(queue, turn++)) seen.count(*item);
            });
        }
        first.get();
        second.get();
        queue.shutdown();
        for (std::thread& each : users) each.join();
    }
    int doubled = 0;
    int lost = 0;
    for (int i = 0; i < 2 * items; ++i) {
        if (seen.times(i) > 1) ++doubled;
        if (put.times(i) == 1 && seen.times(i) == 0) ++lost;
    }
    CHECK(doubled == 0);
    CHECK(lost == 0);
}

TEST_CASE("stress: queues that are closed while both sides work let everybody go", "[Q-17][stress]") {
    const int turns = rounds(2'000);
    const audited afterwards;
    const watchdog guard;
    aio::loop_group loops(2);
    for (int turn = 0; turn < turns; ++turn) {
        aio::threadsafe_queue<int> queue(1 + static_cast<std::size_t>(turn) % 3);
        std::atomic<int> in = 0;
        std::atomic<int> out = 0;
        const auto produce = [&]() -> aio::task<> {
            try {
                for (;;) {
                    co_await queue.put(1);
                    ++in;
                }
            } catch (const aio::queue_shut_down&) {}
        };
        const auto consume = [&]() -> aio::task<> {
            while (const auto item = co_await queue.next()) out += *item;
        };
        const auto one = loops.submit(0, produce);
        const auto two = loops.submit(1, consume);
        std::thread putter([&] {
            try {
                for (;;) {
                    queue.blocking_put(1);
                    ++in;
                }
            } catch (const aio::queue_shut_down&) {}
        });
        std::thread getter([&] {
            while (const auto item = queue.blocking_next()) out += *item;
        });
        while (out < turn % 8) std::this_thread::yield();
        queue.shutdown();
        putter.join();
        getter.join();
        one.get();
        two.get();
        REQUIRE(in == out);
    }
}

TEST_CASE("stress: loops that end while their tasks wait in a queue leave it to the others", "[stress]") {
    const int turns = rounds(1'000);
    const int items = 200;
    const audited afterwards;
    const watchdog guard;
    for (int turn = 0; turn < turns; ++turn) {
        aio::threadsafe_queue<int> queue(4);
        tally seen(items);
        std::optional<aio::loop_group> ending(std::in_place, 1U);
        std::vector<aio::concurrent_future<>> consumers;
        for (int i = 0; i < 3; ++i) {
            consumers.push_back(ending->submit([&]() -> aio::task<> {
                while (const auto item = co_await queue.next()) seen.count(*item);
            }));
        }
        std::thread putter([&] {
            for (int i = 0; i < items; ++i) put_somehow(queue, i);
            queue.shutdown();
        });
        std::thread getter([&] {
            int n = turn;
            while (const auto item = get_somehow(queue, n++)) seen.count(*item);
        });
        take_a_moment(turn % 32);
        ending.reset();
        putter.join();
        getter.join();
        REQUIRE(seen.wrong() == 0);
    }
}

TEST_CASE("stress: a pool that is closed while two loops give it work runs what it took, once", "[stress]") {
    const int turns = rounds(1'000);
    const int jobs = 64; // of each loop
    const audited afterwards;
    const watchdog guard;
    aio::loop_group loops(2);
    for (int turn = 0; turn < turns; ++turn) {
        aio::thread_pool pool(2);
        tally ran(2 * jobs);
        std::array<int, 2> taken{};
        const auto give = [&](std::size_t side) -> aio::task<> {
            std::vector<aio::future<>> given;
            for (int i = 0; i < jobs; ++i) {
                const int which = static_cast<int>(side) * jobs + i;
                try {
                    given.push_back(aio::run_in_executor(pool, [&ran, which] { ran.count(which); }));
                } catch (const std::logic_error&) {
                    break;
                }
                ++taken[side];
                if (i % 8 == 7) co_await aio::yield();
            }
            for (const auto& each : given) co_await each;
        };
        const auto one = loops.submit(0, give, std::size_t(0));
        const auto two = loops.submit(1, give, std::size_t(1));
        take_a_moment(turn % 64);
        loops.submit(0, [&pool]() -> aio::task<> { co_await pool.aclose(); }).get();
        one.get();
        two.get();
        for (std::size_t side = 0; side < 2; ++side)
            for (int i = 0; i < jobs; ++i)
                REQUIRE(ran.times(static_cast<int>(side) * jobs + i) == (i < taken[side] ? 1 : 0));
    }
}
