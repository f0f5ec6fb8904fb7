// SPDX-License-Identifier: BSL-1.0
#include <asynchio/debug/dump_tasks.hpp>

#include <asynchio/combine/gather.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include "support/message_of.hpp"
#include "support/virtual_run.hpp"

#include <chrono>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace aio = asynchio;
using asynchio_tests::contains;
using asynchio_tests::virtual_run;
using namespace std::chrono_literals;

namespace {

std::string dump() {
    std::ostringstream out;
    aio::dump_tasks(out);
    return out.str();
}

using lines = std::vector<std::string>;

/// The lines of the task whose first line starts with `name: `.
lines about(const std::string& name, const std::string& text = dump()) {
    lines found;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
        const bool head = !line.starts_with("    ");
        if (head && !found.empty()) return found;
        if (!found.empty() || line.starts_with(name + ": ")) found.push_back(line);
    }
    return found;
}

std::string here(unsigned line) {
    std::string text = __FILE__;
    text += ':';
    return text += std::to_string(line);
}

unsigned line_of_leaf = 0;
unsigned line_of_middle = 0;
unsigned line_of_outer = 0;

aio::task<> leaf() {
    line_of_leaf = __LINE__ + 1;
    co_await aio::sleep(1h);
}
aio::task<int> middle(std::string text) {
    line_of_middle = __LINE__ + 1;
    co_await leaf();
    co_return static_cast<int>(text.size());
}
aio::task<> outer(int) {
    line_of_outer = __LINE__ + 1;
    co_await middle("argument");
}

aio::task<> waits_for(aio::task_handle<> handle) { co_await handle; }
aio::task<> waits_for_future(aio::future<> f) { co_await f; }
aio::task<> waits_for_two() { co_await aio::gather(aio::sleep(1h), leaf()); }

/// Waits for ever.
struct own final : aio::suspension {
    bool await_ready() const noexcept { return false; }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> coroutine,
                       std::source_location where = std::source_location::current()) noexcept {
        park(coroutine, where);
    }
    void await_resume() { resumed(); }
    const char* waiting_for() const noexcept override { return "a sign"; }
    aio::cancel_reply cancel(const aio::detail::shared_text&) noexcept override { return aio::cancel_reply::left; }
};

} // namespace

TEST_CASE("dump_tasks: the chain of coroutines, from the outermost inward, with the line of each") {
    virtual_run([]() -> aio::task<> {
        const unsigned created = __LINE__ + 1;
        const auto handle = aio::create_task(outer(1), "chain");
        co_await aio::testing::run_until_idle();
        const lines found = about("chain");
        REQUIRE(found.size() == 5);
        CHECK(found[0] == "chain: waiting for sleep");
        CHECK(found[1] == "    created at " + here(created));
        CHECK(found[2].ends_with("outer " + here(line_of_outer)));
        CHECK(found[3].ends_with("middle " + here(line_of_middle)));
        CHECK(found[4].ends_with("leaf " + here(line_of_leaf)));
        CHECK_FALSE(contains(found[3], "std::")); // neither result type nor parameters
        handle.cancel();
    });
}

TEST_CASE("dump_tasks: the running task") {
    virtual_run([]() -> aio::task<> {
        aio::current_task().set_name("me");
        const lines found = about("me");
        REQUIRE(found.size() == 2);
        CHECK(found[0] == "me: running");
        CHECK(found[1].starts_with("    created at "));
        co_return;
    });
}

TEST_CASE("dump_tasks: a task that was not started") {
    virtual_run([]() -> aio::task<> {
        const auto handle = aio::create_task(outer(1), "new");
        const lines found = about("new");
        REQUIRE(found.size() == 3);
        CHECK(found[0] == "new: not started");
        CHECK(contains(found[2], "outer "));
        handle.cancel();
        CHECK(about("new")[0] == "new: not started, cancelling 1");
        co_await aio::yield();
    });
}

TEST_CASE("dump_tasks: a task that is ready to run on") {
    virtual_run([]() -> aio::task<> {
        unsigned line = 0;
        const auto yields = [&]() -> aio::task<> {
            line = __LINE__ + 1;
            co_await aio::yield();
        };
        const auto handle = aio::create_task(yields(), "ready");
        co_await aio::yield();
        const lines found = about("ready");
        REQUIRE(found.size() == 3);
        CHECK(found[0] == "ready: ready");
        CHECK(found[2].ends_with(here(line)));
        co_await handle;
    });
}

TEST_CASE("dump_tasks: a task that waits for a task, by its name") {
    virtual_run([]() -> aio::task<> {
        const auto first = aio::create_task(outer(1), "first");
        const auto second = aio::create_task(waits_for(first), "second");
        const auto third = aio::create_task(waits_for(second));
        co_await aio::testing::run_until_idle();
        CHECK(about("second")[0] == "second: waiting for task first");
        CHECK(about(third.name())[0] == third.name() + ": waiting for task second");
        third.cancel();
        const std::string text = dump();
        CHECK(about("second", text)[0] == "second: waiting for task first, cancelling 1");
        CHECK(about("first", text)[0].ends_with(", cancelling 1"));
        co_await aio::sleep(1s);
        CHECK(third.done());
    });
}

