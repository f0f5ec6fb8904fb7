// SPDX-License-Identifier: BSL-1.0
// covers: task/detail/shared_state.hpp handle_base.hpp task/detail/done_callback.hpp

#include <asynchio/task/future.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/reports.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>

#include <functional>
#include <memory>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

aio::task<> record(aio::future<int> f, std::string name, trace& log) {
    try {
        const int got = co_await f;
        log.push_back(name + " got " + std::to_string(got));
    } catch (const aio::cancelled_error&) {
        log.push_back(name + " cancelled");
        throw;
    } catch (const boom& e) {
        log.push_back(name + " " + e.what());
    }
}

} // namespace

TEST_CASE("future: is pending at first, and it is too early to ask for the result", "[FUT-1][FUT-2][FUT-3]") {
    virtual_run([]() -> aio::task<> {
        aio::future<int> f;
        CHECK(f);
        CHECK_FALSE(f.done());
        CHECK_FALSE(f.cancelled());
        CHECK_THROWS_AS(f.result(), aio::invalid_state_error);
        CHECK_THROWS_AS(f.exception(), aio::invalid_state_error);
        f.cancel();
        co_return;
    });
}

TEST_CASE("future: gives its value, as often as it is asked", "[FUT-1][FUT-2][FUT-3]") {
    virtual_run([]() -> aio::task<> {
        const aio::future<std::string> f;
        f.set_result("text");
        CHECK(f.done());
        CHECK_FALSE(f.cancelled());
        CHECK(f.result() == "text");
        CHECK(&f.result() == &f.result());
        CHECK(f.exception() == nullptr);
        co_return;
    });
}

TEST_CASE("future: throws its exception, as often as it is asked", "[FUT-2][FUT-3]") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> f;
        f.set_exception(boom("stored"));
        CHECK(f.done());
        CHECK_FALSE(f.cancelled());
        CHECK_THROWS_AS(f.result(), boom);
        CHECK_THROWS_AS(f.result(), boom);
        CHECK(text_of(f.exception()) == "stored");
        co_return;
    });
}

TEST_CASE("future: takes an exception as exception_ptr, but not a null one", "[FUT-3]") {
    virtual_run([]() -> aio::task<> {
        const aio::future<> f;
        CHECK_THROWS_AS(f.set_exception(std::exception_ptr()), std::invalid_argument);
        CHECK_FALSE(f.done());
        const auto error = std::make_exception_ptr(boom("given"));
        f.set_exception(error);
        CHECK(f.exception() == error);
        co_return;
    });
}

TEST_CASE("future: of void is done without a value", "[FUT-2]") {
    virtual_run([]() -> aio::task<> {
        const aio::future<> f;
        f.set_result();
        f.result();
        co_await f;
        CHECK(f.done());
    });
}

TEST_CASE("future: is set once only", "[FUT-1][FUT-4]") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> valued;
        valued.set_result(1);
        CHECK_THROWS_AS(valued.set_result(2), aio::invalid_state_error);
        CHECK_THROWS_AS(valued.set_exception(boom("late")), aio::invalid_state_error);
        CHECK(valued.result() == 1);

        const aio::future<int> cancelled;
        cancelled.cancel();
        CHECK_THROWS_AS(cancelled.set_result(2), aio::invalid_state_error);
        CHECK_THROWS_AS(cancelled.set_exception(boom("late")), aio::invalid_state_error);
        CHECK(cancelled.cancelled());
        co_return;
    });
}

TEST_CASE("future: cancel ends it when it is pending and does nothing when it is done", "[FUT-7]") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> f;
        int calls = 0;
        f.add_done_callback([&calls] { ++calls; });
        CHECK(f.cancel());
        CHECK(f.done());
        CHECK(f.cancelled());
        CHECK(calls == 0);
        CHECK_FALSE(f.cancel());
        CHECK_THROWS_AS(f.result(), aio::cancelled_error);
        CHECK_THROWS_AS(f.exception(), aio::cancelled_error);
        co_await aio::yield();
        CHECK(calls == 1);

        const aio::future<int> valued;
        valued.set_result(1);
        CHECK_FALSE(valued.cancel());
        CHECK(valued.result() == 1);
    });
}

