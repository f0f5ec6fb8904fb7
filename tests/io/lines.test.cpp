// SPDX-License-Identifier: BSL-1.0
#include <asynchio/io/lines.hpp>

#include "support/catch.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/with.hpp>
#include <asynchio/core/read_errors.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/stream_pair.hpp>

#include <string>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;

namespace {

aio::task<std::vector<std::string>> collect(aio::async_generator<std::string> all) {
    std::vector<std::string> found;
    while (auto line = co_await all.next()) found.push_back(*line);
    co_return found;
}

} // namespace

TEST_CASE("lines: gives each line without its newline, and what stands behind the last one", "[io]") {
    virtual_run([]() -> aio::task<> {
        auto ends = aio::testing::stream_pair();
        co_await ends.second.write("one\n\ntwo\r\nrest");
        co_await ends.second.write_eof();
        const auto found = co_await collect(aio::lines(ends.first));
        CHECK(found == std::vector<std::string>{"one", "", "two\r", "rest"});
        CHECK_FALSE(ends.first.is_closed());
        const auto none = co_await collect(aio::lines(ends.first));
        CHECK(none.empty());
    });
}

TEST_CASE("lines: a stream that was given up is closed with the generator", "[io]") {
    virtual_run([]() -> aio::task<> {
        auto ends = aio::testing::stream_pair();
        co_await ends.second.write("one\ntwo\n");
        {
            auto all = aio::lines(std::move(ends.first));
            const auto first = co_await all.next();
            CHECK(*first == "one");
            co_await all.aclose();
        }
        const std::string end = co_await ends.second.read_line();
        CHECK(end.empty());
    });
}

TEST_CASE("lines: a line over the limit is an error, after which the stream goes on behind it", "[io]") {
    virtual_run([]() -> aio::task<> {
        auto ends = aio::testing::stream_pair();
        co_await ends.second.write("abcdefgh\nnext\n");
        auto all = aio::lines(ends.first, 4);
        const auto first = co_await aio::nothrow(all.next());
        CHECK_THROWS_AS(first.rethrow(), aio::limit_overrun_error);
        const auto over = co_await all.next();
        CHECK_FALSE(over.has_value());
        const std::string next = co_await ends.first.read_line();
        CHECK(next == "next\n");
    });
}

TEST_CASE("lines: a next that is cancelled loses no byte", "[io]") {
    virtual_run([]() -> aio::task<> {
        auto ends = aio::testing::stream_pair();
        auto all = aio::lines(ends.first);
        co_await ends.second.write("par");
        const auto waiting = aio::create_task([&]() -> aio::task<> { co_await all.next(); });
        co_await aio::yield();
        waiting.cancel();
        const auto ended = co_await aio::nothrow(waiting);
        CHECK(ended.cancelled());
        co_await ends.second.write("t\n");
        const std::string line = co_await ends.first.read_line();
        CHECK(line == "part\n");
    });
}
