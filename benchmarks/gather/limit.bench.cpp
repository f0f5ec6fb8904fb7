// SPDX-License-Identifier: BSL-1.0
#include "gather/problem.hpp"
#include "support/limit.hpp"

#include <vector>

namespace {

/// Children that write their result where they are told and wake the one who waits when the last has ended.
struct joined {
    std::size_t running = 0;
    limit::item* waiting = nullptr;

    struct child {
        struct promise_type : limit::promise_base, limit::item {
            joined* all = nullptr;
            int value = 0;
            struct end {
                bool await_ready() const noexcept { return false; }
                void await_suspend(std::coroutine_handle<promise_type> self) const noexcept {
                    joined& all = *self.promise().all;
                    if (--all.running == 0) limit::ready.push(*all.waiting);
                }
                void await_resume() const noexcept {}
            };
            child get_return_object() noexcept {
                resume = std::coroutine_handle<promise_type>::from_promise(*this);
                return child{this};
            }
            static end final_suspend() noexcept { return {}; }
            void return_value(int v) noexcept { value = v; }
        };
        promise_type* promise;

        int take() const {
            const int value = promise->value;
            std::coroutine_handle<promise_type>::from_promise(*promise).destroy();
            return value;
        }
    };

    void start(const child& each) {
        ++running;
        each.promise->all = this;
        limit::ready.push(*each.promise);
    }
    bool await_ready() const noexcept { return running == 0; }
    void await_suspend(std::coroutine_handle<limit::detached::promise_type> self) noexcept { waiting = &self.promise(); }
    void await_resume() const noexcept {}
};

joined::child child(int x) {
    co_return x;
}

limit::detached tens() {
    long sum = 0;
    for (std::size_t i = 0; i < gather_problem::rounds; ++i) {
        joined all;
        const joined::child children[10] = {child(0), child(1), child(2), child(3), child(4),
                                            child(5), child(6), child(7), child(8), child(9)};
        for (const joined::child& each : children) all.start(each);
        co_await all;
        for (const joined::child& each : children) sum += each.take();
    }
    gather_problem::check(sum, 45 * static_cast<long>(gather_problem::rounds));
}

limit::detached range(std::size_t n) {
    joined all;
    std::vector<joined::child> children;
    children.reserve(n);
    for (std::size_t i = 0; i < n; ++i) children.push_back(child(1));
    for (const joined::child& each : children) all.start(each);
    co_await all;
    std::vector<int> results;
    results.reserve(n);
    for (const joined::child& each : children) results.push_back(each.take());
    long sum = 0;
    for (const int each : results) sum += each;
    gather_problem::check(sum, static_cast<long>(n));
}

} // namespace

static void gather_10_limit(benchmark::State& state) {
    bench::measure(state, gather_problem::rounds, [] {
        std::size_t running = 0;
        tens().start(running);
        limit::ready.run();
    });
}
BENCHMARK(gather_10_limit);

static void gather_range_limit(benchmark::State& state) {
    const auto n = static_cast<std::size_t>(state.range(0));
    bench::measure(state, n, [n] {
        std::size_t running = 0;
        range(n).start(running);
        limit::ready.run();
    });
}
BENCHMARK(gather_range_limit)->Arg(1000)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);
