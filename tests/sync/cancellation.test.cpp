// SPDX-License-Identifier: BSL-1.0

#include <asynchio/sync.hpp>

#include "support/catch.hpp"
#include "support/iterations.hpp"
#include "support/probes.hpp"
#include "support/threads.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

// Programs that use every awaitable of the module, alone and in the combinators, cancelled at every point at which they
// can be: once and twice, in the order of asyncio and in shuffled ones. After each run nothing may be alive, no lock
// may be held and no permit or item lost, and the request must have arrived.

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// What the runs of a scenario got wrong.
struct ledger {
    int held = 0;     // locks and permits that stayed with nobody
    int crowded = 0;  // moments with more tasks inside than allowed
    int lost = 0;     // items that neither came out nor stayed in
    int unlocked = 0; // ends of a wait without the mutex
    int outlived = 0; // ends of a call before what it owns
};
ledger books;

/// A mutex that must be free in the end.
struct watched_mutex : aio::mutex {
    ~watched_mutex() {
        if (locked() || !try_acquire()) ++books.held;
    }
};

/// A semaphore that must have all its permits in the end.
template<class Semaphore>
struct watched_semaphore : Semaphore {
    explicit watched_semaphore(int n) : Semaphore(n), permits(n) {}
    ~watched_semaphore() {
        for (int i = 0; i < permits; ++i)
            if (!this->try_acquire()) ++books.held;
        if (this->try_acquire()) ++books.held;
    }
    int permits;
};

/// Counts those inside.
class inside {
public:
    explicit inside(int& count, int most = 1) : count_(count) {
        if (++count_ > most) ++books.crowded;
    }
    inside(const inside&) = delete;
    inside& operator=(const inside&) = delete;
    ~inside() { --count_; }

private:
    int& count_;
};

/// An item that counts itself, movable only.
using item = std::unique_ptr<counted>;
item make_item(int n) { return std::make_unique<counted>(n); }

/// Waits until all of `rest` are over; a request that comes meanwhile is delivered then.
aio::task<> in_peace(std::vector<aio::task_handle<>> rest) {
    std::exception_ptr stop;
    for (const auto& each : rest) {
        while (!each.done()) {
            try {
                const auto end = co_await aio::wait(each);
                static_cast<void>(end);
            } catch (const aio::cancelled_error&) {
                stop = std::current_exception();
            }
        }
    }
    if (stop) std::rethrow_exception(stop);
}

aio::task<> in_peace(aio::task_handle<> one) { return in_peace(std::vector<aio::task_handle<>>(1, one)); }

/// Runs the children beside each other, and all are over when it is.
template<class... Children>
aio::task<> together(Children... children) {
    co_await aio::gather(std::move(children)...);
}

// event

aio::task<> waits(aio::event& e) {
    const counted here;
    co_await e.wait();
}

aio::task<> sets(aio::event& e, int yields) {
    for (int i = 0; i < yields; ++i) co_await aio::yield();
    e.set();
    e.clear();
    co_await aio::sleep(1ms);
    e.set();
}

aio::task<> event_of_several() {
    aio::event e;
    co_await together(waits(e), sets(e, 2), waits(e), waits(e));
}

/// The main task is the one that waits, and is woken by others.
aio::task<> event_alone() {
    aio::event e;
    aio::get_running_loop().call_soon([] {});
    auto setter = aio::create_task(sets(e, 1));
    auto wait = aio::finally(e.wait(), [&] { return in_peace(setter); });
    co_await std::move(wait);
}

// mutex

aio::task<> locks(aio::mutex& m, int& count, int yields) {
    co_await m.acquire();
    {
        const inside here(count);
        try {
            for (int i = 0; i < yields; ++i) co_await aio::yield();
        } catch (const aio::cancelled_error&) {
            m.release();
            throw;
        }
    }
    m.release();
}

aio::task<> locks_in_scope(aio::mutex& m, int& count, int yields) {
    const auto guard = co_await m.scoped_acquire();
    const inside here(count);
    for (int i = 0; i < yields; ++i) co_await aio::yield();
}

aio::task<> locks_with(aio::mutex& m, int& count, int yields) {
    auto body = [&]() -> aio::task<> {
        const inside here(count);
        for (int i = 0; i < yields; ++i) co_await aio::yield();
    };
    co_await aio::with(m, body);
}

