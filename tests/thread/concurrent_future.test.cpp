// SPDX-License-Identifier: BSL-1.0

#include <asynchio/thread/concurrent_future.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/threads.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/run_until_idle.hpp>
#include <asynchio/thread/run_coroutine_threadsafe.hpp>
#include <asynchio/thread/to_thread.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// Runs `body(loop_ref)` in a worker thread while a loop runs here.
template<class Body>
void beside_a_loop(Body body, aio::run_options options = {}) {
    const audited afterwards;
    const watchdog guard;
    aio::run(
        [&body]() -> aio::task<> {
            const aio::loop_ref loop = aio::get_running_loop().ref();
            const auto job = [&] { body(loop); };
            co_await aio::to_thread(job);
        },
        options);
}

aio::task<int> waits_for(aio::future<int> source) {
    const int result = co_await source;
    co_return result;
}

} // namespace

TEST_CASE("concurrent_future: an empty one is misuse") {
    const aio::concurrent_future<int> empty;
    CHECK_FALSE(empty);
    CHECK_THROWS_AS(empty.get(), std::logic_error);
    CHECK_THROWS_AS(empty.wait(), std::logic_error);
    CHECK_THROWS_AS(empty.wait_for(0s), std::logic_error);
    CHECK_THROWS_AS(empty.done(), std::logic_error);
    CHECK_THROWS_AS(empty.cancelled(), std::logic_error);
    CHECK_THROWS_AS(empty.cancel(), std::logic_error);
    CHECK_THROWS_AS(empty.add_done_callback([] {}), std::logic_error);
}

TEST_CASE("concurrent_future: get blocks until the task is done and gives its result to every copy", "[TS-4]") {
    std::string first;
    std::string second;
    bool done = false;
    beside_a_loop([&](const aio::loop_ref& loop) {
        const auto future = aio::run_coroutine_threadsafe(
            []() -> aio::task<std::string> {
                co_await aio::yield();
                co_return "result";
            },
            loop);
        const auto copy = future;
        first = future.get();
        done = future.done() && copy.done() && !copy.cancelled();
        second = copy.get();
    });
    CHECK(first == "result");
    CHECK(second == "result");
    CHECK(done);
}

TEST_CASE("concurrent_future: get throws what the task threw, each time", "[TS-5]") {
    std::string said;
    beside_a_loop([&](const aio::loop_ref& loop) {
        const auto future = aio::run_coroutine_threadsafe(fails("in the loop"), loop);
        for (int i = 0; i < 2; ++i) {
            try {
                future.get();
            } catch (const boom& e) {
                said += e.what();
            }
        }
    });
    CHECK(said == "in the loopin the loop");
}

TEST_CASE("concurrent_future: move-only, reference and void results") {
    int target = 3;
    bool good = false;
    beside_a_loop([&](const aio::loop_ref& loop) {
        const auto owned = aio::run_coroutine_threadsafe(
            []() -> aio::task<std::unique_ptr<int>> { co_return std::make_unique<int>(4); }, loop);
        const auto reference =
            aio::run_coroutine_threadsafe([&target]() -> aio::task<int&> { co_return target; }, loop);
        const auto nothing = aio::run_coroutine_threadsafe(
            [&target]() -> aio::task<> {
                target = 5;
                co_return;
            },
            loop);
        nothing.get();
        good = *owned.get() == 4 && &reference.get() == &target && target == 5;
    });
    CHECK(good);
}

TEST_CASE("concurrent_future: several threads may wait for one", "[TS-4]") {
    std::atomic<int> sum = 0;
    beside_a_loop([&](const aio::loop_ref& loop) {
        gate waiting;
        std::atomic<int> begun = 0;
        const auto future = aio::run_coroutine_threadsafe(
            [&]() -> aio::task<int> {
                const auto wait = [&waiting] { waiting.wait(); };
                co_await aio::to_thread(wait);
                co_return 7;
            },
            loop);
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i)
            threads.emplace_back([&] {
                if (++begun == 4) waiting.open();
                sum += future.get();
            });
        for (std::thread& each : threads) each.join();
    });
    CHECK(sum == 28);
}

