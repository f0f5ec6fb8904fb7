// SPDX-License-Identifier: BSL-1.0
// covers: task/detail/open_generators.hpp core/generator_exit.hpp

#include <asynchio/task/async_generator.hpp>

#include "support/catch.hpp"
#include "support/iterations.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"
#include "support/reports.hpp"
#include "support/threads.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/finally.hpp>
#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

aio::async_generator<int> count(int end) {
    for (int i = 0; i < end; ++i) co_yield i;
}

aio::async_generator<int> count_slowly(int end, aio::duration pause) {
    for (int i = 0; i < end; ++i) {
        co_await aio::sleep(pause);
        co_yield i;
    }
}

/// What ended the body, noted; its cleanup takes `cleanup`.
aio::async_generator<int> noting(trace& log, aio::duration cleanup, aio::duration pause = 0s) {
    const counted alive;
    log.push_back("begins");
    std::exception_ptr ended;
    try {
        for (int i = 0; i < 3; ++i) {
            co_yield i;
            co_await aio::sleep(pause);
        }
        log.push_back("exhausted");
    } catch (const aio::generator_exit&) {
        log.push_back("exit");
        ended = std::current_exception();
    } catch (const aio::cancelled_error&) {
        log.push_back("cancelled");
        ended = std::current_exception();
    }
    co_await aio::sleep(cleanup);
    log.push_back("cleaned up");
    if (ended) std::rethrow_exception(ended);
}

/// The exceptions and locals of a body that stands at its co_yield for ever.
aio::async_generator<int> holding() {
    const counted alive;
    for (;;) co_yield 1;
}

template<class Stream>
aio::task<int> sum_of(Stream& stream) {
    int sum = 0;
    while (auto item = co_await stream.next()) sum += *item;
    co_return sum;
}

aio::task<int> first_of(aio::async_generator<int>& stream) {
    const auto item = co_await stream.next();
    co_return item ? *item : -1;
}

} // namespace

// Construction

TEST_CASE("async_generator: is move-only, may be empty, and says so") {
    static_assert(!std::is_copy_constructible_v<aio::async_generator<int>>);
    static_assert(std::is_nothrow_move_constructible_v<aio::async_generator<int>>);
    static_assert(std::is_same_v<aio::async_generator<int>::item_type, std::optional<int>>);
    static_assert(std::is_same_v<aio::async_generator<const int>::item_type, std::optional<int>>);
    static_assert(std::is_same_v<aio::async_generator<int&>::item_type, int*>);
    static_assert(std::is_same_v<aio::async_generator<const int&>::item_type, const int*>);
    static_assert(!std::is_base_of_v<std::exception, aio::generator_exit>);
    CHECK(std::string(aio::generator_exit().what()) == "the generator is being closed");
    virtual_run([]() -> aio::task<> {
        aio::async_generator<int> empty;
        CHECK(!empty);
        auto full = count(2);
        CHECK(full);
        empty = std::move(full);
        CHECK(empty);
        CHECK(!full);
        const auto asked = co_await aio::nothrow(full.next());
        CHECK(contains(text_of(asked.error()), "the asynchronous generator is empty"));
        co_await full.aclose(); // nothing to close
        const int sum = co_await sum_of(empty);
        CHECK(sum == 1);
    });
}

TEST_CASE("async_generator: the body starts with the first request, and alternates with the consumer", "[AGN-1]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const iterations seen;
        const auto numbers = [](trace& notes) -> aio::async_generator<int> {
            for (int i = 0; i < 2; ++i) {
                notes.push_back("yields " + std::to_string(i));
                co_yield i;
            }
            notes.push_back("ends");
        };
        auto stream = numbers(log);
        log.push_back("made");
        while (auto item = co_await stream.next()) log.push_back("got " + std::to_string(*item));
        CHECK(seen.passed() == 0); // nobody went through the loop
    });
    CHECK(log == trace{"made", "yields 0", "got 0", "yields 1", "got 1", "ends"});
}

