// SPDX-License-Identifier: BSL-1.0

// Asks a server by HTTPS: its certificate is checked, and everything that a stream does works encrypted.
//
//     c++ -std=c++20 -O2 -pthread -Iinclude examples/adapters/https_get.cpp -o https_get -lssl -lcrypto
//     ./https_get example.org
//
// Run: ./https_get
// Test: exit 2
// Read next: tls_echo.cpp

#include <asynchio.hpp>
#include <asynchio/adapters/openssl.hpp>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

namespace aio = asynchio;

aio::task<> get(std::string host, int port) {
    aio::stream server = co_await aio::openssl::open_connection(host, port);
    const std::string request = "GET / HTTP/1.0\r\nHost: " + host + "\r\n\r\n";
    co_await server.write(request);
    const std::string answer = co_await server.read_all();
    std::fwrite(answer.data(), 1, answer.size(), stdout);
}

int main(int argc, char** argv) {
    const int port = argc == 3 ? std::atoi(argv[2]) : 443;
    if (argc < 2 || argc > 3 || port < 1 || port > 65535) {
        std::fputs("usage: https_get HOST [PORT]\n", stderr);
        return 2;
    }
    try {
        aio::run(get(argv[1], port));
    } catch (const std::exception& e) {
        std::fprintf(stderr, "https_get: %s\n", e.what());
        return 1;
    }
}
