// SPDX-License-Identifier: BSL-1.0

#include <asynchio/combine/wait_for.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/finally.hpp>
#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/race.hpp>
#include <asynchio/combine/shield.hpp>
#include <asynchio/combine/wait.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// How awaiting `x` ends: its number, "timeout", "cancelled", or what it throws.
template<class X>
aio::task<std::string> end_of(X x) {
    try {
        const int value = co_await std::move(x);
        co_return std::to_string(value);
    } catch (const aio::timeout_error&) {
        co_return "timeout";
    } catch (const aio::cancelled_error&) {
        co_return "cancelled";
    } catch (const std::exception& e) {
        co_return e.what();
    }
}

} // namespace

TEST_CASE("wait_for: gives the result if it comes in time, and without a limit just awaits", "[WFOR-1][WFOR-13]") {
    virtual_run([]() -> aio::task<> {
        std::string end = co_await end_of(aio::wait_for(gives_after(5ms, 1), 10ms));
        CHECK(end == "1");
        CHECK(aio::get_running_loop().pending_timers() == 0);
        end = co_await end_of(aio::wait_for(gives_after(1h, 2), std::nullopt));
        CHECK(end == "2");
        end = co_await end_of(aio::wait_for(gives_after(1h, 3), std::optional<aio::duration>()));
        CHECK(end == "3");
        end = co_await end_of(aio::wait_for(gives_after(1h, 3), std::optional<std::chrono::seconds>(1s)));
        CHECK(end == "timeout");
        const auto h = aio::create_task(gives_after(5ms, 4));
        end = co_await end_of(aio::wait_for(h, 10ms));
        CHECK(end == "4");
        end = co_await end_of(aio::wait_for(fails_after(1ms, "bad"), 10ms));
        CHECK(end == "bad");
        auto body = [] { return gives_after(1ms, 5); };
        end = co_await end_of(aio::wait_for(body, 10ms));
        CHECK(end == "5");
        co_await aio::wait_for(aio::sleep(1ms), 10ms);
        CHECK(aio::get_running_loop().pending_timers() == 0);
    });
}

TEST_CASE("wait_for: at the deadline it cancels the inner one and waits until that has ended", "[WFOR-2]") {
    for (const bool as_handle : {false, true}) {
        trace log;
        virtual_run([&]() -> aio::task<> {
            const auto begin = aio::clock::now();
            std::string end;
            if (as_handle) {
                const auto h = aio::create_task(cleans_up(7ms, "a", log));
                end = co_await end_of(aio::wait_for(h, 10ms));
                CHECK(h.cancelled());
            } else {
                end = co_await end_of(aio::wait_for(cleans_up(7ms, "a", log), 10ms));
            }
            CHECK(end == "timeout");
            CHECK(aio::clock::now() - begin == 17ms);
            CHECK(aio::current_task().cancelling() == 0);
        });
        CHECK(log == trace{"a begins", "a cancelled", "a cleaned up"});
    }
}

TEST_CASE("wait_for: a value that the cancelled inner one gives after all counts", "[WFOR-3]") {
    virtual_run([]() -> aio::task<> {
        std::string end = co_await end_of(aio::wait_for(swallows(4), 10ms));
        CHECK(end == "4");
        const auto h = aio::create_task(swallows(5));
        end = co_await end_of(aio::wait_for(h, 10ms));
        CHECK(end == "5");
        CHECK(aio::current_task().cancelling() == 0);
        co_await aio::yield();
    });
}

TEST_CASE("wait_for: another exception of the cancelled inner one goes out", "[WFOR-4]") {
    virtual_run([]() -> aio::task<> {
        const auto turns = []() -> aio::task<int> {
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {}
            throw boom("turned");
        };
        std::string end = co_await end_of(aio::wait_for(turns(), 10ms));
        CHECK(end == "turned");
        const auto h = aio::create_task(turns());
        end = co_await end_of(aio::wait_for(h, 10ms));
        CHECK(end == "turned");
    });
}