TEST_CASE("async_generator: gives nothing once it has ended, for ever", "[AGN-2]") {
    virtual_run([]() -> aio::task<> {
        auto stream = count(3);
        const int sum = co_await sum_of(stream);
        CHECK(sum == 3);
        for (int i = 0; i < 3; ++i) {
            const auto more = co_await stream.next();
            CHECK(!more);
        }
        auto none = count(0);
        const auto first = co_await none.next();
        CHECK(!first);
    });
}

TEST_CASE("async_generator: 100,000 items, ready and not") {
    virtual_run([]() -> aio::task<> {
        auto ready = count(100'000);
        long sum = 0;
        while (auto item = co_await ready.next()) sum += *item;
        CHECK(sum == 4'999'950'000);
        auto waiting = count_slowly(rounds(100'000), 1ns);
        int items = 0;
        while (auto item = co_await waiting.next()) CHECK_NOFAIL(*item == items++);
        CHECK(items == rounds(100'000));
    });
}

TEST_CASE("async_generator: 100,000 of them, begun and closed, or begun and dropped") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        for (int i = 0; i < rounds(100'000); ++i) {
            auto stream = holding();
            co_await stream.next();
            if (i % 2 == 0) co_await stream.aclose();
        }
        co_await aio::testing::run_until_idle();
        CHECK(counted::alive == 0);
    });
}

// Items

TEST_CASE("async_generator: moves items that are temporary or given up, and copies named ones") {
    virtual_run([]() -> aio::task<> {
        counted::reset();
        const auto body = []() -> aio::async_generator<counted> {
            co_yield counted(1);
            counted named(2);
            co_yield std::move(named);
            counted kept(3);
            co_yield kept;
            CHECK(kept.value == 3);
            counted taken(4);
            co_yield aio::take(taken);
        };
        auto stream = body();
        for (int expected = 1; expected <= 4; ++expected) {
            const auto item = co_await stream.next();
            REQUIRE(item.has_value());
            CHECK(item->value == expected);
        }
        const auto end = co_await stream.next();
        CHECK(!end);
        CHECK(counted::copies == 1);
        stream = {};
        CHECK(counted::alive == 0);
    });
}

TEST_CASE("async_generator: of what can only be moved, of what converts, and of aggregates") {
    struct record {
        std::string name;
        std::shared_ptr<int> value;
    };
    virtual_run([]() -> aio::task<> {
        const auto owners = []() -> aio::async_generator<std::unique_ptr<int>> {
            co_yield std::make_unique<int>(1);
            co_yield nullptr;
        };
        auto pointers = owners();
        const auto one = co_await pointers.next();
        CHECK(**one == 1);
        const auto null = co_await pointers.next();
        REQUIRE(null.has_value());
        CHECK(*null == nullptr);

        const auto texts = []() -> aio::async_generator<std::string> {
            co_yield "a text that is longer than a small string";
        };
        auto strings = texts();
        const auto text = co_await strings.next();
        CHECK(*text == "a text that is longer than a small string");

        const auto shared = std::make_shared<int>(7);
        const auto records = [](std::shared_ptr<int> value) -> aio::async_generator<record> {
            record made{"named", value};
            co_yield made;
            co_yield aio::take(made);
        };
        {
            auto rows = records(shared);
            for (int i = 0; i < 2; ++i) {
                const auto row = co_await rows.next();
                REQUIRE(row.has_value());
                CHECK(row->name == "named");
                CHECK(row->value == shared);
            }
        }
        co_await aio::testing::run_until_idle();
        CHECK(shared.use_count() == 1);
    });
}

TEST_CASE("async_generator: of references gives pointers to what the body has") {
    virtual_run([]() -> aio::task<> {
        const auto body = []() -> aio::async_generator<int&> {
            int local = 1;
            co_yield local;
            CHECK(local == 10);
            co_yield local;
        };
        auto stream = body();
        int* first = co_await stream.next();
        *first = 10;
        const int* second = co_await stream.next();
        CHECK(second == first);
        const int* end = co_await stream.next();
        CHECK(end == nullptr);

        const auto constant = []() -> aio::async_generator<const std::string&> {
            const std::string local = "local";
            co_yield local;
            co_yield std::string("temporary");
            co_yield "converted";
        };
        auto texts = constant();
        std::string all;
        while (const std::string* text = co_await texts.next()) all += *text + ' ';
        CHECK(all == "local temporary converted ");
    });
}

TEST_CASE("async_generator: an item that cannot be copied or moved out fails in next(), and the stream goes on") {
    virtual_run([]() -> aio::task<> {
        const auto body = []() -> aio::async_generator<fragile> {
            fragile kept(1);
            co_yield std::move(kept);
            co_yield fragile(2);
        };
        auto stream = body();
        fragile::fuse = 1;
        const auto first = co_await aio::nothrow(stream.next());
        fragile::fuse = 0;
        CHECK(text_of(first.error()) == "move");
        const auto second = co_await stream.next();
        REQUIRE(second.has_value());
        CHECK(second->value == 2);

        const auto copying = []() -> aio::async_generator<fragile> {
            const fragile kept(1);
            co_yield kept;
        };
        auto copies = copying();
        fragile::fuse = 1;
        const auto failed = co_await aio::nothrow(copies.next());
        fragile::fuse = 0;
        CHECK(text_of(failed.error()) == "copy"); // inside the body, which that ended
        const auto after = co_await copies.next();
        CHECK(!after);
    });
    CHECK(fragile::alive == 0);
}

TEST_CASE("async_generator: locals that are aligned beyond 16 bytes are right") {
    virtual_run([]() -> aio::task<> {
        struct alignas(64) wide {
            char bytes[64];
        };
        const auto body = []() -> aio::async_generator<bool> {
            const wide local{};
            co_yield reinterpret_cast<std::uintptr_t>(&local) % 16 == 0;
        };
        auto stream = body();
        const auto aligned = co_await stream.next();
        CHECK(*aligned);
    });
}

// Waiting

TEST_CASE("async_generator: the body awaits, in the name of the consumer", "[AGN-1]") {
    virtual_run([]() -> aio::task<> {
        const auto me = aio::current_task();
        const auto body = [](aio::any_task_handle consumer) -> aio::async_generator<int> {
            CHECK(aio::current_task() == consumer);
            co_await aio::sleep(1s);
            CHECK(aio::current_task() == consumer);
            co_yield co_await gives(5);
        };
        auto stream = body(me);
        const auto begin = aio::clock::now();
        const auto item = co_await stream.next();
        CHECK(*item == 5);
        CHECK(aio::clock::now() - begin == 1s);
    });
}

TEST_CASE("async_generator: may be asked by one task after another") {
    virtual_run([]() -> aio::task<> {
        auto stream = count_slowly(4, 1ms);
        int sum = 0;
        for (int i = 0; i < 4; ++i) sum += co_await aio::create_task(first_of(stream));
        CHECK(sum == 6);
    });
}

TEST_CASE("async_generator: next() can be gathered and given a name") {
    virtual_run([]() -> aio::task<> {
        auto a = count_slowly(2, 10ms);
        auto b = count_slowly(2, 20ms);
        const auto begin = aio::clock::now();
        const auto both = co_await aio::gather(a.next(), b.next());
        CHECK(aio::clock::now() - begin == 20ms);
        CHECK(*std::get<0>(both) == 0);
        CHECK(*std::get<1>(both) == 0);
        auto request = a.next();
        const auto second = co_await request;
        CHECK(*second == 1);
    });
}

TEST_CASE("async_generator: one that iterates another one is one too") {
    virtual_run([]() -> aio::task<> {
        const auto doubled = [](aio::async_generator<int> inner) -> aio::async_generator<int> {
            while (auto item = co_await inner.next()) co_yield *item * 2;
        };
        auto stream = doubled(doubled(count_slowly(4, 1ms)));
        const int sum = co_await sum_of(stream);
        CHECK(sum == 24);
    });
}

TEST_CASE("async_generator: dump_tasks shows the line in the body where it waits") {
    virtual_run([]() -> aio::task<> {
        auto stream = count_slowly(1, 1h);
        const auto task = aio::create_task(first_of(stream));
        co_await aio::testing::run_until_idle();
        std::ostringstream out;
        aio::dump_tasks(out);
        CHECK(contains(out.str(), "waiting for sleep"));
        const std::size_t consumer = out.str().find("first_of");
        const std::size_t body = out.str().find("count_slowly");
        CHECK(body != std::string::npos);
        CHECK(consumer < body);
        task.cancel();
        co_await aio::nothrow(task);
    });
}

// Closing

TEST_CASE("async_generator: aclose() throws generator_exit at the co_yield and waits for the cleanup", "[AGN-3]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto stream = noting(log, 20ms);
        co_await stream.next();
        const auto begin = aio::clock::now();
        co_await stream.aclose();
        CHECK(aio::clock::now() - begin == 20ms);
        log.push_back("closed");
        co_await stream.aclose();
        const auto more = co_await stream.next();
        CHECK(!more);
    });
    CHECK(log == trace{"begins", "exit", "cleaned up", "closed"});
}

TEST_CASE("async_generator: aclose() of one that never started or has ended does nothing", "[AGN-4]") {
    trace log;
    counted::reset();
    virtual_run([&]() -> aio::task<> {
        auto stream = noting(log, 0s);
        co_await stream.aclose();
        CHECK(log.empty());
        const auto none = co_await stream.next();
        CHECK(!none);
        CHECK(log.empty()); // closed for good
        auto ended = count(1);
        co_await sum_of(ended);
        const iterations seen;
        co_await ended.aclose();
        CHECK(seen.passed() == 0);
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("async_generator: leaving a loop over it does not close it; with does", "[AGN-5]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto stream = noting(log, 5ms);
        while (auto item = co_await stream.next()) break;
        log.push_back("left");
        const auto second = co_await stream.next();
        CHECK(*second == 1);
        auto body = [&]() -> aio::task<int> {
            while (auto item = co_await stream.next()) co_return *item;
            co_return -1;
        };
        const int got = co_await aio::with(stream, body);
        CHECK(got == 2);
        log.push_back("outside");
    });
    CHECK(log == trace{"begins", "left", "exit", "cleaned up", "outside"});
}

TEST_CASE("async_generator: with closes it when its body fails", "[AGN-3][AGN-5]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto stream = noting(log, 5ms);
        auto body = [&]() -> aio::task<> {
            co_await stream.next();
            throw boom("in the block");
        };
        const auto ended = co_await aio::nothrow(aio::with(stream, body));
        CHECK(text_of(ended.error()) == "in the block");
    });
    CHECK(log == trace{"begins", "exit", "cleaned up"});
}

TEST_CASE("async_generator: cleanup that awaits, by finally, on every path", "[AGN-16]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto cleanup = [](trace& notes) -> aio::task<> {
            co_await aio::sleep(1ms);
            notes.push_back("cleaned up");
        };
        const auto body = [&]() -> aio::async_generator<int> {
            std::exception_ptr error; // a co_yield belongs to this body, so finally cannot stand around it
            try {
                co_yield 1;
                co_yield 2;
            } catch (...) {
                error = std::current_exception();
            }
            co_await cleanup(log);
            if (error) std::rethrow_exception(error);
        };
        auto stream = body();
        co_await stream.next();
        co_await stream.aclose();
        CHECK(log == trace{"cleaned up"});
    });
}

