// SPDX-License-Identifier: BSL-1.0

#include <asynchio/combine/gather.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/shield.hpp>
#include <asynchio/combine/wait.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/runner.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <list>
#include <memory>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

// covers: combine/detail/child_join.hpp

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// Notes that it began, waits, and gives its number.
aio::task<int> noted(trace& log, std::string name, aio::duration time, int value) {
    log.push_back(name + " begins");
    co_await aio::sleep(time);
    log.push_back(name + " ends");
    co_return value;
}

aio::task<std::unique_ptr<int>> gives_unique(int value) {
    co_await aio::yield();
    co_return std::make_unique<int>(value);
}

aio::task<int&> gives_reference(int& value) {
    co_await aio::yield();
    co_return value;
}

aio::task<counted> gives_counted(int value) {
    co_await aio::yield();
    co_return counted(value);
}

/// An awaiter that starts a task when it is armed, notes how many there were, and ends at once.
class starts_another : public aio::suspension {
public:
    explicit starts_another(trace& log) noexcept : log_(log) {}
    static bool await_ready() noexcept { return false; }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        log_.push_back(std::to_string(aio::all_tasks().size()) + " tasks");
        aio::create_task(notes(log_));
        park(awaiting, where);
        wake();
    }
    void await_resume() { resumed(); }

private:
    static aio::task<> notes(trace& log) {
        log.push_back("started while arming");
        co_return;
    }

    trace& log_;
};

/// An awaiter that notes in whose name it was armed, and ends at once.
class who_arms : public aio::suspension {
public:
    explicit who_arms(aio::any_task_handle& armed_by, bool& referenced)
        : armed_by_(armed_by), referenced_(referenced) {}
    who_arms(who_arms&& other) noexcept : armed_by_(other.armed_by_), referenced_(other.referenced_) { moved_ = true; }
    static bool await_ready() noexcept { return false; }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        armed_by_ = aio::current_task();
        referenced_ = !moved_;
        park(awaiting, where);
        wake();
    }
    void await_resume() { resumed(); }

private:
    aio::any_task_handle& armed_by_;
    bool& referenced_;
    bool moved_ = false;
};

} // namespace

TEST_CASE("gather: gives results in the order of the arguments", "[GATHER-1]") {
    virtual_run([]() -> aio::task<> {
        const auto all = co_await aio::gather(gives_after(30ms, 1), gives_after(10ms, 2), gives_after(20ms, 3));
        CHECK(all == std::tuple(1, 2, 3));
        std::vector<aio::task<int>> range;
        for (int i = 0; i < 10; ++i) range.push_back(gives_after(10ms * (10 - i), i));
        const auto list = co_await aio::gather(std::move(range));
        CHECK(list == std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
    });
}

TEST_CASE("gather: starts what it owns when it is awaited, in the order of the arguments", "[GATHER-2]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto body = [&]() { return noted(log, "callable", 1ms, 2); };
        auto all = aio::gather(noted(log, "task", 2ms, 1), body, noted(log, "last", 3ms, 3));
        co_await aio::testing::run_until_idle();
        log.push_back("awaited");
        co_await all;
    });
    CHECK(log ==
          trace{"awaited", "task begins", "callable begins", "last begins", "callable ends", "task ends", "last ends"});
}

TEST_CASE("gather: of nothing is there at once", "[GATHER-3]") {
    virtual_run([]() -> aio::task<> {
        const iterations loop;
        co_await aio::gather();
        std::vector<aio::task<int>> none;
        const std::vector<int> list = co_await aio::gather(std::move(none));
        CHECK(list.empty());
        const auto outcomes = co_await aio::gather(aio::return_exceptions, std::vector<aio::task<>>());
        CHECK(outcomes.empty());
        const std::tuple<> no_outcomes = co_await aio::gather(aio::return_exceptions);
        (void)no_outcomes;
        CHECK(loop.passed() == 0);
    });
}

TEST_CASE("gather: a handle given twice runs once and its result appears twice", "[GATHER-4]") {
    int runs = 0;
    virtual_run([&]() -> aio::task<> {
        const auto h = aio::create_task([&runs]() -> aio::task<int> {
            ++runs;
            co_await aio::sleep(1ms);
            co_return 7;
        });
        const auto all = co_await aio::gather(h, gives(1), h);
        CHECK(all == std::tuple(7, 1, 7));
        const std::vector<aio::task_handle<int>> twice{h, h, h};
        const auto list = co_await aio::gather(twice);
        CHECK(list == std::vector<int>{7, 7, 7});
    });
    CHECK(runs == 1);
}