TEST_CASE("future: a cancellation carries its message", "[FUT-24]") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> f;
        f.cancel("because");
        std::string message;
        try {
            co_await f;
        } catch (const aio::cancelled_error& e) {
            message = e.message();
        }
        CHECK(message == "because");
        message.clear();
        try {
            f.result();
        } catch (const aio::cancelled_error& e) {
            message = e.message();
        }
        CHECK(message == "because");
    });
}

TEST_CASE("future: set_result resumes nobody before the setter gives way", "[FUT-8][FUT-18]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        const aio::future<int> f;
        for (const char* name : {"a", "b", "c"}) aio::create_task(record(f, name, log));
        f.add_done_callback([&log] { log.push_back("callback"); });
        co_await aio::yield();
        f.set_result(7);
        log.push_back("set");
        co_await aio::yield();
        log.push_back("after");
    });
    CHECK(log == trace{"set", "callback", "a got 7", "b got 7", "c got 7", "after"});
}

TEST_CASE("future: callbacks run in order, each with the future", "[FUT-9]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        const aio::future<int> f;
        f.add_done_callback([&](const aio::future<int>& ended) {
            CHECK(ended == f);
            log.push_back("first " + std::to_string(ended.result()));
        });
        f.add_done_callback([&log] { log.push_back("second"); });
        f.add_done_callback([&log](aio::future<int>) { log.push_back("third"); });
        f.set_result(1);
        co_await aio::yield();
    });
    CHECK(log == trace{"first 1", "second", "third"});
}

TEST_CASE("future: callbacks run for an exception as for a value", "[FUT-9]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        const aio::future<int> f;
        f.add_done_callback([&log](const aio::future<int>& ended) { log.push_back(text_of(ended.exception())); });
        f.set_exception(boom("bad"));
        co_await aio::yield();
    });
    CHECK(log == trace{"bad"});
}

TEST_CASE("future: awaiting tasks and callbacks stand in one row", "[FUT-10]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        const aio::future<int> f;
        f.add_done_callback([&log] { log.push_back("callback 1"); });
        aio::create_task(record(f, "a", log));
        co_await aio::yield();
        f.add_done_callback([&log] { log.push_back("callback 2"); });
        aio::create_task(record(f, "b", log));
        co_await aio::yield();
        f.set_result(1);
        co_await aio::yield();
    });
    CHECK(log == trace{"callback 1", "a got 1", "callback 2", "b got 1"});
}

TEST_CASE("future: a callback added when it is done comes through the loop", "[FUT-11]") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> f;
        f.set_result(1);
        int calls = 0;
        f.add_done_callback([&calls] { ++calls; });
        CHECK(calls == 0);
        co_await aio::yield();
        CHECK(calls == 1);
    });
}

TEST_CASE("future: a callable that is added twice is called twice, and removed by its id", "[FUT-12][FUT-13]") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> f;
        int calls = 0;
        const auto call = [&calls] { ++calls; };
        const auto first = f.add_done_callback(call);
        const auto second = f.add_done_callback(call);
        const auto third = f.add_done_callback(call);
        CHECK(first != second);
        CHECK(f.remove_done_callback(second) == 1);
        CHECK(f.remove_done_callback(second) == 0);
        CHECK(f.remove_done_callback(third + 1000) == 0);
        f.set_result(1);
        CHECK(f.remove_done_callback(first) == 0);
        co_await aio::yield();
        CHECK(calls == 2);
        CHECK(f.remove_done_callback(third) == 0);
    });
}

TEST_CASE("future: an id is that of one future only", "[FUT-12]") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> f;
        const aio::future<int> g;
        int calls = 0;
        const auto of_f = f.add_done_callback([&calls] { ++calls; });
        g.add_done_callback([&calls] { calls += 10; });
        CHECK(g.remove_done_callback(of_f) == 0);
        f.set_result(1);
        g.set_result(1);
        co_await aio::yield();
        CHECK(calls == 11);
    });
}