TEST_CASE("async_generator: one that yields while it is closed breaks a promise", "[AGN-6]") {
    virtual_run([]() -> aio::task<> {
        const auto stubborn = []() -> aio::async_generator<int> {
            for (int i = 0;; ++i) {
                try {
                    co_yield i;
                } catch (const aio::generator_exit&) {
                    if (i == 3) throw;
                }
            }
        };
        auto stream = stubborn();
        co_await stream.next();
        const auto closed = co_await aio::nothrow(stream.aclose());
        CHECK(contains(text_of(closed.error()), "ignored generator_exit"));
        const auto next = co_await stream.next(); // it is still there
        CHECK(*next == 2);
        const auto again = co_await aio::nothrow(stream.aclose());
        CHECK(again.error());
        co_await stream.aclose();
        const auto end = co_await stream.next();
        CHECK(!end);
    });
}

TEST_CASE("async_generator: an exception of the cleanup comes out of aclose()", "[AGN-3]") {
    virtual_run([]() -> aio::task<> {
        const auto body = []() -> aio::async_generator<int> {
            try {
                co_yield 1;
            } catch (const aio::generator_exit&) {
                throw boom("while closing");
            }
        };
        auto stream = body();
        co_await stream.next();
        const auto closed = co_await aio::nothrow(stream.aclose());
        CHECK(text_of(closed.error()) == "while closing");
        co_await stream.aclose();

        const auto swallows_it = []() -> aio::async_generator<int> {
            try {
                co_yield 1;
            } catch (const aio::generator_exit&) {}
        };
        auto quiet = swallows_it();
        co_await quiet.next();
        co_await quiet.aclose();
    });
}

