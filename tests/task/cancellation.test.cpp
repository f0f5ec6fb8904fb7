// SPDX-License-Identifier: BSL-1.0
// covers: task/detail/tasks_of_loop.hpp

#include <asynchio/task/detail/tasks_of_loop.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"
#include "support/reports.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/race.hpp>
#include <asynchio/combine/shield.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>

#include <functional>
#include <optional>
#include <stdexcept>
#include <thread>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

aio::task<> note(std::string name, trace& log) {
    log.push_back(name + " begins");
    try {
        co_await aio::sleep(1h);
    } catch (const aio::cancelled_error&) {
        log.push_back(name + " cancelled");
        throw;
    }
}

/// Awaits `inner` and notes what comes of it.
aio::task<int> awaits(aio::task_handle<int> inner, trace& log) {
    try {
        const int got = co_await inner;
        log.push_back("outer got " + std::to_string(got));
        co_return got;
    } catch (const aio::cancelled_error&) {
        log.push_back("outer cancelled");
        throw;
    }
}

/// The message of the cancellation that ends the wait for `f`.
aio::task<std::string> message_of_wait(aio::future<> f) {
    try {
        co_await f;
    } catch (const aio::cancelled_error& e) {
        co_return std::string(e.message());
    }
    co_return "not cancelled";
}

} // namespace

TEST_CASE("cancel: only asks, and the task ends in the next iteration", "[CAN-1][CAN-2]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        auto t = aio::create_task(note("t", log));
        co_await aio::yield();
        CHECK(t.cancel());
        CHECK_FALSE(t.done());
        CHECK_FALSE(t.cancelled());
        CHECK(t.cancelling() == 1);
        CHECK(log == trace{"t begins"});
        co_await aio::yield();
        CHECK(t.done());
        CHECK(t.cancelled());
        CHECK_FALSE(t.cancel());
        CHECK(t.cancelling() == 1);
        CHECK_THROWS_AS(t.result(), aio::cancelled_error);
        CHECK_THROWS_AS(t.exception(), aio::cancelled_error);
    });
    CHECK(log == trace{"t begins", "t cancelled"});
}

TEST_CASE("cancel: of a task that has a result does nothing", "[CAN-2]") {
    virtual_run([]() -> aio::task<> {
        auto t = aio::create_task(gives(3));
        co_await t;
        CHECK_FALSE(t.cancel());
        CHECK(t.cancelling() == 0);
        CHECK_FALSE(t.cancelled());
        CHECK(t.result() == 3);
    });
}

TEST_CASE("cancel: before its first step a task never enters its body", "[CAN-3]") {
    trace log;
    counted::reset();
    virtual_run([&log]() -> aio::task<> {
        auto t = aio::create_task(
            [&log](counted argument) -> aio::task<> {
                log.push_back("body of " + std::to_string(argument.value));
                co_return;
            },
            counted(1));
        t.add_done_callback([&log] { log.push_back("callback"); });
        CHECK(t.cancel("early"));
        CHECK_FALSE(t.done());
        CHECK(counted::alive == 1);
        std::string message;
        try {
            co_await t;
        } catch (const aio::cancelled_error& e) {
            message = e.message();
        }
        CHECK(message == "early");
        CHECK(t.cancelled());
        CHECK(counted::alive == 0);
    });
    CHECK(log == trace{"callback"});
}

TEST_CASE("cancel: before the first step, twice and taken back", "[CAN-3][CAN-16][CAN-26]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        auto twice = aio::create_task(note("twice", log));
        CHECK(twice.cancel());
        CHECK(twice.cancel());
        CHECK(twice.cancelling() == 2);
        auto withdrawn = aio::create_task(gives(4));
        withdrawn.cancel();
        CHECK(withdrawn.uncancel() == 0);
        co_await aio::yield();
        CHECK(twice.cancelled());
        const auto ended = co_await aio::nothrow(withdrawn);
        CHECK(ended.has_value());
    });
    CHECK(log.empty());
}

