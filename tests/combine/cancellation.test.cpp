// SPDX-License-Identifier: BSL-1.0

#include <asynchio/combine.hpp>

#include "support/catch.hpp"
#include "support/iterations.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>

#include <cstdint>
#include <string>
#include <vector>

// Programs that are cancelled at every point at which they can be: once and twice, in the order of asyncio and in
// shuffled ones. After each run nothing may be alive, no owned child may have outlived its call, every resource that
// was entered must have been left, and the request must have arrived.

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// What the runs of a scenario got wrong.
struct ledger {
    int running = 0;  // bodies of children that were entered and not left
    int inside = 0;   // resources that were entered and not left
    int outlived = 0; // calls that ended before what they own
    int lost = 0;     // results that were there and could not be taken
    int requests = 0; // to cancel, that were never delivered, or delivered more than once
};
ledger books;

/// In a child: it runs.
class presence {
public:
    presence() { ++books.running; }
    presence(const presence&) = delete;
    presence& operator=(const presence&) = delete;
    ~presence() { --books.running; }

private:
    counted held_;
};

/// Around calls that own their children: none of them runs on.
class owning {
public:
    owning() = default;
    owning(const owning&) = delete;
    owning& operator=(const owning&) = delete;
    ~owning() {
        if (books.running != before_) ++books.outlived;
    }

private:
    int before_ = books.running;
};

aio::task<counted> works(int yields, aio::duration time) {
    const presence here;
    for (int i = 0; i < yields; ++i) co_await aio::yield();
    if (time.count() > 0) co_await aio::sleep(time);
    co_return counted(yields);
}

aio::task<> toils(int yields, aio::duration time) {
    const presence here;
    co_await works(yields, time);
}

/// Cancelled, it takes three steps to clean up.
aio::task<counted> careful(aio::duration time) {
    const presence here;
    try {
        co_await aio::sleep(time);
        co_return counted(1);
    } catch (const aio::cancelled_error&) {}
    co_await aio::yield();
    co_await aio::sleep(1ms);
    throw aio::cancelled_error();
}

/// Swallows one cancellation.
aio::task<counted> stubborn(aio::duration time) {
    const presence here;
    try {
        co_await aio::sleep(time);
    } catch (const aio::cancelled_error&) {}
    co_await aio::yield();
    co_return counted(2);
}

aio::task<counted> breaks(aio::duration time) {
    const presence here;
    co_await aio::sleep(time);
    throw boom("breaks");
}

/// Leaving takes two steps.
class place {
public:
    aio::task<int> async_enter() {
        co_await aio::yield();
        ++books.inside;
        co_return 1;
    }
    aio::task<> async_exit(std::exception_ptr) {
        --books.inside;
        co_await aio::yield();
        co_await aio::sleep(1ms);
    }

private:
    counted held_;
};

// gather

aio::task<> gather_of_tasks() {
    const owning here;
    const auto all = co_await aio::gather(works(2, 1ms), careful(2ms), works(0, 0ms), toils(1, 3ms));
    (void)all;
}

aio::task<> gather_of_range() {
    const owning here;
    std::vector<aio::task<counted>> tasks;
    for (int i = 0; i < 4; ++i) tasks.push_back(works(i, 1ms * i));
    const auto all = co_await aio::gather(std::move(tasks));
    if (all.size() != 4) ++books.lost;
}

aio::task<> gather_that_fails() {
    const owning here;
    try {
        co_await aio::gather(careful(5ms), breaks(2ms), works(1, 4ms));
    } catch (const boom&) {}
}

aio::task<> gather_of_outcomes() {
    const owning here;
    const auto all = co_await aio::gather(aio::return_exceptions, careful(3ms), breaks(1ms), stubborn(2ms));
    (void)all;
}

aio::task<> gather_of_stubborn() {
    const owning here;
    co_await aio::gather(stubborn(2ms), stubborn(1ms));
}

aio::task<> gather_of_handles() {
    const auto a = aio::create_task(works(2, 2ms));
    const auto b = aio::create_task(works(1, 1ms));
    co_await aio::gather(a, b, a);
    if (!a.done() || !b.done()) ++books.outlived;
}

