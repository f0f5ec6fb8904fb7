// SPDX-License-Identifier: BSL-1.0

// Tasks of one loop interrupt each other only where they co_await. What must not be interrupted across a co_await is
// held together by a mutex: a guard in a scope, or with.
//
//     c++ -std=c++20 -pthread -Iinclude examples/mutex_critical_section.cpp -o mutex_critical_section
//
// Run: ./mutex_critical_section
// Prints:
//   without a mutex: 1
//   with a guard: 3
//   with `with`: 3
//   given up in time, and still free
//
// Read next: condition_bounded_buffer.cpp

#include <asynchio/combine.hpp>
#include <asynchio/sync.hpp>
#include <asynchio/task.hpp>

#include <chrono>
#include <iostream>

namespace aio = asynchio;
using namespace std::chrono_literals;

class account {
public:
    /// Reads, waits for a slow disk, and writes: whoever comes in between is overwritten.
    aio::task<> deposit() {
        const int before = balance_;
        co_await aio::sleep(1ms);
        balance_ = before + 1;
    }
    aio::task<> deposit_in_scope() {
        const auto guard = co_await lock_.scoped_acquire(); // give it a name: it releases the mutex at its end
        co_await deposit();
    }
    aio::task<> deposit_with() {
        auto body = [this] { return deposit(); };
        co_await aio::with(lock_, body);
    }

    int balance() const { return balance_; }
    aio::mutex& lock() { return lock_; }

private:
    int balance_ = 0;
    aio::mutex lock_;
};

aio::task<> show_accounts() {
    account a;
    co_await aio::gather(a.deposit(), a.deposit(), a.deposit());
    std::cout << "without a mutex: " << a.balance() << '\n';
    account b;
    co_await aio::gather(b.deposit_in_scope(), b.deposit_in_scope(), b.deposit_in_scope());
    std::cout << "with a guard: " << b.balance() << '\n';
    account c;
    co_await aio::gather(c.deposit_with(), c.deposit_with(), c.deposit_with());
    std::cout << "with `with`: " << c.balance() << '\n';

    aio::mutex busy;
    co_await busy.acquire();
    try {
        co_await aio::wait_for(busy.acquire(), 1ms); // leaves the line when the time is up
    } catch (const aio::timeout_error&) {
        busy.release();
        std::cout << "given up in time, and " << (busy.locked() ? "locked\n" : "still free\n");
    }
}

int main() { aio::run(show_accounts()); }
