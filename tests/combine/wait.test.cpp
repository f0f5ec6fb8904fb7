// SPDX-License-Identifier: BSL-1.0

#include <asynchio/combine/wait.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/runner.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <list>
#include <optional>
#include <string>
#include <vector>

// covers: combine/detail/wait_arguments.hpp

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

using handles = std::vector<aio::task_handle<int>>;

template<class... H>
handles make_handles(const H&... each) {
    handles list;
    (list.push_back(each), ...);
    return list;
}

} // namespace

TEST_CASE("wait: no handles at all, and an empty one, are misuse", "[WAIT-1]") {
    virtual_run([]() -> aio::task<> {
        CHECK_THROWS_AS(aio::wait(handles()), std::invalid_argument);
        CHECK_THROWS_AS(aio::wait(make_handles(aio::task_handle<int>())), std::logic_error);
        co_return;
    });
}

TEST_CASE("wait: a handle of another loop is misuse", "[WAIT-1]") {
    const audited afterwards;
    const watchdog guard;
    aio::runner other(aio::testing::virtual_clock());
    const auto foreign = other.get_loop().create_task(gives(1));
    aio::runner r(aio::testing::virtual_clock());
    r.run([&]() -> aio::task<> {
        CHECK_THROWS_AS(aio::wait(foreign), std::invalid_argument);
        co_return;
    });
}

TEST_CASE("wait: duplicates count once", "[WAIT-1]") {
    virtual_run([]() -> aio::task<> {
        const auto h = aio::create_task(gives_after(1ms, 1));
        const auto other = aio::create_task(gives_after(2ms, 1));
        const auto r = co_await aio::wait(make_handles(h, other, h));
        CHECK(r.done == make_handles(h, other));
        CHECK(r.pending.empty());
    });
}

TEST_CASE("wait: gives what is done, failed or cancelled, in the order of the arguments, and never throws it",
          "[WAIT-2][WAIT-3][WAIT-12]") {
    int reported = 0;
    virtual_run([&]() -> aio::task<> {
        aio::get_running_loop().set_exception_handler(
            [&](aio::event_loop&, const aio::exception_context&) { ++reported; });
        const auto slow = aio::create_task(gives_after(30ms, 1));
        const auto bad = aio::create_task(fails_after(10ms, "bad"));
        const auto cancelled = aio::create_task(gives_after(1h, 2));
        const auto quick = aio::create_task(gives(3));
        aio::get_running_loop().call_later(20ms, [cancelled] { cancelled.cancel(); });
        const auto begin = aio::clock::now();
        const auto r = co_await aio::wait(make_handles(slow, bad, cancelled, quick));
        CHECK(aio::clock::now() - begin == 30ms);
        CHECK(r.done == make_handles(slow, bad, cancelled, quick));
        CHECK(r.pending.empty());
        CHECK(text_of(bad.exception()) == "bad");
        CHECK(cancelled.cancelled());
    });
    CHECK(reported == 0);
}

TEST_CASE("wait: leaves the exceptions to be seen; one that nobody looks at is reported", "[WAIT-2]") {
    trace reports;
    virtual_run([&]() -> aio::task<> {
        aio::get_running_loop().set_exception_handler(
            [&](aio::event_loop&, const aio::exception_context& context) { reports.push_back(context.message); });
        const auto r = co_await aio::wait(make_handles(aio::create_task(fails("bad"))));
        CHECK(r.done.size() == 1);
    });
    CHECK(reports == trace{"Task exception was never retrieved"});
}

TEST_CASE("wait: first_completed gives all that has ended before the waiter runs", "[WAIT-4]") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> a;
        const aio::future<int> b;
        const aio::future<int> c;
        const aio::future<int> d;
        auto& loop = aio::get_running_loop();
        loop.call_soon([&] {
            b.set_result(1);
            loop.call_soon([&] { d.set_result(2); }); // one iteration later: before the waiter runs
        });
        const std::vector<aio::future<int>> all{a, b, c, d};
        const auto r = co_await aio::wait(all, aio::first_completed);
        CHECK(r.done == std::vector<aio::future<int>>{b, d});
        CHECK(r.pending == std::vector<aio::future<int>>{a, c});
    });
}

