// SPDX-License-Identifier: BSL-1.0
#include "gather/limit_rounds.hpp"

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
                    joined& told = *self.promise().all;
                    if (--told.running == 0) limit::ready.push(*told.waiting);
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
    static child make(int x);

    void start(const child& each) {
        ++running;
        each.promise->all = this;
        limit::ready.push(*each.promise);
    }
    bool await_ready() const noexcept { return running == 0; }
    void await_suspend(std::coroutine_handle<limit::detached::promise_type> self) noexcept {
        waiting = &self.promise();
    }
    void await_resume() const noexcept {}
};

joined::child joined::make(int x) { co_return x; }

} // namespace

static void gather_10_limit(benchmark::State& state) { gather_problem::measure_ten<joined>(state); }
BENCHMARK(gather_10_limit);

static void gather_range_limit(benchmark::State& state) { gather_problem::measure_range<joined>(state); }
BENCHMARK(gather_range_limit)->Arg(1000)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);
