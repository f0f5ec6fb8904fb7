// SPDX-License-Identifier: BSL-1.0
#include <asynchio/io/address.hpp>

// covers: io/byte_view.hpp
#include <asynchio/io/byte_view.hpp>

#include <asynchio/io/open_connection.hpp>
#include <asynchio/io/process.hpp>
#include <asynchio/io/resolve.hpp>
#include <asynchio/io/server.hpp>
#include <asynchio/io/signal_set.hpp>
#include <asynchio/io/wait_readable.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/net.hpp"

#include <array>
#include <cstddef>
#include <limits>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace aio = asynchio;
using asynchio::address;
using namespace asynchio_tests;

TEST_CASE("address: of nothing is empty") {
    const address none;
    CHECK_FALSE(none);
    CHECK(none.family() == AF_UNSPEC);
    CHECK(none.to_string() == "no address");
    CHECK(none.host().empty());
    CHECK(none.path().empty());
    CHECK(none.port() == 0);
    CHECK(none == address());
}

TEST_CASE("address: of IP is printed as it is written") {
    const address v4 = address::ip("127.0.0.1", 80);
    CHECK(v4);
    CHECK(v4.is_ip());
    CHECK(v4.family() == AF_INET);
    CHECK(v4.host() == "127.0.0.1");
    CHECK(v4.port() == 80);
    CHECK(v4.to_string() == "127.0.0.1:80");
    const address v6 = address::ip("2001:db8::1", 65535);
    CHECK(v6.family() == AF_INET6);
    CHECK(v6.to_string() == "[2001:db8::1]:65535");
    CHECK(address::ip("::1%lo", 1).to_string() == "[::1%lo]:1");
    CHECK(v4 == address(v4.data(), v4.size()));
    CHECK_FALSE(v4 == address::ip("127.0.0.1", 81));
    CHECK_FALSE(v4 == address::ip("127.0.0.2", 80));
    CHECK_FALSE(v4 == v6);
    CHECK_FALSE(v6 == address::ip("2001:db8::2", 65535));
}

TEST_CASE("address: what is none is refused with its name") {
    CHECK(message_of([] { address::ip("localhost", 80); }) ==
          "address: 'localhost' is not a numeric IP address; use resolve() for names");
    CHECK(message_of([] { address::ip("127.0.0.1", 65536); }) == "address: 65536 is not a port (0 to 65535)");
    CHECK(message_of([] { address::ip("127.0.0.1", -1); }) == "address: -1 is not a port (0 to 65535)");
    CHECK(message_of([] { address::ip("fe80::1%nosuch", 1); }) == "address: there is no network interface 'nosuch'");
    CHECK(message_of([] { address(nullptr, 1000); }) == "address: 1000 bytes are too many");
}

TEST_CASE("address: of a Unix-domain socket is its path, or an abstract name") {
    const address file = address::unix_path("/run/x.sock");
    CHECK(file.family() == AF_UNIX);
    CHECK_FALSE(file.is_ip());
    CHECK(file.path() == "/run/x.sock");
    CHECK(file.to_string() == "unix:/run/x.sock");
    CHECK(address::unix_path("@name").to_string() == "unix:@name");
    CHECK(address::unix_path("@name").size() == offsetof(sockaddr_un, sun_path) + 5);
    CHECK(file == address::unix_path("/run/x.sock"));
    CHECK_FALSE(file == address::unix_path("/run/y.sock"));
    const std::string longest(107, 'x');
    CHECK(address::unix_path(longest).path() == longest);
    CHECK(message_of([&] { address::unix_path(longest + "x"); }) ==
          "address: the path of a Unix-domain socket has 108 bytes; 107 are the most");
    CHECK(message_of([] { address::unix_path(""); }) == "address: the path of a Unix-domain socket is empty");
    sockaddr_un nameless{};
    nameless.sun_family = AF_UNIX;
    CHECK(address(reinterpret_cast<const sockaddr*>(&nameless), sizeof(sa_family_t)).to_string() == "unix socket");
}

TEST_CASE("bytes: are made of text and of anything contiguous of bytes") {
    const auto text_of = [](asynchio::byte_view b) {
        return std::string(static_cast<const char*>(b.data()), b.size());
    };
    CHECK(asynchio::byte_view().empty());
    CHECK(text_of("literal") == "literal");
    CHECK(text_of(std::string("string")) == "string");
    CHECK(text_of(std::string_view("view")) == "view");
    CHECK(text_of(std::vector<char>{'a', 'b'}) == "ab");
    CHECK(text_of(std::array<std::byte, 2>{std::byte('x'), std::byte('y')}) == "xy");
    const unsigned char raw[] = {'1', '2'};
    CHECK(text_of(raw) == "12");
    CHECK(text_of(std::span<const unsigned char>(raw, 1)) == "1");
    static_assert(!std::is_convertible_v<std::vector<int>, asynchio::byte_view>);
    static_assert(!std::is_convertible_v<std::vector<bool>, asynchio::byte_view>);
    static_assert(!std::is_convertible_v<const std::string&, asynchio::mutable_byte_view>);
    std::string into(3, ' ');
    CHECK(asynchio::mutable_byte_view(into).size() == 3);
    CHECK(asynchio::mutable_byte_view(into).data() == into.data());
}

