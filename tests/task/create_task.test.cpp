// SPDX-License-Identifier: BSL-1.0
// covers: loop/detail/task_creator.hpp

#include <asynchio/task/create_task.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/reports.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/task/current_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/sleep.hpp>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

aio::task<> note(std::string name, trace& log) {
    log.push_back(name);
    co_return;
}

/// Says when it dies.
class mourned {
public:
    mourned(std::string name, trace& log) : name_(std::move(name)), log_(&log) {}
    mourned(mourned&& other) noexcept : name_(std::move(other.name_)), log_(std::exchange(other.log_, nullptr)) {}
    mourned& operator=(mourned&&) = delete;
    ~mourned() {
        if (log_ != nullptr) log_->push_back(name_);
    }

private:
    std::string name_;
    trace* log_;
};

struct worker {
    aio::task<int> work(int by) const { co_return base* by; }
    int base = 0;
};

} // namespace

TEST_CASE("create_task: nothing of the body runs before the creator gives way", "[TASK-1]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        auto t = aio::create_task(note("body", log));
        log.push_back("created");
        CHECK_FALSE(t.done());
        co_await aio::yield();
        CHECK(t.done());
    });
    CHECK(log == trace{"created", "body"});
}

TEST_CASE("create_task: a callable is not even called before the creator gives way", "[TASK-1]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        aio::create_task([&log] {
            log.push_back("called");
            return note("body", log);
        });
        log.push_back("created");
        co_await aio::yield();
    });
    CHECK(log == trace{"created", "called", "body"});
}

TEST_CASE("create_task: tasks start in order of creation", "[TASK-2]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        aio::create_task(note("a", log));
        aio::get_running_loop().call_soon([&log] { log.push_back("call"); });
        aio::create_task(note("b", log));
        aio::create_task(note("c", log));
        co_await aio::yield();
    });
    CHECK(log == trace{"a", "call", "b", "c"});
}

TEST_CASE("create_task: takes tasks, callables with arguments, handles, futures and other awaitables", "[TASK-20]") {
    virtual_run([]() -> aio::task<> {
        auto of_task = aio::create_task(gives(1));
        auto of_callable = aio::create_task([] { return gives(2); });
        auto of_function = aio::create_task(gives, 3);
        const worker seven{7};
        auto of_member = aio::create_task(&worker::work, &seven, 2);
        auto of_sleep = aio::create_task(aio::sleep(1ms, 4));
        auto of_handle = aio::create_task(of_task);
        const aio::future<int> f;
        auto of_future = aio::create_task(f);
        f.set_result(5);
        const std::function<aio::task<int>(int)> stored = gives;
        auto of_std_function = aio::create_task(stored, 6);
        CHECK_FALSE(of_handle == of_task);
        co_await aio::sleep(2ms);
        CHECK(of_task.result() == 1);
        CHECK(of_callable.result() == 2);
        CHECK(of_function.result() == 3);
        CHECK(of_member.result() == 14);
        CHECK(of_sleep.result() == 4);
        CHECK(of_handle.result() == 1);
        CHECK(of_future.result() == 5);
        CHECK(of_std_function.result() == 6);
    });
}

TEST_CASE("create_task: needs a running loop, and what it was given does not leak", "[TASK-19]") {
    const audited afterwards;
    counted::reset();
    CHECK_THROWS_AS(aio::create_task(gives(1)), std::logic_error);
    CHECK_THROWS_AS(aio::create_task([](counted) -> aio::task<> { co_return; }, counted(1)), std::logic_error);
    CHECK(counted::alive == 0);
}

