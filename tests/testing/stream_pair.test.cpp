// SPDX-License-Identifier: BSL-1.0
#include <asynchio/testing/stream_pair.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/net.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/runner.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// A connection in memory, its ends with names.
struct ends {
    explicit ends(std::size_t capacity = 65'536) : ends(aio::testing::stream_pair(capacity)) {}
    explicit ends(std::pair<aio::stream, aio::stream> both)
        : first(std::move(both.first)), second(std::move(both.second)) {}
    aio::stream first;
    aio::stream second;
};

} // namespace

TEST_CASE("stream_pair: refuses to be without room") {
    CHECK(message_of([] { aio::testing::stream_pair(0); }) == "stream_pair: the capacity must be at least 1 byte");
}

TEST_CASE("stream_pair: what is written at one end is read at the other, both ways", "[SRD-1][SRD-21]") {
    virtual_run([]() -> aio::task<> {
        ends pair;
        CHECK(pair.first.native_handle() == -1);
        CHECK_FALSE(pair.first.peer_address());
        co_await pair.first.write("there\n");
        co_await pair.second.write("back\n");
        std::string line = co_await pair.second.read_line();
        CHECK(line == "there\n");
        line = co_await pair.first.read_line();
        CHECK(line == "back\n");
        CHECK(pair.first.bytes_written() == 6);
    });
}

TEST_CASE("stream_pair: a reader waits in virtual time for what comes later") {
    virtual_run([]() -> aio::task<> {
        ends pair;
        const auto serving = aio::create_task(echo_lines(std::move(pair.second)));
        const auto begin = aio::clock::now();
        auto late = [&]() -> aio::task<> {
            co_await aio::sleep(1h);
            co_await pair.first.write("late\n");
        };
        auto reads = [&]() -> aio::task<> {
            const std::string line = co_await pair.first.read_line();
            CHECK(line == "late\n");
            CHECK(aio::clock::now() - begin == 1h);
            auto never = [&]() -> aio::task<> { co_await pair.first.read_line(); };
            const auto end = co_await aio::nothrow(aio::wait_for(never, 24h));
            CHECK_FALSE(end);
            CHECK(aio::clock::now() - begin == 25h);
        };
        co_await aio::gather(late, reads);
        co_await pair.first.aclose();
        co_await serving;
    });
}

TEST_CASE("stream_pair: a peer that reads a byte a second takes as long as it takes", "[SWR-4]") {
    virtual_run([]() -> aio::task<> {
        ends pair(10);
        const auto begin = aio::clock::now();
        auto writes = [&]() -> aio::task<> {
            co_await pair.first.write(std::string(100, 'x'));
            CHECK(aio::clock::now() - begin == 89s); // the last ten are under way
            co_await pair.first.aclose();
        };
        auto reads = [&]() -> aio::task<> {
            for (;;) {
                char one;
                const std::size_t got = co_await pair.second.read_some(aio::mutable_byte_view(&one, 1));
                if (got == 0) break;
                co_await aio::sleep(1s);
            }
            CHECK(aio::clock::now() - begin == 100s);
        };
        co_await aio::gather(writes, reads);
    });
}

TEST_CASE("stream_pair: who never reads holds up who writes, and a time-out ends that", "[SWR-4][SWR-8]") {
    virtual_run([]() -> aio::task<> {
        ends pair(1000);
        auto writes = [&]() -> aio::task<> { co_await pair.first.write(std::string(5000, 'x')); };
        const auto end = co_await aio::nothrow(aio::wait_for(writes, 1h));
        CHECK_FALSE(end);
        CHECK(pair.first.bytes_written() == 1000);
        const std::string got = co_await pair.second.read_exactly(1000);
        CHECK(got == std::string(1000, 'x'));
    });
}

TEST_CASE("stream_pair: the end is seen after what was sent before it", "[SRD-12][SWR-13][SWR-14]") {
    virtual_run([]() -> aio::task<> {
        for (const bool waits : {false, true}) {
            ends pair;
            const auto all = waits ? aio::create_task(pair.second.read_all()) : aio::task_handle<std::string>();
            co_await aio::yield();
            co_await pair.first.write("abc");
            co_await pair.first.write_eof();
            std::string got;
            if (waits)
                got = co_await all;
            else
                got = co_await pair.second.read_all();
            CHECK(got == "abc");
            CHECK(pair.second.at_eof());
            co_await pair.second.write("still\n"); // the other way is open
            const std::string answer = co_await pair.first.read_line();
            CHECK(answer == "still\n");
            co_await pair.second.aclose();
            const std::string rest = co_await pair.first.read_line();
            CHECK(rest.empty());
        }
    });
}

TEST_CASE("stream_pair: an end that is destroyed or closed ends reading and breaks writing", "[SWR-16]") {
    virtual_run([]() -> aio::task<> {
        for (const bool destroyed : {false, true}) {
            ends pair(10);
            co_await pair.second.write("last");
            const auto writer =
                aio::create_task(error_of([&] { return pair.first.write("more than ten bytes of text"); }));
            co_await aio::testing::run_until_idle();
            if (destroyed)
                pair.second = aio::stream();
            else
                co_await pair.second.aclose();
            const std::string error = co_await writer;
            CHECK(error == "write to the second of a pair: Broken pipe");
        }
        ends pair;
        co_await pair.second.write("last");
        co_await pair.second.aclose();
        const std::string got = co_await pair.first.read_all();
        CHECK(got == "last");
    });
}

