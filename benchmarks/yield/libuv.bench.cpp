// SPDX-License-Identifier: BSL-1.0
#include "yield/problem.hpp"

#include <uv.h>

#include <vector>

namespace {

struct turns {
    std::size_t count = 0;
};

} // namespace

/// A callback of each idle handle in every turn of the loop, which is as near as a loop of callbacks comes.
static void yield_libuv(benchmark::State& state) {
    uv_loop_t loop;
    uv_loop_init(&loop);
    std::vector<uv_idle_t> handles(static_cast<std::size_t>(state.range(0)));
    turns all;
    for (uv_idle_t& each : handles) {
        uv_idle_init(&loop, &each);
        each.data = &all;
    }
    bench::measure(state, yield_problem::switches, [&] {
        all.count = 0;
        for (uv_idle_t& each : handles)
            uv_idle_start(&each, [](uv_idle_t* self) {
                if (++static_cast<turns*>(self->data)->count >= yield_problem::switches) uv_stop(self->loop);
            });
        uv_run(&loop, UV_RUN_DEFAULT);
        for (uv_idle_t& each : handles) uv_idle_stop(&each);
        bench::check(all.count >= yield_problem::switches, "yield");
    });
    for (uv_idle_t& each : handles) uv_close(reinterpret_cast<uv_handle_t*>(&each), nullptr);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}
BENCHMARK(yield_libuv)->Arg(1)->Arg(1000);
