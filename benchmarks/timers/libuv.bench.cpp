// SPDX-License-Identifier: BSL-1.0
#include "timers/problem.hpp"

#include <uv.h>

#include <vector>

// libuv's timers count milliseconds: those of one are due together.

static std::uint64_t milliseconds(std::size_t i) {
    return static_cast<std::uint64_t>(timers_problem::length(i) / 1'000'000);
}

static void sleep_libuv(benchmark::State& state) {
    uv_loop_t loop;
    uv_loop_init(&loop);
    std::vector<uv_timer_t> timers(static_cast<std::size_t>(state.range(0)));
    std::size_t woken = 0;
    for (uv_timer_t& each : timers) {
        uv_timer_init(&loop, &each);
        each.data = &woken;
    }
    bench::measure(state, timers.size(), [&] {
        woken = 0;
        uv_update_time(&loop);
        for (std::size_t i = 0; i < timers.size(); ++i)
            uv_timer_start(
                &timers[i], [](uv_timer_t* self) { ++*static_cast<std::size_t*>(self->data); }, milliseconds(i), 0);
        uv_run(&loop, UV_RUN_DEFAULT);
        bench::check(woken == timers.size(), "timers");
    });
    for (uv_timer_t& each : timers) uv_close(reinterpret_cast<uv_handle_t*>(&each), nullptr);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}
BENCHMARK(sleep_libuv)->Arg(1000)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);

static void timer_cancel_libuv(benchmark::State& state) {
    uv_loop_t loop;
    uv_loop_init(&loop);
    std::vector<uv_timer_t> timers(timers_problem::pending + 1);
    for (std::size_t i = 0; i < timers.size(); ++i) {
        uv_timer_init(&loop, &timers[i]);
        uv_timer_start(&timers[i], [](uv_timer_t*) {}, 3'600'000 + milliseconds(i), 0);
    }
    uv_timer_t& one = timers.back();
    bench::measure(state, timers_problem::cancels, [&] {
        for (std::size_t i = 0; i < timers_problem::cancels; ++i) {
            uv_timer_start(&one, [](uv_timer_t*) {}, milliseconds(i), 0);
            uv_timer_stop(&one);
        }
    });
    for (uv_timer_t& each : timers) uv_close(reinterpret_cast<uv_handle_t*>(&each), nullptr);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}
BENCHMARK(timer_cancel_libuv);