TEST_CASE("gather: the first exception comes at once and watched children run on", "[GATHER-5][GATHER-6]") {
    trace log;
    int reported = 0;
    virtual_run([&]() -> aio::task<> {
        aio::get_running_loop().set_exception_handler(
            [&](aio::event_loop&, const aio::exception_context&) { ++reported; });
        {
            const auto a = aio::create_task(noted(log, "a", 30ms, 1));
            const auto b = aio::create_task(fails_after(10ms, "first"));
            const auto c = aio::create_task(fails_after(20ms, "later"));
            const auto begin = aio::clock::now();
            try {
                co_await aio::gather(a, b, c);
                log.push_back("gathered");
            } catch (const boom& e) {
                log.push_back(e.what());
            }
            CHECK(aio::clock::now() - begin == 10ms);
            CHECK(!a.done());
            CHECK(a.cancelling() == 0);
            CHECK(!c.done());
        }
        co_await aio::sleep(50ms);
    });
    CHECK(log == trace{"a begins", "first", "a ends"});
    CHECK(reported == 0);
}

TEST_CASE("gather: exceptions of children it owns that fail later are dropped", "[GATHER-6]") {
    int reported = 0;
    std::string caught;
    virtual_run([&]() -> aio::task<> {
        aio::get_running_loop().set_exception_handler(
            [&](aio::event_loop&, const aio::exception_context&) { ++reported; });
        try {
            co_await aio::gather(fails("one"), fails("two"), fails_after(0ms, "three"));
        } catch (const boom& e) {
            caught = e.what();
        }
    });
    CHECK(caught == "one");
    CHECK(reported == 0);
}

TEST_CASE("gather: a failure cancels owned children and waits for them", "[GATHER-5]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto begin = aio::clock::now();
        try {
            co_await aio::gather(cleans_up(5ms, "a", log), fails_after(10ms, "failed"), cleans_up(7ms, "b", log));
        } catch (const boom& e) {
            log.push_back(e.what());
        }
        CHECK(aio::clock::now() - begin == 17ms);
        CHECK(aio::all_tasks().size() == 1);
    });
    CHECK(log == trace{"a begins", "b begins", "a cancelled", "b cancelled", "a cleaned up", "b cleaned up", "failed"});
}

TEST_CASE("gather: a failure leaves watched children alone and cancels the owned among them", "[GATHER-5]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto watched = aio::create_task(noted(log, "watched", 50ms, 1));
        try {
            co_await aio::gather(watched, cleans_up(5ms, "owned", log), fails_after(10ms, "failed"));
        } catch (const boom& e) {
            log.push_back(e.what());
        }
        CHECK(!watched.done());
        const int late = co_await watched;
        CHECK(late == 1);
    });
    CHECK(log ==
          trace{"watched begins", "owned begins", "owned cancelled", "owned cleaned up", "failed", "watched ends"});
}

TEST_CASE("gather: one that has failed cannot be cancelled and its children are not touched", "[GATHER-7]") {
    virtual_run([]() -> aio::task<> {
        const auto slow = aio::create_task(gives_after(20ms, 1));
        const auto bad = aio::create_task(fails_after(10ms, "bad"));
        const auto both = aio::create_task(aio::gather(slow, bad));
        const std::vector<aio::any_task_handle> wanted{both};
        co_await aio::wait(wanted);
        CHECK(!both.cancel());
        CHECK(text_of(both.exception()) == "bad");
        CHECK(slow.cancelling() == 0);
        const int result = co_await slow;
        CHECK(result == 1);
    });
}

TEST_CASE(
    "gather: cancelled when all children are done already, the task is cancelled and the handles keep their results",
    "[GATHER-8]") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> a;
        const aio::future<int> b;
        const auto both = aio::create_task(aio::gather(a, b));
        co_await aio::testing::run_until_idle();
        a.set_result(1);
        b.set_result(2);
        CHECK(both.cancel());
        const auto ended = co_await aio::nothrow(both);
        CHECK(ended.cancelled());
        CHECK(a.result() == 1);
        CHECK(b.result() == 2);
    });
}

TEST_CASE("gather: with return_exceptions waits for all and gives outcomes", "[GATHER-9]") {
    virtual_run([]() -> aio::task<> {
        const auto begin = aio::clock::now();
        const auto all = co_await aio::gather(aio::return_exceptions, fails_after(5ms, "bad"), gives_after(20ms, 4),
                                              ends_after(30ms));
        CHECK(aio::clock::now() - begin == 30ms);
        CHECK(text_of(std::get<0>(all).error()) == "bad");
        CHECK(!std::get<0>(all).cancelled());
        CHECK(std::get<1>(all).value() == 4);
        CHECK(std::get<2>(all).has_value());

        std::vector<aio::task<int>> range;
        range.push_back(gives(1));
        range.push_back(fails("bad"));
        range.push_back(gives_after(1ms, 3));
        const auto list = co_await aio::gather(aio::return_exceptions, std::move(range));
        REQUIRE(list.size() == 3);
        CHECK(list[0].value() == 1);
        CHECK_THROWS_AS(list[1].value(), boom);
        CHECK(list[2].value() == 3);
    });
}

