// SPDX-License-Identifier: BSL-1.0
#include <asynchio/loop/event_loop.hpp>

// covers: loop/detail/loop_core.hpp loop/detail/scheduler.hpp loop/detail/selector.hpp loop/detail/step_observer.hpp
#include <asynchio/loop/detail/selector.hpp>
#include <asynchio/loop/detail/step_observer.hpp>

#include <asynchio/combine/gather.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/run_until_complete.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include "support/captured_stderr.hpp"
#include "support/child_process.hpp"
#include "support/iterations.hpp"
#include "support/message_of.hpp"
#include "support/reports.hpp"
#include "support/threads.hpp"
#include "support/virtual_run.hpp"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <future>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace aio = asynchio;
using aio::detail::core_of;
using asynchio_tests::captured_stderr;
using asynchio_tests::contains;
using asynchio_tests::make_iterations;
using asynchio_tests::message_of;
using asynchio_tests::run_until_stuck;
using asynchio_tests::virtual_run;
using namespace std::chrono_literals;

namespace {

aio::event_loop make_loop() { return aio::event_loop({.virtual_time = true}); }

/// Adds letters to a text, for traces.
struct tracer {
    std::string& trace;
    auto operator()(const char* text) const {
        return [&t = trace, text] { t += text; };
    }
};

} // namespace

// Calls

TEST_CASE("event_loop: calls are made once, in the order of call_soon", "[LOOP-1]") {
    aio::event_loop loop = make_loop();
    std::string trace;
    const tracer add{trace};
    for (const char* each : {"a", "b", "c", "d"}) loop.call_soon(add(each));
    CHECK(trace.empty());
    CHECK(core_of(loop).has_ready());
    CHECK(aio::testing::run_until_idle(loop) == 1);
    CHECK(trace == "abcd");
    CHECK(aio::testing::run_until_idle(loop) == 0);
    CHECK(trace == "abcd");
}

TEST_CASE("event_loop: what a call schedules runs in the next iteration, behind what is queued", "[LOOP-2][LOOP-3]") {
    aio::event_loop loop = make_loop();
    std::string trace;
    const tracer add{trace};
    loop.call_soon([&] {
        trace += "a";
        loop.call_soon([&] {
            trace += "A";
            loop.call_soon(add("!"));
        });
    });
    loop.call_soon([&] {
        trace += "b";
        loop.call_soon(add("B"));
    });
    loop.stop();
    loop.run_forever();
    CHECK(trace == "ab");
    loop.stop();
    loop.run_forever();
    CHECK(trace == "abAB");
    loop.stop();
    loop.run_forever();
    CHECK(trace == "abAB!");
}

TEST_CASE("event_loop: a million calls need no stack", "[stress]") {
    aio::event_loop loop = make_loop();
    int left = 1'000'000;
    std::function<void()> again = [&] {
        if (--left > 0) loop.call_soon(std::ref(again));
    };
    loop.call_soon(std::ref(again));
    aio::testing::run_until_idle(loop);
    CHECK(left == 0);
}

// Timers

TEST_CASE("event_loop: timers fire in order of deadline, whatever the order they were set in", "[LOOP-6][LOOP-8]") {
    aio::event_loop loop = make_loop();
    const aio::time_point start = loop.time();
    std::string trace;
    const tracer add{trace};
    loop.call_later(3s, add("c"));
    loop.call_at(start + 1s, add("a"));
    loop.call_later(2s, add("b"));
    loop.call_later(3s, add("d"));
    loop.call_at(start + 3s, add("e"));
    run_until_stuck(loop);
    CHECK(trace == "abcde");
    CHECK(loop.time() - start == 3s);
}

