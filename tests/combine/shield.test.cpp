// SPDX-License-Identifier: BSL-1.0

#include <asynchio/combine/shield.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/runner.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <memory>
#include <string>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

TEST_CASE("shield: gives the result, or throws the exception, of a handle, a task, a callable", "[SH-1][SH-5]") {
    virtual_run([]() -> aio::task<> {
        const auto h = aio::create_task(gives_after(1ms, 1));
        const int of_handle = co_await aio::shield(h);
        CHECK(of_handle == 1);
        const int of_task = co_await aio::shield(gives_after(1ms, 2));
        CHECK(of_task == 2);
        auto body = [] { return gives_after(1ms, 3); };
        const int of_callable = co_await aio::shield(body);
        CHECK(of_callable == 3);
        co_await aio::shield(aio::sleep(1ms));
        const auto bad = aio::create_task(fails_after(1ms, "bad"));
        const auto failed = co_await aio::nothrow(aio::shield(bad));
        CHECK(text_of(failed.error()) == "bad");
        const auto owned = co_await aio::nothrow(aio::shield(fails("owned")));
        CHECK(text_of(owned.error()) == "owned");
    });
}

TEST_CASE("shield: of a handle, a cancelled awaiter ends at once and the task is untouched", "[SH-2][SH-8]") {
    virtual_run([]() -> aio::task<> {
        const auto inner = aio::create_task(gives_after(10ms, 1));
        const auto outer = aio::create_task(aio::shield(inner));
        co_await aio::sleep(1ms);
        CHECK(outer.cancel("go"));
        co_await aio::yield();
        CHECK(outer.cancelled());
        CHECK(inner.cancelling() == 0);
        CHECK(aio::detail::access::state(inner)->watchers.empty());
        const int result = co_await inner;
        CHECK(result == 1);
    });
}

TEST_CASE("shield: cancelling what is behind it reaches the awaiter", "[SH-3]") {
    virtual_run([]() -> aio::task<> {
        const auto inner = aio::create_task(gives_after(1h, 1));
        const auto outer = aio::create_task(aio::shield(inner));
        co_await aio::testing::run_until_idle();
        inner.cancel("inner");
        std::string message;
        try {
            co_await outer;
        } catch (const aio::cancelled_error& e) {
            message = e.message();
        }
        CHECK(message == "inner");
        CHECK(outer.cancelling() == 0);
    });
}

TEST_CASE("shield: of what is done does not suspend", "[SH-4]") {
    virtual_run([]() -> aio::task<> {
        const auto h = aio::create_task(gives(1));
        co_await aio::testing::run_until_idle();
        const iterations loop;
        const int result = co_await aio::shield(h);
        CHECK(result == 1);
        CHECK(loop.passed() == 0);
    });
}

TEST_CASE("shield: of a task or callable, the cancellation is delivered when that has ended", "[SH-5]") {
    virtual_run([]() -> aio::task<> {
        int ended = 0;
        const auto work = [&ended]() -> aio::task<int> {
            co_await aio::sleep(10ms);
            ++ended;
            co_return 1;
        };
        for (const bool callable : {false, true}) {
            const auto begin = aio::clock::now();
            const auto outer = aio::create_task([&]() -> aio::task<> {
                if (callable)
                    co_await aio::shield(work);
                else
                    co_await aio::shield(work());
            });
            co_await aio::sleep(1ms);
            outer.cancel("one");
            co_await aio::sleep(1ms);
            outer.cancel("two");
            CHECK(!outer.done());
            co_await aio::nothrow(outer);
            CHECK(outer.cancelled());
            CHECK(outer.cancelling() == 2);
            CHECK(aio::clock::now() - begin == 10ms);
        }
        CHECK(ended == 2);
    });
}

TEST_CASE("shield: of an inner gather keeps the cancellation away from its children", "[SH-7]") {
    virtual_run([]() -> aio::task<> {
        const auto a = aio::create_task(gives_after(5ms, 1));
        const auto b = aio::create_task(gives_after(6ms, 2));
        const auto outer = aio::create_task([&]() -> aio::task<> { co_await aio::shield(aio::gather(a, b)); });
        co_await aio::sleep(1ms);
        outer.cancel();
        co_await aio::nothrow(outer);
        CHECK(outer.cancelled());
        CHECK(a.result() == 1);
        CHECK(b.result() == 2);
    });
}

TEST_CASE("shield: an exception that comes after the awaiter was cancelled is reported", "[SH-6]") {
    trace reports;
    virtual_run([&]() -> aio::task<> {
        aio::get_running_loop().set_exception_handler([&](aio::event_loop&, const aio::exception_context& context) {
            reports.push_back(text_of(context.exception));
        });
        auto inner = aio::create_task(fails_after(5ms, "late"));
        const auto outer = aio::create_task(aio::shield(inner));
        inner = {};
        co_await aio::sleep(1ms);
        outer.cancel();
        co_await aio::nothrow(outer);
        CHECK(reports.empty());
        co_await aio::sleep(10ms);
    });
    CHECK(reports == trace{"late"});
}