TEST_CASE("gather: a child that is cancelled on its own counts as one that threw cancelled_error", "[GATHER-10]") {
    virtual_run([]() -> aio::task<> {
        const auto a = aio::create_task(gives_after(1h, 1));
        const auto b = aio::create_task(gives_after(20ms, 2));
        const auto both = aio::create_task(aio::gather(a, b));
        const auto outcomes = aio::create_task(aio::gather(aio::return_exceptions, a, b));
        co_await aio::testing::run_until_idle();
        a.cancel("by itself");
        std::string message;
        try {
            co_await both;
        } catch (const aio::cancelled_error& e) {
            message = e.message();
        }
        CHECK(message == "by itself");
        CHECK(both.cancelling() == 0);
        CHECK(!b.done());
        const auto& list = co_await outcomes;
        CHECK(std::get<0>(list).cancelled());
        CHECK(std::get<1>(list).value() == 2);
        CHECK(!outcomes.cancelled());
    });
}

TEST_CASE("gather: cancelling it cancels all children in the order of the arguments", "[GATHER-11][GATHER-12]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto a = aio::create_task(cleans_up(12ms, "a", log));
        const auto quick = aio::create_task(gives(5));
        const auto b = aio::create_task(cleans_up(4ms, "b", log));
        const auto c = aio::create_task(cleans_up(8ms, "c", log));
        const auto outer = aio::create_task(aio::gather(a, quick, b, c));
        co_await aio::sleep(1ms);
        CHECK(outer.cancel());
        co_await aio::nothrow(outer);
        CHECK(outer.cancelled());
        CHECK(!a.done());
        CHECK(b.cancelled());
        CHECK(!c.done());
        CHECK(quick.result() == 5);
        log.push_back("outer ended");
        const std::vector<aio::task_handle<int>> left{a, c};
        co_await aio::wait(left);
    });
    CHECK(log == trace{"a begins", "b begins", "c begins", "a cancelled", "b cancelled", "c cancelled", "b cleaned up",
                       "outer ended", "c cleaned up", "a cleaned up"});
}

TEST_CASE("gather: cancelled, it ends after the children that it owns", "[GATHER-12]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto outer = aio::create_task(
            [&log]() -> aio::task<> { co_await aio::gather(cleans_up(12ms, "a", log), cleans_up(4ms, "b", log)); });
        co_await aio::sleep(1ms);
        outer.cancel();
        const auto begin = aio::clock::now();
        co_await aio::nothrow(outer);
        CHECK(outer.cancelled());
        CHECK(aio::clock::now() - begin == 12ms);
    });
    CHECK(log == trace{"a begins", "b begins", "a cancelled", "b cancelled", "b cleaned up", "a cleaned up"});
}

TEST_CASE("gather: cancelled with return_exceptions, it waits for all and throws all the same", "[GATHER-13]") {
    virtual_run([]() -> aio::task<> {
        const auto a = aio::create_task(swallows(1));
        const auto b = aio::create_task(swallows(2));
        const auto outer = aio::create_task(aio::gather(aio::return_exceptions, a, b));
        co_await aio::testing::run_until_idle();
        outer.cancel("enough");
        std::string message;
        try {
            co_await outer;
        } catch (const aio::cancelled_error& e) {
            message = e.message();
        }
        CHECK(outer.cancelled());
        CHECK(message == "enough");
        CHECK(a.result() == 1);
        CHECK(b.result() == 2);
    });
}

TEST_CASE("gather: cancelled, and the children swallow it: it throws all the same", "[GATHER-12]") {
    virtual_run([]() -> aio::task<> {
        const auto outer = aio::create_task(aio::gather(swallows(1), swallows(2)));
        co_await aio::testing::run_until_idle();
        outer.cancel();
        co_await aio::nothrow(outer);
        CHECK(outer.cancelled());
    });
}

TEST_CASE("gather: an exception that a child throws while it is cancelled wins", "[GATHER-12]") {
    virtual_run([]() -> aio::task<> {
        const auto turns = []() -> aio::task<> {
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {
                throw boom("turned");
            }
        };
        const auto outer = aio::create_task(aio::gather(turns(), ends_after(1h)));
        co_await aio::testing::run_until_idle();
        outer.cancel();
        const auto ended = co_await aio::nothrow(outer);
        CHECK(text_of(ended.error()) == "turned");
    });
}

TEST_CASE("gather: the awaiter goes on two iterations after the last child's last step", "[GATHER-14]") {
    virtual_run([]() -> aio::task<> {
        int child_ended = 0;
        const iterations loop;
        const auto yields = [&](int times) -> aio::task<> {
            for (int i = 0; i < times; ++i) co_await aio::yield();
            child_ended = loop.passed();
        };
        const auto a = aio::create_task(yields(1));
        const auto b = aio::create_task(yields(4));
        co_await aio::gather(a, b);
        CHECK(child_ended == 5);
        CHECK(loop.passed() == child_ended + 2);
        co_await aio::gather(yields(3), yields(2));
        CHECK(loop.passed() == child_ended + 2);
    });
}

