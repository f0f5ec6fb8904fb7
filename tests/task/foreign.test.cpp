// SPDX-License-Identifier: BSL-1.0
#include <asynchio/task/foreign.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"
#include "support/reports.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/race.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/testing/audit.hpp>

#include <coroutine>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// What an awaiter of another library does: keeps a plain handle.
struct mailbox_of_handles {
    std::coroutine_handle<> handle;
    int value = 0;

    struct awaiter {
        mailbox_of_handles& box;
        static bool await_ready() noexcept { return false; }
        void await_suspend(std::coroutine_handle<> h) const noexcept { box.handle = h; }
        int await_resume() const noexcept { return box.value; }
    };
    awaiter operator co_await() noexcept { return {*this}; }
};

/// Resumes from a plain call of the running loop.
struct by_call_soon {
    static bool await_ready() noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) const {
        aio::get_running_loop().call_soon([h] { h.resume(); });
    }
    static void await_resume() noexcept {}
};

/// Resumes from a thread of its own.
struct by_thread {
    std::thread& worker;
    static bool await_ready() noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) const {
        worker = std::thread([h] { h.resume(); });
    }
    static int await_resume() noexcept { return 7; }
};

enum class answer { ready, no, yes, throws, itself };

struct answering {
    answer how;
    std::vector<std::string>& log;

    bool await_ready() const noexcept { return how == answer::ready; }
    bool await_suspend(std::coroutine_handle<> h) const {
        if (how == answer::throws) throw boom("suspend");
        if (how == answer::yes) aio::get_running_loop().call_soon([h] { h.resume(); });
        return how != answer::no;
    }
    int await_resume() const {
        log.push_back("resumed");
        return 3;
    }
};

struct handing_over {
    static bool await_ready() noexcept { return false; }
    static std::coroutine_handle<> await_suspend(std::coroutine_handle<> h) noexcept { return h; }
    static int await_resume() noexcept { return 5; }
};

const aio::run_options virtual_time{.virtual_time = true};

} // namespace

TEST_CASE("foreign: the result of an awaiter that is resumed in another task's step") {
    mailbox_of_handles box;
    trace log;
    aio::run(
        [&]() -> aio::task<> {
            const auto waiting = aio::create_task([&]() -> aio::task<> {
                log.push_back(std::to_string(co_await aio::foreign(box)));
                log.push_back(aio::current_task() ? "in a task" : "in none");
            });
            co_await aio::yield();
            box.value = 4;
            box.handle.resume();
            log.push_back("posted");
            co_await waiting;
        },
        virtual_time);
    CHECK(log == trace{"posted", "4", "in a task"});
}