TEST_CASE("cancel: goes to the awaited future at once, and arrives one iteration later", "[CAN-4]") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> f;
        auto t = aio::create_task([f]() -> aio::task<int> { co_return co_await f; });
        co_await aio::yield();
        CHECK(t.cancel("stop"));
        CHECK(f.cancelled());
        CHECK_FALSE(t.done());
        co_await aio::yield();
        CHECK(t.cancelled());
    });
}

TEST_CASE("cancel: requests are delivered in their order, among other calls", "[CAN-5]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        auto& loop = aio::get_running_loop();
        auto a = aio::create_task(note("a", log));
        auto b = aio::create_task(note("b", log));
        auto c = aio::create_task(note("c", log));
        co_await aio::yield();
        log.clear();
        c.cancel();
        loop.call_soon([&log] { log.push_back("call"); });
        a.cancel();
        b.cancel();
        co_await aio::yield();
    });
    CHECK(log == trace{"c cancelled", "call", "a cancelled", "b cancelled"});
}

TEST_CASE("cancel: reaches the awaited task, and its awaiter waits for the cleanup", "[CAN-6]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        auto inner = aio::create_task(cleans_up(10ms, "inner", log));
        auto outer = aio::create_task(awaits(inner, log));
        co_await aio::yield();
        outer.cancel();
        CHECK(inner.cancelling() == 1);
        CHECK(outer.cancelling() == 1);
        co_await aio::yield();
        CHECK_FALSE(outer.done());
        co_await aio::sleep(20ms);
        CHECK(inner.cancelled());
        CHECK(outer.cancelled());
    });
    CHECK(log == trace{"inner begins", "inner cancelled", "inner cleaned up", "outer cancelled"});
}

TEST_CASE("cancel: goes down a chain of tasks to the one that waits", "[CAN-6]") {
    virtual_run([]() -> aio::task<> {
        std::vector<aio::task_handle<int>> chain;
        chain.push_back(aio::create_task(gives_after(1h, 1)));
        for (int i = 0; i < 100; ++i)
            chain.push_back(aio::create_task([inner = chain.back()]() -> aio::task<int> { co_return co_await inner; }));
        co_await aio::yield();
        chain.back().cancel();
        for (const auto& each : chain) CHECK(each.cancelling() == 1);
        CHECK_FALSE(chain.front().done());
        co_await aio::nothrow(chain.back());
        for (const auto& each : chain) CHECK(each.cancelled());
    });
}

TEST_CASE("cancel: of tasks that wait for each other breaks the circle", "[CAN-6]") {
    virtual_run([]() -> aio::task<> {
        aio::task_handle<> a;
        aio::task_handle<> b;
        a = aio::create_task([&b]() -> aio::task<> { co_await b; });
        b = aio::create_task([&a]() -> aio::task<> { co_await a; });
        co_await aio::yield();
        CHECK(a.cancel());
        co_await aio::sleep(1ms);
        CHECK(a.cancelled());
        CHECK(b.cancelled());
    });
}

TEST_CASE("cancel: passes outward through what is awaited inline", "[CAN-7]") {
    trace log;
    const auto level = [&log](auto self, int depth) -> aio::task<> {
        try {
            if (depth == 0)
                co_await aio::sleep(1h);
            else
                co_await self(self, depth - 1);
        } catch (const aio::cancelled_error&) {
            log.push_back(std::to_string(depth));
            throw;
        }
    };
    virtual_run([&level]() -> aio::task<> {
        auto t = aio::create_task(level(level, 3));
        co_await aio::yield();
        t.cancel();
        co_await aio::yield();
        CHECK(t.cancelled());
    });
    CHECK(log == trace{"0", "1", "2", "3"});
}

TEST_CASE("cancel: any inline level may swallow it", "[CAN-7][CAN-11]") {
    virtual_run([]() -> aio::task<> {
        auto t = aio::create_task([]() -> aio::task<int> {
            const int swallowed = co_await swallows(5);
            co_await aio::sleep(10ms);
            co_return swallowed + 1;
        });
        co_await aio::yield();
        t.cancel();
        const int got = co_await t;
        CHECK(got == 6);
        CHECK_FALSE(t.cancelled());
        CHECK(t.cancelling() == 1);
    });
}

