// SPDX-License-Identifier: BSL-1.0

#include <asynchio/task/run.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/reports.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/task/future.hpp>
#include <asynchio/task/nothrow.hpp>

#include <csignal>
#include <functional>
#include <memory>

#include <thread>
#include <unistd.h>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

aio::run_options interruptible() {
    aio::run_options options = aio::testing::virtual_clock();
    options.handle_sigint = true;
    return options;
}

extern "C" void mark_interrupt(int);
volatile std::sig_atomic_t interrupts = 0;
void mark_interrupt(int) { interrupts = interrupts + 1; }

/// Has SIGINT counted while it lives.
class counted_interrupts {
public:
    counted_interrupts() : before_(std::signal(SIGINT, &mark_interrupt)) { interrupts = 0; }
    counted_interrupts(const counted_interrupts&) = delete;
    counted_interrupts& operator=(const counted_interrupts&) = delete;
    ~counted_interrupts() { std::signal(SIGINT, before_); }

private:
    void (*before_)(int);
};

} // namespace

TEST_CASE("run: gives what its main task gives", "[RUN-1]") {
    CHECK(virtual_run(gives(42)) == 42);
    CHECK(virtual_run([] { return gives_after(1h, 43); }) == 43);
    CHECK(*virtual_run([]() -> aio::task<std::unique_ptr<int>> { co_return std::make_unique<int>(44); }) == 44);
    int target = 1;
    int& reference = virtual_run([&target]() -> aio::task<int&> { co_return target; });
    CHECK(&reference == &target);
    CHECK(virtual_run(aio::sleep(1s, std::string("awaitable"))) == "awaitable");
}

TEST_CASE("run: takes a callable with arguments", "[RUN-1]") {
    const audited afterwards;
    CHECK(aio::run(gives, 5) == 5);
    counted::reset();
    const int sum = aio::run([](counted a, const counted& b) -> aio::task<int> { co_return a.value + b.value; },
                             counted(1), counted(2));
    CHECK(sum == 3);
    CHECK(counted::copies == 0);
    CHECK(counted::alive == 0);
    aio::run([]() -> aio::task<> { co_return; });
}

TEST_CASE("run: throws what its main task throws", "[RUN-1]") {
    CHECK_THROWS_AS(virtual_run(fails("main failed")), boom);
    CHECK_THROWS_AS(virtual_run(fails_after(1s, "main failed")), boom);
}

