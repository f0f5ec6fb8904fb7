// SPDX-License-Identifier: BSL-1.0

#include <asynchio/combine/on_cancel.hpp>

#include "support/captured_stderr.hpp"
#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/timeout.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// Cancels `x` when it waits, and gives how it ended.
template<class X>
aio::task<aio::outcome<int>> cancelled_once(X x) {
    const auto task = aio::create_task(std::move(x));
    co_await aio::testing::run_until_idle();
    task.cancel("first");
    co_return co_await aio::nothrow(task);
}

aio::task<> cleans(aio::duration time, trace& log) {
    log.push_back("cleanup");
    co_await aio::sleep(time);
    log.push_back("cleaned");
}

} // namespace

TEST_CASE("on_cancel: a body that ends by itself is not followed by the cleanup") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto cleanup = [&log] { log.push_back("cleanup"); };
        const int value = co_await aio::on_cancel(gives_after(1ms, 3), cleanup);
        CHECK(value == 3);
        const auto late = co_await aio::nothrow(aio::on_cancel(fails_after(1ms, "late"), cleanup));
        CHECK(text_of(late.error()) == "late");
        const auto body = []() -> aio::task<> { throw boom("called"); };
        const auto called = co_await aio::nothrow(aio::on_cancel(body, cleanup));
        CHECK(text_of(called.error()) == "called");
        const auto swallowed = co_await cancelled_once(aio::on_cancel(swallows(5), cleanup));
        CHECK(swallowed.value() == 5);
    });
    CHECK(log.empty());
}

TEST_CASE("on_cancel: the body runs in the calling task, and the cleanup in one of its own") {
    virtual_run([]() -> aio::task<> {
        const auto task = aio::create_task([]() -> aio::task<> {
            const auto self = aio::current_task();
            auto body = [&self]() -> aio::task<> {
                CHECK(aio::current_task() == self);
                co_await aio::sleep(1h);
            };
            auto cleanup = [&self]() -> aio::task<> {
                CHECK(aio::current_task() != self);
                const auto limited = co_await aio::nothrow(aio::wait_for(aio::sleep(1h), 2ms));
                CHECK_THROWS_AS(limited.rethrow(), aio::timeout_error);
            };
            co_await aio::on_cancel(body, cleanup);
        });
        co_await aio::testing::run_until_idle();
        const auto begin = aio::clock::now();
        task.cancel();
        co_await aio::nothrow(task);
        CHECK(task.cancelled());
        CHECK(aio::clock::now() - begin == 2ms);
    });
}

TEST_CASE("on_cancel: cleanups of every kind run, and then the cancellation goes on") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto call = [&log] { log.push_back("call"); };
        const auto async = [&log]() -> aio::task<int> {
            co_await cleans(1ms, log);
            co_return 4;
        };
        const auto after_call = co_await cancelled_once(aio::on_cancel(gives_after(1h, 1), call));
        CHECK(after_call.cancelled());
        CHECK(message_of([&] { after_call.rethrow(); }) == "cancelled: first");
        const auto after_callable = co_await cancelled_once(aio::on_cancel(gives_after(1h, 1), async));
        CHECK(after_callable.cancelled());
        CHECK(message_of([&] { after_callable.rethrow(); }) == "cancelled: first");
        const auto after_task = co_await cancelled_once(aio::on_cancel(gives_after(1h, 1), cleans(1ms, log)));
        CHECK(after_task.cancelled());
        const auto begin = aio::clock::now();
        const auto after_awaitable = co_await cancelled_once(aio::on_cancel(aio::sleep(1h, 1), aio::sleep(5ms)));
        CHECK(after_awaitable.cancelled());
        CHECK(aio::clock::now() - begin == 5ms);
    });
    CHECK(log == trace{"call", "cleanup", "cleaned", "cleanup", "cleaned"});
}

TEST_CASE("on_cancel: a body that ends cancelled by others is cleaned up after, too") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto other = aio::create_task(gives_after(1h, 1));
        co_await aio::yield();
        other.cancel();
        const auto ended = co_await aio::nothrow(aio::on_cancel(other, cleans(1ms, log)));
        CHECK(ended.cancelled());
        CHECK(aio::current_task().cancelling() == 0);
        const auto body = []() -> aio::task<> { throw aio::cancelled_error("thrown"); };
        const auto thrown = co_await aio::nothrow(aio::on_cancel(body, cleans(1ms, log)));
        CHECK(message_of([&] { thrown.rethrow(); }) == "cancelled: thrown");
    });
    CHECK(log == trace{"cleanup", "cleaned", "cleanup", "cleaned"});
}