TEST_CASE("async_generator: a generator_exit that nobody asked for is an exception as any other") {
    virtual_run([]() -> aio::task<> {
        const auto body = []() -> aio::async_generator<int> {
            throw aio::generator_exit();
            co_yield 1;
        };
        auto stream = body();
        bool seen = false;
        try {
            co_await stream.next();
        } catch (const aio::generator_exit&) {
            seen = true;
        }
        CHECK(seen);
    });
}

// Misuse

TEST_CASE("async_generator: two requests at once are refused", "[AGN-9]") {
    virtual_run([]() -> aio::task<> {
        auto stream = count_slowly(2, 10ms);
        const auto first = aio::create_task(first_of(stream));
        co_await aio::yield();
        const auto second = co_await aio::nothrow(stream.next());
        CHECK(contains(text_of(second.error()), "next: the asynchronous generator at "));
        CHECK(contains(text_of(second.error()), "async_generator.test.cpp:"));
        CHECK(contains(text_of(second.error()), "is already running"));
        const auto closed = co_await aio::nothrow(stream.aclose());
        CHECK(contains(text_of(closed.error()), "aclose: the asynchronous generator"));
        const int item = co_await first; // not disturbed
        CHECK(item == 0);
        const auto next = co_await stream.next();
        CHECK(*next == 1);
    });
}

