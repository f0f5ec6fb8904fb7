// SPDX-License-Identifier: BSL-1.0
#include <asynchio/loop/callback.hpp>

#include <asynchio/loop/event_loop.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include "support/iterations.hpp"
#include "support/virtual_run.hpp"

#include <chrono>
#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace aio = asynchio;
using asynchio_tests::run_until_stuck;
using namespace std::chrono_literals;

namespace {

aio::event_loop make_loop() { return aio::event_loop({.virtual_time = true}); }

struct counts {
    int copies = 0;
    int moves = 0;
    int alive = 0;
};
struct counted {
    explicit counted(counts& c) : where(&c) { ++where->alive; }
    counted(const counted& other) : where(other.where) {
        ++where->alive;
        ++where->copies;
    }
    counted(counted&& other) noexcept : where(other.where) {
        ++where->alive;
        ++where->moves;
    }
    counted& operator=(const counted&) = delete;
    ~counted() { --where->alive; }
    counts* where;
};

} // namespace

TEST_CASE("callback_handle: an empty one does nothing") {
    const aio::callback_handle none;
    CHECK_FALSE(none);
    CHECK_FALSE(none.cancelled());
    aio::callback_handle copy = none;
    copy.cancel();
    CHECK_FALSE(copy.cancelled());
    const aio::timer_handle no_timer;
    CHECK(no_timer.when() == aio::time_point());
}

TEST_CASE("callback_handle: cancel prevents the call, once and for all", "[LOOP-13][LOOP-14]") {
    aio::event_loop loop = make_loop();
    int calls = 0;
    aio::callback_handle handle = loop.call_soon([&] { ++calls; });
    CHECK(handle);
    CHECK_FALSE(handle.cancelled());
    handle.cancel();
    handle.cancel();
    CHECK(handle.cancelled());
    aio::testing::run_until_idle(loop);
    CHECK(calls == 0);
    handle.cancel();
    CHECK(handle.cancelled());
}

TEST_CASE("callback_handle: cancel earlier in the same iteration prevents the call", "[LOOP-13]") {
    aio::event_loop loop = make_loop();
    std::string trace;
    aio::callback_handle second;
    loop.call_soon([&] {
        trace += '1';
        second.cancel();
    });
    second = loop.call_soon([&] { trace += '2'; });
    loop.call_soon([&] { trace += '3'; });
    aio::testing::run_until_idle(loop);
    CHECK(trace == "13");
}

TEST_CASE("callback_handle: cancel after the call has no effect but is remembered", "[LOOP-13][LOOP-14]") {
    aio::event_loop loop = make_loop();
    int calls = 0;
    aio::callback_handle handle = loop.call_soon([&] { ++calls; });
    aio::testing::run_until_idle(loop);
    CHECK(calls == 1);
    CHECK_FALSE(handle.cancelled());
    handle.cancel();
    CHECK(handle.cancelled());
    CHECK(calls == 1);
}

TEST_CASE("callback_handle: a call may cancel itself", "[LOOP-13]") {
    aio::event_loop loop = make_loop();
    aio::callback_handle soon;
    aio::timer_handle later;
    std::string trace;
    soon = loop.call_soon([&, text = std::string(100, 's')] {
        soon.cancel();
        trace += text.substr(0, 1); // still there
    });
    later = loop.call_later(1s, [&, text = std::string(100, 'l')] {
        later.cancel();
        trace += text.substr(0, 1);
    });
    run_until_stuck(loop);
    CHECK(trace == "sl");
    CHECK(soon.cancelled());
    CHECK(later.cancelled());
}

TEST_CASE("callback_handle: cancel destroys callable and arguments at once", "[LOOP-15]") {
    aio::event_loop loop = make_loop();
    counts c;
    aio::callback_handle soon = loop.call_soon([](const counted&) {}, counted(c));
    aio::timer_handle later = loop.call_later(1h, [held = counted(c)](const counted&) {}, counted(c));
    CHECK(c.alive == 3);
    CHECK(c.copies == 0);
    soon.cancel();
    CHECK(c.alive == 2);
    later.cancel();
    CHECK(c.alive == 0);
    CHECK(loop.pending_timers() == 0);
}

TEST_CASE("call_soon: callable and arguments are copied in and destroyed after the call", "[LOOP-1]") {
    aio::event_loop loop = make_loop();
    counts c;
    {
        const counted argument(c);
        int alive_in_call = 0;
        loop.call_soon(
            [&alive_in_call](const counted& given, const std::string& text) {
                CHECK(text == "literal");
                alive_in_call = given.where->alive;
            },
            argument, "literal");
        CHECK(c.copies == 1);
        CHECK(c.alive == 2);
        aio::testing::run_until_idle(loop);
        CHECK(alive_in_call == 2);
        CHECK(c.alive == 1);
    }
    CHECK(c.alive == 0);
}

TEST_CASE("call_soon: takes references, members and move-only things") {
    aio::event_loop loop = make_loop();
    struct object {
        int sum = 0;
        void add(int n) { sum += n; }
    };
    object o;
    loop.call_soon(&object::add, &o, 2);
    loop.call_soon([](object& x) { x.add(3); }, std::ref(o));
    loop.call_soon([p = std::make_unique<int>(4)](std::unique_ptr<int> q, object* x) { x->add(*p + *q); },
                   std::make_unique<int>(5), &o);
    const std::function<void(int)> function = [&o](int n) { o.add(n); };
    loop.call_soon(function, 100);
    aio::testing::run_until_idle(loop);
    CHECK(o.sum == 114);
}