aio::task<> mutex_of_several() {
    watched_mutex m;
    int count = 0;
    co_await together(locks(m, count, 1), locks_in_scope(m, count, 2), locks_with(m, count, 1), locks(m, count, 0));
}

/// The main task stands between two others.
aio::task<> mutex_between_others() {
    watched_mutex m;
    int count = 0;
    std::vector<aio::task_handle<>> others;
    others.push_back(aio::create_task(locks(m, count, 2)));
    co_await aio::finally(locks(m, count, 1), [&] { return in_peace(others); });
    others.push_back(aio::create_task(locks_in_scope(m, count, 1)));
    co_await aio::finally(locks_in_scope(m, count, 1), [&] { return in_peace(others); });
}

/// Others are cancelled beside the main task.
aio::task<> mutex_with_cancelled_others() {
    watched_mutex m;
    int count = 0;
    std::vector<aio::task_handle<>> others;
    for (int i = 0; i < 4; ++i) others.push_back(aio::create_task(locks_in_scope(m, count, 1)));
    auto body = [&]() -> aio::task<> {
        co_await aio::yield();
        others[1].cancel();
        co_await locks(m, count, 1);
        others[3].cancel();
    };
    co_await aio::finally(body(), [&] { return in_peace(others); });
}

aio::task<> mutex_in_timeout() {
    watched_mutex m;
    int count = 0;
    auto body = [&]() -> aio::task<> {
        co_await aio::gather(locks_in_scope(m, count, 1), locks_with(m, count, 1));
        const auto guard = co_await m.scoped_acquire();
        co_await aio::wait_for(m.acquire(), 1h); // waits for itself
    };
    try {
        co_await aio::with(aio::timeout(1ms), body);
    } catch (const aio::timeout_error&) {}
}

aio::task<> mutex_in_place() {
    watched_mutex m;
    auto unlocks = [&]() -> aio::task<> {
        co_await aio::yield();
        if (m.locked()) m.release();
    };
    const bool first = m.try_acquire();
    static_cast<void>(first);
    auto body = [&]() -> aio::task<> { co_await aio::gather(m.acquire(), unlocks); };
    // Whoever of the two was cancelled, the mutex may have been granted: it is given back.
    co_await aio::finally(body(), [&] {
        if (m.locked()) m.release();
    });
}

// condition

struct bounded {
    watched_mutex m;
    aio::condition changed{m};
    int value = 0;
};

aio::task<> takes(bounded& b) {
    const auto guard = co_await b.changed.scoped_acquire();
    auto there = [&] { return b.value > 0; };
    try {
        co_await b.changed.wait_for(there);
        --b.value;
    } catch (const aio::cancelled_error&) {
        if (!b.changed.locked()) ++books.unlocked;
        throw;
    }
    if (!b.changed.locked()) ++books.unlocked;
}

aio::task<> waits_once(bounded& b) {
    const auto guard = co_await b.changed.scoped_acquire();
    try {
        co_await b.changed.wait();
    } catch (const aio::cancelled_error&) {
        if (!b.changed.locked()) ++books.unlocked;
        throw;
    }
    ++b.value;
}

/// Until so many were notified and went on.
aio::task<> notifies(bounded& b, int waits) {
    while (b.value < waits) {
        const auto guard = co_await b.changed.scoped_acquire();
        b.changed.notify();
        co_await aio::yield();
    }
}

aio::task<> gives_to(bounded& b, std::size_t n, bool all = false) {
    const auto guard = co_await b.changed.scoped_acquire();
    b.value += static_cast<int>(n);
    if (all)
        b.changed.notify_all();
    else
        b.changed.notify(n);
    co_await aio::yield();
}

aio::task<> condition_of_several() {
    bounded b;
    co_await together(takes(b), takes(b), takes(b), gives_to(b, 1), gives_to(b, 2));
}

aio::task<> condition_wait() {
    bounded b;
    co_await together(waits_once(b), waits_once(b), notifies(b, 2));
}

