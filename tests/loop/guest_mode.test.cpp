// SPDX-License-Identifier: BSL-1.0
// A loop as the guest of a host that waits for it in poll(2).
#include <asynchio/loop/event_loop.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/reports.hpp"
#include "support/threads.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/io/signal_set.hpp>
#include <asynchio/io/wait_readable.hpp>
#include <asynchio/sync/event.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/runner.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/thread/to_thread.hpp>

#include <array>
#include <chrono>
#include <csignal>
#include <initializer_list>
#include <optional>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace aio = asynchio;
using asynchio_tests::collect;
using asynchio_tests::contains;
using asynchio_tests::message_of;
using asynchio_tests::reports;
using namespace std::chrono_literals;

namespace {

bool readable(int fd, std::chrono::milliseconds wait = 0ms) {
    pollfd one{fd, POLLIN, 0};
    return ::poll(&one, 1, static_cast<int>(wait.count())) == 1;
}

/// The time that poll(2) may wait for a guest, in its unit; -1 for any time.
int timeout_of(const aio::event_loop& loop) {
    const std::optional<aio::time_point> deadline = loop.next_deadline();
    if (!deadline) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - loop.time());
    return left > 0ms ? static_cast<int>(left.count()) : 0;
}

/// A host's main loop: waits for its guests, and runs them, until `done()`.
/// @return how often it has waited. @throws std::runtime_error when nothing comes for 20 s.
template<class Done>
int host(std::initializer_list<aio::event_loop*> guests, Done done) {
    std::vector<pollfd> watched;
    for (aio::event_loop* each : guests) watched.push_back({each->native_handle(), POLLIN, 0});
    int waits = 0;
    for (; !done(); ++waits) {
        int limit = 20'000;
        for (aio::event_loop* each : guests) {
            if (const int wait = timeout_of(*each); wait >= 0 && wait < limit) limit = wait;
        }
        if (::poll(watched.data(), watched.size(), limit) == 0 && limit == 20'000)
            throw std::runtime_error("nothing has come");
        for (aio::event_loop* each : guests) each->run_ready();
    }
    return waits;
}

struct pipe_ends {
    pipe_ends() {
        if (::pipe(ends.data()) != 0) throw std::runtime_error("pipe");
    }
    pipe_ends(const pipe_ends&) = delete;
    pipe_ends& operator=(const pipe_ends&) = delete;
    ~pipe_ends() {
        ::close(ends[0]);
        ::close(ends[1]);
    }
    std::array<int, 2> ends{};
};

} // namespace

// The ready path

TEST_CASE("guest mode: a loop with nothing to do gives no deadline, and its handle is not readable", "[LOOP-1]") {
    aio::event_loop loop;
    CHECK_FALSE(readable(loop.native_handle()));
    CHECK_FALSE(loop.next_deadline());
    CHECK_FALSE(loop.run_ready());
    CHECK_FALSE(loop.next_deadline());
    CHECK_FALSE(readable(loop.native_handle()));
    CHECK_FALSE(loop.is_running());
}

TEST_CASE("guest mode: run_ready runs a task that the host has made, inside the running loop") {
    aio::event_loop loop;
    bool inside = false;
    const auto task = loop.create_task([&]() -> aio::task<int> {
        inside = &aio::get_running_loop() == &loop && loop.is_running();
        co_await aio::yield();
        co_return 7;
    });
    const auto due = loop.next_deadline();
    REQUIRE(due);
    CHECK(*due <= loop.time());
    CHECK_FALSE(loop.run_ready());
    REQUIRE(task.done());
    CHECK(task.result() == 7);
    CHECK(inside);
    CHECK_THROWS_AS(aio::get_running_loop(), std::logic_error);
}

