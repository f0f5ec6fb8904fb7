// SPDX-License-Identifier: BSL-1.0

#include <asynchio/thread/run_coroutine_threadsafe.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/threads.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/testing/run_until_idle.hpp>
#include <asynchio/thread/to_thread.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
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

/// A loop in a thread of its own, until the end of the scope.
class other_loop {
public:
    other_loop()
        : thread_([this] {
              aio::run([this]() -> aio::task<> {
                  aio::future<> until;
                  ref_ = aio::get_running_loop().ref();
                  end_ = [until] { until.set_result(); };
                  ready_.open();
                  co_await until;
              });
          }) {
        ready_.wait();
    }
    other_loop(const other_loop&) = delete;
    other_loop& operator=(const other_loop&) = delete;
    ~other_loop() { end(); }

    const aio::loop_ref& ref() const noexcept { return ref_; }
    void end() {
        if (!thread_.joinable()) return;
        ref_.call_soon_threadsafe([this] { end_(); });
        thread_.join();
    }

private:
    gate ready_;
    aio::loop_ref ref_;
    std::function<void()> end_;
    std::thread thread_;
};

aio::task<int> held_until(gate& release, int value) {
    const auto wait = [&release] { release.wait(); };
    co_await aio::to_thread(wait);
    co_return value;
}

} // namespace

TEST_CASE("run_coroutine_threadsafe: makes a task on the loop, from a task, an awaitable or a callable", "[TS-4]") {
    const audited afterwards;
    const watchdog guard;
    const other_loop loop;
    const auto here = std::this_thread::get_id();
    std::thread::id ran_on;
    bool has_task = false;
    const auto from_callable = aio::run_coroutine_threadsafe(
        [&]() -> aio::task<int> {
            ran_on = std::this_thread::get_id();
            has_task = static_cast<bool>(aio::current_task());
            co_return 1;
        },
        loop.ref());
    CHECK(from_callable.get() == 1);
    CHECK(ran_on != here);
    CHECK(has_task);
    CHECK(aio::run_coroutine_threadsafe(gives(2), loop.ref()).get() == 2);
    CHECK(aio::run_coroutine_threadsafe(aio::sleep(0s, 3), loop.ref()).get() == 3);
}

TEST_CASE("run_coroutine_threadsafe: what is given is freed on the loop's thread", "[TS-4]") {
    const audited afterwards;
    const watchdog guard;
    other_loop loop;
    struct tell {
        explicit tell(std::thread::id& o) noexcept : on(&o) {}
        tell(tell&& other) noexcept : on(std::exchange(other.on, nullptr)) {}
        tell& operator=(tell&&) = delete;
        ~tell() {
            if (on != nullptr) *on = std::this_thread::get_id();
        }
        std::thread::id* on;
    };
    std::thread::id freed_on;
    std::thread::id loop_thread;
    const auto takes = [](tell given, std::thread::id& out) -> aio::task<> {
        out = std::this_thread::get_id();
        static_cast<void>(given);
        co_return;
    };
    aio::run_coroutine_threadsafe(takes(tell(freed_on), loop_thread), loop.ref()).get();
    loop.end();
    CHECK(freed_on == loop_thread);
}

TEST_CASE("run_coroutine_threadsafe: an exception of the callable itself arrives as well", "[TS-5][TS-9]") {
    const audited afterwards;
    const watchdog guard;
    const other_loop loop;
    const auto future = aio::run_coroutine_threadsafe([]() -> aio::task<int> { throw boom("before any task"); }, loop.ref());
    CHECK_THROWS_AS(future.get(), boom);
}

