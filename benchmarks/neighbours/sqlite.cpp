// SPDX-License-Identifier: BSL-1.0

// sqlite WAY OPERATIONS: reads of one row by its key from a table of 10,000, with a prepared statement. direct: in the
// calling thread; thread: by another thread that is asked through a mutex and condition variables, as a program without
// this library would do it; asynchio: one task, and 20.

#include "neighbours/timed.hpp"

#include <asynchio.hpp>
#include <asynchio/adapters/sqlite.hpp>

#include <sqlite3.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace aio = asynchio;

namespace {

constexpr const char* path = "asynchio-bench-sqlite.data";
constexpr int rows = 10'000;
constexpr const char* sql = "SELECT value FROM t WHERE id = ?";

class reader {
public:
    reader() {
        neighbours::expect(sqlite3_open(path, &db_) == SQLITE_OK, "open");
        neighbours::expect(sqlite3_prepare_v2(db_, sql, -1, &statement_, nullptr) == SQLITE_OK, "prepare");
    }
    reader(const reader&) = delete;
    reader& operator=(const reader&) = delete;
    ~reader() {
        sqlite3_finalize(statement_);
        sqlite3_close(db_);
    }
    int operator()(int id) {
        sqlite3_bind_int(statement_, 1, id);
        neighbours::expect(sqlite3_step(statement_) == SQLITE_ROW, "step");
        const int value = sqlite3_column_int(statement_, 0);
        sqlite3_reset(statement_);
        return value;
    }

private:
    sqlite3* db_ = nullptr;
    sqlite3_stmt* statement_ = nullptr;
};

class asked_thread {
public:
    asked_thread() : thread_([this] { serve(); }) {}
    asked_thread(const asked_thread&) = delete;
    asked_thread& operator=(const asked_thread&) = delete;
    ~asked_thread() {
        ask(-1);
        thread_.join();
    }
    int ask(int id) {
        std::unique_lock lock(mutex_);
        id_ = id;
        asked_ = true;
        to_thread_.notify_one();
        to_caller_.wait(lock, [this] { return !asked_; });
        return value_;
    }

private:
    void serve() {
        reader read;
        std::unique_lock lock(mutex_);
        for (;;) {
            to_thread_.wait(lock, [this] { return asked_; });
            if (id_ >= 0) value_ = read(id_);
            asked_ = false;
            to_caller_.notify_one();
            if (id_ < 0) return;
        }
    }

    std::mutex mutex_;
    std::condition_variable to_thread_, to_caller_;
    bool asked_ = false;
    int id_ = 0, value_ = 0;
    std::thread thread_;
};

int key(std::size_t i) { return static_cast<int>(i * 7919 % rows); }
void check(int value, std::size_t i) { neighbours::expect(value == key(i) * 3, "a value"); }

aio::task<> read(aio::sqlite::connection& db, std::size_t first, std::size_t until, std::size_t step) {
    for (std::size_t i = first; i < until; i += step) {
        const auto found = co_await db.query(sql, key(i));
        check(found[0].get<int>(0), i);
    }
}
aio::task<> read_in_loop(std::size_t count, std::size_t tasks) {
    aio::sqlite::connection db = co_await aio::sqlite::connection::open(path);
    std::vector<aio::task<>> all;
    for (std::size_t t = 0; t < tasks; ++t) all.push_back(read(db, t, count, tasks));
    co_await aio::gather(std::move(all));
    co_await db.aclose();
}

void make_table() {
    sqlite3* db = nullptr;
    std::remove(path);
    neighbours::expect(sqlite3_open(path, &db) == SQLITE_OK, "open");
    std::string script = "BEGIN; CREATE TABLE t(id INTEGER PRIMARY KEY, value INTEGER);";
    for (int i = 0; i < rows; ++i)
        script += "INSERT INTO t VALUES(" + std::to_string(i) + ',' + std::to_string(3 * i) + ");";
    script += "COMMIT;";
    neighbours::expect(sqlite3_exec(db, script.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK, "the table");
    sqlite3_close(db);
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    const std::string way = argv[1];
    const std::size_t count = std::strtoul(argv[2], nullptr, 10);
    make_table();
    neighbours::timed(count, [&] {
        if (way == "direct") {
            reader direct;
            for (std::size_t i = 0; i < count; ++i) check(direct(key(i)), i);
        } else if (way == "thread") {
            asked_thread thread;
            for (std::size_t i = 0; i < count; ++i) check(thread.ask(key(i)), i);
        } else {
            aio::run(read_in_loop(count, way == "asynchio" ? 1 : 20));
        }
    });
    std::remove(path);
}
