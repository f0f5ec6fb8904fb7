// SPDX-License-Identifier: BSL-1.0

// Asio and this library on one thread, in both directions: io_context is the main loop in which the event loop is a guest,
// and tasks await operations of Asio by the token use_awaitable. Needs Asio (Debian: libasio-dev).
//
//     c++ -std=c++20 -pthread -Iinclude examples/foreign/asio_both_ways.cpp -o asio_both_ways
//
// Run: ./asio_both_ways
// Prints:
//   a timer of Asio, awaited by a task
//   the server has read: ping
//   the client has read: pong
//   a read of Asio, cancelled by a time limit of this library
//   a future that a handler of Asio has set: 7
//
// Read next: guest_in_qt.cpp

#include <asynchio/adapters/asio.hpp>
#include <asynchio/combine.hpp>
#include <asynchio/loop.hpp>
#include <asynchio/task.hpp>

#include <asio.hpp>

#include <chrono>
#include <iostream>
#include <optional>
#include <string>

namespace aio = asynchio;
using namespace std::chrono_literals;
using aio::asio::use_awaitable;
using socket_type = asio::local::stream_protocol::socket;

/// An event loop as a guest of an io_context. Handlers that use the loop themselves call arm() afterwards.
class guest {
public:
    guest(asio::io_context& host, aio::event_loop& loop) : loop_(loop), handle_(host), deadline_(host) {
        handle_.assign(loop.native_handle());
        watch();
        arm();
    }
    guest(const guest&) = delete;
    guest& operator=(const guest&) = delete;
    ~guest() { handle_.release(); } // it is the loop's

    void arm() {
        if (const std::optional<aio::time_point> at = loop_.next_deadline())
            deadline_.expires_at(std::chrono::steady_clock::time_point(at->time_since_epoch()));
        else
            deadline_.expires_at(std::chrono::steady_clock::time_point::max());
        deadline_.async_wait([this](asio::error_code failed) {
            if (!failed) pump();
        });
    }

private:
    void pump() {
        loop_.run_ready();
        arm();
    }
    void watch() {
        handle_.async_wait(asio::posix::descriptor_base::wait_read, [this](asio::error_code failed) {
            if (failed) return;
            pump();
            watch();
        });
    }

    aio::event_loop& loop_;
    asio::posix::stream_descriptor handle_;
    asio::steady_timer deadline_;
};

aio::task<std::string> read_word(socket_type& from) {
    std::string word(4, '\0');
    co_await asio::async_read(from, asio::buffer(word), use_awaitable);
    co_return word;
}

aio::task<> serve(socket_type& client) {
    const std::string word = co_await read_word(client);
    std::cout << "the server has read: " << word << '\n';
    co_await asio::async_write(client, asio::buffer("pong", 4), use_awaitable);
}

aio::task<> ask(socket_type& server) {
    co_await asio::async_write(server, asio::buffer("ping", 4), use_awaitable);
    const std::string word = co_await read_word(server);
    std::cout << "the client has read: " << word << '\n';
}

aio::task<> program(asio::io_context& host, aio::future<int> from_handler) {
    asio::steady_timer timer(host, 10ms);
    co_await timer.async_wait(use_awaitable);
    std::cout << "a timer of Asio, awaited by a task\n";

    socket_type here(host);
    socket_type there(host);
    asio::local::connect_pair(here, there);
    co_await aio::gather(serve(here), ask(there));

    try {
        co_await aio::wait_for(read_word(here), 10ms);
    } catch (const aio::timeout_error&) {
        std::cout << "a read of Asio, cancelled by a time limit of this library\n";
    }

    const int value = co_await from_handler;
    std::cout << "a future that a handler of Asio has set: " << value << '\n';
    host.stop();
}

int main() {
    asio::io_context host;
    aio::event_loop loop;
    aio::future<int> answer = loop.create_future<int>();
    const auto task = loop.create_task(program(host, answer));
    guest here(host, loop);

    asio::steady_timer timer(host, 100ms);
    timer.async_wait([&](asio::error_code) {
        answer.set_result(7);
        here.arm();
    });
    host.run();
}
