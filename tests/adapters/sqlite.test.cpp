// SPDX-License-Identifier: BSL-1.0
// covers: sqlite_options.hpp sqlite_values.hpp
#include <asynchio/adapters/sqlite.hpp>
// covers: adapters/detail/sqlite_session.hpp
// covers: adapters/sqlite_values.hpp

#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/message_of.hpp"
#include "support/net.hpp"
#include "support/operator_new.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/for_each_allocation_failure.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>

#include <malloc.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fcntl.h>
#include <fstream>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using aio::sqlite::connection;
using namespace std::chrono_literals;

namespace {

constexpr const char* endless =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
constexpr const char* thousand_rows =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i FROM n";

constexpr const char* endless_insert =
    "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0";

/// It reads a table that has a row, which keeps other connections from writing meanwhile.
constexpr const char* endless_reading = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                                        "SELECT count(*) FROM t CROSS JOIN n";

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

aio::sqlite::options hasty_and_row_by_row() {
    aio::sqlite::options how;
    how.busy_timeout = 0ms;
    how.read_ahead = 1;
    return how;
}

/// Lets other tasks run for some iterations of the loop.
aio::task<> let_others_run() {
    for (int i = 0; i < 10; ++i) co_await aio::yield();
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

/// Closes a connection, whose table should have some number of rows.
aio::task<> close_with(int expected, connection& db) {
    const int rows = co_await count(db);
    CHECK(rows == expected);
    co_await db.aclose();
}

/// Waits until another connection reads the file of `db`.
aio::task<> wait_for_reader(connection& db) {
    for (;;) {
        const int code = co_await code_of(db.execute("BEGIN EXCLUSIVE"));
        if ((code & 0xff) == SQLITE_BUSY) co_return;
        CHECK(code == 0);
        co_await db.execute("ROLLBACK");
    }
}

aio::task<> use(connection& db) {
    auto body = [&]() -> aio::task<std::unique_ptr<int>> {
        co_await db.execute("INSERT INTO t VALUES (?)", "a text that is longer than a short string");
        co_await db.execute("INSERT INTO t VALUES (?)", aio::sqlite::blob(100));
        co_return std::make_unique<int>(2);
    };
    const auto two = co_await aio::with(db.transaction(), body);
    CHECK(*two == 2);
    auto rows = db.stream("SELECT a FROM t");
    auto first = co_await rows.next();
    CHECK(first.has_value());
    co_await rows.aclose();
    const auto all = co_await db.query("SELECT a AS x, length(a) AS y FROM t");
    CHECK(all.size() == 2);
}

/// Uses a connection, which must serve on whatever happens meanwhile.
aio::task<> use_and_go_on() {
    connection db = co_await with_table(":memory:", hasty_and_row_by_row());
    std::exception_ptr failure;
    try {
        co_await use(db);
    } catch (...) {
        failure = std::current_exception();
    }
    auto counts = [&]() -> aio::task<int> { return count(db); };
    const int rows = co_await aio::with(db.transaction(), counts);
    CHECK((rows == 2 || (rows == 0 && failure)));
    co_await db.aclose();
    if (failure) std::rethrow_exception(failure);
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
        co_await let_others_run();
        queued.cancel();
        running.cancel();
        co_await let_others_run();
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
        co_await close_with(1, db);
    }());
}

