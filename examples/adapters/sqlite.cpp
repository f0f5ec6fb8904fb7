// SPDX-License-Identifier: BSL-1.0

// A database of SQLite, used by tasks without blocking the loop: statements with parameters, a transaction that is
// rolled back, and rows one by one.
//
//     c++ -std=c++20 -O2 -pthread -Iinclude examples/adapters/sqlite.cpp -lsqlite3 -o sqlite
//
// Run: ./sqlite
// Prints:
//   not saved: no more
//   1 Ada
//   2 Grace
//
// Read next: sqlite_notes.cpp

#include <asynchio/adapters/sqlite.hpp>
#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>

#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>

namespace aio = asynchio;

aio::task<> example() {
    auto db = co_await aio::sqlite::connection::open(":memory:");
    co_await db.execute("CREATE TABLE people(id INTEGER PRIMARY KEY, name TEXT)");
    for (const char* name : {"Ada", "Grace"}) co_await db.execute("INSERT INTO people(name) VALUES (?)", name);

    auto clear = [&]() -> aio::task<> {
        co_await db.execute("DELETE FROM people");
        throw std::runtime_error("no more");
    };
    try {
        co_await aio::with(db.transaction(), clear);
    } catch (const std::exception& e) {
        std::cout << "not saved: " << e.what() << '\n';
    }

    auto people = db.stream("SELECT id, name FROM people ORDER BY id");
    while (auto row = co_await people.next())
        std::cout << row->get<int>("id") << ' ' << row->get<std::string>("name") << '\n';
    co_await db.aclose();
}

int main() { aio::run(example()); }
