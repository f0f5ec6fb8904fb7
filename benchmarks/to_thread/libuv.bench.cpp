// SPDX-License-Identifier: BSL-1.0
#include "to_thread/problem.hpp"

#include <uv.h>

namespace {

struct calls {
    uv_work_t request;
    uv_loop_t* loop;
    std::size_t made = 0;
    std::size_t answer = 0;
    std::size_t value = 0;

    void next() {
        request.data = this;
        const int queued = uv_queue_work(
            loop, &request, [](uv_work_t* self) { static_cast<calls*>(self->data)->value = 1; },
            [](uv_work_t* self, int) { static_cast<calls*>(self->data)->done(); });
        bench::check(queued == 0, "uv_queue_work");
    }
    void done() {
        answer += value;
        if (++made < to_thread_problem::calls) next();
    }
};

} // namespace

static void to_thread_libuv(benchmark::State& state) {
    uv_loop_t loop;
    uv_loop_init(&loop);
    bench::measure(state, to_thread_problem::calls, [&] {
        calls all;
        all.loop = &loop;
        all.next();
        uv_run(&loop, UV_RUN_DEFAULT);
        to_thread_problem::check(all.answer);
    });
    uv_loop_close(&loop);
}
BENCHMARK(to_thread_libuv)->UseRealTime();
