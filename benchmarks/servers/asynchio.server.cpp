// SPDX-License-Identifier: BSL-1.0
#include "problem.hpp"

#include <asynchio/io/server.hpp>
#include <asynchio/task/run.hpp>

#include <string>

namespace aio = asynchio;

static aio::task<> echo(aio::stream client) {
    char buffer[4096];
    for (;;) {
        const std::size_t got = co_await client.read_some(buffer);
        if (got == 0) co_return;
        co_await client.write(std::string_view(buffer, got));
    }
}

/// The method and path of each request are looked at, its headers are passed over.
static aio::task<> answer(aio::stream client) try {
    for (;;) {
        const std::string head = co_await client.read_until(servers::end_of_head);
        const std::size_t path = head.find(' ');
        const bool known = path != std::string::npos && head.compare(0, path, "GET") == 0 && head[path + 1] == '/';
        co_await client.write(known ? servers::response : "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    }
} catch (const aio::incomplete_read_error&) { // it has closed its side
}

static aio::task<> serve(servers::kind what) {
    aio::server server = co_await aio::start_server(what == servers::kind::echo ? &echo : &answer, "127.0.0.1", 0);
    servers::announce(server.port());
    co_await server.serve_forever();
}

int main(int argc, char** argv) { aio::run(serve(servers::parse(argc, argv))); }