TEST_CASE("create_task: on a closed loop is refused, and what it was given does not leak", "[TASK-19][LOOP-28]") {
    const audited afterwards;
    counted::reset();
    {
        aio::event_loop loop;
        loop.close();
        CHECK_THROWS_AS(loop.create_task(gives(1)), std::logic_error);
        CHECK_THROWS_AS(loop.create_task([](counted) -> aio::task<> { co_return; }, counted(1)), std::logic_error);
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("create_task: refuses what is empty", "[TASK-19]") {
    virtual_run([]() -> aio::task<> {
        auto moved_from = gives(1);
        auto kept = std::move(moved_from);
        CHECK_THROWS_AS(aio::create_task(std::move(moved_from)), std::logic_error);
        CHECK_THROWS_AS(aio::create_task(aio::task<>()), std::logic_error);
        const std::function<aio::task<>()> nothing;
        CHECK_THROWS_AS(aio::create_task(nothing), std::invalid_argument);
        aio::task<> (*null)() = nullptr;
        CHECK_THROWS_AS(aio::create_task(null), std::invalid_argument);
        CHECK(aio::all_tasks().size() == 1);
        const int got = co_await std::move(kept);
        CHECK(got == 1);
    });
}

TEST_CASE("create_task: a loop takes tasks before it runs", "[TASK-1]") {
    const audited afterwards;
    aio::event_loop loop(aio::testing::virtual_clock());
    auto t = loop.create_task(gives_after(1s, 8));
    auto named = loop.create_task(gives(2), "early");
    CHECK(t.name() == "Task-1");
    CHECK(named.name() == "early");
    CHECK(loop.run_until_complete(t) == 8);
    CHECK(named.result() == 2);
}

TEST_CASE("create_task: a capturing coroutine lambda lives as long as its task", "[TASK-1]") {
    virtual_run([]() -> aio::task<> {
        aio::task_handle<int> t;
        {
            auto owned = std::make_unique<int>(41);
            t = aio::create_task([x = std::move(owned)]() -> aio::task<int> {
                co_await aio::sleep(1ms);
                co_return *x + 1;
            });
        }
        const int got = co_await t;
        CHECK(got == 42);
    });
}

TEST_CASE("create_task: arguments are moved in, kept until the task is done, and destroyed then", "[TASK-1]") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        int copies = -1;
        auto t = aio::create_task(
            [&copies](counted by_value, const counted& by_reference) -> aio::task<int> {
                copies = counted::copies;
                co_await aio::sleep(10ms);
                co_return by_value.value + by_reference.value;
            },
            counted(1), counted(2));
        co_await aio::sleep(5ms);
        CHECK(counted::alive > 0);
        CHECK(copies == 0);
        co_await aio::sleep(6ms);
        CHECK(t.done());
        CHECK(counted::alive == 0); // the handle is still there
        CHECK(t.result() == 3);
    });
}

TEST_CASE("create_task: std::ref passes a reference", "[TASK-1]") {
    virtual_run([]() -> aio::task<> {
        int target = 1;
        auto t = aio::create_task(
            [](int& x) -> aio::task<> {
                x = 2;
                co_return;
            },
            std::ref(target));
        co_await t;
        CHECK(target == 2);
    });
}

TEST_CASE("create_task: arguments die when the task fails or is cancelled, too", "[TASK-1][CAN-3]") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        auto failed = aio::create_task(
            [](counted) -> aio::task<> {
                co_await aio::yield();
                throw boom("failed");
            },
            counted(1));
        auto cancelled = aio::create_task([](counted) -> aio::task<> { co_await aio::sleep(1h); }, counted(2));
        co_await aio::yield();
        cancelled.cancel();
        CHECK(counted::alive > 0);
        co_await aio::nothrow(failed);
        CHECK(cancelled.cancelled());
        CHECK(counted::alive == 0);
    });
}

TEST_CASE("create_task: locals die before the task is done, in reverse order", "[TASK-6]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        auto t = aio::create_task([&log]() -> aio::task<> {
            const mourned first("first", log);
            const mourned second("second", log);
            co_await aio::yield();
        });
        t.add_done_callback([&log] { log.push_back("done"); });
        co_await t;
    });
    CHECK(log == trace{"second", "first", "done"});
}

TEST_CASE("create_task: a result lives as long as a handle, and is destroyed once", "[TASK-8]") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        {
            auto t = aio::create_task([]() -> aio::task<counted> { co_return counted(3); });
            const counted& result = co_await t;
            CHECK(result.value == 3);
            CHECK(&result == &t.result());
            CHECK(counted::copies == 0);
            CHECK(counted::alive == 1);
        }
        CHECK(counted::alive == 0);
        aio::create_task([]() -> aio::task<counted> { co_return counted(4); });
        co_await aio::yield();
        CHECK(counted::alive == 0); // nobody held a handle
    });
}

