// SPDX-License-Identifier: BSL-1.0
#include <asynchio/adapters/asio.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/threads.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/yield.hpp>

#include <asio.hpp>

#include <array>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>

namespace aio = asynchio;
using aio::asio::use_awaitable;
using asynchio_tests::contains;
using asynchio_tests::message_of;
using namespace std::chrono_literals;
using socket_type = asio::local::stream_protocol::socket;

namespace {

/// An io_context that a thread of its own runs.
struct running_context {
    running_context() : work(context.get_executor()), thread([this] { context.run(); }) {}
    running_context(const running_context&) = delete;
    running_context& operator=(const running_context&) = delete;
    ~running_context() {
        work.reset();
        thread.join();
    }
    /// Waits until what was started or posted before has been seen.
    void catch_up() {
        asynchio_tests::gate seen;
        asio::post(context, [&] { seen.open(); });
        seen.wait();
    }

    asio::io_context context;
    asio::executor_work_guard<asio::io_context::executor_type> work;
    std::thread thread;
};

struct connected {
    explicit connected(asio::io_context& context) : here(context), there(context) {
        asio::local::connect_pair(here, there);
    }
    socket_type here;
    socket_type there;
};

aio::task<std::string> read_once(socket_type& from) {
    std::array<char, 64> buffer{};
    const std::size_t size = co_await from.async_read_some(asio::buffer(buffer), use_awaitable);
    co_return std::string(buffer.data(), size);
}

aio::task<std::string> read_exactly(socket_type& from, std::size_t size) {
    std::string text(size, '\0');
    co_await asio::async_read(from, asio::buffer(text), use_awaitable);
    co_return text;
}

/// An operation of the test: whoever holds its handler ends it. It has no executor, and cannot be cancelled.
template<class Signature, class Token>
auto async_by_hand(std::function<void(std::function<Signature>)> start, Token token) {
    return asio::async_initiate<Token, Signature>(
        [start = std::move(start)](auto handler) {
            auto shared = std::make_shared<decltype(handler)>(std::move(handler));
            start([shared](auto... results) { (*shared)(std::move(results)...); });
        },
        token);
}

/// Waits until the test calls `last`.
aio::task<int> ended_by_hand(std::function<void(int)>& last) {
    const int got = co_await async_by_hand<void(int)>([&](const auto& end) { last = end; }, use_awaitable);
    co_return got;
}

} // namespace

// Results

TEST_CASE("asio: a timer is awaited") {
    running_context asio;
    aio::run([&]() -> aio::task<> {
        asio::steady_timer timer(asio.context, 1ms);
        co_await timer.async_wait(use_awaitable);
    });
}

TEST_CASE("asio: reading and writing gives the size") {
    running_context asio;
    connected pair(asio.context);
    const auto text = aio::run([&]() -> aio::task<std::string> {
        const std::size_t size = co_await asio::async_write(pair.there, asio::buffer("hello", 5), use_awaitable);
        CHECK(size == 5);
        co_return co_await read_once(pair.here);
    });
    CHECK(text == "hello");
}

TEST_CASE("asio: an error code is thrown as asio::system_error") {
    running_context asio;
    connected pair(asio.context);
    pair.there.close();
    aio::run([&]() -> aio::task<> {
        const auto got = co_await aio::nothrow(read_once(pair.here));
        REQUIRE(got.error());
        try {
            got.rethrow();
        } catch (const asio::system_error& e) {
            CHECK(e.code() == asio::error::eof);
        }
    });
}

TEST_CASE("asio: several values come as a tuple, one as it is, none as void, an exception as it is") {
    aio::run([]() -> aio::task<> {
        using several = void(asio::error_code, int, std::string);
        const std::tuple<int, std::string> both =
            co_await async_by_hand<several>([](std::function<several> end) { end({}, 7, "seven"); }, use_awaitable);
        CHECK(both == std::tuple(7, std::string("seven")));
        const int one = co_await async_by_hand<void(int)>([](std::function<void(int)> end) { end(1); }, use_awaitable);
        CHECK(one == 1);
        co_await async_by_hand<void()>([](std::function<void()> end) { end(); }, use_awaitable);
        using guarded = void(std::exception_ptr, int);
        const int two =
            co_await async_by_hand<guarded>([](std::function<guarded> end) { end(nullptr, 2); }, use_awaitable);
        CHECK(two == 2);
        const auto failed = co_await aio::nothrow(async_by_hand<guarded>(
            [](std::function<guarded> end) { end(std::make_exception_ptr(std::runtime_error("broken")), 0); },
            use_awaitable));
        CHECK(message_of([&] { failed.rethrow(); }) == "broken");
    });
}

TEST_CASE("asio: an operation begins when it is awaited") {
    aio::run([]() -> aio::task<> {
        bool begun = false;
        auto waits = async_by_hand<void()>(
            [&](std::function<void()> end) {
                begun = true;
                end();
            },
            use_awaitable);
        co_await aio::yield();
        CHECK_FALSE(begun);
        co_await std::move(waits);
        CHECK(begun);
    });
}

TEST_CASE("asio: an operation that is destroyed without an end is an error") {
    aio::run([]() -> aio::task<> {
        const auto lost = co_await aio::nothrow(async_by_hand<void()>([](const auto&) {}, use_awaitable));
        CHECK(contains(message_of([&] { lost.rethrow(); }), "dropped without a call"));
    });
}

// Cancellation

