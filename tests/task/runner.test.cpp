// SPDX-License-Identifier: BSL-1.0
// covers: run_until_complete.hpp

#include <asynchio/task/runner.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/reports.hpp"
#include "support/virtual_run.hpp"

#include <memory>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

aio::task<> ticks(trace& log) {
    for (int i = 0;; ++i) {
        log.push_back(std::to_string(i));
        co_await aio::yield();
    }
}

} // namespace

TEST_CASE("runner: makes its loop when it is first needed", "[RUN-13]") {
    const audited afterwards;
    aio::runner unused;
    CHECK(aio::testing::audit().loops == 0);
    {
        aio::runner by_loop;
        by_loop.get_loop();
        CHECK(aio::testing::audit().loops == 1);
    }
    CHECK(aio::testing::audit().loops == 0);
    aio::runner by_run(aio::testing::virtual_clock());
    CHECK(by_run.run(gives(1)) == 1);
    CHECK(aio::testing::audit().loops == 1);
}

TEST_CASE("runner: runs several mains on one loop, and what is left goes on in the next",
          "[RUN-14][LOOP-24][LOOP-26]") {
    const audited afterwards;
    trace log;
    aio::runner runner(aio::testing::virtual_clock());
    runner.run([&log]() -> aio::task<> {
        aio::create_task(ticks(log));
        co_await aio::yield();
    });
    const auto after_first = log.size();
    CHECK(after_first >= 2);
    const aio::event_loop* loop = &runner.get_loop();
    CHECK_FALSE(loop->is_closed());
    runner.run([]() -> aio::task<> { co_await aio::yield(); });
    CHECK(log.size() > after_first);
    for (std::size_t i = 0; i < log.size(); ++i) CHECK(log[i] == std::to_string(i));
    CHECK(&runner.get_loop() == loop);
}

TEST_CASE("runner: gives results of every kind, and passes arguments on", "[RUN-14]") {
    const audited afterwards;
    aio::runner runner(aio::testing::virtual_clock());
    CHECK(runner.run(gives, 5) == 5);
    CHECK(*runner.run([]() -> aio::task<std::unique_ptr<int>> { co_return std::make_unique<int>(6); }) == 6);
    int target = 0;
    CHECK(&runner.run([&target]() -> aio::task<int&> { co_return target; }) == &target);
    CHECK_THROWS_AS(runner.run(fails("first")), boom);
    CHECK(runner.run(aio::sleep(1s, 7)) == 7); // after a failure it still works
}

TEST_CASE("runner: close cancels what is left and waits for it; twice does no harm", "[RUN-16]") {
    const audited afterwards;
    trace log;
    aio::runner runner(aio::testing::virtual_clock());
    runner.run([&log]() -> aio::task<> {
        aio::create_task(cleans_up(10ms, "left", log));
        co_await aio::yield();
    });
    const aio::event_loop& loop = runner.get_loop();
    CHECK(log == trace{"left begins"});
    runner.close();
    CHECK(log == trace{"left begins", "left cancelled", "left cleaned up"});
    CHECK(loop.is_closed());
    runner.close();
}

TEST_CASE("runner: its destructor closes it", "[RUN-16]") {
    const audited afterwards;
    trace log;
    {
        aio::runner runner(aio::testing::virtual_clock());
        runner.run([&log]() -> aio::task<> {
            aio::create_task(cleans_up(10ms, "left", log));
            co_await aio::yield();
        });
    }
    CHECK(log.back() == "left cleaned up");
}

TEST_CASE("runner: a closed one does not run any more", "[RUN-17]") {
    const audited afterwards;
    aio::runner runner;
    runner.close();
    CHECK_THROWS_AS(runner.run(gives(1)), std::logic_error);
    CHECK_THROWS_AS(runner.get_loop(), std::logic_error);
}

TEST_CASE("runner: cannot run inside a running loop", "[RUN-18]") {
    const audited afterwards;
    aio::runner runner(aio::testing::virtual_clock());
    runner.run([&runner]() -> aio::task<> {
        CHECK_THROWS_AS(runner.run(gives(1)), std::logic_error);
        aio::runner other;
        CHECK_THROWS_AS(other.run(gives(1)), std::logic_error);
        co_return;
    });
}

TEST_CASE("runner: an interrupted run leaves the loop usable", "[RUN-19][RUN-14]") {
    const audited afterwards;
    aio::run_options options = aio::testing::virtual_clock();
    options.handle_sigint = true;
    aio::runner runner(options);
    for (int i = 0; i < 3; ++i) {
        CHECK_THROWS_AS(runner.run([]() -> aio::task<> {
            std::raise(SIGINT);
            co_await aio::sleep(1h);
        }),
                        aio::keyboard_interrupt);
    }
    CHECK(runner.run(gives(2)) == 2);
}

