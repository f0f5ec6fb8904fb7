// SPDX-License-Identifier: BSL-1.0
#include "post/problem.hpp"
#include "support/count_allocations.hpp"

#include <thread>

static void post_asynchio(benchmark::State& state) {
    asynchio::event_loop loop;
    const asynchio::loop_ref ref = loop.ref();
    bench::measure(state, post_problem::posts, [&] {
        std::size_t made = 0;
        std::thread poster([&] {
            for (std::size_t i = 0; i < post_problem::posts; ++i)
                ref.call_soon_threadsafe([&] {
                    if (++made == post_problem::posts) loop.stop();
                });
        });
        loop.run_forever();
        poster.join();
        bench::check(made == post_problem::posts, "post");
    });
}
BENCHMARK(post_asynchio)->UseRealTime();
