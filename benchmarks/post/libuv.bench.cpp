// SPDX-License-Identifier: BSL-1.0
#include "post/problem.hpp"

#include <uv.h>

#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace {

/// uv_async_send only wakes: what is to be called stands in a queue beside it.
struct mailbox {
    uv_async_t handle;
    std::mutex mutex;
    std::vector<std::function<void()>> calls;

    explicit mailbox(uv_loop_t* loop) {
        handle.data = this;
        uv_async_init(loop, &handle, [](uv_async_t* self) {
            auto& mine = *static_cast<mailbox*>(self->data);
            std::vector<std::function<void()>> now;
            {
                const std::lock_guard lock(mine.mutex);
                now.swap(mine.calls);
            }
            for (const auto& each : now) each();
        });
    }
    template<class F>
    void post(F f) {
        {
            const std::lock_guard lock(mutex);
            calls.emplace_back(std::move(f));
        }
        uv_async_send(&handle);
    }
};

} // namespace

static void post_libuv(benchmark::State& state) {
    uv_loop_t loop;
    uv_loop_init(&loop);
    mailbox box(&loop);
    bench::measure(state, post_problem::posts, [&] {
        std::size_t made = 0;
        std::thread poster([&] {
            for (std::size_t i = 0; i < post_problem::posts; ++i)
                box.post([&] {
                    if (++made == post_problem::posts) uv_stop(&loop);
                });
        });
        uv_run(&loop, UV_RUN_DEFAULT);
        poster.join();
        bench::check(made == post_problem::posts, "post");
    });
    uv_close(reinterpret_cast<uv_handle_t*>(&box.handle), nullptr);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}
BENCHMARK(post_libuv)->UseRealTime();