TEST_CASE("gather: of futures, the awaiter goes on two iterations after the last result", "[GATHER-14]") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> a;
        const aio::future<int> b;
        const iterations loop;
        int set = -1;
        aio::get_running_loop().call_soon([&] {
            a.set_result(1);
            aio::get_running_loop().call_soon([&] {
                b.set_result(2);
                set = loop.passed();
            });
        });
        co_await aio::gather(a, b);
        CHECK(loop.passed() == set + 2);
    });
}

TEST_CASE("gather: of what is done already does not suspend", "[GATHER-15]") {
    virtual_run([]() -> aio::task<> {
        const auto h = aio::create_task(gives(1));
        const aio::future<int> f;
        f.set_result(2);
        const auto bad = aio::create_task(fails("bad"));
        co_await aio::testing::run_until_idle();
        const iterations loop;
        const auto both = co_await aio::gather(h, f);
        CHECK(both == std::tuple(1, 2));
        CHECK(loop.passed() == 0);
        bool thrown = false;
        try {
            co_await aio::gather(h, bad, f);
        } catch (const boom&) {
            thrown = true;
        }
        CHECK(thrown);
        CHECK(loop.passed() == 0);
        const auto outcomes = co_await aio::gather(aio::return_exceptions, h, bad);
        CHECK(!std::get<1>(outcomes).has_value());
        CHECK(loop.passed() == 0);
    });
}

TEST_CASE("gather: a child of another loop is misuse", "[GATHER-16]") {
    const audited afterwards;
    const watchdog guard;
    aio::runner other(aio::testing::virtual_clock());
    const auto foreign = other.get_loop().create_task(gives(1));
    {
        aio::runner r(aio::testing::virtual_clock());
        r.run([&]() -> aio::task<> {
            bool thrown = false;
            try {
                co_await aio::gather(foreign, gives(2));
            } catch (const std::invalid_argument&) {
                thrown = true;
            }
            CHECK(thrown);
        });
    }
}

TEST_CASE("gather: nests, and a cancellation reaches the leaves", "[GATHER-17]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto all = co_await aio::gather(aio::gather(gives(1), gives_after(2ms, 2)), gives_after(1ms, 3));
        CHECK(all == std::tuple(std::tuple(1, 2), 3));
        const auto outer = aio::create_task([&log]() -> aio::task<> {
            co_await aio::gather(aio::gather(cleans_up(1ms, "a", log), cleans_up(2ms, "b", log)),
                                 cleans_up(3ms, "c", log));
        });
        co_await aio::sleep(1ms);
        outer.cancel();
        co_await aio::nothrow(outer);
        CHECK(outer.cancelled());
    });
    CHECK(log == trace{"a begins", "b begins", "c begins", "a cancelled", "b cancelled", "c cancelled", "a cleaned up",
                       "b cleaned up", "c cleaned up"});
}

TEST_CASE("gather: an inner failure passes outward while watched children go on", "[GATHER-17]") {
    virtual_run([]() -> aio::task<> {
        const auto slow = aio::create_task(gives_after(20ms, 1));
        const auto inner = aio::create_task(fails_after(5ms, "inner"));
        bool thrown = false;
        try {
            co_await aio::gather(slow, aio::gather(inner, gives_after(1h, 2)));
        } catch (const boom& e) {
            thrown = true;
            CHECK(std::string(e.what()) == "inner");
        }
        CHECK(thrown);
        CHECK(!slow.done());
        const int result = co_await slow;
        CHECK(result == 1);
    });
}

TEST_CASE("gather: a shielded child is not cancelled by cancelling the gather", "[GATHER-18]") {
    virtual_run([]() -> aio::task<> {
        const auto kept = aio::create_task(gives_after(10ms, 1));
        const auto lost = aio::create_task(gives_after(10ms, 2));
        const auto outer = aio::create_task(aio::gather(aio::shield(kept), lost));
        co_await aio::sleep(1ms);
        outer.cancel();
        co_await aio::nothrow(outer);
        CHECK(outer.cancelled());
        CHECK(lost.cancelled());
        CHECK(kept.cancelling() == 0);
        const int result = co_await kept;
        CHECK(result == 1);
    });
}

TEST_CASE("gather: a task of one that failed and that nobody awaits is reported", "[GATHER-19]") {
    trace reports;
    virtual_run([&]() -> aio::task<> {
        aio::get_running_loop().set_exception_handler(
            [&](aio::event_loop&, const aio::exception_context& context) { reports.push_back(context.message); });
        aio::create_task(aio::gather(gives(1), fails("bad")));
        co_await aio::testing::run_until_idle();
    });
    CHECK(reports == trace{"Task exception was never retrieved"});
}

TEST_CASE("gather: void results are monostate beside others, and nothing if all are void") {
    virtual_run([]() -> aio::task<> {
        const auto mixed = co_await aio::gather(gives(1), ends_after(1ms), aio::sleep(1ms));
        static_assert(std::is_same_v<decltype(mixed), const std::tuple<int, std::monostate, std::monostate>>);
        CHECK(std::get<0>(mixed) == 1);
        static_assert(std::is_void_v<aio::await_result_t<decltype(aio::gather(ends_after(1ms), aio::sleep(1ms)))>>);
        co_await aio::gather(ends_after(1ms), aio::sleep(1ms));
        std::vector<aio::task<>> range;
        range.push_back(ends_after(1ms));
        range.push_back(ends_after(2ms));
        static_assert(std::is_void_v<aio::await_result_t<decltype(aio::gather(std::move(range)))>>);
        co_await aio::gather(std::move(range));
    });
}

