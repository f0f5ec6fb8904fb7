// SPDX-License-Identifier: BSL-1.0
#include <asynchio/io/datagram_socket.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/net.hpp"

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/yield.hpp>

#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace aio = asynchio;
using namespace asynchio_tests;

namespace {

aio::datagram_socket on_loopback() { return aio::datagram_socket::bound(aio::address::ip("127.0.0.1", 0)); }

} // namespace

TEST_CASE("datagram_socket: each datagram arrives whole, with its sender", "[io][SWR-25]") {
    on_each_poller([]() -> aio::task<> {
        aio::datagram_socket first = on_loopback();
        aio::datagram_socket second = on_loopback();
        char buffer[100];
        const auto receiving = aio::create_task(second.receive_from(buffer));
        co_await settle();
        CHECK_FALSE(receiving.done());
        co_await first.send_to("one", second.local_address());
        aio::datagram got = co_await receiving;
        CHECK(std::string_view(buffer, got.size) == "one");
        CHECK(got.from == first.local_address());
        CHECK_FALSE(got.truncated);
        co_await first.send_to("two", second.local_address());
        co_await first.send_to("", second.local_address());
        co_await first.send_to("too long", second.local_address());
        got = co_await second.receive_from(buffer);
        CHECK(std::string_view(buffer, got.size) == "two");
        got = co_await second.receive_from(buffer);
        CHECK(got.size == 0);
        char three[3];
        got = co_await second.receive_from(three);
        CHECK(std::string_view(three, got.size) == "too");
        CHECK(got.truncated);
    });
}

TEST_CASE("datagram_socket: connected, it sends without an address, and is told that nobody listens", "[io][SWR-25]") {
    on_each_poller([]() -> aio::task<> {
        aio::datagram_socket server = on_loopback();
        const aio::address where = server.local_address();
        aio::datagram_socket client = aio::datagram_socket::connected(where);
        co_await client.send("ping");
        char buffer[100];
        aio::datagram got = co_await server.receive_from(buffer);
        co_await server.send_to("pong", got.from);
        got = co_await client.receive_from(buffer);
        CHECK(std::string_view(buffer, got.size) == "pong");
        server.close();
        CHECK(server.is_closed());
        co_await client.send("anybody?");
        const std::string error = co_await error_of([&] { return client.receive_from(buffer); });
        CHECK(contains(error, "receive at 127.0.0.1:"));
        CHECK(contains(error, "Connection refused"));
    });
}

TEST_CASE("datagram_socket: errors name the address, and it can be used on", "[io]") {
    on_each_poller([]() -> aio::task<> {
        aio::datagram_socket socket = on_loopback();
        const std::string much(100'000, 'x');
        const aio::address self = socket.local_address();
        std::string error = co_await error_of([&] { return socket.send_to(much, self); });
        CHECK(error == "send to " + self.to_string() + ": Message too long");
        co_await socket.send_to("x", self);
        char buffer[10];
        const aio::datagram got = co_await socket.receive_from(buffer);
        CHECK(got.from == self);
        error = message_of([&] { aio::datagram_socket::bound(self); });
        CHECK(error == "bind to " + self.to_string() + ": Address already in use");
    });
}

TEST_CASE("datagram_socket: an error of a connected one names its peer", "[io]") {
    on_each_poller([]() -> aio::task<> {
        aio::datagram_socket server = on_loopback();
        const aio::address peer = server.local_address();
        aio::datagram_socket client = aio::datagram_socket::connected(peer);
        const std::string own = client.local_address().to_string();
        const std::string much(100'000, 'x');
        std::string error = co_await error_of([&] { return client.send(much); });
        CHECK(error == "send to " + peer.to_string() + ": Message too long");
        server.close();
        co_await client.send("anybody?");
        char buffer[10];
        error = co_await error_of([&] { return client.receive_from(buffer); });
        CHECK(error == "receive at " + own + " from " + peer.to_string() + ": Connection refused");
        aio::datagram_socket unconnected = on_loopback();
        error = co_await error_of([&] { return unconnected.send("to nobody"); });
        CHECK(error == "send at " + unconnected.local_address().to_string() + ": Destination address required");
    });
}

TEST_CASE("datagram_socket: the file of one that is gone is removed, one that is alive is not robbed", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const std::string path = "/tmp/asynchio-datagrams-" + std::to_string(::getpid());
        const aio::address where = aio::address::unix_path(path);
        ::unlink(path.c_str());
        { // left behind by who ended without closing
            const int stale = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
            REQUIRE(::bind(stale, where.data(), where.size()) == 0);
            ::close(stale);
            REQUIRE(::access(path.c_str(), F_OK) == 0);
        }
        {
            aio::datagram_socket socket = aio::datagram_socket::bound(where);
            const std::string error = message_of([&] { aio::datagram_socket::bound(where); });
            CHECK(error == "bind to unix:" + path + ": Address already in use");
            aio::datagram_socket client = aio::datagram_socket::connected(where);
            co_await client.send("here");
            char buffer[10];
            const aio::datagram got = co_await socket.receive_from(buffer);
            CHECK(got.size == 4);
        }
        CHECK(::access(path.c_str(), F_OK) != 0);
    });
}

TEST_CASE("datagram_socket: one receiver at a time; closing tells it; it can be cancelled", "[io]") {
    on_each_poller([]() -> aio::task<> {
        aio::datagram_socket socket = on_loopback();
        char buffer[10];
        const auto first = aio::create_task(socket.receive_from(buffer));
        co_await settle();
        std::string error = co_await error_of([&] { return socket.receive_from(buffer); });
        CHECK(contains(error, "receive: another task waits"));
        first.cancel();
        const auto ended = co_await aio::nothrow(first);
        CHECK(ended.cancelled());
        const auto second = aio::create_task(error_of([&] { return socket.receive_from(buffer); }));
        co_await settle();
        socket.close();
        error = co_await second;
        CHECK(error == "receive: the socket is closed");
        error = co_await error_of([&] { return socket.send_to("x", aio::address::ip("127.0.0.1", 1)); });
        CHECK(error == "send: the socket is closed");
        const aio::datagram_socket gone = std::move(socket);
        CHECK(message_of([&] { static_cast<void>(socket.receive_from(buffer)); }) ==
              "datagram_socket: it was moved from");
    });
}

TEST_CASE("datagram_socket: works with Unix-domain sockets, whose sender waits for room", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const aio::address where = aio::address::unix_path("@asynchio-datagram-" + std::to_string(::getpid()));
        aio::datagram_socket server = aio::datagram_socket::bound(where);
        aio::datagram_socket client = aio::datagram_socket::connected(where);
        int sent = 0;
        auto send = [&]() -> aio::task<> {
            for (; sent < 5000; ++sent) co_await client.send("message");
        };
        const auto sending = aio::create_task(send);
        co_await settle();
        CHECK(sent < 5000);
        char buffer[100];
        for (int i = 0; i < 5000; ++i) {
            const aio::datagram got = co_await server.receive_from(buffer);
            if (got.size != 7 || got.from.path() != "") FAIL_CHECK("datagram " << i);
        }
        co_await sending;
    });
}

TEST_CASE("datagram_socket: a hundred thousand", "[io]") {
    on_each_poller([]() -> aio::task<> {
        aio::datagram_socket socket = on_loopback();
        const aio::address self = socket.local_address();
        char buffer[10];
        for (int i = 0; i < 50'000; ++i) {
            co_await socket.send_to("x", self);
            co_await socket.receive_from(buffer);
        }
    });
}