TEST_CASE("cancel: the awaited task may swallow it; then its awaiter gets the result", "[CAN-8]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        auto inner = aio::create_task(swallows(8));
        auto outer = aio::create_task(awaits(inner, log));
        co_await aio::yield();
        outer.cancel();
        const int got = co_await outer;
        CHECK(got == 8);
        CHECK_FALSE(outer.cancelled());
        CHECK(outer.cancelling() == 1);
        CHECK(inner.cancelling() == 1);
    });
    CHECK(log == trace{"outer got 8"});
}

TEST_CASE("cancel: after the awaited is done but before the task ran, the result is lost to it", "[CAN-9]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        const aio::future<int> f;
        auto t = aio::create_task([&log, f]() -> aio::task<> {
            try {
                co_await f;
                log.push_back("got it");
            } catch (const aio::cancelled_error& e) {
                log.push_back("cancelled " + std::string(e.message()));
                throw;
            }
        });
        co_await aio::yield();
        f.set_result(1);
        CHECK(t.cancel("late"));
        CHECK_FALSE(f.cancelled());
        co_await aio::yield();
        CHECK(t.cancelled());
        CHECK(f.result() == 1);
    });
    CHECK(log == trace{"cancelled late"});
}

TEST_CASE("cancel: after the awaited task is done but before its awaiter ran", "[CAN-9]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        auto inner = aio::create_task(gives_after(10ms, 1));
        auto outer = aio::create_task(awaits(inner, log));
        inner.add_done_callback([&outer] { CHECK(outer.cancel()); }); // stands before the awaiter
        co_await aio::sleep(20ms);
        CHECK(inner.result() == 1);
        CHECK(outer.cancelled());
    });
    CHECK(log == trace{"outer cancelled"});
}

TEST_CASE("cancel: of the inner task reaches those that await it, who may go on", "[CAN-10]") {
    virtual_run([]() -> aio::task<> {
        auto inner = aio::create_task(gives_after(1h, 1));
        auto goes_on = aio::create_task([inner]() -> aio::task<std::string> {
            try {
                co_await inner;
            } catch (const aio::cancelled_error&) {}
            co_await aio::sleep(1ms);
            co_return "went on";
        });
        auto ends = aio::create_task([inner]() -> aio::task<int> { co_return co_await inner; });
        co_await aio::yield();
        inner.cancel();
        const std::string& got = co_await goes_on;
        CHECK(got == "went on");
        CHECK(goes_on.cancelling() == 0);
        CHECK(ends.cancelled());
        CHECK(ends.cancelling() == 0);
    });
}

TEST_CASE("cancel: a task that catches it and returns is done with its value", "[CAN-11][CAN-22]") {
    virtual_run([]() -> aio::task<> {
        auto t = aio::create_task(swallows(9));
        co_await aio::yield();
        t.cancel();
        const int got = co_await t;
        CHECK(got == 9);
        CHECK_FALSE(t.cancelled());
        CHECK(t.exception() == nullptr);
    });
}

TEST_CASE("cancel: a task may go on after it, and each further request is delivered", "[CAN-12]") {
    virtual_run([]() -> aio::task<> {
        int caught = 0;
        auto t = aio::create_task([&caught]() -> aio::task<> {
            while (caught < 3) {
                try {
                    co_await aio::sleep(1h);
                } catch (const aio::cancelled_error&) {
                    ++caught;
                }
            }
        });
        for (int i = 1; i <= 3; ++i) {
            co_await aio::yield();
            CHECK(t.cancel());
            co_await aio::yield();
            CHECK(caught == i);
        }
        CHECK(t.done());
        CHECK_FALSE(t.cancelled());
        CHECK(t.cancelling() == 3);
    });
}

TEST_CASE("cancel: an exception thrown while handling it is what the task ends with", "[CAN-13]") {
    virtual_run([]() -> aio::task<> {
        auto t = aio::create_task([]() -> aio::task<> {
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {
                throw boom("cleanup failed");
            }
        });
        co_await aio::yield();
        t.cancel();
        co_await aio::yield();
        CHECK_FALSE(t.cancelled());
        CHECK(text_of(t.exception()) == "cleanup failed");
    });
}

