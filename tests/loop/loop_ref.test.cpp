// SPDX-License-Identifier: BSL-1.0

#include <asynchio/loop/loop_ref.hpp>

#include "support/catch.hpp"
#include "support/iterations.hpp"
#include "support/probes.hpp"
#include "support/threads.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/task/future.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <algorithm>
#include <atomic>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;

TEST_CASE("loop_ref: an empty one is closed, and refuses calls") {
    const aio::loop_ref none;
    CHECK(none.is_closed());
    CHECK(none.get() == nullptr);
    CHECK_THROWS_AS(none.call_soon_threadsafe([] {}), std::logic_error);
}

TEST_CASE("loop_ref: all of one loop are equal, those of two loops are not") {
    const aio::event_loop one;
    const aio::event_loop two;
    const aio::loop_ref copy = one.ref();
    CHECK(copy == one.ref());
    CHECK_FALSE(copy == two.ref());
    CHECK_FALSE(copy == aio::loop_ref());
    CHECK(copy.get() == &one);
}

TEST_CASE("loop_ref: says that its loop is closed, also when that is gone, and frees what it refuses", "[TS-14]") {
    counted::reset();
    {
        const audited afterwards;
        std::optional<aio::event_loop> loop(std::in_place);
        const aio::loop_ref ref = loop->ref();
        CHECK_FALSE(ref.is_closed());
        loop->close();
        CHECK(ref.is_closed());
        CHECK_THROWS_AS(ref.call_soon_threadsafe([held = counted(1)] { CHECK(held.value == 1); }), std::logic_error);
        loop.reset();
        CHECK(ref.is_closed());
        CHECK_THROWS_AS(ref.call_soon_threadsafe([] {}), std::logic_error);
        CHECK(counted::alive == 0);
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("loop_ref: a call that was posted and never made is freed with the loop") {
    counted::reset();
    {
        const audited afterwards;
        aio::event_loop loop;
        const auto handle = loop.ref().call_soon_threadsafe([held = counted(1)] { CHECK(held.value == 2); });
        CHECK(counted::alive == 1);
        CHECK_FALSE(handle.cancelled());
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("loop_ref: a null function is misuse") {
    const aio::event_loop loop;
    void (*none)() = nullptr;
    CHECK_THROWS_AS(loop.ref().call_soon_threadsafe(none), std::invalid_argument);
}

TEST_CASE("loop_ref: posts of one thread keep their order", "[TS-1]") {
    std::vector<int> order;
    const audited afterwards;
    aio::event_loop loop;
    std::thread poster([&order, ref = loop.ref()] {
        for (int i = 0; i < 1'000; ++i) ref.call_soon_threadsafe([&order, i] { order.push_back(i); });
    });
    poster.join();
    CHECK(order.empty());
    aio::testing::run_until_idle(loop);
    CHECK(order.size() == 1'000);
    CHECK(std::is_sorted(order.begin(), order.end()));
}

TEST_CASE("loop_ref: a posted call can be cancelled on any thread while the loop comes to it", "[TS-1][stress]") {
    const int posts = rounds(50'000);
    std::atomic<int> made = 0;
    int taken_back = 0;
    const audited afterwards;
    const watchdog guard;
    aio::run([&]() -> aio::task<> {
        const aio::future<> over;
        std::thread poster([&, ref = aio::get_running_loop().ref()] {
            for (int i = 0; i < posts; ++i) {
                auto handle = ref.call_soon_threadsafe([&made] { ++made; });
                if (i % 2 == 0) continue;
                for (int pause = 0; pause < i % 16; ++pause)
                    static_cast<void>(made.load()); // a yield may take a time slice
                handle.cancel();
                if (handle.cancelled()) ++taken_back;
            }
            ref.call_soon_threadsafe([&over] { over.set_result(); });
        });
        co_await over;
        poster.join();
    });
    CHECK(taken_back == posts / 2);
    CHECK(made >= posts / 2);
    CHECK(made <= posts);
}

TEST_CASE("loop_ref: posting races with the end of the loop, and each call is made or freed", "[stress]") {
    const int loops = rounds(300);
    struct tracked {
        explicit tracked(std::atomic<int>& c) noexcept : alive(&c) { ++*alive; }
        tracked(const tracked& other) noexcept : alive(other.alive) { ++*alive; }
        tracked& operator=(const tracked&) = delete;
        ~tracked() { --*alive; }
        std::atomic<int>* alive;
    };
    std::atomic<int> alive = 0;
    int refused = 0;
    {
        const audited afterwards;
        for (int i = 0; i < loops; ++i) {
            std::optional<aio::event_loop> loop(std::in_place);
            std::atomic<int> posted = 0;
            std::thread poster([&, ref = loop->ref()] {
                try {
                    for (;; ++posted) ref.call_soon_threadsafe([held = tracked(alive)] { static_cast<void>(held); });
                } catch (const std::logic_error&) {
                    ++refused;
                }
            });
            while (posted < i % 8) std::this_thread::yield();
            make_iterations(*loop, 1, false);
            loop.reset();
            poster.join();
        }
    }
    CHECK(refused == loops);
    CHECK(alive == 0);
}
