// SPDX-License-Identifier: BSL-1.0
#include "problem.hpp"

#include <asio.hpp>

#include <string>
#include <utility>

using asio::ip::tcp;

static asio::awaitable<void> echo(tcp::socket client) {
    char buffer[4096];
    asio::error_code error;
    for (;;) {
        const std::size_t got =
            co_await client.async_read_some(asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
        if (error) co_return;
        co_await asio::async_write(client, asio::buffer(buffer, got), asio::redirect_error(asio::use_awaitable, error));
        if (error) co_return;
    }
}

static asio::awaitable<void> answer(tcp::socket client) {
    std::string data;
    asio::error_code error;
    for (;;) {
        const std::size_t head = co_await asio::async_read_until(
            client, asio::dynamic_buffer(data), servers::end_of_head, asio::redirect_error(asio::use_awaitable, error));
        if (error) co_return;
        data.erase(0, head);
        co_await asio::async_write(client, asio::buffer(servers::response),
                                   asio::redirect_error(asio::use_awaitable, error));
        if (error) co_return;
    }
}

static asio::awaitable<void> serve(tcp::acceptor& acceptor, servers::kind what) {
    for (;;) {
        tcp::socket client = co_await acceptor.async_accept(asio::use_awaitable);
        client.set_option(tcp::no_delay(true));
        asio::co_spawn(acceptor.get_executor(),
                       what == servers::kind::echo ? echo(std::move(client)) : answer(std::move(client)),
                       asio::detached);
    }
}

int main(int argc, char** argv) {
    const servers::kind what = servers::parse(argc, argv);
    asio::io_context loop(1);
    tcp::acceptor acceptor(loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    acceptor.listen(1024);
    servers::announce(acceptor.local_endpoint().port());
    asio::co_spawn(loop, serve(acceptor, what), asio::detached);
    loop.run();
}
