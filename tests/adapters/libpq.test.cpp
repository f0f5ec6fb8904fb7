// SPDX-License-Identifier: BSL-1.0
// covers: libpq_connection.hpp libpq_error.hpp libpq_pool.hpp libpq_transaction.hpp libpq_values.hpp
#include <asynchio/adapters/libpq.hpp>

#include "adapters/postgres_server.hpp"
#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/net.hpp"
#include "support/operator_new.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/timeout.hpp>
#include <asynchio/combine/wait.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/io/server.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/for_each_allocation_failure.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>

#include <linux/sockios.h>
#include <malloc.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace aio = asynchio;
namespace pg = asynchio::libpq;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

postgres_server& server() {
    static postgres_server made;
    return made;
}

/// Runs a test that needs a server. Without one it is skipped, or fails where all adapters must be tested.
template<class F>
void with_server(F body) {
    if (!can_run(!postgres_programs().empty(), "postgres")) return;
    server();
    aio::run(aio::wait_for(body(), 60s));
}

aio::task<int> number(pg::connection& db, int value) {
    const pg::result got = co_await db.query("select $1::int", value);
    co_return got[0].get<int>(0);
}

aio::task<> require_usable(pg::connection& db) {
    const int seven = co_await number(db, 7);
    REQUIRE(seven == 7);
}

/// Waits until another connection sees the command `sql` run.
aio::task<> until_active(std::string sql) {
    pg::connection other = co_await pg::connection::open(server().address());
    for (;;) {
        const pg::result got =
            co_await other.query("select 1 from pg_stat_activity where state = 'active' and query = $1", sql);
        if (!got.empty()) co_return;
        co_await aio::sleep(1ms);
    }
}

/// How many bytes of a connection on a Unix socket its server has not read.
int unread(pg::connection& db) {
    int bytes = 0;
    REQUIRE(::ioctl(PQsocket(db.native_handle()), SIOCOUTQ, &bytes) == 0);
    return bytes;
}

/// A task whose command runs until it is cancelled.
aio::task<aio::task_handle<pg::result>> endless(pg::connection& db, std::string word) {
    const std::string sql = "select pg_sleep(100), '" + word + "'";
    auto running = aio::create_task(db.query(sql));
    co_await until_active(sql);
    co_return std::move(running);
}

aio::async_generator<std::string> two_lines() {
    co_yield std::string("1\n");
    co_yield std::string("2\n");
}

/// Everything that a connection can do.
aio::task<> use(pg::connection& db) {
    co_await db.execute("create temp table if not exists t(a int)");
    std::vector<aio::task<int>> together;
    for (int i = 0; i < 3; ++i) together.push_back(number(db, i));
    co_await aio::gather(std::move(together));
    auto block = [](pg::transaction& t) -> aio::task<> {
        co_await t.query("insert into t values ($1)", 1);
        co_await t.execute("delete from t");
    };
    co_await aio::with(pg::transaction(db), block);
    auto rows = db.stream("select generate_series(1, $1::int)", 3);
    co_await rows.next();
    co_await rows.aclose();
    co_await db.copy_in("copy t from stdin", two_lines());
    auto out = db.copy_out("copy t to stdout");
    while (co_await out.next()) {}
    auto news = co_await db.listen("news");
    co_await news.aclose();
}

/// Uses a connection, which serves on whatever happens meanwhile, or says that it is closed.
aio::task<> use_and_go_on(bool may_close) {
    pg::connection_options one;
    one.prepared_statements = 1;
    pg::connection db = co_await pg::connection::open(server().address(), one);
    std::exception_ptr failure;
    try {
        co_await use(db);
    } catch (...) {
        failure = std::current_exception();
    }
    if (db.is_open() || !may_close) {
        co_await require_usable(db);
        REQUIRE(PQtransactionStatus(db.native_handle()) == PQTRANS_IDLE);
    } else {
        co_await error_of<pg::connection_error>(db.query("select 1"));
    }
    if (failure) std::rethrow_exception(failure);
}

} // namespace

TEST_CASE("libpq: values go to the server and come back", "[net]") {
    with_server([]() -> aio::task<> {
        pg::connection db = co_await pg::connection::open(server().address());
        REQUIRE(db.is_open());
        const std::vector<std::byte> bytes{std::byte{0}, std::byte{255}, std::byte{'\\'}, std::byte{10}};
        const std::string text = "it's \xc3\xa4\n\"";
        const pg::result got = co_await db.query(
            "select $1::text as t, $2::int8 as i, $3::float8 as f, $4::bool as b, $5::bytea as y, $6::text as n, "
            "$7::bytea as e",
            text, std::numeric_limits<long long>::min(), 0.1, true, bytes, std::nullopt, std::vector<std::byte>());
        REQUIRE(got.size() == 1);
        REQUIRE(got.columns() == 7);
        const pg::row row = got[0];
        CHECK(row.get<std::string>("t") == text);
        CHECK(row.get<std::string_view>(0) == text);
        CHECK(row.get<long long>("i") == std::numeric_limits<long long>::min());
        CHECK(row.get<double>("f") == 0.1);
        CHECK(row.get<bool>("b"));
        CHECK(row.get<std::vector<std::byte>>("y") == bytes);
        CHECK(row.get<std::vector<std::byte>>("e").empty());
        CHECK(row.get<std::optional<std::string>>("n") == std::nullopt);
        CHECK(row.get<std::optional<bool>>("b") == true);
        CHECK_THROWS_AS(row.get<std::string>("n"), pg::error);
        CHECK_THROWS_AS(row.get<int>("i"), pg::error);
        CHECK_THROWS_AS(row.get<bool>("t"), pg::error);
        CHECK_THROWS_AS(row.get<std::vector<std::byte>>("t"), pg::error);
        CHECK_THROWS_AS(row.get<int>("nothing"), std::out_of_range);
        CHECK_THROWS_AS(row.get<int>(7), std::out_of_range);
        CHECK_THROWS_AS(got.at(1), std::out_of_range);
        CHECK_THROWS_AS(db.query("select $1", std::string("a\0b", 3)), std::invalid_argument);
        const pg::result special = co_await db.query("select 'Infinity'::float8, 'NaN'::float4");
        CHECK(special[0].get<double>(0) == std::numeric_limits<double>::infinity());
        CHECK(special[0].get<float>(1) != special[0].get<float>(1));
    });
}

