// SPDX-License-Identifier: BSL-1.0
// covers: task/detail/child_tasks.hpp combine/detail/ordered_results.hpp

#include <asynchio/combine/merge.hpp>

#include "support/catch.hpp"
#include "support/iterations.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"
#include "support/reports.hpp"
#include "support/threads.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/wait_for.hpp>
#include <asynchio/task/context_var.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// Items from `first` on, one after each `pause`; notes its cleanup.
aio::async_generator<int> ticks(int first, int items, aio::duration pause, trace* log = nullptr) {
    const counted alive;
    std::exception_ptr error;
    try {
        for (int i = 0; i < items; ++i) {
            if (pause > 0s) co_await aio::sleep(pause);
            co_yield first + i;
        }
    } catch (...) {
        error = std::current_exception();
    }
    if (log != nullptr) log->push_back((error ? "stopped " : "ended ") + std::to_string(first));
    co_await aio::sleep(1ms);
    if (error) std::rethrow_exception(error);
}

aio::async_generator<int> fails_later(aio::duration after) {
    co_await aio::sleep(after);
    throw boom("a source failed");
    co_yield 0;
}

/// Gives one more item when it is cancelled, and then as many as are asked for.
aio::async_generator<int> gives_when_cancelled(trace& log) {
    try {
        co_yield 1;
        try {
            co_await aio::sleep(1h);
        } catch (const aio::cancelled_error&) {
            log.push_back("cancelled");
        }
        for (int i = 2;; ++i) co_yield int(i);
    } catch (const aio::generator_exit&) {
        log.push_back("closed");
        throw;
    }
}

aio::async_generator<int> fails_in_cleanup() {
    try {
        for (int i = 1;; ++i) co_yield int(i);
    } catch (const aio::generator_exit&) {}
    co_await aio::sleep(1ms);
    throw boom("the cleanup failed");
}

aio::async_generator<int> waits_and_fails_in_cleanup() {
    const std::array<aio::duration, 2> times = {1h, 1ms};
    for (const aio::duration time : times) {
        try {
            co_await aio::sleep(time);
        } catch (const aio::cancelled_error&) {}
    }
    throw boom("the cleanup failed");
    co_yield 0;
}

aio::task<std::vector<int>> all_of(aio::async_generator<int> stream) {
    std::vector<int> found;
    while (auto item = co_await stream.next()) found.push_back(*item);
    co_return found;
}

} // namespace

// Construction

TEST_CASE("merge: is an async_generator of what its sources give") {
    static_assert(std::is_same_v<decltype(aio::merge(ticks(0, 1, 0s), ticks(1, 1, 0s))), aio::async_generator<int>>);
    static_assert(std::is_same_v<decltype(aio::merge(std::declval<aio::async_generator<const std::string&>>())),
                                 aio::async_generator<std::string>>);
    virtual_run([]() -> aio::task<> {
        counted::reset();
        auto never = aio::merge(ticks(0, 1, 0s));
        CHECK(counted::alive == 0); // nothing has begun
        CHECK(aio::all_tasks().size() == 1);
        co_await never.aclose();
        const auto none = co_await all_of(aio::merge(std::vector<aio::async_generator<int>>()));
        CHECK(none.empty());
        const auto one = co_await all_of(aio::merge(ticks(5, 2, 0s)));
        CHECK(one == std::vector<int>{5, 6});
    });
}

// Order

TEST_CASE("merge: gives items as they come") {
    virtual_run([]() -> aio::task<> {
        const auto begin = aio::clock::now();
        const auto found = co_await all_of(aio::merge(ticks(0, 3, 10ms), ticks(10, 3, 14ms)));
        CHECK(found == std::vector<int>{0, 10, 1, 11, 2, 12});
        CHECK(aio::clock::now() - begin == 43ms); // the cleanup of the last
    });
}

TEST_CASE("merge: of a range, and with sources that are always ready, is fair") {
    virtual_run([]() -> aio::task<> {
        std::vector<aio::async_generator<int>> sources;
        for (int i = 0; i < 3; ++i) sources.push_back(ticks(i * 10, 3, 0s));
        const auto found = co_await all_of(aio::merge(std::move(sources)));
        CHECK(found == std::vector<int>{0, 10, 20, 1, 11, 21, 2, 12, 22});
    });
}

