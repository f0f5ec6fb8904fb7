// SPDX-License-Identifier: BSL-1.0
#include <asynchio/debug/call_graph.hpp>

// covers: debug/detail/task_state.hpp
#include <asynchio/combine/as_completed.hpp>
#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/race.hpp>
#include <asynchio/combine/shield.hpp>
#include <asynchio/combine/task_group.hpp>
#include <asynchio/combine/wait.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/task/async_generator.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include "support/message_of.hpp"
#include "support/virtual_run.hpp"

#include <chrono>
#include <coroutine>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace aio = asynchio;
using asynchio_tests::contains;
using asynchio_tests::message_of;
using asynchio_tests::virtual_run;
using namespace std::chrono_literals;

namespace {

unsigned line_of_leaf = 0;
unsigned line_of_outer = 0;

aio::task<> leaf() {
    line_of_leaf = __LINE__ + 1;
    co_await aio::sleep(1h);
}
aio::task<> outer() {
    line_of_outer = __LINE__ + 1;
    co_await leaf();
}

using names = std::vector<std::string>;

/// The names of the tasks that wait for `graph`.
names waiting(const aio::call_graph& graph) {
    names found;
    for (const aio::call_graph& each : graph.awaited_by) found.push_back(each.name);
    return found;
}

std::string printed(const aio::call_graph& graph) {
    std::ostringstream out;
    aio::print_call_graph(out, graph);
    return out.str();
}

/// Returns who waits for the child that `start(child)` waits for, in a task with the name "parent".
template<class Start>
names parents_of_awaited(Start start) {
    names found;
    virtual_run([&]() -> aio::task<> {
        const auto child = aio::create_task(leaf(), "child");
        const auto parent = aio::create_task(start(child), "parent");
        co_await aio::testing::run_until_idle();
        found = waiting(aio::capture_call_graph(child));
        parent.cancel();
        child.cancel();
        co_await aio::testing::run_until_idle();
    });
    return found;
}

/// Is ready, and notes the task in which it is awaited.
struct looks {
    std::string* name;
    bool await_ready() const {
        *name = aio::capture_call_graph()->name;
        return true;
    }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    void await_resume() const noexcept {}
};

} // namespace

TEST_CASE("call_graph: the stack of a task, the innermost coroutine first") {
    virtual_run([]() -> aio::task<> {
        const auto handle = aio::create_task(outer(), "deep");
        co_await aio::testing::run_until_idle();
        const aio::call_graph graph = aio::capture_call_graph(handle);
        CHECK(graph.name == "deep");
        CHECK(graph.state == "waiting for sleep");
        REQUIRE(graph.frames.size() == 2);
        CHECK(graph.frames[0].function.ends_with("leaf"));
        CHECK(graph.frames[0].file == __FILE__);
        CHECK(graph.frames[0].line == line_of_leaf);
        CHECK(graph.frames[1].function.ends_with("outer"));
        CHECK(graph.frames[1].line == line_of_outer);
        CHECK(graph.awaited_by.empty());
        CHECK_FALSE(graph.repeated);
        handle.cancel();
    });
}

TEST_CASE("call_graph: a limit keeps the innermost coroutines and counts the others") {
    virtual_run([]() -> aio::task<> {
        const auto handle = aio::create_task(outer());
        co_await aio::testing::run_until_idle();
        const aio::call_graph graph = aio::capture_call_graph(handle, 1);
        REQUIRE(graph.frames.size() == 1);
        CHECK(graph.frames[0].line == line_of_leaf);
        CHECK(graph.frames_left_out == 1);
        CHECK(contains(printed(graph), "... and 1 more"));
        handle.cancel();
    });
}