TEST_CASE("libpq: a large row, many rows, several commands in one text", "[net]") {
    with_server([]() -> aio::task<> {
        pg::connection db = co_await pg::connection::open(server().address());
        const std::string large(20'000'000, 'x');
        const pg::result echoed = co_await db.query("select $1::text", large);
        CHECK((echoed[0].get<std::string_view>(0) == large));
        const pg::result many = co_await db.query("select generate_series(1, 1000)");
        int sum = 0;
        for (const pg::row& each : many) sum += each.get<int>(0);
        CHECK(sum == 500'500);
        const pg::result last = co_await db.execute("create temp table t(a int); insert into t values (1), (2)");
        CHECK(last.affected() == 2);
        CHECK(last.status() == "INSERT 0 2");
        CHECK(last.empty());
    });
}

TEST_CASE("libpq: errors have the server's code and leave the connection usable", "[net]") {
    with_server([]() -> aio::task<> {
        pg::connection db = co_await pg::connection::open(server().address());
        const pg::error syntax = co_await error_of<pg::error>(db.query("selct 1"));
        CHECK(syntax.sqlstate() == "42601");
        CHECK(std::string_view(syntax.what()).find("(SQLSTATE 42601)") != std::string_view::npos);
        co_await db.execute("create temp table t(a int primary key)");
        co_await db.query("insert into t values ($1)", 1);
        const pg::error twice = co_await error_of<pg::error>(db.query("insert into t values ($1)", 1));
        CHECK(twice.sqlstate() == "23505");
        CHECK(twice.detail() == "Key (a)=(1) already exists.");
        const pg::error divided = co_await error_of<pg::error>(db.query("select 1 / $1::int", 0));
        CHECK(divided.sqlstate() == "22012");
        CHECK(divided.message() == "division by zero");
        const pg::error hinted = co_await error_of<pg::error>(db.execute("select nofunction(1)"));
        CHECK(!hinted.hint().empty());
        const pg::error copied = co_await error_of<pg::error>(db.execute("copy t from stdin"));
        CHECK(copied.message().find("COPY") != std::string::npos);
        const pg::error copied_out =
            co_await error_of<pg::error>(db.execute("copy (select generate_series(1, 100000)) to stdout"));
        CHECK(copied_out.message().find("COPY") != std::string::npos);
        const pg::error large = co_await error_of<pg::error>(db.query("select repeat('x', 1100000000)"));
        CHECK(large.sqlstate() == "54000");
        co_await db.execute("do $$ begin raise notice 'nobody reads this'; end $$");
        co_await require_usable(db);
    });
}

TEST_CASE("libpq: what cannot be connected to is named", "[net]") {
    with_server([]() -> aio::task<> {
        pg::connection db = co_await pg::connection::open(server().address());
        co_await db.execute("drop role if exists guest; create role guest login password 'right'");
        const std::string tcp = "host=127.0.0.1 user=guest dbname=postgres port=";
        const std::string port = std::to_string(server().port());
        pg::connection right = co_await pg::connection::open(tcp + port + " password=right");
        co_await require_usable(right);
        pg::connection named =
            co_await pg::connection::open("host=localhost user=guest dbname=postgres password=right port=" + port);
        co_await require_usable(named);
        using lost = pg::connection_error;
        const lost wrong = co_await error_of<lost>(pg::connection::open(tcp + port + " password=wrong"));
        CHECK(wrong.message().find("password authentication failed for user \"guest\"") != std::string::npos);
        CHECK(wrong.message().find('\n') == std::string::npos);
        const lost unknown = co_await error_of<lost>(pg::connection::open("host=nowhere.invalid"));
        CHECK(unknown.message().find("nowhere.invalid") != std::string::npos);
        const std::string nobody = std::to_string(unused_port());
        const lost refused = co_await error_of<lost>(pg::connection::open(tcp + nobody));
        CHECK(refused.message().find("port " + nobody) != std::string::npos);
        CHECK(refused.message().find("refused") != std::string::npos);
        const lost text = co_await error_of<lost>(pg::connection::open("hots=1"));
        CHECK(text.message().find("hots") != std::string::npos);
        const lost database = co_await error_of<lost>(pg::connection::open(server().address() + " dbname=nothing"));
        CHECK(database.message().find("\"nothing\"") != std::string::npos);
    });
}

TEST_CASE("libpq: many tasks use one connection, in order, and one error harms only its task", "[net]") {
    with_server([]() -> aio::task<> {
        pg::connection db = co_await pg::connection::open(server().address());
        std::vector<aio::task_handle<int>> tasks;
        std::vector<int> order;
        for (int i = 0; i < 200; ++i) {
            auto one = [](pg::connection& of, int value, std::vector<int>& ended) -> aio::task<int> {
                const pg::result got = co_await of.query("select 100 / ($1::int - 50)", value);
                ended.push_back(value);
                co_return got[0].get<int>(0);
            };
            tasks.push_back(aio::create_task(one(db, i, order)));
        }
        int failed = 0;
        for (int i = 0; i < 200; ++i) {
            const auto ended = co_await aio::nothrow(tasks[static_cast<std::size_t>(i)]);
            if (ended.error())
                ++failed;
            else
                CHECK(ended.value() == 100 / (i - 50));
        }
        CHECK(failed == 1);
        CHECK(order.size() == 199);
        CHECK(std::is_sorted(order.begin(), order.end()));
    });
}

TEST_CASE("libpq: prepared statements are bounded, and made anew when they are out of date", "[net]") {
    with_server([]() -> aio::task<> {
        pg::connection_options few;
        few.prepared_statements = 3;
        pg::connection db = co_await pg::connection::open(server().address(), few);
        for (int i = 0; i < 20; ++i) co_await db.query("select " + std::to_string(i % 7));
        const pg::result kept = co_await db.execute("select count(*) from pg_prepared_statements");
        CHECK(kept[0].get<int>(0) == 3);
        co_await db.execute("deallocate all");
        const pg::result anew = co_await db.query("select 5");
        CHECK(anew[0].get<int>(0) == 5);
        co_await db.execute("create temp table t as select 1 as a");
        co_await db.query("select * from t");
        co_await db.execute("alter table t add b int default 2");
        const pg::result wider = co_await db.query("select * from t");
        CHECK(wider.columns() == 2);
        few.prepared_statements = 0;
        pg::connection none = co_await pg::connection::open(server().address(), few);
        co_await require_usable(none);
        const pg::result nothing = co_await none.execute("select count(*) from pg_prepared_statements");
        CHECK(nothing[0].get<int>(0) == 0);
    });
}

TEST_CASE("libpq: a cancelled command is stopped at the server, and the connection can be used on", "[net]") {
    with_server([]() -> aio::task<> {
        pg::connection db = co_await pg::connection::open(server().address());
        for (int i = 0; i < 5; ++i) {
            auto sleeping = aio::create_task(db.query("select pg_sleep(100)"));
            auto behind = aio::create_task(number(db, i));
            co_await until_active("select pg_sleep(100)");
            const auto before = std::chrono::steady_clock::now();
            sleeping.cancel();
            const auto ended = co_await aio::nothrow(sleeping);
            CHECK(sleeping.cancelled());
            const int answer = co_await behind;
            CHECK(answer == i);
            CHECK(std::chrono::steady_clock::now() - before < 20s);
        }
    });
}

TEST_CASE("libpq: a cancellation at any moment leaves the connection usable", "[net]") {
    with_server([]() -> aio::task<> {
        pg::connection_options one;
        one.prepared_statements = 1;
        pg::connection db = co_await pg::connection::open(server().address(), one);
        int ended_early = 0;
        for (int steps = 0; steps < 60; ++steps) {
            const auto work = [](pg::connection& of) -> aio::task<> {
                co_await of.query("select 1");
                co_await of.query("select 2, pg_sleep(0.001)");
                auto block = [](pg::transaction& t) -> aio::task<> { co_await t.query("select $1::int", 3); };
                co_await aio::with(pg::transaction(of), block);
            };
            auto running = aio::create_task(work(db));
            for (int i = 0; i < steps && !running.done(); ++i) co_await aio::yield();
            if (!running.done()) ++ended_early;
            running.cancel();
            co_await aio::nothrow(running);
            co_await require_usable(db);
            REQUIRE(PQtransactionStatus(db.native_handle()) == PQTRANS_IDLE);
        }
        CHECK(ended_early > 10);
        for (int steps = 0; steps < 30; ++steps) {
            auto opening = aio::create_task(pg::connection::open(server().address()));
            for (int i = 0; i < steps && !opening.done(); ++i) co_await aio::yield();
            opening.cancel();
            co_await aio::nothrow(std::move(opening));
        }
    });
}

TEST_CASE("libpq: commands are sent without waiting for the answers of those before them", "[net]") {
    with_server([]() -> aio::task<> {
        pg::connection db = co_await pg::connection::open(server().address());
        auto first = co_await endless(db, "first");
        auto second = aio::create_task(number(db, 2));
        co_await aio::yield();
        CHECK(unread(db) > 0);
        first.cancel();
        const int two = co_await second;
        CHECK(two == 2);
        co_await aio::nothrow(first);
        CHECK(first.cancelled());
    });
}

TEST_CASE("libpq: what needs the connection alone waits until the pipeline is empty", "[net]") {
    with_server([]() -> aio::task<> {
        pg::connection db = co_await pg::connection::open(server().address());
        co_await db.execute("create temp table t(a int)");
        std::vector<aio::task_handle<int>> before, after;
        for (int i = 0; i < 20; ++i) before.push_back(aio::create_task(number(db, i)));
        auto block = [](pg::transaction& t) -> aio::task<int> {
            std::vector<aio::task<pg::result>> together;
            for (int i = 0; i < 20; ++i) together.push_back(t.query("insert into t values ($1)", i));
            co_await aio::gather(std::move(together));
            const pg::result got = co_await t.query("select count(*)::int from t");
            co_return got[0].get<int>(0);
        };
        auto counted = aio::create_task(aio::with(pg::transaction(db), block));
        co_await aio::yield();
        for (int i = 0; i < 20; ++i) after.push_back(aio::create_task(number(db, i)));
        auto executed = aio::create_task(db.execute("select 5"));
        const int twenty = co_await counted;
        CHECK(twenty == 20);
        for (int i = 0; i < 20; ++i) {
            const int sooner = co_await before[static_cast<std::size_t>(i)];
            const int later = co_await after[static_cast<std::size_t>(i)];
            CHECK(sooner == i);
            CHECK(later == i);
        }
        const pg::result five = co_await executed;
        CHECK(five[0].get<int>(0) == 5);
        co_await require_usable(db);
        PGresult* const plain = PQexec(db.native_handle(), "select 6");
        CHECK(PQresultStatus(plain) == PGRES_TUPLES_OK);
        PQclear(plain);
        co_await require_usable(db);
    });
}

TEST_CASE("libpq: a statement that cannot be prepared fails for each task that wants it", "[net]") {
    with_server([]() -> aio::task<> {
        for (const std::size_t most : {0U, 1U, 100U}) {
            pg::connection_options limits;
            limits.prepared_statements = most;
            pg::connection db = co_await pg::connection::open(server().address(), limits);
            std::vector<aio::task_handle<pg::result>> wrong;
            std::vector<aio::task_handle<int>> right;
            for (int i = 0; i < 20; ++i) {
                wrong.push_back(aio::create_task(db.query(i % 2 == 0 ? "select nothing" : "selct")));
                right.push_back(aio::create_task(number(db, i)));
            }
            for (int i = 0; i < 20; ++i) {
                const pg::error failed = co_await error_of<pg::error>(
                    [](auto& of) -> aio::task<> { co_await of; }(wrong[static_cast<std::size_t>(i)]));
                CHECK(failed.sqlstate() == (i % 2 == 0 ? "42703" : "42601"));
                const int answer = co_await right[static_cast<std::size_t>(i)];
                CHECK(answer == i);
            }
            const pg::result kept = co_await db.execute("select count(*)::int from pg_prepared_statements");
            CHECK(kept[0].get<std::size_t>(0) == std::min<std::size_t>(most, 1));
            co_await require_usable(db);
            const pg::result still = co_await db.execute("select count(*)::int from pg_prepared_statements");
            CHECK(still[0].get<int>(0) == kept[0].get<int>(0));
        }
    });
}

TEST_CASE("libpq: tasks that share a statement prepare it anew together", "[net]") {
    with_server([]() -> aio::task<> {
        pg::connection db = co_await pg::connection::open(server().address());
        co_await db.execute("create temp table t as select 1 as a");
        co_await db.query("select * from t");
        for (const char* change : {"alter table t add b int", "deallocate all", "alter table t drop b"}) {
            co_await db.execute(change);
            std::vector<aio::task_handle<pg::result>> tasks;
            for (int i = 0; i < 10; ++i) tasks.push_back(aio::create_task(db.query("select * from t")));
            for (auto& each : tasks) {
                const pg::result got = co_await each;
                CHECK(got.size() == 1);
            }
        }
        co_await db.query("select * from t");
        co_await db.execute("begin");
        co_await db.execute("alter table t add c int");
        const pg::error failed = co_await error_of<pg::error>(db.query("select * from t"));
        CHECK(failed.sqlstate() == "0A000");
        co_await db.execute("rollback");
        co_await require_usable(db);
    });
}

TEST_CASE("libpq: a COPY that is run as a query is refused, and harms no other command", "[net]") {
    with_server([]() -> aio::task<> {
        for (const std::size_t most : {0U, 100U}) {
            pg::connection_options limits;
            limits.prepared_statements = most;
            pg::connection db = co_await pg::connection::open(server().address(), limits);
            co_await db.execute("create temp table t(a int)");
            for (const char* copy : {"copy t from stdin", "copy (select generate_series(1, 100000)) to stdout",
                                     " ;-- a copy\n /* /* of */ t */\tCoPy t FROM STDIN"}) {
                auto before = aio::create_task(number(db, 1));
                auto copying = aio::create_task(db.query(copy));
                auto behind = aio::create_task(number(db, 2));
                const pg::error refused =
                    co_await error_of<pg::error>([](auto& of) -> aio::task<> { co_await of; }(copying));
                CHECK(refused.message().find("COPY") != std::string::npos);
                const int one = co_await before;
                const int two = co_await behind;
                CHECK(one == 1);
                CHECK(two == 2);
            }
            co_await require_usable(db);
        }
    });
}

TEST_CASE("libpq: large parameters and large results of many tasks do not block each other", "[net]") {
    with_server([]() -> aio::task<> {
        pg::connection db = co_await pg::connection::open(server().address());
        std::vector<aio::task_handle<pg::result>> tasks;
        for (int i = 0; i < 20; ++i)
            tasks.push_back(aio::create_task(db.query("select $1::text", std::string(1'000'000, char('a' + i)))));
        for (int i = 0; i < 20; ++i) {
            const pg::result got = co_await tasks[static_cast<std::size_t>(i)];
            CHECK((got[0].get<std::string_view>(0) == std::string(1'000'000, char('a' + i))));
        }
    });
}

TEST_CASE("libpq: a task behind others leaves when it is cancelled, and its command is stopped later", "[net]") {
    with_server([]() -> aio::task<> {
        pg::connection db = co_await pg::connection::open(server().address());
        auto first = co_await endless(db, "in front");
        std::vector<aio::task_handle<pg::result>> behind;
        for (int i = 0; i < 3; ++i) behind.push_back(aio::create_task(db.query("select pg_sleep(100), 'behind'")));
        auto last = aio::create_task(number(db, 8));
        co_await aio::yield();
        for (auto& each : behind) {
            each.cancel();
            co_await aio::nothrow(each);
            CHECK(each.cancelled());
        }
        CHECK(!first.done());
        first.cancel();
        const int eight = co_await last;
        CHECK(eight == 8);
        co_await aio::nothrow(first);
        CHECK(first.cancelled());

        pg::connection other = co_await pg::connection::open(server().address());
        co_await other.execute("select pg_advisory_lock(7)");
        auto locking = aio::create_task(db.query("select pg_advisory_lock(7)"));
        auto sleeping = aio::create_task(db.query("select pg_sleep(100), 'unwanted'"));
        co_await until_active("select pg_advisory_lock(7)");
        sleeping.cancel();
        co_await aio::nothrow(sleeping);
        CHECK(!locking.done());
        co_await other.execute("select pg_advisory_unlock(7)");
        co_await locking;
        co_await require_usable(db);
    });
}

TEST_CASE("libpq: a request to stop one command does not fail that of another task", "[net]") {
    with_server([]() -> aio::task<> {
        pg::connection db = co_await pg::connection::open(server().address());
        for (int i = 0; i < 200; ++i) {
            auto brief = aio::create_task(db.query("select pg_sleep($1::int * 0.00001)", i % 100));
            std::vector<aio::task_handle<pg::result>> others;
            for (int k = 0; k < 3; ++k)
                others.push_back(aio::create_task(db.query("select $1::int, pg_sleep(0.001)", k)));
            for (int k = 0; k < 3; ++k) co_await aio::yield();
            brief.cancel();
            for (int k = 0; k < 3; ++k) {
                const pg::result got = co_await others[static_cast<std::size_t>(k)];
                CHECK(got[0].get<int>(0) == k);
            }
            co_await aio::nothrow(brief);
        }
    });
}

TEST_CASE("libpq: a connection that is lost fails all commands in its pipeline", "[net]") {
    with_server([]() -> aio::task<> {
        pg::connection db = co_await pg::connection::open(server().address());
        pg::connection other = co_await pg::connection::open(server().address());
        const int process = PQbackendPID(db.native_handle());
        auto first = co_await endless(db, "to be lost");
        std::vector<aio::task_handle<int>> behind;
        for (int i = 0; i < 10; ++i) behind.push_back(aio::create_task(number(db, i)));
        auto transaction =
            aio::create_task(aio::with(pg::transaction(db), [](pg::transaction&) -> aio::task<> { co_return; }));
        co_await aio::yield();
        co_await other.query("select pg_terminate_backend($1)", process);
        const pg::connection_error lost =
            co_await error_of<pg::connection_error>([](auto& of) -> aio::task<> { co_await of; }(first));
        CHECK(lost.sqlstate() == "57P01");
        for (auto& each : behind)
            co_await error_of<pg::connection_error>([](auto& of) -> aio::task<> { co_await of; }(each));
        co_await error_of<pg::connection_error>([](auto& of) -> aio::task<> { co_await of; }(transaction));
        CHECK(!db.is_open());
    });
}

TEST_CASE("libpq: a connection may be moved and dropped while commands are under way, and used by another loop",
          "[net]") {
    with_server([]() -> aio::task<> {
        pg::connection db = co_await pg::connection::open(server().address());
        auto running = aio::create_task(number(db, 3));
        co_await aio::yield();
        pg::connection moved = std::move(db);
        const int three = co_await running;
        CHECK(three == 3);
        std::vector<aio::any_task_handle> ended;
        std::vector<aio::async_generator<pg::row>> streams;
        {
            pg::connection dropped = co_await pg::connection::open(server().address());
            auto left = co_await endless(dropped, "dropped");
            auto behind = aio::create_task(dropped.query("select 1"));
            auto block = [](pg::transaction&) -> aio::task<> { co_return; };
            ended.push_back(aio::create_task(aio::with(pg::transaction(dropped), block)));
            ended.push_back(left);
            ended.push_back(behind);
            pg::connection streaming = co_await pg::connection::open(server().address());
            streams.push_back(streaming.stream("select pg_sleep(100), 'row'"));
            ended.push_back(aio::create_task([](auto& of) -> aio::task<> { co_await of.next(); }(streams[0])));
            pg::connection listening = co_await pg::connection::open(server().address());
            auto news = co_await listening.listen("news");
            auto wait = [](auto of) -> aio::task<> { co_await of.next(); };
            ended.push_back(aio::create_task(wait(std::move(news))));
            pg::connection executing = co_await pg::connection::open(server().address());
            ended.push_back(aio::create_task(executing.execute("select pg_sleep(100), 'executed'")));
            co_await until_active("select pg_sleep(100), 'executed'");
            co_await until_active("select pg_sleep(100), 'row'");
        }
        for (aio::any_task_handle& each : ended) {
            aio::any_task_handle handles[] = {each};
            co_await aio::wait(handles);
            CHECK_THROWS_AS(std::rethrow_exception(each.exception()), pg::connection_error);
        }
        co_await require_usable(moved);
    });
    std::optional<pg::connection> kept;
    const auto open = [&]() -> aio::task<> {
        kept.emplace(co_await pg::connection::open(server().address()));
        co_await require_usable(*kept);
    };
    const auto go_on = [&]() -> aio::task<> { co_await require_usable(*kept); };
    with_server(open);
    with_server(go_on);
}

TEST_CASE("libpq: a cancellation at every step leaves the connection usable", "[net]") {
    if (postgres_programs().empty()) return; // others say so
    const auto scenario = [] { return aio::wait_for(use_and_go_on(false), 100s); };
    aio::testing::cancellation_plan once;
    once.options = {};
    const auto met = aio::testing::for_each_cancellation(scenario, once);
    CHECK(met.points > 30);
    CHECK(met.failed == 0);
    aio::testing::cancellation_plan twice = once;
    twice.second_after = 1;
    const auto more = aio::testing::for_each_cancellation(scenario, twice);
    CHECK(more.failed == 0);
}

TEST_CASE("libpq: no memory at each allocation leaves the connection usable or closed", "[net]") {
    if (postgres_programs().empty()) return; // others say so
    for (const bool all_later : {false, true}) {
        aio::testing::allocation_plan plan;
        plan.all_later = all_later;
        plan.options = {};
        const auto met =
            aio::testing::for_each_allocation_failure([] { return aio::wait_for(use_and_go_on(true), 100s); }, plan);
        CHECK(met.points > 100);
    }
}

TEST_CASE("libpq: a transaction is committed, or rolled back after an exception or a cancellation", "[net]") {
    with_server([]() -> aio::task<> {
        pg::connection db = co_await pg::connection::open(server().address());
        co_await db.execute("create temp table t(a int)");
        auto count = [&]() -> aio::task<int> {
            const pg::result got = co_await db.query("select count(*) from t");
            co_return got[0].get<int>(0);
        };
        auto good = [](pg::transaction& t) -> aio::task<int> {
            co_await t.query("insert into t values ($1)", 1);
            co_return 5;
        };
        const int five = co_await aio::with(pg::transaction(db), good);
        CHECK(five == 5);
        const int after_commit = co_await count();
        CHECK(after_commit == 1);
        auto bad = [](pg::transaction& t) -> aio::task<> {
            co_await t.query("insert into t values ($1)", 2);
            throw std::domain_error("no");
        };
        const auto failed = co_await aio::nothrow(aio::with(pg::transaction(db), bad));
        CHECK(failed.error());
        const int after_failure = co_await count();
        CHECK(after_failure == 1);
        auto slow = [](pg::transaction& t) -> aio::task<> {
            co_await t.query("insert into t values ($1)", 3);
            co_await t.query("select pg_sleep(100), 'slow'");
        };
        auto cancelled = aio::create_task(aio::with(pg::transaction(db), slow));
        auto waiting = aio::create_task(count());
        co_await until_active("select pg_sleep(100), 'slow'");
        CHECK(!waiting.done());
        cancelled.cancel();
        co_await aio::nothrow(cancelled);
        CHECK(cancelled.cancelled());
        const int after_cancel = co_await waiting;
        CHECK(after_cancel == 1);
        auto caught = [](pg::transaction& t) -> aio::task<> { co_await aio::nothrow(t.query("select 1 / 0")); };
        const pg::error nothing = co_await error_of<pg::error>(aio::with(pg::transaction(db), caught));
        CHECK(nothing.message().find("rolled back") != std::string::npos);
        const pg::error begun = co_await error_of<pg::error>(aio::with(pg::transaction(db, "BEGIN NONSENSE"), good));
        CHECK(begun.sqlstate() == "42601");
        co_await require_usable(db);
    });
}

TEST_CASE("libpq: rows of a stream come one by one, and a stream may be stopped early", "[net]") {
    with_server([]() -> aio::task<> {
        pg::connection db = co_await pg::connection::open(server().address());
        auto all = db.stream("select generate_series(1, $1::int) as n", 1000);
        int sum = 0;
        while (auto row = co_await all.next()) sum += row->get<int>("n");
        CHECK(sum == 500'500);
        auto early = db.stream("select generate_series(1, 100000000)");
        for (int i = 1; i <= 3; ++i) {
            const auto row = co_await early.next();
            REQUIRE(row);
            CHECK(row->get<int>(0) == i);
        }
        auto behind = aio::create_task(number(db, 4));
        co_await early.aclose();
        const int four = co_await behind;
        CHECK(four == 4);
        auto failing = db.stream("select 10 / (3 - generate_series(1, 5))");
        int before = 0;
        std::string state;
        try {
            while (co_await failing.next()) ++before;
        } catch (const pg::error& e) {
            state = e.sqlstate();
        }
        CHECK(before == 2);
        CHECK(state == "22012");
        auto endless = [](pg::connection& of) -> aio::task<> {
            auto rows = of.stream("select pg_sleep(100), 'stream'");
            co_await rows.next();
        };
        auto stopped = aio::create_task(endless(db));
        co_await until_active("select pg_sleep(100), 'stream'");
        stopped.cancel();
        co_await aio::nothrow(stopped);
        CHECK(stopped.cancelled());
        co_await require_usable(db);
    });
}

TEST_CASE("libpq: COPY takes data in and gives data out, and may be stopped", "[net]") {
    with_server([]() -> aio::task<> {
        pg::connection db = co_await pg::connection::open(server().address());
        co_await db.execute("create temp table t(a int, b text)");
        const auto lines = [](int from, int to, bool fails) -> aio::async_generator<std::string> {
            for (int i = from; i < to; ++i) co_yield std::to_string(i) + "\t" + std::string(1000, 'x') + "\n";
            if (fails) throw std::domain_error("no more");
        };
        const pg::result taken = co_await db.copy_in("copy t from stdin", lines(0, 20'000, false));
        CHECK(taken.affected() == 20'000);
        const auto failed = co_await aio::nothrow(db.copy_in("copy t from stdin", lines(0, 10, true)));
        CHECK_THROWS_AS(failed.rethrow(), std::domain_error);
        const auto nonsense = [](std::string text) -> aio::async_generator<std::string> { co_yield std::move(text); };
        const pg::error wrong =
            co_await error_of<pg::error>(db.copy_in("copy t from stdin", nonsense("no number\tx\n")));
        CHECK(wrong.sqlstate() == "22P02");
        const pg::error missing = co_await error_of<pg::error>(db.copy_in("copy nothing from stdin", nonsense("")));
        CHECK(missing.sqlstate() == "42P01");
        const pg::error other = co_await error_of<pg::error>(db.copy_in("select 1", nonsense("")));
        CHECK(other.message().find("kind") != std::string::npos);
        const pg::result count = co_await db.query("select count(*) from t");
        CHECK(count[0].get<int>(0) == 20'000);
        auto out = db.copy_out("copy (select a from t order by a) to stdout");
        int next = 0;
        while (auto line = co_await out.next()) CHECK(*line == std::to_string(next++) + "\n");
        CHECK(next == 20'000);
        auto early = db.copy_out("copy (select generate_series(1, 100000000)) to stdout");
        const auto first = co_await early.next();
        CHECK(first == "1\n");
        co_await early.aclose();
        auto bad = db.copy_out("copy (select 1 / (3 - generate_series(1, 5))) to stdout");
        const auto all = [](auto& from) -> aio::task<> {
            while (co_await from.next()) {}
        };
        const pg::error divided = co_await error_of<pg::error>(all(bad));
        CHECK(divided.sqlstate() == "22012");
        const auto never = []() -> aio::async_generator<std::string> {
            co_yield std::string("1\tx\n");
            co_await aio::sleep(1h);
        };
        auto stuck = aio::create_task(db.copy_in("copy t from stdin", never()));
        co_await until_active("copy t from stdin");
        stuck.cancel();
        co_await aio::nothrow(stuck);
        CHECK(stuck.cancelled());
        co_await require_usable(db);
    });
}

TEST_CASE("libpq: notifications of a channel come until the stream is closed", "[net]") {
    with_server([]() -> aio::task<> {
        pg::connection db = co_await pg::connection::open(server().address());
        pg::connection other = co_await pg::connection::open(server().address());
        auto news = co_await db.listen("a \"channel\"");
        for (int i = 0; i < 100; ++i) co_await other.query("select pg_notify('a \"channel\"', $1)", std::to_string(i));
        for (int i = 0; i < 100; ++i) {
            const auto one = co_await news.next();
            REQUIRE(one);
            CHECK(one->payload == std::to_string(i));
            CHECK(one->channel == "a \"channel\"");
            CHECK(one->process == PQbackendPID(other.native_handle()));
        }
        auto behind = aio::create_task(number(db, 3));
        auto next = aio::create_task([](auto& of) -> aio::task<> { co_await of.next(); }(news));
        co_await aio::yield();
        next.cancel();
        co_await aio::nothrow(next);
        CHECK(next.cancelled());
        const int three = co_await behind;
        CHECK(three == 3);
        auto again = co_await db.listen("x");
        co_await other.execute("notify x, 'first'");
        const auto first = co_await again.next();
        CHECK(first->payload == "first");
        co_await other.execute("select pg_terminate_backend(" + std::to_string(PQbackendPID(db.native_handle())) + ")");
        const auto lost = co_await aio::nothrow(again.next());
        CHECK_THROWS_AS(lost.rethrow(), pg::connection_error);
        CHECK(!db.is_open());
    });
}

TEST_CASE("libpq: a lost connection says so, and a pool replaces it", "[net]") {
    with_server([]() -> aio::task<> {
        pg::pool_options limits;
        limits.max_size = 3;
        limits.min_size = 2;
        pg::pool db(server().address(), limits);
        co_await db.open();
        CHECK(db.idle() == 2);
        pg::connection victim = co_await pg::connection::open(server().address());
        auto sleeping = aio::create_task(victim.query("select pg_sleep(100), 'victim'"));
        co_await until_active("select pg_sleep(100), 'victim'");
        co_await db.query("select pg_terminate_backend($1::int)", PQbackendPID(victim.native_handle()));
        std::string state;
        try {
            co_await sleeping;
        } catch (const pg::connection_error& e) {
            state = e.sqlstate();
        }
        CHECK(state == "57P01");
        CHECK(!victim.is_open());
        const pg::connection_error again = co_await error_of<pg::connection_error>(victim.query("select 1"));
        CHECK(again.message().find("closed") != std::string::npos);
        pg::connection outside = co_await pg::connection::open(server().address());
        co_await outside.query(
            "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and "
            "backend_type = 'client backend'");
        for (;;) {
            const pg::result left =
                co_await outside.query("select count(*) from pg_stat_activity where backend_type = 'client backend'");
            if (left[0].get<int>(0) == 1) break;
            co_await aio::sleep(1ms);
        }
        for (int i = 0; i < 4; ++i) {
            const pg::result got = co_await db.query("select $1::int", i);
            CHECK(got[0].get<int>(0) == i);
        }
        server().stop();
        const pg::connection_error gone = co_await error_of<pg::connection_error>(db.query("select 1"));
        CHECK(gone.message().find("failed") != std::string::npos);
        server().run();
        const pg::result back = co_await db.query("select $1::int", 9);
        CHECK(back[0].get<int>(0) == 9);
    });
}

TEST_CASE("libpq: a pool bounds its connections, and keeps those that can be used", "[net]") {
    with_server([]() -> aio::task<> {
        CHECK_THROWS_AS(pg::pool("",
                                 [] {
                                     pg::pool_options o;
                                     o.max_size = 0;
                                     return o;
                                 }()),
                        std::invalid_argument);
        pg::pool_options limits;
        limits.max_size = 2;
        limits.wait_timeout = 50ms;
        limits.check_after = 0ms;
        pg::pool db(server().address(), limits);
        {
            pg::lease a = co_await db.acquire();
            pg::lease b = co_await db.acquire();
            co_await error_of<aio::timeout_error>(db.query("select 1"));
            CHECK(db.idle() == 0);
            co_await a->execute("begin");
        }
        CHECK(db.idle() == 1);
        std::vector<aio::task_handle<pg::result>> tasks;
        limits.wait_timeout = std::nullopt;
        pg::pool patient(server().address(), limits);
        for (int i = 0; i < 40; ++i) tasks.push_back(aio::create_task(patient.query("select $1::int", i)));
        for (int i = 0; i < 40; ++i) {
            const pg::result got = co_await tasks[static_cast<std::size_t>(i)];
            CHECK(got[0].get<int>(0) == i);
        }
        CHECK(patient.idle() == 2);
        auto slow = aio::create_task(patient.query("select pg_sleep(100), 'pool'"));
        co_await until_active("select pg_sleep(100), 'pool'");
        slow.cancel();
        co_await aio::nothrow(slow);
        CHECK(patient.idle() == 2);
    });
}

TEST_CASE("libpq: a server that speaks nonsense gives an error", "[net]") {
    with_server([]() -> aio::task<> {
        static const std::string answers[] = {
            "",
            "HTTP/1.0 400 Bad Request\r\n\r\n",
            std::string("R\0\0\0\x08\0\0\0\x63", 9),
            std::string(5000, '\xff'),
            std::string("R\0\0\0\x08\0\0\0\0Z\0\0\0\x05IT\x7f\xff\xff\xff", 20),
            std::string("R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I\x31\0\0\0\x04Z\0\0\0\x05ID\0\0\0\x08\0\xff\0\0", 35)};
        for (const std::string& answer : answers) {
            auto serve = [&answer](aio::stream client) -> aio::task<> {
                char asked[1024];
                co_await client.read_some(asked);
                co_await client.write(answer);
                co_await client.write_eof();
                while (co_await client.read_some(asked) > 0) {}
            };
            aio::server fake = co_await aio::start_server(serve, "127.0.0.1", 0);
            auto use = [](int port) -> aio::task<> {
                pg::connection db = co_await pg::connection::open(
                    "host=127.0.0.1 user=x sslmode=disable gssencmode=disable port=" + std::to_string(port));
                co_await db.query("select 1");
            };
            const pg::error failed = co_await error_of<pg::error>(use(fake.port()));
            CHECK(!failed.message().empty());
        }
    });
}

TEST_CASE("libpq: ten thousand operations leave memory and descriptors as they were", "[net][stress]") {
    with_server([]() -> aio::task<> {
        pg::pool_options limits;
        limits.max_size = 4;
        pg::pool db(server().address(), limits);
        const auto round = [&](int times) -> aio::task<> {
            for (int i = 0; i < times; ++i) {
                const pg::result got = co_await db.query("select $1::int, repeat('x', 100)", i);
                REQUIRE(got[0].get<int>(0) == i);
            }
        };
        co_await round(1000);
        const std::size_t open = open_descriptors();
        const auto used = ::mallinfo2().uordblks;
        co_await round(10'000);
        CHECK(open_descriptors() == open);
        CHECK(::mallinfo2().uordblks < used + 100'000);
    });
}