TEST_CASE("create_task: dropping the handle detaches", "[TASK-16]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        aio::create_task([&log]() -> aio::task<> {
            co_await aio::sleep(10ms);
            log.push_back("ran on");
        });
        co_await aio::sleep(20ms);
    });
    CHECK(log == trace{"ran on"});
}

TEST_CASE("create_task: names are Task-N, or what is given", "[TASK-17]") {
    virtual_run([]() -> aio::task<> {
        CHECK(aio::current_task().name() == "Task-1");
        auto a = aio::create_task(gives(1));
        auto b = aio::create_task(gives(1));
        CHECK(a.name() == "Task-2");
        CHECK(b.name() == "Task-3");
        std::string text = "temporary";
        auto named = aio::create_task(gives(1), text);
        text = "overwritten";
        CHECK(named.name() == "temporary");
        auto by_options = aio::create_task(aio::task_options{.name = "options"}, gives, 1);
        CHECK(by_options.name() == "options");
        auto callable = aio::create_task(aio::named("callable"), [] { return gives(1); });
        CHECK(callable.name() == "callable");
        auto options_eager = aio::create_task(aio::task_options{.name = "both"}, aio::eager, gives(1));
        CHECK(options_eager.name() == "both");
        CHECK(options_eager.done());
        a.set_name("renamed");
        CHECK(a.name() == "renamed");
        co_await aio::yield();
        a.set_name("renamed when done");
        CHECK(a.name() == "renamed when done");
    });
}

TEST_CASE("create_task: a callable that takes a text is called with it, not named by it", "[TASK-17]") {
    virtual_run([]() -> aio::task<> {
        auto t = aio::create_task([](std::string text) -> aio::task<std::string> { co_return text; }, "argument");
        const std::string& got = co_await t;
        CHECK(got == "argument");
        CHECK(t.name() == "Task-2");
    });
}

TEST_CASE("create_task: what follows a callable is arguments, whatever they are", "[TASK-17]") {
    virtual_run([]() -> aio::task<> {
        auto two = [](std::string_view a, std::string b = "default") -> aio::task<std::string> {
            co_return std::string(a) + " " + b;
        };
        const auto one_text = [&](const char* text) { return two(text); };
        auto argument = aio::create_task(one_text, "text");
        CHECK(argument.name() != "text");
        CHECK(co_await argument == "text default");
        auto front = aio::create_task(aio::named("worker"), two, "a", "b");
        CHECK(front.name() == "worker");
        CHECK(co_await front == "a b");
        auto of_task = aio::create_task(aio::named("task"), gives(1));
        CHECK(of_task.name() == "task");
        auto last = aio::create_task(aio::named("first"), gives(1), "behind");
        CHECK(last.name() == "behind");
        auto both = aio::create_task(aio::eager, aio::named("eager"), two, "a", "b");
        CHECK(both.done());
        CHECK(both.name() == "eager");
        auto options = aio::create_task(aio::task_options{.name = "options"}, two, "a", "b");
        CHECK(options.name() == "options");
        auto handle = aio::create_task(of_task, "of a handle");
        CHECK(handle.name() == "of a handle");
        co_await aio::yield();
        co_await aio::yield();
        co_await aio::yield();
    });
}

namespace {

const auto none = []() -> aio::task<int> { return fails("lost"); };
const auto some = [](auto...) -> aio::task<int> { return fails("lost"); };

/// Whether what is told are 9 reports of tasks that were created line after line, from `first` on.
void are_lines_from(unsigned first, const reports& told) {
    REQUIRE(told.size() == 9);
    std::vector<unsigned> lines;
    for (const auto& each : told) {
        CHECK_THAT(each.file, Catch::Matchers::EndsWith("create_task.test.cpp"));
        lines.push_back(each.line - first);
    }
    std::sort(lines.begin(), lines.end()); // eager ones fail first
    for (unsigned i = 0; i < 9; ++i) CHECK(lines[i] == i);
}

} // namespace

