// SPDX-License-Identifier: BSL-1.0

// Counts in a server of Redis, by many tasks at once over one connection, and prints what has come of it.
//
//     c++ -std=c++20 -O2 -pthread -Iinclude examples/adapters/hiredis.cpp -o hiredis -lhiredis
//     ./hiredis localhost 6379
//
// Without a server that answers, it prints one error.
//
// Run: ./hiredis
// Test: exit 2
// Read next: redis_chat.cpp

#include <asynchio.hpp>
#include <asynchio/adapters/hiredis.hpp>

#include <cstdio>
#include <cstdlib>
#include <vector>

namespace aio = asynchio;

aio::task<> count(aio::hiredis::options server) {
    auto db = co_await aio::hiredis::connection::open(server);
    std::vector<aio::task<aio::hiredis::reply>> all;
    for (int i = 0; i < 1000; ++i) all.push_back(db.command("HINCRBY", "asynchio:example", i % 2 ? "odd" : "even", i));
    co_await aio::gather(std::move(all));
    const auto sums = co_await db.command("HMGET", "asynchio:example", "even", "odd");
    std::printf("even %d, odd %d\n", sums[0].get<int>(), sums[1].get<int>());
    co_await db.command("DEL", "asynchio:example");
}

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fputs("usage: hiredis HOST PORT\n", stderr);
        return 2;
    }
    aio::hiredis::options server;
    server.host = argv[1];
    server.port = std::atoi(argv[2]);
    try {
        aio::run(count(server));
    } catch (const aio::hiredis::error& e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}
