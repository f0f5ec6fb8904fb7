// SPDX-License-Identifier: BSL-1.0
#include <asynchio/adapters/sqlite.hpp>
// covers: adapters/detail/sqlite_session.hpp
// covers: adapters/detail/sqlite_values.hpp

#include "support/catch.hpp"
#include "support/message_of.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/yield.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fcntl.h>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <vector>

namespace aio = asynchio;
using aio::sqlite::connection;
using asynchio_tests::contains;
using asynchio_tests::message_of;
using namespace std::chrono_literals;

namespace {

constexpr const char* endless =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
constexpr const char* thousand_rows =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i FROM n";

constexpr const char* endless_insert =
    "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0";

/// A path of a database that the test removes.
struct database_file {
    database_file() : path("/tmp/asynchio-sqlite-" + std::to_string(::getpid()) + ".db") { remove(); }
    database_file(const database_file&) = delete;
    database_file& operator=(const database_file&) = delete;
    ~database_file() { remove(); }
    void remove() const {
        for (const char* end : {"", "-wal", "-shm", "-journal"}) std::remove((path + end).c_str());
    }
    std::string path;
};

/// Awaits what has no result.
template<class A>
aio::task<int> nothing(A awaited) {
    co_await std::move(awaited);
    co_return 0;
}

template<class A>
aio::task<bool> takes_too_long(A awaited) {
    try {
        static_cast<void>(co_await aio::wait_for(std::move(awaited), 20ms));
    } catch (const aio::timeout_error&) {
        co_return true;
    }
    co_return false;
}
template<class A>
aio::task<int> code_of(A awaited) {
    try {
        static_cast<void>(co_await std::move(awaited));
    } catch (const aio::sqlite::error& e) {
        co_return e.code();
    }
    co_return 0;
}
template<class A>
aio::task<std::string> text_of(A awaited) {
    try {
        static_cast<void>(co_await std::move(awaited));
    } catch (const std::exception& e) {
        co_return e.what();
    }
    co_return "";
}

aio::sqlite::options hasty_and_row_by_row() {
    aio::sqlite::options how;
    how.busy_timeout = 0ms;
    how.read_ahead = 1;
    return how;
}

/// Whether this process has a file open.
bool is_open_here(const std::string& path) {
    for (int fd = 0; fd < 1024; ++fd) {
        char name[4096];
        const ssize_t size = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), name, sizeof name);
        if (size > 0 && path == std::string(name, static_cast<std::size_t>(size))) return true;
    }
    return false;
}

aio::task<int> count(connection& db) {
    const auto rows = co_await db.query("SELECT count(*) FROM t");
    co_return rows.at(0).get<int>(0);
}
aio::task<connection> with_table(std::string path = ":memory:", aio::sqlite::options how = {}) {
    connection db = co_await connection::open(std::move(path), how);
    co_await db.execute_script("CREATE TABLE IF NOT EXISTS t(a UNIQUE)");
    co_return db;
}

} // namespace

TEST_CASE("sqlite: values come back as they were given") {
    aio::run([]() -> aio::task<> {
        connection db = co_await connection::open(":memory:");
        const std::string text("a\0b", 3);
        const aio::sqlite::blob bytes{std::byte{0}, std::byte{255}};
        const std::int64_t least = std::numeric_limits<std::int64_t>::min();
        const std::int64_t most = std::numeric_limits<std::int64_t>::max();
        const auto rows = co_await db.query("SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e, ? AS f, ? AS g", least,
                                            most, 0.5, text, bytes, nullptr, aio::sqlite::blob());
        REQUIRE(rows.size() == 1);
        const aio::sqlite::row& row = rows[0];
        CHECK(row.get<std::int64_t>(0) == least);
        CHECK(row.get<std::int64_t>("b") == most);
        CHECK(row.get<double>(2) == 0.5);
        CHECK(row.get<std::string>("d") == text);
        CHECK(row.get<aio::sqlite::blob>(4) == bytes);
        CHECK(row.get<std::optional<int>>(5) == std::nullopt);
        CHECK(row.get<std::optional<double>>(2) == 0.5);
        CHECK(row.get<aio::sqlite::blob>("g").empty());
        co_await db.aclose();
    }());
}