/// The main task takes, or gives on what it was notified of.
aio::task<> condition_passes_on() {
    bounded b;
    std::vector<aio::task_handle<>> others;
    auto body = [&]() -> aio::task<> {
        auto mine = takes(b);
        others.push_back(aio::create_task(gives_to(b, 1)));
        co_await std::move(mine);
    };
    auto cleanup = [&]() -> aio::task<> {
        co_await in_peace(others);
        auto second = aio::create_task(takes(b)); // gets what the first left
        co_await gives_to(b, 1, true);
        co_await in_peace(second);
    };
    co_await aio::finally(body(), [&] { return aio::shield(cleanup()); });
}

aio::task<> condition_in_timeout() {
    bounded b;
    auto body = [&] { return takes(b); };
    try {
        co_await aio::with(aio::timeout(1ms), body);
    } catch (const aio::timeout_error&) {}
    co_await aio::gather(takes(b), aio::shield(gives_to(b, 1)));
}

// semaphore

template<class Semaphore>
aio::task<> acquires(Semaphore& s, int& count, int yields) {
    co_await s.acquire();
    {
        const inside here(count, 2);
        try {
            for (int i = 0; i < yields; ++i) co_await aio::yield();
        } catch (const aio::cancelled_error&) {
            s.release();
            throw;
        }
    }
    s.release();
}

template<class Semaphore>
aio::task<> acquires_in_scope(Semaphore& s, int& count, int yields) {
    const auto permit = co_await s.scoped_acquire();
    const inside here(count, 2);
    for (int i = 0; i < yields; ++i) co_await aio::yield();
}

template<class Semaphore>
aio::task<> acquires_with(Semaphore& s, int& count, int yields) {
    auto body = [&]() -> aio::task<> {
        const inside here(count, 2);
        for (int i = 0; i < yields; ++i) co_await aio::yield();
    };
    co_await aio::with(s, body);
}

template<class Semaphore>
aio::task<> semaphore_of_several() {
    watched_semaphore<Semaphore> s(2);
    int count = 0;
    co_await together(acquires(s, count, 1), acquires_in_scope(s, count, 2), acquires_with(s, count, 1),
                      acquires(s, count, 0), acquires_in_scope(s, count, 1), acquires(s, count, 1));
}

aio::task<> semaphore_among_others() {
    watched_semaphore<aio::semaphore> s(2);
    int count = 0;
    std::vector<aio::task_handle<>> others;
    for (int i = 0; i < 5; ++i) others.push_back(aio::create_task(acquires_in_scope(s, count, i % 3)));
    auto body = [&]() -> aio::task<> {
        others[3].cancel();
        co_await acquires(s, count, 1);
        others[4].cancel();
    };
    co_await aio::finally(body(), [&] { return in_peace(others); });
}

aio::task<> semaphore_in_group() {
    watched_semaphore<aio::bounded_semaphore> s(2);
    int count = 0;
    co_await aio::with(aio::task_group(), [&](aio::task_group& g) -> aio::task<> {
        for (int i = 0; i < 4; ++i) g.create_task(acquires_in_scope(s, count, i));
        co_await acquires(s, count, 1);
    });
}

aio::task<> semaphore_in_race() {
    watched_semaphore<aio::semaphore> s(1);
    int count = 0;
    co_await aio::race(acquires_in_scope(s, count, 2), acquires_in_scope(s, count, 1), acquires(s, count, 1));
    co_await acquires(s, count, 1);
}

// barrier

aio::task<> arrives(aio::barrier& b, int times) {
    for (int i = 0; i < times; ++i) {
        const std::size_t index = co_await b.wait();
        if (index >= b.parties()) ++books.crowded;
    }
}

aio::task<> barrier_of_three() {
    aio::barrier b(3);
    co_await together(arrives(b, 2), arrives(b, 2), arrives(b, 2));
    if (b.n_waiting() != 0) ++books.held;
}

/// Where the main task drops out, another takes its place.
aio::task<> barrier_with_a_substitute() {
    aio::barrier b(2);
    bool arrived = false;
    auto other = aio::create_task(arrives(b, 1));
    auto body = [&]() -> aio::task<> {
        co_await b.wait();
        arrived = true;
    };
    auto cleanup = [&]() -> aio::task<> {
        if (!arrived) {
            co_await aio::yield();
            co_await aio::yield();
            if (!other.done()) co_await b.wait();
        }
        co_await in_peace(other);
        if (b.n_waiting() != 0) ++books.held;
    };
    co_await aio::finally(body(), [&] { return aio::shield(cleanup()); });
}