TEST_CASE("future: callbacks may add and remove callbacks", "[FUT-12]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        const aio::future<int> f;
        std::uint64_t last = 0;
        f.add_done_callback([&](const aio::future<int>& ended) {
            log.push_back("first");
            CHECK(ended.remove_done_callback(last) == 0);
            ended.add_done_callback([&log] { log.push_back("added"); });
        });
        last = f.add_done_callback([&log] { log.push_back("last"); });
        f.set_result(1);
        co_await aio::yield();
        CHECK(log == trace{"first", "last"});
        co_await aio::yield();
    });
    CHECK(log == trace{"first", "last", "added"});
}

TEST_CASE("future: an exception of a callback goes to the handler, and the others still run", "[FUT-15]") {
    reports told;
    virtual_run([&told]() -> aio::task<> {
        collect(told);
        const aio::future<int> f;
        int calls = 0;
        f.add_done_callback([] { throw boom("in the callback"); });
        f.add_done_callback([&calls] { ++calls; });
        f.set_result(1);
        co_await aio::yield();
        CHECK(calls == 1);
    });
    REQUIRE(told.size() == 1);
    CHECK(told[0].message == "Exception in callback");
    CHECK(told[0].error == "in the callback");
}

TEST_CASE("future: a null callback is refused", "[FUT-9]") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> f;
        const std::function<void()> nothing;
        CHECK_THROWS_AS(f.add_done_callback(nothing), std::invalid_argument);
        co_return;
    });
}

TEST_CASE("future: callbacks are destroyed after the call, when removed, and with the future", "[FUT-9][FUT-12]") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        {
            const aio::future<int> f;
            const auto id = f.add_done_callback([c = counted(1)] { CHECK(c.value == 1); });
            f.add_done_callback([c = counted(2)] { CHECK(c.value == 2); });
            f.remove_done_callback(id);
            CHECK(counted::alive == 1);
            f.set_result(1);
            CHECK(counted::alive == 1);
            co_await aio::yield();
            CHECK(counted::alive == 0);
            const aio::future<int> abandoned;
            abandoned.add_done_callback([c = counted(3)] { FAIL("called for " << c.value); });
            CHECK(counted::alive == 1);
        }
        CHECK(counted::alive == 0);
    });
}

TEST_CASE("future: awaiting what is done does not give way", "[FUT-16]") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> f;
        const aio::future<int> g;
        f.set_result(3);
        g.set_exception(boom("at once"));
        const iterations count;
        const int got = co_await f;
        CHECK(got == 3);
        std::string caught;
        try {
            co_await g;
        } catch (const boom& e) {
            caught = e.what();
        }
        CHECK(caught == "at once");
        CHECK(count.passed() == 0);
    });
}

TEST_CASE("future: its awaiter runs in the iteration after it was set", "[FUT-17]") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> f;
        aio::get_running_loop().call_soon([f] { f.set_result(1); }); // iteration 1
        const iterations count;
        co_await f; // 2
        CHECK(count.passed() == 1);
    });
}

TEST_CASE("future: every await gives the same exception object", "[FUT-18]") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> f;
        f.set_exception(boom("shared"));
        std::vector<const void*> seen;
        for (int i = 0; i < 3; ++i) {
            try {
                co_await f;
            } catch (const boom& e) {
                seen.push_back(&e);
            }
        }
        REQUIRE(seen.size() == 3);
        CHECK(seen[0] == seen[1]);
        CHECK(seen[1] == seen[2]);
    });
}