TEST_CASE("event_loop: delays of zero and less run in the next iteration, behind what is ready", "[LOOP-7][LOOP-5]") {
    aio::event_loop loop = make_loop();
    std::string trace;
    const tracer add{trace};
    loop.call_later(1s, [&] { // where time is not zero
        loop.call_later(0s, add("a"));
        loop.call_later(-5s, add("b"));
        loop.call_at(loop.time(), add("c"));
        loop.call_at(aio::time_point(), add("e"));
        loop.call_soon(add("1"));
        loop.call_soon([&] {
            trace += "2";
            loop.call_soon(add("."));
        });
    });
    loop.call_later(1s, add("0"));
    run_until_stuck(loop);
    CHECK(trace == "012eabc."); // a time in the past is earlier than now; a negative delay is none
}

TEST_CASE("event_loop: a timer that becomes due while calls run waits for the next iteration", "[LOOP-9]") {
    aio::event_loop loop = make_loop();
    std::string trace;
    const tracer add{trace};
    loop.call_soon([&] {
        trace += "a";
        loop.call_later(0s, add("t"));
    });
    loop.call_soon([&] {
        trace += "b";
        loop.call_soon(add("c"));
    });
    aio::testing::run_until_idle(loop);
    CHECK(trace == "abct");
}

TEST_CASE("event_loop: timers fire at their deadline and not before it", "[LOOP-9][time]") {
    aio::event_loop loop;
    std::vector<aio::duration> late;
    for (const auto delay : {3ms, 1ms, 2ms}) {
        const aio::time_point deadline = loop.time() + delay;
        loop.call_at(deadline, [&, deadline] {
            late.push_back(loop.time() - deadline);
            if (late.size() == 3) loop.stop();
        });
    }
    loop.run_forever();
    for (const aio::duration each : late) {
        CHECK(each >= 0s);
        CHECK(each < 5s);
    }
}

TEST_CASE("event_loop: very distant timers neither overflow nor fire", "[LOOP-12]") {
    for (const bool in_virtual_time : {true, false}) {
        aio::event_loop loop({.virtual_time = in_virtual_time});
        int fired = 0;
        const auto never = [&] { ++fired; };
        loop.call_later(std::chrono::hours::max(), never);
        loop.call_later(std::chrono::nanoseconds::max(), never);
        loop.call_later(std::chrono::duration<double>(std::numeric_limits<double>::infinity()), never);
        loop.call_at(aio::time_point::max(), never);
        loop.call_later(in_virtual_time ? aio::duration(100h) : aio::duration(1ms), [&] { loop.stop(); });
        loop.run_forever();
        CHECK(fired == 0);
        CHECK(loop.pending_timers() == 4);
    }
}

TEST_CASE("event_loop: virtual time jumps to the next deadline, and stands while anything runs", "[LOOP-11]") {
    aio::event_loop loop = make_loop();
    const aio::time_point start = loop.time();
    std::vector<aio::duration> at;
    const auto note = [&] { at.push_back(loop.time() - start); };
    int left = 1000;
    std::function<void()> spin = [&] {
        if (--left > 0) loop.call_soon(std::ref(spin));
    };
    loop.call_later(1h, [&] {
        note();
        loop.call_soon(std::ref(spin));
        loop.call_later(1ns, [&] {
            CHECK(left == 0);
            note();
        });
    });
    loop.call_later(48h, note);
    run_until_stuck(loop);
    CHECK(at == std::vector<aio::duration>{1h, 1h + 1ns, 48h});
}

TEST_CASE("event_loop: virtual time stands still while another thread owes a result", "[time]") {
    aio::event_loop loop = make_loop();
    std::string trace;
    std::thread worker;
    loop.call_later(1s, [&] { trace += "timer"; });
    loop.call_soon([&] {
        core_of(loop).expect_post();
        worker = std::thread([&, ref = loop.ref(), loops_thread = ::gettid()] {
            asynchio_tests::until_asleep(loops_thread);
            ref.call_soon_threadsafe([&] {
                core_of(loop).post_arrived();
                CHECK(loop.time() == aio::time_point());
                trace += "post ";
            });
        });
    });
    run_until_stuck(loop);
    worker.join();
    CHECK(trace == "post timer");
}

