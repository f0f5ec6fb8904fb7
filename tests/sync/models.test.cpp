// SPDX-License-Identifier: BSL-1.0

#include <asynchio/sync.hpp>

#include "support/catch.hpp"
#include "support/iterations.hpp"
#include "support/probes.hpp"
#include "support/threads.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/wait.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

// Random programs in shuffled orders, with cancellations in between, against what must hold in every one: items and
// permits are conserved, a lock has one owner, who waits is served in order, and every program comes to its end. A run
// that fails names its seed, from which both the program and the order follow.

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t seeds = static_cast<std::uint64_t>(rounds(2000));

/// What a random program is made of.
class dice {
public:
    explicit dice(std::uint64_t seed) : engine_(seed) {}
    /// 0 ... n - 1.
    int below(int n) { return static_cast<int>(engine_() % static_cast<unsigned>(n)); }
    bool one_in(int n) { return below(n) == 0; }

private:
    std::mt19937 engine_;
};

aio::task<> pause(int kind) {
    switch (kind) {
    case 0: break;
    case 1: co_await aio::yield(); break;
    default: co_await aio::sleep(1ms * (kind - 1));
    }
}

/// Cancels some of `tasks` at random moments.
aio::task<> disturbs(dice& d, std::vector<aio::task_handle<>>& tasks, int times) {
    for (int i = 0; i < times; ++i) {
        co_await pause(d.below(5));
        tasks[static_cast<std::size_t>(d.below(static_cast<int>(tasks.size())))].cancel();
    }
}

/// The order in which tasks stand in a line, as it must be served.
class line_model {
public:
    int join() {
        line_.push_back(next_);
        return next_++;
    }
    void leave(int ticket) { line_.erase(std::find(line_.begin(), line_.end(), ticket)); }
    /// Whether everybody before `ticket` has been served or has left, or is about to leave.
    bool is_first(int ticket, const std::vector<bool>& leaving) const {
        for (const int each : line_) {
            if (each == ticket) return true;
            if (!leaving[static_cast<std::size_t>(each)]) return false;
        }
        return false;
    }

private:
    std::deque<int> line_;
    int next_ = 0;
};

/// Runs `program(dice&)` in the order of `seed`, and checks that it ends.
template<class Program>
void run_random(std::uint64_t seed, Program program) {
    INFO("seed " << seed);
    const watchdog guard;
    const audited afterwards;
    dice d(seed);
    aio::event_loop loop(aio::testing::shuffled_order(seed));
    loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
    const auto main = loop.create_task(program(d));
    REQUIRE(run_until_stuck(loop, [&] { return main.done(); })); // else a wake-up was lost
    REQUIRE(text_of(main.exception()) == "");
    loop.close();
}

aio::task<> ended(std::vector<aio::task_handle<>> tasks) {
    const auto all = co_await aio::wait(tasks);
    if (!all.pending.empty()) throw boom("not all have ended");
    for (const auto& each : all.done)
        if (!each.cancelled() && each.exception()) std::rethrow_exception(each.exception());
}

void require(bool holds, const char* what) {
    if (!holds) throw boom(what);
}

/// Which tickets belong to tasks that were asked to end.
struct requests {
    std::vector<aio::task_handle<>> owners; // by ticket
    std::vector<bool> all() const {
        std::vector<bool> leaving;
        for (const auto& each : owners) leaving.push_back(each.cancelling() > 0);
        return leaving;
    }
};

} // namespace

TEST_CASE("mutex: has one owner, is served in order, and gets to everybody", "[LOCK-2][LOCK-7][stress]") {
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
        run_random(seed, [](dice& d) -> aio::task<> {
            aio::mutex m;
            int owners = 0;
            line_model line;
            requests asked;
            std::vector<aio::task_handle<>> users;
            auto user = [&](int turns) -> aio::task<> {
                for (int i = 0; i < turns; ++i) {
                    co_await pause(d.below(4));
                    const int kind = d.below(4);
                    if (kind == 0) {
                        if (!m.try_acquire()) continue;
                    } else {
                        const int ticket = line.join();
                        // Found by position: the handle of the running task.
                        for (const auto& each : users)
                            if (each == aio::current_task()) asked.owners.push_back(each);
                        try {
                            co_await m.acquire();
                        } catch (const aio::cancelled_error&) {
                            line.leave(ticket);
                            throw;
                        }
                        require(line.is_first(ticket, asked.all()), "overtaken");
                        line.leave(ticket);
                    }
                    const aio::mutex_guard guard(m);
                    require(++owners == 1, "two owners");
                    try {
                        co_await pause(d.below(3));
                    } catch (const aio::cancelled_error&) {
                        --owners;
                        throw;
                    }
                    --owners;
                }
            };
            const int count = 2 + d.below(6);
            for (int i = 0; i < count; ++i) users.push_back(aio::create_task(user(1 + d.below(5))));
            co_await disturbs(d, users, d.below(4));
            co_await ended(users);
            require(owners == 0 && !m.locked() && m.try_acquire(), "not free in the end");
            m.release();
        });
}