TEST_CASE("async_generator: one that asks itself is refused", "[AGN-9]") {
    virtual_run([]() -> aio::task<> {
        aio::async_generator<int> stream;
        const auto body = [&]() -> aio::async_generator<int> {
            const auto own = co_await aio::nothrow(stream.next());
            co_yield contains(text_of(own.error()), "is already running") ? 1 : 0;
        };
        stream = body();
        const auto refused = co_await stream.next();
        CHECK(*refused == 1);
    });
}

// Exceptions

TEST_CASE("async_generator: an exception of the body reaches the consumer once and ends the stream", "[AGN-2]") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        const auto body = []() -> aio::async_generator<int> {
            const counted local;
            co_yield 1;
            co_await aio::sleep(1ms);
            throw boom("in the body");
        };
        auto stream = body();
        co_await stream.next();
        const auto failed = co_await aio::nothrow(stream.next());
        CHECK(text_of(failed.error()) == "in the body");
        CHECK(counted::alive == 0);
        const auto end = co_await stream.next();
        CHECK(!end);
        co_await stream.aclose();
    });
}

// Cancellation

TEST_CASE("async_generator: a consumer that is cancelled in the body's await: the body sees it first", "[AGN-7]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto consume = [](trace& notes) -> aio::task<> {
            auto stream = noting(notes, 1ms, 1h);
            try {
                co_await sum_of(stream);
            } catch (const aio::cancelled_error&) {
                notes.push_back("consumer cancelled");
                throw;
            }
        };
        const auto task = aio::create_task(consume(log));
        co_await aio::sleep(1s);
        task.cancel();
        co_await aio::nothrow(task);
        CHECK(task.cancelled());
    });
    CHECK(log == trace{"begins", "cancelled", "cleaned up", "consumer cancelled"});
}

