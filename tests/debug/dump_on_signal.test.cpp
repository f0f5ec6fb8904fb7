// SPDX-License-Identifier: BSL-1.0
#include <asynchio/debug/dump_on_signal.hpp>

// covers: debug/detail/print_to_stderr.hpp
#include <asynchio/sync/event.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>

#include "support/captured_stderr.hpp"
#include "support/message_of.hpp"
#include "support/virtual_run.hpp"

#include <chrono>
#include <csignal>
#include <stdexcept>
#include <string>

namespace aio = asynchio;
using asynchio_tests::captured_stderr;
using asynchio_tests::contains;
using asynchio_tests::message_of;
using asynchio_tests::virtual_run;
using namespace std::chrono_literals;

TEST_CASE("dump_on_signal: the dump of all tasks goes to stderr when the signal arrives") {
    std::string text;
    virtual_run([&]() -> aio::task<> {
        const captured_stderr printed;
        aio::debug::dump_on_signal(SIGUSR1);
        const auto handle = aio::create_task(aio::sleep(1h), "sleeper");
        co_await aio::yield();
        std::raise(SIGUSR1);
        co_await aio::sleep(1s);
        handle.cancel();
        text = printed.text();
    });
    CHECK(contains(text, "sleeper: waiting for sleep\n    created at "));
    CHECK(contains(text, "Task-1: waiting for sleep\n"));
}

TEST_CASE("dump_on_signal: it does not hide a deadlock, as a handler of the program does") {
    const auto stuck = [](bool also_another) {
        return message_of([also_another] {
            virtual_run([also_another]() -> aio::task<> {
                aio::event never;
                aio::debug::dump_on_signal(SIGUSR1);
                if (also_another) {
                    aio::get_running_loop().add_signal_handler(SIGUSR1, [&never] { never.set(); });
                    std::raise(SIGUSR1);
                }
                co_await never.wait();
            });
        });
    };
    CHECK(contains(stuck(false), "nothing can wake them"));
    CHECK(stuck(true).empty());
}

TEST_CASE("dump_on_signal: refused without a loop, and for what is no signal") {
    CHECK_THROWS_AS(aio::debug::dump_on_signal(SIGUSR1), std::logic_error);
    virtual_run([]() -> aio::task<> {
        CHECK_THROWS_AS(aio::debug::dump_on_signal(-1), std::invalid_argument);
        co_return;
    });
}