TEST_CASE("create_task: the line is the caller's, with up to six arguments", "[TASK-23]") {
    reports told;
    unsigned line = 0;
    virtual_run([&]() -> aio::task<> {
        collect(told);
        line = __LINE__ + 1;
        aio::create_task(fails("lost"));
        aio::create_task(fails("lost"), "name");
        aio::create_task(none);
        aio::create_task(some, 1);
        aio::create_task(some, 1, 2, 3);
        aio::create_task(some, 1, 2, 3, 4, 5, 6);
        aio::create_task(aio::named("name"), some, 1, 2, 3, 4, 5, 6);
        aio::create_task(aio::eager, some, 1, 2, 3, 4, 5, 6);
        aio::create_task(aio::task_options{.name = "name"}, fails("lost"));
        co_await aio::yield();
    });
    are_lines_from(line, told);
}

TEST_CASE("create_task: of a loop knows the caller's line, too", "[TASK-23]") {
    reports told;
    unsigned line = 0;
    virtual_run([&]() -> aio::task<> {
        collect(told);
        aio::event_loop& loop = aio::get_running_loop();
        line = __LINE__ + 1;
        loop.create_task(fails("lost"));
        loop.create_task(fails("lost"), "name");
        loop.create_task(none);
        loop.create_task(some, 1);
        loop.create_task(some, 1, 2, 3);
        loop.create_task(some, 1, 2, 3, 4, 5, 6);
        loop.create_task(aio::named("name"), some, 1, 2, 3, 4, 5, 6);
        loop.create_task(aio::eager, some, 1, 2, 3, 4, 5, 6);
        loop.create_task(aio::task_options{.name = "name"}, fails("lost"));
        co_await aio::yield();
    });
    are_lines_from(line, told);
}

TEST_CASE("create_task: an exception that nobody fetches is reported with name and line", "[TASK-23][EXH-6]") {
    reports told;
    unsigned line = 0;
    virtual_run([&]() -> aio::task<> {
        collect(told);
        line = __LINE__ + 1;
        aio::create_task(fails("lost"), "loser");
        co_await aio::yield();
    });
    REQUIRE(told.size() == 1);
    CHECK(told[0].message == "Task exception was never retrieved");
    CHECK(told[0].error == "lost");
    CHECK_THAT(told[0].source, Catch::Matchers::StartsWith("loser"));
    CHECK(told[0].line == line);
}

TEST_CASE("create_task: the report comes when the last handle goes", "[TASK-23]") {
    reports told;
    virtual_run([&told]() -> aio::task<> {
        collect(told);
        auto t = aio::create_task(fails("lost"));
        auto copy = t;
        co_await aio::yield();
        t = aio::task_handle<int>();
        CHECK(told.empty());
        copy = aio::task_handle<int>();
        CHECK(told.size() == 1);
    });
    CHECK(told.size() == 1);
}

TEST_CASE("create_task: a handler may keep the task that it is told of", "[TASK-23][EXH-1]") {
    virtual_run([]() -> aio::task<> {
        aio::any_task_handle kept;
        aio::get_running_loop().set_exception_handler(
            [&kept](aio::event_loop&, const aio::exception_context& context) { kept = context.task(); });
        aio::create_task(fails("lost"), "kept");
        co_await aio::yield();
        REQUIRE(kept);
        CHECK(kept.name() == "kept");
        CHECK(text_of(kept.exception()) == "lost");
        kept = aio::any_task_handle();
        aio::get_running_loop().set_exception_handler(nullptr);
    });
}

TEST_CASE("create_task: no report when the exception was fetched, awaited, or the task cancelled",
          "[TASK-24][FUT-22][EXH-7]") {
    reports told;
    virtual_run([&told]() -> aio::task<> {
        collect(told);
        auto by_exception = aio::create_task(fails("seen"));
        auto by_result = aio::create_task(fails("seen"));
        auto by_await = aio::create_task(fails("seen"));
        auto cancelled = aio::create_task(gives_after(1h, 1));
        try {
            co_await by_await;
        } catch (const boom&) {}
        CHECK(by_exception.exception() != nullptr);
        CHECK_THROWS_AS(by_result.result(), boom);
        cancelled.cancel();
        co_await aio::yield();
        CHECK(cancelled.cancelled());
    });
    CHECK(told.empty());
}