aio::task<> barrier_with() {
    aio::barrier b(2);
    auto body = [&](std::size_t) -> aio::task<> { co_await aio::yield(); };
    co_await aio::gather(aio::with(b, body), aio::with(b, body));
}

aio::task<> barrier_aborted() {
    aio::barrier b(3);
    auto aborts = [&]() -> aio::task<> {
        co_await aio::yield();
        co_await aio::yield();
        b.abort();
        co_await aio::yield();
        b.reset();
    };
    auto arrives_broken = [&]() -> aio::task<> {
        try {
            co_await b.wait();
        } catch (const aio::broken_barrier_error&) {}
    };
    co_await aio::gather(arrives_broken, arrives_broken, aborts);
    if (b.n_waiting() != 0 || b.broken()) ++books.held;
}

aio::task<> barrier_in_timeout() {
    aio::barrier b(2);
    auto body = [&] { return arrives(b, 1); };
    try {
        co_await aio::with(aio::timeout(1ms), body);
    } catch (const aio::timeout_error&) {}
    if (b.n_waiting() != 0) ++books.held;
    co_await aio::gather(arrives(b, 1), arrives(b, 1));
}

// queue

struct channel {
    aio::queue<item> q{2};
    int put = 0;
    int got = 0;

    /// Nothing is in it but what was put and not taken.
    ~channel() {
        if (put - got != static_cast<int>(q.size())) ++books.lost;
    }
};

aio::task<> produces(channel& c, int items) {
    for (int i = 0; i < items; ++i) {
        co_await c.q.put(make_item(i));
        ++c.put;
    }
}

aio::task<> consumes(channel& c, int items) {
    for (int i = 0; i < items; ++i) {
        const item taken = co_await c.q.get();
        if (taken == nullptr) ++books.lost;
        ++c.got;
        c.q.task_done();
    }
}

aio::task<> iterates(channel& c) {
    while (const std::optional<item> taken = co_await c.q.next()) {
        ++c.got;
        c.q.task_done();
    }
}

aio::task<> queue_put_and_get() {
    channel c;
    co_await together(consumes(c, 3), produces(c, 4), consumes(c, 1), produces(c, 2), consumes(c, 2));
    co_await c.q.join();
}

aio::task<> queue_full() {
    channel c;
    std::vector<aio::task_handle<>> others;
    others.push_back(aio::create_task(produces(c, 3)));
    others.push_back(aio::create_task(consumes(c, 4)));
    co_await aio::finally(produces(c, 3), [&]() -> aio::task<> {
        c.q.shutdown();
        for (const auto& each : others) each.cancel();
        co_await in_peace(others);
    });
}

aio::task<> queue_get_alone() {
    channel c;
    std::vector<aio::task_handle<>> others;
    others.push_back(aio::create_task(consumes(c, 1)));
    others.push_back(aio::create_task(produces(c, 3)));
    co_await aio::finally(consumes(c, 2), [&] { return in_peace(others); });
}

aio::task<> queue_next() {
    channel c;
    auto producer = [&]() -> aio::task<> {
        co_await produces(c, 4);
        c.q.shutdown();
    };
    co_await aio::gather(iterates(c), iterates(c), producer);
}

aio::task<> queue_join() {
    channel c;
    auto joins = [&]() -> aio::task<> { co_await c.q.join(); };
    co_await aio::gather(produces(c, 3), joins, joins, consumes(c, 3));
}

aio::task<> queue_shut_down_at_once() {
    aio::queue<item> q(1);
    auto producer = [&]() -> aio::task<> {
        try {
            while (true) co_await q.put(make_item(1));
        } catch (const aio::queue_shut_down&) {}
    };
    auto closes = [&]() -> aio::task<> {
        co_await aio::yield();
        co_await aio::yield();
        q.shutdown(true);
        co_await q.join();
    };
    co_await aio::gather(producer, producer, closes);
}

