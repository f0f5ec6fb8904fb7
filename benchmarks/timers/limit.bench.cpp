// SPDX-License-Identifier: BSL-1.0
#include "support/limit.hpp"
#include "timers/problem.hpp"

#include <algorithm>
#include <ctime>
#include <vector>

#include <sys/epoll.h>
#include <unistd.h>

namespace {

struct timer {
    std::int64_t deadline;
    limit::item* what;
    std::size_t place = 0;
};

/// A 4-ary heap of deadlines and timers, which know their place.
struct heap {
    struct entry {
        std::int64_t deadline;
        timer* what;
    };
    std::vector<entry> all;

    void put(std::size_t i, entry e) {
        all[i] = e;
        e.what->place = i;
    }
    void up(std::size_t i, entry e) {
        for (; i > 0 && e.deadline < all[(i - 1) / 4].deadline; i = (i - 1) / 4) put(i, all[(i - 1) / 4]);
        put(i, e);
    }
    void down(std::size_t i, entry e) {
        for (std::size_t first = 4 * i + 1; first < all.size(); first = 4 * i + 1) {
            std::size_t least = first;
            for (std::size_t child = first + 1; child < std::min(first + 4, all.size()); ++child)
                if (all[child].deadline < all[least].deadline) least = child;
            if (e.deadline <= all[least].deadline) break;
            put(i, all[least]);
            i = least;
        }
        put(i, e);
    }
    void add(timer& t) {
        all.push_back({t.deadline, &t});
        up(all.size() - 1, all.back());
    }
    void remove(timer& t) {
        const std::size_t i = t.place;
        const entry last = all.back();
        all.pop_back();
        if (last.what == &t) return;
        if (i > 0 && last.deadline < all[(i - 1) / 4].deadline)
            up(i, last);
        else
            down(i, last);
    }
};

heap timers;

std::int64_t now() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1'000'000'000 + t.tv_nsec;
}

struct sleep {
    std::int64_t length;
    timer self{};

    explicit sleep(std::int64_t l) : length(l) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<limit::detached::promise_type> coroutine) {
        self.deadline = now() + length;
        self.what = &coroutine.promise();
        timers.add(self);
    }
    void await_resume() const noexcept {}
};

limit::detached one_sleep(std::int64_t length, std::size_t& woken) {
    co_await sleep(length);
    ++woken;
}

} // namespace

static void sleep_limit(benchmark::State& state) {
    const int epoll = ::epoll_create1(0);
    const auto n = static_cast<std::size_t>(state.range(0));
    bench::measure(state, n, [epoll, n] {
        std::size_t running = 0;
        std::size_t woken = 0;
        for (std::size_t i = 0; i < n; ++i) one_sleep(timers_problem::length(i), woken).start(running);
        limit::ready.run();
        while (running != 0) {
            const std::int64_t wait = timers.all.front().deadline - now();
            if (wait > 0) {
                const timespec length{0, wait};
                epoll_event event;
                ::epoll_pwait2(epoll, &event, 1, &length, nullptr);
            }
            for (const std::int64_t time = now(); !timers.all.empty() && timers.all.front().deadline <= time;) {
                timer& due = *timers.all.front().what;
                timers.remove(due);
                limit::ready.push(*due.what);
            }
            limit::ready.run();
        }
        bench::check(woken == n, "timers");
    });
    ::close(epoll);
}
BENCHMARK(sleep_limit)->Arg(1000)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);

/// While `pending` others are set.
static void cancel_timers(benchmark::State& state, std::size_t pending) {
    std::vector<timer> others(pending);
    for (std::size_t i = 0; i < others.size(); ++i) {
        others[i].deadline = now() + 3'600'000'000'000 + timers_problem::length(i);
        timers.add(others[i]);
    }
    bench::measure(state, timers_problem::cancels, [&] {
        for (std::size_t i = 0; i < timers_problem::cancels; ++i) {
            timer t{now() + timers_problem::length(i), nullptr};
            timers.add(t);
            timers.remove(t);
        }
    });
    bench::check(timers.all.size() == pending, "timer_cancel");
    timers.all.clear();
}
static void timer_cancel_limit(benchmark::State& state) { cancel_timers(state, timers_problem::pending); }
BENCHMARK(timer_cancel_limit);

static void timer_cancel_pending_limit(benchmark::State& state) {
    cancel_timers(state, static_cast<std::size_t>(state.range(0)));
}
BENCHMARK(timer_cancel_pending_limit)->Arg(1000)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);