TEST_CASE("create_task: what is not a std::exception is stored too", "[TASK-25]") {
    virtual_run([]() -> aio::task<> {
        auto t = aio::create_task([]() -> aio::task<> {
            throw 42;
            co_return;
        });
        int caught = 0;
        try {
            co_await t;
        } catch (int number) {
            caught = number;
        }
        CHECK(caught == 42);
        CHECK_FALSE(t.cancelled());
    });
}

TEST_CASE("create_task: tasks that were never started are destroyed with the loop, and reported", "[TASK-22]") {
    counted::reset();
    reports told;
    {
        const audited afterwards;
        aio::event_loop loop;
        collect(told, loop);
        auto held = loop.create_task([](counted) -> aio::task<> { co_return; }, counted(1));
        loop.create_task(aio::named("unheld"), [c = counted(2)]() -> aio::task<int> { co_return c.value; });
        CHECK(counted::alive > 0);
        loop.close();
        CHECK(counted::alive == 0);
        CHECK_FALSE(held.done());
        CHECK_FALSE(held.cancel());
        CHECK_THROWS_AS(held.exception(), aio::invalid_state_error);
        CHECK_THROWS_AS(held.add_done_callback([] {}), std::logic_error);
        CHECK(held.name() == "Task-1");
    }
    REQUIRE(told.size() == 2);
    CHECK(told[0].message == "Task was destroyed but it is pending!");
    CHECK_THAT(told[0].source, Catch::Matchers::StartsWith("unheld"));
    CHECK_THAT(told[1].source, Catch::Matchers::StartsWith("Task-1"));
}

TEST_CASE("create_task: suspended tasks are destroyed with the loop, each from its leaf", "[TASK-22]") {
    trace log;
    reports told;
    {
        const audited afterwards;
        aio::event_loop loop(aio::testing::virtual_clock());
        collect(told, loop);
        const auto leaf = [&log]() -> aio::task<> {
            const mourned here("leaf", log);
            co_await aio::sleep(1h);
        };
        const auto middle = [&]() -> aio::task<> {
            const mourned here("middle", log);
            co_await leaf();
        };
        auto root = loop.create_task([&]() -> aio::task<> {
            const mourned here("root", log);
            co_await middle();
        });
        auto waits = loop.create_task([&]() -> aio::task<> {
            const mourned here("waits for root", log);
            co_await root;
        });
        loop.run_until_complete(aio::sleep(1s));
        CHECK(loop.pending_timers() == 1);
        loop.close();
        CHECK(log == trace{"waits for root", "leaf", "middle", "root"});
        CHECK_FALSE(root.done());
        CHECK_FALSE(waits.done());
    }
    CHECK(told.size() == 2);
}

TEST_CASE("create_task: destroyed tasks may hold handles, futures and tasks", "[TASK-22]") {
    counted::reset();
    reports told;
    {
        const audited afterwards;
        aio::event_loop loop;
        collect(told, loop);
        const auto f = loop.create_future<counted>();
        for (int i = 0; i < 3; ++i)
            loop.create_task([](aio::future<counted> awaited, aio::task<int>) -> aio::task<> { co_await awaited; }, f,
                             gives(1));
        auto done_callback = loop.create_task([f]() -> aio::task<> { co_await f; });
        done_callback.add_done_callback([c = counted(1)] { FAIL("called at the end, " << c.value); });
        loop.call_soon([&loop] { loop.stop(); });
        loop.run_forever();
        CHECK(counted::alive == 1);
        loop.close();
    }
    CHECK(counted::alive == 0);
    CHECK(told.size() == 4);
}

TEST_CASE("create_task: a destructor in a destroyed task may cancel and create", "[TASK-22]") {
    reports told;
    bool refused = false;
    {
        const audited afterwards;
        aio::event_loop loop;
        collect(told, loop);
        auto victim = loop.create_task(gives_after(1h, 1));
        struct meddler {
            aio::event_loop& loop;
            aio::task_handle<int>& victim;
            bool& refused;
            ~meddler() {
                victim.cancel();
                try {
                    loop.create_task(gives(1));
                } catch (const std::logic_error&) {
                    refused = true;
                }
            }
        };
        loop.create_task([&]() -> aio::task<> {
            const meddler here{loop, victim, refused};
            co_await aio::sleep(1h);
        });
        loop.call_soon([&loop] { loop.stop(); });
        loop.run_forever();
        loop.close();
        CHECK_FALSE(victim.done());
    }
    CHECK(refused);
    CHECK(told.size() == 2);
}