aio::task<> queue_of_each_kind() {
    aio::lifo_queue<item> newest(1);
    struct smaller {
        bool operator()(const item& a, const item& b) const noexcept { return a->value < b->value; }
    };
    aio::priority_queue<item, smaller> smallest(2);
    auto moves = [&]() -> aio::task<> {
        for (int i = 0; i < 3; ++i) {
            item taken = co_await newest.get();
            co_await smallest.put(std::move(taken));
        }
        smallest.shutdown();
    };
    auto fills = [&]() -> aio::task<> {
        for (int i = 0; i < 3; ++i) co_await newest.put(make_item(i));
    };
    auto drains = [&]() -> aio::task<> {
        while (const std::optional<item> taken = co_await smallest.next()) co_await aio::yield();
    };
    co_await aio::gather(drains, moves, fills);
}

aio::task<> queue_in_combinators() {
    channel c;
    auto late = [&] { return consumes(c, 1); };
    try {
        co_await aio::with(aio::timeout(1ms), late);
    } catch (const aio::timeout_error&) {}
    try {
        co_await aio::wait_for(c.q.get(), 1ms);
    } catch (const aio::timeout_error&) {}
    co_await aio::with(aio::task_group(), [&](aio::task_group& g) -> aio::task<> {
        g.create_task(produces(c, 3));
        g.create_task(consumes(c, 2));
        co_await aio::shield(consumes(c, 1));
    });
}

/// A get that is raced against the clock loses no item, whoever wins.
aio::task<> queue_get_in_time() {
    channel c;
    auto producer = aio::create_task(produces(c, 2));
    auto body = [&]() -> aio::task<> {
        for (int i = 0; i < 2; ++i) {
            co_await aio::wait_for(consumes(c, 1), 1h);
            co_await aio::yield();
        }
    };
    co_await aio::finally(body(), [&] { return in_peace(producer); });
}

/// Everything at once.
aio::task<> everything() {
    watched_mutex m;
    watched_semaphore<aio::bounded_semaphore> s(2);
    aio::event go;
    aio::barrier b(2);
    channel c;
    int count = 0;
    int permits = 0;
    auto worker = [&]() -> aio::task<> {
        co_await go.wait();
        co_await acquires_in_scope(s, permits, 1);
        co_await b.wait();
        co_await locks_in_scope(m, count, 1);
        co_await consumes(c, 2);
    };
    auto starts = [&]() -> aio::task<> {
        co_await aio::yield();
        go.set();
        co_await produces(c, 4);
        co_await c.q.join();
    };
    co_await aio::gather(worker, worker, starts);
}

struct scenario {
    const char* name;
    aio::task<> (*make)();
    bool arrives; // a request always ends the task; the others end cancelled unless it came too late to matter
};

constexpr scenario scenarios[] = {
    {"event_of_several", &event_of_several, true},
    {"event_alone", &event_alone, true},
    {"mutex_of_several", &mutex_of_several, true},
    {"mutex_between_others", &mutex_between_others, true},
    {"mutex_with_cancelled_others", &mutex_with_cancelled_others, true},
    {"mutex_in_timeout", &mutex_in_timeout, true},
    {"mutex_in_place", &mutex_in_place, true},
    {"condition_of_several", &condition_of_several, true},
    {"condition_wait", &condition_wait, true},
    {"condition_passes_on", &condition_passes_on, true},
    {"condition_in_timeout", &condition_in_timeout, true},
    {"semaphore_of_several", &semaphore_of_several<aio::semaphore>, true},
    {"bounded_semaphore_of_several", &semaphore_of_several<aio::bounded_semaphore>, true},
    {"semaphore_among_others", &semaphore_among_others, true},
    {"semaphore_in_group", &semaphore_in_group, true},
    {"semaphore_in_race", &semaphore_in_race, true},
    {"barrier_of_three", &barrier_of_three, true},
    {"barrier_with_a_substitute", &barrier_with_a_substitute, true},
    {"barrier_with", &barrier_with, true},
    {"barrier_aborted", &barrier_aborted, true},
    {"barrier_in_timeout", &barrier_in_timeout, true},
    {"queue_put_and_get", &queue_put_and_get, true},
    {"queue_full", &queue_full, true},
    {"queue_get_alone", &queue_get_alone, true},
    {"queue_next", &queue_next, true},
    {"queue_join", &queue_join, true},
    {"queue_shut_down_at_once", &queue_shut_down_at_once, true},
    {"queue_of_each_kind", &queue_of_each_kind, true},
    {"queue_in_combinators", &queue_in_combinators, true},
    {"queue_get_in_time", &queue_get_in_time, true},
    {"everything", &everything, true},
};

