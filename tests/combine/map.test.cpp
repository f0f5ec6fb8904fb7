// SPDX-License-Identifier: BSL-1.0

#include <asynchio/combine/map.hpp>

#include "support/catch.hpp"
#include "support/iterations.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"
#include "support/reports.hpp"
#include "support/threads.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/core/generator.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// How many calls there are at once.
struct gauge {
    int now = 0;
    int most = 0;
    int calls = 0;
};

/// Takes as many milliseconds as its item says.
struct slow_square {
    gauge* level;
    aio::task<int> operator()(int item) const {
        const counted alive;
        ++level->calls;
        level->most = std::max(level->most, ++level->now);
        struct leaving {
            gauge* of;
            explicit leaving(gauge* g) noexcept : of(g) {}
            ~leaving() { --of->now; }
        };
        const leaving end(level);
        co_await aio::sleep(std::chrono::milliseconds(item));
        co_return item* item;
    }
};

aio::async_generator<int> ticks(int items, aio::duration pause) {
    for (int i = 1; i <= items; ++i) {
        co_await aio::sleep(pause);
        co_yield i;
    }
}

template<class T>
aio::task<std::vector<T>> all_of(aio::async_generator<T> stream) {
    std::vector<T> found;
    while (auto item = co_await stream.next()) found.push_back(std::move(*item));
    co_return found;
}

const std::vector<int> mixed{5, 30, 1, 10, 2, 20};

} // namespace

// Construction

TEST_CASE("map: begins with the first next()") {
    virtual_run([]() -> aio::task<> {
        gauge level;
        auto stream = aio::map_ordered(mixed, slow_square{&level}, 2);
        static_assert(std::is_same_v<decltype(stream), aio::async_generator<int>>);
        co_await aio::testing::run_until_idle();
        CHECK(level.calls == 0);
        co_await stream.aclose();
        CHECK(level.calls == 0);
        const auto none = co_await all_of(aio::map_unordered(std::vector<int>(), slow_square{&level}, 2));
        CHECK(none.empty());
    });
}

TEST_CASE("map: a limit of 0, and a callable that is null, are refused by name") {
    gauge level;
    CHECK_THROWS_AS(aio::map_ordered(mixed, slow_square{&level}, 0), std::invalid_argument);
    CHECK(message_of([&] { static_cast<void>(aio::map_ordered(mixed, slow_square{&level}, 0)); }) ==
          "map_ordered: the limit must be at least 1");
    CHECK(message_of([&] { static_cast<void>(aio::map_unordered(mixed, slow_square{&level}, 0)); }) ==
          "map_unordered: the limit must be at least 1");
    const std::function<aio::task<int>(int)> null;
    CHECK_THROWS_AS(aio::map_ordered(mixed, null, 1), std::invalid_argument);
}

// Order

TEST_CASE("map: map_ordered gives results in the order of the source") {
    virtual_run([]() -> aio::task<> {
        for (const std::size_t limit : {1U, 2U, 3U, 6U, 100U}) {
            gauge level;
            const auto found = co_await all_of(aio::map_ordered(mixed, slow_square{&level}, limit));
            CHECK(found == std::vector<int>{25, 900, 1, 100, 4, 400});
            CHECK(level.calls == 6);
            CHECK(level.most == static_cast<int>(std::min<std::size_t>(limit, 6)));
        }
    });
}

TEST_CASE("map: map_unordered gives results in the order in which the calls end") {
    virtual_run([]() -> aio::task<> {
        gauge level;
        const auto all_at_once = co_await all_of(aio::map_unordered(mixed, slow_square{&level}, 6));
        CHECK(all_at_once == std::vector<int>{1, 4, 25, 100, 400, 900});
        const auto two = co_await all_of(aio::map_unordered(mixed, slow_square{&level}, 2));
        CHECK(two == std::vector<int>{25, 1, 100, 4, 900, 400});
        const auto one = co_await all_of(aio::map_unordered(mixed, slow_square{&level}, 1));
        CHECK(one == std::vector<int>{25, 900, 1, 100, 4, 400});
    });
}