TEST_CASE("async_generator: a consumer that is cancelled between items: the body sees only the close", "[AGN-8]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto consume = [](trace& notes) -> aio::task<> {
            auto stream = noting(notes, 1ms);
            auto body = [&]() -> aio::task<> {
                while (auto item = co_await stream.next()) co_await aio::sleep(1h);
            };
            co_await aio::with(stream, body);
        };
        const auto task = aio::create_task(consume(log));
        co_await aio::sleep(1s);
        task.cancel();
        co_await aio::nothrow(task);
        CHECK(task.cancelled());
    });
    CHECK(log == trace{"begins", "exit", "cleaned up"});
}

TEST_CASE("async_generator: a body that swallows the cancellation goes on giving items", "[AGN-7]") {
    virtual_run([]() -> aio::task<> {
        const auto body = []() -> aio::async_generator<int> {
            co_yield co_await swallows(1);
            co_yield 2;
        };
        auto stream = body();
        const auto task = aio::create_task(sum_of(stream));
        co_await aio::yield();
        task.cancel();
        const int sum = co_await task;
        CHECK(sum == 3);
    });
}

namespace {

/// Three items, two of them waited for, with cleanup; each is looked at for a while.
aio::task<> consume_closed() {
    auto stream = []() -> aio::async_generator<int> {
        const counted local;
        std::exception_ptr error;
        try {
            co_yield 0;
            co_await aio::sleep(1ms);
            co_yield 1;
            co_await aio::yield();
            co_yield 2;
        } catch (...) {
            error = std::current_exception();
        }
        co_await aio::sleep(1ms);
        if (error) std::rethrow_exception(error);
    }();
    auto body = [&]() -> aio::task<> {
        int items = 0;
        while (auto item = co_await stream.next()) {
            co_await aio::sleep(1ms);
            ++items;
        }
        CHECK(items == 3);
    };
    co_await aio::with(stream, body);
}

/// Takes an item, and drops the generator without closing it.
aio::task<> consume_and_drop(trace& log) {
    auto stream = noting(log, 1ms, 1ms);
    co_await stream.next();
    co_await aio::sleep(1ms);
    co_await stream.next();
}

} // namespace

TEST_CASE("async_generator: closed on every path, whenever its consumer is cancelled", "[AGN-7][AGN-8]") {
    counted::reset();
    for (const std::size_t second : {0U, 1U, 2U, 3U}) {
        aio::testing::cancellation_plan plan;
        plan.second_after = second;
        const auto report = aio::testing::for_each_cancellation([] { return consume_closed(); }, plan);
        CHECK(report.points > 10);
        CHECK(report.cancelled == report.points);
        CHECK(counted::alive == 0);
    }
}

TEST_CASE("async_generator: dropped, whenever its consumer is cancelled", "[AGN-7][AGN-8]") {
    counted::reset();
    for (const std::size_t second : {0U, 1U, 2U}) {
        aio::testing::cancellation_plan plan;
        plan.second_after = second;
        trace log;
        const auto report = aio::testing::for_each_cancellation([&] { return consume_and_drop(log); }, plan);
        CHECK(report.points > 3);
        CHECK(counted::alive == 0);
    }
}

