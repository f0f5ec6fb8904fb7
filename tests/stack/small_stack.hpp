// SPDX-License-Identifier: BSL-1.0
#pragma once

// Runs a test on a thread whose stack is small, so that anything that recurses a million times ends in a crash.

#include "../support/sanitized.hpp"

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <pthread.h>
#include <stdexcept>
#include <string>

namespace asynchio_tests {

/// The sanitizers' own functions (unwinding, reporting) need more than the program's.
inline constexpr std::size_t stack_size = std::size_t(sanitized ? 512 : 256) * 1024;

/// How deep, wide or often a test goes: `full`, or a hundredth of that with ASYNCHIO_DIVISOR=100 in the environment, for
/// valgrind, under which everything takes fifty times as long.
inline int many(int full) {
    const char* const divisor = std::getenv("ASYNCHIO_DIVISOR");
    return divisor == nullptr ? full : full / std::atoi(divisor);
}

/// @throws std::runtime_error saying what is not as it should be.
inline void require(bool holds, const std::string& what) {
    if (!holds) throw std::runtime_error(what);
}

/// Calls `test()` on such a thread. @return what main returns: 0 unless it threw, which is printed.
inline int on_small_stack(void (*test)(), std::size_t size = stack_size) {
    struct state {
        void (*test)();
        int result;
    } shared{test, 1};

    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (const int error = pthread_attr_setstacksize(&attributes, size); error != 0) {
        std::fprintf(stderr, "pthread_attr_setstacksize: error %d\n", error);
        return 1;
    }
    pthread_t thread;
    const auto body = [](void* given) -> void* {
        auto& mine = *static_cast<state*>(given);
        try {
            mine.test();
            mine.result = 0;
        } catch (const std::exception& e) {
            std::fprintf(stderr, "failed: %s\n", e.what());
        } catch (...) {
            std::fputs("failed: an exception that is not a std::exception\n", stderr);
        }
        return nullptr;
    };
    const int error = pthread_create(&thread, &attributes, body, &shared);
    pthread_attr_destroy(&attributes);
    if (error != 0) {
        std::fprintf(stderr, "pthread_create: error %d\n", error);
        return 1;
    }
    pthread_join(thread, nullptr);
    return shared.result;
}

} // namespace asynchio_tests
