// SPDX-License-Identifier: BSL-1.0

#include <asynchio/thread/loop_group.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"
#include "support/threads.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/with.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>
#include <asynchio/testing/run_until_idle.hpp>
#include <asynchio/thread/threadsafe_queue.hpp>
#include <asynchio/thread/wrap_future.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

aio::task<std::thread::id> where() { co_return std::this_thread::get_id(); }

aio::task<int> plus(int a, std::unique_ptr<int> b) { co_return a + *b; }

} // namespace

// Construction

TEST_CASE("loop_group: has as many loops as asked for, each on a thread of its own") {
    const audited afterwards;
    const watchdog guard;
    aio::loop_group loops(3);
    CHECK(loops.size() == 3);
    std::set<std::thread::id> threads;
    for (std::size_t i = 0; i < 3; ++i) {
        threads.insert(loops.submit(i, where()).get());
        CHECK_FALSE(loops.loop(i).is_closed());
    }
    CHECK(threads.size() == 3);
    CHECK(threads.count(std::this_thread::get_id()) == 0);
    CHECK_FALSE(loops.loop(0) == loops.loop(1));
    CHECK(aio::loop_group::default_size() >= 1);
}

TEST_CASE("loop_group: no loops at all and loops that are not there are misuse") {
    CHECK_THROWS_AS(aio::loop_group(0), std::invalid_argument);
    aio::loop_group loops(2);
    CHECK_THROWS_AS(loops.loop(2), std::out_of_range);
    CHECK_THROWS_AS(loops.submit(2, where()), std::out_of_range);
    CHECK(contains(message_of([&] { loops.submit(5, where()); }), "no loop number 5 among 2"));
}

TEST_CASE("loop_group: one that nobody uses ends") {
    const audited afterwards;
    const watchdog guard;
    for (int i = 0; i < 20; ++i) const aio::loop_group loops(2);
}

TEST_CASE("loop_group: when there are no descriptors left, the constructor throws and leaves nothing behind") {
    if (sanitized) return; // the sanitizers open descriptors of their own
    const audited afterwards;
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const int next = ::dup(0);
    REQUIRE(next >= 0);
    ::close(next);
    rlimit tight = before;
    tight.rlim_cur = static_cast<rlim_t>(next) + 2;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
    bool threw = false;
    try {
        const aio::loop_group loops(8);
    } catch (const std::system_error&) {
        threw = true;
    }
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(threw);
}

TEST_CASE("loop_group: the options are those of each loop") {
    const watchdog guard;
    aio::loop_group loops(2, aio::testing::virtual_clock());
    const auto sleeper = []() -> aio::task<bool> {
        const auto begin = aio::clock::now();
        co_await aio::sleep(1000h);
        co_return aio::clock::now() - begin == 1000h;
    };
    const auto first = loops.submit(0, sleeper);
    const auto second = loops.submit(1, sleeper);
    CHECK(first.get());
    CHECK(second.get());
}

#if defined(__linux__)
TEST_CASE("loop_group: threads are named and take no signals") {
    aio::loop_group loops(2);
    const auto look = []() -> aio::task<std::string> {
        char name[16] = {};
        pthread_getname_np(pthread_self(), name, sizeof name);
        sigset_t blocked;
        pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
        co_return std::string(name) + (sigismember(&blocked, SIGINT) == 1 ? " deaf" : " hears");
    };
    CHECK(loops.submit(1, look).get() == "aio-loop-1 deaf");
    sigset_t mine;
    pthread_sigmask(SIG_SETMASK, nullptr, &mine);
    CHECK(sigismember(&mine, SIGINT) == 0);
}
#endif

// Giving tasks