TEST_CASE("gather: move-only results are moved out, of tasks and of rvalue handles") {
    virtual_run([]() -> aio::task<> {
        auto h = aio::create_task(gives_unique(2));
        const auto copy = h;
        const auto all = co_await aio::gather(gives_unique(1), std::move(h));
        CHECK(*std::get<0>(all) == 1);
        CHECK(*std::get<1>(all) == 2);
        CHECK_THROWS_AS(copy.result(), aio::invalid_state_error);
        std::vector<aio::task<std::unique_ptr<int>>> range;
        range.push_back(gives_unique(3));
        const auto list = co_await aio::gather(std::move(range));
        CHECK(*list.at(0) == 3);
        std::vector<aio::task_handle<std::unique_ptr<int>>> handles;
        handles.push_back(aio::create_task(gives_unique(4)));
        const auto moved = co_await aio::gather(std::move(handles));
        CHECK(*moved.at(0) == 4);
    });
}

TEST_CASE("gather: reference results refer to the same object") {
    int value = 1;
    virtual_run([&]() -> aio::task<> {
        auto all = co_await aio::gather(gives_reference(value), gives(2));
        static_assert(std::is_same_v<decltype(all), std::tuple<int&, int>>);
        CHECK(&std::get<0>(all) == &value);
        std::vector<aio::task<int&>> range;
        range.push_back(gives_reference(value));
        auto list = co_await aio::gather(std::move(range));
        CHECK(&list.at(0).get() == &value);
        auto outcomes = co_await aio::gather(aio::return_exceptions, gives_reference(value));
        CHECK(&std::get<0>(outcomes).value() == &value);
    });
}

TEST_CASE("gather: copies the result of an lvalue handle once and leaves it there") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        const auto h = aio::create_task(gives_counted(5));
        {
            const auto all = co_await aio::gather(h, gives_counted(6));
            CHECK(std::get<0>(all).value == 5);
            CHECK(std::get<1>(all).value == 6);
            CHECK(counted::copies == 1);
        }
        CHECK(h.result().value == 5);
        CHECK(counted::alive == 1);
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("gather: what copying or moving a result throws comes out, and nothing is lost") {
    fragile::alive = 0;
    for (int fuse = 1; fuse < 12; ++fuse) {
        virtual_run([&]() -> aio::task<> {
            const auto make = [](int value) -> aio::task<fragile> {
                co_await aio::yield();
                co_return fragile(value);
            };
            fragile::fuse = 0;
            const auto h = aio::create_task(make(1));
            co_await aio::testing::run_until_idle();
            fragile::fuse = fuse;
            std::vector<aio::task_handle<fragile>> range{h, h};
            bool thrown = false;
            try {
                const auto all = co_await aio::gather(h, h);
                const auto list = co_await aio::gather(range);
                CHECK(list.at(1).value == 1);
            } catch (const boom&) {
                thrown = true;
            }
            CHECK(thrown == (fragile::fuse == 0));
            fragile::fuse = 0;
            CHECK(h.result().value == 1);
        });
        CHECK(fragile::alive == 0);
    }
    fragile::fuse = 0;
}

TEST_CASE("gather: a callable that throws when it is called fails as its task would") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto throws = []() -> aio::task<int> { throw boom("called"); };
        std::string caught;
        try {
            co_await aio::gather(cleans_up(1ms, "a", log), throws);
        } catch (const boom& e) {
            caught = e.what();
        }
        CHECK(caught == "called");
        const auto outcomes = co_await aio::gather(aio::return_exceptions, throws, fails("task"), gives(1));
        CHECK(text_of(std::get<0>(outcomes).error()) == "called");
        CHECK(text_of(std::get<1>(outcomes).error()) == "task");
        CHECK(std::get<2>(outcomes).value() == 1);
    });
    CHECK(log == trace{"a begins", "a cancelled", "a cleaned up"});
}

TEST_CASE("gather: other awaitables are armed in place, in the iteration in which it starts") {
    virtual_run([]() -> aio::task<> {
        aio::any_task_handle armed_by;
        bool referenced = false;
        const auto self = aio::current_task();
        const iterations loop;
        const auto awaiting = aio::create_task([&]() -> aio::task<> {
            who_arms named(armed_by, referenced);
            co_await aio::gather(named, aio::gather(aio::sleep(1h), aio::sleep(1h)));
        });
        co_await aio::yield();
        CHECK(loop.passed() == 1);
        CHECK(armed_by == awaiting);
        CHECK(referenced);
        const auto tasks = aio::all_tasks();
        CHECK(tasks == std::vector<aio::any_task_handle>{self, awaiting});
        awaiting.cancel();
        co_await aio::nothrow(awaiting);
    });
}