TEST_CASE("future: a cancelled waiter cancels the future, and so all that wait for it", "[FUT-19]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        const aio::future<int> f;
        auto a = aio::create_task(record(f, "a", log));
        auto b = aio::create_task(record(f, "b", log));
        auto c = aio::create_task(record(f, "c", log));
        co_await aio::yield();
        CHECK(b.cancel("stop"));
        CHECK(f.cancelled());
        CHECK_FALSE(b.done());
        co_await aio::yield();
        CHECK(log == trace{"a cancelled", "b cancelled", "c cancelled"});
        CHECK(a.cancelled());
        CHECK(b.cancelled());
        CHECK(c.cancelled());
        CHECK(a.cancelling() == 0);
        CHECK(b.cancelling() == 1);
    });
}

TEST_CASE("future: one of another loop cannot be awaited", "[FUT-20][TASK-11]") {
    aio::event_loop other;
    const auto foreign = other.create_future<int>();
    std::string message;
    aio::run(
        [&]() -> aio::task<> {
            try {
                co_await foreign;
            } catch (const std::logic_error& e) {
                message = e.what();
            }
        },
        aio::testing::virtual_clock());
    CHECK_THAT(message, Catch::Matchers::Contains("different loop"));
    CHECK_FALSE(foreign.done());
    CHECK_THROWS_AS(aio::event_loop().run_until_complete(foreign), std::logic_error);
}

TEST_CASE("future: belongs to the running loop, and needs one", "[FUT-21]") {
    CHECK_THROWS_AS(aio::future<int>(), std::logic_error);
    aio::event_loop loop;
    const auto f = loop.create_future<int>();
    loop.call_soon([&f] { f.set_result(5); });
    CHECK(loop.run_until_complete(f) == 5);
    loop.close();
    CHECK_THROWS_AS(loop.create_future<int>(), std::logic_error);
}

TEST_CASE("future: an exception that nobody fetches is reported when the last handle goes", "[FUT-22]") {
    reports told;
    virtual_run([&told]() -> aio::task<> {
        collect(told);
        {
            const aio::future<int> f;
            const aio::future<int> copy = f;
            f.set_exception(boom("lost"));
        }
        REQUIRE(told.size() == 1);
        CHECK(told[0].message == "Future exception was never retrieved");
        CHECK(told[0].error == "lost");
        co_return;
    });
    CHECK(told.size() == 1);
}

TEST_CASE("future: an exception that was fetched is not reported", "[FUT-22]") {
    reports told;
    virtual_run([&told]() -> aio::task<> {
        collect(told);
        const aio::future<int> by_result;
        by_result.set_exception(boom("seen"));
        CHECK_THROWS_AS(by_result.result(), boom);
        const aio::future<int> by_exception;
        by_exception.set_exception(boom("seen"));
        CHECK(by_exception.exception() != nullptr);
        const aio::future<int> by_await;
        by_await.set_exception(boom("seen"));
        try {
            co_await by_await;
        } catch (const boom&) {}
    });
    CHECK(told.empty());
}

TEST_CASE("future: one that is pending, has a value or was cancelled goes quietly", "[FUT-23]") {
    reports told;
    virtual_run([&told]() -> aio::task<> {
        collect(told);
        const aio::future<int> pending;
        const aio::future<int> valued;
        valued.set_result(1);
        const aio::future<int> cancelled;
        cancelled.cancel();
        co_return;
    });
    CHECK(told.empty());
}

TEST_CASE("future: a result that is moved out is gone for the others", "[FUT-18]") {
    virtual_run([]() -> aio::task<> {
        aio::future<std::unique_ptr<int>> f;
        const auto other = f;
        f.set_result(std::make_unique<int>(4));
        CHECK(*other.result() == 4);
        const std::unique_ptr<int> got = co_await std::move(f);
        CHECK(*got == 4);
        CHECK_FALSE(f);
        CHECK_THROWS_AS(other.result(), aio::invalid_state_error);
        CHECK_THROWS_AS(co_await other, aio::invalid_state_error);
        CHECK(other.done());
    });
}

TEST_CASE("future: may give a reference", "[FUT-2]") {
    int target = 1;
    virtual_run([&target]() -> aio::task<> {
        const aio::future<int&> f;
        f.set_result(target);
        int& got = co_await f;
        CHECK(&got == &target);
        CHECK(&f.result() == &target);
    });
}