TEST_CASE("merge: keeps every item of 100,000, once and in the order of its source") {
    virtual_run([]() -> aio::task<> {
        constexpr int each = rounds(25'000);
        std::vector<aio::async_generator<int>> sources;
        for (int i = 0; i < 4; ++i) sources.push_back(ticks(i * each, each, 0s));
        auto all = aio::merge(aio::buffered(16), std::move(sources));
        std::vector<int> next(4, 0);
        bool in_order = true;
        while (auto item = co_await all.next()) {
            const auto source = static_cast<std::size_t>(*item / each);
            in_order = in_order && *item % each == next[source]++;
        }
        CHECK(in_order);
        CHECK(next == std::vector<int>(4, each));
    });
}

// Back-pressure

TEST_CASE("merge: a slow consumer holds its sources up, at the buffer it was given") {
    for (const std::size_t buffer : {0U, 1U, 3U}) {
        virtual_run([buffer]() -> aio::task<> {
            int given = 0;
            const auto endless = [](int& count) -> aio::async_generator<int> {
                for (;;) co_yield ++count;
            };
            auto all = aio::merge(aio::buffered(buffer), endless(given), endless(given));
            co_await all.next();
            co_await aio::testing::run_until_idle();
            // One that was taken, then one ahead for each source, and what the buffer takes.
            CHECK(given == 1 + 2 + static_cast<int>(buffer));
            co_await all.next();
            co_await aio::testing::run_until_idle();
            CHECK(given == 2 + 2 + static_cast<int>(buffer));
            co_await all.aclose();
        });
    }
}

TEST_CASE("merge: each source runs in a task of its own, with the consumer's values") {
    const aio::context_var<int> id("id", 0);
    virtual_run([&]() -> aio::task<> {
        id.set(7);
        const auto main = aio::current_task();
        const auto body = [&]() -> aio::async_generator<int> {
            CHECK(aio::current_task() != main);
            co_yield id.get();
            id.set(8);
        };
        const auto found = co_await all_of(aio::merge(body(), body()));
        CHECK(found == std::vector<int>{7, 7});
        CHECK(id.get() == 7);
    });
}

TEST_CASE("merge: dump_tasks says who waits") {
    virtual_run([]() -> aio::task<> {
        const auto waiting = aio::create_task(all_of(aio::merge(ticks(0, 1, 1h))));
        co_await aio::testing::run_until_idle();
        std::ostringstream out;
        aio::dump_tasks(out);
        CHECK(contains(out.str(), "waiting for merge"));
        waiting.cancel();
        co_await aio::nothrow(waiting);
    });
}

// Exceptions

TEST_CASE("merge: the first failure cancels the other sources, and comes out of next() after what was there before") {
    trace log;
    counted::reset();
    virtual_run([&]() -> aio::task<> {
        auto all = aio::merge(aio::buffered(5), ticks(0, 9, 10ms, &log), fails_later(25ms));
        co_await aio::sleep(1ms);
        const auto first = co_await all.next();
        CHECK(*first == 0);
        co_await aio::sleep(100ms);
        CHECK(log == trace{"stopped 0"}); // nobody had to ask
        const auto second = co_await all.next();
        CHECK(*second == 1);
        const auto failed = co_await aio::nothrow(all.next());
        CHECK(text_of(failed.error()) == "a source failed");
        CHECK(counted::alive == 0);
        const auto end = co_await all.next();
        CHECK(!end);
    });
}

TEST_CASE("merge: of several failures the first counts, and no other is reported") {
    reports told;
    virtual_run([&]() -> aio::task<> {
        collect(told);
        const auto body = [](std::string text) -> aio::async_generator<int> {
            throw boom(text);
            co_yield 0;
        };
        const auto failed = co_await aio::nothrow(all_of(aio::merge(body("one"), body("two"))));
        CHECK(text_of(failed.error()) == "one");
    });
    CHECK(told.empty());
}

TEST_CASE("merge: a source that ends cancelled is a failure too") {
    virtual_run([]() -> aio::task<> {
        const auto body = []() -> aio::async_generator<int> {
            throw aio::cancelled_error("by itself");
            co_yield 0;
        };
        const auto ended = co_await aio::nothrow(all_of(aio::merge(body(), ticks(0, 3, 1h))));
        CHECK(ended.cancelled());
    });
}

// Closing and cancellation

TEST_CASE("merge: aclose() cancels and closes the sources and waits for them") {
    trace log;
    counted::reset();
    virtual_run([&]() -> aio::task<> {
        auto all = aio::merge(aio::buffered(1), ticks(0, 9, 1ms, &log), ticks(10, 9, 1h, &log));
        co_await all.next();
        co_await aio::sleep(10ms);
        co_await all.aclose();
        std::sort(log.begin(), log.end());
        CHECK(log == trace{"stopped 0", "stopped 10"});
        CHECK(counted::alive == 0);
        CHECK(aio::all_tasks().size() == 1);
    });
}

TEST_CASE("merge: a consumer that is cancelled in next() ends it all before it goes on") {
    trace log;
    counted::reset();
    virtual_run([&]() -> aio::task<> {
        const auto task = aio::create_task(all_of(aio::merge(ticks(0, 9, 1h, &log), ticks(10, 9, 1h, &log))));
        co_await aio::sleep(10ms);
        CHECK(counted::alive == 2);
        task.cancel();
        co_await aio::nothrow(task);
        CHECK(task.cancelled());
        CHECK(counted::alive == 0);
        CHECK(log == trace{"stopped 0", "stopped 10"});
    });
}

TEST_CASE("merge: a second request while it waits for its sources interrupts their cleanup") {
    virtual_run([]() -> aio::task<> {
        trace log;
        const auto body = [](trace& notes) -> aio::async_generator<int> {
            co_yield co_await cleans_up(1h, "source", notes);
        };
        const auto task = aio::create_task(all_of(aio::merge(body(log))));
        co_await aio::sleep(1s);
        task.cancel();
        co_await aio::sleep(1s);
        const auto begin = aio::clock::now();
        task.cancel();
        co_await aio::nothrow(task);
        CHECK(task.cancelled());
        CHECK(aio::clock::now() == begin);
        CHECK(log == trace{"source begins", "source cancelled", "source cancelled again"});
    });
}

TEST_CASE("merge: requests that come while it waits for its sources are delivered once, with the first") {
    virtual_run([]() -> aio::task<> {
        const auto goes_on = []() -> aio::task<int> {
            bool cancelled = false;
            try {
                co_await all_of(aio::merge(ticks(0, 9, 1h)));
            } catch (const aio::cancelled_error&) {
                cancelled = true;
            }
            CHECK(cancelled);
            co_await aio::sleep(1s); // nothing is left to be delivered
            co_return 1;
        };
        const auto task = aio::create_task(goes_on());
        co_await aio::sleep(1s);
        task.cancel();
        co_await aio::yield(); // the source has begun its cleanup
        co_await aio::yield();
        task.cancel();
        const int went_on = co_await task;
        CHECK(went_on == 1);
    });
}

namespace {

aio::task<> consume() {
    auto all = aio::merge(ticks(0, 2, 1ms), ticks(10, 2, 2ms), ticks(20, 2, 0s));
    auto body = [&]() -> aio::task<> {
        int items = 0;
        while (auto item = co_await all.next()) {
            ++items;
            if (items % 2 == 0) co_await aio::yield();
        }
        CHECK(items == 6);
    };
    co_await aio::with(all, body);
    CHECK(counted::alive == 0);
}

} // namespace

TEST_CASE("merge: nothing is left, whenever its consumer is cancelled") {
    counted::reset();
    for (const std::size_t second : {0U, 1U, 2U, 3U, 4U}) {
        for (const std::uint64_t seed : {0U, 1U, 2U, 3U}) {
            aio::testing::cancellation_plan plan;
            plan.second_after = second;
            if (seed != 0) plan.options = aio::testing::shuffled_order(seed);
            const auto report = aio::testing::for_each_cancellation([] { return consume(); }, plan);
            CHECK(report.points > 10);
            CHECK(report.failed == 0);
            CHECK(counted::alive == 0);
        }
    }
}

// Lifetime

TEST_CASE("merge: dropped without being closed, it is closed by the loop") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        {
            auto all = aio::merge(ticks(0, 9, 1ms), ticks(10, 9, 1h));
            co_await all.next();
        }
        CHECK(counted::alive == 2);
        co_await aio::sleep(1s);
        CHECK(counted::alive == 0);
    });
}

