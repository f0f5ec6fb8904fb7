// SPDX-License-Identifier: BSL-1.0
// A loop whose tasks all wait, while nothing can wake them.
#include <asynchio/loop/event_loop.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/debug/watchdog.hpp>
#include <asynchio/sync/barrier.hpp>
#include <asynchio/sync/condition.hpp>
#include <asynchio/sync/event.hpp>
#include <asynchio/sync/mutex.hpp>
#include <asynchio/sync/queue.hpp>
#include <asynchio/sync/semaphore.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/thread/to_thread.hpp>

#include <chrono>
#include <csignal>
#include <functional>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace aio = asynchio;
using asynchio_tests::contains;
using asynchio_tests::message_of;
using asynchio_tests::virtual_run;
using namespace std::chrono_literals;

namespace {

/// Waits for an event that nobody sets.
aio::task<> waits_for_nothing() {
    aio::event never;
    co_await never.wait();
}

/// Two philosophers, each with one fork.
aio::task<> dines(aio::mutex& left, aio::mutex& right) {
    auto first = co_await left.scoped_acquire();
    co_await aio::yield();
    auto second = co_await right.scoped_acquire();
}
aio::task<> dine() {
    aio::mutex a;
    aio::mutex b;
    co_await aio::gather(dines(a, b), dines(b, a));
}

aio::task<> joins(aio::task_handle<>& other) {
    co_await aio::yield();
    co_await other;
}
aio::task<> wait_in_circle() {
    aio::task_handle<> one;
    aio::task_handle<> two = aio::create_task(joins(one));
    one = aio::create_task(joins(two));
    co_await one;
}

using shape = std::function<aio::task<>()>;

std::string error_of(const shape& main) {
    return message_of([&] { virtual_run(main()); });
}

/// What a loop in real time reports to its exception handler, which then lets `never` be set.
std::vector<std::string> reports_of(std::function<aio::task<>(aio::event&)> main) {
    std::vector<std::string> reports;
    aio::event_loop loop;
    aio::event never;
    loop.set_exception_handler([&](aio::event_loop& l, const aio::exception_context& context) {
        reports.push_back(context.message);
        l.call_soon([&] { never.set(); });
    });
    loop.run_until_complete(main(never));
    return reports;
}

} // namespace

TEST_CASE("deadlock: run throws in virtual time, and names each task with its line") {
    unsigned line = 0;
    const auto main = [&line]() -> aio::task<> {
        const auto handle = aio::create_task(waits_for_nothing(), "waiter");
        line = __LINE__ + 1;
        co_await handle;
    };
    const std::string error = error_of(main);
    CHECK(contains(error, "deadlock: all 2 tasks wait and nothing can wake them\n  Task-1 waits for task at "));
    CHECK(contains(error, "deadlock.test.cpp:" + std::to_string(line) + "\n  waiter waits for event at "));
}

TEST_CASE("deadlock: every shape of a certain one is reported") {
    const std::vector<shape> shapes = {
        [] { return waits_for_nothing(); },
        [] { return dine(); },
        [] { return wait_in_circle(); },
        []() -> aio::task<> { co_await aio::future<int>(); },
        []() -> aio::task<> {
            aio::mutex twice;
            auto first = co_await twice.scoped_acquire();
            auto second = co_await twice.scoped_acquire();
        },
        []() -> aio::task<> {
            aio::semaphore none(0);
            co_await none.acquire();
        },
        []() -> aio::task<> {
            aio::queue<int> empty;
            co_await empty.get();
        },
        []() -> aio::task<> {
            aio::queue<int> full(1);
            co_await full.put(1);
            co_await full.put(2);
        },
        []() -> aio::task<> {
            aio::queue<int> unfinished;
            co_await unfinished.put(1);
            co_await unfinished.join();
        },
        []() -> aio::task<> {
            aio::condition nobody_notifies;
            auto lock = co_await nobody_notifies.scoped_acquire();
            co_await nobody_notifies.wait();
        },
        []() -> aio::task<> {
            aio::barrier one_is_missing(2);
            co_await one_is_missing.wait();
        },
        []() -> aio::task<> { co_await aio::gather(waits_for_nothing(), aio::sleep(1s)); },
        []() -> aio::task<> {
            co_await aio::sleep(1h);
            co_await waits_for_nothing();
        },
        []() -> aio::task<> {
            co_await aio::to_thread([] {});
            co_await waits_for_nothing();
        },
        []() -> aio::task<> {
            const auto handle = aio::create_task(waits_for_nothing());
            co_await aio::sleep(1s);
            co_await handle;
        },
    };
    for (const shape& each : shapes) {
        INFO("shape " << &each - shapes.data());
        CHECK(contains(error_of(each), "nothing can wake them"));
    }
}

