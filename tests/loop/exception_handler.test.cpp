// SPDX-License-Identifier: BSL-1.0
#include <asynchio/loop/detail/exception_handler.hpp>

// covers: exception_context.hpp
#include <asynchio/loop/exception_context.hpp>

#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include "support/captured_stderr.hpp"
#include "support/message_of.hpp"
#include "support/virtual_run.hpp"

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace aio = asynchio;
using asynchio_tests::captured_stderr;
using asynchio_tests::contains;
using asynchio_tests::virtual_run;
using namespace std::chrono_literals;

namespace {

aio::event_loop make_loop() { return aio::event_loop({.virtual_time = true}); }

struct report {
    std::string message;
    std::string exception;
    std::string source;
    unsigned line = 0;
    bool has_task = false;
};

/// Has `loop` keep its reports in `reports`.
void collect(aio::event_loop& loop, std::vector<report>& reports) {
    loop.set_exception_handler([&reports](aio::event_loop&, const aio::exception_context& context) {
        reports.push_back({context.message, aio::detail::describe(context.exception), context.source,
                           static_cast<unsigned>(context.created.line()), static_cast<bool>(context.task())});
    });
}

aio::task<> fails(std::string why) {
    co_await aio::yield();
    throw std::runtime_error(why);
}

} // namespace

TEST_CASE("exception_handler: is given the loop and what happened", "[EXH-1][LOOP-18]") {
    aio::event_loop loop = make_loop();
    std::vector<report> reports;
    aio::event_loop* given = nullptr;
    loop.set_exception_handler([&](aio::event_loop& l, const aio::exception_context& context) {
        given = &l;
        reports.push_back({context.message, aio::detail::describe(context.exception), context.source, 0, false});
    });
    std::string trace;
    loop.call_soon([] { throw std::runtime_error("in a call"); });
    loop.call_soon([&] { trace += "next"; });
    aio::testing::run_until_idle(loop);
    CHECK(given == &loop);
    REQUIRE(reports.size() == 1);
    CHECK(contains(reports[0].message, "Exception in callback"));
    CHECK(reports[0].exception == "in a call");
    CHECK(trace == "next");
}

TEST_CASE("exception_handler: calls, timers and posts all report to it, and the loop goes on", "[EXH-6][LOOP-18]") {
    aio::event_loop loop = make_loop();
    std::vector<report> reports;
    collect(loop, reports);
    loop.call_soon([] { throw std::runtime_error("call"); });
    loop.call_soon_threadsafe([] { throw std::runtime_error("post"); });
    loop.call_later(1s, [] { throw std::runtime_error("timer"); });
    loop.call_later(2s, [&loop] { loop.stop(); });
    loop.run_forever();
    std::vector<std::string> texts;
    for (const report& each : reports) texts.push_back(each.exception);
    CHECK(texts == std::vector<std::string>{"call", "post", "timer"});
}

TEST_CASE("exception_handler: whatever is thrown stays inside the loop", "[LOOP-19][LOOP-18]") {
    aio::event_loop loop = make_loop();
    std::vector<report> reports;
    collect(loop, reports);
    loop.call_soon([] { throw 5; });
    loop.call_soon([] { throw aio::cancelled_error("cancelled"); });
    loop.call_soon([] { throw aio::keyboard_interrupt(); });
    CHECK_NOTHROW(aio::testing::run_until_idle(loop));
    REQUIRE(reports.size() == 3);
    CHECK(reports[0].exception == "an exception that is not a std::exception");
    CHECK(reports[2].exception == "interrupted (SIGINT)");
}

TEST_CASE("exception_handler: nullptr restores the default, which prints to stderr", "[EXH-2]") {
    aio::event_loop loop = make_loop();
    std::vector<report> reports;
    collect(loop, reports);
    loop.call_soon([] { throw std::runtime_error("to the handler"); });
    aio::testing::run_until_idle(loop);
    for (int way = 0; way < 3; ++way) {
        collect(loop, reports);
        if (way == 0) loop.set_exception_handler(nullptr);
        if (way == 1)
            loop.set_exception_handler(std::function<void(aio::event_loop&, const aio::exception_context&)>());
        void (*none)(aio::event_loop&, const aio::exception_context&) = nullptr;
        if (way == 2) loop.set_exception_handler(none);
        const captured_stderr printed;
        loop.call_soon([] { throw std::runtime_error("to stderr"); });
        aio::testing::run_until_idle(loop);
        const std::string text = printed.text();
        CHECK(contains(text, "Exception in callback"));
        CHECK(contains(text, "to stderr"));
    }
    CHECK(reports.size() == 1);
}

TEST_CASE("exception_handler: one that throws is itself reported, with what it was given", "[EXH-3][EXH-4]") {
    aio::event_loop loop = make_loop();
    loop.set_exception_handler(
        [](aio::event_loop&, const aio::exception_context&) { throw std::logic_error("broken handler"); });
    std::string trace;
    const captured_stderr printed;
    loop.call_soon([] { throw std::runtime_error("first"); });
    loop.call_soon([&] { trace += "next"; });
    aio::testing::run_until_idle(loop);
    const std::string text = printed.text();
    CHECK(contains(text, "Unhandled error in exception handler"));
    CHECK(contains(text, "broken handler"));
    CHECK(contains(text, "first"));
    CHECK(trace == "next");
}