TEST_CASE("map: 100,000 items, through either") {
    virtual_run([]() -> aio::task<> {
        const int items = rounds(100'000);
        const auto source = [](int end) -> aio::generator<int> {
            for (int i = 0; i < end; ++i) co_yield i;
        };
        const auto work = [](int item) -> aio::task<int> {
            if (item % 7 == 0) co_await aio::yield();
            co_return item;
        };
        auto ordered = aio::map_ordered(source(items), work, 32);
        int next = 0;
        bool in_order = true;
        while (auto item = co_await ordered.next()) in_order = in_order && *item == next++;
        CHECK(in_order);
        CHECK(next == items);
        auto unordered = aio::map_unordered(source(items), work, 32);
        long long sum = 0;
        while (auto item = co_await unordered.next()) sum += *item;
        CHECK(sum == static_cast<long long>(items) * (items - 1) / 2);
    });
}

// Sources, functions, results

TEST_CASE("map: takes streams, containers, views and arrays") {
    virtual_run([]() -> aio::task<> {
        const auto negate = [](int item) -> aio::task<int> { co_return -item; };
        auto found = co_await all_of(aio::map_ordered(ticks(3, 1ms), negate, 2));
        CHECK(found == std::vector<int>{-1, -2, -3});
        std::array<int, 2> fixed{1, 2};
        found = co_await all_of(aio::map_ordered(fixed, negate, 2));
        CHECK(found == std::vector<int>{-1, -2});
        found = co_await all_of(aio::map_ordered(std::span<int>(fixed), negate, 2));
        CHECK(found == std::vector<int>{-1, -2});
        const std::vector<std::string> texts{"a", "b"};
        const auto twice = [](std::string text) -> aio::task<std::string> { co_return text + text; };
        const auto doubled = co_await all_of(aio::map_ordered(texts, twice, 2));
        CHECK(doubled == std::vector<std::string>{"aa", "bb"});
        CHECK(texts == std::vector<std::string>{"a", "b"});
        const auto mapped_again = co_await all_of(aio::map_ordered(aio::map_unordered(fixed, negate, 1), negate, 1));
        CHECK(mapped_again == std::vector<int>{1, 2});
    });
}

TEST_CASE("map: of what can only be moved, to what can only be moved; void gives monostate; references are copied") {
    virtual_run([]() -> aio::task<> {
        std::vector<std::unique_ptr<int>> owners;
        for (int i = 0; i < 3; ++i) owners.push_back(std::make_unique<int>(i));
        const auto increment = [](std::unique_ptr<int> item) -> aio::task<std::unique_ptr<int>> {
            ++*item;
            co_return item;
        };
        const auto found = co_await all_of(aio::map_ordered(std::move(owners), increment, 2));
        REQUIRE(found.size() == 3);
        CHECK(*found[2] == 3);
        int seen = 0;
        const auto look = [&seen](const int& item) -> aio::task<> {
            co_await aio::yield();
            seen += item;
        };
        auto nothing = aio::map_unordered(mixed, look, 3);
        static_assert(std::is_same_v<decltype(nothing), aio::async_generator<std::monostate>>);
        int items = 0;
        while (auto item = co_await nothing.next()) ++items;
        CHECK(items == 6);
        CHECK(seen == 68);
        const auto handles = [](int item) { return aio::create_task(gives(item)); };
        const auto awaited = co_await all_of(aio::map_ordered(mixed, handles, 3));
        CHECK(awaited == mixed);
    });
}

TEST_CASE("map: keeps function and items alive, and copies no more than it must") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        const auto stream = [] {
            auto owned = std::make_shared<int>(10);
            const auto add = [owned](int item) -> aio::task<int> {
                co_await aio::sleep(1ms);
                co_return item + *owned;
            };
            return aio::map_ordered(std::vector<int>{1, 2, 3}, add, 2);
        };
        const auto found = co_await all_of(stream());
        CHECK(found == std::vector<int>{11, 12, 13});
        std::vector<counted> items;
        items.emplace_back(1);
        const auto pass = [](counted item) -> aio::task<counted> { co_return item; };
        auto passed = aio::map_ordered(std::move(items), pass, 1);
        const auto item = co_await passed.next();
        CHECK(item->value == 1);
        CHECK(counted::copies == 1); // out of the range
    });
    CHECK(counted::alive == 0);
}

