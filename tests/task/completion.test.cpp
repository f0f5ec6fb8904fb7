// SPDX-License-Identifier: BSL-1.0

#include <asynchio/task/completion.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"
#include "support/threads.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/race.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

using number_callback = aio::completion_callback<int>;
static_assert(std::is_copy_constructible_v<number_callback> && std::is_nothrow_move_constructible_v<number_callback>);
static_assert(std::is_nothrow_invocable_v<const number_callback&, int> && std::is_invocable_v<number_callback, short>);
static_assert(!std::is_invocable_v<number_callback> && !std::is_invocable_v<number_callback, std::string>);
static_assert(std::is_invocable_v<aio::completion_callback<void>> &&
              !std::is_invocable_v<aio::completion_callback<void>, int>);
static_assert(!std::is_copy_constructible_v<aio::completion<int>> &&
              std::is_nothrow_move_constructible_v<aio::completion<int>>);

/// An API that calls back on its own thread, as C libraries do.
void on_a_thread(std::thread& worker, std::function<void(int)> done) {
    worker = std::thread([done = std::move(done)] { done(7); });
}

aio::task<int> result_of(aio::completion<int>& c) { co_return co_await c; }

aio::task<> awaits(aio::completion<counted>& c, trace& log) {
    try {
        const counted got = co_await c;
        log.push_back(std::to_string(got.value));
    } catch (const aio::cancelled_error&) {
        log.push_back("cancelled");
        throw;
    } catch (const std::exception& e) {
        log.push_back(e.what());
    }
}

} // namespace

TEST_CASE("completion: gives what the callback was called with on another thread") {
    for (int i = 0; i < 50; ++i) {
        std::thread worker;
        const int got = aio::run([&worker]() -> aio::task<int> {
            aio::completion<int> c;
            on_a_thread(worker, c.callback());
            const int value = co_await c;
            co_return value;
        });
        worker.join();
        CHECK(got == 7);
    }
}

TEST_CASE("completion: the loop's own thread may call, before the wait and during it") {
    virtual_run([]() -> aio::task<> {
        aio::completion<int> early;
        early.callback()(1);
        CHECK_FALSE(early.done());
        const int first = co_await early;
        CHECK(first == 1);

        aio::completion<int> arrived;
        arrived.callback()(2);
        co_await aio::testing::run_until_idle();
        CHECK(arrived.done());
        {
            const iterations since;
            const int second = co_await arrived;
            CHECK(second == 2);
            CHECK(since.passed() == 0);
        }

        aio::completion<> late;
        aio::get_running_loop().call_later(5ms, late.callback());
        const auto begin = aio::clock::now();
        co_await late;
        CHECK(aio::clock::now() - begin == 5ms);
    });
}

TEST_CASE("completion: the first call wins, whichever copy makes it") {
    virtual_run([]() -> aio::task<> {
        aio::completion<std::string> c;
        const auto one = c.callback();
        auto two = one;
        const auto three = c.callback();
        two("first");
        one("second");
        three.fail(boom("third"));
        const std::string got = co_await c;
        CHECK(got == "first");
        one("fourth");
        co_await aio::testing::run_until_idle();

        aio::completion<int> failing;
        const auto callback = failing.callback();
        callback.fail(std::make_exception_ptr(boom("first")));
        callback(2);
        const auto ended = co_await aio::nothrow(failing);
        CHECK(text_of(ended.error()) == "first");
    });
}

TEST_CASE("completion: fail takes an exception_ptr or an exception object, and no null pointer") {
    virtual_run([]() -> aio::task<> {
        aio::completion<> c;
        const auto callback = c.callback();
        CHECK_THROWS_AS(callback.fail(nullptr), std::invalid_argument);
        CHECK_THROWS_AS(callback.fail(std::exception_ptr()), std::invalid_argument);
        callback.fail(boom("object"));
        const auto ended = co_await aio::nothrow(c);
        CHECK(text_of(ended.error()) == "object");
        bool typed = false;
        aio::completion<> other;
        other.callback().fail(boom("typed"));
        try {
            co_await other;
        } catch (const boom&) {
            typed = true;
        }
        CHECK(typed);
    });
}

TEST_CASE("completion: the last copy that goes away without a call is an error") {
    virtual_run([]() -> aio::task<> {
        aio::completion<int> c;
        std::optional one(c.callback());
        std::optional two(*one);
        const auto waiting = aio::create_task(result_of(c));
        one.reset();
        co_await aio::testing::run_until_idle();
        CHECK_FALSE(waiting.done());
        two.reset();
        const auto ended = co_await aio::nothrow(waiting);
        const std::string said = message_of([&] { ended.rethrow(); });
        CHECK(said == "completion: every copy of its callback was dropped without a call");
        CHECK_THROWS_AS(ended.rethrow(), std::logic_error);
        const auto again = co_await aio::nothrow(c);
        CHECK(message_of([&] { again.rethrow(); }) == said);

        aio::completion<> refused;
        const auto start = [](std::function<void()> callback) { static_cast<void>(callback); }; // takes it and fails
        start(refused.callback());
        const auto nothing = co_await aio::nothrow(refused);
        CHECK(message_of([&] { nothing.rethrow(); }) == said);
    });
}

