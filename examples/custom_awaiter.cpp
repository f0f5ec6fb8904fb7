// SPDX-License-Identifier: BSL-1.0

// An awaiter of your own: derive from suspension, park the task, wake it when what it waits for has come, and take it
// out of the line when it is cancelled. It then works with timeouts, groups and everything else. No allocation.
//
//     c++ -std=c++20 -pthread -Iinclude examples/custom_awaiter.cpp -o custom_awaiter
//
// Run: ./custom_awaiter
// Prints:
//   Ann waits at the door
//   Bob waits at the door
//   Bob has no patience
//   Ann goes in
//   Cleo goes in
//
// Read next: call_soon_and_timers.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>

#include <chrono>
#include <coroutine>
#include <iostream>
#include <source_location>
#include <string>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;

/// A door that opens once; those that wait go in in order.
class door {
    class [[nodiscard]] waiter final : public aio::suspension {
    public:
        explicit waiter(door& d) noexcept : door_(d) {}
        waiter(waiter&& other) noexcept : waiter(other.door_) {} // before it is awaited
        waiter& operator=(waiter&&) = delete;
        ~waiter() override { leave(); } // also when the loop is closed meanwhile

        bool await_ready() const noexcept { return door_.is_open_; }
        template<class Promise>
        void await_suspend(std::coroutine_handle<Promise> awaiting,
                           std::source_location where = std::source_location::current()) {
            door_.line_.push_back(this);
            park(awaiting, where); // last: from here on it may be woken or cancelled
        }
        void await_resume() { resumed(); } // throws if it was cancelled

        const char* waiting_for() const noexcept override { return "door"; }
        aio::cancel_reply cancel(const aio::cancel_message&) noexcept override {
            leave();
            return aio::cancel_reply::left;
        }

    private:
        void leave() noexcept { std::erase(door_.line_, this); }
        door& door_;
    };

public:
    waiter pass() noexcept { return waiter(*this); }
    void open() {
        is_open_ = true;
        for (waiter* each : line_) each->wake(); // they run in the next iteration
        line_.clear();
    }

private:
    bool is_open_ = false;
    std::vector<waiter*> line_;
};

aio::task<> visit(door& d, std::string name, std::chrono::milliseconds patience) {
    std::cout << name << " waits at the door\n";
    const bool in_time = co_await aio::with(aio::move_on_after(patience), d.pass());
    std::cout << name << (in_time ? " goes in\n" : " has no patience\n");
}

aio::task<> party() {
    door entrance;
    const auto ann = aio::create_task(visit(entrance, "Ann", 10s));
    const auto bob = aio::create_task(visit(entrance, "Bob", 10ms));
    co_await bob;
    entrance.open();
    co_await ann;
    co_await entrance.pass();
    std::cout << "Cleo goes in\n";
}

int main() { aio::run(party()); }