TEST_CASE("sqlite: misuse names what is wrong") {
    aio::run([]() -> aio::task<> {
        connection db = co_await with_table();
        const std::string number = co_await text_of(db.query("SELECT ?"));
        CHECK(contains(number, "has 1 parameters, but 0 were given: SELECT ?"));
        const std::string several = co_await text_of(db.query("SELECT 1; SELECT 2"));
        CHECK(contains(several, "execute_script"));
        const std::string none = co_await text_of(db.query("  "));
        CHECK(contains(none, "no statement"));
        const auto rows = co_await db.query("SELECT 'x' AS name, NULL AS n, 300 AS big");
        CHECK(contains(message_of([&] { rows[0].get<int>("nam"); }), "\"nam\"; the row has name, n, big"));
        CHECK(contains(message_of([&] { rows[0].get<int>(3); }), "no column 3; the row has 3"));
        CHECK(contains(message_of([&] { rows[0].get<int>(0); }), "(\"name\") is a text, not an integer"));
        CHECK(contains(message_of([&] { rows[0].get<std::string>(1); }), "is NULL"));
        CHECK(contains(message_of([&] { rows[0].get<signed char>(2); }), "300"));
        co_await db.aclose();
        co_await db.aclose();
        CHECK(contains(message_of([&] { static_cast<void>(db.query("SELECT 1")); }), "is closed"));
    }());
}

TEST_CASE("sqlite: errors have the extended code and the statement") {
    const database_file file;
    aio::run([](std::string path) -> aio::task<> {
        aio::sqlite::options hasty;
        hasty.busy_timeout = 0ms;
        connection db = co_await with_table(path);
        connection other = co_await connection::open(path, hasty);
        const std::string syntax = co_await text_of(db.query("SELEC 1"));
        CHECK(contains(syntax, "syntax error in: SELEC 1"));
        co_await db.execute("INSERT INTO t VALUES (1)");
        const int unique = co_await code_of(db.execute("INSERT INTO t VALUES (1)"));
        CHECK(unique == SQLITE_CONSTRAINT_UNIQUE);
        co_await db.execute("BEGIN IMMEDIATE");
        const int busy = co_await code_of(other.execute("INSERT INTO t VALUES (2)"));
        CHECK((busy & 0xff) == SQLITE_BUSY);
        co_await db.execute("COMMIT");
        const int none = co_await code_of(connection::open("/nonexistent/x.db"));
        CHECK((none & 0xff) == SQLITE_CANTOPEN);
        co_await db.query("PRAGMA max_page_count = 4");
        const int full = co_await code_of(db.execute("INSERT INTO t VALUES (zeroblob(100000))"));
        CHECK(full == SQLITE_FULL);
        co_await other.aclose();
        co_await db.aclose();
    }(file.path));
}

TEST_CASE("sqlite: a cancelled call is interrupted, and the connection serves on") {
    aio::run([]() -> aio::task<> {
        connection db = co_await with_table();
        const bool late = co_await takes_too_long(db.query(endless));
        CHECK(late);
        const int rows = co_await count(db);
        CHECK(rows == 0);

        auto running = aio::create_task(db.query(endless));
        auto queued = aio::create_task(db.execute("INSERT INTO t VALUES (1)"));
        for (int i = 0; i < 10; ++i) co_await aio::yield();
        queued.cancel();
        running.cancel();
        for (int i = 0; i < 10; ++i) co_await aio::yield();
        const int after = co_await count(db);
        CHECK(after == 0);
        CHECK(running.cancelled());
        CHECK(queued.cancelled());
        co_await db.aclose();
    }());
}

TEST_CASE("sqlite: a transaction is committed, rolled back by an exception, and by a cancellation") {
    aio::run([]() -> aio::task<> {
        connection db = co_await with_table();
        auto good = [&]() -> aio::task<> { co_await db.execute("INSERT INTO t VALUES (1)"); };
        co_await aio::with(db.transaction(), aio::take(good));
        int rows = co_await count(db);
        CHECK(rows == 1);

        auto bad = [&]() -> aio::task<> {
            co_await db.execute("INSERT INTO t VALUES (2)");
            throw std::runtime_error("no");
        };
        bool thrown = false;
        try {
            co_await aio::with(db.transaction(), aio::take(bad));
        } catch (const std::runtime_error&) {
            thrown = true;
        }
        CHECK(thrown);
        rows = co_await count(db);
        CHECK(rows == 1);

        auto slow = [&]() -> aio::task<> {
            co_await db.execute("INSERT INTO t VALUES (3)");
            co_await db.query(endless);
        };
        const bool late = co_await takes_too_long(nothing(aio::with(db.transaction(), aio::take(slow))));
        CHECK(late);
        rows = co_await count(db);
        CHECK(rows == 1);
        co_await db.aclose();
    }());
}