TEST_CASE("wait: first_completed, round by round", "[WAIT-4]") {
    virtual_run([]() -> aio::task<> {
        auto left = make_handles(aio::create_task(gives_after(24ms, 1)), aio::create_task(gives_after(4ms, 2)),
                                 aio::create_task(gives_after(14ms, 3)));
        std::vector<int> order;
        while (!left.empty()) {
            auto r = co_await aio::wait(left, aio::first_completed);
            for (const auto& each : r.done) order.push_back(each.result());
            left = std::move(r.pending);
        }
        CHECK(order == std::vector<int>{2, 3, 1});
    });
}

TEST_CASE("wait: first_exception returns at the first that throws, not at one cancelled or done", "[WAIT-5]") {
    virtual_run([]() -> aio::task<> {
        const auto ok = aio::create_task(gives_after(5ms, 1));
        const auto gone = aio::create_task(gives_after(1h, 2));
        const auto bad = aio::create_task(fails_after(20ms, "bad"));
        const auto slow = aio::create_task(gives_after(30ms, 3));
        aio::get_running_loop().call_later(10ms, [gone] { gone.cancel(); });
        const auto begin = aio::clock::now();
        const auto r = co_await aio::wait(make_handles(slow, ok, gone, bad), aio::first_exception);
        CHECK(aio::clock::now() - begin == 20ms);
        CHECK(r.done == make_handles(ok, gone, bad));
        CHECK(r.pending == make_handles(slow));
        CHECK(text_of(bad.exception()) == "bad");
        const auto rest = co_await aio::wait(r.pending, aio::first_exception);
        CHECK(rest.done.size() == 1);
        CHECK(aio::clock::now() - begin == 30ms);
    });
}

TEST_CASE("wait: first_exception of one that has failed already returns with the others pending", "[WAIT-5]") {
    virtual_run([]() -> aio::task<> {
        const auto bad = aio::create_task(fails("bad"));
        const auto slow = aio::create_task(gives_after(1ms, 1));
        co_await aio::testing::run_until_idle();
        const auto r = co_await aio::wait(make_handles(slow, bad), aio::first_exception);
        CHECK(r.done == make_handles(bad));
        CHECK(r.pending == make_handles(slow));
        CHECK(bad.exception());
    });
}

TEST_CASE("wait: a timeout gives what there is and cancels nothing", "[WAIT-6]") {
    virtual_run([]() -> aio::task<> {
        const auto quick = aio::create_task(gives_after(5ms, 1));
        const auto slow = aio::create_task(gives_after(50ms, 2));
        const auto begin = aio::clock::now();
        const auto r = co_await aio::wait(make_handles(quick, slow), aio::all_completed, 20ms);
        CHECK(aio::clock::now() - begin == 20ms);
        CHECK(r.done == make_handles(quick));
        CHECK(r.pending == make_handles(slow));
        CHECK(slow.cancelling() == 0);
        const int late = co_await slow;
        CHECK(late == 2);
    });
}

TEST_CASE("wait: a timeout that is not needed leaves no timer", "[WAIT-6]") {
    virtual_run([]() -> aio::task<> {
        const auto quick = aio::create_task(gives_after(5ms, 1));
        const auto r = co_await aio::wait(make_handles(quick), aio::all_completed, std::optional<aio::duration>(1h));
        CHECK(r.done.size() == 1);
        CHECK(aio::get_running_loop().pending_timers() == 0);
        const auto again = co_await aio::wait(make_handles(quick), aio::all_completed, std::nullopt);
        CHECK(again.done.size() == 1);
    });
}

TEST_CASE("wait: a timeout of 0 returns after one pass of the loop", "[WAIT-7]") {
    virtual_run([]() -> aio::task<> {
        const auto ready = aio::create_task(gives(1));
        const auto slow = aio::create_task(gives_after(1h, 2));
        {
            const iterations loop;
            const auto r = co_await aio::wait(make_handles(ready, slow), aio::all_completed, 0s);
            CHECK(r.done == make_handles(ready));
            CHECK(r.pending == make_handles(slow));
            CHECK(loop.passed() == 2);
        }
        slow.cancel();
        co_await aio::nothrow(slow);
    });
}