TEST_CASE("call_graph: whoever waits for a handle is found, in whatever way it waits") {
    const names parent = {"parent"};
    using handle = aio::task_handle<>;
    CHECK(parents_of_awaited([](handle child) -> aio::task<> { co_await child; }) == parent);
    CHECK(parents_of_awaited([](handle child) -> aio::task<> { co_await aio::gather(child, aio::sleep(1h)); }) ==
          parent);
    CHECK(parents_of_awaited([](handle child) -> aio::task<> { co_await aio::race(child, aio::sleep(1h)); }) == parent);
    CHECK(parents_of_awaited([](handle child) -> aio::task<> { co_await aio::wait(child); }) == parent);
    CHECK(parents_of_awaited([](handle child) -> aio::task<> { co_await aio::shield(child); }) == parent);
    CHECK(parents_of_awaited([](handle child) -> aio::task<> { co_await aio::wait_for(child, 1h); }) == parent);
    CHECK(parents_of_awaited([](handle child) -> aio::task<> {
              const std::vector<handle> only(1, child);
              auto finished = aio::as_completed(only);
              co_await finished.next();
          }) == parent);
    CHECK(parents_of_awaited([](handle) -> aio::task<> { co_await aio::sleep(1h); }).empty());
}

TEST_CASE("call_graph: a task that gather or a group has started is awaited by the task that did") {
    virtual_run([]() -> aio::task<> {
        aio::any_task_handle gathered;
        aio::any_task_handle grouped;
        const auto note = [](aio::any_task_handle& into) -> aio::task<> {
            into = aio::current_task();
            co_await leaf();
        };
        const auto in_group = [&](aio::task_group& group) -> aio::task<> {
            group.create_task(note(grouped));
            co_await aio::sleep(1h);
        };
        const auto gathers = [&]() -> aio::task<> { co_await aio::gather(note(gathered), aio::sleep(1h)); };
        const auto has_group = [&]() -> aio::task<> { co_await aio::with(aio::task_group(), in_group); };
        const auto first = aio::create_task(gathers(), "gathers");
        const auto second = aio::create_task(has_group(), "has a group");
        co_await aio::testing::run_until_idle();
        CHECK(waiting(aio::capture_call_graph(gathered)) == names{"gathers"});
        CHECK(waiting(aio::capture_call_graph(grouped)) == names{"has a group"});
        first.cancel();
        second.cancel();
        co_await aio::testing::run_until_idle();
    });
}

TEST_CASE("call_graph: all that wait for one future, and for those in turn") {
    virtual_run([]() -> aio::task<> {
        const aio::future<> what;
        const auto waits = [](aio::future<> f) -> aio::task<> { co_await f; };
        const auto one = aio::create_task(waits(what), "one");
        const auto two = aio::create_task(waits(what), "two");
        const auto above = aio::create_task([](aio::task_handle<> h) -> aio::task<> { co_await h; }(two), "above");
        co_await aio::testing::run_until_idle();
        const aio::call_graph graph = aio::capture_call_graph(what);
        CHECK(graph.name == "a future");
        CHECK(graph.state == "pending");
        CHECK(graph.frames.empty());
        CHECK(waiting(graph) == names{"one", "two"});
        CHECK(graph.awaited_by[0].awaited_by.empty());
        CHECK(waiting(graph.awaited_by[1]) == names{"above"});
        what.set_result();
        co_await above;
        CHECK(aio::capture_call_graph(what).state == "done");
        CHECK(aio::capture_call_graph(what).awaited_by.empty());
    });
}

TEST_CASE("call_graph: a wait that has ended is no edge any more") {
    virtual_run([]() -> aio::task<> {
        const auto child = aio::create_task(leaf());
        const auto parent = aio::create_task([](aio::task_handle<> h) -> aio::task<> {
            const std::vector<aio::task_handle<>> only(1, h);
            co_await aio::wait(only, aio::all_completed, 1s);
            co_await aio::sleep(1h);
        }(child));
        co_await aio::sleep(500ms);
        CHECK(aio::capture_call_graph(child).awaited_by.size() == 1);
        co_await aio::sleep(1s);
        CHECK(aio::capture_call_graph(child).awaited_by.empty());
        parent.cancel();
        child.cancel();
        co_await aio::testing::run_until_idle();
    });
}