TEST_CASE("sqlite: calls of other tasks stay out of a transaction") {
    aio::run([]() -> aio::task<> {
        connection db = co_await with_table();
        auto failing = [&]() -> aio::task<> {
            co_await db.execute("INSERT INTO t VALUES (1)");
            auto outside = aio::create_task(db.execute("INSERT INTO t VALUES (2)"));
            for (int i = 0; i < 10; ++i) co_await aio::yield();
            CHECK_FALSE(outside.done());
            throw std::runtime_error("no");
        };
        bool thrown = false;
        auto other = aio::create_task([](connection& c) -> aio::task<int> {
            co_await aio::yield();
            co_await c.execute("INSERT INTO t VALUES (3)");
            co_return 3;
        }(db));
        try {
            co_await aio::with(db.transaction(), aio::take(failing));
        } catch (const std::runtime_error&) {
            thrown = true;
        }
        CHECK(thrown);
        const int three = co_await other;
        CHECK(three == 3);
        const auto rows = co_await db.query("SELECT a FROM t WHERE a IN (1, 3)");
        REQUIRE(rows.size() == 1);
        CHECK(rows[0].get<int>(0) == 3);
        co_await db.aclose();
    }());
}

TEST_CASE("sqlite: a stream may be left early, and the connection serves on") {
    aio::run([]() -> aio::task<> {
        connection db = co_await with_table();
        auto all = db.stream(thousand_rows);
        int sum = 0;
        while (auto row = co_await all.next()) sum += row->get<int>(0);
        CHECK(sum == 500500);
        auto some = db.stream(thousand_rows);
        auto first = co_await some.next();
        REQUIRE(first);
        CHECK(first->get<int>(0) == 1);
        co_await some.aclose();
        const int rows = co_await count(db);
        CHECK(rows == 0);
        co_await db.aclose();
    }());
}

TEST_CASE("sqlite: the cache of statements is bounded") {
    aio::run([]() -> aio::task<> {
        aio::sqlite::options how;
        how.statements = 3;
        connection db = co_await connection::open(":memory:", how);
        for (int i = 0; i < 10; ++i) co_await db.query("SELECT " + std::to_string(i));
        CHECK(db.cached_statements() == 3);
        co_await db.query("SELECT 9");
        CHECK(db.cached_statements() == 3);
        co_await db.aclose();
    }());
}

TEST_CASE("sqlite: two connections share a database in WAL mode") {
    const database_file file;
    aio::run([](std::string path) -> aio::task<> {
        connection one = co_await with_table(path);
        co_await one.query("PRAGMA journal_mode = WAL");
        connection two = co_await with_table(path);
        auto insert = [](connection& db, int from) -> aio::task<int> {
            for (int i = 0; i < 50; ++i) co_await db.execute("INSERT INTO t VALUES (?)", from + i);
            co_return 0;
        };
        co_await aio::gather(insert(one, 0), insert(one, 100), insert(two, 200), insert(two, 300));
        const int rows = co_await count(two);
        CHECK(rows == 200);
        co_await one.aclose();
        co_await two.aclose();
    }(file.path));
}

TEST_CASE("sqlite: a connection that is destroyed interrupts its calls") {
    aio::run([]() -> aio::task<> {
        std::optional<connection> db = co_await with_table();
        auto running = aio::create_task(code_of(db->query(endless)));
        for (int i = 0; i < 10; ++i) co_await aio::yield();
        db.reset();
        bool ended = true;
        try {
            const int code = co_await running;
            CHECK(code == SQLITE_INTERRUPT);
        } catch (const std::logic_error&) {
            ended = true; // the call had not begun
        }
        CHECK(ended);
    }());
}