TEST_CASE("cancel: cleanup may await, and the task is done when it has ended", "[CAN-14]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        auto t = aio::create_task(cleans_up(10ms, "t", log));
        co_await aio::yield();
        t.cancel();
        co_await aio::sleep(5ms);
        CHECK_FALSE(t.done());
        co_await aio::sleep(6ms);
        CHECK(t.cancelled());
    });
    CHECK(log == trace{"t begins", "t cancelled", "t cleaned up"});
}

TEST_CASE("cancel: a second one interrupts a cleanup that waits", "[CAN-15]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        auto t = aio::create_task(cleans_up(10ms, "t", log));
        co_await aio::yield();
        t.cancel();
        co_await aio::sleep(5ms);
        CHECK(t.cancel());
        co_await aio::yield();
        CHECK(t.cancelled());
        CHECK(t.cancelling() == 2);
    });
    CHECK(log == trace{"t begins", "t cancelled", "t cancelled again"});
}

TEST_CASE("cancel: several before the task runs are one delivery", "[CAN-16]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        auto t = aio::create_task(cleans_up(10ms, "t", log));
        co_await aio::yield();
        CHECK(t.cancel());
        CHECK(t.cancel());
        CHECK(t.cancel());
        CHECK(t.cancelling() == 3);
        co_await aio::nothrow(t);
        CHECK(t.cancelling() == 3);
    });
    CHECK(log == trace{"t begins", "t cancelled", "t cleaned up"});
}

TEST_CASE("cancel: a second one in the iteration of the first, after the task ran, counts again", "[CAN-15][CAN-16]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        auto t = aio::create_task(cleans_up(10ms, "t", log));
        co_await aio::yield();
        t.cancel();
        aio::get_running_loop().call_soon([&t] { t.cancel(); });
        co_await aio::nothrow(t);
    });
    CHECK(log == trace{"t begins", "t cancelled", "t cancelled again"});
}

TEST_CASE("cancel: the current task runs on to its next real suspension", "[CAN-17]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        auto t = aio::create_task([&log]() -> aio::task<> {
            CHECK(aio::current_task().cancel("self"));
            const aio::future<int> done;
            done.set_result(1);
            co_await done;
            co_await gives(2);
            log.push_back("still here");
            try {
                co_await aio::sleep(1h);
                log.push_back("too far");
            } catch (const aio::cancelled_error& e) {
                log.push_back(std::string(e.message()));
            }
            co_await aio::yield();
            log.push_back("only once");
        });
        co_await t;
        CHECK_FALSE(t.cancelled());
        CHECK(aio::get_running_loop().pending_timers() == 0);
    });
    CHECK(log == trace{"still here", "self", "only once"});
}

TEST_CASE("cancel: a task that cancels itself and returns ends cancelled", "[CAN-18]") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        auto t = aio::create_task([]() -> aio::task<counted> {
            aio::current_task().cancel();
            co_return counted(1);
        });
        co_await aio::nothrow(t);
        CHECK(t.cancelled());
        CHECK_THROWS_AS(t.result(), aio::cancelled_error);
        CHECK(counted::alive == 0);
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("cancel: a task that cancels itself and throws ends with what it threw", "[CAN-18]") {
    virtual_run([]() -> aio::task<> {
        auto t = aio::create_task([]() -> aio::task<> {
            aio::current_task().cancel();
            throw boom("on its own");
            co_return;
        });
        co_await aio::nothrow(t);
        CHECK_FALSE(t.cancelled());
        CHECK(text_of(t.exception()) == "on its own");
    });
}

TEST_CASE("cancel: a task that cancels itself and awaits a future cancels that at once", "[CAN-19]") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> f;
        auto t = aio::create_task([f]() -> aio::task<> {
            aio::current_task().cancel();
            co_await f;
        });
        aio::get_running_loop().call_soon([&] {
            CHECK(f.cancelled());
            CHECK_FALSE(t.done());
        });
        co_await aio::nothrow(t);
        CHECK(t.cancelled());
    });
}