// Back-pressure

TEST_CASE("map: a slow consumer holds up the calls at the limit, and the source with them") {
    virtual_run([]() -> aio::task<> {
        for (const bool ordered : {true, false}) {
            int asked = 0;
            const auto endless = [](int& count) -> aio::async_generator<int> {
                for (;;) co_yield ++count;
            };
            const auto quick = [](int item) -> aio::task<int> { co_return item; };
            auto stream =
                ordered ? aio::map_ordered(endless(asked), quick, 3) : aio::map_unordered(endless(asked), quick, 3);
            co_await stream.next();
            co_await aio::testing::run_until_idle();
            CHECK(asked == 4); // one was taken
            co_await stream.next();
            co_await aio::testing::run_until_idle();
            CHECK(asked == 5);
            co_await stream.aclose();
        }
    });
}

TEST_CASE("map: a slow source does not hold up results that are there") {
    virtual_run([]() -> aio::task<> {
        gauge level;
        auto stream = aio::map_ordered(ticks(3, 100ms), slow_square{&level}, 10);
        const auto begin = aio::clock::now();
        const auto first = co_await stream.next();
        CHECK(*first == 1);
        CHECK(aio::clock::now() - begin == 101ms);
        co_await stream.aclose();
    });
}

// Exceptions

TEST_CASE("map: the first failure cancels what runs; results in turn are given first") {
    counted::reset();
    reports told;
    virtual_run([&]() -> aio::task<> {
        collect(told);
        const auto work = [](int item) -> aio::task<int> {
            const counted alive;
            co_await aio::sleep(std::chrono::milliseconds(item));
            if (item == 20) throw boom("twenty");
            co_return item;
        };
        auto ordered = aio::map_ordered(std::vector<int>{5, 10, 1000, 20, 12}, work, 10);
        const auto first = co_await ordered.next();
        CHECK(*first == 5);
        co_await aio::sleep(1s);
        CHECK(counted::alive == 0);
        const auto second = co_await ordered.next();
        CHECK(*second == 10);
        const auto failed = co_await aio::nothrow(ordered.next()); // 12 was done, but 1000 before it was not
        CHECK(text_of(failed.error()) == "twenty");
        const auto end = co_await ordered.next();
        CHECK(!end);

        auto unordered = aio::map_unordered(std::vector<int>{5, 10, 1000, 20, 12}, work, 10);
        std::vector<int> found;
        std::string said;
        try {
            while (auto item = co_await unordered.next()) found.push_back(*item);
        } catch (const boom& e) {
            said = e.what();
        }
        CHECK(found == std::vector<int>{5, 10, 12});
        CHECK(said == "twenty");
    });
    CHECK(told.empty());
    CHECK(counted::alive == 0);
}

TEST_CASE("map: a source that fails, and a function that throws before it gives a task") {
    virtual_run([]() -> aio::task<> {
        const auto source = []() -> aio::async_generator<int> {
            co_yield 1;
            throw boom("source");
        };
        const auto pass = [](int item) -> aio::task<int> { co_return item; };
        auto stream = aio::map_ordered(source(), pass, 2);
        const auto first = co_await stream.next();
        CHECK(*first == 1);
        const auto failed = co_await aio::nothrow(stream.next());
        CHECK(text_of(failed.error()) == "source");
        const auto throws = [](int item) -> aio::task<int> {
            if (item == 1) throw boom("call");
            return gives(item);
        };
        const auto ended = co_await aio::nothrow(all_of(aio::map_unordered(mixed, throws, 2)));
        CHECK(text_of(ended.error()) == "call");
    });
}