TEST_CASE("sqlite: ten thousand calls leave no descriptors behind") {
    const database_file file;
    aio::run([](std::string path) -> aio::task<> {
        const auto descriptors = [] {
            std::size_t open = 0;
            for (int fd = 0; fd < 1024; ++fd) open += ::fcntl(fd, F_GETFD) != -1 ? 1u : 0u;
            return open;
        };
        connection db = co_await with_table(path);
        co_await count(db);
        const std::size_t before = descriptors();
        for (int i = 0; i < 10'000; ++i) co_await count(db);
        for (int i = 0; i < 100; ++i) {
            connection other = co_await connection::open(path);
            co_await count(other);
            co_await other.aclose();
        }
        CHECK(descriptors() == before);
        co_await db.aclose();
    }(file.path));
}

TEST_CASE("sqlite: comments and semicolons around a statement are no other statement") {
    aio::run([]() -> aio::task<> {
        connection db = co_await connection::open(":memory:");
        for (const char* sql : {"SELECT 1; -- one", "SELECT 1 -- one", "SELECT 1; /* a; b */ ; -- c\n /* d",
                                "; /* a */ -- b\n SELECT 1;", "SELECT 1;\t\n\f\r", "SELECT /* ; */ 1"}) {
            INFO(sql);
            const auto rows = co_await db.query(sql);
            REQUIRE(rows.size() == 1);
            CHECK(rows[0].get<int>(0) == 1);
            auto all = db.stream(sql);
            const auto first = co_await all.next();
            CHECK(first.has_value());
            const auto second = co_await all.next();
            CHECK_FALSE(second.has_value());
        }
        for (const char* sql : {"SELECT 1; -- one\nSELECT 2", "SELECT 1; /* a */ x", "SELECT 1; -", "SELECT 1; /"}) {
            INFO(sql);
            const std::string text = co_await text_of(db.query(sql));
            CHECK(contains(text, "this call runs one"));
        }
        for (const char* sql : {"", ";", "-- one", "/* one */"}) {
            const std::string text = co_await text_of(db.query(sql));
            CHECK(contains(text, "there is no statement in"));
        }
        co_await db.aclose();
    }());
}

TEST_CASE("sqlite: a zero byte in a statement, a script or a path is an error") {
    aio::run([]() -> aio::task<> {
        connection db = co_await with_table();
        const std::string sql("DELETE FROM t\0 WHERE a = 1", 26);
        const std::string text = co_await text_of(db.query(sql));
        CHECK(text == "sqlite: the statement has a zero byte at position 13: DELETE FROM t");
        const std::string script = co_await text_of(nothing(db.execute_script(sql)));
        CHECK(script == "sqlite: the script has a zero byte at position 13: DELETE FROM t");
        auto rows = db.stream(sql);
        const std::string stream = co_await text_of(rows.next());
        CHECK(contains(stream, "zero byte at position 13"));
        const std::string path = co_await text_of(connection::open(std::string("a\0b", 3)));
        CHECK(path == "sqlite: the path has a zero byte at position 1: a");
        co_await db.aclose();
    }());
}

TEST_CASE("sqlite: a transaction leaves one alone that a statement has begun") {
    aio::run([]() -> aio::task<> {
        connection db = co_await with_table();
        co_await db.execute("BEGIN");
        co_await db.execute("INSERT INTO t VALUES (1)");
        auto insert = [&]() -> aio::task<> { co_await db.execute("INSERT INTO t VALUES (2)"); };
        const std::string refused = co_await text_of(nothing(aio::with(db.transaction(), insert)));
        CHECK(contains(refused, "a statement has begun one in :memory: already"));
        co_await db.execute("COMMIT");
        co_await aio::with(db.transaction(), insert);
        const int rows = co_await count(db);
        CHECK(rows == 2);
        co_await db.aclose();
    }());
}

TEST_CASE("sqlite: a transaction that SQLite has rolled back takes no more calls and does not end well") {
    aio::run([]() -> aio::task<> {
        connection db = co_await with_table();
        std::string after;
        auto body = [&]() -> aio::task<> {
            co_await db.execute("INSERT INTO t VALUES (1)");
            for (int i = 2; after.empty() && i < 1000; ++i) { // it may be withdrawn before it has begun
                const bool late = co_await takes_too_long(db.execute(endless_insert));
                CHECK(late);
                after = co_await text_of(db.execute("INSERT INTO t VALUES (?)", i));
            }
        };
        const int code = co_await code_of(nothing(aio::with(db.transaction(), body)));
        CHECK(contains(after, "the transaction has ended before its block"));
        CHECK(code == SQLITE_ABORT_ROLLBACK);
        const int rows = co_await count(db);
        CHECK(rows == 0);
        co_await db.aclose();
    }());
}

TEST_CASE("sqlite: a cancelled aclose closes the file all the same") {
    const database_file file;
    aio::run([](std::string path) -> aio::task<> {
        connection db = co_await with_table(path);
        auto rows = db.stream(thousand_rows);
        co_await rows.next();
        CHECK(is_open_here(path));
        auto running = aio::create_task(code_of(db.query(endless)));
        for (int i = 0; i < 10; ++i) co_await aio::yield();
        auto closing = aio::create_task(db.aclose());
        co_await aio::yield();
        closing.cancel();
        co_await aio::nothrow(closing);
        CHECK(closing.cancelled());
        co_await db.aclose();
        CHECK_FALSE(is_open_here(path)); // not even by the stream
        const std::string text = co_await text_of(rows.next());
        CHECK((text.empty() || contains(text, "is closed")));
        co_await aio::nothrow(running);
    }(file.path));
}

TEST_CASE("sqlite: a transaction whose loop is closed is rolled back, and frees its turn") {
    std::optional<connection> db;
    const auto opening = [&]() -> aio::task<> { db = co_await with_table(); };
    aio::run(opening());
    {
        aio::event_loop loop;
        bool inside = false;
        auto body = [&]() -> aio::task<> {
            co_await db->execute("INSERT INTO t VALUES (1)");
            inside = true;
            loop.stop();
            for (;;) co_await aio::yield();
        };
        auto main = [&]() -> aio::task<> { co_await aio::with(db->transaction(), body); };
        const auto task = loop.create_task(main());
        const auto waits = loop.create_task(count(*db));
        loop.run_forever();
        CHECK(inside);
        loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {}); // of tasks that did not end
        loop.close();
    }
    const auto goes_on = [&]() -> aio::task<> {
        const int rows = co_await aio::wait_for(count(*db), 60s);
        CHECK(rows == 0);
        auto insert = [&]() -> aio::task<> { co_await db->execute("INSERT INTO t VALUES (2)"); };
        co_await aio::wait_for(aio::with(db->transaction(), insert), 60s);
        const int then = co_await count(*db);
        CHECK(then == 1);
        co_await db->aclose();
    };
    aio::run(goes_on());
}