TEST_CASE("cancel: a task that cancels itself and awaits another one cancels that", "[CAN-19][CAN-6]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        auto inner = aio::create_task(cleans_up(10ms, "inner", log));
        co_await aio::yield();
        auto t = aio::create_task([inner]() -> aio::task<> {
            aio::current_task().cancel();
            co_await inner;
        });
        co_await aio::nothrow(t);
        CHECK(t.cancelled());
        CHECK(inner.cancelled());
    });
    CHECK(log == trace{"inner begins", "inner cancelled", "inner cleaned up"});
}

TEST_CASE("cancel: during a yield it is delivered at the next step", "[CAN-20]") {
    virtual_run([]() -> aio::task<> {
        const iterations count;
        auto t = aio::create_task([]() -> aio::task<> { co_await aio::sleep(0s); });
        co_await aio::yield();
        CHECK(t.cancel("in between"));
        std::string message;
        try {
            co_await t;
        } catch (const aio::cancelled_error& e) {
            message = e.message();
        }
        CHECK(message == "in between");
        CHECK(t.cancelled());
        CHECK(count.passed() == 3);
    });
}

TEST_CASE("cancelled_error: thrown by a task itself ends it cancelled", "[CAN-21]") {
    virtual_run([]() -> aio::task<> {
        auto t = aio::create_task([]() -> aio::task<> {
            throw aio::cancelled_error("mine");
            co_return;
        });
        std::string message;
        try {
            co_await t;
        } catch (const aio::cancelled_error& e) {
            message = e.message();
        }
        CHECK(message == "mine");
        CHECK(t.cancelled());
        CHECK(t.cancelling() == 0);
    });
}

TEST_CASE("cancel: its message is seen inside; of several, the first", "[CAN-23]") {
    virtual_run([]() -> aio::task<> {
        const aio::future<> f;
        auto t = aio::create_task(message_of_wait(f));
        co_await aio::yield();
        t.cancel("first");
        t.cancel("second");
        const std::string& suspended = co_await t;
        CHECK(suspended == "first");

        auto sleeper = aio::create_task([]() -> aio::task<std::string> {
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error& e) {
                co_return std::string(e.message());
            }
            co_return "";
        });
        co_await aio::yield();
        sleeper.cancel("one");
        sleeper.cancel("two");
        const std::string& slept = co_await sleeper;
        CHECK(slept == "one");
    });
}

TEST_CASE("cancel: a message does not stick to a later request", "[CAN-23]") {
    virtual_run([]() -> aio::task<> {
        trace messages;
        auto t = aio::create_task([&messages]() -> aio::task<> {
            while (messages.size() < 3) {
                try {
                    co_await aio::sleep(1h);
                } catch (const aio::cancelled_error& e) {
                    messages.push_back(std::string(e.message()));
                }
            }
        });
        for (const char* message : {"a", "", "c"}) {
            co_await aio::yield();
            t.cancel(message);
            co_await aio::yield();
        }
        CHECK(messages == trace{"a", "", "c"});
    });
}

TEST_CASE("cancelling: counts requests, and uncancel takes them back", "[CAN-24]") {
    virtual_run([]() -> aio::task<> {
        auto t = aio::create_task(swallows(1));
        CHECK(t.cancelling() == 0);
        CHECK(t.uncancel() == 0);
        CHECK(t.cancelling() == 0);
        co_await aio::yield();
        t.cancel();
        t.cancel();
        CHECK(t.cancelling() == 2);
        CHECK(t.uncancel() == 1);
        CHECK(t.uncancel() == 0);
        CHECK(t.uncancel() == 0);
        const int got = co_await t;
        CHECK(got == 1); // the exception that was on its way still came
        CHECK(t.uncancel() == 0);
    });
}

TEST_CASE("uncancel: does not call back an exception that is on its way", "[CAN-24]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        auto t = aio::create_task(note("t", log));
        co_await aio::yield();
        t.cancel();
        t.uncancel();
        co_await aio::yield();
        CHECK(t.cancelled());
        CHECK(t.cancelling() == 0);
    });
    CHECK(log == trace{"t begins", "t cancelled"});
}