TEST_CASE("completion: copies of a callback are assigned, moved and dropped without ending anything") {
    virtual_run([]() -> aio::task<> {
        aio::completion<int> c, other;
        auto one = c.callback();
        auto two = std::move(one);
        one(1); // moved from
        one.fail(boom("moved from"));
        auto& same = two;
        two = same;
        one = two;
        two = other.callback();
        two(5);
        one(4);
        const int first = co_await c;
        const int second = co_await other;
        CHECK(first == 4);
        CHECK(second == 5);
    });
}

TEST_CASE("completion: move-only values, and one whose move throws") {
    fragile::alive = 0;
    virtual_run([]() -> aio::task<> {
        aio::completion<std::unique_ptr<int>> c;
        c.callback()(std::make_unique<int>(3));
        const std::unique_ptr<int> got = co_await c;
        CHECK(*got == 3);
        for (int fuse = 1; fuse < 4; ++fuse) {
            aio::completion<fragile> breaks;
            const auto callback = breaks.callback();
            fragile::fuse = fuse;
            callback(fragile(1));
            bool thrown = false;
            try {
                const fragile result = co_await breaks;
                CHECK(result.value == 1);
            } catch (const boom&) {
                thrown = true;
            }
            CHECK(thrown == (fragile::fuse == 0));
            fragile::fuse = 0;
            CHECK(fragile::alive == 0);
        }
    });
}

TEST_CASE("completion: the result is taken once, by one task at a time") {
    virtual_run([]() -> aio::task<> {
        aio::completion<int> c;
        const auto callback = c.callback();
        const auto first = aio::create_task(result_of(c));
        co_await aio::yield();
        const auto second = co_await aio::nothrow(result_of(c));
        CHECK(message_of([&] { second.rethrow(); }) == "completion: another task waits for it already");
        callback(1);
        const int got = co_await first;
        CHECK(got == 1);
        const auto third = co_await aio::nothrow(c);
        CHECK_THROWS_AS(third.rethrow(), aio::invalid_state_error);
        CHECK(message_of([&] { third.rethrow(); }) == "completion: the result was taken already");
    });
}

TEST_CASE("completion: a cancelled task leaves at once, and a late call does nothing") {
    counted::reset();
    trace log;
    std::optional<aio::completion_callback<counted>> callback;
    virtual_run([&]() -> aio::task<> {
        const auto waiting = aio::create_task([&]() -> aio::task<> {
            aio::completion<counted> c;
            callback.emplace(c.callback());
            co_await awaits(c, log);
        });
        co_await aio::yield();
        CHECK(waiting.cancel());
        {
            const iterations since;
            co_await aio::nothrow(waiting);
            CHECK(since.passed() <= 2);
        }
        CHECK(waiting.cancelled());
        (*callback)(counted(1));
        CHECK(counted::alive == 0);
        callback->fail(boom("late"));
        co_await aio::testing::run_until_idle();
        callback.reset();
    });
    CHECK(log == trace{"cancelled"});
    CHECK(counted::alive == 0);
}

TEST_CASE("completion: after a cancelled wait the result can be awaited again, also one that had come") {
    counted::reset();
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::completion<counted> c;
        const auto callback = c.callback();
        const auto early = co_await aio::nothrow(aio::wait_for(c, 1ms));
        CHECK_THROWS_AS(early.rethrow(), aio::timeout_error);
        const auto waiting = aio::create_task(awaits(c, log));
        co_await aio::yield();
        callback(counted(4));
        for (; !c.done(); co_await aio::yield()) CHECK_FALSE(waiting.done());
        CHECK_FALSE(waiting.done()); // it is woken, and has not run
        waiting.cancel();
        co_await aio::nothrow(waiting);
        CHECK(waiting.cancelled());
        co_await awaits(c, log);
    });
    CHECK(log == trace{"cancelled", "4"});
    CHECK(counted::alive == 0);
}

TEST_CASE("completion: a value that nobody takes dies with the completion, not with the callback") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        std::optional<aio::completion<counted>> c(std::in_place);
        const auto callback = c->callback();
        callback(counted(1));
        co_await aio::testing::run_until_idle();
        CHECK(counted::alive == 1);
        c.reset();
        CHECK(counted::alive == 0);

        c.emplace();
        const auto other = c->callback();
        other(counted(1));
        c.reset(); // it is on its way
        co_await aio::testing::run_until_idle();
        CHECK(counted::alive == 0);

        c.emplace();
        const auto third = c->callback();
        third(counted(1));
        { const counted got = co_await *c; }
        CHECK(counted::alive == 0);
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("completion: the wait goes on when the completion is destroyed or moved meanwhile") {
    virtual_run([]() -> aio::task<> {
        std::optional<aio::completion<int>> c(std::in_place);
        const auto callback = c->callback();
        const auto waiting = aio::create_task([&c]() -> aio::task<int> { co_return co_await *c; });
        co_await aio::yield();
        std::optional moved(std::move(*c));
        CHECK(message_of([&] { static_cast<void>(c->done()); }) == "completion: it was moved from");
        CHECK_THROWS_AS(c->callback(), std::logic_error);
        const auto empty = co_await aio::nothrow([](auto& from) -> aio::task<int> { co_return co_await *from; }(c));
        CHECK_THROWS_AS(empty.rethrow(), std::logic_error);
        *c = std::move(*moved);
        moved.reset();
        c.reset();
        callback(6);
        const int got = co_await waiting;
        CHECK(got == 6);
    });
}