TEST_CASE("merge: can be destroyed with its loop after every iteration") {
    const audited afterwards;
    counted::reset();
    bool ended = false;
    for (int passed = 0; !ended; ++passed) {
        aio::event_loop loop(aio::testing::virtual_clock());
        loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
        const auto main = loop.create_task(consume());
        make_iterations(loop, passed);
        ended = main.done();
        loop.close();
        CHECK(counted::alive == 0);
    }
}

TEST_CASE("merge: of what can only be moved; references are copied") {
    virtual_run([]() -> aio::task<> {
        const auto owners = [](int value) -> aio::async_generator<std::unique_ptr<int>> {
            co_yield std::make_unique<int>(value);
        };
        auto pointers = aio::merge(owners(1), owners(2));
        int sum = 0;
        while (auto item = co_await pointers.next()) sum += **item;
        CHECK(sum == 3);
        const auto references = [](std::string text) -> aio::async_generator<std::string&> {
            const std::string before = text;
            co_yield text;
            CHECK(text == before);
            text = "overwritten";
        };
        auto texts = aio::merge(references("a text that is longer than a small string"), references("b"));
        std::string joined;
        while (auto item = co_await texts.next()) joined += *item;
        CHECK(joined == "a text that is longer than a small stringb");
    });
}

TEST_CASE("merge: a buffer as large as can be is a buffer without a bound") {
    const auto found = virtual_run([]() -> aio::task<std::vector<int>> {
        auto all = aio::merge(aio::buffered(std::numeric_limits<std::size_t>::max()), ticks(0, 4, 1ms));
        auto collected = all_of(std::move(all));
        co_return co_await aio::wait_for(std::move(collected), 1s);
    });
    CHECK(found == std::vector<int>{0, 1, 2, 3});
}