TEST_CASE("on_cancel: an exception of the cleanup replaces the cancellation") {
    virtual_run([]() -> aio::task<> {
        const auto call = [] { throw boom("call"); };
        const auto at_once = co_await cancelled_once(aio::on_cancel(gives_after(1h, 1), call));
        CHECK(text_of(at_once.error()) == "call");
        const auto late = co_await cancelled_once(aio::on_cancel(gives_after(1h, 1), fails_after(1ms, "late")));
        CHECK(text_of(late.error()) == "late");
    });
}

TEST_CASE("on_cancel: a request during the cleanup is delivered when that has ended") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto task = aio::create_task([&]() -> aio::task<> {
            try {
                co_await aio::on_cancel(ends_after(1h), cleans(10ms, log));
            } catch (const aio::cancelled_error& e) {
                log.push_back("cancelled " + std::string(e.message()));
            }
            co_await aio::sleep(1ms); // is not interrupted: one cancelled_error stands for both, as in asyncio
            log.push_back("goes on");
        });
        co_await aio::testing::run_until_idle();
        const auto begin = aio::clock::now();
        task.cancel("first");
        co_await aio::testing::run_until_idle();
        CHECK(task.cancel("second"));
        co_await aio::sleep(5ms);
        CHECK(task.cancel("third"));
        CHECK(task.cancelling() == 3);
        co_await task;
        CHECK(aio::clock::now() - begin == 11ms);
    });
    CHECK(log == trace{"cleanup", "cleaned", "cancelled first", "goes on"});
}

TEST_CASE("on_cancel: a request during a cleanup that fails comes at the next suspension") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto task = aio::create_task([&]() -> aio::task<> {
            try {
                co_await aio::on_cancel(gives_after(1h, 1), fails_after(10ms, "cleanup"));
            } catch (const boom& e) {
                log.push_back(e.what());
            }
            try {
                co_await aio::sleep(1ms);
            } catch (const aio::cancelled_error& e) {
                log.push_back("cancelled " + std::string(e.message()));
                throw;
            }
        });
        co_await aio::testing::run_until_idle();
        task.cancel("first");
        co_await aio::testing::run_until_idle();
        task.cancel("second");
        co_await aio::nothrow(task);
        CHECK(task.cancelled());
        CHECK(task.cancelling() == 2);
    });
    CHECK(log == trace{"cleanup", "cancelled second"});
}

TEST_CASE("on_cancel: in a timeout, and around one") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto limited = [&]() -> aio::task<> { co_await aio::on_cancel(ends_after(1h), cleans(1ms, log)); };
        const auto late = co_await aio::nothrow(aio::with(aio::timeout(5ms), limited));
        CHECK_THROWS_AS(late.rethrow(), aio::timeout_error);
        CHECK(aio::current_task().cancelling() == 0);
        const auto inner = co_await aio::nothrow(aio::on_cancel(aio::wait_for(ends_after(1h), 1ms), cleans(1ms, log)));
        CHECK_THROWS_AS(inner.rethrow(), aio::timeout_error);
    });
    CHECK(log == trace{"cleanup", "cleaned"});
}

TEST_CASE("on_cancel: as a child of gather it is waited for") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto task = aio::create_task([&]() -> aio::task<> {
            co_await aio::gather(aio::on_cancel(aio::sleep(1h), cleans(3ms, log)), ends_after(1h));
        });
        co_await aio::testing::run_until_idle();
        const auto begin = aio::clock::now();
        task.cancel();
        co_await aio::nothrow(task);
        CHECK(task.cancelled());
        CHECK(aio::clock::now() - begin == 3ms);
    });
    CHECK(log == trace{"cleanup", "cleaned"});
}

TEST_CASE("on_cancel: cancelled before its task has begun, neither body nor cleanup runs") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto task = aio::create_task(aio::on_cancel(cleans(1ms, log), cleans(1ms, log)));
        task.cancel();
        co_await aio::nothrow(task);
        CHECK(task.cancelled());
    });
    CHECK(log.empty());
}

TEST_CASE("on_cancel: a cleanup given as a task that is not needed is no task that nobody awaited") {
    trace log;
    captured_stderr said;
    auto options = aio::testing::virtual_clock();
    options.debug = true;
    virtual_run([&]() -> aio::task<> { co_await aio::on_cancel(ends_after(1ms), cleans(1ms, log)); }, options);
    CHECK_FALSE(contains(said.text(), "never awaited"));
}