TEST_CASE("semaphore: permits are conserved, and who waits is served", "[SEM-3][SEM-7][stress]") {
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
        run_random(seed, [](dice& d) -> aio::task<> {
            const int permits = 1 + d.below(4);
            aio::semaphore s(permits);
            int inside = 0;
            line_model line;
            requests asked;
            std::vector<aio::task_handle<>> users;
            auto user = [&](int turns) -> aio::task<> {
                for (int i = 0; i < turns; ++i) {
                    co_await pause(d.below(4));
                    if (d.one_in(4)) {
                        if (!s.try_acquire()) continue;
                    } else {
                        const bool waits = s.locked();
                        const int ticket = line.join();
                        for (const auto& each : users)
                            if (each == aio::current_task()) asked.owners.push_back(each);
                        try {
                            co_await s.acquire();
                        } catch (const aio::cancelled_error&) {
                            line.leave(ticket);
                            throw;
                        }
                        // Several may be on their way in at once, in any order: one who need not wait meets nobody
                        // who does.
                        if (!waits) require(line.is_first(ticket, asked.all()), "overtaken");
                        line.leave(ticket);
                    }
                    const aio::semaphore_guard permit(s);
                    require(++inside <= permits, "too many");
                    try {
                        co_await pause(d.below(3));
                    } catch (const aio::cancelled_error&) {
                        --inside;
                        throw;
                    }
                    --inside;
                }
            };
            const int count = 2 + d.below(8);
            for (int i = 0; i < count; ++i) users.push_back(aio::create_task(user(1 + d.below(5))));
            co_await disturbs(d, users, d.below(5));
            co_await ended(users);
            for (int i = 0; i < permits; ++i) require(s.try_acquire(), "a permit is missing");
            require(!s.try_acquire(), "a permit too many");
        });
}

namespace {

template<class Queue>
aio::task<> conserves_items(dice& d) {
    using item = std::unique_ptr<int>;
    Queue q(static_cast<std::size_t>(d.below(4)));
    std::vector<int> put;
    std::vector<int> got;
    int number = 0;
    auto producer = [&](int items) -> aio::task<> {
        for (int i = 0; i < items; ++i) {
            co_await pause(d.below(4));
            const int mine = number++;
            if (d.one_in(3)) {
                if (q.full()) continue;
                q.put_nowait(std::make_unique<int>(mine));
            } else {
                co_await q.put(std::make_unique<int>(mine));
            }
            put.push_back(mine);
            require(q.maxsize() == 0 || q.size() <= q.maxsize(), "more than it holds");
        }
    };
    auto consumer = [&]() -> aio::task<> {
        while (true) {
            co_await pause(d.below(3));
            item taken;
            if (d.one_in(3)) {
                if (q.empty()) continue;
                taken = q.get_nowait();
            } else {
                auto next = co_await q.next();
                if (!next) co_return;
                taken = std::move(*next);
            }
            got.push_back(*taken);
            q.task_done();
        }
    };
    std::vector<aio::task_handle<>> producers;
    std::vector<aio::task_handle<>> consumers;
    const int makers = 1 + d.below(4);
    for (int i = 0; i < makers; ++i) producers.push_back(aio::create_task(producer(d.below(8))));
    const int takers = 1 + d.below(4);
    for (int i = 0; i < takers; ++i) consumers.push_back(aio::create_task(consumer()));
    if (d.one_in(2)) co_await disturbs(d, producers, d.below(4));
    if (d.one_in(2)) co_await disturbs(d, consumers, d.below(3));
    consumers.push_back(aio::create_task(consumer())); // one is left to do the work
    co_await ended(producers);
    co_await q.join();
    q.shutdown();
    co_await ended(consumers);
    require(q.empty(), "something was left");
    std::sort(put.begin(), put.end());
    std::sort(got.begin(), got.end());
    require(put == got, "an item was lost or doubled");
}

struct smaller {
    bool operator()(const std::unique_ptr<int>& a, const std::unique_ptr<int>& b) const noexcept { return *a < *b; }
};

} // namespace

