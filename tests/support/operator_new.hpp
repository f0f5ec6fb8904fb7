// SPDX-License-Identifier: BSL-1.0
#pragma once

// The program's operator new, as testing::allocation_faults wants it. For one source file of a program.

#include <asynchio/testing/allocation_faults.hpp>

#include <cstddef>
#include <new>

[[gnu::noinline]] void* operator new(std::size_t size) { return asynchio::testing::allocation_faults::allocate(size); }
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return asynchio::testing::allocation_faults::allocate_or_null(size);
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
    return asynchio::testing::allocation_faults::allocate(size, alignment);
}
[[gnu::noinline]] void operator delete(void* address) noexcept {
    asynchio::testing::allocation_faults::deallocate(address);
}
[[gnu::noinline]] void operator delete(void* address, std::size_t) noexcept {
    asynchio::testing::allocation_faults::deallocate(address);
}
[[gnu::noinline]] void operator delete(void* address, const std::nothrow_t&) noexcept {
    asynchio::testing::allocation_faults::deallocate(address);
}
[[gnu::noinline]] void operator delete(void* address, std::align_val_t) noexcept {
    asynchio::testing::allocation_faults::deallocate(address);
}
[[gnu::noinline]] void operator delete(void* address, std::size_t, std::align_val_t) noexcept {
    asynchio::testing::allocation_faults::deallocate(address);
}
