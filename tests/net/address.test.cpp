// SPDX-License-Identifier: BSL-1.0
#include <asynchio/net/address.hpp>

// covers: net/bytes.hpp
#include <asynchio/net/bytes.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using asynchio::address;
using asynchio_tests::message_of;

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
    const auto text_of = [](asynchio::bytes b) { return std::string(static_cast<const char*>(b.data()), b.size()); };
    CHECK(asynchio::bytes().empty());
    CHECK(text_of("literal") == "literal");
    CHECK(text_of(std::string("string")) == "string");
    CHECK(text_of(std::string_view("view")) == "view");
    CHECK(text_of(std::vector<char>{'a', 'b'}) == "ab");
    CHECK(text_of(std::array<std::byte, 2>{std::byte('x'), std::byte('y')}) == "xy");
    const unsigned char raw[] = {'1', '2'};
    CHECK(text_of(raw) == "12");
    CHECK(text_of(std::span<const unsigned char>(raw, 1)) == "1");
    static_assert(!std::is_convertible_v<std::vector<int>, asynchio::bytes>);
    static_assert(!std::is_convertible_v<std::vector<bool>, asynchio::bytes>);
    static_assert(!std::is_convertible_v<const std::string&, asynchio::mutable_bytes>);
    std::string into(3, ' ');
    CHECK(asynchio::mutable_bytes(into).size() == 3);
    CHECK(asynchio::mutable_bytes(into).data() == into.data());
}
