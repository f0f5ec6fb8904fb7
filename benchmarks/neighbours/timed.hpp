// SPDX-License-Identifier: BSL-1.0
#pragma once

// How the programs of this folder say what they have measured.

#include <sys/resource.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

namespace neighbours {

inline double processor_time() {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    const auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
    };
    return seconds(used.ru_utime) + seconds(used.ru_stime);
}

/// Runs `f` and prints, as a line of JSON, how long that took and how much processor time of this process.
template<class F>
void timed(std::size_t operations, F f) {
    const double cpu = processor_time();
    const auto begin = std::chrono::steady_clock::now();
    f();
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - begin;
    std::printf("{\"operations\": %zu, \"wall\": %.9f, \"cpu\": %.9f}\n", operations, wall.count(),
                processor_time() - cpu);
    std::fflush(stdout);
}

/// Ends the program when an answer is wrong.
inline void expect(bool right, const char* what) {
    if (right) return;
    std::fprintf(stderr, "wrong: %s\n", what);
    std::exit(1);
}

} // namespace neighbours