TEST_CASE("gather: tasks that stand before an awaitable are in the loop when it is armed") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        starts_another armed(log);
        co_await aio::gather(noted(log, "before", 1ms, 1), armed, noted(log, "after", 1ms, 2));
    });
    CHECK(log ==
          trace{"2 tasks", "before begins", "started while arming", "after begins", "before ends", "after ends"});
}

TEST_CASE("gather: a temporary awaitable is kept in it") {
    virtual_run([]() -> aio::task<> {
        aio::any_task_handle armed_by;
        bool referenced = true;
        co_await aio::gather(who_arms(armed_by, referenced), ends_after(1ms));
        CHECK(!referenced);
        CHECK(armed_by == aio::current_task());
    });
}

TEST_CASE("gather: branches end in the iteration in which an awaiter of their own would") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> f;
        const aio::future<int> g;
        const iterations loop;
        aio::get_running_loop().call_soon([&] { f.set_result(1); });
        aio::get_running_loop().call_soon([&] { g.set_result(2); });
        const auto both = co_await aio::gather(aio::shield(f), aio::shield(g));
        CHECK(both == std::tuple(1, 2));
        // Set in iteration 1; the shield's outer future in 2, the gather's in 3, the task in 4.
        CHECK(loop.passed() == 4);
    });
}

TEST_CASE("gather: a task that stands at two depths decides the outer gather in its own turn") {
    virtual_run([]() -> aio::task<> {
        const aio::future<> f;
        const auto failing = aio::create_task([&]() -> aio::task<> { co_await f; });
        co_await aio::yield();
        const iterations loop;
        f.set_exception(boom("first"));
        const auto both = co_await aio::nothrow(aio::gather(aio::gather(failing), failing));
        CHECK(both.error());
        CHECK(loop.passed() == 3);
    });
}

TEST_CASE("gather: a branch that is cancelled overtakes a failure that an inner gather passes on") {
    virtual_run([]() -> aio::task<> {
        const aio::future<> pending;
        const aio::future<> f;
        const auto waiting =
            aio::create_task([&]() -> aio::task<> { co_await aio::gather(aio::shield(pending), aio::gather(f)); });
        co_await aio::yield();
        const iterations loop;
        f.set_exception(boom("overtaken"));
        CHECK(waiting.cancel());
        co_await aio::wait(waiting);
        CHECK(waiting.cancelled());
        CHECK(loop.passed() == 4);
        CHECK_FALSE(pending.done());
    });
}

TEST_CASE("gather: an lvalue callable is referenced, a taken one moved in") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        counted value(3);
        auto body = [value]() -> aio::task<int> {
            co_await aio::yield();
            co_return value.value;
        };
        CHECK(counted::alive == 2);
        const int copies = counted::copies;
        const auto once = co_await aio::gather(body);
        CHECK(std::get<0>(once) == 3);
        CHECK(counted::copies == copies);
        CHECK(counted::moves == 0);
        auto all = aio::gather(aio::take(body), gives(1));
        CHECK(counted::moves > 0);
        CHECK(counted::alive == 3);
        const auto both = co_await all;
        CHECK(std::get<0>(both) == 3);
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("gather: dropped without being awaited it runs nothing and frees its arguments") {
    counted::reset();
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto holds = [](trace& to, counted) -> aio::task<> {
            to.push_back("ran");
            co_return;
        };
        {
            auto all = aio::gather(holds(log, counted(1)), holds(log, counted(2)));
            CHECK(counted::alive == 2);
        }
        CHECK(counted::alive == 0);
        co_return;
    });
    CHECK(log.empty());
}

TEST_CASE("gather: a coroutine frees its arguments when it has ended, not when the gather has") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        const auto holds = [](counted, aio::duration time) -> aio::task<> { co_await aio::sleep(time); };
        const auto both = aio::create_task(aio::gather(holds(counted(1), 1ms), holds(counted(2), 10ms)));
        co_await aio::sleep(5ms);
        CHECK(counted::alive == 1);
        co_await both;
        CHECK(counted::alive == 0);
    });
}

TEST_CASE("gather: cancelled before its first step nothing starts") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto both = aio::create_task(aio::gather(noted(log, "a", 1ms, 1), noted(log, "b", 1ms, 2)));
        both.cancel();
        co_await aio::nothrow(both);
        CHECK(both.cancelled());
    });
    CHECK(log.empty());
}

TEST_CASE("gather: a request that is pending when it starts cancels the children") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto outer = aio::create_task([&log]() -> aio::task<> {
            aio::current_task().cancel();
            co_await aio::gather(noted(log, "a", 1ms, 1), aio::sleep(1h));
        });
        co_await aio::nothrow(outer);
        CHECK(outer.cancelled());
    });
    CHECK(log.empty());
}

