// SPDX-License-Identifier: BSL-1.0
#include "post/problem.hpp"

#include <asio.hpp>

#include <thread>

static void post_asio(benchmark::State& state) {
    asio::io_context loop;
    bench::measure(state, post_problem::posts, [&] {
        std::size_t made = 0;
        const auto work = asio::make_work_guard(loop);
        std::thread poster([&] {
            for (std::size_t i = 0; i < post_problem::posts; ++i)
                asio::post(loop, [&] {
                    if (++made == post_problem::posts) loop.stop();
                });
        });
        loop.restart();
        loop.run();
        poster.join();
        bench::check(made == post_problem::posts, "post");
    });
}
BENCHMARK(post_asio)->UseRealTime();