aio::task<> gather_in_place() {
    const aio::future<int> f;
    aio::get_running_loop().call_later(1ms, [f] {
        if (!f.done()) f.set_result(1);
    });
    const owning here;
    co_await aio::gather(aio::sleep(2ms), aio::gather(works(1, 1ms), aio::yield(), aio::shield(f)),
                         aio::shield(works(1, 1ms)));
}

aio::task<> gather_mixed() {
    const auto watched = aio::create_task(careful(3ms));
    co_await aio::gather(watched, works(1, 1ms), aio::sleep(2ms));
}

// race

aio::task<> race_of_tasks() {
    const owning here;
    co_await aio::race(careful(3ms), works(1, 1ms), works(3, 0ms));
}

aio::task<> race_in_gather() {
    const owning here;
    co_await aio::gather(aio::race(careful(1ms), works(2, 2ms)), aio::race(aio::sleep(1ms), toils(1, 1ms)),
                         works(1, 1ms));
}

// wait and as_completed

aio::task<> wait_for_some() {
    const auto a = aio::create_task(works(1, 1ms));
    const auto b = aio::create_task(careful(3ms));
    const auto some = co_await aio::wait(a, b, aio::first_completed);
    const auto rest = co_await aio::wait(some.pending, aio::all_completed, 1ms);
    if (some.done.size() + rest.done.size() + rest.pending.size() != 2) ++books.lost;
    b.cancel();
    const auto end = co_await aio::wait(b);
    if (end.done.size() != 1) ++books.lost;
}

aio::task<> as_completed_of_handles() {
    std::vector<aio::task_handle<counted>> all;
    for (int i = 0; i < 3; ++i) all.push_back(aio::create_task(works(i, 1ms * i)));
    auto finished = aio::as_completed(all);
    while (auto next = co_await finished.next()) co_await aio::yield();
}

/// Goes on after each cancellation, and gets everything all the same.
aio::task<> as_completed_loses_nothing() {
    std::vector<aio::task_handle<counted>> all;
    for (int i = 0; i < 4; ++i) all.push_back(aio::create_task(works(i, 1ms * (i / 2))));
    auto finished = aio::as_completed(all, 1h);
    int taken = 0;
    for (bool more = true; more;) {
        try {
            const auto next = co_await finished.next();
            more = next.has_value();
            if (more) ++taken;
        } catch (const aio::cancelled_error&) {}
    }
    if (taken != 4) ++books.lost;
}

aio::task<> as_completed_of_tasks() {
    const owning here;
    std::vector<aio::task<counted>> tasks;
    for (int i = 0; i < 3; ++i) tasks.push_back(works(i, 1ms));
    tasks.push_back(careful(1h));
    co_await aio::with(aio::as_completed(tasks), [](auto& finished) -> aio::task<> {
        for (int i = 0; i < 3; ++i) co_await finished.next();
    });
}

aio::task<> as_completed_in_timeout() {
    const owning here;
    std::vector<aio::task<counted>> tasks;
    tasks.push_back(works(1, 1ms));
    tasks.push_back(careful(1h));
    auto body = [&]() -> aio::task<> {
        co_await aio::with(aio::as_completed(tasks), [](auto& finished) -> aio::task<> {
            while (auto next = co_await finished.next()) co_await aio::yield();
        });
    };
    try {
        co_await aio::with(aio::timeout(2ms), body);
    } catch (const aio::timeout_error&) {}
}

// wait_for and shield

aio::task<> wait_for_in_time() {
    const owning here;
    co_await aio::wait_for(works(1, 1ms), 1h);
    co_await aio::wait_for(careful(1ms), 1h);
}

aio::task<> wait_for_too_late() {
    const owning here;
    try {
        co_await aio::wait_for(careful(1h), 1ms);
    } catch (const aio::timeout_error&) {}
}

aio::task<> wait_for_a_handle() {
    const auto h = aio::create_task(careful(1h));
    try {
        co_await aio::yield();
        co_await aio::wait_for(h, 1ms);
    } catch (const aio::timeout_error&) {
        if (!h.done()) ++books.outlived;
    }
}