TEST_CASE("wait_for: with no time at all gives what is there, starts nothing, and cancels what runs", "[WFOR-5]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        for (const auto limit : {0ms, -1ms}) {
            const auto done = aio::create_task(gives(1));
            const auto bad = aio::create_task(fails("bad"));
            const auto running = aio::create_task(cleans_up(3ms, "running", log));
            co_await aio::testing::run_until_idle();
            std::string end = co_await end_of(aio::wait_for(done, limit));
            CHECK(end == "1");
            end = co_await end_of(aio::wait_for(bad, limit));
            CHECK(end == "bad");
            end = co_await end_of(aio::wait_for(cleans_up(1ms, "never", log), limit));
            CHECK(end == "timeout");
            const auto begin = aio::clock::now();
            end = co_await end_of(aio::wait_for(running, limit));
            CHECK(end == "timeout");
            CHECK(running.cancelled());
            CHECK(aio::clock::now() - begin == 3ms);
            const auto swallowing = aio::create_task(swallows(6));
            co_await aio::testing::run_until_idle();
            end = co_await end_of(aio::wait_for(swallowing, limit));
            CHECK(end == "6");
        }
    });
    CHECK(log == trace{"running begins", "running cancelled", "running cleaned up", "running begins",
                       "running cancelled", "running cleaned up"});
}

TEST_CASE("wait_for: cancelled, it cancels the inner one and waits for it", "[WFOR-6]") {
    for (const bool as_handle : {false, true}) {
        trace log;
        virtual_run([&]() -> aio::task<> {
            aio::task_handle<int> h;
            if (as_handle) h = aio::create_task(cleans_up(5ms, "a", log));
            const auto outer = aio::create_task([&]() -> aio::task<> {
                if (as_handle)
                    co_await aio::wait_for(h, 1h);
                else
                    co_await aio::wait_for(cleans_up(5ms, "a", log), 1h);
            });
            co_await aio::sleep(1ms);
            const auto begin = aio::clock::now();
            outer.cancel("stop");
            std::string message = "none";
            try {
                co_await outer;
            } catch (const aio::cancelled_error& e) {
                message = e.message();
            }
            CHECK(outer.cancelled());
            CHECK(aio::clock::now() - begin == 5ms);
            CHECK(aio::get_running_loop().pending_timers() == 0);
        });
        CHECK(log == trace{"a begins", "a cancelled", "a cleaned up"});
    }
}

TEST_CASE("wait_for: a second request interrupts the cleanup of the inner one", "[WFOR-7]") {
    for (const bool as_handle : {false, true}) {
        trace log;
        virtual_run([&]() -> aio::task<> {
            aio::task_handle<int> h;
            if (as_handle) h = aio::create_task(cleans_up(1h, "a", log));
            const auto outer = aio::create_task([&]() -> aio::task<> {
                if (as_handle)
                    co_await aio::wait_for(h, 1h);
                else
                    co_await aio::wait_for(cleans_up(1h, "a", log), 1h);
            });
            co_await aio::sleep(1ms);
            outer.cancel();
            co_await aio::sleep(1ms);
            outer.cancel();
            co_await aio::testing::run_until_idle();
            CHECK(outer.cancelled());
        });
        CHECK(log == trace{"a begins", "a cancelled", "a cancelled again"});
    }
}

TEST_CASE("wait_for: a request during the cleanup after the deadline interrupts it", "[WFOR-7]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto outer =
            aio::create_task([&]() -> aio::task<> { co_await aio::wait_for(cleans_up(1h, "a", log), 1ms); });
        co_await aio::sleep(5ms);
        outer.cancel();
        co_await aio::nothrow(outer);
        CHECK(outer.cancelled());
        CHECK(outer.cancelling() == 1);
    });
    CHECK(log == trace{"a begins", "a cancelled", "a cancelled again"});
}

TEST_CASE("wait_for: a result and the deadline in one iteration: the timeout", "[WFOR-8]") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> f;
        const auto when = aio::clock::now() + 10ms;
        aio::get_running_loop().call_at(when, [&] { f.set_result(1); });
        const std::string end = co_await end_of(aio::wait_for(f, 10ms));
        CHECK(end == "timeout");
        CHECK(f.result() == 1);
        CHECK(aio::current_task().cancelling() == 0);
    });
}

