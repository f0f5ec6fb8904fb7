// SPDX-License-Identifier: BSL-1.0
#include <asynchio/net/wait_readable.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/net.hpp"

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/yield.hpp>

#include <fcntl.h>
#include <string>
#include <unistd.h>

namespace aio = asynchio;
using namespace asynchio_tests;

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
        ::close(in);
        if (out >= 0) ::close(out);
    }
    int in;
    int out;
};

} // namespace

TEST_CASE("wait_readable: waits until there is something, and notices what is there already", "[net]") {
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

TEST_CASE("wait_readable: the end is something to read", "[net]") {
    on_each_poller([]() -> aio::task<> {
        pipe_ends pipe;
        ::close(std::exchange(pipe.out, -1));
        co_await aio::wait_readable(pipe.in);
    });
}

TEST_CASE("wait_writable: waits until there is room", "[net]") {
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

TEST_CASE("wait_readable: one at a time, what is no descriptor is refused, and it can be cancelled", "[net]") {
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

TEST_CASE("wait_readable: a hundred thousand times", "[net]") {
    on_each_poller([]() -> aio::task<> {
        const pipe_ends pipe;
        REQUIRE(::write(pipe.out, "x", 1) == 1);
        for (int i = 0; i < 100'000; ++i) co_await aio::wait_readable(pipe.in);
    });
}
