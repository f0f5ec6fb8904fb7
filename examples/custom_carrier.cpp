// SPDX-License-Identifier: BSL-1.0

// A carrier of your own under a stream: a layered_channel transforms the bytes of another stream, as TLS or compression
// does. Everything that takes a stream works with it: reading by lines, time limits, cancellation, servers.
//
//     c++ -std=c++20 -pthread -Iinclude examples/custom_carrier.cpp -o custom_carrier
//
// Run: ./custom_carrier
// Prints:
//   on the wire: Uryyb, jbeyq
//   read: Hello, world
//   answered: Hello, world
//
// Read next: web_crawler.cpp

#include <asynchio.hpp>

#include <cstddef>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <sys/uio.h>
#include <utility>

namespace aio = asynchio;

/// Rotates the letters by thirteen places, which is as secret as it was in Rome.
class rotated final : public aio::layered_channel {
public:
    using layered_channel::layered_channel;

    aio::io_result receive(aio::mutable_byte_view into) noexcept override {
        const aio::io_result got = receive_below(into);
        auto* const bytes = static_cast<char*>(into.data());
        for (std::size_t i = 0; i < got.count; ++i) bytes[i] = turn(bytes[i]);
        return got;
    }
    aio::io_result send(const iovec* parts, std::size_t) noexcept override {
        char text[1024]; // takes the beginning of the first part; the stream sends the rest again
        const std::size_t size = parts->iov_len < sizeof text ? parts->iov_len : sizeof text;
        for (std::size_t i = 0; i < size; ++i) text[i] = turn(static_cast<const char*>(parts->iov_base)[i]);
        return send_below(std::string_view(text, size));
    }

private:
    static char turn(char c) noexcept {
        if (c >= 'a' && c <= 'z') return static_cast<char>('a' + (c - 'a' + 13) % 26);
        if (c >= 'A' && c <= 'Z') return static_cast<char>('A' + (c - 'A' + 13) % 26);
        return c;
    }
};

aio::stream secret(aio::stream&& below) { return aio::stream(std::make_unique<rotated>(std::move(below))); }

aio::task<> echo(aio::stream client) {
    aio::stream plain = secret(std::move(client));
    const std::string line = co_await plain.read_line();
    std::cout << "read: " << line;
    co_await plain.write(line);
}

aio::task<> program() {
    auto [near, far] = aio::testing::stream_pair();
    aio::stream eavesdropped = std::move(far);
    aio::stream writer = secret(std::move(near));
    co_await writer.write("Hello, world\n");
    const std::string seen = co_await eavesdropped.read_line();
    std::cout << "on the wire: " << seen;

    aio::server server = co_await aio::start_server(echo, "127.0.0.1", 0);
    aio::stream client = secret(co_await aio::open_connection("127.0.0.1", server.port()));
    co_await client.write("Hello, world\n");
    const std::string answer = co_await client.read_line();
    std::cout << "answered: " << answer;
    co_await server.aclose();
}

int main() { aio::run(program()); }