TEST_CASE("deadlock: what a timer, a thread or another holder of the loop can end is none") {
    virtual_run([]() -> aio::task<> { co_await aio::sleep(1h); });
    virtual_run([]() -> aio::task<> { co_await aio::to_thread([] { std::this_thread::yield(); }); });
    virtual_run([]() -> aio::task<> {
        aio::event later;
        std::thread other([ref = aio::get_running_loop().ref(), &later] {
            std::this_thread::yield();
            ref.call_soon_threadsafe([&later] { later.set(); });
        });
        co_await later.wait();
        other.join();
    });
    virtual_run([]() -> aio::task<> {
        aio::event later;
        aio::get_running_loop().add_signal_handler(SIGUSR1, [&later] { later.set(); });
        std::thread other([] { ::kill(::getpid(), SIGUSR1); });
        co_await later.wait();
        other.join();
    });
}

TEST_CASE("deadlock: tasks end as usual when run has thrown, and a runner can go on") {
    int ended = 0;
    aio::runner runner(aio::testing::virtual_clock());
    const auto waits = [&]() -> aio::task<> {
        try {
            co_await waits_for_nothing();
        } catch (const aio::cancelled_error&) {
            ++ended;
            throw;
        }
    };
    CHECK_THROWS_AS(runner.run(waits()), aio::deadlock_error);
    CHECK(ended == 0); // it still waits
    const int result = runner.run([]() -> aio::task<int> {
        co_await aio::sleep(1s);
        co_return 3;
    });
    CHECK(result == 3);
    runner.close();
    CHECK(ended == 1);
}

TEST_CASE("deadlock: a task that goes on to wait for nothing when it is cancelled does not hold up the end of a run") {
    std::vector<std::string> reports;
    const auto stubborn = []() -> aio::task<> {
        for (;;) try {
                co_await waits_for_nothing();
            } catch (const aio::cancelled_error&) {}
    };
    const auto main = [&]() -> aio::task<> {
        aio::get_running_loop().set_exception_handler(
            [&](aio::event_loop&, const aio::exception_context& c) { reports.push_back(c.message); });
        aio::create_task(stubborn());
        co_await aio::yield();
    };
    virtual_run(main());
    CHECK(reports == std::vector<std::string>{"Task was destroyed but it is pending!"});
}

TEST_CASE("deadlock: in real time it is reported once, and the loop sleeps on", "[time]") {
    const auto reports = reports_of([](aio::event& never) -> aio::task<> {
        co_await never.wait();
        never.clear();
        std::thread other([&, ref = aio::get_running_loop().ref()] { ref.call_soon_threadsafe([&] { never.set(); }); });
        co_await never.wait();
        other.join();
    });
    REQUIRE(reports.size() == 1);
    CHECK(contains(reports[0], "deadlock: all 1 tasks wait and nothing can wake them\n  Task-1 waits for event at "));
    CHECK(contains(reports[0], "loop_ref"));
}

TEST_CASE("deadlock: an idle thread pool does not hide one", "[time]") {
    CHECK(reports_of([](aio::event& never) -> aio::task<> {
              co_await aio::to_thread([] {});
              co_await never.wait();
          }).size() == 1);
}

TEST_CASE("deadlock: a watchdog does not hide one", "[time]") {
    CHECK(reports_of([](aio::event& never) -> aio::task<> {
              const aio::debug::watchdog dog;
              co_await never.wait();
          }).size() == 1);
}

TEST_CASE("deadlock: a wait for a descriptor, or a reference to the loop, is none", "[time]") {
    CHECK(reports_of([](aio::event& never) -> aio::task<> {
              int ends[2];
              REQUIRE(::pipe(ends) == 0);
              aio::get_running_loop().add_reader(ends[0], [&] { never.set(); });
              std::thread other([&] { REQUIRE(::write(ends[1], "x", 1) == 1); });
              co_await never.wait();
              other.join();
              aio::get_running_loop().remove_reader(ends[0]);
              ::close(ends[0]);
              ::close(ends[1]);
          }).empty());
    CHECK(reports_of([](aio::event& never) -> aio::task<> {
              std::thread other([&, ref = aio::get_running_loop().ref()] {
                  std::this_thread::sleep_for(20ms); // so that the loop has gone to sleep, which it need not
                  ref.call_soon_threadsafe([&] { never.set(); });
              });
              co_await never.wait();
              other.join();
          }).empty());
}

TEST_CASE("deadlock: a loop without tasks may wait for ever for a thread that has the loop", "[time]") {
    aio::event_loop loop;
    bool reported = false;
    loop.set_exception_handler([&](aio::event_loop&, const aio::exception_context&) { reported = true; });
    std::thread other([&loop] {
        while (!aio::detail::core_of(loop).outside().mailbox->asleep()) std::this_thread::yield();
        loop.call_soon_threadsafe([&loop] { loop.stop(); });
    });
    loop.run_forever();
    other.join();
    CHECK_FALSE(reported);
}