TEST_CASE("wait_for: a result and a request in one iteration: cancelled, and the handle keeps the result", "[WFOR-9]") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> f;
        const auto outer = aio::create_task(aio::wait_for(f, 1h));
        co_await aio::testing::run_until_idle();
        f.set_result(1);
        outer.cancel();
        co_await aio::nothrow(outer);
        CHECK(outer.cancelled());
        CHECK(f.result() == 1);
    });
}

TEST_CASE("wait_for: several side by side are independent", "[WFOR-10]") {
    virtual_run([]() -> aio::task<> {
        const auto ends = co_await aio::gather(
            end_of(aio::wait_for(gives_after(5ms, 1), 10ms)), end_of(aio::wait_for(gives_after(1h, 2), 7ms)),
            end_of(aio::wait_for(gives_after(9ms, 3), 3ms)), end_of(aio::wait_for(gives_after(2ms, 4), 3ms)));
        CHECK(std::get<0>(ends) == "1");
        CHECK(std::get<1>(ends) == "timeout");
        CHECK(std::get<2>(ends) == "timeout");
        CHECK(std::get<3>(ends) == "4");
        CHECK(aio::current_task().cancelling() == 0);
    });
}

TEST_CASE("wait_for: a task runs in the calling task, and takes no iteration of its own", "[WFOR-11]") {
    virtual_run([]() -> aio::task<> {
        const auto self = aio::current_task();
        const iterations loop;
        const auto body = [&]() -> aio::task<int> {
            CHECK(aio::current_task() == self);
            CHECK(aio::all_tasks().size() == 1);
            co_return 1;
        };
        const int value = co_await aio::wait_for(body(), 1h);
        CHECK(value == 1);
        CHECK(loop.passed() == 0);
    });
}

TEST_CASE("wait_for: of a shield of a handle gives up the shield alone", "[WFOR-12]") {
    virtual_run([]() -> aio::task<> {
        const auto h = aio::create_task(gives_after(20ms, 1));
        std::string end = co_await end_of(aio::wait_for(aio::shield(h), 5ms));
        CHECK(end == "timeout");
        CHECK(h.cancelling() == 0);
        end = co_await end_of(aio::wait_for(aio::shield(h), 0ms));
        CHECK(end == "timeout");
        CHECK(h.cancelling() == 0);
        end = co_await end_of(aio::wait_for(aio::shield(h), std::nullopt));
        CHECK(end == "1");
        end = co_await end_of(aio::wait_for(aio::shield(h), 0ms));
        CHECK(end == "1");
    });
}

TEST_CASE("wait_for: inside wait_for, the shorter limit counts") {
    virtual_run([]() -> aio::task<> {
        const auto begin = aio::clock::now();
        std::string end = co_await end_of(aio::wait_for(aio::wait_for(gives_after(1h, 1), 5ms), 10ms));
        CHECK(end == "timeout");
        CHECK(aio::clock::now() - begin == 5ms);
        end = co_await end_of(aio::wait_for(aio::wait_for(gives_after(1h, 1), 10ms), 5ms));
        CHECK(end == "timeout");
        CHECK(aio::clock::now() - begin == 10ms);
        CHECK(aio::current_task().cancelling() == 0);
    });
}

TEST_CASE("wait_for: move-only, reference and void results") {
    int value = 2;
    virtual_run([&]() -> aio::task<> {
        const auto unique = []() -> aio::task<std::unique_ptr<int>> {
            co_await aio::yield();
            co_return std::make_unique<int>(5);
        };
        const auto reference = [&]() -> aio::task<int&> { co_return value; };
        const auto owned = co_await aio::wait_for(unique(), 1s);
        CHECK(*owned == 5);
        auto h = aio::create_task(unique());
        const auto moved = co_await aio::wait_for(std::move(h), 1s);
        CHECK(*moved == 5);
        int& same = co_await aio::wait_for(reference(), 1s);
        CHECK(&same == &value);
        co_await aio::wait_for(ends_after(1ms), 1s);
    });
}