TEST_CASE("queue: conserves its items", "[Q-6][Q-7][stress]") {
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
        run_random(seed, &conserves_items<aio::queue<std::unique_ptr<int>>>);
}

TEST_CASE("lifo_queue: conserves its items", "[Q-6][Q-7][stress]") {
    for (std::uint64_t seed = 1; seed <= seeds / 4; ++seed)
        run_random(seed, &conserves_items<aio::lifo_queue<std::unique_ptr<int>>>);
}

TEST_CASE("priority_queue: conserves its items", "[Q-6][Q-7][stress]") {
    for (std::uint64_t seed = 1; seed <= seeds / 4; ++seed)
        run_random(seed, &conserves_items<aio::priority_queue<std::unique_ptr<int>, smaller>>);
}

TEST_CASE("queue: one producer's items come to one consumer in their order", "[Q-13][stress]") {
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
        run_random(seed, [](dice& d) -> aio::task<> {
            aio::queue<int> q(static_cast<std::size_t>(d.below(4)));
            auto producer = aio::create_task([&]() -> aio::task<> {
                for (int i = 0; i < 20; ++i) {
                    co_await q.put(i);
                    co_await pause(d.below(3));
                }
                q.shutdown();
            });
            int expected = 0;
            while (const auto next = co_await q.next()) {
                require(*next == expected++, "out of order");
                co_await pause(d.below(3));
            }
            co_await producer;
            require(expected == 20, "not all");
        });
}

TEST_CASE("queue: shut down at any moment, everybody ends and join returns", "[Q-17][Q-18][stress]") {
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
        run_random(seed, [](dice& d) -> aio::task<> {
            aio::queue<int> q(static_cast<std::size_t>(d.below(3)));
            int put = 0;
            int got = 0;
            auto producer = [&]() -> aio::task<> {
                try {
                    while (true) {
                        co_await q.put(1);
                        ++put;
                        co_await pause(1 + d.below(2));
                    }
                } catch (const aio::queue_shut_down&) {}
            };
            auto consumer = [&]() -> aio::task<> {
                try {
                    while (true) {
                        const int item = co_await q.get();
                        got += item;
                        q.task_done();
                        co_await pause(d.below(3));
                    }
                } catch (const aio::queue_shut_down&) {}
            };
            auto joins = [&]() -> aio::task<> { co_await q.join(); };
            std::vector<aio::task_handle<>> all;
            for (int i = 0; i < 3; ++i) {
                all.push_back(aio::create_task(producer()));
                all.push_back(aio::create_task(consumer()));
                all.push_back(aio::create_task(joins()));
            }
            co_await pause(d.below(10));
            const bool immediate = d.one_in(2);
            q.shutdown(immediate);
            co_await ended(all);
            require(q.empty(), "something was left");
            require(immediate ? got <= put : got == put, "an item was lost");
        });
}

TEST_CASE("condition: a bounded buffer loses nothing and comes to its end", "[CND-8][stress]") {
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
        run_random(seed, [](dice& d) -> aio::task<> {
            aio::mutex m;
            aio::condition not_empty(m);
            aio::condition not_full(m);
            std::deque<int> buffer;
            int put = 0;
            int got = 0;
            auto producer = [&]() -> aio::task<> {
                for (int i = 0; i < 5; ++i) {
                    co_await pause(d.below(3));
                    const auto guard = co_await m.scoped_acquire();
                    auto room = [&] { return buffer.size() < 2; };
                    co_await not_full.wait_for(room);
                    require(m.locked(), "unlocked");
                    buffer.push_back(1);
                    ++put;
                    not_empty.notify();
                }
            };
            auto consumer = [&](int items) -> aio::task<> {
                for (int i = 0; i < items; ++i) {
                    const auto guard = co_await m.scoped_acquire();
                    auto there = [&] { return !buffer.empty(); };
                    co_await not_empty.wait_for(there);
                    require(m.locked() && !buffer.empty(), "nothing there");
                    buffer.pop_front();
                    ++got;
                    not_full.notify();
                    co_await pause(d.below(2));
                }
            };
            std::vector<aio::task_handle<>> producers;
            for (int i = 0; i < 3; ++i) producers.push_back(aio::create_task(producer()));
            std::vector<aio::task_handle<>> disturbed;
            for (int i = 0; i < 3; ++i) disturbed.push_back(aio::create_task(consumer(2)));
            co_await disturbs(d, disturbed, 4);
            for (const auto& each : disturbed) each.cancel();
            co_await ended(disturbed);
            co_await consumer(15 - got); // what they left
            co_await ended(producers);
            require(put == 15 && got == 15 && buffer.empty(), "an item was lost");
        });
}