TEST_CASE("event_loop: what is due in virtual time does not wait for other threads", "[time]") {
    aio::event_loop loop = make_loop();
    std::promise<void> due;
    bool in_time = false;
    std::thread worker;
    loop.call_soon([&] {
        core_of(loop).expect_post();
        worker = std::thread([&, ref = loop.ref(), signal = due.get_future()] {
            in_time = signal.wait_for(5s) == std::future_status::ready;
            ref.call_soon_threadsafe([&] {
                core_of(loop).post_arrived();
                loop.stop();
            });
        });
        loop.call_later(0s, [&] { due.set_value(); });
        loop.call_later(1h, [] { FAIL("time stands still"); });
    });
    loop.run_forever();
    worker.join();
    CHECK(in_time);
}

// Running

TEST_CASE("event_loop: stop ends the run after the iteration, what that scheduled waits", "[LOOP-20]") {
    aio::event_loop loop = make_loop();
    std::string trace;
    const tracer add{trace};
    loop.call_soon([&] {
        loop.stop();
        trace += "a";
        loop.call_soon(add("c"));
    });
    loop.call_soon(add("b"));
    loop.run_forever();
    CHECK(trace == "ab");
    CHECK_FALSE(loop.is_running());
    loop.call_soon([&loop] { loop.stop(); });
    loop.run_forever();
    CHECK(trace == "abc");
}

TEST_CASE("event_loop: stop before run_forever has it make one iteration that does not sleep", "[LOOP-21]") {
    for (const bool in_virtual_time : {true, false}) {
        aio::event_loop loop({.virtual_time = in_virtual_time});
        std::string trace;
        const tracer add{trace};
        loop.call_later(10h, add("never"));
        loop.stop();
        loop.run_forever(); // nothing is ready
        CHECK(trace.empty());
        loop.call_soon([&] {
            trace += "a";
            loop.call_soon(add("b"));
        });
        loop.stop();
        loop.stop();
        loop.run_forever();
        CHECK(trace == "a");
        loop.stop();
        loop.run_forever();
        CHECK(trace == "ab");
    }
}