aio::task<> wait_for_nothing() {
    const auto h = aio::create_task(careful(1h));
    co_await aio::yield();
    try {
        co_await aio::wait_for(h, 0ms);
    } catch (const aio::timeout_error&) {
        if (!h.done()) ++books.outlived;
    }
    co_await aio::yield();
}

aio::task<> shield_in_wait_for() {
    const owning here;
    try {
        co_await aio::wait_for(aio::shield(works(1, 3ms)), 1ms);
    } catch (const aio::timeout_error&) {}
}

aio::task<> shield_of_a_handle() {
    const auto h = aio::create_task(works(2, 2ms));
    try {
        co_await aio::shield(h);
    } catch (const aio::cancelled_error&) {
        if (h.cancelling() != 0) ++books.lost;
        throw;
    }
    if (h.result().value != 2) ++books.lost;
}

/// The handle's result survives whatever becomes of those who wait.
aio::task<> results_of_handles_stay() {
    const auto h = aio::create_task(works(1, 1ms));
    bool again = true;
    while (again) {
        again = false;
        try {
            co_await aio::gather(aio::shield(h), aio::wait_for(aio::shield(h), 1h),
                                 aio::race(aio::shield(h), aio::sleep(1h)));
        } catch (const aio::cancelled_error&) {
            again = true;
        }
    }
    if (h.result().value != 1) ++books.lost;
}

// with and finally

aio::task<> with_a_place() {
    const owning here;
    co_await aio::with(place(), place(), [](int a, int b) { return works(a + b, 1ms); });
}

aio::task<> finally_cleans_up() {
    const owning here;
    ++books.inside;
    co_await aio::finally(careful(1ms), []() -> aio::task<> {
        --books.inside;
        co_await aio::sleep(1ms);
    });
}

// timeout and move_on_after

aio::task<> timeout_around_gather() {
    const owning here;
    try {
        co_await aio::with(aio::timeout(2ms), [] { return aio::gather(careful(1h), works(2, 1ms), stubborn(1ms)); });
    } catch (const aio::timeout_error&) {}
}

aio::task<> timeout_in_timeout() {
    const owning here;
    try {
        co_await aio::with(aio::timeout(2ms), aio::timeout(2ms), aio::timeout(3ms), [] { return careful(1h); });
    } catch (const aio::timeout_error&) {}
}

aio::task<> move_on_after_in_gather() {
    const owning here;
    auto slow = [] { return toils(1, 1h); };
    auto quick = [] { return toils(1, 1ms); };
    co_await aio::gather(aio::with(aio::move_on_after(1ms), slow), aio::with(aio::move_on_after(2ms), quick),
                         works(2, 2ms));
}

// task_group

aio::task<> group_of_children() {
    const owning here;
    co_await aio::with(aio::task_group(), [](aio::task_group& g) -> aio::task<> {
        g.create_task(works(2, 2ms));
        g.create_task(careful(1ms));
        g.create_task(aio::eager, works(1, 0ms));
        co_await aio::sleep(1ms);
        g.create_task(toils(1, 1ms));
    });
}

aio::task<> group_that_fails() {
    const owning here;
    try {
        co_await aio::with(aio::task_group(), [](aio::task_group& g) -> aio::task<> {
            g.create_task(careful(1h));
            g.create_task(breaks(1ms));
            co_await aio::sleep(2ms);
        });
    } catch (const aio::exception_group&) {}
    co_await aio::yield();
}

aio::task<> group_in_group() {
    const owning here;
    co_await aio::with(aio::task_group(), [](aio::task_group& outer) -> aio::task<> {
        outer.create_task(careful(2ms));
        outer.create_task([]() -> aio::task<> {
            co_await aio::with(aio::task_group(), [](aio::task_group& g) -> aio::task<> {
                g.create_task(works(2, 1ms));
                co_await aio::yield();
            });
        });
        co_await aio::with(aio::task_group(), [](aio::task_group& inner) -> aio::task<> {
            inner.create_task(works(1, 1ms));
            co_await aio::sleep(1ms);
        });
    });
}