TEST_CASE("stream_pair: abort is a reset for the other end, at once where nothing is left to be read",
          "[SWR-11][SRD-13]") {
    virtual_run([]() -> aio::task<> {
        ends pair;
        co_await pair.first.write("lost");
        const auto reader = aio::create_task(error_of([&] { return pair.first.read_line(); }));
        co_await aio::testing::run_until_idle();
        pair.second.abort();
        const std::string error = co_await reader;
        CHECK(error == "read from the second of a pair: Connection reset by peer");
        ends other;
        co_await other.first.write("lost");
        other.first.abort();
        const std::string second = co_await error_of([&] { return other.second.read_line(); });
        CHECK(second == "read from the first of a pair: Connection reset by peer");
        ends third; // as by TCP: what was sent before is read first
        co_await third.first.write("sent\nlost");
        third.first.abort();
        const std::string unwritten = co_await error_of([&] { return third.second.write("x"); });
        CHECK(unwritten == "write to the first of a pair: Connection reset by peer");
        const std::string line = co_await third.second.read_line();
        CHECK(line == "sent\n");
        for (int i = 0; i < 2; ++i) {
            const std::string error_behind = co_await error_of([&] { return third.second.read_line(); });
            CHECK(error_behind == "read from the first of a pair: Connection reset by peer");
        }
    });
}

TEST_CASE("stream_pair: a cancelled read loses no byte, a cancelled write tells how much went out", "[SRD-15][SWR-8]") {
    for (const std::size_t capacity : {std::size_t(1), std::size_t(3), std::size_t(100)}) {
        const auto report = aio::testing::for_each_cancellation([capacity]() -> aio::task<> {
            ends pair(capacity);
            const std::string text = "one\ntwo\nthree\n";
            auto writes = [&]() -> aio::task<> { co_await pair.first.write(text); };
            std::string got;
            auto reads = [&]() -> aio::task<> {
                while (got.size() < text.size()) got += co_await pair.second.read_line();
            };
            std::exception_ptr cancelled;
            try {
                co_await aio::gather(writes, reads);
            } catch (const aio::cancelled_error&) {
                cancelled = std::current_exception();
            }
            const auto sent = static_cast<std::size_t>(pair.first.bytes_written());
            CHECK(got == text.substr(0, got.size()));
            if (sent > got.size()) got += co_await pair.second.read_exactly(sent - got.size());
            CHECK(got == text.substr(0, sent));
            if (cancelled) std::rethrow_exception(cancelled);
            CHECK(sent == text.size());
        });
        CHECK(report.points >= 4);
        CHECK(report.failed == 0);
    }
}

TEST_CASE("stream_pair: outlives its loop, and goes on in another one") {
    const audited afterwards;
    std::optional<ends> pair(std::in_place);
    for (int round = 0; round < 2; ++round) {
        aio::run(
            [&]() -> aio::task<> {
                // Both are left waiting; the end of the loop destroys them.
                const auto reader = aio::create_task([&]() -> aio::task<> { co_await pair->second.read_exactly(100); });
                co_await aio::yield();
                co_await pair->first.write("some");
                co_await aio::testing::run_until_idle();
            },
            aio::testing::virtual_clock());
    }
    const std::string rest = aio::run(
        [&]() -> aio::task<std::string> {
            co_await pair->first.aclose();
            co_return co_await pair->second.read_all();
        },
        aio::testing::virtual_clock());
    CHECK(rest == "somesome");
}

TEST_CASE("stream_pair: a loop that is closed while both ends wait leaves nothing behind") {
    const audited afterwards;
    ends pair(4);
    {
        aio::event_loop loop({.virtual_time = true});
        loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {}); // tasks that are pending
        auto first = std::make_shared<aio::stream>(std::move(pair.first));
        loop.create_task([first]() -> aio::task<> { co_await first->write("more than four"); });
        loop.create_task([&]() -> aio::task<> { co_await pair.second.write("more than four"); });
        first.reset(); // the first task's frame has it
        aio::testing::run_until_idle(loop);
    }
    CHECK_FALSE(pair.second.is_closed());
}

TEST_CASE("stream_pair: whatever the pieces, the bytes come out as they went in") {
    const auto seed = std::random_device()();
    INFO("seed: " << seed);
    std::mt19937 random(seed);
    for (int round = 0; round < 100; ++round) {
        virtual_run([&]() -> aio::task<> {
            ends pair(std::uniform_int_distribution<std::size_t>(1, 40)(random));
            std::string text(std::uniform_int_distribution<std::size_t>(0, 2000)(random), ' ');
            for (char& each : text) each = static_cast<char>('a' + random() % 26);
            auto writes = [&]() -> aio::task<> {
                for (std::size_t at = 0; at < text.size();) {
                    const std::string part = text.substr(at, 1 + random() % 100);
                    co_await pair.first.write(part);
                    at += part.size();
                    if (random() % 4 == 0) co_await aio::sleep(1ms);
                }
                co_await pair.first.write_eof();
            };
            std::string got;
            auto reads = [&]() -> aio::task<> {
                for (;;) {
                    std::string part = co_await pair.second.read(1 + random() % 100);
                    if (part.empty()) break;
                    got += part;
                    if (random() % 4 == 0) co_await aio::sleep(1ms);
                }
            };
            co_await aio::gather(writes, reads);
            CHECK(got == text);
        });
    }
}

TEST_CASE("stream_pair: a hundred thousand round trips") {
    virtual_run([]() -> aio::task<> {
        ends pair;
        const auto serving = aio::create_task(echo_lines(std::move(pair.second)));
        for (int i = 0; i < 100'000; ++i) {
            co_await pair.first.write("x\n");
            const std::string line = co_await pair.first.read_line();
            if (line != "x\n") FAIL_CHECK("round trip " << i);
        }
        co_await pair.first.aclose();
        co_await serving;
    });
}