TEST_CASE("run_coroutine_threadsafe: a closed loop is misuse, and frees what was given") {
    counted::reset();
    {
        const audited afterwards;
        aio::loop_ref closed;
        CHECK_THROWS_AS(aio::run_coroutine_threadsafe(gives(1), closed), std::logic_error);
        {
            aio::event_loop loop;
            closed = loop.ref();
        }
        const auto holds = [](counted) -> aio::task<> { co_return; };
        CHECK_THROWS_AS(aio::run_coroutine_threadsafe(holds(counted(1)), closed), std::logic_error);
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("run_coroutine_threadsafe: a loop that closes first cancels the future of what it has not begun") {
    const audited afterwards;
    std::optional<aio::event_loop> loop(std::in_place);
    const auto future = aio::run_coroutine_threadsafe(gives(1), loop->ref());
    CHECK_FALSE(future.done());
    loop.reset();
    CHECK(future.cancelled());
    CHECK_THROWS_AS(future.get(), aio::cancelled_error);
    CHECK_FALSE(future.cancel());
}

TEST_CASE("run_coroutine_threadsafe: a loop that closes first cancels the future of a task it destroys") {
    const audited afterwards;
    const watchdog guard;
    std::optional<aio::event_loop> loop(std::in_place);
    loop->set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
    const auto future = aio::run_coroutine_threadsafe(ends_after(1h), loop->ref());
    aio::testing::run_until_idle(*loop);
    std::atomic<bool> thrown = false;
    std::thread waiter([&] {
        try {
            future.get();
        } catch (const aio::cancelled_error&) {
            thrown = true;
        }
    });
    loop.reset();
    waiter.join();
    CHECK(thrown);
}

TEST_CASE("run_coroutine_threadsafe: what runs at the end of run is cancelled, and so is its future") {
    const audited afterwards;
    const watchdog guard;
    other_loop loop;
    gate begun;
    const auto future = aio::run_coroutine_threadsafe(
        [&begun]() -> aio::task<> {
            begun.open();
            co_await aio::sleep(1h);
        },
        loop.ref());
    begun.wait();
    loop.end();
    CHECK(future.cancelled());
}

TEST_CASE("run_coroutine_threadsafe: a result that nobody takes is freed once") {
    counted::reset();
    {
        const audited afterwards;
        aio::event_loop loop;
        aio::run_coroutine_threadsafe([]() -> aio::task<counted> { co_return counted(1); }, loop.ref());
        const auto kept =
            aio::run_coroutine_threadsafe([]() -> aio::task<counted> { co_return counted(2); }, loop.ref());
        aio::testing::run_until_idle(loop);
        CHECK(counted::alive == 1);
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("run_coroutine_threadsafe: calls of one thread begin in their order", "[TS-1]") {
    const audited afterwards;
    const watchdog guard;
    other_loop loop;
    std::vector<int> order;
    std::vector<aio::concurrent_future<>> all;
    for (int i = 0; i < 1'000; ++i)
        all.push_back(aio::run_coroutine_threadsafe([&order, i]() -> aio::task<> {
            order.push_back(i);
            co_return;
        }, loop.ref()));
    for (const auto& each : all) each.get();
    loop.end();
    REQUIRE(order.size() == 1'000);
    CHECK(std::is_sorted(order.begin(), order.end()));
}

// wrap_future

TEST_CASE("wrap_future: gives what runs on another loop to this one", "[TS-12]") {
    const audited afterwards;
    const watchdog guard;
    const other_loop loop;
    aio::run([&]() -> aio::task<> {
        gate release;
        const auto waiting = aio::wrap_future(aio::run_coroutine_threadsafe(held_until(release, 5), loop.ref()));
        CHECK_FALSE(waiting.done());
        release.open();
        const int five = co_await waiting;
        CHECK(five == 5);
        const auto failing = aio::wrap_future(aio::run_coroutine_threadsafe(fails("over there"), loop.ref()));
        const auto failed = co_await aio::nothrow(failing);
        CHECK(text_of(failed.error()) == "over there");
        const auto nothing =
            aio::wrap_future(aio::run_coroutine_threadsafe([]() -> aio::task<> { co_return; }, loop.ref()));
        co_await nothing;
        const auto owned = aio::run_coroutine_threadsafe(
            []() -> aio::task<std::unique_ptr<int>> { co_return std::make_unique<int>(6); }, loop.ref());
        const std::unique_ptr<int> six = co_await aio::wrap_future(owned);
        CHECK(*six == 6);
    });
}

TEST_CASE("wrap_future: cancelling the one cancels the other", "[TS-12]") {
    const audited afterwards;
    const watchdog guard;
    const other_loop loop;
    aio::run([&]() -> aio::task<> {
        gate begun;
        gate ended;
        const auto source = aio::run_coroutine_threadsafe(
            [&]() -> aio::task<> {
                const opened_at_end over(ended);
                begun.open();
                co_await aio::sleep(1h);
            },
            loop.ref());
        const auto target = aio::wrap_future(source);
        begun.wait();
        target.cancel();
        CHECK_THROWS_AS(co_await target, aio::cancelled_error);
        co_await aio::testing::run_until_idle();
        CHECK(source.cancelled());
        ended.wait();

        const auto second = aio::run_coroutine_threadsafe(ends_after(1h), loop.ref());
        const auto follows = aio::wrap_future(second);
        second.cancel();
        CHECK_THROWS_AS(co_await follows, aio::cancelled_error);
        CHECK(follows.cancelled());
    });
}

TEST_CASE("wrap_future: a result for a cancelled future is dropped", "[TS-13]") {
    virtual_run([]() -> aio::task<> {
        aio::future<int> held;
        const auto waits = [](aio::future<int> from) -> aio::task<int> {
            const int result = co_await from;
            co_return result;
        };
        const auto source = aio::run_coroutine_threadsafe(waits(held), aio::get_running_loop().ref());
        const auto target = aio::wrap_future(source);
        co_await aio::testing::run_until_idle();
        held.set_result(4);
        target.cancel(); // in the iteration in which the result is on its way
        co_await aio::testing::run_until_idle();
        CHECK(target.cancelled());
    });
}

TEST_CASE("wrap_future: a loop that is closed when the result comes drops it", "[TS-14]") {
    counted::reset();
    {
        const audited afterwards;
        const watchdog guard;
        other_loop loop;
        gate release;
        std::optional<aio::future<counted>> target;
        const auto source = aio::run_coroutine_threadsafe(
            [&release]() -> aio::task<counted> {
                const auto wait = [&release] { release.wait(); };
                co_await aio::to_thread(wait);
                co_return counted(1);
            },
            loop.ref());
        {
            aio::event_loop here;
            here.call_soon([&] { target.emplace(aio::wrap_future(source)); });
            aio::testing::run_until_idle(here);
        }
        release.open();
        source.wait();
        CHECK_FALSE(target->done());
        loop.end();
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("wrap_future: a result that cannot be copied over is an error, not silence") {
    fragile::fuse = 0;
    virtual_run([]() -> aio::task<> {
        const auto source = aio::run_coroutine_threadsafe([]() -> aio::task<fragile> { co_return fragile(1); },
                                                          aio::get_running_loop().ref());
        co_await aio::testing::run_until_idle();
        const auto target = aio::wrap_future(source);
        fragile::fuse = 1;
        const auto ended = co_await aio::nothrow(target);
        CHECK(text_of(ended.error()) == "copy");
        fragile::fuse = 0;
    });
    CHECK(fragile::alive == 0);
}