std::size_t cancelled_runs = 0;

void cancel_everywhere(const scenario& what, std::size_t second_after, std::uint64_t seed) {
    INFO(what.name << ", second request after " << second_after << " steps, order " << seed);
    const watchdog guard;
    books = ledger();
    counted::reset();
    aio::testing::cancellation_plan plan;
    plan.second_after = second_after;
    if (seed != 0) plan.options = aio::testing::shuffled_order(seed);
    const auto report = aio::testing::for_each_cancellation(what.make, plan);
    cancelled_runs += report.points;
    CHECK(report.points > 2);
    CHECK(counted::alive == 0);
    CHECK(books.held == 0);
    CHECK(books.crowded == 0);
    CHECK(books.lost == 0);
    CHECK(books.unlocked == 0);
    CHECK(report.failed == 0);
    if (what.arrives) CHECK(report.cancelled == report.points);
}

} // namespace

TEST_CASE("sync: every program survives its cancellation at every step",
          "[LOCK-6][LOCK-7][EVT-6][CND-6][SEM-6][BAR-7][Q-6][Q-7]") {
    for (const scenario& each : scenarios) cancel_everywhere(each, 0, 0);
}

TEST_CASE("sync: every program survives a second request one to four steps after the first", "[CND-6][CND-7][SEM-7]") {
    for (const scenario& each : scenarios)
        for (std::size_t after = 1; after <= 4; ++after) cancel_everywhere(each, after, 0);
}

TEST_CASE("sync: every program survives its cancellations in shuffled orders", "[stress]") {
    cancelled_runs = 0;
    const std::uint64_t seeds = sanitized ? 2 : 12;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
        for (const scenario& each : scenarios)
            for (std::size_t after = 0; after <= 4; ++after) cancel_everywhere(each, after, seed);
    CHECK(cancelled_runs >= (sanitized ? 3'000 : 20'000));
}

TEST_CASE("sync: every program can be destroyed with its loop after every iteration") {
    for (const scenario& each : scenarios) {
        INFO(each.name);
        const watchdog guard;
        const audited afterwards;
        counted::reset();
        books = ledger();
        bool ended = false;
        for (int iterations_run = 0; !ended; ++iterations_run) {
            aio::event_loop loop(aio::testing::virtual_clock());
            loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
            const auto main = loop.create_task(each.make());
            make_iterations(loop, iterations_run);
            ended = main.done();
            loop.close();
            CHECK(counted::alive == 0);
        }
    }
}

TEST_CASE("sync: what was granted is not lost to a cancellation of the same iteration", "[LOCK-7][CND-8][SEM-7][Q-6]") {
    // The request comes in the step before and after the one that wakes, from another task of the same iteration.
    for (const bool before : {true, false})
        for (int kind = 0; kind < 4; ++kind) {
            INFO("kind " << kind << ", request before the wake-up: " << before);
            virtual_run([&]() -> aio::task<> {
                watched_mutex m;
                aio::semaphore s(0);
                aio::queue<int> q;
                bounded b;
                int reached = 0;
                auto waiter = [&]() -> aio::task<> {
                    switch (kind) {
                    case 0: {
                        const auto guard = co_await m.scoped_acquire();
                        break;
                    }
                    case 1: co_await s.acquire(); break;
                    case 2: {
                        const int taken = co_await q.get();
                        static_cast<void>(taken);
                        break;
                    }
                    default: co_await takes(b);
                    }
                    ++reached;
                };
                if (kind == 0) co_await m.acquire();
                auto victim = aio::create_task(waiter());
                auto heir = aio::create_task(waiter());
                for (int i = 0; i < 3; ++i) co_await aio::yield();
                auto cancels = [&]() -> aio::task<> {
                    victim.cancel();
                    co_return;
                };
                auto wakes = [&]() -> aio::task<> {
                    switch (kind) {
                    case 0: m.release(); break;
                    case 1: s.release(); break;
                    case 2: q.put_nowait(1); break;
                    default: co_await gives_to(b, 1);
                    }
                };
                if (before) aio::create_task(cancels());
                aio::create_task(wakes());
                if (!before) aio::create_task(cancels());
                co_await heir;
                CHECK(victim.cancelled());
                CHECK(reached == 1);
            });
        }
}