TEST_CASE("address: a scope may be a number, as resolve takes it") {
    for (const char* host : {"fe80::1%1", "fe80::1%12345", "fe80::1%4294967295", "fe80::1%0"}) {
        INFO(host);
        const aio::address found = aio::address::ip(host, 80);
        asynchio_tests::virtual_run([&]() -> aio::task<> {
            const std::vector<aio::address> resolved = co_await aio::resolve(host, 80);
            REQUIRE(resolved.size() == 1);
            CHECK(found == resolved[0]);
        });
    }
    CHECK(aio::address::ip("fe80::1%12345", 80).host() == "fe80::1%12345");
    for (const char* host : {"fe80::1%", "fe80::1%4294967296", "fe80::1%99999999999999999999", "fe80::1%-1",
                             "fe80::1%+1", "fe80::1%1x", "fe80::1% 1", "fe80::1%no-such-interface"}) {
        INFO(host);
        CHECK_THROWS_AS(aio::address::ip(host, 80), std::invalid_argument);
        CHECK(contains(message_of([&] { aio::address::ip(host, 80); }), "there is no network interface '"));
    }
}

TEST_CASE("address: a zero byte does not cut hosts and paths short") {
    const std::string host("127.0.0.1\0.example.com", 22);
    CHECK_THROWS_AS(aio::address::ip(host, 80), std::invalid_argument);
    CHECK(message_of([&] { aio::address::ip(host, 80); }) == "address: the host '127.0.0.1...' has a zero byte");
    CHECK_THROWS_AS(aio::address::ip(std::string("fe80::1%lo\0x", 12), 80), std::invalid_argument);
    for (const std::string_view path :
         {std::string_view("/tmp/a\0b", 8), std::string_view("/tmp/a\0", 7), std::string_view("\0name", 5)}) {
        CHECK_THROWS_AS(aio::address::unix_path(path), std::invalid_argument);
        CHECK(contains(message_of([&] { aio::address::unix_path(path); }), "has a zero byte"));
    }
    const aio::address abstract = aio::address::unix_path(std::string_view("@a\0b", 4)); // a name, not a text
    CHECK(abstract.path() == std::string_view("@a\0b", 4));
}

TEST_CASE("resolve and those that connect: a zero byte or a port out of range is refused, and named", "[io]") {
    asynchio_tests::virtual_run([]() -> aio::task<> {
        const std::string host("127.0.0.1\0.example.com", 22);
        const std::string path("/tmp/a\0b", 8);
        const auto handler = [](aio::stream) -> aio::task<> { co_return; };
        std::string error = co_await error_of([&] { return aio::resolve(host, 80); });
        CHECK(error == "resolve: the host '127.0.0.1...' has a zero byte");
        error = co_await error_of([&] { return aio::resolve("127.0.0.1", std::string("80\0x", 4)); });
        CHECK(error == "resolve: the service '80...' has a zero byte");
        error = co_await error_of([&] { return aio::open_connection(host, 80); });
        CHECK(contains(error, "the host '127.0.0.1...' has a zero byte"));
        error = co_await error_of([&] { return aio::start_server(handler, host, 0); });
        CHECK(contains(error, "the host '127.0.0.1...' has a zero byte"));
        error = co_await error_of([&] { return aio::open_unix_connection(path); });
        CHECK(contains(error, "'/tmp/a...' has a zero byte"));
        error = co_await error_of([&] { return aio::start_unix_server(handler, path); });
        CHECK(contains(error, "'/tmp/a...' has a zero byte"));
        for (const int port : {-1, 65'536, std::numeric_limits<int>::min(), std::numeric_limits<int>::max()}) {
            const std::string what = std::to_string(port) + " is not a port (0 to 65535)";
            error = message_of([&] { aio::address::ip("::1", port); });
            CHECK(error == "address: " + what);
            error = co_await error_of([&] { return aio::resolve("localhost", port); });
            CHECK(error == "resolve: " + what);
            error = co_await error_of([&] { return aio::open_connection("localhost", port); });
            CHECK(error == "open_connection: " + what);
            error = co_await error_of([&] { return aio::start_server(handler, "localhost", port); });
            CHECK(error == "start_server: " + what);
        }
        for (const int fd : {-1, std::numeric_limits<int>::min(), std::numeric_limits<int>::max()}) {
            error = co_await error_of([&] { return aio::wait_readable(fd); });
            CHECK(contains(error, "descriptor " + std::to_string(fd)));
            error = message_of([&] { aio::stream::from_descriptor(fd); });
            CHECK(contains(error, "descriptor " + std::to_string(fd)));
            aio::process_options options;
            options.out = fd;
            error = co_await error_of([&] { return aio::create_subprocess("true", options); });
            CHECK(contains(error, "descriptor " + std::to_string(fd)));
        }
        aio::event_loop& loop = aio::get_running_loop();
        for (const int number : {0, -1, 65, std::numeric_limits<int>::min(), std::numeric_limits<int>::max()}) {
            const std::string what = std::to_string(number) + " is not a signal number";
            CHECK(contains(message_of([&] { loop.add_signal_handler(number, [] {}); }), what));
            CHECK(contains(message_of([&] { aio::signal_set none(number); }), what));
            CHECK_FALSE(loop.remove_signal_handler(number));
        }
    });
}

TEST_CASE("address: is written as text", "[io]") {
    std::ostringstream out;
    out << asynchio::address::ip("127.0.0.1", 80) << ' ' << asynchio::address();
    CHECK(out.str() == "127.0.0.1:80 no address");
}