TEST_CASE("sqlite: calls of other tasks stay out of a transaction") {
    aio::run([]() -> aio::task<> {
        connection db = co_await with_table();
        auto failing = [&]() -> aio::task<> {
            co_await db.execute("INSERT INTO t VALUES (1)");
            auto outside = aio::create_task(db.execute("INSERT INTO t VALUES (2)"));
            co_await let_others_run();
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
        co_await close_with(0, db);
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
        co_await let_others_run();
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

TEST_CASE("sqlite: ten thousand calls leave no memory and no descriptors behind") {
    const database_file file;
    aio::run([](std::string path) -> aio::task<> {
        connection db = co_await with_table(path);
        const auto rounds = [&](int number) -> aio::task<> {
            for (int i = 0; i < number; ++i) {
                co_await count(db);
                if (i % 100 != 0) continue;
                co_await code_of(db.query("SELECT wrong"));
                auto body = [&]() -> aio::task<> { co_await db.execute("DELETE FROM t"); };
                co_await aio::with(db.transaction(), body);
                auto rows = db.stream(thousand_rows);
                co_await rows.next();
                co_await rows.aclose();
                connection other = co_await connection::open(path);
                co_await count(other);
                co_await other.aclose();
            }
        };
        co_await rounds(1000);
        const std::size_t before = open_descriptors();
        const auto memory = ::mallinfo2().uordblks;
        co_await rounds(10'000);
        CHECK(::mallinfo2().uordblks < memory + 50'000);
        CHECK(open_descriptors() == before);
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
        co_await close_with(2, db);
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
        co_await close_with(0, db);
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
        co_await let_others_run();
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

TEST_CASE("sqlite: an error of the file names its path") {
    const database_file file;
    std::ofstream(file.path) << "no database at all, " << std::string(1000, 'x');
    aio::run([](std::string path) -> aio::task<> {
        connection db = co_await connection::open(path);
        const std::string text = co_await text_of(db.query("SELECT * FROM t"));
        CHECK(text == "sqlite: file is not a database: " + path + " in: SELECT * FROM t");
        const int code = co_await code_of(db.query("SELECT * FROM t"));
        CHECK(code == SQLITE_NOTADB);
        co_await db.aclose();
    }(file.path));
}

TEST_CASE("sqlite: the body of a transaction may return what can only be moved") {
    aio::run([]() -> aio::task<> {
        connection db = co_await with_table();
        auto body = [&]() -> aio::task<std::unique_ptr<int>> {
            const auto done = co_await db.execute("INSERT INTO t VALUES (1)");
            co_return std::make_unique<int>(static_cast<int>(done.rows));
        };
        const std::unique_ptr<int> one = co_await aio::with(db.transaction(), aio::take(body));
        REQUIRE(one);
        CHECK(*one == 1);
        co_await close_with(1, db);
    }());
}

TEST_CASE("sqlite: who is cancelled while it waits for its turn leaves the line") {
    aio::run([]() -> aio::task<> {
        connection db = co_await with_table();
        aio::task_handle<int> call;
        aio::task_handle<void> transaction;
        auto insert = [&]() -> aio::task<> { co_await db.execute("INSERT INTO t VALUES (1)"); };
        auto body = [&]() -> aio::task<> {
            call = aio::create_task(nothing(db.execute("INSERT INTO t VALUES (2)")));
            transaction = aio::create_task(aio::with(db.transaction(), insert));
            co_await db.execute("INSERT INTO t VALUES (3)");
            CHECK_FALSE(call.done());
            CHECK_FALSE(transaction.done());
            call.cancel();
            transaction.cancel();
            co_await let_others_run();
            CHECK(call.cancelled());
            CHECK(transaction.cancelled());
        };
        co_await aio::with(db.transaction(), body);
        co_await aio::with(db.transaction(), insert);
        co_await close_with(2, db);
    }());
}

TEST_CASE("sqlite: a cancelled stream is interrupted, and the connection serves on") {
    const database_file file;
    aio::run([](std::string path) -> aio::task<> {
        connection other = co_await with_table(path, hasty_and_row_by_row());
        connection db = co_await with_table(path);
        co_await db.execute("INSERT INTO t VALUES (1)");
        auto rows = db.stream(endless_reading);
        const auto reads = [](aio::async_generator<aio::sqlite::row>& from) -> aio::task<> { co_await from.next(); };
        auto reading = aio::create_task(reads(rows));
        co_await wait_for_reader(other);
        reading.cancel();
        co_await aio::nothrow(reading);
        CHECK(reading.cancelled());
        co_await rows.aclose();
        co_await close_with(1, db);
        co_await other.aclose();
    }(file.path));
}

TEST_CASE("sqlite: a cancelled BEGIN begins nothing, and a cancelled COMMIT is rolled back") {
    const database_file file;
    aio::run([](std::string path) -> aio::task<> {
        aio::sqlite::options patient;
        patient.busy_timeout = 1h;
        connection db = co_await with_table(path, patient);
        connection other = co_await with_table(path, patient);
        bool entered = false;
        auto insert = [&]() -> aio::task<> {
            co_await db.execute("INSERT INTO t VALUES (1)");
            entered = true;
        };
        co_await other.execute("BEGIN IMMEDIATE");
        auto begins = aio::create_task(aio::with(db.transaction("BEGIN IMMEDIATE"), insert));
        co_await let_others_run();
        begins.cancel();
        co_await aio::nothrow(begins);
        CHECK(begins.cancelled());
        CHECK_FALSE(entered);
        co_await other.execute("COMMIT");

        co_await other.execute("BEGIN");
        const int none = co_await count(other); // which holds a lock that the commit waits for
        CHECK(none == 0);
        auto commits = aio::create_task(aio::with(db.transaction(), insert));
        while (!entered) co_await aio::yield();
        co_await let_others_run();
        CHECK_FALSE(commits.done());
        commits.cancel();
        co_await let_others_run();
        commits.cancel(); // the rollback is waited for all the same
        co_await aio::nothrow(commits);
        CHECK(commits.cancelled());
        co_await other.execute("COMMIT");
        co_await aio::with(db.transaction(), insert);
        const int rows = co_await count(other);
        CHECK(rows == 1);
        co_await aio::gather(other.aclose(), db.aclose());
    }(file.path));
}

TEST_CASE("sqlite: aclose ends the calls under way, and refuses those to come") {
    const database_file file;
    aio::run([](std::string path) -> aio::task<> {
        connection db = co_await with_table(path);
        std::vector<aio::task_handle<std::string>> calls;
        for (int i = 0; i < 5; ++i) calls.push_back(aio::create_task(text_of(db.query(endless))));
        auto body = [&]() -> aio::task<> { co_await db.execute("INSERT INTO t VALUES (1)"); };
        auto transaction = aio::create_task(text_of(nothing(aio::with(db.transaction(), body))));
        co_await let_others_run();
        co_await db.aclose();
        CHECK_FALSE(is_open_here(path));
        for (const auto& each : calls) {
            const std::string text = co_await each;
            CHECK((contains(text, "interrupted in: ") || contains(text, " is closed")));
        }
        const std::string text = co_await transaction;
        CHECK(contains(text, " is closed"));
    }(file.path));
}

TEST_CASE("sqlite: a call whose loop is closed is interrupted") {
    const database_file file;
    std::optional<connection> db;
    std::optional<connection> other;
    const auto opening = [&]() -> aio::task<> {
        db = co_await with_table(file.path);
        other = co_await with_table(file.path, hasty_and_row_by_row());
        co_await db->execute("INSERT INTO t VALUES (1)");
    };
    aio::run(opening());
    {
        aio::event_loop loop;
        const auto running = loop.create_task(db->query(endless_reading));
        const auto stops = [&]() -> aio::task<> {
            co_await wait_for_reader(*other);
            loop.stop();
        };
        const auto stopping = loop.create_task(stops());
        loop.run_forever();
        loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {}); // of the call
        loop.close();
    }
    const auto goes_on = [&]() -> aio::task<> {
        const int rows = co_await aio::wait_for(count(*db), 60s);
        CHECK(rows == 1);
        co_await aio::gather(other->aclose(), db->aclose());
    };
    aio::run(goes_on());
}

TEST_CASE("sqlite: a cancellation at every step") {
    const auto met = aio::testing::for_each_cancellation(&use_and_go_on);
    CHECK(met.points > 10);
    CHECK(met.failed == 0);
    aio::testing::cancellation_plan twice;
    twice.second_after = 1;
    const auto more = aio::testing::for_each_cancellation(&use_and_go_on, twice);
    CHECK(more.failed == 0);
    const auto never_begun = []() -> aio::task<> {
        connection db = co_await connection::open(":memory:");
        auto body = []() -> aio::task<int> { co_return 0; };
        const std::string text = co_await text_of(aio::with(db.transaction("SELECT 1"), body));
        CHECK(contains(text, "does not begin one"));
        co_await db.aclose();
    };
    const auto refused = aio::testing::for_each_cancellation(never_begun);
    CHECK(refused.cancelled == refused.points);
}

TEST_CASE("sqlite: no memory at each allocation") {
    for (const bool all_later : {false, true}) {
        aio::testing::allocation_plan plan;
        plan.all_later = all_later;
        const auto met = aio::testing::for_each_allocation_failure(&use_and_go_on, plan);
        CHECK(met.points > 50);
        CHECK(met.errors.size() > 50);
        for (const std::exception_ptr& each : met.errors) CHECK_THROWS_AS(std::rethrow_exception(each), std::bad_alloc);
    }
}