TEST_CASE("concurrent_future: wait_for that times out says so, and cancels nothing", "[TS-6][time]") {
    bool early = true;
    bool late = false;
    int result = 0;
    beside_a_loop([&](const aio::loop_ref& loop) {
        gate release;
        const auto future = aio::run_coroutine_threadsafe(
            [&release]() -> aio::task<int> {
                const auto wait = [&release] { release.wait(); };
                co_await aio::to_thread(wait);
                co_return 3;
            },
            loop);
        early = future.wait_for(5ms) || future.done();
        release.open();
        late = future.wait_for(10s);
        result = future.get();
    });
    CHECK_FALSE(early);
    CHECK(late);
    CHECK(result == 3);
}

// Cancellation

TEST_CASE("concurrent_future: cancel counts at once, and reaches the task on its loop", "[TS-7]") {
    bool first = false;
    bool second = true;
    bool at_once = false;
    bool thrown = false;
    std::atomic<bool> task_cancelled = false;
    beside_a_loop([&](const aio::loop_ref& loop) {
        gate begun;
        gate ended;
        const auto future = aio::run_coroutine_threadsafe(
            [&]() -> aio::task<> {
                const opened_at_end over(ended);
                begun.open();
                try {
                    co_await aio::sleep(1h);
                } catch (const aio::cancelled_error&) {
                    task_cancelled = true;
                    throw;
                }
            },
            loop);
        begun.wait();
        first = future.cancel();
        at_once = future.done() && future.cancelled();
        second = future.cancel();
        try {
            future.get();
        } catch (const aio::cancelled_error&) {
            thrown = true;
        }
        ended.wait();
    });
    CHECK(first);
    CHECK(at_once);
    CHECK_FALSE(second);
    CHECK(thrown);
    CHECK(task_cancelled);
}

TEST_CASE("concurrent_future: cancelled before the loop has come to it, nothing begins", "[TS-7]") {
    bool entered = false;
    virtual_run([&]() -> aio::task<> {
        const auto future = aio::run_coroutine_threadsafe(
            [&entered]() -> aio::task<> {
                entered = true;
                co_return;
            },
            aio::get_running_loop().ref());
        CHECK(future.cancel());
        co_await aio::testing::run_until_idle();
        CHECK(future.cancelled());
    });
    CHECK_FALSE(entered);
}

TEST_CASE("concurrent_future: a task that swallows its cancellation changes nothing", "[TS-7]") {
    virtual_run([]() -> aio::task<> {
        const auto future = aio::run_coroutine_threadsafe(swallows(3), aio::get_running_loop().ref());
        co_await aio::testing::run_until_idle();
        CHECK(future.cancel());
        co_await aio::testing::run_until_idle();
        CHECK(future.cancelled());
        CHECK_THROWS_AS(future.get(), aio::cancelled_error);
    });
}

TEST_CASE("concurrent_future: a task that is cancelled on its loop cancels it", "[TS-8]") {
    virtual_run([]() -> aio::task<> {
        aio::future<int> source;
        const auto future = aio::run_coroutine_threadsafe(waits_for(source), aio::get_running_loop().ref());
        co_await aio::testing::run_until_idle();
        source.cancel();
        co_await aio::testing::run_until_idle();
        CHECK(future.cancelled());
        CHECK_THROWS_AS(future.get(), aio::cancelled_error);
        CHECK_FALSE(future.cancel());
    });
}

TEST_CASE("concurrent_future: one that is done cannot be cancelled") {
    virtual_run([]() -> aio::task<> {
        const auto future = aio::run_coroutine_threadsafe(gives(2), aio::get_running_loop().ref());
        co_await aio::testing::run_until_idle();
        CHECK_FALSE(future.cancel());
        CHECK_FALSE(future.cancelled());
        CHECK(future.get() == 2);
    });
}

// Misuse

TEST_CASE("concurrent_future: blocking on the loop's own thread throws instead of hanging", "[TS-11]") {
    virtual_run([]() -> aio::task<> {
        const auto future = aio::run_coroutine_threadsafe(gives(2), aio::get_running_loop().ref());
        CHECK_THROWS_AS(future.get(), std::logic_error);
        CHECK_THROWS_AS(future.wait(), std::logic_error);
        CHECK_THROWS_AS(future.wait_for(1h), std::logic_error);
        co_await aio::testing::run_until_idle();
        CHECK(future.get() == 2); // it is there: nothing blocks
        CHECK(future.wait_for(0s));
    });
}

