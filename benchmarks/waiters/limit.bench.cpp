// SPDX-License-Identifier: BSL-1.0
#include "support/limit.hpp"
#include "waiters/problem.hpp"

namespace {

/// Those who wait, in a queue; `open` lets everybody through.
struct line : limit::queue {
    bool open = false;

    struct awaiter {
        line& queue;

        bool await_ready() const noexcept { return queue.open; }
        void await_suspend(std::coroutine_handle<limit::detached::promise_type> self) const noexcept {
            queue.push(self.promise());
        }
        void await_resume() const noexcept {}
    };
    awaiter wait() noexcept { return {*this}; }
    limit::item* pop() noexcept {
        limit::item* each = first;
        if (each != nullptr && (first = each->next) == nullptr) last = &first;
        return each;
    }
    /// Wakes the first waiter; a waiter that comes to an open event takes it. @return whether there was one.
    bool wake_one() noexcept {
        limit::item* each = pop();
        if (each != nullptr) limit::ready.push(*each);
        return each != nullptr;
    }
};

limit::detached waits(line& event, std::size_t& woken) {
    co_await event.wait();
    ++woken;
}
limit::detached set(line& event) {
    event.open = true;
    while (event.wake_one()) {}
    co_return;
}

limit::detached locks(line& mutex, std::size_t& held) {
    co_await mutex.wait();
    mutex.open = false;
    ++held;
    mutex.open = !mutex.wake_one();
}
limit::detached unlock(line& mutex) {
    mutex.open = !mutex.wake_one();
    co_return;
}

/// Starts `n` of one kind, then the one that wakes, or lets the first go.
template<class Waits, class Begin>
void run(benchmark::State& state, Waits waits_for, Begin begin) {
    const auto n = static_cast<std::size_t>(state.range(0));
    bench::measure(state, n, [&] {
        line what;
        std::size_t done = 0;
        std::size_t running = 0;
        for (std::size_t i = 0; i < n; ++i) waits_for(what, done).start(running);
        begin(what).start(running);
        limit::ready.run();
        waiters_problem::check(done, n);
    });
}

} // namespace

static void waiters_limit_event(benchmark::State& state) { run(state, &waits, &set); }
BENCHMARK(waiters_limit_event)->Arg(1000)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);

static void waiters_limit_mutex(benchmark::State& state) { run(state, &locks, &unlock); }
BENCHMARK(waiters_limit_mutex)->Arg(1000)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);
