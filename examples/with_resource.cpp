// SPDX-License-Identifier: BSL-1.0

// with is `async with`: it enters a resource, runs the body in the calling task, and leaves the resource on every path.
// Leaving may await, which a destructor cannot do.
//
//     c++ -std=c++20 -pthread -Iinclude examples/with_resource.cpp -o with_resource
//
// Run: ./with_resource
// Prints:
//   open
//   query: select 1
//   commit
//   close
//   open
//   query: drop table
//   rollback: not allowed
//   close
//   the caller sees: not allowed
//
// Read next: finally_cleanup.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>

#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>

namespace aio = asynchio;
class transaction {
public:
    explicit transaction(std::string allowed) : allowed_(std::move(allowed)) {}

    aio::task<transaction&> async_enter() {
        co_await aio::yield(); // connects
        std::cout << "open\n";
        co_return *this; // the body gets it
    }

    /// Gives true to suppress the exception.
    aio::task<bool> async_exit(std::exception_ptr error) {
        std::cout << (error ? "rollback: not allowed\n" : "commit\n");
        co_await aio::yield(); // says goodbye
        std::cout << "close\n";
        co_return false;
    }

    void query(const std::string& text) {
        std::cout << "query: " << text << '\n';
        if (text != allowed_) throw std::runtime_error("not allowed");
    }

private:
    std::string allowed_;
};

aio::task<> work(std::string text) {
    co_await aio::with(transaction("select 1"), [&text](transaction& t) -> aio::task<> {
        t.query(text);
        co_await aio::yield();
    });
}

aio::task<> show_transactions() {
    co_await work("select 1");
    try {
        co_await work("drop table");
    } catch (const std::runtime_error& e) {
        std::cout << "the caller sees: " << e.what() << '\n';
    }
}

int main() { aio::run(show_transactions()); }