TEST_CASE("map: a call that somebody cancels ends it cancelled") {
    virtual_run([]() -> aio::task<> {
        const auto cancels_itself = [](int item) -> aio::task<int> {
            aio::current_task().cancel();
            co_await aio::sleep(1h);
            co_return item;
        };
        const auto ended = co_await aio::nothrow(all_of(aio::map_ordered(mixed, cancels_itself, 2)));
        CHECK(ended.cancelled());
    });
}

// Closing and cancellation

TEST_CASE("map: aclose() cancels the calls and the source and waits for them") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        gauge level;
        auto stream = aio::map_unordered(ticks(100, 1ms), slow_square{&level}, 5);
        auto body = [&]() -> aio::task<int> {
            const auto item = co_await stream.next();
            co_return *item;
        };
        const int first = co_await aio::with(stream, body);
        CHECK(first == 1);
        CHECK(level.now == 0);
        CHECK(counted::alive == 0);
        CHECK(aio::all_tasks().size() == 1);
    });
}

namespace {

aio::task<> consume(bool ordered) {
    gauge level;
    auto stream = ordered ? aio::map_ordered(ticks(4, 1ms), slow_square{&level}, 2)
                          : aio::map_unordered(ticks(4, 1ms), slow_square{&level}, 2);
    auto body = [&]() -> aio::task<> {
        int items = 0;
        while (auto item = co_await stream.next()) {
            ++items;
            if (items == 2) co_await aio::yield();
        }
        CHECK(items == 4);
    };
    struct check {
        gauge& of;
        explicit check(gauge& g) noexcept : of(g) {}
        ~check() { CHECK(of.now == 0); }
    };
    const check none_runs_on(level);
    co_await aio::with(stream, body);
}

} // namespace

TEST_CASE("map: nothing is left, whenever its consumer is cancelled") {
    counted::reset();
    for (const bool ordered : {true, false}) {
        for (const std::size_t second : {0U, 1U, 2U, 3U, 4U}) {
            for (const std::uint64_t seed : {0U, 1U, 2U}) {
                aio::testing::cancellation_plan plan;
                plan.second_after = second;
                if (seed != 0) plan.options = aio::testing::shuffled_order(seed);
                const auto report = aio::testing::for_each_cancellation([ordered] { return consume(ordered); }, plan);
                CHECK(report.points > 10);
                CHECK(report.failed == 0);
                CHECK(counted::alive == 0);
            }
        }
    }
}

TEST_CASE("map: dropped without being closed, it is closed by the loop") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        gauge level;
        {
            auto stream = aio::map_ordered(mixed, slow_square{&level}, 3);
            co_await stream.next();
        }
        CHECK(level.now > 0);
        co_await aio::sleep(1s);
        CHECK(level.now == 0);
        CHECK(counted::alive == 0);
    });
}

TEST_CASE("map: can be destroyed with its loop after every iteration") {
    const audited afterwards;
    counted::reset();
    for (const bool ordered : {true, false}) {
        bool ended = false;
        for (int passed = 0; !ended; ++passed) {
            aio::event_loop loop(aio::testing::virtual_clock());
            loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
            const auto main = loop.create_task([](bool o) -> aio::task<> {
                gauge* level = new gauge; // outlives the frames that refer to it
                const std::unique_ptr<gauge> owner(level);
                auto stream = o ? aio::map_ordered(ticks(3, 1ms), slow_square{level}, 2)
                                : aio::map_unordered(ticks(3, 1ms), slow_square{level}, 2);
                while (auto item = co_await stream.next()) co_await aio::yield();
            }(ordered));
            make_iterations(loop, passed);
            ended = main.done();
            loop.close();
            CHECK(counted::alive == 0);
        }
    }
}

