// SPDX-License-Identifier: BSL-1.0

// A database that never blocks the loop: a table is filled in a transaction, read row by row, and asked by many tasks at
// once through a pool; one task tells another by a channel; and a command that takes too long is stopped.
//
//     c++ -std=c++20 -O2 -pthread -Iinclude $(pkg-config --cflags libpq) examples/adapters/pg_pool.cpp -o pg_pool -lpq
//     ./pg_pool "host=/var/run/postgresql dbname=postgres"
//
// It makes the table asynchio_items, and drops it at the end.
//
// Run: ./pg_pool
// Test: exit 2

#include <asynchio.hpp>
#include <asynchio/adapters/libpq.hpp>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

namespace aio = asynchio;
namespace pg = asynchio::libpq;
using namespace std::chrono_literals;

aio::task<> insert(pg::transaction& t) {
    co_await t.execute(
        "drop table if exists asynchio_items; create table asynchio_items(id int primary key, name text)");
    for (int id = 1; id <= 5; ++id)
        co_await t.query("insert into asynchio_items values ($1, $2)", id, "item " + std::to_string(id));
}

aio::task<> print_table(pg::connection& db) {
    auto rows = db.stream("select id, name from asynchio_items order by id");
    while (auto row = co_await rows.next())
        std::printf("%d: %s\n", row->get<int>("id"), row->get<std::string>("name").c_str());
}

aio::task<int> length(pg::pool& db, int id) {
    const pg::result found =
        co_await db.query("select length(name), pg_sleep(0.05) from asynchio_items where id = $1", id);
    co_return found.at(0).get<int>(0);
}

aio::task<> ask_at_once(pg::pool& db) {
    std::vector<aio::task_handle<int>> asked;
    for (int i = 0; i < 20; ++i) asked.push_back(aio::create_task(length(db, i % 5 + 1)));
    int sum = 0;
    for (auto& each : asked) sum += co_await each;
    std::printf("20 queries on %zu connections: %d\n", db.idle(), sum);
}

aio::task<> tell(pg::pool& db) {
    pg::lease listener = co_await db.acquire();
    auto news = co_await listener->listen("asynchio_news");
    co_await db.query("select pg_notify('asynchio_news', $1)", "all is well");
    const auto heard = co_await news.next();
    std::printf("heard: %s\n", heard->payload.c_str());
    co_await news.aclose();
}

aio::task<> give_up(pg::connection& db) {
    try {
        co_await aio::wait_for(db.query("select pg_sleep(100)"), 100ms);
    } catch (const aio::timeout_error&) {
        std::puts("too slow: stopped");
    }
    const pg::result still = co_await db.query("select count(*) from asynchio_items");
    std::printf("and the connection still works: %d rows\n", still[0].get<int>(0));
}

aio::task<> show(std::string server) {
    pg::pool_options limits;
    limits.max_size = 4;
    pg::pool db(server, limits);
    {
        pg::lease one = co_await db.acquire();
        co_await aio::with(pg::transaction(*one), insert);
        co_await print_table(*one);
    }
    co_await ask_at_once(db);
    co_await tell(db);
    pg::lease last = co_await db.acquire();
    co_await give_up(*last);
    co_await last->execute("drop table asynchio_items");
}

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fputs("usage: pg_pool CONNECTION-STRING\n", stderr);
        return 2;
    }
    try {
        aio::run(show(argv[1]));
    } catch (const std::exception& e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}