TEST_CASE("async_generator: requests that are gathered, whenever the gathering task is cancelled", "[AGN-7]") {
    counted::reset();
    const auto report = aio::testing::for_each_cancellation([]() -> aio::task<> {
        const auto body = [](aio::duration pause) -> aio::async_generator<int> {
            const counted local;
            for (int i = 0; i < 2; ++i) {
                co_await aio::sleep(pause);
                co_yield i;
            }
        };
        auto a = body(1ms);
        auto b = body(2ms);
        for (int i = 0; i < 2; ++i) co_await aio::gather(a.next(), b.next());
    });
    CHECK(report.points > 3);
    CHECK(report.cancelled == report.points);
    CHECK(counted::alive == 0);
}

// Lifetime

TEST_CASE("async_generator: dropped before its start frees its arguments without a word") {
    counted::reset();
    reports told;
    virtual_run([&]() -> aio::task<> {
        collect(told);
        const auto body = [](counted argument) -> aio::async_generator<int> { co_yield argument.value; };
        {
            const auto stream = body(counted(1));
            CHECK(counted::alive == 1);
        }
        CHECK(counted::alive == 0);
        co_return;
    });
    {
        const auto outside = holding(); // no loop at all
        CHECK(outside);
    }
    CHECK(told.empty());
}

TEST_CASE("async_generator: dropped at a co_yield it is closed in a task of the loop", "[AGN-5][AGN-11]") {
    trace log;
    counted::reset();
    virtual_run([&]() -> aio::task<> {
        {
            auto stream = noting(log, 10ms);
            co_await stream.next();
        }
        CHECK(log == trace{"begins"});
        CHECK(aio::all_tasks().size() == 2);
        co_await aio::sleep(1s);
        CHECK(log == trace{"begins", "exit", "cleaned up"});
        CHECK(counted::alive == 0);
        CHECK(aio::all_tasks().size() == 1);
    });
}

