// SPDX-License-Identifier: BSL-1.0
#include "support/count_allocations.hpp"
#include "sync_ping_pong/problem.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/sync/condition.hpp>
#include <asynchio/sync/event.hpp>
#include <asynchio/sync/semaphore.hpp>

using asynchio::task;
using sync_ping_pong_problem::turns;

static task<> play(asynchio::event& mine, asynchio::event& other, std::size_t& count) {
    for (std::size_t i = 0; i < turns / 2; ++i) {
        co_await mine.wait();
        mine.clear();
        ++count;
        other.set();
    }
}

static task<> play(asynchio::semaphore& mine, asynchio::semaphore& other, std::size_t& count) {
    for (std::size_t i = 0; i < turns / 2; ++i) {
        co_await mine.acquire();
        ++count;
        other.release();
    }
}

template<class Primitive>
static task<> match(Primitive& a, Primitive& b) {
    std::size_t count = 0;
    co_await asynchio::gather(play(a, b, count), play(b, a, count));
    sync_ping_pong_problem::check(count);
}

static void sync_ping_pong_event_asynchio(benchmark::State& state) {
    asynchio::event a;
    asynchio::event b;
    a.set();
    bench::measure_task(state, turns, [&] { return match(a, b); });
}
BENCHMARK(sync_ping_pong_event_asynchio);

static void sync_ping_pong_semaphore_asynchio(benchmark::State& state) {
    asynchio::semaphore a(1);
    asynchio::semaphore b(0);
    bench::measure_task(state, turns, [&] { return match(a, b); });
}
BENCHMARK(sync_ping_pong_semaphore_asynchio);

static task<> take_turns(asynchio::condition& changed, std::size_t& count, std::size_t self) {
    for (std::size_t i = 0; i < turns / 2; ++i) {
        const auto guard = co_await changed.scoped_acquire();
        auto my_turn = [&] { return count % 2 == self; };
        co_await changed.wait_for(my_turn);
        ++count;
        changed.notify();
    }
}

static task<> match_by_condition() {
    asynchio::condition changed;
    std::size_t count = 0;
    co_await asynchio::gather(take_turns(changed, count, 0), take_turns(changed, count, 1));
    sync_ping_pong_problem::check(count);
}

static void sync_ping_pong_condition_asynchio(benchmark::State& state) {
    bench::measure_task(state, turns, match_by_condition);
}
BENCHMARK(sync_ping_pong_condition_asynchio);
