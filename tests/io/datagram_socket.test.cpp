// SPDX-License-Identifier: BSL-1.0
// covers: io/datagram_options.hpp
#include <asynchio/io/datagram_socket.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/net.hpp"

#include <asynchio/combine/wait_for.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/faults.hpp>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <fcntl.h>
#include <limits>
#include <netinet/in.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

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

TEST_CASE("datagram_socket: over a descriptor that was made elsewhere", "[io][SWR-25]") {
    on_each_poller([]() -> aio::task<> {
        const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        const aio::address any = aio::address::ip("127.0.0.1", 0);
        REQUIRE(::bind(fd, any.data(), any.size()) == 0);
        aio::datagram_socket second = on_loopback();
        REQUIRE(::connect(fd, second.local_address().data(), second.local_address().size()) == 0);
        aio::datagram_socket first = aio::datagram_socket::from_descriptor(fd);
        CHECK(first.native_handle() == fd);
        CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
        co_await first.send("hello");
        std::string buffer(100, ' ');
        const aio::datagram got = co_await second.receive_from(buffer);
        CHECK(got.size == 5);
        CHECK(got.from == first.local_address());
        second.close();
        co_await first.send("nobody");
        const std::string error = co_await error_of([&] { return first.receive_from(buffer); });
        CHECK(contains(error, " from 127.0.0.1:")); // the peer is known
        first.close();
        CHECK(::fcntl(fd, F_GETFD) < 0);
    });
}

TEST_CASE("datagram_socket: from_descriptor refuses and closes what is none", "[io]") {
    const std::size_t before = open_descriptors();
    const auto refused = [](int fd) {
        return message_of([&] { static_cast<void>(aio::datagram_socket::from_descriptor(fd)); });
    };
    CHECK(refused(-1) == "datagram_socket of descriptor -1: Bad file descriptor");
    const int stream = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(contains(refused(stream), ": it is no datagram socket"));
    const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    CHECK(contains(refused(file), ": Socket operation on non-socket"));
    for (const char* call : {"getsockopt", "fcntl"}) {
        aio::testing::faults faulty;
        faulty.fail(call, EBADF);
        CHECK(contains(refused(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), ": Bad file descriptor"));
    }
    CHECK(open_descriptors() == before);
}