TEST_CASE("guest mode: run_ready makes as many iterations as it may, and tells that something is left") {
    aio::event_loop loop;
    int steps = 0;
    const auto task = loop.create_task([&]() -> aio::task<> {
        for (; steps < 10; ++steps) co_await aio::yield();
    });
    CHECK(loop.run_ready(0));
    CHECK(steps == 0);
    CHECK(loop.run_ready(1));
    CHECK(steps == 0); // it stands at its first yield
    CHECK(loop.run_ready(4));
    CHECK(steps == 4);
    CHECK(loop.next_deadline());
    while (loop.run_ready(1)) {}
    CHECK(task.done());
    CHECK(steps == 10);
}

TEST_CASE("guest mode: a task that is always ready leaves its turn to the host and to another guest") {
    aio::event_loop busy;
    aio::event_loop other;
    long steps = 0;
    const auto endless = busy.create_task([&]() -> aio::task<> {
        for (;; ++steps) co_await aio::yield();
    });
    const auto sleeper = other.create_task([]() -> aio::task<> {
        for (int i = 0; i < 5; ++i) co_await aio::sleep(1ms);
    });
    host({&busy, &other}, [&] { return sleeper.done(); });
    CHECK(steps > 0);
    endless.cancel();
    host({&busy, &other}, [&] { return endless.done(); });
    CHECK(endless.cancelled());
}

TEST_CASE("guest mode: stop() ends run_ready after the iteration") {
    aio::event_loop loop;
    std::string trace;
    loop.call_soon([&] {
        trace += 'a';
        loop.stop();
        loop.call_soon([&] { trace += 'c'; });
    });
    loop.call_soon([&] { trace += 'b'; });
    CHECK(loop.run_ready());
    CHECK(trace == "ab");
    CHECK_FALSE(loop.run_ready());
    CHECK(trace == "abc");
}

// What the host waits for

TEST_CASE("guest mode: timers are told by next_deadline", "[time]") {
    aio::event_loop loop;
    const aio::time_point when = loop.time() + 20ms;
    bool called = false;
    const auto timer = loop.call_at(when, [&] { called = true; });
    REQUIRE(loop.next_deadline());
    CHECK(*loop.next_deadline() == when);
    CHECK_FALSE(loop.run_ready());
    CHECK_FALSE(called);
    const int waits = host({&loop}, [&] { return called; });
    CHECK(loop.time() >= when);
    CHECK(waits <= 3); // it did not spin
    CHECK_FALSE(loop.next_deadline());
}

TEST_CASE("guest mode: a cancelled timer gives no deadline any more") {
    aio::event_loop loop;
    auto timer = loop.call_later(1h, [] {});
    CHECK(loop.next_deadline());
    timer.cancel();
    CHECK_FALSE(loop.next_deadline());
}

TEST_CASE("guest mode: the handle tells of descriptors") {
    aio::event_loop loop;
    pipe_ends pipe;
    const auto waiting = loop.create_task([&]() -> aio::task<> { co_await aio::wait_readable(pipe.ends[0]); });
    while (loop.run_ready()) {}
    CHECK_FALSE(waiting.done());
    CHECK_FALSE(loop.next_deadline());
    CHECK_FALSE(readable(loop.native_handle()));
    REQUIRE(::write(pipe.ends[1], "x", 1) == 1);
    CHECK(readable(loop.native_handle(), 15s));
    while (loop.run_ready()) {}
    CHECK(waiting.done());
    CHECK_FALSE(readable(loop.native_handle()));
}

TEST_CASE("guest mode: the handle tells of a post, also one that came before it was asked for") {
    aio::event_loop loop;
    int calls = 0;
    const auto count = [&] { ++calls; };
    std::thread([&, ref = loop.ref()] { ref.call_soon_threadsafe(count); }).join();
    CHECK(readable(loop.native_handle()));
    CHECK(loop.next_deadline());
    CHECK_FALSE(loop.run_ready());
    CHECK(calls == 1);
    CHECK_FALSE(readable(loop.native_handle()));
    std::thread([&, ref = loop.ref()] { ref.call_soon_threadsafe(count); }).join();
    CHECK(readable(loop.native_handle()));
    CHECK(loop.next_deadline());
    while (loop.run_ready()) {}
    CHECK(calls == 2);
    CHECK_FALSE(readable(loop.native_handle()));
}