TEST_CASE("barrier: everybody passes as often as the others, with each index once a cycle",
          "[BAR-3][BAR-4][BAR-5][stress]") {
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
        run_random(seed, [](dice& d) -> aio::task<> {
            const int parties = 1 + d.below(5);
            aio::barrier b(parties);
            const int cycles = 1 + d.below(6);
            std::vector<int> passed(static_cast<std::size_t>(parties));
            std::vector<std::size_t> indexes;
            auto worker = [&](int self) -> aio::task<> {
                for (int i = 0; i < cycles; ++i) {
                    co_await pause(d.below(4));
                    const std::size_t index = co_await b.wait();
                    indexes.push_back(index);
                    ++passed[static_cast<std::size_t>(self)];
                    const auto [low, high] = std::minmax_element(passed.begin(), passed.end());
                    require(*high - *low <= 1, "one is a cycle ahead");
                }
            };
            std::vector<aio::task_handle<>> all;
            for (int i = 0; i < parties; ++i) all.push_back(aio::create_task(worker(i)));
            co_await ended(all);
            std::sort(indexes.begin(), indexes.end());
            for (std::size_t i = 0; i < indexes.size(); ++i)
                require(indexes[i] == i / static_cast<std::size_t>(cycles), "an index is missing");
            require(b.n_waiting() == 0 && !b.broken(), "not as new");
        });
}

TEST_CASE("barrier: with members who drop out, are replaced, and an abort and reset, all end",
          "[BAR-7][BAR-8][BAR-10][stress]") {
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
        run_random(seed, [](dice& d) -> aio::task<> {
            aio::barrier b(3);
            bool over = false;
            auto worker = [&]() -> aio::task<> {
                while (!over) {
                    co_await pause(d.below(3));
                    bool broken = false;
                    try {
                        const std::size_t index = co_await b.wait();
                        require(index < 3, "index");
                    } catch (const aio::broken_barrier_error&) {
                        broken = true;
                    }
                    if (broken) co_await aio::sleep(1ms);
                }
            };
            std::vector<aio::task_handle<>> all;
            for (int i = 0; i < 5; ++i) all.push_back(aio::create_task(worker()));
            for (int i = 0; i < 4; ++i) {
                co_await pause(d.below(5));
                switch (d.below(3)) {
                case 0: all[static_cast<std::size_t>(d.below(5))].cancel(); break;
                case 1: b.reset(); break;
                default:
                    b.abort();
                    co_await pause(d.below(3));
                    b.reset();
                }
            }
            over = true;
            b.abort();
            co_await ended(all);
            b.reset();
            require(b.n_waiting() == 0 && !b.broken(), "somebody is still inside");
        });
}

TEST_CASE("event: nobody waits for what is set", "[EVT-2][EVT-3][stress]") {
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
        run_random(seed, [](dice& d) -> aio::task<> {
            aio::event e;
            int passed = 0;
            std::vector<aio::task_handle<>> waiters;
            auto waiter = [&]() -> aio::task<> {
                for (int i = 0; i < 3; ++i) {
                    co_await pause(d.below(3));
                    co_await e.wait();
                    ++passed;
                }
            };
            for (int i = 0; i < 5; ++i) waiters.push_back(aio::create_task(waiter()));
            co_await disturbs(d, waiters, d.below(3));
            for (int i = 0; i < 6; ++i) {
                co_await pause(d.below(4));
                e.set();
                if (d.one_in(2)) e.clear();
            }
            e.set();
            co_await ended(waiters);
            require(passed <= 15, "passed too often");
        });
}