TEST_CASE("foreign: every answer of await_suspend") {
    std::vector<std::string> log;
    aio::run(
        [&]() -> aio::task<> {
            for (const answer how : {answer::ready, answer::no, answer::yes}) {
                answering x{how, log};
                const auto result = co_await aio::foreign(x);
                CHECK(result == 3);
            }
            answering failing{answer::throws, log};
            std::string what;
            try {
                co_await aio::foreign(failing);
            } catch (const boom& e) {
                what = e.what();
            }
            CHECK(what == "suspend");
            const auto handed_over = co_await aio::foreign(handing_over());
            CHECK(handed_over == 5);
            co_await aio::sleep(1ms); // the task is as before
        },
        virtual_time);
    CHECK(log == std::vector<std::string>(3, "resumed"));
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("foreign: resumed by another thread, with and without a step of the loop in between") {
    for (int i = 0; i < 50; ++i) {
        std::thread worker;
        const int got = aio::run([&]() -> aio::task<int> {
            by_thread x{worker};
            const int value = co_await aio::foreign(x);
            co_await aio::yield();
            co_return value;
        });
        worker.join();
        CHECK(got == 7);
    }
}

TEST_CASE("foreign: virtual time stands still while it waits") {
    std::thread worker;
    aio::run(
        [&]() -> aio::task<> {
            const auto sleeper = aio::create_task(aio::sleep(1h));
            by_thread x{worker};
            co_await aio::foreign(x);
            CHECK_FALSE(sleeper.done());
        },
        virtual_time);
    worker.join();
}

TEST_CASE("foreign: a request to cancel waits for the next suspension, and the result is not lost") {
    mailbox_of_handles box;
    trace log;
    aio::run(
        [&]() -> aio::task<> {
            const auto waiting = aio::create_task([&]() -> aio::task<> {
                log.push_back(std::to_string(co_await aio::foreign(box)));
                try {
                    co_await aio::sleep(1h);
                } catch (const aio::cancelled_error&) {
                    log.push_back("cancelled");
                    throw;
                }
            });
            co_await aio::yield();
            CHECK(waiting.cancel());
            CHECK(waiting.cancel());
            co_await aio::yield();
            CHECK_FALSE(waiting.done());
            box.value = 9;
            box.handle.resume();
            co_await aio::nothrow(waiting);
            CHECK(waiting.cancelled());
        },
        virtual_time);
    CHECK(log == trace{"9", "cancelled"});
}

TEST_CASE("foreign: a handle that is destroyed instead is an error") {
    mailbox_of_handles box;
    aio::run(
        [&]() -> aio::task<> {
            const auto waiting = aio::create_task([&]() -> aio::task<int> { co_return co_await aio::foreign(box); });
            co_await aio::yield();
            box.handle.destroy();
            const auto ended = co_await aio::nothrow(waiting);
            CHECK_THAT(message_of([&] { ended.rethrow(); }),
                       Catch::Matchers::Contains("foreign: the handle was destroyed"));
        },
        virtual_time);
}

TEST_CASE("foreign: the handle outlives the loop, resumed or destroyed") {
    for (const bool resumed : {true, false}) {
        mailbox_of_handles box;
        {
            aio::event_loop loop;
            loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
            loop.create_task([&box]() -> aio::task<> { co_await aio::foreign(box); });
            loop.call_soon([&] { loop.call_soon([&] { loop.stop(); }); });
            loop.run_forever();
        }
        REQUIRE(box.handle);
        if (resumed)
            box.handle.resume();
        else
            box.handle.destroy();
        CHECK(aio::testing::audit().clean());
    }
}

TEST_CASE("foreign: as a child of gather and race") {
    aio::run(
        [&]() -> aio::task<> {
            auto one = []() -> aio::task<int> { co_return co_await aio::foreign(handing_over()); };
            const auto both = co_await aio::gather(one, one);
            CHECK(std::get<0>(both) + std::get<1>(both) == 10);
            const auto first = co_await aio::race(one, aio::sleep(1h));
            CHECK(first.index() == 0);
        },
        virtual_time);
}

TEST_CASE("foreign: an awaiter that resumes from a plain call works as it stands") {
    trace log;
    aio::run(
        [&]() -> aio::task<> {
            auto inner = [&]() -> aio::task<int> {
                co_await by_call_soon();
                log.push_back(aio::current_task() ? "in a task" : "in none");
                co_await aio::sleep(1ms);
                log.push_back(aio::current_task() ? "in a task" : "in none");
                co_await by_call_soon();
                co_return 6;
            };
            const int value = co_await inner(); // ends in a plain call
            log.push_back(std::to_string(value));
            co_await by_call_soon();
            const auto both = co_await aio::gather(inner(), inner());
            CHECK(std::get<0>(both) == 6);
            const auto child = aio::create_task(inner());
            const auto result_of_child = co_await child;
            CHECK(result_of_child == 6);
            co_await by_call_soon(); // the task's last step is a plain call
        },
        virtual_time);
    CHECK(log.size() == 9);
    CHECK(log.front() == "in none");
    CHECK(log[1] == "in a task");
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("foreign: a million resumptions from plain calls do not grow the stack") {
    aio::run([]() -> aio::task<> {
        auto one = []() -> aio::task<> { co_await by_call_soon(); };
        for (int i = 0; i < 100'000; ++i) co_await one();
    });
    SUCCEED();
}

TEST_CASE("foreign: a loop that closes destroys the frame that is really suspended") {
    trace log;
    struct tells {
        trace& to;
        std::string what;
        ~tells() { to.push_back(what); }
    };
    {
        aio::event_loop loop;
        loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
        loop.create_task([&log]() -> aio::task<> {
            tells outer{log, "outer"};
            auto first = []() -> aio::task<> { co_await aio::sleep(0ms); };
            auto last = [](trace& to) -> aio::task<> {
                tells inner{to, "inner"};
                co_await std::suspend_always();
            };
            co_await first();
            co_await last(log);
        });
        loop.call_later(1ms, [&] { loop.stop(); });
        loop.run_forever();
    }
    CHECK(log == trace{"inner", "outer"});
    CHECK(aio::testing::audit().clean());
}
