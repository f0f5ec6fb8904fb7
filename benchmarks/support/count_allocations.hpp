// SPDX-License-Identifier: BSL-1.0
#pragma once

// Counts the global operator new. Included by exactly one file of a benchmark: the contender asynchio's.

#include "support/report.hpp"

#include <cstdlib>
#include <new>

[[gnu::noinline]] void* operator new(std::size_t size) {
    __atomic_fetch_add(&bench::allocations, 1, __ATOMIC_RELAXED);
    if (void* address = std::malloc(size == 0 ? 1 : size)) return address;
    throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
    __atomic_fetch_add(&bench::allocations, 1, __ATOMIC_RELAXED);
    const auto a = static_cast<std::size_t>(alignment);
    if (void* address = std::aligned_alloc(a, (size + a - 1) / a * a)) return address;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* address) noexcept {
    std::free(address);
}
[[gnu::noinline]] void operator delete(void* address, std::size_t) noexcept {
    std::free(address);
}
[[gnu::noinline]] void operator delete(void* address, std::align_val_t) noexcept {
    std::free(address);
}
[[gnu::noinline]] void operator delete(void* address, std::size_t, std::align_val_t) noexcept {
    std::free(address);
}