TEST_CASE("datagram_socket: options hold before it is bound or connected", "[io]") {
    on_each_poller([]() -> aio::task<> {
        aio::datagram_options options;
        options.reuse_port = true;
        options.broadcast = true;
        options.receive_buffer = 20'000;
        std::string prepared;
        options.configure = [&](int fd, const aio::address& where) {
            prepared += where.to_string();
            CHECK(option_of(fd, SOL_SOCKET, SO_BROADCAST) == 1);
            CHECK(option_of(fd, SOL_SOCKET, SO_REUSEPORT) == 1);
            CHECK(option_of(fd, SOL_SOCKET, SO_RCVBUF) >= 20'000);
        };
        const aio::datagram_socket first = aio::datagram_socket::bound(aio::address::ip("127.0.0.1", 0), options);
        CHECK(prepared == "127.0.0.1:0");
        const aio::datagram_socket shares = aio::datagram_socket::bound(first.local_address(), options);
        CHECK(shares.local_address() == first.local_address());
        CHECK(contains(message_of([&] { aio::datagram_socket::bound(first.local_address()); }), "bind to 127.0.0.1:"));
        const aio::datagram_socket other = aio::datagram_socket::connected(first.local_address(), options);
        CHECK(option_of(other.native_handle(), SOL_SOCKET, SO_BROADCAST) == 1);
        const aio::datagram_socket plain = on_loopback();
        CHECK(option_of(plain.native_handle(), SOL_SOCKET, SO_BROADCAST) == 0);
        CHECK(option_of(plain.native_handle(), SOL_SOCKET, SO_REUSEADDR) == 0);
        options.receive_buffer = -1;
        CHECK_THROWS_AS(aio::datagram_socket::bound(aio::address::ip("127.0.0.1", 0), options), std::invalid_argument);
        options.receive_buffer = 0;
        options.configure = [](int, const aio::address&) { throw std::runtime_error("not this one"); };
        CHECK_THROWS_AS(aio::datagram_socket::connected(first.local_address(), options), std::runtime_error);
        co_return;
    });
}

TEST_CASE("datagram_socket: all who have joined a group get what is sent to it, until they leave", "[io]") {
    for (const bool v6 : {false, true}) {
        INFO("IPv6: " << v6);
        on_each_poller([v6]() -> aio::task<> {
            const aio::address group = v6 ? aio::address::ip("ff01::4242%lo", 0) : aio::address::ip("239.255.42.42", 0);
            aio::datagram_options options;
            options.reuse_address = true;
            const aio::address any = aio::address::ip(v6 ? "::" : "0.0.0.0", 0);
            aio::datagram_socket first = aio::datagram_socket::bound(any, options);
            const int port = first.local_address().port();
            aio::datagram_socket second = aio::datagram_socket::bound(aio::address::ip(any.host(), port), options);
            first.join_group(group, "lo");
            second.join_group(group, "lo");
            const std::string again = message_of([&] { first.join_group(group, "lo"); });
            CHECK(contains(again, "join_group " + group.host() + ": Address already in use"));
            aio::datagram_socket sender = aio::datagram_socket::bound(aio::address::ip(v6 ? "::1" : "127.0.0.1", 0));
            sender.set_multicast_interface("lo");
            sender.set_multicast_ttl(0);
            const aio::address to = aio::address::ip(group.host(), port);
            std::string buffer(100, ' ');
            const auto sent = co_await aio::nothrow(sender.send_to("to all", to));
            const bool has_route = sent.has_value(); // IPv6 has none to groups over lo on most machines
            if (!v6) CHECK(has_route);
            if (!has_route) second.leave_group(group, "lo");
            if (!has_route) first.leave_group(group, "lo");
            if (!has_route) co_return;
            for (aio::datagram_socket* each : {&first, &second}) {
                const aio::datagram got = co_await aio::wait_for(each->receive_from(buffer), 10s);
                CHECK(std::string_view(buffer).substr(0, got.size) == "to all");
                CHECK(got.from.port() == sender.local_address().port());
            }
            second.leave_group(group, "lo");
            const std::string left = message_of([&] { second.leave_group(group, "lo"); });
            CHECK(contains(left, "leave_group " + group.host()));
            co_await sender.send_to("to one", to);
            const aio::datagram got = co_await aio::wait_for(first.receive_from(buffer), 10s);
            CHECK(std::string_view(buffer).substr(0, got.size) == "to one");
        });
    }
}

TEST_CASE("datagram_socket: what is no group, no interface and no count of hops is refused and named", "[io]") {
    aio::datagram_socket socket = on_loopback();
    const aio::address group = aio::address::ip("239.255.42.42", 0);
    CHECK(message_of([&] { socket.join_group(aio::address::ip("127.0.0.1", 5)); }) ==
          "join_group: 127.0.0.1:5 is no multicast group");
    CHECK(message_of([&] { socket.leave_group(aio::address::ip("fe80::1", 0)); }) ==
          "leave_group: [fe80::1]:0 is no multicast group");
    CHECK_THROWS_AS(socket.join_group(aio::address()), std::invalid_argument);
    CHECK_THROWS_AS(socket.join_group(aio::address::unix_path("/tmp/x")), std::invalid_argument);
    CHECK(message_of([&] { socket.join_group(group, "no such one"); }) ==
          "join_group: there is no network interface 'no such one'");
    CHECK(contains(message_of([&] { socket.join_group(group, std::string_view("lo\0x", 4)); }), "has a zero byte"));
    CHECK_THROWS_AS(socket.join_group(group, "4000000"), std::system_error);
    CHECK_THROWS_AS(socket.set_multicast_interface("no such one"), std::invalid_argument);
    CHECK_THROWS_AS(socket.set_multicast_interface("4000000"), std::system_error);
    for (const int hops : {-1, 256, std::numeric_limits<int>::max(), std::numeric_limits<int>::min()})
        CHECK_THROWS_AS(socket.set_multicast_ttl(hops), std::invalid_argument);
    socket.set_multicast_ttl(255);
    socket.set_multicast_interface("");
    const int fd = socket.native_handle();
    CHECK(option_of(fd, IPPROTO_IP, IP_MULTICAST_TTL) == 255);
    socket.set_multicast_loop(false);
    CHECK(option_of(fd, IPPROTO_IP, IP_MULTICAST_LOOP) == 0);
    aio::datagram_socket six = aio::datagram_socket::bound(aio::address::ip("::1", 0));
    six.set_multicast_loop(false);
    six.set_multicast_ttl(7);
    six.set_multicast_interface("lo");
    CHECK(option_of(six.native_handle(), IPPROTO_IPV6, IPV6_MULTICAST_LOOP) == 0);
    CHECK(option_of(six.native_handle(), IPPROTO_IPV6, IPV6_MULTICAST_HOPS) == 7);
    CHECK(option_of(six.native_handle(), IPPROTO_IPV6, IPV6_MULTICAST_IF) > 0);
    socket.close();
    CHECK(message_of([&] { socket.join_group(group); }) == "datagram_socket: it is closed or was moved from");
    CHECK_THROWS_AS(socket.set_multicast_loop(true), std::logic_error);
    aio::datagram_socket local = aio::datagram_socket::bound(aio::address::unix_path("@asynchio-no-multicast"));
    CHECK(contains(message_of([&] { local.set_multicast_ttl(1); }), "set_multicast_ttl: Operation not supported"));
    CHECK_THROWS_AS(local.set_multicast_interface("lo"), std::system_error);
    CHECK_THROWS_AS(local.join_group(group), std::system_error);
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