TEST_CASE("call_soon: a null callable is refused") {
    aio::event_loop loop = make_loop();
    void (*null_function)() = nullptr;
    CHECK_THROWS_AS(loop.call_soon(null_function), std::invalid_argument);
    CHECK_THROWS_AS(loop.call_soon(std::function<void()>()), std::invalid_argument);
    CHECK_THROWS_AS(loop.call_later(1s, std::function<void()>()), std::invalid_argument);
    CHECK_THROWS_AS(loop.call_at(loop.time(), null_function), std::invalid_argument);
    CHECK(aio::testing::run_until_idle(loop) == 0);
    CHECK(loop.pending_timers() == 0);
}

TEST_CASE("call_soon: an argument whose copy throws leaves nothing behind") {
    struct explosive {
        explosive() = default;
        explosive(const explosive&) { throw std::runtime_error("copy"); }
        explosive& operator=(const explosive&) = delete;
        ~explosive() = default;
    };
    {
        aio::event_loop loop = make_loop();
        const explosive argument;
        CHECK_THROWS_AS(loop.call_soon([](const explosive&) {}, argument), std::runtime_error);
        CHECK_THROWS_AS(loop.call_later(1s, [](const explosive&) {}, argument), std::runtime_error);
        CHECK(loop.pending_timers() == 0);
        CHECK(aio::testing::run_until_idle(loop) == 0);
    }
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("timer_handle: knows its deadline, and equals copies of itself only", "[LOOP-17]") {
    aio::event_loop loop = make_loop();
    const aio::time_point start = loop.time();
    const aio::timer_handle late = loop.call_later(20s, [] {});
    const aio::timer_handle early = loop.call_at(start + 10s, [] {});
    const aio::timer_handle same = loop.call_at(start + 10s, [] {});
    CHECK(late.when() == start + 20s);
    CHECK(early.when() == start + 10s);
    CHECK(early != same);                                          // another timer
    STATIC_REQUIRE_FALSE(std::totally_ordered<aio::timer_handle>); // equal ones would differ
    const aio::timer_handle copy = early;
    CHECK(copy == early);
    run_until_stuck(loop);
    CHECK(early.when() == start + 10s);
}

TEST_CASE("timer_handle: a cancelled timer never fires and is gone at once", "[LOOP-15][LOOP-16]") {
    aio::event_loop loop = make_loop();
    int calls = 0;
    std::vector<aio::timer_handle> handles;
    for (int i = 0; i < 1000; ++i)
        handles.push_back(loop.call_later(1h + std::chrono::seconds(i * 7 % 1000), [&] { ++calls; }));
    CHECK(loop.pending_timers() == 1000);
    for (std::size_t i = 0; i < 1000; ++i)
        if (i % 10 != 0) handles[i].cancel();
    CHECK(loop.pending_timers() == 100);
    run_until_stuck(loop);
    CHECK(calls == 100);
    CHECK(loop.pending_timers() == 0);
}

TEST_CASE("timer_handle: cancelled in the iteration in which it is due, it does not fire", "[LOOP-13][LOOP-15]") {
    aio::event_loop loop = make_loop();
    counts c;
    std::string trace;
    aio::timer_handle second;
    loop.call_later(1s, [&] {
        trace += '1';
        second.cancel();
        CHECK(c.alive == 0);
    });
    second = loop.call_later(1s, [&trace, held = counted(c)] { trace += '2'; });
    run_until_stuck(loop);
    CHECK(trace == "1");
}

TEST_CASE("callback_handle: outlives its loop, and knows what became of the call", "[LOOP-27]") {
    counts c;
    std::optional<aio::event_loop> loop(std::in_place, aio::run_options{.virtual_time = true});
    aio::callback_handle soon = loop->call_soon([held = counted(c)] { FAIL("dropped calls are not made"); });
    aio::timer_handle later = loop->call_later(1s, [held = counted(c)] { FAIL("dropped calls are not made"); });
    aio::timer_handle taken_back = loop->call_later(1s, [held = counted(c)] {});
    taken_back.cancel();
    CHECK(c.alive == 2);
    loop.reset();
    CHECK(c.alive == 0);
    CHECK_FALSE(soon.cancelled());
    CHECK(taken_back.cancelled());
    soon.cancel();
    later.cancel();
    CHECK(soon.cancelled());
    CHECK(later.cancelled());
    CHECK(later.when().time_since_epoch() == 1s);
    soon = aio::callback_handle();
    later = aio::timer_handle();
    taken_back = later;
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("callback_handle: copies refer to the same call") {
    aio::event_loop loop = make_loop();
    int calls = 0;
    const aio::callback_handle first = loop.call_soon([&] { ++calls; });
    aio::callback_handle second = first;
    aio::callback_handle third = std::move(second);
    CHECK_FALSE(second);
    third.cancel();
    CHECK(first.cancelled());
    aio::testing::run_until_idle(loop);
    CHECK(calls == 0);
}

TEST_CASE("callback: with a callable of two words it is one cache line") {
    const auto two_words = [a = static_cast<void*>(nullptr), b = static_cast<void*>(nullptr)] {
        static_cast<void>(a);
        static_cast<void>(b);
    };
    using posted = aio::detail::bound_callback<aio::detail::callback, std::decay_t<decltype(two_words)>>;
    CHECK(sizeof(posted) <= 64);
}