TEST_CASE("on_cancel: lvalues are referenced, taken ones moved in and freed at the end") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        counted held(2);
        auto body = [held]() -> aio::task<int> { co_return held.value; };
        auto cleanup = [held]() { CHECK(held.value == 2); };
        counted::copies = counted::moves = 0;
        const int once = co_await aio::on_cancel(body, cleanup);
        CHECK(once == 2);
        CHECK(counted::copies + counted::moves == 0);
        {
            auto waiting = aio::on_cancel(aio::take(body), aio::take(cleanup));
            CHECK(counted::moves > 0);
            CHECK(counted::alive == 5);
            const int again = co_await std::move(waiting);
            CHECK(again == 2);
        }
        CHECK(counted::copies == 0);
        CHECK(counted::alive == 3);
        fixed awaited_where_it_is, cleanup_of_it;
        const int result = co_await aio::on_cancel(awaited_where_it_is, cleanup_of_it);
        CHECK(result == 1);
        CHECK(cleanup_of_it.times == 0);
        const auto cancelled = []() -> aio::task<> { throw aio::cancelled_error(); };
        co_await aio::nothrow(aio::on_cancel(cancelled, cleanup_of_it));
        CHECK(cleanup_of_it.times == 1);
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("on_cancel: move-only, reference and void results, and one whose move throws") {
    int value = 1;
    fragile::alive = 0;
    virtual_run([&]() -> aio::task<> {
        const auto cleanup = [] {};
        const auto unique = co_await aio::on_cancel(
            []() -> aio::task<std::unique_ptr<int>> {
                co_await aio::yield();
                co_return std::make_unique<int>(4);
            },
            cleanup);
        CHECK(*unique == 4);
        int& same = co_await aio::on_cancel([&]() -> aio::task<int&> { co_return value; }, cleanup);
        CHECK(&same == &value);
        co_await aio::on_cancel(ends_after(1ms), cleanup);
        for (int fuse = 1; fuse < 8; ++fuse) {
            fragile::fuse = fuse;
            bool thrown = false;
            try {
                const fragile result =
                    co_await aio::on_cancel([]() -> aio::task<fragile> { co_return fragile(1); }, cleanup);
                CHECK(result.value == 1);
            } catch (const boom&) {
                thrown = true;
            }
            CHECK(thrown == (fragile::fuse == 0));
            fragile::fuse = 0;
            CHECK(fragile::alive == 0);
        }
    });
}

TEST_CASE("on_cancel: cancelled at every step, once and twice") {
    for (std::size_t second_after = 0; second_after < 8; ++second_after) {
        aio::testing::cancellation_plan plan;
        plan.second_after = second_after;
        int entered = 0, broken_off = 0, cleaned = 0, lost = 0, needless = 0;
        const auto met = aio::testing::for_each_cancellation(
            [&]() -> aio::task<> {
                bool began = false, ended = false;
                const int before = cleaned;
                auto body = [&]() -> aio::task<int> {
                    began = true;
                    co_await aio::sleep(1ms);
                    co_await aio::yield();
                    ended = true;
                    co_return 1;
                };
                auto cleanup = [&]() -> aio::task<> {
                    ++entered;
                    try {
                        co_await aio::yield();
                        co_await aio::sleep(1ms);
                    } catch (const aio::cancelled_error&) {
                        ++broken_off;
                        throw;
                    }
                    ++cleaned;
                };
                try {
                    co_await aio::on_cancel(body, cleanup);
                } catch (const aio::cancelled_error&) {
                    if (began && !ended && cleaned != before + 1) ++lost;
                    throw;
                }
                if (cleaned != before) ++needless;
            },
            plan);
        CHECK(met.points > 2);
        CHECK(met.cancelled == met.points);
        CHECK(entered > 0);
        CHECK(cleaned == entered);
        CHECK(broken_off == 0);
        CHECK(lost == 0);
        CHECK(needless == 0);
    }
}

TEST_CASE("on_cancel: a loop that closes destroys body and cleanup where they are") {
    for (const bool cleaning : {false, true}) {
        trace log;
        counted::reset();
        {
            aio::event_loop loop;
            loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
            auto body = [held = counted(1)]() -> aio::task<> { co_await aio::sleep(1h); };
            auto cleanup = [held = counted(2), &log]() -> aio::task<> { co_await cleans(1h, log); };
            const auto task = loop.create_task(aio::on_cancel(aio::take(body), aio::take(cleanup)));
            loop.call_later(1ms, [&] {
                if (cleaning) task.cancel();
                loop.call_later(1ms, [&] { loop.stop(); });
            });
            loop.run_forever();
        }
        CHECK(log == (cleaning ? trace{"cleanup"} : trace()));
        CHECK(counted::alive == 0);
        CHECK(aio::testing::audit().clean());
    }
}

TEST_CASE("on_cancel: 100,000 times in one task", "[stress]") {
    virtual_run([]() -> aio::task<> {
        int cleaned = 0;
        const auto cleanup = [&] { ++cleaned; };
        for (int i = 0; i < 100'000; ++i) co_await aio::on_cancel(gives(i), cleanup);
        CHECK(cleaned == 0);
    });
}
