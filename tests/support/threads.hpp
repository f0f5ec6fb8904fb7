// SPDX-License-Identifier: BSL-1.0
#pragma once

// What tests with threads share: a gate to hold a thread at, a wait for one that sleeps, and counts that a sanitizer's pace
// allows.

#include "support/sanitized.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <sys/types.h>
#include <thread>

namespace asynchio_tests {

/// `count`, or a twentieth of it under a sanitizer.
constexpr int rounds(int count) noexcept { return sanitized ? count / 20 : count; }

/// Busy for some twenty nanoseconds times `length`. Not a yield: on a loaded machine that gives milliseconds away.
inline void take_a_moment(int length) noexcept {
    std::atomic<int> left = 4 * length;
    while (left.fetch_sub(1, std::memory_order_relaxed) > 0) {}
}

/// Waits until another thread is blocked in a system call, as that of a loop that has nothing to do is.
/// @param thread its number, which gettid(2) has returned there.
/// @throws std::runtime_error when it is never seen so for 15 s.
inline void until_asleep(pid_t thread) {
    const std::string path = "/proc/self/task/" + std::to_string(thread) + "/stat";
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(15);
    while (std::chrono::steady_clock::now() < end) {
        std::string line;
        std::getline(std::ifstream(path) >> std::ws, line);
        const auto name = line.rfind(')'); // its state stands behind its name
        if (name != std::string::npos && line.compare(name, 3, ") S") == 0) return;
        std::this_thread::yield();
    }
    throw std::runtime_error("the thread does not sleep");
}

/// Threads wait in front of it until it is opened, which happens once.
class gate {
public:
    gate() = default;
    gate(const gate&) = delete;
    gate& operator=(const gate&) = delete;

    void open() {
        const std::unique_lock lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }
    bool is_open() const {
        const std::unique_lock lock(mutex_);
        return open_;
    }
    /// @throws std::runtime_error when nobody opens it for 15 s.
    void wait() const {
        std::unique_lock lock(mutex_);
        if (!changed_.wait_for(lock, std::chrono::seconds(15), [this] { return open_; }))
            throw std::runtime_error("nobody opened the gate");
    }
    /// Waits, but ends early when `stop` is requested. @return whether it was opened.
    bool wait(const std::stop_token& stop) {
        std::unique_lock lock(mutex_);
        if (!changed_.wait_for(lock, stop, std::chrono::seconds(15), [this] { return open_; }) &&
            !stop.stop_requested())
            throw std::runtime_error("nobody opened the gate");
        return open_;
    }

private:
    mutable std::mutex mutex_;
    mutable std::condition_variable_any changed_;
    bool open_ = false;
};

/// Counts what is alive on any thread.
class shared_counted {
public:
    explicit shared_counted(int number) noexcept : value(number) { ++alive; }
    shared_counted(const shared_counted& other) noexcept : value(other.value) { ++alive; }
    shared_counted(shared_counted&& other) noexcept : value(other.value) { ++alive; }
    shared_counted& operator=(const shared_counted&) = default;
    ~shared_counted() { --alive; }

    static inline std::atomic<int> alive = 0;
    int value;
};

/// Opens a gate at the end of the scope, however that comes.
class opened_at_end {
public:
    explicit opened_at_end(gate& which) noexcept : gate_(which) {}
    opened_at_end(const opened_at_end&) = delete;
    opened_at_end& operator=(const opened_at_end&) = delete;
    ~opened_at_end() { gate_.open(); }

private:
    gate& gate_;
};

} // namespace asynchio_tests
