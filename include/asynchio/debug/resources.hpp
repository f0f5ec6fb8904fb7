// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the process has used of the machine: Python programs ask psutil.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#pragma GCC visibility push(default)

namespace asynchio::debug {

/// What a process has used. It is a value.
///
/// Threads: any, as for values.
/// See also: resources.
struct resource_usage {
    /// The processor time of all threads, in the program.
    std::chrono::microseconds user{0};
    /// Their processor time in the kernel.
    std::chrono::microseconds system{0};
    /// The bytes of memory that are resident now; 0 where /proc does not tell.
    std::size_t resident = 0;
    /// The most bytes that were resident at one time.
    std::size_t most_resident = 0;
    /// How often a thread gave up the processor because it had to wait.
    std::uint64_t voluntary_switches = 0;
    /// How often the kernel took the processor away from a thread.
    std::uint64_t involuntary_switches = 0;
    /// How many descriptors are open; 0 where /proc does not tell.
    std::size_t descriptors = 0;
    /// How many threads there are; 0 where /proc does not tell.
    std::size_t threads = 0;
};

namespace detail {

/// Returns how many entries a folder has; 0 if it cannot be read.
inline std::size_t entries_of(const char* path) noexcept {
    DIR* const folder = ::opendir(path);
    if (folder == nullptr) return 0;
    std::size_t count = 0;
    while (const dirent* each = ::readdir(folder))
        if (each->d_name[0] != '.') ++count;
    ::closedir(folder);
    return count;
}

} // namespace detail

/// Returns what this process has used since it began, and has open now.
/// Threads: any.
/// Cost: some ten system calls.
/// Example: `const auto used = aio::debug::resources(); log(used.resident, used.descriptors);`
inline resource_usage resources() noexcept {
    resource_usage all;
    rusage used{};
    if (::getrusage(RUSAGE_SELF, &used) == 0) {
        const auto time = [](const timeval& t) {
            return std::chrono::seconds(t.tv_sec) + std::chrono::microseconds(t.tv_usec);
        };
        all.user = time(used.ru_utime);
        all.system = time(used.ru_stime);
#if defined(__APPLE__)
        all.most_resident = static_cast<std::size_t>(used.ru_maxrss);
#else
        all.most_resident = static_cast<std::size_t>(used.ru_maxrss) * 1024;
#endif
        all.voluntary_switches = static_cast<std::uint64_t>(used.ru_nvcsw);
        all.involuntary_switches = static_cast<std::uint64_t>(used.ru_nivcsw);
    }
    if (std::FILE* const memory = std::fopen("/proc/self/statm", "re")) {
        unsigned long long pages = 0;
        if (std::fscanf(memory, "%*u %llu", &pages) == 1)
            all.resident = static_cast<std::size_t>(pages) * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
        std::fclose(memory);
    }
    all.descriptors = detail::entries_of("/proc/self/fd");
    if (all.descriptors > 0) --all.descriptors; // the one that reads the folder
    all.threads = detail::entries_of("/proc/self/task");
    return all;
}

} // namespace asynchio::debug

#pragma GCC visibility pop
