// SPDX-License-Identifier: BSL-1.0
#include "support/limit.hpp"
#include "memory/problem.hpp"

#include <vector>

namespace {

struct park {
    std::vector<std::coroutine_handle<>>& all;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> self) const { all.push_back(self); }
    void await_resume() const noexcept {}
};

limit::detached wait_in(std::vector<std::coroutine_handle<>>& all) { co_await park{all}; }

} // namespace

static void memory_limit(benchmark::State& state) {
    for (auto _ : state) {
        std::vector<std::coroutine_handle<>> all(memory_problem::rounds[0] + memory_problem::rounds[1]);
        all.clear(); // touched, so that only the frames count
        std::size_t running = 0;
        std::size_t before = 0;
        for (const std::size_t tasks : memory_problem::rounds) {
            before = memory_problem::resident_bytes();
            for (std::size_t i = 0; i < tasks; ++i) wait_in(all).start(running);
            limit::ready.run();
        }
        state.counters["bytes_per_task"] = static_cast<double>(memory_problem::resident_bytes() - before) /
                                           static_cast<double>(memory_problem::rounds[1]);
        for (const std::coroutine_handle<> each : all) each.destroy();
    }
}
BENCHMARK(memory_limit)->Iterations(1);