TEST_CASE("asio: a cancelled read ends, and what comes later is left for the next one") {
    running_context asio;
    connected pair(asio.context);
    aio::run([&]() -> aio::task<> {
        const auto reading = aio::create_task(read_once(pair.here));
        co_await aio::yield();
        asio.catch_up();
        reading.cancel("enough");
        const auto end = co_await aio::nothrow(reading);
        CHECK(end.cancelled());
        CHECK(contains(message_of([&] { end.rethrow(); }), "enough"));
        co_await asio::async_write(pair.there, asio::buffer("later", 5), use_awaitable);
        const std::string next = co_await read_once(pair.here);
        CHECK(next == "later");
    });
}

TEST_CASE("asio: a composed read that is cancelled in the middle ends") {
    running_context asio;
    connected pair(asio.context);
    aio::run([&]() -> aio::task<> {
        const auto reading = aio::create_task(read_exactly(pair.here, 10));
        co_await asio::async_write(pair.there, asio::buffer("half", 4), use_awaitable);
        while (pair.here.available() != 0) co_await aio::yield(); // Asio has taken it
        asio.catch_up();
        reading.cancel();
        const auto end = co_await aio::nothrow(reading);
        CHECK(end.cancelled());
    });
}

TEST_CASE("asio: a task that is cancelled twice waits for the operation all the same") {
    running_context asio;
    aio::run([&]() -> aio::task<> {
        asio::steady_timer timer(asio.context, 1h);
        const auto waiting = aio::create_task([&]() -> aio::task<> { co_await timer.async_wait(use_awaitable); });
        co_await aio::yield();
        waiting.cancel("first");
        waiting.cancel("second");
        const auto end = co_await aio::nothrow(waiting);
        CHECK(contains(message_of([&] { end.rethrow(); }), "first"));
    });
}

TEST_CASE("asio: a task that is cancelled before its operation begins never begins it") {
    aio::run([]() -> aio::task<> {
        bool begun = false;
        const auto waiting = aio::create_task([&]() -> aio::task<> {
            co_await async_by_hand<void()>([&](const auto&) { begun = true; }, use_awaitable);
        });
        waiting.cancel();
        const auto end = co_await aio::nothrow(waiting);
        CHECK(end.cancelled());
        CHECK_FALSE(begun);
    });
}

TEST_CASE("asio: an operation that cannot be cancelled is waited for, and its result is dropped") {
    aio::run([]() -> aio::task<> {
        std::function<void(int)> last;
        const auto waiting = aio::create_task(ended_by_hand(last));
        co_await aio::yield();
        for (const char* request : {"first", "second"}) {
            waiting.cancel(request);
            for (int i = 0; i < 10; ++i) co_await aio::yield();
            CHECK_FALSE(waiting.done());
        }
        last(3);
        last = nullptr;
        const auto end = co_await aio::nothrow(waiting);
        CHECK(contains(message_of([&] { end.rethrow(); }), "first"));
    });
}

TEST_CASE("asio: a result and a request that come together end in the request") {
    aio::run([]() -> aio::task<> {
        std::function<void(int)> last;
        const auto waiting = aio::create_task(ended_by_hand(last));
        co_await aio::yield();
        last(3);
        waiting.cancel();
        last = nullptr;
        const auto end = co_await aio::nothrow(waiting);
        CHECK(end.cancelled());
    });
}

TEST_CASE("asio: requests race with the ends of operations", "[stress]") {
    running_context asio;
    connected pair(asio.context);
    std::array<char, 1> rest{};
    aio::run([&]() -> aio::task<> {
        for (int i = 0; i < asynchio_tests::rounds(2'000); ++i) {
            const auto reading = aio::create_task(read_once(pair.here));
            co_await aio::yield();
            asio::post(asio.context, [&] { pair.there.write_some(asio::buffer("x", 1)); });
            asynchio_tests::take_a_moment(i % 100);
            reading.cancel();
            const auto end = co_await aio::nothrow(reading);
            if (end.cancelled()) { // the byte was taken with the result, or is left
                asio.catch_up();
                if (pair.here.available() != 0) pair.here.read_some(asio::buffer(rest));
            }
        }
    });
}

// One thread for both

TEST_CASE("asio: an io_context is the host of a loop whose tasks await its operations") {
    asio::io_context host;
    connected pair(host);
    aio::event_loop loop;
    const auto reads = loop.create_task(read_once(pair.here));
    const auto writes = loop.create_task([&]() -> aio::task<> {
        asio::steady_timer timer(host, 1ms);
        co_await timer.async_wait(use_awaitable);
        co_await asio::async_write(pair.there, asio::buffer("hi", 2), use_awaitable);
    });
    asio::steady_timer limit(host, 20s);
    limit.async_wait([&](asio::error_code) { host.stop(); });
    while (!(reads.done() && writes.done())) {
        while (loop.run_ready()) {}
        if (reads.done() && writes.done()) break;
        REQUIRE(host.run_one() == 1);
    }
    CHECK(reads.result() == "hi");
    const auto waits = loop.create_task(read_once(pair.here));
    loop.run_ready();
    waits.cancel();
    while (!waits.done()) {
        loop.run_ready();
        host.poll();
    }
    CHECK(waits.cancelled());
}

TEST_CASE("asio: a hundred thousand operations", "[stress]") {
    running_context asio;
    const int count = asynchio_tests::rounds(100'000);
    const int ended = aio::run([&]() -> aio::task<int> {
        int ends = 0;
        for (; ends < count; ++ends) co_await asio::post(asio.context, use_awaitable);
        co_return ends;
    });
    CHECK(ended == count);
}