aio::task<> groups_that_fail_together() {
    const owning here;
    try {
        co_await aio::with(aio::task_group(), [](aio::task_group& outer) -> aio::task<> {
            outer.create_task(breaks(1ms));
            co_await aio::with(aio::task_group(), [](aio::task_group& inner) -> aio::task<> {
                inner.create_task(breaks(1ms));
                inner.create_task(careful(1h));
                co_await aio::sleep(1h);
            });
        });
    } catch (const aio::exception_group&) {}
}

aio::task<> group_that_is_cancelled() {
    const owning here;
    co_await aio::with(aio::task_group(), [](aio::task_group& g) -> aio::task<> {
        g.create_task(careful(1h));
        g.create_task(works(1, 1ms));
        co_await aio::sleep(2ms);
        g.cancel();
        co_await aio::sleep(1h);
    });
}

aio::task<> gather_in_group() {
    const owning here;
    co_await aio::with(aio::task_group(), [](aio::task_group& g) -> aio::task<> {
        g.create_task(aio::gather(careful(1ms), works(2, 1ms)));
        co_await aio::gather(works(1, 1ms), aio::sleep(2ms));
    });
}

// All of them

aio::task<> everything() {
    const owning here;
    auto inner = [](aio::task_group& g) -> aio::task<> {
        g.create_task(aio::wait_for(works(1, 1ms), 1h));
        g.create_task(aio::finally(careful(1ms), aio::yield()));
        co_await aio::gather(aio::race(works(1, 1ms), aio::sleep(2ms)), aio::shield(works(1, 1ms)),
                             aio::wait_for(careful(1ms), 1h));
    };
    auto in_group = [&]() {
        return aio::with(place(), aio::move_on_after(1h), aio::task_group(),
                         [&](int, auto&, auto& g) { return inner(g); });
    };
    try {
        co_await aio::with(place(), aio::timeout(1h), in_group);
    } catch (const aio::timeout_error&) {}
}

struct scenario {
    const char* name;
    aio::task<> (*make)();
    bool arrives; // a request always ends the task; the others have something in them that swallows it
};

constexpr scenario scenarios[] = {
    {"gather_of_tasks", &gather_of_tasks, true},
    {"gather_of_range", &gather_of_range, true},
    {"gather_that_fails", &gather_that_fails, true},
    {"gather_of_outcomes", &gather_of_outcomes, true},
    {"gather_of_stubborn", &gather_of_stubborn, true},
    {"gather_of_handles", &gather_of_handles, true},
    {"gather_in_place", &gather_in_place, true},
    {"gather_mixed", &gather_mixed, true},
    {"race_of_tasks", &race_of_tasks, true},
    {"race_in_gather", &race_in_gather, true},
    {"wait_for_some", &wait_for_some, true},
    {"as_completed_of_handles", &as_completed_of_handles, true},
    {"as_completed_loses_nothing", &as_completed_loses_nothing, false},
    {"as_completed_of_tasks", &as_completed_of_tasks, true},
    {"as_completed_in_timeout", &as_completed_in_timeout, true},
    {"wait_for_in_time", &wait_for_in_time, true},
    {"wait_for_too_late", &wait_for_too_late, true},
    {"wait_for_a_handle", &wait_for_a_handle, true},
    {"wait_for_nothing", &wait_for_nothing, true},
    {"shield_in_wait_for", &shield_in_wait_for, true},
    {"shield_of_a_handle", &shield_of_a_handle, true},
    {"results_of_handles_stay", &results_of_handles_stay, false},
    {"with_a_place", &with_a_place, true},
    {"finally_cleans_up", &finally_cleans_up, true},
    {"timeout_around_gather", &timeout_around_gather, true},
    {"timeout_in_timeout", &timeout_in_timeout, true},
    {"move_on_after_in_gather", &move_on_after_in_gather, true},
    {"group_of_children", &group_of_children, true},
    {"group_that_fails", &group_that_fails, true},
    {"group_in_group", &group_in_group, true},
    {"groups_that_fail_together", &groups_that_fail_together, true},
    {"group_that_is_cancelled", &group_that_is_cancelled, true},
    {"gather_in_group", &gather_in_group, true},
    {"everything", &everything, true},
};