TEST_CASE("event_loop: run_until_complete gives the result of a task, a handle, a future or an awaitable",
          "[LOOP-22]") {
    {
        aio::event_loop loop = make_loop();
        const auto answer = []() -> aio::task<int> {
            co_await aio::sleep(1s);
            co_return 42;
        };
        CHECK(loop.run_until_complete(answer()) == 42);
        const auto handle = loop.create_task(answer());
        CHECK(loop.run_until_complete(handle) == 42);
        CHECK(loop.run_until_complete(handle) == 42); // done already
        const auto future = loop.create_future<std::string>();
        loop.call_later(1s, [&] { future.set_result("set"); });
        CHECK(loop.run_until_complete(future) == "set");
        CHECK(loop.run_until_complete(aio::sleep(1s, 7)) == 7);
        const auto with_argument = [](int n) -> aio::task<int> { co_return n + 1; };
        CHECK(loop.run_until_complete(with_argument(1)) == 2);
        loop.run_until_complete(aio::sleep(1s));
    }
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("event_loop: run_until_complete throws what the task throws", "[LOOP-22]") {
    {
        aio::event_loop loop = make_loop();
        const auto fails = []() -> aio::task<int> {
            co_await aio::yield();
            throw std::runtime_error("failed");
        };
        CHECK_THROWS_WITH(loop.run_until_complete(fails()), "failed");
        const auto handle = loop.create_task(fails());
        CHECK_THROWS_WITH(loop.run_until_complete(handle), "failed");
        const auto sleeper = loop.create_task(aio::sleep(1h));
        loop.call_soon([&] { sleeper.cancel("enough"); });
        CHECK(message_of([&] { loop.run_until_complete(sleeper); }) == "cancelled: enough");
        CHECK_THROWS_AS(loop.run_until_complete(aio::task_handle<int>()), std::logic_error);
    }
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("event_loop: run_until_complete of another loop's task is refused") {
    aio::event_loop first = make_loop();
    aio::event_loop second = make_loop();
    const auto future = first.create_future<int>();
    CHECK_THROWS_AS(second.run_until_complete(future), std::logic_error);
    future.set_result(1);
    CHECK(first.run_until_complete(future) == 1);
}

TEST_CASE("event_loop: run_until_complete says so when stop comes first, and the task can be continued", "[LOOP-23]") {
    {
        aio::event_loop loop = make_loop();
        const auto handle = loop.create_task(aio::sleep(10s, 5));
        loop.call_later(1s, [&] { loop.stop(); });
        CHECK_THROWS_WITH(loop.run_until_complete(handle), "Event loop stopped before Future completed.");
        CHECK_FALSE(handle.done());
        CHECK(loop.time() == aio::time_point(1s));
        CHECK(loop.run_until_complete(handle) == 5);
        CHECK(loop.time() == aio::time_point(10s));
    }
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("event_loop: run_until_complete runs one iteration more than the task", "[LOOP-24]") {
    aio::event_loop loop = make_loop();
    std::string trace;
    const tracer add{trace};
    loop.run_until_complete([&]() -> aio::task<> {
        loop.call_soon([&] {
            trace += "a";
            loop.call_soon(add("b"));
        });
        trace += "t";
        co_return;
    }());
    CHECK(trace == "ta");
    loop.run_until_complete(aio::yield());
    CHECK(trace == "tab");
}

TEST_CASE("event_loop: between runs tasks and timers wait", "[LOOP-26]") {
    aio::event_loop loop = make_loop();
    std::string trace;
    const auto background = loop.create_task(
        [](std::string& t) -> aio::task<> {
            for (int i = 0; i < 4; ++i) {
                t += std::to_string(i);
                co_await aio::sleep(2s);
            }
        },
        std::ref(trace));
    loop.call_later(5s, [&] { trace += "t"; });
    loop.run_until_complete(aio::sleep(3s));
    CHECK(trace == "01");
    CHECK(loop.pending_timers() == 2);
    trace += "|";
    loop.run_until_complete(aio::sleep(2500ms));
    CHECK(trace == "01|2t");
    loop.run_until_complete(background);
    CHECK(trace == "01|2t3");
}

TEST_CASE("event_loop: a running loop cannot be run, nor another one on its thread", "[LOOP-25]") {
    aio::event_loop loop = make_loop();
    aio::event_loop other = make_loop();
    int checked = 0;
    loop.call_soon([&] {
        CHECK_THROWS_AS(loop.run_forever(), std::logic_error);
        CHECK_THROWS_AS(loop.run_until_complete(aio::sleep(1s)), std::logic_error);
        CHECK(aio::all_tasks(loop).empty()); // nothing was started
        CHECK_THROWS_AS(other.run_forever(), std::logic_error);
        CHECK(contains(message_of([&] { loop.run_forever(); }), "already running"));
        CHECK(contains(message_of([&] { other.run_forever(); }), "another loop"));
        CHECK(loop.is_running());
        CHECK_FALSE(other.is_running());
        ++checked;
        loop.stop();
    });
    loop.run_forever();
    CHECK(checked == 1);
    other.run_until_complete(aio::sleep(1s));
}

TEST_CASE("event_loop: one runs per thread, several at once on different threads", "[LOOP-36][time]") {
    aio::event_loop mine = make_loop();
    std::string trace;
    mine.call_soon([&] {
        std::thread([&] {
            CHECK_THROWS_AS(aio::get_running_loop(), std::logic_error);
            aio::event_loop theirs = make_loop();
            theirs.call_later(1h, [&] {
                CHECK(&aio::get_running_loop() == &theirs);
                trace += "theirs ";
                theirs.stop();
            });
            theirs.run_forever();
        }).join();
        CHECK(&aio::get_running_loop() == &mine);
        trace += "mine";
        mine.stop();
    });
    mine.run_forever();
    CHECK(trace == "theirs mine");
    CHECK_THROWS_AS(aio::get_running_loop(), std::logic_error);
}

TEST_CASE("event_loop: its state can be asked", "[LOOP-29]") {
    aio::event_loop loop = make_loop();
    CHECK_FALSE(loop.is_running());
    CHECK_FALSE(loop.is_closed());
    CHECK_THROWS_AS(aio::get_running_loop(), std::logic_error);
    loop.call_soon([&] {
        CHECK(loop.is_running());
        CHECK(&aio::get_running_loop() == &loop);
        loop.stop();
    });
    loop.run_forever();
    CHECK_FALSE(loop.is_running());
    CHECK_THROWS_AS(aio::get_running_loop(), std::logic_error);
    loop.close();
    CHECK(loop.is_closed());
    CHECK_FALSE(loop.is_running());
}

// The end

TEST_CASE("event_loop: close drops calls and timers without making them", "[LOOP-27]") {
    auto alive = std::make_shared<int>(0);
    aio::event_loop loop = make_loop();
    int calls = 0;
    const auto call = [&calls, alive] { ++calls; };
    loop.call_soon(call);
    loop.call_later(0s, call);
    loop.call_later(1h, call);
    loop.call_soon_threadsafe(call);
    CHECK(alive.use_count() == 6);
    loop.close();
    CHECK(alive.use_count() == 2);
    CHECK(calls == 0);
    loop.close();
    CHECK(loop.is_closed());
    CHECK(loop.pending_timers() == 0);
}

TEST_CASE("event_loop: close while running is refused", "[LOOP-27]") {
    aio::event_loop loop = make_loop();
    std::string refused;
    loop.call_soon([&] {
        refused = message_of([&] { loop.close(); });
        loop.stop();
    });
    loop.run_forever();
    CHECK(contains(refused, "running"));
    CHECK_FALSE(loop.is_closed());
}

TEST_CASE("event_loop: a closed loop refuses everything", "[LOOP-28]") {
    {
        aio::event_loop loop = make_loop();
        loop.close();
        const auto refuses = [](auto f) { CHECK(contains(message_of(f), "Event loop is closed")); };
        refuses([&] { loop.call_soon([] {}); });
        refuses([&] { loop.call_later(1s, [] {}); });
        refuses([&] { loop.call_at(aio::time_point(), [] {}); });
        refuses([&] { loop.call_soon_threadsafe([] {}); });
        refuses([&] { loop.create_task(aio::sleep(1s)); });
        refuses([&] { loop.create_future<int>(); });
        refuses([&] { loop.run_forever(); });
        refuses([&] { loop.run_until_complete(aio::sleep(1s)); });
        refuses([&] { loop.add_reader(0, [] {}); });
        refuses([&] { loop.add_writer(0, [] {}); });
        refuses([&] { loop.add_signal_handler(10, [] {}); });
        CHECK_FALSE(loop.remove_reader(0));
        CHECK_FALSE(loop.remove_signal_handler(10));
        CHECK_NOTHROW(loop.stop());
    }
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("event_loop: what destructors schedule while it closes is dropped as well", "[LOOP-27]") {
    struct reschedules {
        aio::event_loop* loop;
        int* refused;
        explicit reschedules(aio::event_loop& l, int& r) : loop(&l), refused(&r) {}
        reschedules(reschedules&& other) noexcept : loop(std::exchange(other.loop, nullptr)), refused(other.refused) {}
        reschedules& operator=(reschedules&&) = delete;
        ~reschedules() {
            if (loop == nullptr) return;
            try {
                loop->call_soon([] {});
            } catch (const std::logic_error&) {
                ++*refused;
            }
        }
        void operator()() const {}
    };
    int refused = 0;
    {
        aio::event_loop loop = make_loop();
        loop.call_soon(reschedules(loop, refused));
        loop.call_later(1h, reschedules(loop, refused));
        loop.call_soon_threadsafe(reschedules(loop, refused));
    }
    CHECK(refused == 3);
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("event_loop: tasks that are left are destroyed where they are suspended", "[LOOP-27]") {
    std::string trace;
    {
        struct note {
            std::string& t;
            char name;
            ~note() { t += name; }
        };
        const captured_stderr reports;
        aio::event_loop loop = make_loop();
        const auto inner = [&](char name) -> aio::task<> {
            const note n{trace, name};
            co_await aio::sleep(1h);
        };
        const auto outer = [&](char name, char in) -> aio::task<> {
            const note n{trace, name};
            co_await inner(in);
        };
        loop.create_task(outer('A', 'a'));
        loop.create_task(outer('B', 'b'));
        aio::testing::run_until_idle(loop);
        loop.create_task(outer('C', 'c')); // never starts
        CHECK(trace.empty());
        loop.close();
        CHECK(contains(reports.text(), "destroyed"));
    }
    CHECK(trace == "bBaA"); // the youngest first, from the inside out
    CHECK(aio::testing::audit().clean());
}

// Debug mode

TEST_CASE("event_loop: debug mode refuses calls from another thread than the running loop's", "[DBG-4][time]") {
    for (const bool debug : {true, false}) {
        aio::event_loop loop({.debug = debug, .virtual_time = true});
        std::vector<std::string> refused;
        std::thread([&] { loop.call_soon([] {}); }).join(); // before it runs nobody minds
        loop.call_soon([&] {
            if (debug)
                std::thread([&] {
                    refused.push_back(message_of([&] { loop.call_soon([] {}); }));
                    refused.push_back(message_of([&] { loop.call_later(1s, [] {}); }));
                    refused.push_back(message_of([&] { loop.call_at(aio::time_point(), [] {}); }));
                    refused.push_back(message_of([&] { loop.create_task(aio::sleep(1s)); }));
                    loop.call_soon_threadsafe([&] { loop.stop(); });
                }).join();
            else
                loop.stop();
        });
        loop.run_forever();
        CHECK(refused.size() == (debug ? 4 : 0));
        for (const std::string& each : refused) CHECK(contains(each, "Non-thread-safe operation"));
    }
}

namespace {

class slow_to_go_on final : public aio::suspension {
public:
    slow_to_go_on() = default;
    slow_to_go_on(slow_to_go_on&&) noexcept : suspension() {}
    slow_to_go_on& operator=(slow_to_go_on&&) = delete;
    ~slow_to_go_on() override = default;

    static bool await_ready() noexcept { return false; }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        give_way(awaiting, where);
    }
    void await_resume() {
        resumed();
        std::this_thread::sleep_for(3ms);
    }
};

} // namespace

TEST_CASE("event_loop: debug mode reports what takes long, and only that", "[DBG-2][DBG-3][time]") {
    aio::event_loop loop({.debug = true});
    loop.set_slow_callback_duration(2ms);
    const auto slow = [] { std::this_thread::sleep_for(3ms); };
    const auto printed_by = [&](auto what) {
        const captured_stderr printed;
        what();
        return printed.text();
    };
    CHECK(printed_by([&] {
              loop.call_soon([] {});
              aio::testing::run_until_idle(loop);
          }).empty());
    const std::string call = printed_by([&] {
        loop.call_soon(slow);
        aio::testing::run_until_idle(loop);
    });
    CHECK(contains(call, "took 0."));
    CHECK(contains(call, "call"));
    const std::string step = printed_by([&] {
        loop.create_task(aio::named("a slow one"), [&]() -> aio::task<> {
            co_await aio::yield();
            slow();
        });
        aio::testing::run_until_idle(loop);
    });
    const std::string from = std::string(__FILE__) + ":" + std::to_string(__LINE__ - 5);
    CHECK(contains(step, "executing a step of a slow one from " + from + " took 0."));
    const std::string part = printed_by([&] {
        loop.create_task(aio::named("its parent"), []() -> aio::task<> { co_await aio::gather(slow_to_go_on()); });
        aio::testing::run_until_idle(loop);
    });
    CHECK(contains(part, "executing a step of its parent from "));
    loop.set_debug(false);
    CHECK_FALSE(loop.debug());
    CHECK(printed_by([&] {
              loop.call_soon(slow);
              aio::testing::run_until_idle(loop);
          }).empty());
    loop.call_soon([&] { loop.set_debug(true); });
    aio::testing::run_until_idle(loop);
    CHECK(contains(printed_by([&] {
                       loop.call_soon(slow);
                       aio::testing::run_until_idle(loop);
                   }),
                   "took 0."));
}

TEST_CASE("event_loop: debug mode reports a task that nobody awaits, with its line", "[DBG-6]") {
    for (const bool debug : {true, false}) {
        std::string text;
        {
            const captured_stderr printed;
            virtual_run(
                []() -> aio::task<> {
                    {
                        const auto forgotten = []() -> aio::task<> { co_return; }();
                    }
                    co_return;
                },
                aio::run_options{.debug = debug, .virtual_time = true});
            text = printed.text();
        }
        CHECK(contains(text, "was never awaited") == debug);
        CHECK(contains(text, "event_loop.test.cpp:") == debug);
    }
}

TEST_CASE("event_loop: a report handler gets what debug mode reports, and the exception handler does not",
          "[DBG-2][DBG-6]") {
    aio::event_loop loop({.debug = true});
    loop.set_slow_callback_duration(aio::duration(0));
    asynchio_tests::reports reports;
    asynchio_tests::reports errors;
    loop.set_report_handler([&](aio::event_loop& its, const aio::exception_context& context) {
        CHECK(&its == &loop);
        if (reports.empty()) CHECK_FALSE(aio::current_task());
        reports.push_back({context.message, context.source, {}, context.created.line(), {}});
    });
    asynchio_tests::collect(errors, loop);
    const captured_stderr printed;
    loop.create_task(aio::named("busy"), []() -> aio::task<> { co_return; });
    aio::testing::run_until_idle(loop);
    REQUIRE(reports.size() == 1);
    CHECK(contains(reports[0].message, "executing a step of busy from "));
    CHECK(reports[0].line == 0);
    loop.set_slow_callback_duration(1h);
    loop.call_soon([] { const auto forgotten = []() -> aio::task<> { co_return; }(); });
    const unsigned line = __LINE__ - 1;
    aio::testing::run_until_idle(loop);
    REQUIRE(reports.size() == 2);
    CHECK(contains(reports[1].message, "was never awaited"));
    CHECK(reports[1].line == line);
    CHECK(errors.empty());
    CHECK(printed.text().empty());
    loop.set_report_handler(
        [](aio::event_loop&, const aio::exception_context&) { throw std::runtime_error("broken"); });
    loop.call_soon([] { const auto forgotten = []() -> aio::task<> { co_return; }(); });
    aio::testing::run_until_idle(loop);
    CHECK(contains(printed.text(), "broken"));
    loop.set_report_handler(nullptr);
    loop.set_debug(false);
    CHECK(errors.empty());
}

TEST_CASE("event_loop: with ASYNCHIO_DEBUG=2 the first report is printed and aborts, and with 1 it does not") {
    for (const bool aborts : {true, false})
        for (const bool handled : {true, false}) {
            const captured_stderr printed;
            const int status = asynchio_tests::status_in_child([&] {
                const rlimit no_core{0, 0};
                ::setrlimit(RLIMIT_CORE, &no_core);
                std::signal(SIGABRT, SIG_DFL);
                ::setenv("ASYNCHIO_DEBUG", aborts ? "2" : "1", 1);
                aio::event_loop loop;
                int reports = 0;
                if (handled)
                    loop.set_report_handler([&](aio::event_loop&, const aio::exception_context&) { ++reports; });
                loop.call_soon([] { const auto forgotten = []() -> aio::task<> { co_return; }(); });
                aio::testing::run_until_idle(loop);
                return 10 + reports;
            });
            CHECK(status == (aborts ? -1 : handled ? 11 : 10));
            CHECK(contains(printed.text(), "was never awaited") == (aborts || !handled));
        }
}

// For the modules above

TEST_CASE("event_loop: observers are told of every step and call", "[LOOP-2]") {
    struct counter final : aio::detail::step_observer {
        void begins(const aio::detail::ready_item&, aio::detail::nanoseconds_count now) noexcept override {
            ++begun;
            began = now;
        }
        void ran(aio::detail::nanoseconds_count now) noexcept override {
            ++count;
            in_order = in_order && begun == count && now >= began;
        }
        int begun = 0;
        int count = 0;
        bool in_order = true;
        aio::detail::nanoseconds_count began = 0;
    };
    aio::event_loop loop = make_loop();
    counter observer;
    counter another;
    core_of(loop).add_observer(observer);
    core_of(loop).add_observer(another);
    loop.call_soon([] {});
    loop.call_soon([] {}).cancel();
    aio::testing::run_until_idle(loop);
    const int calls = observer.count;
    CHECK(calls == 2); // a cancelled call has its turn too
    loop.create_task([]() -> aio::task<> {
        co_await aio::yield();
        co_await aio::yield();
    });
    aio::testing::run_until_idle(loop);
    CHECK(observer.count == calls + 3);
    CHECK(observer.in_order);
    core_of(loop).remove_observer(observer);
    loop.call_soon([] {});
    aio::testing::run_until_idle(loop);
    CHECK(observer.count == calls + 3);
    CHECK(another.count == calls + 4);
    core_of(loop).remove_observer(another);
}

TEST_CASE("event_loop: an observer is told how long the loop has slept", "[time]") {
    struct sleeper final : aio::detail::step_observer {
        void slept(aio::detail::nanoseconds_count since, aio::detail::nanoseconds_count now) noexcept override {
            all += now - since;
        }
        aio::detail::nanoseconds_count all = 0;
    };
    aio::event_loop loop;
    sleeper observer;
    core_of(loop).add_observer(observer);
    loop.run_until_complete(aio::sleep(20ms));
    core_of(loop).remove_observer(observer);
    CHECK(observer.all >= 19'000'000);
}

TEST_CASE("event_loop: knows whether anything is left to do") {
    aio::event_loop loop = make_loop();
    CHECK(core_of(loop).is_stuck());
    CHECK_FALSE(core_of(loop).has_ready());
    aio::timer_handle timer = loop.call_later(1s, [] {});
    CHECK_FALSE(core_of(loop).is_stuck());
    CHECK_FALSE(core_of(loop).has_ready());
    timer.cancel();
    CHECK(core_of(loop).is_stuck());
    loop.call_soon([&] { CHECK(core_of(loop).nothing_else_ready()); });
    CHECK(core_of(loop).has_ready());
    CHECK_FALSE(core_of(loop).is_stuck());
    aio::testing::run_until_idle(loop);
    loop.call_soon([&] { CHECK_FALSE(core_of(loop).nothing_else_ready()); });
    loop.call_soon([&] {
        loop.call_soon([] {});
        CHECK_FALSE(core_of(loop).nothing_else_ready());
    });
    aio::testing::run_until_idle(loop);
    loop.call_soon_threadsafe([] {});
    CHECK(core_of(loop).has_ready());
    CHECK_FALSE(core_of(loop).is_stuck());
    aio::testing::run_until_idle(loop);
    core_of(loop).expect_post();
    CHECK_FALSE(core_of(loop).is_stuck());
    core_of(loop).post_arrived();
    CHECK(core_of(loop).is_stuck());
}

TEST_CASE("event_loop: many loops one after the other leave nothing behind") {
    for (int i = 0; i < 200; ++i) {
        aio::event_loop loop({.virtual_time = i % 2 == 0});
        loop.call_soon([&] { loop.stop(); });
        loop.run_forever();
    }
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("event_loop: iterations are counted, where any thread may read them") {
    aio::event_loop loop;
    auto& core = aio::detail::core_of(loop);
    CHECK(core.iterations() == 0);
    make_iterations(loop, 3, false);
    std::uint64_t seen = 0;
    std::thread([&] { seen = core.iterations(); }).join();
    CHECK(seen == 3);
}