TEST_CASE("wait_for: a body that throws before it waits, and one whose result throws when it is copied") {
    fragile::alive = 0;
    virtual_run([]() -> aio::task<> {
        const std::string end = co_await end_of(aio::wait_for(fails("at once"), 1h));
        CHECK(end == "at once");
        CHECK(aio::get_running_loop().pending_timers() == 0);
        const auto make = []() -> aio::task<fragile> {
            co_await aio::yield();
            co_return fragile(1);
        };
        const auto h = aio::create_task(make());
        co_await aio::testing::run_until_idle();
        for (int fuse = 1; fuse < 8; ++fuse) {
            fragile::fuse = fuse;
            bool thrown = false;
            try {
                const fragile copy = co_await aio::wait_for(h, 1h);
                CHECK(copy.value == 1);
            } catch (const boom&) {
                thrown = true;
            }
            CHECK(thrown == (fragile::fuse == 0));
            CHECK(fragile::alive == 1);
        }
        fragile::fuse = 0;
        CHECK(aio::get_running_loop().pending_timers() == 0);
    });
    CHECK(fragile::alive == 0);
}

TEST_CASE("wait_for: 100,000 times in one task", "[stress]") {
    virtual_run([]() -> aio::task<> {
        long sum = 0;
        for (int i = 0; i < 100'000; ++i) sum += co_await aio::wait_for(gives(i), 1h);
        CHECK(sum == 99'999L * 50'000L);
        CHECK(aio::get_running_loop().pending_timers() == 0);
    });
}

namespace {

/// How many iterations `x` takes, counted by calls of the loop.
template<class X>
aio::task<int> iterations_of(X x) {
    int count = 0;
    aio::callback_handle next;
    std::function<void()> again = [&] {
        ++count;
        next = aio::get_running_loop().call_soon(again);
    };
    next = aio::get_running_loop().call_soon(again);
    co_await aio::nothrow(x());
    next.cancel();
    co_return count;
}

} // namespace

TEST_CASE("wait_for: without time it gives way for as many iterations as asyncio does") {
    virtual_run([]() -> aio::task<> {
        auto of_a_task = []() -> aio::task<> { co_await aio::wait_for(ends_after(1ms), 0s); };
        const aio::future<> pending;
        auto of_a_shield = [&]() -> aio::task<> { co_await aio::wait_for(aio::shield(pending), 0s); };
        const auto running = aio::create_task(ends_after(1h));
        auto of_a_handle = [&]() -> aio::task<> { co_await aio::wait_for(running, -1s); };
        co_await aio::yield();
        const auto for_a_task = co_await iterations_of(of_a_task);
        CHECK(for_a_task == 3);
        const auto for_a_shield = co_await iterations_of(of_a_shield);
        CHECK(for_a_shield == 2);
        const auto for_a_handle = co_await iterations_of(of_a_handle);
        CHECK(for_a_handle == 3);
        CHECK_FALSE(pending.done());
        CHECK(running.cancelled());
    });
}

TEST_CASE(
    "wait_for: without time, a handle that was cancelled before is no timeout, nor is the caller's cancellation") {
    virtual_run([]() -> aio::task<> {
        const auto gone = aio::create_task(ends_after(1h));
        gone.cancel("before");
        co_await aio::nothrow(gone);
        const auto ended = co_await aio::nothrow(aio::wait_for(gone, 0s));
        CHECK(ended.cancelled());

        const auto slow = aio::create_task([]() -> aio::task<> {
            auto body = []() -> aio::task<> { co_await aio::sleep(1h); };
            auto cleanup = []() -> aio::task<> { co_await aio::sleep(1s); };
            co_await aio::finally(body, cleanup);
        });
        co_await aio::yield();
        const auto waiting = aio::create_task([&]() -> aio::task<> { co_await aio::wait_for(slow, 0s); });
        co_await aio::sleep(1ms);
        waiting.cancel();
        const auto cancelled = co_await aio::nothrow(waiting);
        CHECK(cancelled.cancelled());
    });
}

TEST_CASE("wait_for: without time, a request to cancel does not wait for a gather or shield that was asked to end") {
    virtual_run([]() -> aio::task<> {
        const aio::future<> pending;
        const auto ends_slowly = []() -> aio::task<> {
            auto body = []() -> aio::task<> { co_await aio::sleep(1h); };
            auto cleanup = []() -> aio::task<> { co_await aio::sleep(1s); };
            co_await aio::finally(body, cleanup);
        };
        const auto slow = aio::create_task(ends_slowly);
        const auto slow_too = aio::create_task(ends_slowly);
        co_await aio::yield();
        auto of_a_shield = [&]() -> aio::task<> { co_await aio::wait_for(aio::shield(pending), 0s); };
        auto of_a_gather = [&]() -> aio::task<> { co_await aio::wait_for(aio::gather(slow), 0s); };
        auto nested = [&]() -> aio::task<> {
            co_await aio::wait_for(aio::gather(aio::gather(slow_too), aio::shield(pending)), 0s);
        };
        const auto passed_until_cancelled = [](auto body) -> aio::task<int> {
            const auto waiting = aio::create_task(body);
            co_await aio::yield();
            const iterations loop;
            CHECK(waiting.cancel());
            co_await aio::wait(waiting);
            CHECK(waiting.cancelled());
            co_return loop.passed();
        };
        const int for_a_shield = co_await passed_until_cancelled(of_a_shield);
        CHECK(for_a_shield == 3);
        const int for_a_gather = co_await passed_until_cancelled(of_a_gather);
        CHECK(for_a_gather == 3);
        const int for_both = co_await passed_until_cancelled(nested);
        CHECK(for_both == 3);
        CHECK_FALSE(slow.done());
        CHECK_FALSE(slow_too.done());
        CHECK_FALSE(pending.done());
        co_await aio::wait(slow, slow_too);
        CHECK(slow.cancelled());
        CHECK(slow_too.cancelled());
    });
}

TEST_CASE("wait_for: without time, a request to cancel waits for the tasks of a gather or race that has just begun") {
    virtual_run([]() -> aio::task<> {
        int started = 0;
        const auto counts = [&started]() -> aio::task<int> {
            ++started;
            co_return 1;
        };
        const aio::future<int> pending;
        const auto pair = [&]() -> aio::task<> { co_await aio::wait_for(aio::gather(counts, counts), 0s); };
        const auto beside_a_future = [&]() -> aio::task<> {
            co_await aio::wait_for(aio::gather(counts, aio::shield(pending)), 0s);
        };
        const auto nested = [&]() -> aio::task<> {
            co_await aio::wait_for(aio::gather(aio::gather(counts), aio::gather(counts)), 0s);
        };
        const auto of_a_range = [&]() -> aio::task<> {
            std::vector<aio::task<int>> many;
            for (int i = 0; i < 3; ++i) many.push_back(counts());
            co_await aio::wait_for(aio::gather(std::move(many)), 0s);
        };
        const auto of_a_race = [&]() -> aio::task<> { co_await aio::wait_for(aio::race(counts, counts), 0s); };
        const std::size_t before = aio::all_tasks().size();
        const auto check_cancelled = [&](auto body) -> aio::task<> {
            const auto waiting = aio::create_task(body);
            co_await aio::yield(); // its children stand behind this task
            const iterations loop;
            CHECK(waiting.cancel("enough"));
            CHECK(waiting.cancel("again"));
            co_await aio::wait(waiting);
            CHECK(loop.passed() == 3);
            CHECK(waiting.cancelled());
            CHECK(aio::all_tasks().size() == before);
        };
        co_await check_cancelled(pair);
        co_await check_cancelled(beside_a_future);
        co_await check_cancelled(nested);
        co_await check_cancelled(of_a_range);
        co_await check_cancelled(of_a_race);
        CHECK(started == 0);
        CHECK_FALSE(pending.done());
    });
}
