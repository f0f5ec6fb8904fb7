// SPDX-License-Identifier: BSL-1.0
// What an operation of module io takes, it gives to its task or leaves where it was, whatever ends the wait.
#include <asynchio/io/datagram_socket.hpp>
#include <asynchio/io/stream.hpp>

#include "support/captured_stderr.hpp"
#include "support/catch.hpp"
#include "support/net.hpp"

#include <asynchio/combine/race.hpp>
#include <asynchio/combine/timeout.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>

#include <chrono>
#include <cstddef>
#include <fcntl.h>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <unistd.h>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// In virtual time the pollers are asked in every iteration: what comes is seen in the next one, for sure.
template<class Make>
void on_each_poller_in_virtual_time(Make make) {
    for (const auto kind : {aio::poller_kind::epoll, aio::poller_kind::poll}) {
        INFO("poller: " << (kind == aio::poller_kind::epoll ? "epoll" : "poll"));
        aio::run_options options = aio::testing::virtual_clock();
        options.poller = kind;
        virtual_run(make(), options);
    }
}

/// A socket that receives, and one that sends to it.
struct datagrams {
    explicit datagrams(const std::string& name)
        : in(aio::datagram_socket::bound(aio::address::unix_path("@" + name + std::to_string(::getpid())))),
          out(aio::datagram_socket::connected(in.local_address())) {}

    void send(std::string_view text) const {
        if (::send(out.native_handle(), text.data(), text.size(), 0) < 0) throw std::runtime_error("send");
    }

    aio::datagram_socket in;
    aio::datagram_socket out;
};

aio::task<std::string> receive(aio::datagram_socket& from) {
    std::string text(100, '\0');
    const aio::datagram got = co_await from.receive_from(text);
    text.resize(got.size);
    co_return text;
}

aio::task<std::string> read(aio::stream& from) {
    std::string text(1, '\0');
    text.resize(co_await from.read_some(text));
    co_return text;
}

aio::task<std::size_t> race_reads(aio::stream& a, aio::stream& b) {
    char to_a[1], to_b[1];
    const auto first = co_await aio::race(a.read_some(to_a), b.read_some(to_b));
    co_return first.index();
}

aio::task<std::size_t> race_receives(aio::datagram_socket& a, aio::datagram_socket& b) {
    char to_a[1], to_b[1];
    const auto first = co_await aio::race(a.receive_from(to_a), b.receive_from(to_b));
    co_return first.index();
}

/// Cancels `waiting` in the iteration in which what it waits for comes, before its turn.
template<class Handle>
aio::task<> cancel_as_it_comes(Handle& waiting, std::function<void()> bring) {
    co_await settle();
    aio::get_running_loop().call_soon([&waiting] { waiting.cancel(); });
    bring();
    co_await settle();
    CHECK(waiting.cancelled());
}

} // namespace