TEST_CASE("merge: a source that swallows the request to end, and gives an item, does not hold up aclose()") {
    virtual_run([]() -> aio::task<> {
        trace log;
        auto all = aio::merge(gives_when_cancelled(log));
        const auto first = co_await all.next();
        CHECK(first == 1);
        co_await aio::sleep(1ms);
        co_await all.aclose();
        CHECK(log == trace{"cancelled", "closed"});
    });
}

TEST_CASE("merge: what the cleanup of a source throws comes out of aclose()") {
    virtual_run([]() -> aio::task<> {
        auto all = aio::merge(fails_in_cleanup(), ticks(10, 5, 1h));
        const auto first = co_await all.next();
        CHECK(first == 1);
        std::string said;
        try {
            co_await all.aclose();
        } catch (const boom& e) {
            said = e.what();
        }
        CHECK(said == "the cleanup failed");
    });
}

TEST_CASE("merge: what the cleanup of a source throws comes out of next(), before the cancellation that began it") {
    for (const bool twice : {false, true}) {
        virtual_run([twice]() -> aio::task<> {
            std::string said;
            const auto consumer = aio::create_task([&said]() -> aio::task<> {
                auto all = aio::merge(waits_and_fails_in_cleanup(), ticks(10, 5, 1h));
                try {
                    static_cast<void>(co_await all.next());
                } catch (const boom& e) {
                    said = e.what();
                }
                co_await aio::sleep(1s);
                said += ", and it went on";
            });
            co_await aio::sleep(1ms);
            CHECK(consumer.cancel());
            co_await aio::yield(); // the cleanup has begun, and sleeps
            if (twice) CHECK(consumer.cancel());
            const auto ended = co_await aio::nothrow(consumer);
            CHECK(ended.cancelled() == twice);
            CHECK(said == (twice ? "the cleanup failed" : "the cleanup failed, and it went on"));
        });
    }
}