TEST_CASE("create_task: a failed task whose handle outlives the loop can be asked", "[TASK-8][TASK-23]") {
    const audited afterwards;
    aio::task_handle<int> failed;
    aio::task_handle<std::string> valued;
    reports told;
    aio::run(
        [&]() -> aio::task<> {
            collect(told);
            failed = aio::create_task(fails("seen late"));
            valued = aio::create_task([]() -> aio::task<std::string> { co_return "kept"; });
            co_await aio::yield();
        },
        aio::testing::virtual_clock());
    CHECK(valued.result() == "kept");
    CHECK(text_of(failed.exception()) == "seen late");
    CHECK_THROWS_AS(failed.result(), boom);
    CHECK_FALSE(failed.cancel());
    CHECK_THROWS_AS(valued.add_done_callback([] {}), std::logic_error);
    CHECK(valued.remove_done_callback(1) == 0);
    // in another loop it can still be awaited, as it is done
    virtual_run([&]() -> aio::task<> {
        const std::string& got = co_await valued;
        CHECK(got == "kept");
        valued = aio::task_handle<std::string>();
        failed = aio::task_handle<int>();
    });
    CHECK(told.empty());
}

TEST_CASE("create_task: eager runs up to the first suspension inside the call", "[EAG-1][EAG-5]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        auto t = aio::create_task(aio::eager, [&log]() -> aio::task<int> {
            log.push_back("eager");
            co_await gives(1);
            log.push_back("inline");
            co_await aio::yield();
            log.push_back("later");
            co_return 3;
        });
        log.push_back("created");
        CHECK_FALSE(t.done());
        const int got = co_await t;
        CHECK(got == 3);
    });
    CHECK(log == trace{"eager", "inline", "created", "later"});
}

TEST_CASE("create_task: eager, one that never suspends is done, and awaiting it does not give way", "[EAG-2]") {
    virtual_run([]() -> aio::task<> {
        const iterations count;
        auto t = aio::create_task(aio::eager, gives(4));
        CHECK(t.done());
        CHECK(t.result() == 4);
        const int got = co_await t;
        CHECK(got == 4);
        CHECK(count.passed() == 0);
    });
}

TEST_CASE("create_task: eager, an exception is stored", "[EAG-3]") {
    virtual_run([]() -> aio::task<> {
        auto t = aio::create_task(aio::eager, fails("at once"));
        CHECK(t.done());
        CHECK(text_of(t.exception()) == "at once");
        co_return;
    });
}

TEST_CASE("create_task: eager, the new task is current meanwhile, and the creator afterwards", "[EAG-4]") {
    virtual_run([]() -> aio::task<> {
        const auto creator = aio::current_task();
        aio::any_task_handle inside;
        aio::any_task_handle nested;
        aio::any_task_handle after_nested;
        auto t = aio::create_task(aio::eager, [&]() -> aio::task<> {
            inside = aio::current_task();
            aio::create_task(aio::eager, [&]() -> aio::task<> {
                nested = aio::current_task();
                co_return;
            });
            after_nested = aio::current_task();
            co_await aio::yield();
            CHECK(aio::current_task() == inside);
        });
        CHECK(aio::current_task() == creator);
        CHECK(inside == t);
        CHECK(after_nested == t);
        CHECK_FALSE(nested == t);
        CHECK_FALSE(nested == creator);
        co_await t;
        CHECK(aio::current_task() == creator);
    });
}

TEST_CASE("create_task: eager, from a plain call nothing is current afterwards", "[EAG-4]") {
    virtual_run([]() -> aio::task<> {
        auto& loop = aio::get_running_loop();
        aio::task_handle<> t;
        loop.call_soon([&] {
            t = aio::create_task(aio::eager, []() -> aio::task<> { co_await aio::yield(); });
            CHECK_FALSE(aio::current_task());
        });
        co_await aio::yield();
        CHECK_FALSE(t.done());
        co_await t;
    });
}