TEST_CASE("sqlite: a stream that is left keeps no lock, and does not block the loop") {
    const database_file file;
    aio::run([](std::string path) -> aio::task<> {
        const aio::sqlite::options hasty = hasty_and_row_by_row();
        connection db = co_await with_table(path, hasty);
        connection other = co_await with_table(path, hasty);
        for (int i = 0; i < 3; ++i) co_await db.execute("INSERT INTO t VALUES (?)", i);
        auto rows = db.stream("SELECT a FROM t");
        co_await rows.next();
        const int held = co_await code_of(other.execute("INSERT INTO t VALUES (10)"));
        CHECK((held & 0xff) == SQLITE_BUSY);
        auto running = aio::create_task(db.query(endless));
        for (int i = 0; i < 10; ++i) co_await aio::yield();
        co_await rows.aclose(); // the statement ends in the connection's thread, behind the call
        running.cancel();
        co_await aio::nothrow(running);
        co_await db.query("SELECT 1");
        const int free = co_await code_of(other.execute("INSERT INTO t VALUES (10)"));
        CHECK(free == 0);
        co_await aio::gather(db.aclose(), other.aclose());
    }(file.path));
}

TEST_CASE("sqlite: a stream of another task waits while a transaction is under way") {
    aio::run([]() -> aio::task<> {
        connection db = co_await with_table(":memory:", hasty_and_row_by_row());
        auto rows = db.stream(thousand_rows);
        co_await rows.next();
        const auto reads = [](aio::async_generator<aio::sqlite::row>& from) -> aio::task<int> {
            const auto row = co_await from.next();
            co_return row->get<int>(0);
        };
        aio::task_handle<int> reading;
        auto body = [&]() -> aio::task<int> {
            reading = aio::create_task(reads(rows));
            co_await aio::yield();
            co_await db.execute("INSERT INTO t VALUES (1)");
            CHECK_FALSE(reading.done());
            co_return 7;
        };
        const int seven = co_await aio::with(db.transaction(), body);
        CHECK(seven == 7);
        const int two = co_await reading;
        CHECK(two == 2);
        const int rest = co_await count(db);
        CHECK(rest == 1);
        co_await rows.aclose();
        co_await db.aclose();
    }());
}

TEST_CASE("sqlite: a transaction begins as it is told") {
    const database_file file;
    aio::run([](std::string path) -> aio::task<> {
        connection db = co_await with_table(path, hasty_and_row_by_row());
        connection other = co_await with_table(path, hasty_and_row_by_row());
        auto body = [&]() -> aio::task<int> { return code_of(other.execute("INSERT INTO t VALUES (1)")); };
        const int free = co_await aio::with(db.transaction(), body);
        CHECK(free == 0);
        const int locked = co_await aio::with(db.transaction("BEGIN IMMEDIATE"), body);
        CHECK((locked & 0xff) == SQLITE_BUSY);
        const std::string none = co_await text_of(aio::with(db.transaction("SELECT 1"), body));
        CHECK(none == "sqlite: transaction: this does not begin one: SELECT 1");
        co_await aio::gather(other.aclose(), db.aclose());
    }(file.path));
}