TEST_CASE("guest mode: the handle tells of posts that run_ready has left") {
    aio::event_loop loop;
    int calls = 0;
    const int handle = loop.native_handle();
    loop.call_soon([&] { // posted while the loop runs, when nobody is woken for it
        CHECK_FALSE(aio::detail::core_of(loop).outside().mailbox->asleep());
        loop.call_soon_threadsafe([&] { ++calls; });
    });
    CHECK(loop.run_ready(1));
    CHECK(calls == 0);
    CHECK(readable(handle));
    CHECK_FALSE(loop.run_ready(1));
    CHECK(calls == 1);
    CHECK_FALSE(readable(handle));
}

TEST_CASE("guest mode: the handle tells of signals") {
    aio::event_loop loop;
    const auto waiting = loop.create_task([]() -> aio::task<int> {
        aio::signal_set set(SIGUSR2);
        const int got = co_await set.wait();
        co_return got;
    });
    while (loop.run_ready()) {}
    CHECK_FALSE(readable(loop.native_handle()));
    ::raise(SIGUSR2);
    CHECK(readable(loop.native_handle()));
    host({&loop}, [&] { return waiting.done(); });
    CHECK(waiting.result() == SIGUSR2);
}

TEST_CASE("guest mode: no post of many threads is lost", "[stress]") {
    constexpr int threads = 3;
    const int each = asynchio_tests::rounds(4'000);
    aio::event_loop loop;
    const int handle = loop.native_handle();
    int calls = 0;
    std::vector<std::thread> running;
    for (int t = 0; t < threads; ++t)
        running.emplace_back([&, ref = loop.ref()] {
            for (int i = 0; i < each; ++i) {
                ref.call_soon_threadsafe([&] { ++calls; });
                asynchio_tests::take_a_moment(i % 50);
            }
        });
    // Only the handle wakes this host, which never asks for the deadline.
    while (calls < threads * each) {
        if (!readable(handle, 20s)) break;
        loop.run_ready(2);
    }
    for (std::thread& t : running) t.join();
    CHECK(calls == threads * each);
}

TEST_CASE("guest mode: jobs of worker threads come back to the host", "[time]") {
    aio::event_loop loop;
    const auto sum = loop.create_task([]() -> aio::task<int> {
        int all = 0;
        for (int i = 0; i < 50; ++i) all += co_await aio::to_thread([i] { return i; });
        co_return all;
    });
    host({&loop}, [&] { return sum.done(); });
    CHECK(sum.result() == 49 * 50 / 2);
}

// The host's own code

TEST_CASE("guest mode: the host sets a future and cancels a task between the calls") {
    aio::event_loop loop;
    aio::future<int> answer = loop.create_future<int>();
    const auto asks = loop.create_task([&]() -> aio::task<int> { co_return co_await answer; });
    const auto waits = loop.create_task([]() -> aio::task<> { co_await aio::sleep(1h); });
    while (loop.run_ready()) {}
    CHECK_FALSE(asks.done());
    answer.set_result(42);
    waits.cancel();
    const auto due = loop.next_deadline();
    REQUIRE(due);
    CHECK(*due <= loop.time());
    CHECK_FALSE(loop.run_ready());
    CHECK(asks.result() == 42);
    CHECK(waits.cancelled());
    CHECK_FALSE(loop.next_deadline());
}

TEST_CASE("guest mode: tasks that all wait are no deadlock") {
    aio::event_loop loop;
    reports told;
    collect(told, loop);
    aio::future<> never = loop.create_future();
    const auto waits = loop.create_task([&]() -> aio::task<> { co_await never; });
    for (int i = 0; i < 10; ++i) CHECK_FALSE(loop.run_ready());
    CHECK(told.empty());
    never.set_result();
    loop.run_ready();
    CHECK(waits.done());
}

TEST_CASE("guest mode: two loops of one host pass values to each other") {
    aio::event_loop left;
    aio::event_loop right;
    aio::future<int> there = right.create_future<int>();
    aio::future<int> back = left.create_future<int>();
    const auto sends = left.create_task([&]() -> aio::task<int> {
        const aio::loop_ref other = right.ref();
        other.call_soon_threadsafe([&] { there.set_result(20); });
        co_return co_await back;
    });
    const auto doubles = right.create_task([&]() -> aio::task<> {
        const int got = co_await there;
        const aio::loop_ref other = left.ref();
        other.call_soon_threadsafe([&back, got] { back.set_result(2 * got); });
    });
    host({&left, &right}, [&] { return sends.done() && doubles.done(); });
    CHECK(sends.result() == 40);
}

// Exceptions and nested main loops

TEST_CASE("guest mode: exceptions of callbacks go to the handler, not through run_ready") {
    aio::event_loop loop;
    reports told;
    collect(told, loop);
    bool later = false;
    loop.call_soon([] { throw std::runtime_error("broken"); });
    loop.call_soon([&] { later = true; });
    CHECK_FALSE(loop.run_ready());
    CHECK(later);
    REQUIRE(told.size() == 1);
    CHECK(contains(told[0].error, "broken"));
}

TEST_CASE("guest mode: a nested run_ready runs nothing, returns false, and reports once") {
    aio::event_loop loop;
    reports told;
    collect(told, loop);
    bool later = false;
    std::vector<bool> answers;
    const auto pumps = loop.create_task([&]() -> aio::task<> {
        for (int i = 0; i < 3; ++i) answers.push_back(loop.run_ready());
        co_await aio::yield();
        answers.push_back(loop.run_ready());
    });
    loop.call_soon([&] { later = true; });
    loop.call_soon([&] { answers.push_back(loop.run_ready()); });
    CHECK_FALSE(loop.run_ready());
    CHECK(answers == std::vector<bool>(5, false));
    CHECK(later);
    CHECK(pumps.done());
    REQUIRE(told.size() == 1);
    CHECK(contains(told[0].message, "run_ready was called in a callback or task"));
}

TEST_CASE("guest mode: another guest is not run in a callback of the first either") {
    aio::event_loop outer;
    aio::event_loop inner;
    reports told;
    collect(told, inner);
    bool ran = false;
    inner.call_soon([&] { ran = true; });
    outer.call_soon([&] {
        CHECK_FALSE(inner.run_ready());
        CHECK_FALSE(ran);
    });
    CHECK_FALSE(outer.run_ready());
    CHECK(told.size() == 1);
    CHECK_FALSE(inner.run_ready());
    CHECK(ran);
}

TEST_CASE("guest mode: what a task has been woken for by a nested pump runs afterwards") {
    aio::event_loop loop;
    reports told;
    collect(told, loop);
    pipe_ends pipe;
    const auto reads = loop.create_task([&]() -> aio::task<> { co_await aio::wait_readable(pipe.ends[0]); });
    while (loop.run_ready()) {}
    loop.call_soon([&] {
        REQUIRE(::write(pipe.ends[1], "x", 1) == 1);
        for (int i = 0; i < 3; ++i) {
            CHECK(readable(loop.native_handle(), 15s));
            CHECK_FALSE(loop.run_ready());
        }
        CHECK_FALSE(reads.done());
    });
    host({&loop}, [&] { return reads.done(); });
    CHECK(told.size() == 1);
}

// Virtual time

TEST_CASE("guest mode: virtual time jumps in run_ready") {
    aio::event_loop loop({.virtual_time = true});
    const aio::time_point begin = loop.time();
    const auto sleeper = loop.create_task([]() -> aio::task<> {
        co_await aio::sleep(1h);
        co_await aio::sleep(1h);
    });
    while (const auto due = loop.next_deadline()) {
        CHECK(*due <= loop.time());
        loop.run_ready();
    }
    CHECK(sleeper.done());
    CHECK(loop.time() - begin == 2h);
    const auto bounded = loop.create_task([]() -> aio::task<> { co_await aio::sleep(1h); });
    CHECK(loop.run_ready(1)); // its first step; then a timer is left
    CHECK(loop.time() - begin == 2h);
    CHECK_FALSE(loop.run_ready());
    CHECK(bounded.done());
}

TEST_CASE("guest mode: virtual time waits for a worker thread") {
    aio::event_loop loop({.virtual_time = true});
    asynchio_tests::gate go;
    const asynchio_tests::opened_at_end last(go);
    bool timed = false;
    const auto timer = loop.call_later(1h, [&] { timed = true; });
    const auto job = loop.create_task([&]() -> aio::task<> { co_await aio::to_thread([&] { go.wait(); }); });
    while (loop.run_ready(1) && !loop.next_deadline()) {}
    loop.run_ready();
    CHECK_FALSE(timed);
    CHECK_FALSE(loop.next_deadline());
    go.open();
    CHECK(readable(loop.native_handle(), 15s));
    while (loop.run_ready()) {}
    CHECK(job.done());
    CHECK(timed);
}

// The end, and misuse

TEST_CASE("guest mode: the loop of a runner is closed by it, with the tasks that are left") {
    bool cleaned = false;
    {
        aio::runner runner;
        aio::event_loop& loop = runner.get_loop();
        const auto waits = loop.create_task([&]() -> aio::task<> {
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {
                cleaned = true;
                throw;
            }
        });
        const int handle = loop.native_handle();
        host({&loop}, [first = true]() mutable { return !std::exchange(first, false); });
        CHECK_FALSE(waits.done());
        CHECK(runner.run([]() -> aio::task<int> { co_return 3; }) == 3); // the same loop without the host
        const auto again = loop.create_task([]() -> aio::task<> { co_await aio::sleep(1ms); });
        std::thread([ref = loop.ref()] { ref.call_soon_threadsafe([] {}); }).join();
        CHECK(readable(handle));
        host({&loop}, [&] { return again.done(); });
        runner.close();
        CHECK(cleaned);
        CHECK_THROWS_AS(loop.run_ready(), std::logic_error);
    }
}

TEST_CASE("guest mode: a closed loop is refused") {
    aio::event_loop loop;
    CHECK(loop.native_handle() >= 0);
    loop.close();
    CHECK(contains(message_of([&] { loop.run_ready(); }), "run_ready: Event loop is closed"));
    CHECK(
        contains(message_of([&] { static_cast<void>(loop.native_handle()); }), "native_handle: Event loop is closed"));
    CHECK_FALSE(loop.next_deadline());
}

TEST_CASE("guest mode: the poll poller has no handle, and run_ready works all the same") {
    aio::event_loop loop({.poller = aio::poller_kind::poll});
    CHECK(contains(message_of([&] { static_cast<void>(loop.native_handle()); }), "poller_kind::epoll"));
    pipe_ends pipe;
    const auto waiting = loop.create_task([&]() -> aio::task<> { co_await aio::wait_readable(pipe.ends[0]); });
    while (loop.run_ready()) {}
    REQUIRE(::write(pipe.ends[1], "x", 1) == 1);
    loop.run_ready();
    CHECK(waiting.done());
}

TEST_CASE("guest mode: debug mode refuses another thread, also between the calls") {
    aio::event_loop loop({.debug = true});
    static_cast<void>(loop.native_handle());
    std::string handle;
    std::string ready;
    std::string soon;
    std::thread([&] {
        handle = message_of([&] { static_cast<void>(loop.native_handle()); });
        ready = message_of([&] { loop.run_ready(); });
        soon = message_of([&] { loop.call_soon([] {}); });
    }).join();
    CHECK(contains(handle, "native_handle: Non-thread-safe operation"));
    CHECK(contains(ready, "run_ready: Non-thread-safe operation"));
    CHECK(contains(soon, "call_soon: Non-thread-safe operation"));
    CHECK_FALSE(loop.run_ready());
}