TEST_CASE("uncancel: afterwards the task is cancelled as ever", "[CAN-25]") {
    virtual_run([]() -> aio::task<> {
        int caught = 0;
        auto t = aio::create_task([&caught]() -> aio::task<> {
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {
                ++caught;
                CHECK(aio::current_task().uncancel() == 0);
            }
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {
                ++caught;
                throw;
            }
        });
        co_await aio::yield();
        t.cancel();
        co_await aio::yield();
        CHECK(t.cancelling() == 0);
        t.cancel();
        CHECK(t.cancelling() == 1);
        co_await aio::yield();
        CHECK(caught == 2);
        CHECK(t.cancelled());
    });
}

TEST_CASE("uncancel: to 0 withdraws a request that was not delivered", "[CAN-26]") {
    virtual_run([]() -> aio::task<> {
        auto t = aio::create_task([]() -> aio::task<std::string> {
            aio::current_task().cancel("withdrawn");
            aio::current_task().cancel("too");
            CHECK(aio::current_task().uncancel() == 1);
            CHECK(aio::current_task().uncancel() == 0);
            co_await aio::sleep(10ms);
            try {
                aio::current_task().cancel();
                co_await aio::sleep(10ms);
            } catch (const aio::cancelled_error& e) {
                co_return "then [" + std::string(e.message()) + "]";
            }
            co_return "not cancelled";
        });
        const std::string& got = co_await t;
        CHECK(got == "then []");
    });
}

TEST_CASE("uncancel: while some requests are left, what is pending is delivered", "[CAN-26]") {
    virtual_run([]() -> aio::task<> {
        auto t = aio::create_task([]() -> aio::task<> {
            aio::current_task().cancel();
            aio::current_task().cancel();
            CHECK(aio::current_task().uncancel() == 1);
            co_await aio::sleep(10ms);
        });
        co_await aio::nothrow(t);
        CHECK(t.cancelled());
    });
}

TEST_CASE("uncancel: of a task that yields withdraws the request", "[CAN-26][CAN-20]") {
    virtual_run([]() -> aio::task<> {
        auto t = aio::create_task([]() -> aio::task<int> {
            co_await aio::yield();
            co_return 1;
        });
        co_await aio::yield();
        t.cancel();
        CHECK(t.uncancel() == 0);
        const int got = co_await t;
        CHECK(got == 1);
    });
}

TEST_CASE("uncancel: a block that cancelled its own task tells its cancellation from others", "[CAN-27]") {
    // What a timeout does: it remembers the count at its beginning, and converts only what is its own.
    const auto block = []() -> aio::task<std::string> {
        const auto task = aio::current_task();
        const int before = task.cancelling();
        aio::get_running_loop().call_later(10ms, [task] { task.cancel(); });
        bool cancelled = false;
        try {
            co_await aio::sleep(1h);
        } catch (const aio::cancelled_error&) {
            cancelled = true;
        }
        if (cancelled && task.uncancel() <= before) co_return "converted";
        throw aio::cancelled_error();
    };
    virtual_run([&block]() -> aio::task<> {
        auto alone = aio::create_task(block());
        auto both = aio::create_task(block());
        aio::get_running_loop().call_later(10ms, [&both] { both.cancel(); });
        co_await aio::sleep(20ms);
        CHECK(alone.result() == "converted");
        CHECK(both.cancelled());
        CHECK(both.cancelling() == 1);
    });
}

TEST_CASE("cancelled_error: is no std::exception", "[CAN-29]") {
    STATIC_REQUIRE_FALSE(std::is_base_of_v<std::exception, aio::cancelled_error>);
    virtual_run([]() -> aio::task<> {
        auto t = aio::create_task([]() -> aio::task<> {
            try {
                co_await aio::sleep(1h);
            } catch (const std::exception&) {
                FAIL("a handler of errors swallowed the cancellation");
            }
        });
        co_await aio::yield();
        t.cancel();
        co_await aio::yield();
        CHECK(t.cancelled());
    });
}

TEST_CASE("cancel: never interrupts code that runs", "[CAN-31]") {
    virtual_run([]() -> aio::task<> {
        int steps = 0;
        auto t = aio::create_task([&steps]() -> aio::task<> {
            aio::current_task().cancel();
            for (int i = 0; i < 1000; ++i) {
                co_await gives(i);
                ++steps;
            }
            co_await aio::yield();
            ++steps;
        });
        co_await aio::nothrow(t);
        CHECK(steps == 1000);
        CHECK(t.cancelled());
    });
}

