// SPDX-License-Identifier: BSL-1.0
#pragma once

// Tasks that are suspended, waiting for one thing: resident bytes for each, from the kernel's own count. That of the
// second round, when the program's own pages are there.

#include "support/report.hpp"

#include <cstdio>

#include <unistd.h>

namespace memory_problem {

inline constexpr std::size_t rounds[] = {1'000, 200'000};

inline std::size_t resident_bytes() {
    std::size_t size = 0;
    std::size_t resident = 0;
    if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
        bench::check(std::fscanf(file, "%zu %zu", &size, &resident) == 2, "/proc/self/statm");
        std::fclose(file);
    }
    return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

} // namespace memory_problem