TEST_CASE("loop_group: submit takes tasks, awaitables, and callables with arguments, which are called on the loop") {
    const watchdog guard;
    aio::loop_group loops(2);
    CHECK(loops.submit(0, gives(4)).get() == 4);
    CHECK(loops.submit(1, plus, 2, std::make_unique<int>(3)).get() == 5);
    loops.submit(1, aio::sleep(1ms)).get();
    const auto there = loops.submit(1, where()).get();
    const auto called_on = [owned = std::make_unique<int>(0)]() -> aio::task<std::thread::id> { return where(); };
    static_cast<void>(called_on);
    std::thread::id called;
    const auto callable = [&called]() -> aio::task<> {
        called = std::this_thread::get_id(); // no coroutine: it runs when it is called
        return aio::create_task([]() -> aio::task<> { co_return; }), ends_after(0s);
    };
    loops.submit(1, callable).get();
    CHECK(called == there);
}

TEST_CASE("loop_group: submit without a number goes round") {
    const watchdog guard;
    aio::loop_group loops(3);
    std::vector<std::thread::id> threads;
    for (int i = 0; i < 6; ++i) threads.push_back(loops.submit(where()).get());
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(threads[i] == threads[i + 3]);
        CHECK(threads[i] == loops.submit(i, where()).get());
    }
    CHECK(loops.submit(plus, 1, std::make_unique<int>(1)).get() == 2);
}

TEST_CASE("loop_group: what a task throws arrives in its future") {
    const watchdog guard;
    aio::loop_group loops(1);
    CHECK(message_of([&] { loops.submit(fails("over there")).get(); }) == "over there");
    CHECK(loops.submit(gives(1)).get() == 1);
}

TEST_CASE("loop_group: cancelling the future cancels the task") {
    const watchdog guard;
    aio::loop_group loops(1);
    std::atomic<bool> cancelled = false;
    gate started;
    gate ended;
    const auto sleeper = [&]() -> aio::task<> {
        started.open();
        try {
            co_await aio::sleep(1h);
        } catch (const aio::cancelled_error&) {
            cancelled = true;
            ended.open();
            throw;
        }
    };
    const auto future = loops.submit(0, sleeper);
    started.wait();
    CHECK(future.cancel());
    ended.wait();
    CHECK(cancelled);
}

TEST_CASE("loop_group: a loop that somebody stops goes on") {
    const watchdog guard;
    aio::loop_group loops(1);
    loops.loop(0).call_soon_threadsafe([] { aio::get_running_loop().stop(); });
    CHECK(loops.submit(0, gives(3)).get() == 3);
}

// The end

TEST_CASE("loop_group: close cancels what is left on every loop, waits for its cleanup, and joins") {
    const audited afterwards;
    const watchdog guard;
    std::atomic<int> cleaned = 0;
    aio::loop_group loops(3);
    std::vector<aio::concurrent_future<>> left;
    gate started;
    std::atomic<int> begun = 0;
    const auto stubborn = [&]() -> aio::task<> {
        if (++begun == 6) started.open();
        try {
            co_await aio::sleep(1h);
        } catch (const aio::cancelled_error&) {}
        co_await aio::sleep(5ms);
        ++cleaned;
        throw aio::cancelled_error();
    };
    for (int i = 0; i < 6; ++i) left.push_back(loops.submit(stubborn));
    started.wait();
    loops.close();
    CHECK(cleaned == 6);
    for (const auto& each : left) CHECK(each.cancelled());
    for (std::size_t i = 0; i < 3; ++i) CHECK(loops.loop(i).is_closed());
    loops.close();
}

TEST_CASE("loop_group: the destructor ends it, with a task that waits for another loop") {
    const audited afterwards;
    const watchdog guard;
    aio::concurrent_future<> waits;
    {
        aio::threadsafe_queue<int> queue(1);
        aio::loop_group loops(2);
        const auto waiting = [&]() -> aio::task<> { co_await queue.get(); };
        waits = loops.submit(0, waiting);
        loops.submit(1, waiting);
    }
    CHECK(waits.cancelled());
}