TEST_CASE("async_generator: what is left at the end of run is closed there", "[AGN-11]") {
    trace log;
    counted::reset();
    aio::async_generator<int> outside;
    aio::run(
        [&]() -> aio::task<> {
            outside = noting(log, 1h);
            co_await outside.next();
        },
        aio::testing::virtual_clock());
    CHECK(log == trace{"begins", "exit", "cleaned up"});
    CHECK(counted::alive == 0);
    outside = {};
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("async_generator: dropped in the last step of main it is closed all the same", "[AGN-11]") {
    trace log;
    counted::reset();
    virtual_run([&]() -> aio::task<> {
        auto stream = noting(log, 0s);
        co_await stream.next();
    });
    REQUIRE(log.size() >= 2);
    CHECK(log[1] == "exit");
    CHECK(counted::alive == 0);
}

TEST_CASE("async_generator: dropped between two runs it is closed in the next one", "[AGN-11]") {
    trace log;
    const audited afterwards;
    aio::runner runner(aio::testing::virtual_clock());
    aio::async_generator<int> stream = noting(log, 1ms);
    runner.run([&]() -> aio::task<> { co_await stream.next(); });
    stream = {};
    CHECK(log == trace{"begins"});
    runner.run([]() -> aio::task<> { co_await aio::sleep(1s); });
    CHECK(log == trace{"begins", "exit", "cleaned up"});
}

TEST_CASE("async_generator: an error of its closing goes to the exception handler", "[AGN-11]") {
    reports told;
    aio::async_generator<int> outside;
    const auto body = []() -> aio::async_generator<int> {
        try {
            co_yield 1;
        } catch (const aio::generator_exit&) {
            throw boom("while closing");
        }
    };
    const auto stubborn = []() -> aio::async_generator<int> {
        for (;;) {
            try {
                co_yield 1;
            } catch (const aio::generator_exit&) {}
        }
    };
    aio::async_generator<int> never_closed;
    aio::run(
        [&]() -> aio::task<> {
            collect(told);
            {
                auto dropped = body();
                co_await dropped.next();
            }
            co_await aio::yield();
            REQUIRE(told.size() == 1);
            CHECK(told[0].message == "an error occurred during closing of an asynchronous generator");
            CHECK(told[0].error == "while closing");
            outside = body();
            co_await outside.next();
            never_closed = stubborn();
            co_await never_closed.next();
            auto dropped = stubborn();
            co_await dropped.next();
        },
        aio::testing::virtual_clock());
    REQUIRE(told.size() == 4);
    CHECK(told[1].error != told[2].error);
    outside = {};
    never_closed = {};
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("async_generator: outlives a loop that was closed without run, and is destroyed where it stands") {
    counted::reset();
    const audited afterwards;
    auto stream = holding();
    {
        aio::event_loop loop(aio::testing::virtual_clock());
        loop.run_until_complete(first_of(stream));
    }
    CHECK(counted::alive == 1);
    SECTION("dropped") {
        stream = {};
        CHECK(counted::alive == 0);
    }
    SECTION("used on another loop, which closes it") {
        aio::run(first_of(stream), aio::testing::virtual_clock());
        CHECK(counted::alive == 0);
    }
}

TEST_CASE("async_generator: destroyed with its loop while its body waits, in either order of the owners") {
    counted::reset();
    const audited afterwards;
    for (const bool owner_is_younger : {false, true}) {
        for (const bool outlives : {false, true}) {
            aio::async_generator<int> outside;
            aio::event_loop loop(aio::testing::virtual_clock());
            loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
            const auto body = []() -> aio::async_generator<int> {
                const counted local;
                co_await aio::sleep(1h);
                co_yield 1;
            };
            auto shared = std::make_unique<aio::async_generator<int>>(body());
            aio::async_generator<int>& stream = *shared;
            if (outlives) outside = std::move(stream);
            aio::async_generator<int>& asked = outlives ? outside : stream;
            const auto owner = [](std::unique_ptr<aio::async_generator<int>> owned) -> aio::task<> {
                co_await aio::sleep(2h);
                CHECK(owned);
            };
            if (!owner_is_younger) loop.create_task(owner(std::move(shared)));
            loop.create_task(first_of(asked));
            if (owner_is_younger) loop.create_task(owner(std::move(shared)));
            aio::testing::run_until_idle(loop);
            CHECK(counted::alive == 1);
            loop.close();
            CHECK(counted::alive == 0);
        }
    }
}

TEST_CASE("async_generator: dropped while a request is under way lives until that is over", "[AGN-9]") {
    trace log;
    counted::reset();
    virtual_run([&]() -> aio::task<> {
        auto stream = std::make_unique<aio::async_generator<int>>(noting(log, 1ms, 1ms));
        co_await stream->next();
        const auto asked = aio::create_task(first_of(*stream));
        co_await aio::yield();
        stream.reset();
        const int item = co_await asked;
        CHECK(item == 1);
        co_await aio::sleep(1s);
        CHECK(log == trace{"begins", "exit", "cleaned up"});
        CHECK(counted::alive == 0);
    });
}

TEST_CASE("async_generator: many that are dropped at once, each holding the next, are all closed") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        struct nest {
            static aio::async_generator<int> of(int depth) {
                const counted local;
                if (depth == 0) {
                    co_yield 0;
                    co_return;
                }
                auto inner = of(depth - 1);
                while (auto item = co_await inner.next()) co_yield *item + 1;
            }
        };
        {
            auto outer = nest::of(100);
            const auto item = co_await outer.next();
            CHECK(*item == 100);
        }
        CHECK(counted::alive == 101);
        co_await aio::testing::run_until_idle();
        CHECK(counted::alive == 0);
    });
}

TEST_CASE("async_generator: after every iteration it can be destroyed with its loop") {
    const audited afterwards;
    counted::reset();
    bool ended = false;
    for (int passed = 0; !ended; ++passed) {
        aio::event_loop loop(aio::testing::virtual_clock());
        loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
        const auto main = loop.create_task(consume_closed());
        make_iterations(loop, passed);
        ended = main.done();
        loop.close();
        CHECK(counted::alive == 0);
    }
}
