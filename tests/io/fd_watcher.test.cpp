// SPDX-License-Identifier: BSL-1.0
#include <asynchio/io/fd_watcher.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/net.hpp"
#include "support/reports.hpp"

#include <asynchio/combine/wait_for.hpp>
#include <asynchio/io/stream.hpp>
#include <asynchio/io/wait_readable.hpp>
#include <asynchio/task/context_var.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/yield.hpp>

#include <chrono>
#include <fcntl.h>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <sys/wait.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

constexpr auto readable = aio::fd_events::readable;
constexpr auto writable = aio::fd_events::writable;
constexpr auto both = aio::fd_events::readable | aio::fd_events::writable;
constexpr auto none = aio::fd_events::none;

struct socket_ends {
    socket_ends() {
        int made[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, made) == 0);
        here = made[0];
        there = made[1];
    }
    socket_ends(const socket_ends&) = delete;
    socket_ends& operator=(const socket_ends&) = delete;
    ~socket_ends() {
        if (here >= 0) ::close(here);
        if (there >= 0) ::close(there);
    }
    void come() const { REQUIRE(::write(there, "x", 1) == 1); }
    void take() const {
        char byte;
        REQUIRE(::read(here, &byte, 1) == 1);
    }
    int here;
    int there;
};

std::size_t watched() { return aio::get_running_loop().watched_descriptors(); }

} // namespace

TEST_CASE("fd_watcher: calls in every iteration in which an event that is wanted lasts", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const socket_ends ends;
        int calls = 0;
        aio::fd_events seen = none;
        aio::fd_watcher watcher(ends.here, [&](aio::fd_events events) {
            ++calls;
            seen = seen | events;
        });
        CHECK(watcher.wanted() == none);
        CHECK(watcher.native_handle() == ends.here);
        ends.come();
        co_await settle();
        CHECK(calls == 0); // nothing is wanted
        watcher.want(readable);
        CHECK(watcher.wanted() == readable);
        while (calls < 3) co_await aio::yield();
        CHECK(seen == readable);
        ends.take();
        co_await settle();
        const int before = calls;
        co_await settle();
        CHECK(calls == before);
        watcher.want(writable);
        seen = none;
        while (calls < before + 3) co_await aio::yield();
        CHECK(seen == writable);
        watcher.want(none);
        const int end = calls;
        co_await settle();
        CHECK(calls == end);
    });
}

TEST_CASE("fd_watcher: events of one iteration come together, and a function may take nothing", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const socket_ends ends;
        ends.come();
        std::optional<aio::fd_events> first;
        aio::fd_watcher watcher(
            ends.here,
            [&](aio::fd_events events) {
                if (!first) first = events;
            },
            both);
        while (!first) co_await aio::yield();
        CHECK(*first == both);
        int calls = 0;
        watcher = aio::fd_watcher(ends.there, [&calls] { ++calls; }, writable);
        while (calls == 0) co_await aio::yield();
        CHECK(watched() == 1);
    });
}

TEST_CASE("fd_watcher: the end and an error are readiness for what is wanted, and for no more", "[io]") {
    on_each_poller([]() -> aio::task<> {
        socket_ends ends;
        aio::fd_events seen = none;
        const aio::fd_watcher watcher(ends.here, [&](aio::fd_events events) { seen = seen | events; }, readable);
        ::close(std::exchange(ends.there, -1));
        while (seen == none) co_await aio::yield();
        co_await settle();
        CHECK(seen == readable);
    });
}

TEST_CASE("fd_watcher: the function may detach, destroy, reassign or change its watcher", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const socket_ends ends;
        ends.come();
        int calls = 0;
        const auto kept = std::make_shared<int>(0);
        std::optional<aio::fd_watcher> watcher;
        watcher.emplace(ends.here, [&, kept] {
            ++calls;
            watcher.reset();
            ++*kept; // the function itself is still there
        });
        watcher->want(readable);
        while (calls == 0) co_await aio::yield();
        co_await settle();
        CHECK(calls == 1);
        CHECK(kept.use_count() == 1);
        CHECK(watched() == 0);

        aio::fd_watcher other;
        std::string order;
        const int number = ends.here;
        other = aio::fd_watcher(
            number,
            [&, kept] {
                order += 'a';
                other.detach();
                other = aio::fd_watcher(
                    number,
                    [&] {
                        order += 'b';
                        other.want(none);
                    },
                    readable);
            },
            readable);
        while (order.size() < 2) co_await aio::yield();
        co_await settle();
        CHECK(order == "ab");
        CHECK(kept.use_count() == 1);
        CHECK(other);
    });
}

