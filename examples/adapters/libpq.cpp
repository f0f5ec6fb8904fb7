// SPDX-License-Identifier: BSL-1.0

// Asks a server of PostgreSQL, and prints the answer.
//
//     c++ -std=c++20 -O2 -pthread -Iinclude $(pkg-config --cflags libpq) examples/adapters/libpq.cpp -o libpq -lpq
//     ./libpq "host=/var/run/postgresql dbname=postgres"
//
// Without a server that answers, it prints one error.
//
// Run: ./libpq
// Test: exit 2
// Read next: pg_pool.cpp

#include <asynchio.hpp>
#include <asynchio/adapters/libpq.hpp>

#include <cstdio>
#include <exception>
#include <string>

namespace aio = asynchio;

aio::task<> ask(std::string server) {
    aio::libpq::connection db = co_await aio::libpq::connection::open(server);
    const auto rows = co_await db.query("select n, n * n as square from generate_series(1, $1::int) as n", 3);
    for (const aio::libpq::row& each : rows)
        std::printf("%d %lld\n", each.get<int>("n"), each.get<long long>("square"));
}

int main(int argc, char** argv) {
    try {
        if (argc == 2) {
            aio::run(ask(argv[1]));
            return 0;
        }
        std::fputs("usage: libpq CONNECTION-STRING\n", stderr);
        return 2;
    } catch (const aio::libpq::error& e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}