// Callbacks

TEST_CASE("concurrent_future: callbacks are called on the thread that ends it, in order, or at once") {
    std::vector<std::string> log;
    std::thread::id called_on;
    virtual_run([&]() -> aio::task<> {
        const auto future = aio::run_coroutine_threadsafe(gives(2), aio::get_running_loop().ref());
        future.add_done_callback([&](const aio::concurrent_future<int>& self) {
            called_on = std::this_thread::get_id();
            log.push_back("with " + std::to_string(self.get()));
        });
        future.add_done_callback([&log] { log.push_back("without"); });
        CHECK(log.empty());
        co_await aio::testing::run_until_idle();
        future.add_done_callback([&log, owned = std::make_unique<int>(1)] { log.push_back("late"); });
    });
    CHECK(log == std::vector<std::string>{"with 2", "without", "late"});
    CHECK(called_on == std::this_thread::get_id());
}

TEST_CASE("concurrent_future: cancel calls the callbacks in the calling thread") {
    std::thread::id called_on;
    std::thread::id cancelled_on;
    beside_a_loop([&](const aio::loop_ref& loop) {
        const auto future = aio::run_coroutine_threadsafe([]() -> aio::task<> { co_await aio::sleep(1h); }, loop);
        future.add_done_callback([&called_on] { called_on = std::this_thread::get_id(); });
        cancelled_on = std::this_thread::get_id();
        future.cancel();
    });
    CHECK(called_on == cancelled_on);
    CHECK(called_on != std::thread::id());
}

TEST_CASE("concurrent_future: what a callback throws goes to the loop's handler, and the others are called") {
    std::vector<std::string> reports;
    bool other = false;
    virtual_run([&]() -> aio::task<> {
        aio::get_running_loop().set_exception_handler(
            [&reports](aio::event_loop&, const aio::exception_context& context) {
                reports.push_back(text_of(context.exception));
            });
        const auto future = aio::run_coroutine_threadsafe(gives(2), aio::get_running_loop().ref());
        future.add_done_callback([] { throw boom("in a callback"); });
        future.add_done_callback([&other] { other = true; });
        co_await aio::testing::run_until_idle();
        CHECK(future.get() == 2);
    });
    CHECK(reports == std::vector<std::string>{"in a callback"});
    CHECK(other);
}

TEST_CASE("concurrent_future: callbacks that are never called are freed") {
    counted::reset();
    {
        const audited afterwards;
        aio::event_loop loop;
        const auto future = aio::run_coroutine_threadsafe(gives(2), loop.ref());
        future.add_done_callback([held = counted(1)] { CHECK(held.value == 1); });
        CHECK(counted::alive == 1);
    }
    CHECK(counted::alive == 0);
}

// Lost wake-ups

TEST_CASE("concurrent_future: no end is missed by a thread that is about to wait", "[stress]") {
    // settle() sets done_ and notifies under the mutex under which wait() looks at done_ before it sleeps.
    const int times = rounds(4'000);
    std::atomic<int> right = 0;
    beside_a_loop([&](const aio::loop_ref& loop) {
        for (int i = 0; i < times; ++i) {
            const auto future = aio::run_coroutine_threadsafe(gives(i), loop);
            take_a_moment(i % 32);
            if (future.get() == i) ++right;
        }
    });
    CHECK(right == times);
}

TEST_CASE("concurrent_future: cancel and the task's end race, and one of them counts", "[stress]") {
    const int times = rounds(4'000);
    std::atomic<int> cancelled = 0;
    std::atomic<int> done = 0;
    std::atomic<int> wrong = 0;
    beside_a_loop([&](const aio::loop_ref& loop) {
        for (int i = 0; i < times; ++i) {
            const auto future = aio::run_coroutine_threadsafe(gives(i), loop);
            take_a_moment(i % 8);
            const bool first = future.cancel();
            try {
                if (future.get() != i || first) ++wrong;
                ++done;
            } catch (const aio::cancelled_error&) {
                if (!first) ++wrong;
                ++cancelled;
            }
        }
    });
    CHECK(wrong == 0);
    CHECK(cancelled + done == times);
}
