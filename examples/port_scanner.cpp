// SPDX-License-Identifier: BSL-1.0

// Finds the ports at which somebody listens: thousands of connections at a time, each with a deadline.
//
//     c++ -std=c++20 -O2 -pthread -Iinclude examples/port_scanner.cpp -o port_scanner
//     ./port_scanner localhost
//     ./port_scanner --timeout 0.5 --concurrency 500 192.0.2.1 20-25,80,443,8000-9000
//
// Scan only what is yours. Exit status: 0 if a port is open, 1 if none is, 2 for wrong usage, 130 for Ctrl-C.
//
// Run: ./port_scanner 127.0.0.1 1
// Test: exit 1
// Read next: load_test.cpp

#include <algorithm>
#include <asynchio.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;

struct options {
    std::size_t concurrency = 1000;
    double timeout = 1;
    std::string host;
    std::vector<int> ports;
};

enum class state { open, closed, silent };

aio::task<state> probe(std::string host, int port, double timeout) {
    aio::connect_options limit;
    limit.timeout = std::chrono::duration_cast<aio::duration>(std::chrono::duration<double>(timeout));
    try {
        const aio::stream found = co_await aio::open_connection(host, port, limit);
        // On the own host, a port that nobody has may be given to the connection itself.
        co_return found.local_address() == found.peer_address() ? state::closed : state::open;
    } catch (const aio::timeout_error&) {
        co_return state::silent;
    } catch (const std::system_error& e) {
        if (e.code() == std::errc::too_many_files_open) throw;
        co_return e.code() == std::errc::connection_refused ? state::closed : state::silent;
    }
}

aio::task<int> scan(options o) {
    const std::vector<aio::address> found = co_await aio::resolve(o.host, 0);
    const std::string host = found.at(0).host();
    std::vector<state> states(o.ports.size(), state::silent);
    std::size_t next = 0, done = 0;
    auto worker = [&]() -> aio::task<> {
        while (next < o.ports.size()) {
            const std::size_t mine = next++;
            states[mine] = co_await probe(host, o.ports[mine], o.timeout);
            ++done;
        }
    };
    auto all = [&]() -> aio::task<> {
        std::vector<aio::task<>> workers;
        for (std::size_t i = 0; i < std::min(o.concurrency, o.ports.size()); ++i) workers.push_back(worker());
        co_await aio::gather(std::move(workers));
    };
    auto progress = [&]() -> aio::task<> {
        for (;; co_await aio::sleep(100ms))
            if (::isatty(STDERR_FILENO)) std::fprintf(stderr, "\r\033[K%zu of %zu ports", done, o.ports.size());
    };
    co_await aio::race(all, progress);
    if (::isatty(STDERR_FILENO)) std::fputs("\r\033[K", stderr);
    std::size_t open = 0, closed = 0;
    for (std::size_t i = 0; i < states.size(); ++i) {
        if (states[i] == state::open) std::printf("%d open\n", o.ports[i]), ++open;
        if (states[i] == state::closed) ++closed;
    }
    std::fprintf(stderr, "%s (%s): %zu open, %zu closed, %zu silent\n", o.host.c_str(), host.c_str(), open, closed,
                 states.size() - open - closed);
    co_return open == 0 ? 1 : 0;
}

/// "20-25,80". @return nothing if it is no list of ports.
std::optional<std::vector<int>> parse_ports(const std::string& text) {
    std::vector<int> ports;
    const char* at = text.c_str();
    for (;;) {
        char* end = nullptr;
        const long first = std::strtol(at, &end, 10);
        long last = first;
        if (end == at) return std::nullopt;
        if (*end == '-') {
            at = end + 1;
            last = std::strtol(at, &end, 10);
            if (end == at) return std::nullopt;
        }
        if (first < 1 || last > 65535 || last < first) return std::nullopt;
        for (long port = first; port <= last; ++port) ports.push_back(static_cast<int>(port));
        if (*end == '\0') return ports;
        if (*end != ',') return std::nullopt;
        at = end + 1;
    }
}

std::optional<options> parse(int argc, char** argv) {
    options o;
    int i = 1;
    for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
        const std::string name = argv[i];
        char* end = nullptr;
        const double value = std::strtod(argv[i + 1], &end);
        if (*end != '\0' || !(value > 0) || !(value < 1e6)) return std::nullopt;
        if (name == "--timeout")
            o.timeout = value;
        else if (name == "--concurrency" && value >= 1)
            o.concurrency = static_cast<std::size_t>(value);
        else
            return std::nullopt;
    }
    if (i >= argc || argc - i > 2 || argv[i][0] == '-') return std::nullopt;
    o.host = argv[i];
    auto ports = parse_ports(argc - i == 2 ? argv[i + 1] : "1-1024");
    if (!ports) return std::nullopt;
    o.ports = std::move(*ports);
    return o;
}

int main(int argc, char** argv) {
    const std::optional<options> o = parse(argc, argv);
    if (!o) {
        std::fputs("usage: port_scanner [--timeout SECONDS] [--concurrency N] HOST [PORTS]\n", stderr);
        return 2;
    }
    aio::run_options with_signal;
    with_signal.handle_sigint = true;
    try {
        return aio::run(scan(*o), with_signal);
    } catch (const aio::keyboard_interrupt&) {
        return 130;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "port_scanner: %s\n", e.what());
        return 2;
    }
}