TEST_CASE("fd_watcher: an event that was given up since, or whose watcher is gone, calls nothing", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const socket_ends one, two;
        int calls = 0;
        aio::fd_watcher first, second;
        const auto call = [&](aio::fd_watcher& other, bool destroys) {
            ++calls;
            if (destroys)
                other.detach();
            else
                other.want(none);
        };
        for (const bool destroys : {false, true}) {
            calls = 0;
            first = aio::fd_watcher(one.here, [&, destroys] {
                call(second, destroys);
                first.detach();
            });
            second = aio::fd_watcher(two.here, [&, destroys] {
                call(first, destroys);
                second.detach();
            });
            one.come();
            two.come();
            first.want(readable); // both come in the same iteration
            second.want(readable);
            while (calls == 0) co_await aio::yield();
            co_await settle();
            CHECK(calls == 1);
            first.detach();
            second.detach();
            one.take();
            two.take();
        }
        CHECK(watched() == 0);
    });
}

TEST_CASE("fd_watcher: one that watches a descriptor is enough, whatever the other means is", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const socket_ends ends;
        const std::string text = "fd_watcher: descriptor " + std::to_string(ends.here) + " is watched already";
        aio::event_loop& loop = aio::get_running_loop();
        aio::fd_watcher first(ends.here, [] {}, readable);
        CHECK(message_of([&] { aio::fd_watcher(ends.here, [] {}, writable); }) == text);
        CHECK_THROWS_AS(loop.add_reader(ends.here, [] {}), std::system_error);
        const std::string waiting = co_await error_of([&] { return aio::wait_writable(ends.here); });
        CHECK_FALSE(waiting.empty());
        first.want(none); // now it is free
        aio::fd_watcher second(ends.here, [] {}, writable);
        CHECK(message_of([&] { first.want(readable); }) == text);
        CHECK(first.wanted() == none);
        CHECK(second.wanted() == writable);
        second.detach();
        loop.add_reader(ends.here, [] {});
        CHECK(message_of([&] { first.want(readable); }) == text);
        first.detach(); // leaves the reader alone
        CHECK(loop.remove_reader(ends.here));
        CHECK(watched() == 0);
    });
}

TEST_CASE("fd_watcher: a descriptor that was closed is told nothing more, and another one of its number is left alone",
          "[io]") {
    on_each_poller([]() -> aio::task<> {
        socket_ends old;
        int calls = 0;
        aio::fd_watcher watcher(old.here, [&] { ++calls; }, readable);
        const socket_ends next;
        const int number = std::exchange(old.here, -1);
        REQUIRE(::dup3(next.here, number, O_CLOEXEC) == number);
        CHECK_THROWS_AS(watcher.want(both), std::system_error);
        CHECK(watcher.wanted() == readable);
        aio::stream stream = aio::stream::from_descriptor(number, "the new one");
        const auto line = aio::create_task(
            [](aio::stream& s) -> aio::task<std::string> { co_return co_await s.read_line(); }, std::ref(stream));
        co_await settle();
        watcher.detach();
        CHECK(watched() == 1);
        REQUIRE(::write(next.there, "hello\n", 6) == 6);
        const std::string text = co_await aio::wait_for(line, 5s);
        CHECK(text == "hello\n");
        CHECK(calls == 0);
    });
}

TEST_CASE("fd_watcher: refuses what cannot be watched, and an empty one says so", "[io]") {
    on_each_poller([]() -> aio::task<> {
        CHECK_THROWS_AS(aio::fd_watcher(-1, [] {}), std::invalid_argument);
        const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        CHECK_THROWS_AS(aio::fd_watcher(file, [] {}, readable), std::system_error);
        ::close(file);
        CHECK_THROWS_AS(aio::fd_watcher(file, [] {}, readable), std::system_error);
        CHECK_THROWS_AS(aio::fd_watcher(0, std::function<void()>()), std::invalid_argument);
        aio::fd_watcher empty;
        CHECK_FALSE(empty);
        CHECK(empty.wanted() == none);
        CHECK(empty.native_handle() == -1);
        empty.detach();
        CHECK(message_of([&] { empty.want(readable); }) == "fd_watcher: it is empty, or was moved from");
        CHECK(watched() == 0);
        co_return;
    });
    CHECK_THROWS_AS(aio::fd_watcher(0, [] {}), std::logic_error); // no loop runs
}