TEST_CASE("gather: a second request interrupts the cleanup of its children") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto outer = aio::create_task(
            [&log]() -> aio::task<> { co_await aio::gather(cleans_up(1h, "a", log), cleans_up(2h, "b", log)); });
        const auto begin = aio::clock::now();
        co_await aio::sleep(1ms);
        outer.cancel();
        co_await aio::sleep(1ms);
        outer.cancel();
        co_await aio::nothrow(outer);
        CHECK(outer.cancelled());
        CHECK(outer.cancelling() == 2);
        CHECK(aio::clock::now() - begin == 2ms);
    });
    CHECK(log == trace{"a begins", "b begins", "a cancelled", "b cancelled", "a cancelled again", "b cancelled again"});
}

TEST_CASE("gather: a request that comes while it waits for what a failure stopped is delivered later") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto outer = aio::create_task([&log]() -> aio::task<> {
            try {
                co_await aio::gather(cleans_up(10ms, "a", log), fails_after(1ms, "bad"));
            } catch (const boom& e) {
                log.push_back(e.what());
            }
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {
                log.push_back("delivered");
                throw;
            }
        });
        co_await aio::sleep(5ms);
        outer.cancel();
        co_await aio::nothrow(outer);
        CHECK(outer.cancelled());
    });
    CHECK(log == trace{"a begins", "a cancelled", "a cancelled again", "bad", "delivered"});
}

TEST_CASE("gather: an empty handle, an empty task and a second await are misuse") {
    virtual_run([]() -> aio::task<> {
        int thrown = 0;
        try {
            co_await aio::gather(aio::task_handle<int>(), gives(1));
        } catch (const std::logic_error&) {
            ++thrown;
        }
        auto t = gives(1);
        const auto moved = std::move(t);
        try {
            co_await aio::gather(std::move(t), gives(1));
        } catch (const std::logic_error&) {
            ++thrown;
        }
        auto all = aio::gather(gives(1), gives(2));
        co_await all;
        try {
            co_await all;
        } catch (const std::logic_error&) {
            ++thrown;
        }
        CHECK(thrown == 3);
    });
}

TEST_CASE("gather: takes any input range, and futures") {
    virtual_run([]() -> aio::task<> {
        std::list<aio::task<int>> tasks;
        tasks.push_back(gives(1));
        tasks.push_back(gives(2));
        const auto from_list = co_await aio::gather(tasks);
        CHECK(from_list == std::vector<int>{1, 2});
        const std::vector<aio::future<int>> futures(2);
        futures[0].set_result(3);
        aio::get_running_loop().call_soon([&] { futures[1].set_result(4); });
        std::vector<aio::future<int>> copies = futures;
        const auto results = co_await aio::gather(copies);
        CHECK(results == std::vector<int>{3, 4});
        CHECK(futures[0].result() == 3);
    });
}

TEST_CASE("gather: 100,000 children, owned and watched, and cancelled together", "[stress]") {
    static constexpr std::size_t many = 100'000;
    virtual_run([]() -> aio::task<> {
        std::vector<aio::task<int>> tasks;
        for (std::size_t i = 0; i < many; ++i) tasks.push_back(gives_after(1ms, static_cast<int>(i)));
        const auto results = co_await aio::gather(std::move(tasks));
        CHECK(results.size() == many);
        CHECK(results.back() == many - 1);

        std::vector<aio::task_handle<int>> handles;
        for (std::size_t i = 0; i < many; ++i)
            handles.push_back(aio::create_task(gives_after(1ms, static_cast<int>(i))));
        const auto watched = co_await aio::gather(handles);
        CHECK(watched.back() == many - 1);

        const auto outer = aio::create_task([]() -> aio::task<> {
            std::vector<aio::task<>> sleepers;
            for (std::size_t i = 0; i < many; ++i) sleepers.push_back(ends_after(1h));
            co_await aio::gather(std::move(sleepers));
        });
        co_await aio::testing::run_until_idle();
        outer.cancel();
        co_await aio::nothrow(outer);
        CHECK(outer.cancelled());
        CHECK(aio::all_tasks().size() == 1);
    });
}

namespace {

aio::task<int> deep(int depth) {
    if (depth == 0) {
        co_await aio::sleep(1ms);
        co_return 1;
    }
    const auto below = co_await aio::gather(deep(depth - 1), gives(1));
    co_return std::get<0>(below) + std::get<1>(below);
}

aio::task<> deep_in_place(int depth) {
    if (depth == 0) {
        co_await aio::sleep(1h);
        co_return;
    }
    co_await aio::gather(aio::gather(deep_in_place(depth - 1)), aio::sleep(1h));
}

} // namespace

TEST_CASE("gather: 1,000 deep, run to its end and cancelled") {
    virtual_run([]() -> aio::task<> {
        const int sum = co_await deep(1000);
        CHECK(sum == 1001);
        const auto outer = aio::create_task(deep_in_place(1000));
        co_await aio::testing::run_until_idle();
        outer.cancel();
        co_await aio::nothrow(outer);
        CHECK(outer.cancelled());
    });
}

