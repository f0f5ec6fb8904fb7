// SPDX-License-Identifier: BSL-1.0

// An echo over TLS: a server, which gets a new certificate without a restart, and a client.
//
//     c++ -std=c++20 -O2 -pthread -Iinclude examples/adapters/tls_echo.cpp -o tls_echo -lssl -lcrypto
//     ./tls_echo server 7000 cert.pem key.pem        serves, and prints the port
//     ./tls_echo client localhost 7000 cert.pem      sends what is typed, and trusts cert.pem beside the system's
//
// A certificate to try it: openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -addext
// subjectAltName=DNS:localhost -keyout key.pem -out cert.pem
//
// The server reads both files again with SIGHUP: connections from then on get the new certificate, and those that are
// open go on. With Ctrl-C it stops to accept, lets its clients end for five seconds, and ends. The client ends with Ctrl-D
// or Ctrl-C.
//
// Run: ./tls_echo help
// Test: exit 2

#include <asynchio.hpp>
#include <asynchio/adapters/openssl.hpp>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;

aio::task<> echo(aio::stream client) {
    std::vector<char> buffer(16'384);
    try {
        for (;;) {
            const std::size_t got = co_await client.read_some(buffer);
            if (got == 0) co_return;
            co_await client.write(std::string_view(buffer.data(), got));
        }
    } catch (const std::runtime_error&) { // the client is gone, with or without a close_notify
    }
}

aio::task<> serve(int port, std::string certificate, std::string key) {
    aio::openssl::context context = aio::openssl::context::server(certificate, key);
    aio::signal_set wanted(SIGHUP, SIGINT, SIGTERM);
    aio::server server = co_await aio::openssl::start_server(echo, "localhost", port, context);
    std::printf("%d\n", server.port());
    std::fflush(stdout);
    for (;;) {
        const int number = co_await wanted.wait();
        if (number != SIGHUP) break;
        try {
            context.certificate(certificate, key);
            std::fputs("tls_echo: new certificate\n", stderr);
        } catch (const aio::openssl::tls_error& e) {
            std::fprintf(stderr, "tls_echo: the old certificate stays: %s\n", e.what());
        }
    }
    co_await server.drain(5s);
}

std::string next_line() {
    std::string line;
    return std::getline(std::cin, line) ? line + "\n" : std::string();
}

/// Sends what is typed, for which a thread waits.
aio::task<> send_lines(aio::stream& server) {
    for (;;) {
        const std::string line = co_await aio::to_thread(&next_line);
        if (line.empty()) break;
        co_await server.write(line);
    }
    co_await server.write_eof();
}

aio::task<> print_lines(aio::stream& server) {
    for (;;) {
        const std::string line = co_await server.read_line();
        if (line.empty()) co_return;
        std::fputs(line.c_str(), stdout);
        std::fflush(stdout);
    }
}

aio::task<> talk(std::string host, int port, std::string trusted) {
    aio::openssl::context context = aio::openssl::context::client();
    if (!trusted.empty()) context.trust(trusted);
    aio::openssl::tls_connect_options options;
    options.timeout = 10s;
    aio::stream server = co_await aio::openssl::open_connection(host, port, context, options);
    const aio::openssl::connection_info about = aio::openssl::info(server);
    std::fprintf(stderr, "tls_echo: %s, %s, %s\n", about.version.c_str(), about.cipher.c_str(),
                 about.peer_subject.c_str());
    auto sending = aio::create_task(send_lines(server));
    co_await print_lines(server);
    if (!sending.done()) {
        std::fputs("tls_echo: the server has ended the connection\n", stderr);
        std::_Exit(1); // a thread still waits for a line
    }
    co_await sending;
}

int usage() {
    std::fputs("usage: tls_echo server PORT CERTIFICATE KEY\n"
               "       tls_echo client HOST PORT [TRUSTED]\n",
               stderr);
    return 2;
}

/// Returns the port that a text is, or -1.
int port_of(const char* text) {
    char* end = nullptr;
    const long port = std::strtol(text, &end, 10);
    return *text == '\0' || *end != '\0' || port < 0 || port > 65535 ? -1 : static_cast<int>(port);
}

int main(int argc, char** argv) {
    const std::string_view role = argc > 1 ? argv[1] : "";
    try {
        if (role == "server" && argc == 5 && port_of(argv[2]) >= 0)
            aio::run(serve(port_of(argv[2]), argv[3], argv[4]));
        else if (role == "client" && (argc == 4 || argc == 5) && port_of(argv[3]) > 0)
            aio::run(talk(argv[2], port_of(argv[3]), argc == 5 ? argv[4] : ""));
        else
            return usage();
    } catch (const std::exception& e) {
        std::fprintf(stderr, "tls_echo: %s\n", e.what());
        return 1;
    }
}