TEST_CASE("call_graph: a task that several ways lead to is described once") {
    virtual_run([]() -> aio::task<> {
        const auto base = aio::create_task(leaf(), "base");
        const auto waits = [](aio::task_handle<> h) -> aio::task<> { co_await h; };
        const auto left = aio::create_task(waits(base), "left");
        const auto right = aio::create_task(waits(base), "right");
        const auto top = aio::create_task(
            [](aio::task_handle<> a, aio::task_handle<> b) -> aio::task<> { co_await aio::wait(a, b); }(left, right),
            "top");
        co_await aio::testing::run_until_idle();
        const aio::call_graph graph = aio::capture_call_graph(base);
        REQUIRE(waiting(graph) == names{"left", "right"});
        REQUIRE(waiting(graph.awaited_by[0]) == names{"top"});
        REQUIRE(waiting(graph.awaited_by[1]) == names{"top"});
        CHECK_FALSE(graph.awaited_by[0].awaited_by[0].repeated);
        CHECK(graph.awaited_by[1].awaited_by[0].repeated);
        CHECK(graph.awaited_by[1].awaited_by[0].frames.empty());
        CHECK(contains(printed(graph), "* top: waiting for wait (see above)\n"));
        base.cancel();
        co_await top;
    });
}

TEST_CASE("call_graph: tasks that wait for each other in a circle") {
    virtual_run([]() -> aio::task<> {
        aio::task_handle<> first;
        const auto waits = [](aio::task_handle<>& h) -> aio::task<> {
            co_await aio::yield();
            co_await h;
        };
        aio::task_handle<> second = aio::create_task(waits(first), "second");
        first = aio::create_task(waits(second), "first");
        co_await aio::testing::run_until_idle();
        const aio::call_graph graph = aio::capture_call_graph(first);
        REQUIRE(waiting(graph) == names{"second"});
        REQUIRE(waiting(graph.awaited_by[0]) == names{"first"});
        CHECK(graph.awaited_by[0].awaited_by[0].repeated);
        first.cancel();
        co_await aio::testing::run_until_idle();
        CHECK(second.done());
    });
}

TEST_CASE("call_graph: the running task, and nothing outside of one") {
    virtual_run([]() -> aio::task<> {
        aio::current_task().set_name("me");
        const std::optional<aio::call_graph> graph = aio::capture_call_graph();
        REQUIRE(graph.has_value());
        CHECK(graph->name == "me");
        CHECK(graph->state == "running");
        REQUIRE_FALSE(graph->frames.empty());
        CHECK(graph->frames[0].file == __FILE__);
        bool empty = false;
        std::ostringstream out;
        aio::get_running_loop().call_soon([&] {
            empty = !aio::capture_call_graph().has_value();
            aio::print_call_graph(out);
        });
        co_await aio::yield();
        CHECK(empty);
        CHECK(out.str().empty());
        aio::print_call_graph(out);
        CHECK(out.str().starts_with("* me: running\n  + Call stack:\n  |   File '"));
    });
    CHECK_THROWS_AS(aio::capture_call_graph(), std::logic_error);
}

TEST_CASE("call_graph: the current task inside a branch of a gather is the task that gathers") {
    virtual_run([]() -> aio::task<> {
        std::string name;
        const auto gathers = [&]() -> aio::task<> { co_await aio::gather(looks{&name}, aio::sleep(1s)); };
        co_await aio::create_task(gathers(), "gathers");
        CHECK(name == "gathers");
    });
}

TEST_CASE("call_graph: an async generator stands in the stack") {
    virtual_run([]() -> aio::task<> {
        const auto numbers = []() -> aio::async_generator<int> {
            co_await aio::sleep(1h);
            co_yield 1;
        };
        const auto reads = [&]() -> aio::task<> {
            auto stream = numbers();
            co_await stream.next();
        };
        const auto handle = aio::create_task(reads(), "reads");
        co_await aio::testing::run_until_idle();
        CHECK(aio::capture_call_graph(handle).frames.size() == 2);
        handle.cancel();
        co_await aio::testing::run_until_idle();
    });
}