TEST_CASE("loop_group: submit after close is misuse, and frees what was given") {
    counted::reset();
    aio::loop_group loops(1);
    loops.close();
    const auto hold = [](counted held) -> aio::task<int> { co_return held.value; };
    CHECK_THROWS_AS(loops.submit(hold, counted(1)), std::logic_error);
    CHECK(contains(message_of([&] { loops.submit(0, gives(1)); }), "closed"));
    CHECK(counted::alive == 0);
}

TEST_CASE("loop_group: aclose ends it without blocking the running loop") {
    const watchdog guard;
    virtual_run([]() -> aio::task<> {
        aio::loop_group loops(2);
        gate go;
        const auto job = [&]() -> aio::task<> { co_await aio::to_thread([&go] { go.wait(); }); };
        const auto held = loops.submit(0, job);
        const auto closing = aio::create_task(loops.aclose());
        bool ran = false;
        const auto beside = [&]() -> aio::task<> {
            ran = true;
            go.open();
            co_return;
        };
        co_await beside();
        co_await closing;
        CHECK(ran);
        CHECK(held.done());
        co_await loops.aclose();
    });
}

TEST_CASE("loop_group: is a resource of with") {
    virtual_run([]() -> aio::task<> {
        aio::loop_group loops(2);
        const auto body = [&]() -> aio::task<int> { co_return co_await aio::wrap_future(loops.submit(0, gives(3))); };
        const int three = co_await aio::with(loops, body);
        CHECK(three == 3);
        CHECK(loops.loop(0).is_closed());
    });
}

TEST_CASE("loop_group: closing it on a thread that runs a loop is misuse") {
    virtual_run([]() -> aio::task<> {
        aio::loop_group loops(1);
        CHECK_THROWS_AS(loops.close(), std::logic_error);
        CHECK(contains(message_of([&] { loops.close(); }), "co_await aclose()"));
        const auto inside = [&loops]() -> aio::task<> { co_await loops.aclose(); };
        const auto refused = co_await aio::nothrow(aio::wrap_future(loops.submit(0, inside)));
        CHECK_THROWS_AS(refused.rethrow(), std::logic_error);
        co_await loops.aclose();
    });
}

TEST_CASE("loop_group: used and closed, cancelled at every step") {
    const auto scenario = []() -> aio::task<> {
        aio::loop_group loops(2);
        const auto body = [&]() -> aio::task<> {
            const int one = co_await aio::wrap_future(loops.submit(0, gives(1)));
            const int two = co_await aio::wrap_future(loops.submit(1, gives(2)));
            CHECK(one + two == 3);
        };
        // The other loops owe a result, which a virtual clock does not know of; a timer keeps the scenario from looking
        // stuck.
        const auto tick = aio::get_running_loop().call_later(1h, [] {});
        co_await aio::with(loops, body);
    };
    aio::testing::cancellation_plan plan;
    plan.options = {};
    const auto met = aio::testing::for_each_cancellation(scenario, plan);
    CHECK(met.points > 3);
    CHECK(met.failed == 0);
}

// A submit that was not refused is posted under the lock under which the end is: before it. So its task exists when
// what is left is cancelled.

TEST_CASE("loop_group: what is submitted while it closes runs, is cancelled, or is refused", "[stress]") {
    const audited afterwards;
    const watchdog guard;
    const int groups = rounds(400);
    for (int i = 0; i < groups; ++i) {
        std::optional<aio::loop_group> loops(std::in_place, 2U);
        std::atomic<int> taken = 0;
        std::atomic<int> ended = 0;
        gate begun;
        std::thread user([&] {
            std::vector<aio::concurrent_future<int>> given;
            begun.open();
            try {
                for (int n = 0; n < 500; ++n) {
                    given.push_back(loops->submit(gives(1)));
                    ++taken;
                }
            } catch (const std::logic_error&) { // refused
            }
            for (const auto& each : given) {
                try {
                    ended += each.get();
                } catch (const aio::cancelled_error&) {
                    ++ended;
                }
            }
        });
        begun.wait();
        take_a_moment(i % 64);
        loops->close();
        user.join();
        REQUIRE(taken == ended);
    }
}