TEST_CASE("future: makes one value and destroys it once", "[FUT-1]") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        const aio::future<counted> f;
        f.set_result(counted(1));
        CHECK(counted::alive == 1);
        CHECK(counted::copies == 0);
        const counted& got = co_await f;
        CHECK(got.value == 1);
        CHECK(counted::copies == 0);
        const aio::future<counted> dropped;
        dropped.set_result(counted(2));
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("future: a handle that was moved from is empty, and says so", "[FUT-1]") {
    virtual_run([]() -> aio::task<> {
        aio::future<int> f;
        const aio::future<int> owner = std::move(f);
        CHECK_FALSE(f);
        CHECK_THROWS_AS(f.done(), std::logic_error);
        CHECK_THROWS_AS(f.cancelled(), std::logic_error);
        CHECK_THROWS_AS(f.cancel(), std::logic_error);
        CHECK_THROWS_AS(f.set_result(1), std::logic_error);
        CHECK_THROWS_AS(f.result(), std::logic_error);
        CHECK_THROWS_AS(f.add_done_callback([] {}), std::logic_error);
        CHECK_THROWS_AS(co_await f, std::logic_error);
    });
}

TEST_CASE("future: can be asked when its loop is gone", "[FUT-1][FUT-22]") {
    const audited afterwards;
    std::optional<aio::future<int>> pending;
    std::optional<aio::future<int>> valued;
    std::optional<aio::future<int>> failed;
    aio::run(
        [&]() -> aio::task<> {
            pending.emplace();
            pending->add_done_callback([] { FAIL("called without a loop"); });
            valued.emplace();
            valued->set_result(1);
            failed.emplace();
            failed->set_exception(boom("seen late"));
            co_return;
        },
        aio::testing::virtual_clock());
    CHECK_FALSE(pending->done());
    CHECK_THROWS_AS(pending->add_done_callback([] {}), std::logic_error);
    CHECK(valued->result() == 1);
    CHECK_THROWS_AS(valued->add_done_callback([] {}), std::logic_error);
    CHECK(text_of(failed->exception()) == "seen late");
    CHECK_FALSE(pending->cancel());
    CHECK_FALSE(pending->done());
}

TEST_CASE("future: set by a timer", "[FUT-28]") {
    reports told;
    virtual_run([&told]() -> aio::task<> {
        collect(told);
        auto& loop = aio::get_running_loop();
        const auto begin = loop.time();
        const aio::future<int> f;
        loop.call_later(10ms, [f] { f.set_result(1); });
        co_await f;
        CHECK(loop.time() - begin == 10ms);
        const aio::future<int> cancelled;
        loop.call_later(10ms, [cancelled] {
            if (!cancelled.done()) cancelled.set_result(1);
        });
        cancelled.cancel();
        co_await aio::sleep(20ms);
        CHECK(cancelled.cancelled());
    });
    CHECK(told.empty());
}

TEST_CASE("future: 100,000 of them, one after the other", "[FUT-17]") {
    virtual_run([]() -> aio::task<> {
        auto& loop = aio::get_running_loop();
        long sum = 0;
        for (int i = 0; i < 100'000; ++i) {
            const aio::future<int> f;
            loop.call_soon([f, i] { f.set_result(i); });
            sum += co_await f;
        }
        CHECK(sum == 4999950000L);
    });
}

TEST_CASE("future: a cancelled_error that it is given is an exception, not a cancellation of the future") {
    virtual_run([]() -> aio::task<> {
        const aio::future<> given;
        given.set_exception(aio::cancelled_error("given"));
        CHECK_FALSE(given.cancelled());
        CHECK(given.exception() != nullptr);
        const auto waits = aio::create_task([&]() -> aio::task<> { co_await given; });
        co_await aio::nothrow(waits);
        CHECK(waits.cancelled());
    });
}
