// SPDX-License-Identifier: BSL-1.0

#include <asynchio/thread/run_coroutine_threadsafe.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/other_loop.hpp"
#include "support/probes.hpp"
#include "support/threads.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/run_until_idle.hpp>
#include <asynchio/thread/to_thread.hpp>
#include <asynchio/thread/wrap_future.hpp>

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

/// Notes the thread on which it ends.
class placed_error : public std::runtime_error {
public:
    explicit placed_error(std::atomic<std::thread::id>& where) : std::runtime_error("placed"), where_(&where) {}
    placed_error(const placed_error&) = default;
    placed_error& operator=(const placed_error&) = default;
    ~placed_error() override { where_->store(std::this_thread::get_id()); }

private:
    std::atomic<std::thread::id>* where_;
};

/// Throws when it is moved once more than it can be.
class worn_by_moves {
public:
    worn_by_moves(std::atomic<std::thread::id>& where, int left) noexcept : where_(&where), left_(left) {}
    worn_by_moves(worn_by_moves&& other) : where_(other.where_), left_(other.left_ - 1) {
        if (left_ < 0) throw placed_error(*where_);
    }
    worn_by_moves& operator=(worn_by_moves&&) = delete;
    ~worn_by_moves() = default;

private:
    std::atomic<std::thread::id>* where_;
    int left_;
};

} // namespace

TEST_CASE("run_coroutine_threadsafe: an exception ends with the last future, on that thread") {
    const other_loop loop;
    std::atomic<std::thread::id> where;
    const auto ends_here = [&](const auto& fails) {
        where.store(std::thread::id());
        try {
            aio::run_coroutine_threadsafe(fails, loop.ref()).get();
            FAIL_CHECK("it did not throw");
        } catch (const placed_error&) {}
        return where.load() == std::this_thread::get_id();
    };
    const auto task_throws = [&where]() -> aio::task<int> {
        co_await aio::yield();
        throw placed_error(where);
    };
    int left = 0;
    const auto result_throws = [&]() -> aio::task<worn_by_moves> {
        co_await aio::yield();
        co_return worn_by_moves(where, left);
    };
    for (int i = 0; i < rounds(10'000); ++i) {
        if (!ends_here(task_throws)) FAIL("of the task, run " << i);
        left = i % 5; // up to three moves are in tasks, the fourth is to the future, the fifth out of it
        if (!ends_here(result_throws)) FAIL("of the result, run " << i);
    }
}

TEST_CASE("run_coroutine_threadsafe: who else has a handle learns that the exception went to the future") {
    const other_loop loop;
    for (const bool cancelled : {false, true}) {
        aio::any_task_handle kept; // the loop's
        const auto end = [&kept, cancelled]() -> aio::task<> {
            kept = aio::current_task();
            co_await aio::yield();
            if (cancelled) throw aio::cancelled_error();
            throw boom("to the future");
        };
        const auto future = aio::run_coroutine_threadsafe(end, loop.ref());
        if (cancelled)
            CHECK_THROWS_AS(future.get(), aio::cancelled_error);
        else
            CHECK_THROWS_AS(future.get(), boom);
        const auto ask = [&kept, cancelled]() -> aio::task<std::string> {
            const aio::any_task_handle task = std::exchange(kept, {});
            if (!task.done() || task.cancelled() != cancelled) co_return "it did not end as it did";
            co_return message_of([&] { static_cast<void>(task.exception()); });
        };
        const std::string answer = aio::run_coroutine_threadsafe(ask, loop.ref()).get();
        CHECK(answer == (cancelled ? "cancelled: " : "the exception was moved out already"));
    }
}

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
    const auto future =
        aio::run_coroutine_threadsafe([]() -> aio::task<int> { throw boom("before any task"); }, loop.ref());
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
        all.push_back(aio::run_coroutine_threadsafe(
            [&order, i]() -> aio::task<> {
                order.push_back(i);
                co_return;
            },
            loop.ref()));
    for (const auto& each : all) each.get();
    loop.end();
    REQUIRE(order.size() == 1'000);
    CHECK(std::is_sorted(order.begin(), order.end()));
}

TEST_CASE("run_coroutine_threadsafe: a task that fails as the run ends is told to the handler and to the future") {
    aio::concurrent_future<> ended;
    std::vector<std::string> told;
    aio::run([&]() -> aio::task<> {
        aio::event_loop& loop = aio::get_running_loop();
        loop.set_exception_handler([&](aio::event_loop&, const aio::exception_context& context) {
            told.push_back(context.message + ": " + message_of([&] { std::rethrow_exception(context.exception); }));
        });
        auto fails_when_cancelled = []() -> aio::task<> {
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {
                throw std::runtime_error("as it ends");
            }
        };
        ended = aio::run_coroutine_threadsafe(fails_when_cancelled, loop.ref());
        co_await aio::sleep(1ms);
    });
    CHECK(told == std::vector<std::string>{"unhandled exception during asyncio.run() shutdown: as it ends"});
    CHECK_THROWS_WITH(ended.get(), "as it ends");
}

TEST_CASE("run_coroutine_threadsafe: a cancelled future cancels its task before who waits for it goes on") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto waits = [&]() -> aio::task<> {
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {
                log.push_back("the task");
            }
        };
        const auto submitted = aio::run_coroutine_threadsafe(waits, aio::get_running_loop().ref());
        co_await aio::sleep(1ms);
        const auto waiting = aio::create_task([&]() -> aio::task<> {
            co_await aio::nothrow(aio::wrap_future(submitted));
            log.push_back("who waits");
        });
        co_await aio::yield();
        CHECK(submitted.cancel());
        co_await waiting;
    });
    CHECK(log == trace{"the task", "who waits"});
}

TEST_CASE(
    "run_coroutine_threadsafe: a cancelled future tells those before its task who have waited since before it began") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto waits = [&]() -> aio::task<> {
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {
                log.push_back("the task");
            }
        };
        const auto submitted = aio::run_coroutine_threadsafe(waits, aio::get_running_loop().ref());
        const auto before = aio::wrap_future(submitted);
        before.add_done_callback([&] { log.push_back("before"); });
        co_await aio::sleep(1ms);
        const auto since = aio::wrap_future(submitted);
        since.add_done_callback([&] { log.push_back("since"); });
        CHECK(submitted.cancel());
        co_await aio::nothrow(since);
        co_await aio::yield();
    });
    CHECK(log == trace{"before", "the task", "since"});
}
