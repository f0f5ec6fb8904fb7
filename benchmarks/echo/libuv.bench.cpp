// SPDX-License-Identifier: BSL-1.0
#include "echo/problem.hpp"

#include <uv.h>

#include <memory>
#include <vector>

namespace {

/// One end of a connection; callbacks all the way, one write request for each end.
struct end {
    uv_tcp_t handle;
    uv_write_t request;
    char buffer[4096];
    bool is_server;
    std::size_t times = 0;
    std::size_t sent = 0;
    std::string expected;
    std::size_t* running = nullptr;

    static end& of(uv_handle_t* handle) { return *static_cast<end*>(handle->data); }

    void open(uv_loop_t* loop, int fd, bool server) {
        is_server = server;
        uv_tcp_init(loop, &handle);
        handle.data = this;
        bench::check(uv_tcp_open(&handle, fd) == 0, "uv_tcp_open");
        uv_read_start(
            reinterpret_cast<uv_stream_t*>(&handle),
            [](uv_handle_t* h, std::size_t, uv_buf_t* to) { *to = uv_buf_init(of(h).buffer, sizeof buffer); },
            [](uv_stream_t* s, ssize_t got, const uv_buf_t*) {
                if (got > 0) of(reinterpret_cast<uv_handle_t*>(s)).received(static_cast<std::size_t>(got));
            });
    }
    void write(char* data, std::size_t size) {
        const uv_buf_t part = uv_buf_init(data, static_cast<unsigned>(size));
        bench::check(uv_write(&request, reinterpret_cast<uv_stream_t*>(&handle), &part, 1, nullptr) == 0, "uv_write");
    }
    void ask() {
        expected = echo_problem::message(sent++);
        write(expected.data(), expected.size());
    }
    void received(std::size_t got) {
        if (is_server) return write(buffer, got);
        bench::check(std::string_view(buffer, got) == expected, "echo");
        if (sent < times)
            ask();
        else if (--*running == 0)
            uv_stop(handle.loop);
    }
};

} // namespace

static void echo_libuv(benchmark::State& state) {
    const auto connections = static_cast<std::size_t>(state.range(0));
    if (!echo_problem::has_room(state, connections)) return;
    uv_loop_t loop;
    uv_loop_init(&loop);
    sockaddr_in where;
    const int listener = echo_problem::listen_on_loopback(where);
    std::vector<std::unique_ptr<end>> ends;
    for (std::size_t i = 0; i < connections; ++i) {
        const echo_problem::connection made = echo_problem::connect_to(listener, where);
        ends.push_back(std::make_unique<end>());
        ends.back()->open(&loop, made.client, false);
        ends.push_back(std::make_unique<end>());
        ends.back()->open(&loop, made.server, true);
    }
    bench::measure(state, echo_problem::round_trips, [&] {
        std::size_t running = connections;
        for (const auto& each : ends) {
            each->running = &running;
            each->sent = 0;
            each->times = echo_problem::round_trips / connections;
            if (!each->is_server) each->ask();
        }
        uv_run(&loop, UV_RUN_DEFAULT);
    });
    for (const auto& each : ends) uv_close(reinterpret_cast<uv_handle_t*>(&each->handle), nullptr);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    ::close(listener);
}
BENCHMARK(echo_libuv)->Arg(1)->Arg(100)->Arg(1000)->Arg(9'900);
