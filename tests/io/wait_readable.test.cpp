// SPDX-License-Identifier: BSL-1.0
#include <asynchio/io/wait_readable.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/net.hpp"

#include <asynchio/combine/wait_for.hpp>
#include <asynchio/io/process.hpp>
#include <asynchio/io/stream.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/yield.hpp>

#include <chrono>
#include <fcntl.h>
#include <functional>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

struct pipe_ends {
    pipe_ends() {
        int both[2];
        REQUIRE(::pipe2(both, O_CLOEXEC | O_NONBLOCK) == 0);
        in = both[0];
        out = both[1];
    }
    pipe_ends(const pipe_ends&) = delete;
    pipe_ends& operator=(const pipe_ends&) = delete;
    ~pipe_ends() {
        if (in >= 0) ::close(in);
        if (out >= 0) ::close(out);
    }
    int in;
    int out;
};

} // namespace

TEST_CASE("wait_readable: waits until there is something, and notices what is there already", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const pipe_ends pipe;
        const auto waiting = aio::create_task(aio::wait_readable(pipe.in));
        co_await settle();
        CHECK_FALSE(waiting.done());
        REQUIRE(::write(pipe.out, "x", 1) == 1);
        co_await waiting;
        co_await aio::wait_readable(pipe.in); // it is still there
        CHECK(aio::get_running_loop().watched_descriptors() == 0);
    });
}

TEST_CASE("wait_readable: the end is something to read", "[io]") {
    on_each_poller([]() -> aio::task<> {
        pipe_ends pipe;
        ::close(std::exchange(pipe.out, -1));
        co_await aio::wait_readable(pipe.in);
    });
}

TEST_CASE("wait_writable: waits until there is room", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const pipe_ends pipe;
        co_await aio::wait_writable(pipe.out);
        const std::string much(1 << 20, 'x');
        REQUIRE(::write(pipe.out, much.data(), much.size()) > 0);
        const auto waiting = aio::create_task(aio::wait_writable(pipe.out));
        co_await settle();
        CHECK_FALSE(waiting.done());
        std::string into(1 << 20, ' ');
        REQUIRE(::read(pipe.in, into.data(), into.size()) > 0);
        co_await waiting;
    });
}

TEST_CASE("wait_readable: one at a time, what is no descriptor is refused, and it can be cancelled", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const pipe_ends pipe;
        const auto waiting = aio::create_task(aio::wait_readable(pipe.in));
        co_await settle();
        std::string error = co_await error_of([&] { return aio::wait_readable(pipe.in); });
        CHECK(error == "wait_readable: somebody waits for descriptor " + std::to_string(pipe.in) + " already");
        waiting.cancel();
        const auto ended = co_await aio::nothrow(waiting);
        CHECK(ended.cancelled());
        CHECK(aio::get_running_loop().watched_descriptors() == 0);
        const auto twice = aio::create_task(aio::wait_readable(pipe.in));
        co_await settle();
        REQUIRE(::write(pipe.out, "x", 1) == 1);
        while (!twice.done() && twice.cancelling() == 0) {
            co_await aio::yield();
            twice.cancel(); // before or after it was woken
        }
        const auto second = co_await aio::nothrow(twice);
        CHECK(aio::get_running_loop().watched_descriptors() == 0);
        error = co_await error_of([] { return aio::wait_writable(-1); });
        CHECK(contains(error, "-1"));
    });
}

TEST_CASE("wait_readable: a hundred thousand times", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const pipe_ends pipe;
        REQUIRE(::write(pipe.out, "x", 1) == 1);
        for (int i = 0; i < 100'000; ++i) co_await aio::wait_readable(pipe.in);
    });
}

TEST_CASE("wait_readable: cancelled, it leaves alone who has the number of its closed descriptor", "[io]") {
    on_each_poller([]() -> aio::task<> {
        pipe_ends old;
        const int number = old.in;
        const auto reading = aio::create_task(aio::wait_readable(number));
        const auto writing = aio::create_task(aio::wait_writable(number)); // of a pipe's reading end: never
        co_await settle();
        const pipe_ends next;
        REQUIRE(::dup3(next.in, number, O_CLOEXEC) == number);
        aio::stream stream = aio::stream::from_descriptor(number, "the new one");
        old.in = -1;
        const auto line = aio::create_task(
            [](aio::stream& s) -> aio::task<std::string> { co_return co_await s.read_line(); }, std::ref(stream));
        co_await settle();
        for (const auto& each : {reading, writing}) {
            each.cancel();
            const auto ended = co_await aio::nothrow(each);
            CHECK(ended.cancelled());
        }
        CHECK(aio::get_running_loop().watched_descriptors() == 1);
        REQUIRE(::write(next.out, "hello\n", 6) == 6);
        const std::string text = co_await aio::wait_for(line, 5s);
        CHECK(text == "hello\n");
    });
}

