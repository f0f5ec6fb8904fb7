// SPDX-License-Identifier: BSL-1.0
#include "problem.hpp"

#include <uv.h>

#include <string>

namespace {

servers::kind what;

struct client {
    uv_tcp_t handle;
    uv_write_t request;
    char buffer[4096];
    std::string kept;

    static client& of(void* handle) { return *static_cast<client*>(static_cast<uv_handle_t*>(handle)->data); }

    void write(const char* data, std::size_t size) {
        const uv_buf_t part = uv_buf_init(const_cast<char*>(data), static_cast<unsigned>(size));
        uv_write(&request, reinterpret_cast<uv_stream_t*>(&handle), &part, 1, nullptr);
    }
    void received(ssize_t got) {
        if (got < 0) return uv_close(reinterpret_cast<uv_handle_t*>(&handle), [](uv_handle_t* h) { delete &of(h); });
        if (what == servers::kind::echo) return write(buffer, static_cast<std::size_t>(got));
        kept.append(buffer, static_cast<std::size_t>(got));
        const servers::heads found = servers::complete_requests(kept);
        for (std::size_t n = 0; n < found.count; ++n) write(servers::response.data(), servers::response.size());
        kept.erase(0, found.size);
    }
    void start() {
        handle.data = this;
        uv_tcp_nodelay(&handle, 1);
        uv_read_start(
            reinterpret_cast<uv_stream_t*>(&handle),
            [](uv_handle_t* h, std::size_t, uv_buf_t* to) { *to = uv_buf_init(of(h).buffer, sizeof buffer); },
            [](uv_stream_t* s, ssize_t got, const uv_buf_t*) { of(s).received(got); });
    }
};

} // namespace

int main(int argc, char** argv) {
    what = servers::parse(argc, argv);
    uv_loop_t* loop = uv_default_loop();
    uv_tcp_t server;
    uv_tcp_init(loop, &server);
    uv_tcp_open(&server, servers::listen_on_loopback(SOCK_NONBLOCK));
    uv_listen(reinterpret_cast<uv_stream_t*>(&server), 1024, [](uv_stream_t* s, int) {
        auto* made = new client;
        uv_tcp_init(s->loop, &made->handle);
        if (uv_accept(s, reinterpret_cast<uv_stream_t*>(&made->handle)) == 0) made->start();
    });
    uv_run(loop, UV_RUN_DEFAULT);
}