TEST_CASE("wait: suspends even if all is done already", "[WAIT-8]") {
    virtual_run([]() -> aio::task<> {
        const auto h = aio::create_task(gives(1));
        co_await aio::testing::run_until_idle();
        const iterations loop;
        const auto r = co_await aio::wait(make_handles(h));
        CHECK(r.done.size() == 1);
        CHECK(loop.passed() == 2);
    });
}

TEST_CASE("wait: cancelled, it leaves the children alone and does not watch them any more", "[WAIT-9]") {
    virtual_run([]() -> aio::task<> {
        const auto child = aio::create_task(gives_after(10ms, 1));
        const auto waiter = aio::create_task(aio::wait(make_handles(child)));
        co_await aio::testing::run_until_idle();
        CHECK(!aio::detail::access::state(child)->watchers.empty());
        waiter.cancel();
        co_await aio::nothrow(waiter);
        CHECK(waiter.cancelled());
        CHECK(aio::detail::access::state(child)->watchers.empty());
        CHECK(child.cancelling() == 0);
        const int result = co_await child;
        CHECK(result == 1);
    });
}

TEST_CASE("wait: cancelled in the iteration in which the last child ends", "[WAIT-9]") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> f;
        std::vector<aio::future<int>> all{f};
        const auto waiter = aio::create_task(aio::wait(all, aio::all_completed, 1h));
        co_await aio::testing::run_until_idle();
        f.set_result(1);
        waiter.cancel();
        co_await aio::nothrow(waiter);
        CHECK(waiter.cancelled());
        CHECK(f.result() == 1);
        CHECK(aio::get_running_loop().pending_timers() == 0);
    });
}

TEST_CASE("wait: takes any range of handles, and handles one by one", "[WAIT-11]") {
    virtual_run([]() -> aio::task<> {
        const auto a = aio::create_task(gives_after(1ms, 1));
        const auto b = aio::create_task(gives_after(2ms, 2));
        const aio::future<std::string> f;
        aio::get_running_loop().call_later(3ms, [f] { f.set_result(std::string("text")); });
        const std::list<aio::task_handle<int>> list{a, b};
        const auto first = co_await aio::wait(list, aio::first_completed);
        static_assert(std::is_same_v<decltype(first.done), std::vector<aio::task_handle<int>>>);
        CHECK(first.done == make_handles(a));
        const auto pair = co_await aio::wait(a, b);
        CHECK(pair.done == make_handles(a, b));
        const auto c = aio::create_task(ends_after(1ms));
        const auto mixed = co_await aio::wait(a, c, aio::first_completed);
        static_assert(std::is_same_v<decltype(mixed.done), std::vector<aio::any_task_handle>>);
        CHECK(mixed.done == std::vector<aio::any_task_handle>{a});
        CHECK(mixed.pending == std::vector<aio::any_task_handle>{c});
        const auto text = co_await aio::wait(f);
        CHECK(text.done.at(0).result() == "text");
    });
}

TEST_CASE("wait: goes on two iterations after the deciding result") {
    virtual_run([]() -> aio::task<> {
        const aio::future<int> f;
        const iterations loop;
        aio::get_running_loop().call_soon([&] { f.set_result(1); });
        const auto r = co_await aio::wait(f);
        CHECK(r.done.size() == 1);
        CHECK(loop.passed() == 3);
    });
}

TEST_CASE("wait: keeps the tasks of handles that are dropped meanwhile") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        const auto make = [](int value) -> aio::task<counted> {
            co_await aio::sleep(1ms);
            co_return counted(value);
        };
        auto h = aio::create_task(make(7));
        std::vector<aio::task_handle<counted>> list;
        list.push_back(std::move(h));
        auto waiting = aio::wait(std::move(list));
        const auto r = co_await waiting;
        CHECK(r.done.at(0).result().value == 7);
        CHECK(counted::copies == 0);
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("wait: of 100,000 handles", "[stress]") {
    virtual_run([]() -> aio::task<> {
        handles all;
        for (int i = 0; i < 100'000; ++i) all.push_back(aio::create_task(gives_after(1ms * (i % 7), i)));
        const auto some = co_await aio::wait(all, aio::first_completed);
        CHECK(some.done.size() + some.pending.size() == all.size());
        CHECK(!some.pending.empty());
        const auto r = co_await aio::wait(all);
        CHECK(r.done == all);
    });
}