TEST_CASE("wait_readable: the number of a closed descriptor may be waited for again, and the first leaves alone",
          "[io]") {
    on_each_poller([]() -> aio::task<> {
        pipe_ends old;
        const auto first = aio::create_task(aio::wait_readable(old.in));
        co_await settle();
        const pipe_ends next;
        REQUIRE(::dup3(next.in, old.in, O_CLOEXEC) == old.in);
        const auto second = aio::create_task(aio::wait_readable(old.in));
        co_await settle();
        CHECK_FALSE(second.done());
        first.cancel();
        const auto ended = co_await aio::nothrow(first);
        CHECK(ended.cancelled());
        REQUIRE(::write(next.out, "x", 1) == 1);
        co_await aio::wait_for(second, 5s);
    });
}

TEST_CASE("wait_readable: cancelled, it leaves alone a subprocess whose descriptor has its number", "[io]") {
    on_each_poller([]() -> aio::task<> {
        pipe_ends old;
        const auto reading = aio::create_task(aio::wait_readable(old.in));
        co_await settle();
        ::close(std::exchange(old.in, -1)); // the least that is free: the one of the process gets it
        aio::process_options options;
        options.in = aio::subprocess::devnull;
        aio::process process = co_await aio::create_subprocess("cat", options);
        reading.cancel();
        const auto ended = co_await aio::nothrow(reading);
        CHECK(ended.cancelled());
        const int status = co_await aio::wait_for(process.wait(), 10s);
        CHECK(status == 0);
    });
}

TEST_CASE("wait_ready: tells which of the events have come", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const pipe_ends pipe;
        const auto both = aio::fd_events::readable | aio::fd_events::writable;
        const aio::fd_events first = co_await aio::wait_ready(pipe.out, both);
        CHECK(first == aio::fd_events::writable);
        const auto waiting = aio::create_task(aio::wait_ready(pipe.in, aio::fd_events::readable));
        co_await settle();
        CHECK_FALSE(waiting.done());
        REQUIRE(::write(pipe.out, "x", 1) == 1);
        const aio::fd_events second = co_await waiting;
        CHECK(second == aio::fd_events::readable);
        CHECK(aio::get_running_loop().watched_descriptors() == 0);
    });
}

TEST_CASE("wait_ready: tells both events of a socket that is ready for both", "[io]") {
    on_each_poller([]() -> aio::task<> {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
        REQUIRE(::write(ends[1], "x", 1) == 1);
        const auto both = aio::fd_events::readable | aio::fd_events::writable;
        const aio::fd_events ready = co_await aio::wait_ready(ends[0], both);
        CHECK(ready == both);
        CHECK((ready & aio::fd_events::writable) == aio::fd_events::writable);
        ::close(ends[0]);
        ::close(ends[1]);
    });
}

TEST_CASE("wait_ready: no event, and one that somebody waits for already, are misuse that leaves nothing behind",
          "[io]") {
    on_each_poller([]() -> aio::task<> {
        const pipe_ends pipe;
        const auto none = co_await aio::nothrow(
            aio::create_task([&]() -> aio::task<> { co_await aio::wait_ready(pipe.in, aio::fd_events::none); }));
        CHECK_THROWS_AS(none.rethrow(), std::invalid_argument);
        const auto first = aio::create_task(aio::wait_readable(pipe.in));
        co_await settle();
        const auto second = co_await aio::nothrow(aio::create_task([&]() -> aio::task<> {
            co_await aio::wait_ready(pipe.in, aio::fd_events::readable | aio::fd_events::writable);
        }));
        CHECK(contains(message_of([&] { second.rethrow(); }), "wait_ready: somebody waits for descriptor"));
        CHECK(aio::get_running_loop().watched_descriptors() == 1);
        first.cancel();
        co_await aio::nothrow(first);
        CHECK(aio::get_running_loop().watched_descriptors() == 0);
    });
}