TEST_CASE("shield: does not protect from the end of the run", "[SH-9]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto inner = aio::create_task(cleans_up(1ms, "inner", log));
        aio::create_task(aio::shield(inner));
        co_await aio::testing::run_until_idle();
    });
    CHECK(log == trace{"inner begins", "inner cancelled", "inner cleaned up"});
}

TEST_CASE("shield: goes on two iterations after what is behind it has ended") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> f;
        const iterations loop;
        aio::get_running_loop().call_soon([&] { f.set_result(1); });
        co_await aio::shield(f);
        CHECK(loop.passed() == 3);
    });
}

TEST_CASE("shield: cancelled in the iteration in which the inner one ends, the handle keeps the result") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> f;
        const auto outer = aio::create_task(aio::shield(f));
        co_await aio::testing::run_until_idle();
        f.set_result(1);
        outer.cancel();
        co_await aio::nothrow(outer);
        CHECK(outer.cancelled());
        CHECK(f.result() == 1);
    });
}

TEST_CASE("shield: move-only, reference and void results") {
    int value = 3;
    virtual_run([&]() -> aio::task<> {
        const auto unique = []() -> aio::task<std::unique_ptr<int>> {
            co_await aio::yield();
            co_return std::make_unique<int>(5);
        };
        const auto reference = [&]() -> aio::task<int&> {
            co_await aio::yield();
            co_return value;
        };
        const auto owned = co_await aio::shield(unique());
        CHECK(*owned == 5);
        auto h = aio::create_task(unique());
        const auto copy = h;
        const auto moved = co_await aio::shield(std::move(h));
        CHECK(*moved == 5);
        CHECK_THROWS_AS(copy.result(), aio::invalid_state_error);
        const auto kept = aio::create_task(unique());
        const auto& seen = co_await aio::shield(kept);
        CHECK(*seen == 5);
        CHECK(*kept.result() == 5);
        int& same = co_await aio::shield(reference());
        CHECK(&same == &value);
        co_await aio::shield(ends_after(1ms));
    });
}

TEST_CASE("shield: a result that it owns is destroyed when the cancellation takes its place") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        const auto outer = aio::create_task([]() -> aio::task<> {
            const auto work = []() -> aio::task<counted> {
                co_await aio::sleep(5ms);
                co_return counted(1);
            };
            co_await aio::shield(work());
        });
        co_await aio::sleep(1ms);
        outer.cancel();
        co_await aio::nothrow(outer);
        CHECK(outer.cancelled());
        CHECK(counted::alive == 0);
    });
}

TEST_CASE("shield: an empty argument and a handle of another loop are misuse") {
    const audited afterwards;
    const watchdog guard;
    aio::runner other(aio::testing::virtual_clock());
    const auto foreign = other.get_loop().create_task(gives(1));
    aio::runner r(aio::testing::virtual_clock());
    r.run([&]() -> aio::task<> {
        int thrown = 0;
        try {
            co_await aio::shield(aio::task<int>());
        } catch (const std::logic_error&) {
            ++thrown;
        }
        try {
            co_await aio::shield(foreign);
        } catch (const std::invalid_argument&) {
            ++thrown;
        }
        CHECK(thrown == 2);
    });
}

TEST_CASE("shield: 100,000 times in one task", "[stress]") {
    virtual_run([]() -> aio::task<> {
        long sum = 0;
        for (int i = 0; i < 100'000; ++i) sum += co_await aio::shield(gives(i));
        CHECK(sum == 99'999L * 50'000L);
    });
}

TEST_CASE("shield: of a task, a second request between its end and the wake-up is delivered with the first") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> f;
        int delivered = 0;
        const auto outer = aio::create_task([&]() -> aio::task<> {
            auto waits = [](aio::future<int> on) -> aio::task<> { co_await on; };
            try {
                co_await aio::shield(waits(f));
            } catch (const aio::cancelled_error&) {
                ++delivered;
            }
            try {
                co_await aio::yield();
            } catch (const aio::cancelled_error&) {
                ++delivered;
            }
        });
        co_await aio::testing::run_until_idle();
        outer.cancel();
        co_await aio::testing::run_until_idle();
        f.set_result(1);
        co_await aio::yield(); // the task has ended
        outer.cancel();
        co_await outer;
        CHECK(delivered == 1);
    });
}

TEST_CASE("shield: cancelled between the end of a handle and the decision about it, it is cancelled at once") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> result;
        const auto waiting = aio::create_task([&]() -> aio::task<int> { co_return co_await aio::shield(result); });
        co_await aio::yield();
        result.set_result(3);
        CHECK(waiting.cancel());
        co_await aio::nothrow(waiting);
        CHECK(waiting.cancelled());
    });
}