TEST_CASE("cancel: from another thread goes through call_soon_threadsafe", "[CAN-32][time]") {
    const audited afterwards;
    bool cancelled = false;
    std::thread other;
    aio::run([&]() -> aio::task<> {
        const auto self = aio::current_task();
        const auto loop = aio::get_running_loop().ref();
        other = std::thread([&self, loop] { loop.call_soon_threadsafe([&self] { self.cancel("from afar"); }); });
        try {
            co_await aio::sleep(1h);
        } catch (const aio::cancelled_error& e) {
            cancelled = e.message() == "from afar";
        }
        other.join();
    });
    CHECK(cancelled);
}

TEST_CASE("cancel: at every point of a program of tasks and futures", "[CAN-1][CAN-9][stress]") {
    const auto scenario = []() -> aio::task<> {
        const aio::future<int> f;
        auto setter = aio::create_task([f]() -> aio::task<> {
            co_await aio::sleep(1ms);
            if (!f.done()) f.set_result(1);
            co_await aio::yield();
        });
        auto reader = aio::create_task([f]() -> aio::task<int> { co_return co_await f; });
        try {
            co_await reader;
            co_await setter;
            co_await gives_after(1ms, 2);
        } catch (const aio::cancelled_error&) {
            setter.cancel();
            reader.cancel();
            throw;
        }
    };
    const auto once = aio::testing::for_each_cancellation(scenario);
    CHECK(once.points > 5);
    CHECK(once.cancelled == once.points);
    aio::testing::cancellation_plan plan;
    plan.second_after = 1;
    const auto twice = aio::testing::for_each_cancellation(scenario, plan);
    CHECK(twice.cancelled == twice.points);
}

TEST_CASE("cancel: a task that cancels itself and returns ends cancelled, with the message") {
    virtual_run([]() -> aio::task<> {
        const auto self = aio::create_task([]() -> aio::task<int> {
            aio::current_task().cancel("enough");
            co_return 1;
        });
        co_await aio::nothrow(self);
        CHECK(self.cancelled());
        CHECK(contains(message_of([&] { static_cast<void>(self.exception()); }), "enough"));
    });
}

namespace {

/// Does at its end what destructors of sessions and guards do.
struct last_act {
    std::function<void()> act;
    ~last_act() { act(); }
};

} // namespace

TEST_CASE("cancel: destructors cancel, set and wake whatever they like while a loop closes") {
    reports told;
    const audited afterwards;
    aio::task_handle<> child, parent, sibling;
    {
        std::optional<aio::event_loop> open(std::in_place);
        aio::event_loop& loop = *open;
        collect(told, loop);
        aio::future<> result(loop);
        aio::future<> never(loop);
        const auto everything = [&] {
            for (const auto* each : {&child, &parent, &sibling}) {
                if (!*each) continue;
                each->cancel("at the end");
                static_cast<void>(each->cancelling());
                static_cast<void>(each->uncancel());
                static_cast<void>(each->done());
            }
            if (!result.done()) result.set_result();
            never.cancel();
            try {
                loop.call_soon([] {});
            } catch (const std::logic_error&) {}
            try {
                loop.create_task(ends_after(1ms));
            } catch (const std::logic_error&) {}
        };
        auto waits = [&](bool in_a_frame_below) -> aio::task<> {
            const last_act here{everything};
            auto below = [&]() -> aio::task<> {
                const last_act here_too{everything};
                co_await never;
            };
            if (in_a_frame_below)
                co_await below();
            else
                co_await aio::gather(below(), aio::shield(never), aio::race(never, below()));
        };
        sibling = loop.create_task([&]() -> aio::task<> {
            const last_act here{everything};
            co_await result;
        });
        parent = loop.create_task([&]() -> aio::task<> {
            const last_act here{everything};
            child = aio::create_task(waits(true));
            co_await aio::gather(child, waits(false));
        });
        for (int i = 0; i < 5; ++i) {
            loop.stop();
            loop.run_forever();
        }
        open.reset();
    }
    CHECK_FALSE(child.done());
    child = parent = sibling = {};
    CHECK_FALSE(told.empty());
}
