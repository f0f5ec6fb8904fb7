// SPDX-License-Identifier: BSL-1.0

// A pool of connections: a task that wants one while all are lent waits in line; with returns each, whatever happens.
// The pool is a queue of what is free.
//
//     c++ -std=c++20 -pthread -Iinclude examples/resource_pool.cpp -o resource_pool
//
// Run: ./resource_pool
// Prints:
//   ann: select 1 on connection 0
//   bob: select 2 on connection 1
//   cid: drop table on connection 0
//   cid failed: not allowed
//   dan: select 4 on connection 0
//   2 of 2 connections are free
//
// Read next: dining_philosophers.cpp

#include <asynchio/combine.hpp>
#include <asynchio/sync.hpp>
#include <asynchio/task.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace aio = asynchio;
using namespace std::chrono_literals;

class connection {
public:
    explicit connection(int number) : number_(number) {}

    aio::task<> query(std::string user, std::string text) {
        std::cout << user << ": " << text << " on connection " << number_ << '\n';
        co_await aio::sleep(number_ == 0 ? 10ms : 60ms);
        if (text == "drop table") throw std::runtime_error("not allowed");
    }

private:
    int number_;
};

class connection_pool {
public:
    explicit connection_pool(int size) {
        for (int i = 0; i < size; ++i) free_.put_nowait(std::make_unique<connection>(i));
    }

    /// A resource for with; the body gets the connection.
    class lease {
    public:
        explicit lease(connection_pool& pool) : pool_(pool) {}
        aio::task<connection&> async_enter() {
            lent_ = co_await pool_.free_.get();
            co_return *lent_;
        }
        void async_exit(std::exception_ptr) { pool_.free_.put_nowait(std::move(lent_)); }

    private:
        connection_pool& pool_;
        std::unique_ptr<connection> lent_;
    };

    lease borrow() { return lease(*this); }
    std::size_t free() const { return free_.size(); }

private:
    aio::queue<std::unique_ptr<connection>> free_;
};

aio::task<> use(connection_pool& pool, std::string user, std::string text) {
    auto body = [&](connection& c) { return c.query(user, text); };
    try {
        co_await aio::with(pool.borrow(), body);
    } catch (const std::runtime_error& e) {
        std::cout << user << " failed: " << e.what() << '\n';
    }
}

aio::task<> show_pool() {
    connection_pool pool(2);
    co_await aio::gather(use(pool, "ann", "select 1"), use(pool, "bob", "select 2"), use(pool, "cid", "drop table"),
                         use(pool, "dan", "select 4"));
    std::cout << pool.free() << " of 2 connections are free\n";
}

int main() { aio::run(show_pool()); }
