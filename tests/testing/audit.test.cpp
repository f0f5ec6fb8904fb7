// SPDX-License-Identifier: BSL-1.0
#include <asynchio/testing/audit.hpp>

#include <asynchio/io/open_connection.hpp>
#include <asynchio/io/server.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/runner.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/testing/policies.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <unistd.h>
#include <vector>

namespace aio = asynchio;
using aio::testing::audit;
using asynchio_tests::contains;
using namespace std::chrono_literals;

namespace {

aio::task<> naps() { co_await aio::sleep(1h); }

} // namespace

TEST_CASE("audit: nothing is alive when nothing was made") {
    const aio::testing::audit_report report = audit();
    CHECK(report.clean());
    CHECK(report.to_string().empty());
}

TEST_CASE("audit: counts a loop while it lives") {
    {
        const aio::event_loop one;
        const aio::event_loop two;
        CHECK(audit().loops == 2);
        CHECK_FALSE(audit().clean());
        CHECK(audit().to_string() == "loops: 2\n");
    }
    CHECK(audit().clean());
}

TEST_CASE("audit: counts a task that was never awaited, and a handle that keeps a result") {
    {
        const aio::task<> forgotten = naps();
        CHECK(audit().frames == 1);
    }
    CHECK(audit().clean());
    {
        aio::task_handle<int> kept;
        aio::run(
            [&]() -> aio::task<> {
                kept = aio::create_task([]() -> aio::task<int> { co_return 1; });
                co_await kept;
            },
            aio::testing::virtual_clock());
        CHECK(kept.result() == 1);
        CHECK(audit().frames == 1);
        CHECK(audit().loops == 0);
    }
    CHECK(audit().clean());
}

TEST_CASE("audit: counts calls and timers that were not made yet") {
    {
        aio::event_loop loop({.virtual_time = true});
        loop.call_soon([] {});
        aio::timer_handle timer = loop.call_later(1h, [] {});
        CHECK(audit().frames == 2);
        timer.cancel();
        CHECK(audit().frames == 2); // the handle still asks
        timer = aio::timer_handle();
        CHECK(audit().frames == 1);
    }
    CHECK(audit().clean());
}

TEST_CASE("audit: counts the descriptors of streams and servers, with their loop and without it", "[io]") {
    aio::stream left;
    std::optional<aio::server> server;
    {
        aio::runner runner;
        runner.run([&]() -> aio::task<> {
            auto drop = [](aio::stream) {};
            server = co_await aio::start_unix_server(drop, "@asynchio-audit-" + std::to_string(::getpid()));
            CHECK(audit().descriptors == 1);
            left = co_await aio::open_unix_connection(server->addresses()[0].path());
            CHECK(audit().descriptors >= 2);
            const std::string end = co_await left.read_all();
            CHECK(end.empty());
            CHECK(audit().descriptors == 2);
            server->close();
            CHECK(audit().descriptors == 1);
        });
    }
    CHECK(audit().to_string() == "descriptors: 1\n");
    CHECK_FALSE(audit().clean());
    left.abort();
    CHECK(audit().clean());
}

TEST_CASE("audit: inside a loop it names the other tasks that are left, and counts timers") {
    aio::run(
        []() -> aio::task<> {
            const aio::testing::audit_report before = audit();
            CHECK(before.tasks == 0);
            CHECK(before.timers == 0);
            CHECK(before.loops == 1);
            const unsigned line = __LINE__ + 1;
            const auto left = aio::create_task(naps(), "left over");
            co_await aio::sleep(1s);
            const aio::testing::audit_report after = audit();
            CHECK(after.tasks == 1);
            CHECK(after.timers == 1);
            CHECK(after.frames == before.frames + 1);
            CHECK_FALSE(after.clean());
            const std::string text = after.to_string();
            CHECK(contains(text, "tasks: 1\n"));
            CHECK(contains(text, "timers: 1\n"));
            CHECK(contains(text, "left over created at " + std::string(__FILE__) + ":" + std::to_string(line)));
            left.cancel();
        },
        aio::testing::virtual_clock());
    CHECK(audit().clean());
}