TEST_CASE("map: a model: every item once, in order, never more calls than the limit, under shuffled orders") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        virtual_run(
            [seed]() -> aio::task<> {
                gauge level;
                std::vector<int> items;
                std::uint64_t random = seed;
                for (int i = 0; i < 60; ++i) {
                    random = random * 6364136223846793005ULL + 1442695040888963407ULL;
                    items.push_back(static_cast<int>((random >> 33) % 5));
                }
                const auto limit = static_cast<std::size_t>(1 + seed % 7);
                std::vector<int> squares;
                for (const int item : items) squares.push_back(item * item);
                auto found = co_await all_of(aio::map_ordered(items, slow_square{&level}, limit));
                CHECK(found == squares);
                found = co_await all_of(aio::map_unordered(items, slow_square{&level}, limit));
                std::sort(found.begin(), found.end());
                std::sort(squares.begin(), squares.end());
                CHECK(found == squares);
                CHECK(level.most <= static_cast<int>(limit));
            },
            aio::testing::shuffled_order(seed));
    }
}

TEST_CASE("map: a source that swallows the request to end, and gives an item, does not hold up aclose()") {
    virtual_run([]() -> aio::task<> {
        int calls = 0;
        auto body = [](int* called) -> aio::async_generator<int> {
            co_yield 1;
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {}
            for (int i = 2;; ++i) co_yield int(*called + i);
        };
        auto count = [&calls](int item) -> aio::task<int> {
            ++calls;
            co_return item;
        };
        auto all = aio::map_ordered(body(&calls), count, 1);
        const auto first = co_await all.next();
        CHECK(first == 1);
        co_await aio::sleep(1ms);
        co_await all.aclose();
        CHECK(calls == 1);
    });
}

TEST_CASE("map: what the cleanup of the source throws comes out of aclose()") {
    virtual_run([]() -> aio::task<> {
        auto body = []() -> aio::async_generator<int> {
            try {
                for (int i = 1;; ++i) co_yield int(i);
            } catch (const aio::generator_exit&) {}
            co_await aio::sleep(1ms);
            throw boom("the cleanup failed");
        };
        auto same = [](int item) -> aio::task<int> { co_return item; };
        auto all = aio::map_unordered(body(), same, 2);
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

TEST_CASE("map: what the cleanup of the source throws comes out of next(), before the cancellation that began it") {
    virtual_run([]() -> aio::task<> {
        auto body = []() -> aio::async_generator<int> {
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {}
            throw boom("the cleanup failed");
            co_yield 0;
        };
        auto same = [](int item) -> aio::task<int> { co_return item; };
        auto all = aio::map_ordered(body(), same, 2);
        auto consume = [&all]() -> aio::task<> { static_cast<void>(co_await all.next()); };
        const auto consumer = aio::create_task(consume());
        co_await aio::sleep(1ms);
        CHECK(consumer.cancel());
        const auto ended = co_await aio::nothrow(consumer);
        CHECK_FALSE(ended.cancelled());
        CHECK(text_of(ended.error()) == "the cleanup failed");
    });
}

TEST_CASE("map_ordered: the range may have an operator new that nobody can call") {
    struct on_no_heap : std::vector<int> {
        using std::vector<int>::vector;
        static void* operator new(std::size_t) = delete;
        static void* operator new(std::size_t, void*) = delete;
        static void operator delete(void*) = delete;
    };
    int sum = 0;
    virtual_run([&sum]() -> aio::task<> {
        auto results = aio::map_ordered(on_no_heap{1, 2, 3}, [](int n) -> aio::task<int> { co_return n; }, 2);
        while (const auto each = co_await results.next()) sum += *each;
    });
    CHECK(sum == 6);
}
