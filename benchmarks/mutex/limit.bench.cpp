// SPDX-License-Identifier: BSL-1.0
#include "support/limit.hpp"
#include "mutex/problem.hpp"

namespace {

struct mutex : limit::queue {
    bool locked = false;

    struct awaiter {
        mutex& m;

        bool await_ready() const noexcept { return !std::exchange(m.locked, true); }
        void await_suspend(std::coroutine_handle<limit::detached::promise_type> self) const noexcept {
            m.push(self.promise());
        }
        void await_resume() const noexcept {}
    };
    awaiter lock() noexcept { return {*this}; }
    void unlock() noexcept {
        if (first == nullptr) {
            locked = false;
            return;
        }
        limit::item* next = first;
        if ((first = next->next) == nullptr) last = &first;
        limit::ready.push(*next); // it stays locked, for the next
    }
};

limit::detached lock_and_unlock(mutex& m, std::size_t& count) {
    for (std::size_t i = 0; i < mutex_problem::locks; ++i) {
        co_await m.lock();
        benchmark::DoNotOptimize(++count);
        m.unlock();
    }
}

limit::detached holds(mutex& m, std::size_t& count) {
    for (std::size_t i = 0; i < mutex_problem::locks / mutex_problem::tasks; ++i) {
        co_await m.lock();
        co_await limit::yield();
        ++count;
        m.unlock();
    }
}

} // namespace

static void mutex_uncontended_limit(benchmark::State& state) {
    bench::measure(state, mutex_problem::locks, [] {
        mutex m;
        std::size_t running = 0;
        std::size_t count = 0;
        lock_and_unlock(m, count).start(running);
        limit::ready.run();
        mutex_problem::check(count);
    });
}
BENCHMARK(mutex_uncontended_limit);

static void mutex_contended_limit(benchmark::State& state) {
    bench::measure(state, mutex_problem::locks, [] {
        mutex m;
        std::size_t running = 0;
        std::size_t count = 0;
        for (std::size_t i = 0; i < mutex_problem::tasks; ++i) holds(m, count).start(running);
        limit::ready.run();
        mutex_problem::check(count);
    });
}
BENCHMARK(mutex_contended_limit);
