// SPDX-License-Identifier: BSL-1.0
#pragma once

// Runs a program under the virtual clock and checks that it left nothing behind.

#include "catch.hpp"

#include <asynchio/debug/dump_tasks.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/testing/audit.hpp>
#include <asynchio/testing/policies.hpp>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <thread>
#include <utility>

#include <unistd.h>

namespace asynchio_tests {

/// While it lives: 20 s of real time without an end, and it tells what every task waits for, and aborts.
class watchdog {
public:
    watchdog() : before_(std::signal(SIGALRM, &bark)) { ::alarm(60); }
    watchdog(const watchdog&) = delete;
    watchdog& operator=(const watchdog&) = delete;
    ~watchdog() {
        ::alarm(0);
        std::signal(SIGALRM, before_);
    }

private:
    static void bark(int) {
        std::fputs("watchdog: the program does not end\n", stderr);
        if (asynchio::detail::this_thread.running != nullptr) asynchio::debug::dump_tasks(std::cerr);
        std::abort();
    }

    void (*before_)(int);
};

/// At the end of its scope nothing may be left of what was made in it.
class audited {
public:
    audited() = default;
    audited(const audited&) = delete;
    audited& operator=(const audited&) = delete;
    ~audited() {
        auto left = asynchio::testing::audit();
        // A thread that just ends may hold something for a moment.
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
        while ((left.loops != 0 || left.threads != 0) && std::chrono::steady_clock::now() < end) {
            std::this_thread::yield();
            left = asynchio::testing::audit();
        }
        INFO(left.to_string());
        CHECK(left.clean());
    }
};

/// `run(x, options)`, and then the audit; gives what `x` gives or throws.
template<class X>
decltype(auto) virtual_run(X&& x, asynchio::run_options options = asynchio::testing::virtual_clock()) {
    const audited afterwards;
    const watchdog guard;
    return asynchio::run(std::forward<X>(x), options);
}

} // namespace asynchio_tests
