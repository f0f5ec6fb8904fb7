// SPDX-License-Identifier: BSL-1.0
#pragma once

// Counts allocations: with glibc every malloc, be it of operator new or of a C library, else the global operator new.
// Included by exactly one file of a benchmark: the contender asynchio's.

#include "support/report.hpp"

#include <cstdlib>
#include <new>

namespace bench {

inline void count_allocation() noexcept { __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED); }

} // namespace bench

#if defined(__GLIBC__)

// The names under which glibc's own are known where they are replaced.
extern "C" {
void* __libc_malloc(std::size_t size) noexcept;
void* __libc_calloc(std::size_t count, std::size_t size) noexcept;
void* __libc_realloc(void* address, std::size_t size) noexcept;
void* __libc_memalign(std::size_t alignment, std::size_t size) noexcept;

void* malloc(std::size_t size) noexcept {
    bench::count_allocation();
    return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) noexcept {
    bench::count_allocation();
    return __libc_calloc(count, size);
}
void* realloc(void* address, std::size_t size) noexcept {
    bench::count_allocation();
    return __libc_realloc(address, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
    bench::count_allocation();
    return __libc_memalign(alignment, size);
}
}

#else

[[gnu::noinline]] void* operator new(std::size_t size) {
    bench::count_allocation();
    if (void* address = std::malloc(size == 0 ? 1 : size)) return address;
    throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
    bench::count_allocation();
    const auto a = static_cast<std::size_t>(alignment);
    if (void* address = std::aligned_alloc(a, (size + a - 1) / a * a)) return address;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* address) noexcept { std::free(address); }
[[gnu::noinline]] void operator delete(void* address, std::size_t) noexcept { std::free(address); }
[[gnu::noinline]] void operator delete(void* address, std::align_val_t) noexcept { std::free(address); }
[[gnu::noinline]] void operator delete(void* address, std::size_t, std::align_val_t) noexcept { std::free(address); }

#endif