TEST_CASE("runner: a program's own handler for Ctrl-C stays, and is called each time", "[RUN-19]") {
    const audited afterwards;
    aio::run_options options = aio::testing::virtual_clock();
    options.handle_sigint = true;
    aio::runner runner(options);
    int calls = 0;
    for (int run = 1; run <= 2; ++run) {
        runner.run([&]() -> aio::task<> {
            if (run == 1) aio::get_running_loop().add_signal_handler(SIGINT, [&] { ++calls; });
            for (int i = 0; i < 3; ++i) {
                std::raise(SIGINT);
                co_await aio::sleep(1s);
            }
        });
        CHECK(calls == 3 * run);
    }
    CHECK(runner.get_loop().remove_signal_handler(SIGINT));
    CHECK_THROWS_AS(runner.run([]() -> aio::task<> {
        std::raise(SIGINT);
        co_await aio::sleep(1h);
    }),
                    aio::keyboard_interrupt);
}

TEST_CASE("runner: a Ctrl-C that the process ignores stays ignored", "[RUN-14]") {
    const audited afterwards;
    auto* const before = std::signal(SIGINT, SIG_IGN);
    aio::run_options options = aio::testing::virtual_clock();
    options.handle_sigint = true;
    const int result = aio::run(
        []() -> aio::task<int> {
            std::raise(SIGINT);
            co_await aio::sleep(1s);
            co_return 1;
        }(),
        options);
    CHECK(result == 1);
    CHECK(std::signal(SIGINT, before) == SIG_IGN);
}

TEST_CASE("run_until_complete: gives the result of a task, a handle or a future", "[LOOP-22]") {
    const audited afterwards;
    aio::event_loop loop(aio::testing::virtual_clock());
    CHECK(loop.run_until_complete(gives(1)) == 1);
    const auto handle = loop.create_task(gives_after(1s, 2));
    CHECK(loop.run_until_complete(handle) == 2);
    CHECK(loop.run_until_complete(handle) == 2);
    const auto f = loop.create_future<int>();
    loop.call_later(1s, [f] { f.set_result(3); });
    CHECK(loop.run_until_complete(f) == 3);
    CHECK_THROWS_AS(loop.run_until_complete(fails("failed")), boom);
    auto moved = loop.create_task([]() -> aio::task<std::unique_ptr<int>> { co_return std::make_unique<int>(4); });
    CHECK(*loop.run_until_complete(std::move(moved)) == 4);
}

TEST_CASE("run_until_complete: stop comes first, then what was run stays pending", "[LOOP-23]") {
    const audited afterwards;
    aio::event_loop loop(aio::testing::virtual_clock());
    const auto handle = loop.create_task(gives_after(1h, 2));
    loop.call_later(1s, [&loop] { loop.stop(); });
    CHECK_THROWS_AS(loop.run_until_complete(handle), std::runtime_error);
    CHECK_FALSE(handle.done());
    CHECK(loop.run_until_complete(handle) == 2);
}

TEST_CASE("run_until_complete: what else is ready in the last iteration still runs", "[LOOP-24]") {
    const audited afterwards;
    trace log;
    aio::event_loop loop(aio::testing::virtual_clock());
    loop.run_until_complete([&]() -> aio::task<> {
        loop.call_soon([&] {
            log.push_back("next iteration");
            loop.call_soon([&log] { log.push_back("too late"); });
        });
        co_return;
    });
    CHECK(log == trace{"next iteration"});
}

TEST_CASE("run_until_complete: misuse is refused", "[LOOP-25][LOOP-28]") {
    const audited afterwards;
    aio::event_loop loop(aio::testing::virtual_clock());
    CHECK_THROWS_AS(loop.run_until_complete(aio::task_handle<int>()), std::logic_error);
    aio::event_loop other;
    const auto foreign = other.create_future<int>();
    CHECK_THROWS_AS(loop.run_until_complete(foreign), std::logic_error);
    loop.run_until_complete([&loop]() -> aio::task<> {
        CHECK_THROWS_AS(loop.run_until_complete(gives(1)), std::logic_error);
        CHECK_THROWS_AS(loop.close(), std::logic_error);
        co_return;
    });
    loop.close();
    CHECK_THROWS_AS(loop.run_until_complete(gives(1)), std::logic_error);
    CHECK_THROWS_AS(loop.run_forever(), std::logic_error);
}
