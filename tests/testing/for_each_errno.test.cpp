// SPDX-License-Identifier: BSL-1.0
#include <asynchio/testing/for_each_errno.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/net.hpp"
#include "support/probes.hpp"

#include <asynchio/io/open_connection.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/sleep.hpp>

#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <string>
#include <sys/socket.h>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;
using aio::testing::errno_plan;
using aio::testing::errno_report;
using aio::testing::for_each_errno;

TEST_CASE("for_each_errno: what makes no system call meets no fault") {
    int runs = 0;
    const errno_report report = for_each_errno([&]() -> aio::task<> {
        ++runs;
        co_await aio::sleep(1h);
    });
    CHECK(runs == 1);
    CHECK(report.points == 0);
    CHECK(report.runs.empty());
    CHECK(report.pairs() == 0);
}

TEST_CASE("for_each_errno: meets each error of each call, and tells what came of it", "[io]") {
    const errno_report report = for_each_errno([]() -> aio::task<> {
        const std::string error = co_await error_of([] { return aio::open_connection("127.0.0.1", 9); });
        if (!error.ends_with("Connection refused")) throw std::runtime_error(error);
    });
    // getaddrinfo, socket, setsockopt, connect, getsockopt, close.
    CHECK(report.points == 6);
    CHECK(report.pairs() == report.runs.size());
    CHECK(report.pairs() > 40);
    CHECK(report.failed > 10);
    CHECK(report.failed < report.runs.size());
    for (const auto& each : report.runs) {
        if (each.what.call == "close") CHECK(each.error == nullptr);
        if (each.what.call == "socket" && each.what.error == EMFILE)
            CHECK(text_of(each.error) == "connect to 127.0.0.1:9: Too many open files");
    }
}

TEST_CASE("for_each_errno: later calls of the same name fail too, if that is the plan", "[io]") {
    const auto scenario = []() -> aio::task<> {
        for (int i = 0; i < 3; ++i) {
            const std::string error = co_await error_of([] { return aio::open_connection("127.0.0.1", 9); });
            if (i == 2 && !error.ends_with("Connection refused")) throw std::runtime_error(error);
        }
    };
    errno_plan plan;
    const auto once = for_each_errno(scenario, plan);
    plan.all_later = true;
    const auto always = for_each_errno(scenario, plan);
    CHECK(always.points == once.points);
    CHECK(always.failed > 2 * once.failed);
}

TEST_CASE("for_each_errno: a scenario that hangs when a call fails is reported, with what it waits for", "[io]") {
    const std::string message = message_of([] {
        for_each_errno([]() -> aio::task<> {
            const std::string error = co_await error_of([] { return aio::open_connection("127.0.0.1", 9); });
            if (error.ends_with("Too many open files")) co_await aio::future<>();
        });
    });
    CHECK(contains(message, "call 2 (socket, error " + std::to_string(EMFILE) + ")"));
    CHECK(contains(message, "hangs"));
    CHECK(contains(message, "waiting for future"));
    CHECK(aio::testing::audit().clean());
    CHECK(aio::detail::calls.socket == &::socket);
}

TEST_CASE("for_each_errno: a scenario that leaves a descriptor open is reported", "[io]") {
    aio::stream left;
    const std::string message = message_of([&] {
        for_each_errno([&]() -> aio::task<> {
            stream_pair ends;
            char byte;
            co_await ends.first.write("x");
            try {
                co_await ends.second.read_some(aio::mutable_byte_view(&byte, 1));
            } catch (const std::exception&) {
                left = std::move(ends.second);
            }
        });
    });
    CHECK(contains(message, "(recv, error "));
    CHECK(contains(message, "still alive"));
    CHECK(contains(message, "descriptors: 1"));
    left = aio::stream();
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("for_each_errno: what fails untouched fails", "[io]") {
    CHECK(message_of([] { for_each_errno([]() -> aio::task<> { co_await aio::open_connection("127.0.0.1", 9); }); }) ==
          "connect to 127.0.0.1:9: Connection refused");
    CHECK(message_of([] { for_each_errno([]() -> aio::task<> { throw std::runtime_error("no task"); }); }) ==
          "no task");
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("for_each_errno: what is under way in the system comes before time passes", "[io]") {
    const errno_report report = for_each_errno([]() -> aio::task<> {
        // Refused by the system at once; time does not jump to the time-out first.
        aio::connect_options options;
        options.timeout = 1h;
        const auto begin = aio::clock::now();
        static_cast<void>(co_await error_of([&] { return aio::open_connection("127.0.0.1", 9, options); }));
        CHECK(aio::clock::now() - begin == 0s);
    });
    CHECK(report.failed == 0);
}