TEST_CASE("wait_for with no time: an operation of net that is ready is done and says so, each time", "[io]") {
    on_each_poller_in_virtual_time([]() -> aio::task<> {
        stream_pair ends;
        datagrams sockets("no-time");
        char one[1];
        for (int i = 0; i < 1'000; ++i) {
            co_await aio::wait_for(ends.first.write("x"), 0s);
            {
                const auto got = co_await aio::wait_for(ends.second.read_some(one), 0s);
                CHECK(got == 1);
            }
            co_await aio::wait_for(ends.first.write("line\n"), 0s);
            {
                const auto got = co_await aio::wait_for(ends.second.read_line(), 0s);
                CHECK(got == "line\n");
            }
            co_await aio::wait_for(sockets.out.send("datagram"), 0s);
            char data[8];
            const aio::datagram got = co_await aio::wait_for(sockets.in.receive_from(data), 0s);
            CHECK(std::string_view(data, got.size) == "datagram");
        }
        CHECK(ends.first.bytes_written() == 6'000);
    });
}

TEST_CASE("wait_for with no time: an operation of net that is not ready does nothing", "[io]") {
    on_each_poller_in_virtual_time([]() -> aio::task<> {
        stream_pair ends;
        datagrams sockets("not-ready");
        for (int i = 0; i < 300; ++i) {
            char one[1];
            const auto read = co_await aio::nothrow(aio::wait_for(ends.second.read_some(one), 0s));
            CHECK_THROWS_AS(read.rethrow(), aio::timeout_error);
            const auto received = co_await aio::nothrow(aio::wait_for(sockets.in.receive_from(one), 0s));
            CHECK_THROWS_AS(received.rethrow(), aio::timeout_error);
        }
        co_await ends.first.write("x");
        {
            const auto got = co_await read(ends.second);
            CHECK(got == "x");
        }
    });
}

TEST_CASE("io_operation: every 128th that is ready gives way before it does anything", "[io]") {
    on_each_poller_in_virtual_time([]() -> aio::task<> {
        stream_pair ends;
        co_await ends.first.write(std::string(1'000, 'x'));
        int read_by_then = 0;
        int when_others_ran = -1;
        int others = 0;
        aio::get_running_loop().call_soon([&] {
            when_others_ran = read_by_then;
            ++others;
        });
        char one[1];
        for (; read_by_then < 200; ++read_by_then) co_await ends.second.read_some(one);
        CHECK(others == 1);
        CHECK(when_others_ran == 127);
    });
}

TEST_CASE("io_operation: one that gives way may be over a descriptor that cannot be watched", "[io]") {
    on_each_poller_in_virtual_time([]() -> aio::task<> {
        aio::stream nowhere = aio::stream::from_descriptor(::open("/dev/null", O_WRONLY | O_CLOEXEC));
        for (int i = 0; i < 1'000; ++i) co_await nowhere.write("x");
        CHECK(nowhere.bytes_written() == 1'000);
    });
}

TEST_CASE("io_operation: debug mode names the task whose step is slow after it", "[io]") {
    const std::string printed = [] {
        const captured_stderr text;
        aio::run_options options;
        options.debug = true;
        virtual_run(
            []() -> aio::task<> {
                stream_pair ends;
                aio::get_running_loop().set_slow_callback_duration(1ms);
                const auto slow = [](aio::stream& from) -> aio::task<> {
                    co_await read(from);
                    std::this_thread::sleep_for(5ms);
                };
                auto reading = aio::create_task(slow(ends.second), "a slow reader");
                co_await settle();
                co_await ends.first.write("x");
                co_await reading;
            }(),
            options);
        return text.text();
    }();
    CHECK(printed.find("executing a step of a slow reader from ") != std::string::npos);
}

TEST_CASE("read_some: cancelled as the bytes come, it leaves them", "[io]") {
    on_each_poller_in_virtual_time([]() -> aio::task<> {
        stream_pair ends;
        auto reading = aio::create_task(read(ends.second));
        co_await cancel_as_it_comes(reading, [&] { CHECK(::write(ends.first.native_handle(), "abc", 3) == 3); });
        std::string all;
        for (int i = 0; i < 3; ++i) all += co_await read(ends.second);
        CHECK(all == "abc");
    });
}

TEST_CASE("write: cancelled as there is room, it has written what bytes_written() says", "[io]") {
    on_each_poller_in_virtual_time([]() -> aio::task<> {
        stream_pair ends;
        const std::string much(4'000'000, 'x');
        auto writing =
            aio::create_task([](aio::stream& to, const std::string& text) -> aio::task<> { co_await to.write(text); },
                             std::ref(ends.first), std::cref(much));
        std::string taken;
        co_await cancel_as_it_comes(writing, [&] {
            char part[65'536];
            for (ssize_t got; (got = ::read(ends.second.native_handle(), part, sizeof part)) > 0;)
                taken.append(part, static_cast<std::size_t>(got));
        });
        co_await ends.first.write_eof();
        taken += co_await ends.second.read_all();
        CHECK(taken.size() == ends.first.bytes_written());
        CHECK(taken.size() < much.size());
    });
}

TEST_CASE("receive_from: cancelled as a datagram comes, it leaves it to the next", "[io]") {
    on_each_poller_in_virtual_time([]() -> aio::task<> {
        datagrams sockets("cancelled");
        auto receiving = aio::create_task(receive(sockets.in));
        co_await cancel_as_it_comes(receiving, [&] { sockets.send("first"); });
        sockets.send("second");
        {
            const auto got = co_await receive(sockets.in);
            CHECK(got == "first");
        }
        {
            const auto got = co_await receive(sockets.in);
            CHECK(got == "second");
        }
    });
}

TEST_CASE("race: of two operations of net whose data comes at once, only the winner takes", "[io]") {
    on_each_poller_in_virtual_time([]() -> aio::task<> {
        stream_pair left, right;
        datagrams one("one"), other("other");
        for (int i = 0; i < 300; ++i) {
            auto racing = aio::create_task(race_reads, std::ref(left.second), std::ref(right.second));
            if (i % 2 == 0) co_await settle(); // else both are ready when they are armed
            CHECK(::write(left.first.native_handle(), "l", 1) == 1);
            CHECK(::write(right.first.native_handle(), "r", 1) == 1);
            const std::size_t winner = co_await racing;
            {
                const auto got = co_await aio::wait_for(read(winner == 0 ? right.second : left.second), 1s);
                CHECK(got == (winner == 0 ? "r" : "l"));
            }

            auto receiving = aio::create_task(race_receives, std::ref(one.in), std::ref(other.in));
            if (i % 2 == 0) co_await settle();
            one.send("1");
            other.send("2");
            const std::size_t first = co_await receiving;
            {
                const auto got = co_await aio::wait_for(receive(first == 0 ? other.in : one.in), 1s);
                CHECK(got == (first == 0 ? "2" : "1"));
            }
        }
    });
}

TEST_CASE("operations of net: nothing is lost or doubled by timeouts, cancellations and races at random", "[io]") {
    on_each_poller_in_virtual_time([]() -> aio::task<> {
        std::mt19937 random(15);
        stream_pair ends;
        datagrams sockets("random");
        std::string bytes_sent, bytes_got;
        int datagrams_sent = 0, datagrams_got = 0;
        const auto take = [&](const std::string& text) {
            CHECK(text == std::to_string(datagrams_got));
            ++datagrams_got;
        };
        const auto arrive = [&] {
            const std::string byte(1, static_cast<char>('a' + bytes_sent.size() % 26));
            CHECK(::write(ends.first.native_handle(), byte.data(), 1) == 1);
            bytes_sent += byte;
            sockets.send(std::to_string(datagrams_sent++));
        };
        for (int i = 0; i < 5'000; ++i) {
            auto reading = aio::create_task(read(ends.second));
            auto receiving = aio::create_task(receive(sockets.in));
            aio::event_loop& loop = aio::get_running_loop();
            const auto soon = [&](auto what) {
                const unsigned when = random() % 4;
                if (when == 0)
                    what();
                else if (when == 1)
                    loop.call_soon(what);
                else if (when == 2)
                    loop.call_later(1ms, what);
                else
                    loop.call_soon([&loop, what] { loop.call_soon(what); });
            };
            if (datagrams_sent < datagrams_got + 5 && bytes_sent.size() < bytes_got.size() + 5) soon(arrive);
            switch (random() % 3) {
            case 0:
                soon([reading, receiving]() mutable {
                    reading.cancel();
                    receiving.cancel();
                });
                break;
            case 1: {
                const auto a = co_await aio::nothrow(aio::wait_for(reading, random() % 2 == 0 ? 0ms : 1ms));
                if (a.has_value()) bytes_got += a.value();
                const auto b = co_await aio::nothrow(aio::wait_for(receiving, random() % 2 == 0 ? 0ms : 1ms));
                if (b.has_value()) take(b.value());
                continue;
            }
            default: {
                const auto first = co_await aio::nothrow(aio::wait_for(aio::race(reading, receiving), 1ms));
                static_cast<void>(first);
            }
            }
            co_await aio::sleep(2ms);
            reading.cancel();
            receiving.cancel();
            const auto a = co_await aio::nothrow(reading);
            if (a.has_value()) bytes_got += a.value();
            const auto b = co_await aio::nothrow(receiving);
            if (b.has_value()) take(b.value());
        }
        co_await aio::sleep(2ms);
        while (bytes_got.size() < bytes_sent.size()) bytes_got += co_await aio::wait_for(read(ends.second), 1s);
        while (datagrams_got < datagrams_sent) {
            const std::string text = co_await aio::wait_for(receive(sockets.in), 1s);
            take(text);
        }
        CHECK(bytes_got == bytes_sent);
    });
}