TEST_CASE("gather: 100,000 times in one task", "[stress]") {
    virtual_run([]() -> aio::task<> {
        long sum = 0;
        for (int i = 0; i < 100'000; ++i) {
            const auto both = co_await aio::gather(gives(1), gives(i));
            sum += std::get<0>(both) + std::get<1>(both);
        }
        CHECK(sum == 100'000L + 99'999L * 50'000L);
    });
}

TEST_CASE("gather: the failure of one inner gather leaves alone what another one watches") {
    virtual_run([]() -> aio::task<> {
        const auto f = aio::create_task(fails_after(1ms, "f"));
        const auto g = aio::create_task(gives_after(1h, 5));
        std::string caught;
        try {
            co_await aio::gather(aio::gather(f), aio::gather(g), aio::shield(g));
        } catch (const boom& e) {
            caught = e.what();
        }
        CHECK(caught == "f");
        CHECK_FALSE(g.done());
        CHECK(g.cancelling() == 0);
        g.cancel();
    });
}

TEST_CASE("gather: the failure of one inner gather stops and awaits what another one owns, not what that watches") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto g = aio::create_task(gives_after(1h, 5));
        std::string caught;
        try {
            co_await aio::gather(aio::gather(fails_after(1ms, "f")), aio::gather(g, cleans_up(5ms, "owned", log)));
        } catch (const boom& e) {
            caught = e.what();
        }
        log.push_back(caught);
        CHECK(g.cancelling() == 0);
        g.cancel();
    });
    CHECK(log == trace{"owned begins", "owned cancelled", "owned cleaned up", "f"});
}

TEST_CASE("gather: cancelled between the end of a child and the decision about it, it cancels the siblings") {
    virtual_run([]() -> aio::task<> {
        const aio::future<> ends, sibling;
        const auto all = aio::create_task([&]() -> aio::task<> { co_await aio::gather(ends, sibling); });
        co_await aio::yield();
        ends.set_exception(boom("decides"));
        CHECK(all.cancel()); // the decision comes in the next iteration
        co_await aio::nothrow(all);
        CHECK(text_of(all.exception()) == "decides");
        CHECK(sibling.cancelled());
    });
}

TEST_CASE("gather: asked twice, the first message is seen") {
    virtual_run([]() -> aio::task<> {
        const aio::future<> child;
        const auto all = aio::create_task([&]() -> aio::task<> { co_await aio::gather(child); });
        co_await aio::yield();
        all.cancel("first");
        co_await aio::yield();
        all.cancel("second");
        co_await aio::nothrow(all);
        CHECK(contains(message_of([&] { static_cast<void>(all.exception()); }), "first"));
    });
}

TEST_CASE("gather: a child that cancels the whole and awaits it breaks the circle") {
    virtual_run([]() -> aio::task<> {
        aio::task_handle<> whole;
        auto child = [&]() -> aio::task<> {
            whole.cancel();
            co_await whole;
        };
        whole = aio::create_task([&]() -> aio::task<> { co_await aio::gather(child, aio::sleep(1h)); });
        co_await aio::nothrow(whole);
        CHECK(whole.cancelled());
    });
}

TEST_CASE("gather: circles of tasks that gather each other end when one is cancelled") {
    virtual_run([]() -> aio::task<> {
        for (int length = 1; length < 6; ++length) {
            std::vector<aio::task_handle<>> all(static_cast<std::size_t>(length));
            for (std::size_t i = 0; i < all.size(); ++i)
                all[i] = aio::create_task([&all, i]() -> aio::task<> {
                    co_await aio::yield();
                    co_await aio::gather(all[(i + 1) % all.size()], aio::sleep(1h));
                });
            co_await aio::yield();
            co_await aio::yield();
            co_await aio::yield();
            all[0].cancel();
            for (const auto& each : all) co_await aio::nothrow(each);
            CHECK(all[0].cancelled());
        }
    });
}

TEST_CASE("gather: three deep, with a failure that is there when it starts, the inner ones are left") {
    virtual_run([]() -> aio::task<> {
        const aio::future<> pending, other, failed;
        failed.set_exception(boom("there"));
        std::string caught;
        try {
            co_await aio::gather(aio::gather(aio::gather(pending), other), failed);
        } catch (const boom& e) {
            caught = e.what();
        }
        CHECK(caught == "there");
        pending.set_result(); // nobody waits for it any more
        other.set_result();
        co_await aio::yield();
        co_await aio::yield();
    });
}

TEST_CASE("gather: what a shield alone holds is copied before it ends") {
    virtual_run([]() -> aio::task<> {
        auto held = aio::create_task([]() -> aio::task<std::string> {
            co_await aio::yield();
            std::string text(100, 'x');
            co_return text;
        });
        auto shielded = aio::shield(held);
        held = {};
        const auto both = co_await aio::gather(std::move(shielded), aio::sleep(1ms));
        CHECK(std::get<0>(both) == std::string(100, 'x'));
    });
}
