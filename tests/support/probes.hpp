// SPDX-License-Identifier: BSL-1.0
#pragma once

// Things that tests watch: values that count themselves, exceptions, iterations, tasks that end in a known way.

#include <asynchio/core/cancelled_error.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/task.hpp>
#include <asynchio/task/task_handle.hpp>
#include <asynchio/task/yield.hpp>

#include <chrono>
#include <coroutine>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace asynchio_tests {

/// What fails in tests.
class boom : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// A value that knows how many of its kind are alive, and how they came about.
class counted {
public:
    explicit counted(int number = 0) noexcept : value(number) { ++alive; }
    counted(const counted& other) noexcept : value(other.value) {
        ++alive;
        ++copies;
    }
    counted(counted&& other) noexcept : value(std::exchange(other.value, -1)) {
        ++alive;
        ++moves;
    }
    counted& operator=(const counted&) = default;
    counted& operator=(counted&&) = default;
    ~counted() { --alive; }

    /// Forgets the counts.
    static void reset() noexcept { alive = copies = moves = 0; }

    static inline int alive = 0;
    static inline int copies = 0;
    static inline int moves = 0;
    int value;
};

/// Throws boom in the copy or move that burns `fuse` down to zero.
class fragile {
public:
    explicit fragile(int number = 0) : value(number) { ++alive; }
    fragile(const fragile& other) : value(other.value) {
        burn("copy");
        ++alive;
    }
    fragile(fragile&& other) : value(other.value) {
        burn("move");
        ++alive;
    }
    fragile& operator=(const fragile&) = delete;
    ~fragile() { --alive; }

    static inline int alive = 0;
    static inline int fuse = 0; // 0: never
    int value;

private:
    static void burn(const char* what) {
        if (fuse != 0 && --fuse == 0) throw boom(what);
    }
};

/// Calls `make` until it returns, and lets an earlier copy or move of a fragile throw each time before. What it makes is
/// destroyed at once, and nothing fragile may be left. @return how many calls threw.
template<class Make>
int throws_while_made(Make make) {
    const int before = fragile::alive;
    for (int calls = 0;; ++calls) {
        fragile::fuse = calls + 1;
        bool thrown = false;
        try {
            static_cast<void>(make());
        } catch (const boom&) {
            thrown = true;
        }
        fragile::fuse = 0;
        if (fragile::alive != before) throw std::logic_error("a fragile is left, or one too many was destroyed");
        if (!thrown) return calls;
    }
}

/// Counts the iterations of the running loop while it lives: `passed()` is how many have begun since. Time stands
/// still meanwhile, as something is always ready.
class iterations {
public:
    iterations() { next(); }
    iterations(const iterations&) = delete;
    iterations& operator=(const iterations&) = delete;
    ~iterations() { call_.cancel(); }
    int passed() const noexcept { return passed_; }

private:
    void next() {
        call_ = asynchio::get_running_loop().call_soon([this] {
            ++passed_;
            next();
        });
    }

    int passed_ = 0;
    asynchio::callback_handle call_;
};

using trace = std::vector<std::string>;

inline asynchio::task<int> gives(int value) { co_return value; }

inline asynchio::task<int> gives_after(asynchio::duration time, int value) {
    co_await asynchio::sleep(time);
    co_return value;
}

inline asynchio::task<> ends_after(asynchio::duration time) { co_await asynchio::sleep(time); }

inline asynchio::task<int> fails(std::string text) {
    throw boom(text);
    co_return 0;
}

inline asynchio::task<int> fails_after(asynchio::duration time, std::string text) {
    co_await asynchio::sleep(time);
    throw boom(text);
}

/// Waits for an hour; cancelled, it takes `time` to clean up, and ends cancelled.
inline asynchio::task<int> cleans_up(asynchio::duration time, std::string name, trace& log) {
    log.push_back(name + " begins");
    try {
        co_await asynchio::sleep(std::chrono::hours(1));
        co_return 0;
    } catch (const asynchio::cancelled_error&) {
        log.push_back(name + " cancelled");
    }
    try {
        co_await asynchio::sleep(time);
    } catch (const asynchio::cancelled_error&) {
        log.push_back(name + " cancelled again");
        throw;
    }
    log.push_back(name + " cleaned up");
    throw asynchio::cancelled_error();
}

/// Waits for an hour, but swallows a cancellation and gives `value`.
inline asynchio::task<int> swallows(int value) {
    try {
        co_await asynchio::sleep(std::chrono::hours(1));
    } catch (const asynchio::cancelled_error&) {}
    co_return value;
}

/// An awaiter that can only be awaited where it is; it is ready, and counts.
class fixed {
public:
    fixed() = default;
    fixed(const fixed&) = delete;
    fixed& operator=(const fixed&) = delete;
    static bool await_ready() noexcept { return true; }
    static void await_suspend(std::coroutine_handle<>) noexcept {}
    int await_resume() noexcept { return ++times; }
    int times = 0;
};

/// What `error` says.
inline std::string text_of(const std::exception_ptr& error) {
    if (!error) return "";
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& e) {
        return e.what();
    } catch (const asynchio::cancelled_error&) {
        return "cancelled";
    } catch (...) {
        return "?";
    }
}

} // namespace asynchio_tests
