// SPDX-License-Identifier: BSL-1.0
#include "support/limit.hpp"
#include "sync_ping_pong/problem.hpp"

using sync_ping_pong_problem::turns;

namespace {

/// A flag that one task waits for and takes down.
struct flag {
    bool up = false;
    limit::item* waiting = nullptr;

    bool await_ready() const noexcept { return up; }
    void await_suspend(std::coroutine_handle<limit::detached::promise_type> self) noexcept {
        waiting = &self.promise();
    }
    void await_resume() noexcept { up = false; }

    void raise() noexcept {
        up = true;
        if (waiting != nullptr) limit::ready.push(*std::exchange(waiting, nullptr));
    }
};

limit::detached play(flag& mine, flag& other, std::size_t& count) {
    for (std::size_t i = 0; i < turns / 2; ++i) {
        co_await mine;
        ++count;
        other.raise();
    }
}

} // namespace

static void sync_ping_pong_limit(benchmark::State& state) {
    flag a;
    flag b;
    a.up = true;
    bench::measure(state, turns, [&] {
        std::size_t running = 0;
        std::size_t count = 0;
        play(a, b, count).start(running);
        play(b, a, count).start(running);
        limit::ready.run();
        sync_ping_pong_problem::check(count);
    });
}
BENCHMARK(sync_ping_pong_limit);