TEST_CASE("run: a result is moved out, and destroyed once", "[RUN-1]") {
    counted::reset();
    {
        const counted got = virtual_run([]() -> aio::task<counted> { co_return counted(1); });
        CHECK(got.value == 1);
        CHECK(counted::copies == 0);
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("run: cannot be called inside a running loop", "[RUN-2][LOOP-25]") {
    virtual_run([]() -> aio::task<> {
        std::string message;
        try {
            aio::run(gives(1));
        } catch (const std::logic_error& e) {
            message = e.what();
        }
        CHECK_THAT(message, Catch::Matchers::Contains("running event loop"));
        aio::event_loop other;
        CHECK_THROWS_AS(other.run_forever(), std::logic_error);
        CHECK_THROWS_AS(aio::get_running_loop().run_forever(), std::logic_error);
        co_await aio::yield(); // and nothing is broken
    });
}

TEST_CASE("run: refuses what is empty", "[RUN-2]") {
    const audited afterwards;
    CHECK_THROWS_AS(aio::run(aio::task<>()), std::logic_error);
    CHECK_THROWS_AS(aio::run(aio::task_handle<int>()), std::logic_error);
    const std::function<aio::task<>()> nothing;
    CHECK_THROWS(aio::run(nothing));
}

TEST_CASE("run: its option sets debug mode", "[RUN-3]") {
    aio::run_options options = aio::testing::virtual_clock();
    const auto asks = []() -> aio::task<bool> { co_return aio::get_running_loop().debug(); };
    options.debug = true;
    CHECK(virtual_run(asks, options));
    options.debug = false;
    CHECK_FALSE(virtual_run(asks, options));
}

TEST_CASE("run: cancels what is left, in order of creation, and waits for the cleanup", "[RUN-4][RUN-5][RUN-7]") {
    trace log;
    std::vector<aio::task_handle<int>> left;
    {
        const int got = aio::run(
            [&]() -> aio::task<int> {
                left.push_back(aio::create_task(cleans_up(20ms, "a", log)));
                left.push_back(aio::create_task(cleans_up(10ms, "b", log)));
                left.push_back(aio::create_task(swallows(5)));
                co_await aio::yield();
                left.push_back(aio::create_task(cleans_up(10ms, "never started", log)));
                log.push_back("main ends");
                co_return 1;
            },
            aio::testing::virtual_clock());
        CHECK(got == 1);
    }
    CHECK(log == trace{"a begins", "b begins", "main ends", "never started begins", "a cancelled", "b cancelled",
                       "never started cancelled", "b cleaned up", "never started cleaned up", "a cleaned up"});
    CHECK(left[0].cancelled());
    CHECK(left[1].cancelled());
    CHECK(left[2].result() == 5);
    CHECK(left[3].cancelled());
    left.clear();
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("run: cleans up when main failed, too", "[RUN-4]") {
    trace log;
    CHECK_THROWS_AS(virtual_run([&log]() -> aio::task<> {
                        aio::create_task(cleans_up(20ms, "a", log));
                        co_await aio::yield();
                        throw boom("main failed");
                    }),
                    boom);
    CHECK(log == trace{"a begins", "a cancelled", "a cleaned up"});
}

TEST_CASE("run: all that is left is asked before anything runs", "[RUN-5]") {
    virtual_run([]() -> aio::task<> {
        auto first = aio::create_task(gives_after(1h, 1));
        aio::create_task([first]() -> aio::task<> {
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {
                CHECK(first.cancelling() == 2); // once itself and once through the task below
                throw;
            }
        });
        aio::create_task([first]() -> aio::task<> {
            try {
                co_await first;
            } catch (const aio::cancelled_error&) {
                CHECK(first.cancelling() == 2);
                throw;
            }
        });
        co_await aio::yield();
    });
}

TEST_CASE("run: an error in the cleanup goes to the handler, once", "[RUN-6][EXH-6]") {
    reports told;
    virtual_run([&told]() -> aio::task<> {
        collect(told);
        aio::create_task(aio::named("broken"), []() -> aio::task<> {
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {
                throw boom("broken cleanup");
            }
        });
        aio::create_task(ends_after(1h));
        co_await aio::yield();
    });
    REQUIRE(told.size() == 1);
    CHECK(told[0].message == "unhandled exception during asyncio.run() shutdown");
    CHECK(told[0].error == "broken cleanup");
    CHECK_THAT(told[0].source, Catch::Matchers::StartsWith("broken"));
}

TEST_CASE("run: tasks that the cleanup makes do not outlive the loop", "[RUN-4][TASK-22]") {
    reports told;
    counted::reset();
    virtual_run([&told]() -> aio::task<> {
        collect(told);
        aio::create_task([]() -> aio::task<> {
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {
                aio::create_task([](counted) -> aio::task<> { co_await aio::sleep(1h); }, counted(1));
                throw;
            }
        });
        co_await aio::yield();
    });
    CHECK(counted::alive == 0);
    REQUIRE(told.size() == 1);
    CHECK(told[0].message == "Task was destroyed but it is pending!");
}

TEST_CASE("run: throws cancelled_error when main ended cancelled", "[RUN-10]") {
    std::string message;
    try {
        virtual_run([]() -> aio::task<> {
            aio::current_task().cancel("itself");
            co_await aio::sleep(1h);
        });
    } catch (const aio::cancelled_error& e) {
        message = e.message();
    }
    CHECK(message == "itself");
}

TEST_CASE("run: there is a running loop inside and none outside", "[RUN-11][TASK-14]") {
    CHECK_THROWS_AS(aio::get_running_loop(), std::logic_error);
    CHECK_THROWS_AS(aio::current_task(), std::logic_error);
    CHECK_THROWS_AS(aio::all_tasks(), std::logic_error);
    virtual_run([]() -> aio::task<> {
        CHECK(aio::get_running_loop().is_running());
        CHECK_FALSE(aio::get_running_loop().is_closed());
        co_return;
    });
    CHECK_THROWS_AS(aio::get_running_loop(), std::logic_error);
}

TEST_CASE("run: each call makes a loop of its own", "[RUN-11]") {
    const auto counts = []() -> aio::task<std::string> { co_return aio::current_task().name(); };
    CHECK(virtual_run(counts) == "Task-1");
    CHECK(virtual_run(counts) == "Task-1");
}

TEST_CASE("run: works from several threads at once", "[RUN-1][time]") {
    std::vector<std::thread> threads;
    std::atomic<int> sum = 0;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&sum, i] { sum += aio::run(gives_after(1h, i), aio::testing::virtual_clock()); });
    for (std::thread& each : threads) each.join();
    CHECK(sum == 6);
}

TEST_CASE("run: Ctrl-C cancels main, and then keyboard_interrupt is thrown", "[RUN-19][RUN-23]") {
    const counted_interrupts outside;
    trace log;
    CHECK_THROWS_AS(virtual_run(
                        [&log]() -> aio::task<> {
                            ::kill(::getpid(), SIGINT);
                            try {
                                co_await aio::sleep(1h);
                            } catch (const aio::cancelled_error&) {
                                log.push_back("cancelled");
                                throw;
                            }
                        },
                        interruptible()),
                    aio::keyboard_interrupt);
    CHECK(log == trace{"cancelled"});
    CHECK(interrupts == 0);
    std::raise(SIGINT); // what was there before is there again
    CHECK(interrupts == 1);
}

TEST_CASE("run: Ctrl-C in a busy main is delivered at a suspension", "[RUN-19]") {
    const counted_interrupts outside;
    int rounds = 0;
    CHECK_THROWS_AS(virtual_run(
                        [&rounds]() -> aio::task<> {
                            for (;;) {
                                if (++rounds == 3) std::raise(SIGINT);
                                co_await aio::yield();
                            }
                        },
                        interruptible()),
                    aio::keyboard_interrupt);
    CHECK(rounds >= 3);
}

TEST_CASE("run: Ctrl-C and somebody else's cancel is a cancelled_error", "[RUN-20]") {
    const counted_interrupts outside;
    const auto main = []() -> aio::task<> {
        aio::get_running_loop().call_later(1s, [main = aio::current_task()] { main.cancel(); });
        std::raise(SIGINT);
        try {
            co_await aio::sleep(1h);
        } catch (const aio::cancelled_error&) {}
        co_await aio::sleep(1h); // cancelled by the timer
    };
    CHECK_THROWS_AS(virtual_run(main, interruptible()), aio::cancelled_error);
}

TEST_CASE("run: main may swallow Ctrl-C and return", "[RUN-22]") {
    const counted_interrupts outside;
    const int got = virtual_run(
        []() -> aio::task<int> {
            std::raise(SIGINT);
            co_return co_await swallows(6);
        },
        interruptible());
    CHECK(got == 6);
    std::raise(SIGINT);
    CHECK(interrupts == 1);
}

TEST_CASE("run: an exception of main wins over Ctrl-C", "[RUN-22]") {
    const counted_interrupts outside;
    const auto main = []() -> aio::task<> {
        std::raise(SIGINT);
        try {
            co_await aio::sleep(1h);
        } catch (const aio::cancelled_error&) {
            throw boom("instead");
        }
    };
    CHECK_THROWS_AS(virtual_run(main, interruptible()), boom);
}

TEST_CASE("run: does not touch SIGINT unless it is asked to", "[RUN-19][RUN-23]") {
    const counted_interrupts outside;
    virtual_run([]() -> aio::task<> {
        std::raise(SIGINT);
        co_await aio::sleep(1s);
    });
    CHECK(interrupts == 1);
}

TEST_CASE("run: main cancelled by others is no keyboard_interrupt", "[RUN-20]") {
    const counted_interrupts outside;
    CHECK_THROWS_AS(virtual_run(
                        []() -> aio::task<> {
                            aio::current_task().cancel();
                            co_await aio::sleep(1h);
                        },
                        interruptible()),
                    aio::cancelled_error);
}