/// Goes on after a cancellation: each request is delivered once, and none without one.
aio::task<> counts_deliveries(const scenario& what) {
    const auto self = aio::current_task();
    int delivered = 0;
    try {
        co_await what.make();
    } catch (const aio::cancelled_error&) {
        ++delivered;
    }
    for (int i = 0; i < 3; ++i) {
        try {
            co_await aio::yield();
        } catch (const aio::cancelled_error&) {
            ++delivered;
        }
    }
    if (delivered > self.cancelling() || (what.arrives && self.cancelling() > 0 && delivered == 0)) ++books.requests;
}

std::size_t cancelled_runs = 0;

aio::testing::cancellation_plan plan_of(std::size_t second_after, std::uint64_t seed) {
    aio::testing::cancellation_plan plan;
    plan.second_after = second_after;
    if (seed != 0) plan.options = aio::testing::shuffled_order(seed);
    return plan;
}

void cancel_everywhere(const scenario& what, std::size_t second_after, std::uint64_t seed) {
    INFO(what.name << ", second request after " << second_after << " steps, order " << seed);
    const watchdog guard;
    books = ledger();
    counted::reset();
    int left_alive = 0;
    const auto report = aio::testing::for_each_cancellation(
        [&] {
            if (counted::alive != 0) ++left_alive;
            return what.make();
        },
        plan_of(second_after, seed));
    cancelled_runs += report.points;
    CHECK(report.points > 2);
    CHECK(left_alive == 0);
    CHECK(counted::alive == 0);
    CHECK(books.running == 0);
    CHECK(books.inside == 0);
    CHECK(books.outlived == 0);
    CHECK(books.lost == 0);
    CHECK(report.failed == 0);
    if (what.arrives) CHECK(report.cancelled == report.points);
}

} // namespace

TEST_CASE("combine: every program survives its cancellation at every step",
          "[GATHER-11][WAIT-9][WFOR-6][SH-2][TG-12][TO-13]") {
    for (const scenario& each : scenarios) cancel_everywhere(each, 0, 0);
}

TEST_CASE("combine: every program survives a second request one to four steps after the first", "[WFOR-7][TG-16]") {
    for (const scenario& each : scenarios)
        for (std::size_t after = 1; after <= 4; ++after) cancel_everywhere(each, after, 0);
}

TEST_CASE("combine: every program survives its cancellations in shuffled orders", "[stress]") {
    cancelled_runs = 0;
    for (std::uint64_t seed = 1; seed <= 10; ++seed)
        for (const scenario& each : scenarios)
            for (std::size_t after = 0; after <= 4; ++after) cancel_everywhere(each, after, seed);
    CHECK(cancelled_runs >= 20'000);
}

TEST_CASE("combine: every request is delivered once", "[TG-14][WFOR-9][WFOR-10][TO-5]") {
    for (const scenario& each : scenarios)
        for (const std::uint64_t seed : {0U, 1U, 2U})
            for (std::size_t after = 0; after <= 4; ++after) {
                INFO(each.name << ", second request after " << after << " steps, order " << seed);
                const watchdog guard;
                books = ledger();
                const auto report =
                    aio::testing::for_each_cancellation([&] { return counts_deliveries(each); }, plan_of(after, seed));
                CHECK(report.points > 4);
                CHECK(books.requests == 0);
                CHECK(report.failed == 0);
            }
}

TEST_CASE("combine: every program can be destroyed with its loop after every iteration") {
    for (const scenario& each : scenarios) {
        INFO(each.name);
        const watchdog guard;
        const audited afterwards;
        counted::reset();
        books = ledger();
        bool ended = false;
        for (int iterations_run = 0; !ended; ++iterations_run) {
            aio::event_loop loop(aio::testing::virtual_clock());
            int pending = 0;
            loop.set_exception_handler([&](aio::event_loop&, const aio::exception_context&) { ++pending; });
            const auto main = loop.create_task(each.make());
            make_iterations(loop, iterations_run);
            ended = main.done();
            loop.close();
            if (!ended) CHECK(pending > 0);
            CHECK(counted::alive == 0);
            CHECK(books.running == 0);
        }
    }
}