TEST_CASE("dump_tasks: a task that waits for a future") {
    virtual_run([]() -> aio::task<> {
        const aio::future<> f;
        const auto handle = aio::create_task(waits_for_future(f), "waiter");
        co_await aio::yield();
        const lines found = about("waiter");
        REQUIRE(found.size() == 3);
        CHECK(found[0] == "waiter: waiting for future");
        CHECK(contains(found[2], "waits_for_future "));
        f.set_result();
        CHECK(about("waiter")[0] == "waiter: ready");
        co_await handle;
    });
}

TEST_CASE("dump_tasks: a task that waits for a gather, with what that runs") {
    virtual_run([]() -> aio::task<> {
        const auto handle = aio::create_task(waits_for_two(), "both");
        co_await aio::testing::run_until_idle();
        const std::string text = dump();
        CHECK(about("both", text)[0] == "both: waiting for gather");
        // The sleep is armed in place, in the name of the task; leaf() became a task of its own.
        CHECK(about("  part of the task above", text)[0] == "  part of the task above: waiting for sleep");
        CHECK(contains(text, "leaf " + here(line_of_leaf)));
        handle.cancel();
    });
}

TEST_CASE("dump_tasks: a task without a name has its number, a done one is not listed") {
    virtual_run([]() -> aio::task<> {
        const auto handle = aio::create_task(leaf());
        CHECK(about(handle.name())[0] == handle.name() + ": not started");
        CHECK(handle.name().starts_with("Task-"));
        handle.cancel();
        co_await aio::sleep(1s);
        CHECK(about(handle.name()).empty());
    });
}

TEST_CASE("dump_tasks: a task that runs another one's first step is running, wherever it was suspended before") {
    virtual_run([]() -> aio::task<> {
        std::string text;
        const auto begins = [](std::string& out) -> aio::task<> {
            out = dump();
            co_return;
        };
        const auto starter = [&]() -> aio::task<> {
            co_await aio::co_invoke([]() -> aio::task<> { co_await aio::sleep(1s); }); // a frame that is gone then
            aio::create_task(aio::eager, begins(text));
            co_await aio::sleep(1s);
        };
        const auto handle = aio::create_task(starter(), "starter");
        co_await aio::sleep(1500ms);
        const lines then = about("starter", text);
        REQUIRE(then.size() == 2);
        CHECK(then[0] == "starter: running");
        CHECK(about("starter")[0] == "starter: waiting for sleep");
        co_await handle;
    });
}

TEST_CASE("dump_tasks: in order of creation") {
    virtual_run([]() -> aio::task<> {
        for (const char* name : {"one", "two", "three"}) aio::create_task(leaf(), name);
        co_await aio::yield();
        const std::string text = dump();
        CHECK(text.find("one: ") < text.find("two: "));
        CHECK(text.find("two: ") < text.find("three: "));
    });
}

TEST_CASE("dump_tasks: a loop can be asked from outside, between its runs") {
    {
        aio::event_loop loop({.virtual_time = true});
        std::ostringstream empty;
        aio::dump_tasks(empty, loop);
        CHECK(empty.str().empty());
        const auto handle = loop.create_task(outer(1), "paused");
        aio::testing::run_until_idle(loop);
        std::ostringstream out;
        aio::dump_tasks(out, loop);
        CHECK(about("paused", out.str())[0] == "paused: waiting for sleep");
        handle.cancel();
        aio::testing::run_until_idle(loop);
        CHECK(handle.done());
    }
    CHECK(aio::testing::audit().clean());
    CHECK_THROWS_AS(dump(), std::logic_error);
}

TEST_CASE("dump_tasks: an awaiter of one's own is described by what it says") {
    virtual_run([]() -> aio::task<> {
        const auto handle = aio::create_task(aio::named("hoping"), []() -> aio::task<> { co_await own(); });
        co_await aio::testing::run_until_idle();
        CHECK(about("hoping")[0] == "hoping: waiting for a sign");
        handle.cancel();
        CHECK(about("hoping")[0] == "hoping: ready, cancelling 1");
        co_await aio::yield();
    });
}

TEST_CASE("dump_tasks: in debug mode it says for how long a task has waited") {
    auto main = []() -> aio::task<> {
        const auto one = aio::create_task(outer(1), "slow");
        co_await aio::sleep(90s);
        CHECK(about("slow")[0] == "slow: waiting for sleep, for 90.000 seconds");
        CHECK(about("Task-1")[0] == "Task-1: running");
        one.cancel();
        CHECK(about("slow")[0] == "slow: ready, cancelling 1");
    };
    virtual_run(main(), {.debug = true, .virtual_time = true});
}

TEST_CASE("dump_tasks: a task whose future nobody else has is told of") {
    virtual_run([]() -> aio::task<> {
        aio::future<> shared;
        auto waits_for_own = [](aio::future<> f) -> aio::task<> { co_await std::move(f); };
        const auto one = aio::create_task(waits_for_own(shared), "hopeful");
        const auto two = aio::create_task(waits_for_own(aio::future<>()), "hopeless");
        co_await aio::yield();
        CHECK(about("hopeful")[0] == "hopeful: waiting for future");
        CHECK(about("hopeless")[0] ==
              "hopeless: waiting for future to which nobody else refers, so that nobody can complete it");
        shared = aio::future<>();
        CHECK(about("hopeful")[0] ==
              "hopeful: waiting for future to which nobody else refers, so that nobody can complete it");
        one.cancel();
        two.cancel();
    });
}
