// SPDX-License-Identifier: BSL-1.0

// postgres WAY CONNECTION OPERATIONS: `select $1::int`, prepared. pipeline and one: libpq by hand in pipeline mode, with 20
// commands under way, or one; threads and thread: a thread and a connection each, blocking, 20 of them, or one;
// asynchio-20, asynchio-1: that many tasks and one connection; asynchio-pool: 20 tasks and ten connections.

#include "neighbours/timed.hpp"

#include <asynchio.hpp>
#include <asynchio/adapters/libpq.hpp>

#include <libpq-fe.h>

#include <poll.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace aio = asynchio;
namespace pg = asynchio::libpq;

namespace {

constexpr const char* sql = "select $1::int";

struct finish {
    void operator()(PGconn* c) const noexcept { PQfinish(c); }
};
using connection = std::unique_ptr<PGconn, finish>;

connection connect(const std::string& to) {
    connection made(PQconnectdb(to.c_str()));
    neighbours::expect(PQstatus(made.get()) == CONNECTION_OK, PQerrorMessage(made.get()));
    PQclear(PQprepare(made.get(), "s", sql, 0, nullptr));
    return made;
}

void check(const PGresult* r, std::size_t i) {
    neighbours::expect(PQresultStatus(r) == PGRES_TUPLES_OK && std::strtoul(PQgetvalue(r, 0, 0), nullptr, 10) == i,
                       "an answer");
}

void by_pipeline(const std::string& to, std::size_t count, std::size_t most) {
    const connection owned = connect(to);
    PGconn* const c = owned.get();
    neighbours::expect(PQsetnonblocking(c, 1) == 0 && PQenterPipelineMode(c) == 1, "pipeline mode");
    for (std::size_t sent = 0, got = 0; got < count;) {
        for (; sent < count && sent - got < most; ++sent) {
            const std::string text = std::to_string(sent);
            const char* const value = text.c_str();
            const int length = 0, format = 0;
            PQsendQueryPrepared(c, "s", 1, &value, &length, &format, 0);
            PQpipelineSync(c);
        }
        PQflush(c);
        pollfd readable{PQsocket(c), POLLIN, 0};
        ::poll(&readable, 1, -1);
        PQconsumeInput(c);
        while (got < sent && PQisBusy(c) == 0) {
            PGresult* const r = PQgetResult(c);
            if (r == nullptr) continue;
            if (PQresultStatus(r) == PGRES_PIPELINE_SYNC)
                ++got;
            else
                check(r, got);
            PQclear(r);
        }
    }
}

void by_threads(const std::string& to, std::size_t count, std::size_t threads) {
    std::vector<std::thread> all;
    for (std::size_t t = 0; t < threads; ++t)
        all.emplace_back([=] {
            const connection c = connect(to);
            for (std::size_t i = t; i < count; i += threads) {
                const std::string text = std::to_string(i);
                const char* const value = text.c_str();
                const int length = 0, format = 0;
                PGresult* const r = PQexecPrepared(c.get(), "s", 1, &value, &length, &format, 0);
                check(r, i);
                PQclear(r);
            }
        });
    for (std::thread& each : all) each.join();
}

template<class Database>
aio::task<> ask(Database& db, std::size_t first, std::size_t until, std::size_t step) {
    for (std::size_t i = first; i < until; i += step) {
        const pg::result got = co_await db.query(sql, i);
        neighbours::expect(got[0].template get<std::size_t>(0) == i, "an answer");
    }
}
template<class Database>
aio::task<> ask_all(Database& db, std::size_t count, std::size_t tasks) {
    std::vector<aio::task<>> all;
    for (std::size_t t = 0; t < tasks; ++t) all.push_back(ask(db, t, count, tasks));
    co_await aio::gather(std::move(all));
}
aio::task<> by_connection(std::string to, std::size_t count, std::size_t tasks) {
    pg::connection db = co_await pg::connection::open(std::move(to));
    co_await ask_all(db, count, tasks);
}
aio::task<> by_pool(std::string to, std::size_t count) {
    pg::pool db(std::move(to));
    co_await ask_all(db, count, 20);
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    const std::string way = argv[1], to = argv[2];
    const std::size_t count = std::strtoul(argv[3], nullptr, 10);
    neighbours::timed(count, [&] {
        if (way == "pipeline" || way == "one")
            by_pipeline(to, count, way == "one" ? 1 : 20);
        else if (way == "threads" || way == "thread")
            by_threads(to, count, way == "thread" ? 1 : 20);
        else if (way == "asynchio-pool")
            aio::run(by_pool(to, count));
        else
            aio::run(by_connection(to, count, way == "asynchio-1" ? 1 : 20));
    });
}