TEST_CASE("create_task: eager, cancel after completion does nothing, and after a suspension what it always does",
          "[EAG-6]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        auto done = aio::create_task(aio::eager, gives(1));
        CHECK_FALSE(done.cancel());
        auto waits = aio::create_task(aio::eager, cleans_up(1ms, "eager", log));
        CHECK(waits.cancel());
        CHECK_FALSE(waits.done());
        co_await aio::nothrow(waits);
        CHECK(waits.cancelled());
    });
    CHECK(log == trace{"eager begins", "eager cancelled", "eager cleaned up"});
}

TEST_CASE("create_task: eager, one that cancels itself ends cancelled", "[EAG-6][CAN-18]") {
    virtual_run([]() -> aio::task<> {
        auto t = aio::create_task(aio::eager, []() -> aio::task<int> {
            aio::current_task().cancel();
            co_return 1;
        });
        CHECK(t.cancelled());
        CHECK(aio::current_task().cancelling() == 0);
        co_return;
    });
}

TEST_CASE("create_task: eager, its creator may be cancelled by it and goes on", "[EAG-4][CAN-17]") {
    virtual_run([]() -> aio::task<> {
        auto t = aio::create_task([]() -> aio::task<int> {
            const auto creator = aio::current_task();
            aio::create_task(aio::eager, [creator]() -> aio::task<> {
                creator.cancel();
                co_return;
            });
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {
                co_return 1;
            }
            co_return 2;
        });
        const int got = co_await t;
        CHECK(got == 1);
    });
}

TEST_CASE("create_task: eager, all_tasks has it while it is not done", "[EAG-7]") {
    virtual_run([]() -> aio::task<> {
        std::size_t during = 0;
        auto done = aio::create_task(aio::eager, [&during]() -> aio::task<> {
            during = aio::all_tasks().size();
            co_return;
        });
        CHECK(during == 2);
        CHECK(aio::all_tasks().size() == 1);
        auto waits = aio::create_task(aio::eager, ends_after(1ms));
        CHECK(aio::all_tasks().size() == 2);
        co_await waits;
        CHECK(aio::all_tasks().size() == 1);
    });
}

TEST_CASE("create_task: eager without a running loop starts as any other", "[EAG-9]") {
    const audited afterwards;
    trace log;
    aio::event_loop loop(aio::testing::virtual_clock());
    auto t = loop.create_task(aio::eager, note("body", log));
    CHECK_FALSE(t.done());
    CHECK(log.empty());
    loop.run_until_complete(t);
    CHECK(log == trace{"body"});
}

TEST_CASE("create_task: eager is one call's choice", "[EAG-11][EAG-12]") {
    virtual_run([]() -> aio::task<> {
        auto first = aio::create_task(aio::eager, gives(1));
        auto second = aio::create_task(gives(1));
        CHECK(first.done());
        CHECK_FALSE(second.done());
        co_await second;
    });
}

TEST_CASE("create_task: eager tasks in eager tasks do not use up the stack", "[EAG-4][stress]") {
    virtual_run([]() -> aio::task<> {
        const auto nest = [](auto self, int depth) -> aio::task<int> {
            if (depth == 0) co_return 0;
            auto inner = aio::create_task(aio::eager, self(self, depth - 1));
            const int below = co_await inner;
            co_return below + 1;
        };
        auto t = aio::create_task(aio::eager, nest(nest, 200));
        CHECK(t.done());
        CHECK(t.result() == 200);
        co_return;
    });
}

TEST_CASE("create_task: 100,000 tasks, one after the other and all at once", "[TASK-1][stress]") {
    virtual_run([]() -> aio::task<> {
        long sum = 0;
        for (int i = 0; i < 100'000; ++i) {
            auto t = aio::create_task(gives(i));
            sum += co_await t;
        }
        CHECK(sum == 4999950000L);
        int ended = 0;
        for (int i = 0; i < 100'000; ++i)
            aio::create_task([&ended]() -> aio::task<> {
                co_await aio::yield();
                ++ended;
            });
        CHECK(aio::all_tasks().size() == 100'001);
        co_await aio::yield();
        co_await aio::yield();
        CHECK(ended == 100'000);
    });
}