TEST_CASE("call_graph: printed as asyncio prints it") {
    virtual_run([]() -> aio::task<> {
        const auto child = aio::create_task(leaf(), "child");
        const auto parent = aio::create_task([](aio::task_handle<> h) -> aio::task<> { co_await h; }(child), "parent");
        co_await aio::testing::run_until_idle();
        std::ostringstream out;
        aio::print_call_graph(out, child);
        std::istringstream in(out.str());
        names lines;
        for (std::string line; std::getline(in, line);) lines.push_back(line);
        REQUIRE(lines.size() == 7);
        CHECK(lines[0] == "* child: waiting for sleep");
        CHECK(lines[1] == "  + Call stack:");
        CHECK(lines[2].starts_with("  |   File '"));
        CHECK(contains(lines[2], "line " + std::to_string(line_of_leaf) + ", in async "));
        CHECK(lines[2].ends_with("leaf()"));
        CHECK(lines[3] == "  + Awaited by:");
        CHECK(lines[4] == "    * parent: waiting for task child");
        CHECK(lines[5] == "      + Call stack:");
        CHECK(lines[6].starts_with("      |   File '"));
        parent.cancel();
        co_await aio::testing::run_until_idle();
    });
}

TEST_CASE("call_graph: a task that is done, has failed, or was cancelled") {
    virtual_run([]() -> aio::task<> {
        const auto fails = aio::create_task([]() -> aio::task<> {
            throw std::runtime_error("no");
            co_return;
        }());
        const auto ends = aio::create_task([]() -> aio::task<> { co_return; }());
        const auto cancelled = aio::create_task(leaf());
        cancelled.cancel();
        co_await aio::testing::run_until_idle();
        CHECK(aio::capture_call_graph(fails).state == "failed");
        CHECK(aio::capture_call_graph(ends).state == "done");
        CHECK(aio::capture_call_graph(cancelled).state == "cancelled");
        CHECK(aio::capture_call_graph(ends).frames.empty());
        CHECK(fails.exception() != nullptr);
    });
}

TEST_CASE("call_graph: an empty handle is refused, one whose loop is gone is described") {
    CHECK(message_of([] { aio::capture_call_graph(aio::task_handle<>()); }) ==
          "capture_call_graph: the handle is empty");
    std::optional<aio::future<>> orphan;
    {
        aio::event_loop loop;
        orphan = loop.create_future();
    }
    CHECK(aio::capture_call_graph(*orphan).state == "pending");
}

TEST_CASE("call_graph: a chain of tasks that is longer than the stack is deep", "[stress]") {
    virtual_run([]() -> aio::task<> {
        constexpr int length = 100'000;
        const auto first = aio::create_task(leaf(), "first");
        aio::task_handle<> last = first;
        for (int i = 0; i < length; ++i)
            last = aio::create_task([](aio::task_handle<> h) -> aio::task<> { co_await h; }(last));
        co_await aio::testing::run_until_idle();
        int seen = 0;
        {
            const aio::call_graph graph = aio::capture_call_graph(first);
            for (const aio::call_graph* each = &graph; !each->awaited_by.empty(); each = &each->awaited_by[0]) ++seen;
        }
        CHECK(seen == length);
        first.cancel();
        co_await aio::testing::run_until_idle();
        CHECK(last.cancelled());
    });
}

TEST_CASE("call_graph: in debug mode it has the time since which a task waits") {
    for (const bool debug : {true, false}) {
        auto main = [&]() -> aio::task<> {
            co_await aio::sleep(1s);
            const aio::time_point start = aio::clock::now();
            const auto one = aio::create_task([]() -> aio::task<> { co_await aio::sleep(1h); });
            co_await aio::sleep(2s);
            const aio::call_graph graph = aio::capture_call_graph(one);
            CHECK(graph.since.has_value() == debug);
            if (debug) CHECK(*graph.since == start);
            CHECK(graph.state == (debug ? "waiting for sleep, for 2.000 seconds" : "waiting for sleep"));
            const auto self = aio::capture_call_graph();
            CHECK_FALSE(self->since.has_value());
            one.cancel();
        };
        virtual_run(main(), {.debug = debug, .virtual_time = true});
    }
}