TEST_CASE("exception_handler: may be called by the user, and may call the default one", "[EXH-5]") {
    aio::event_loop loop = make_loop();
    aio::exception_context context;
    context.message = "something happened";
    context.source = "the user's object";
    context.created = std::source_location::current();
    context.exception = std::make_exception_ptr(std::runtime_error("why"));
    int calls = 0;
    loop.set_exception_handler([&](aio::event_loop& l, const aio::exception_context& c) {
        ++calls;
        l.default_exception_handler(c);
    });
    const captured_stderr printed;
    loop.call_exception_handler(context);
    const std::string text = printed.text();
    CHECK(calls == 1);
    for (const std::string& part :
         {std::string("something happened"), std::string("the user's object"), std::string("why"),
          std::string("exception_handler.test.cpp:") + std::to_string(context.created.line())})
        CHECK(contains(text, part));
}

TEST_CASE("exception_handler: prints no more than there is", "[EXH-2]") {
    aio::event_loop loop = make_loop();
    aio::exception_context context;
    context.message = "only this";
    const captured_stderr printed;
    loop.call_exception_handler(context);
    CHECK(printed.text() == "asynchio: only this\n");
}

TEST_CASE("exception_handler: may replace or remove itself while it runs", "[EXH-1]") {
    aio::event_loop loop = make_loop();
    std::string trace;
    auto alive = std::make_shared<std::string>("first");
    const std::weak_ptr<std::string> watched = alive;
    loop.set_exception_handler([&trace, a = std::move(alive)](aio::event_loop& l, const aio::exception_context&) {
        l.set_exception_handler([&trace](aio::event_loop&, const aio::exception_context&) { trace += " second"; });
        trace += *a; // it lives until it returns
    });
    loop.call_soon([] { throw 1; });
    loop.call_soon([] { throw 2; });
    aio::testing::run_until_idle(loop);
    CHECK(trace == "first second");
    CHECK(watched.expired());
}

TEST_CASE("exception_handler: is told of an exception that nobody retrieves, with the task and its line",
          "[EXH-1][EXH-6]") {
    std::vector<report> reports;
    unsigned line = 0;
    virtual_run([&]() -> aio::task<> {
        collect(aio::get_running_loop(), reports);
        line = static_cast<unsigned>(__LINE__) + 1;
        aio::create_task(fails("nobody looks"), "lonely");
        co_await aio::sleep(1s);
    });
    REQUIRE(reports.size() == 1);
    CHECK(reports[0].message == "Task exception was never retrieved");
    CHECK(reports[0].exception == "nobody looks");
    CHECK(contains(reports[0].source, "lonely"));
    CHECK(reports[0].line == line);
    CHECK(reports[0].has_task);
}

TEST_CASE("exception_handler: is told of a future's exception that nobody retrieves", "[EXH-6]") {
    std::vector<report> reports;
    virtual_run([&]() -> aio::task<> {
        collect(aio::get_running_loop(), reports);
        aio::future<int>().set_exception(std::runtime_error("nobody looks"));
        co_return;
    });
    REQUIRE(reports.size() == 1);
    CHECK(reports[0].message == "Future exception was never retrieved");
    CHECK(reports[0].exception == "nobody looks");
    CHECK_FALSE(reports[0].has_task);
}

TEST_CASE("exception_handler: the handler may keep the task it is told of", "[EXH-1]") {
    aio::any_task_handle kept;
    virtual_run([&]() -> aio::task<> {
        aio::get_running_loop().set_exception_handler(
            [&](aio::event_loop&, const aio::exception_context& context) { kept = context.task(); });
        aio::create_task(fails("kept"), "keeper");
        co_await aio::sleep(1s);
        REQUIRE(kept);
        CHECK(kept.done());
        CHECK(kept.name() == "keeper");
        CHECK(asynchio_tests::message_of([&] { std::rethrow_exception(kept.exception()); }) == "kept");
        kept = aio::any_task_handle();
    });
}

TEST_CASE("exception_handler: is not told of what somebody awaits or asks for", "[EXH-7]") {
    std::vector<report> reports;
    virtual_run([&]() -> aio::task<> {
        collect(aio::get_running_loop(), reports);
        const auto awaited = aio::create_task(fails("awaited"));
        const auto outcome = co_await aio::nothrow(awaited);
        CHECK(asynchio_tests::message_of([&] { outcome.rethrow(); }) == "awaited");
        const auto asked = aio::create_task(fails("asked"));
        co_await aio::sleep(1s);
        CHECK(asked.exception() != nullptr);
        const auto cancelled = aio::create_task(fails("cancelled"));
        cancelled.cancel();
        co_await aio::sleep(1s);
    });
    CHECK(reports.empty());
}

TEST_CASE("exception_handler: is told of tasks that a closing loop destroys", "[EXH-6][LOOP-27]") {
    std::vector<report> reports;
    {
        aio::event_loop loop = make_loop();
        collect(loop, reports);
        loop.create_task(aio::named("sleeper"), []() -> aio::task<> { co_await aio::sleep(1h); });
        aio::testing::run_until_idle(loop);
    }
    REQUIRE(reports.size() == 1);
    CHECK(contains(reports[0].message, "destroyed"));
    CHECK(reports[0].source.find("sleeper") == 0);
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("exception_handler: is told of failing cleanups when run ends", "[EXH-6]") {
    std::vector<report> reports;
    virtual_run([&]() -> aio::task<> {
        collect(aio::get_running_loop(), reports);
        aio::create_task([]() -> aio::task<> {
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {
                throw std::runtime_error("while cleaning up");
            }
        });
        co_await aio::yield();
    });
    REQUIRE(reports.size() == 1);
    CHECK(contains(reports[0].message, "shutdown"));
    CHECK(reports[0].exception == "while cleaning up");
}