TEST_CASE("fd_watcher: exceptions of the function go to the loop's exception handler", "[io]") {
    reports told;
    on_each_poller([&]() -> aio::task<> {
        told.clear();
        collect(told);
        const socket_ends ends;
        ends.come();
        const aio::fd_watcher watcher(
            ends.here,
            [&] {
                ends.take();
                throw std::runtime_error("in the function");
            },
            readable);
        while (told.empty()) co_await aio::yield();
        co_await settle();
        CHECK(told.size() == 1);
        CHECK(told[0].message == "Exception in callback");
    });
}

TEST_CASE("fd_watcher: the function sees the context variables with which the watcher was made", "[io]") {
    aio::context_var<int> number("number", 0);
    on_each_poller([&]() -> aio::task<> {
        const socket_ends ends;
        ends.come();
        static_cast<void>(number.set(7));
        int seen = -1;
        const aio::fd_watcher watcher(ends.here, [&] { seen = number.get(); }, readable);
        static_cast<void>(number.set(8));
        while (seen < 0) co_await aio::yield();
        CHECK(seen == 7);
    });
}

TEST_CASE("fd_watcher: outlives its loop, which calls nothing any more", "[io]") {
    for (const auto kind : {aio::poller_kind::epoll, aio::poller_kind::poll}) {
        const socket_ends ends;
        ends.come();
        int calls = 0;
        aio::run_options options;
        options.poller = kind;
        const auto kept = std::make_shared<int>(0);
        aio::fd_watcher watcher;
        {
            aio::event_loop loop(options);
            watcher = aio::fd_watcher(loop, ends.here, [&calls, kept] { ++calls; }, readable);
            loop.stop();
            loop.run_forever();
            loop.stop();
            loop.run_forever();
            CHECK(calls != 0);
            calls = 0;
            loop.close();
            CHECK(message_of([&] { watcher.want(none); }) == "fd_watcher: Event loop is closed");
            CHECK_THROWS_AS(aio::fd_watcher(loop, ends.there, [] {}), std::logic_error);
        }
        CHECK_THROWS_AS(watcher.want(none), std::logic_error);
        CHECK(calls == 0);
        CHECK(kept.use_count() == 2);
        watcher.detach();
        CHECK(kept.use_count() == 1);
        CHECK(::fcntl(ends.here, F_GETFD) >= 0);
    }
}

TEST_CASE("fd_watcher: destroyed by what a closing loop drops", "[io]") {
    for (const auto kind : {aio::poller_kind::epoll, aio::poller_kind::poll}) {
        const socket_ends ends;
        ends.come();
        aio::run_options options;
        options.poller = kind;
        std::weak_ptr<aio::fd_watcher> seen;
        {
            aio::event_loop loop(options);
            auto watcher = std::make_shared<aio::fd_watcher>(loop, ends.here, [] {}, readable);
            seen = watcher;
            loop.stop();
            loop.run_forever();
            loop.call_soon([owned = std::move(watcher)] { static_cast<void>(owned); });
            CHECK_FALSE(seen.expired());
        }
        CHECK(seen.expired());
    }
}

TEST_CASE("fd_watcher: debug mode refuses another thread", "[io]") {
    aio::run_options options;
    options.debug = true;
    virtual_run(
        []() -> aio::task<> {
            const socket_ends ends;
            aio::fd_watcher watcher(ends.here, [] {});
            std::string error;
            std::thread([&] { error = message_of([&] { watcher.want(readable); }); }).join();
            CHECK(contains(error, "fd_watcher: Non-thread-safe operation"));
            co_return;
        }(),
        options);
}

TEST_CASE("fd_watcher: works in a child process", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const socket_ends ends;
        int calls = 0;
        aio::fd_watcher watcher(ends.here, [&] { ++calls; }, readable);
        co_await settle();
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            watcher.want(writable);
            for (int i = 0; i < 1000 && calls == 0; ++i) co_await aio::yield();
            ::_exit(calls != 0 ? 0 : 1);
        }
        int status = -1;
        REQUIRE(::waitpid(child, &status, 0) == child);
        CHECK(status == 0);
        co_await settle();
        CHECK(calls == 0); // what the child wants does not concern us
        CHECK(watcher.wanted() == readable);
        ends.come();
        while (calls == 0) co_await aio::yield();
    });
}

TEST_CASE("fd_watcher: a hundred thousand changes", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const socket_ends ends;
        int calls = 0;
        aio::fd_watcher watcher(ends.here, [&] { ++calls; });
        for (int i = 0; i < 100'000; ++i) watcher.want(i % 2 == 0 ? readable : none);
        watcher.want(writable);
        while (calls == 0) co_await aio::yield();
    });
}