TEST_CASE("completion: a call when the loop is closed is ignored and frees what it holds") {
    counted::reset();
    std::optional<aio::completion_callback<counted>> callback;
    std::optional<aio::completion<counted>> outlives;
    trace log;
    {
        aio::event_loop loop;
        outlives.emplace(loop);
        loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
        loop.create_task([&]() -> aio::task<> {
            aio::completion<counted> c;
            callback.emplace(c.callback());
            co_await awaits(c, log);
        });
        loop.call_soon([&] { loop.stop(); });
        loop.run_forever();
    }
    (*callback)(counted(1));
    CHECK(counted::alive == 0);
    const auto late = outlives->callback();
    late(counted(2));
    CHECK(counted::alive == 0);
    CHECK_FALSE(outlives->done());
    aio::run([&]() -> aio::task<> {
        co_await awaits(*outlives, log);
        aio::event_loop other;
        aio::completion<counted> of_other(other);
        co_await awaits(of_other, log);
    });
    CHECK(log == trace(2, "completion: it belongs to a different loop, or its loop is closed"));
    CHECK(counted::alive == 0);
}

TEST_CASE("completion: a result that is on its way when the loop closes is freed with it") {
    counted::reset();
    std::optional<aio::completion_callback<counted>> callback;
    trace log;
    {
        aio::event_loop loop;
        loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
        loop.create_task([&]() -> aio::task<> {
            aio::completion<counted> c;
            callback.emplace(c.callback());
            co_await awaits(c, log);
        });
        loop.call_soon([&] { loop.stop(); });
        loop.run_forever();
        (*callback)(counted(1));
        CHECK(counted::alive == 1);
    }
    CHECK(counted::alive == 0);
    CHECK(log.empty());
    callback.reset();
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("completion: needs a loop that is not closed") {
    CHECK_THROWS_AS(aio::completion<>(), std::logic_error);
    aio::event_loop loop;
    loop.close();
    CHECK(message_of([&] { aio::completion<> c(loop); }) == "completion: Event loop is closed");
}

TEST_CASE("completion: virtual time does not wait for a callback") {
    virtual_run([]() -> aio::task<> {
        aio::completion<int> c;
        const auto callback = c.callback();
        const auto late = co_await aio::nothrow(aio::wait_for(c, 1h));
        CHECK_THROWS_AS(late.rethrow(), aio::timeout_error);
        callback(1);
        const int got = co_await aio::wait_for(c, 1h);
        CHECK(got == 1);
    });
}

TEST_CASE("completion: in gather and race") {
    virtual_run([]() -> aio::task<> {
        aio::completion<int> one, two, never;
        const auto first = one.callback();
        const auto second = two.callback();
        const auto unused = never.callback();
        aio::get_running_loop().call_soon([second] { second(2); });
        aio::get_running_loop().call_later(1ms, [first] { first(1); });
        const auto [a, b] = co_await aio::gather(one, two);
        CHECK(a + 10 * b == 21);
        const auto ended = co_await aio::race(never, aio::sleep(1ms));
        CHECK(ended.index() == 1);
    });
}

TEST_CASE("completion: cancelled at every point") {
    for (const auto second_after : {std::size_t(0), std::size_t(1), std::size_t(2)}) {
        counted::reset();
        aio::testing::cancellation_plan plan;
        plan.second_after = second_after;
        const auto met = aio::testing::for_each_cancellation(
            []() -> aio::task<> {
                aio::completion<counted> early, late;
                early.callback()(counted(1));
                co_await early;
                aio::get_running_loop().call_later(1ms, [callback = late.callback()] { callback(counted(2)); });
                const counted got = co_await late;
                CHECK(got.value == 2);
            },
            plan);
        CHECK(met.points > 4);
        CHECK(met.cancelled == met.points);
        CHECK(counted::alive == 0);
    }
}

TEST_CASE("completion: 100,000 in one task", "[stress]") {
    virtual_run([]() -> aio::task<> {
        long sum = 0;
        for (int i = 0; i < rounds(100'000); ++i) {
            aio::completion<int> c;
            c.callback()(1);
            sum += co_await c;
        }
        CHECK(sum == rounds(100'000));
    });
}
