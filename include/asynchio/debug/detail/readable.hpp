// SPDX-License-Identifier: BSL-1.0
#pragma once

// Reading memory that may be gone, or that another thread may change: the kernel copies it, and refuses instead of
// crashing. A tool that interrupts a program anywhere reads the program's tasks so.

#include <cstddef>
#include <source_location>

#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#pragma GCC visibility push(default)

namespace asynchio::debug::detail {

/// Copies memory of this process. Signal handlers may call it.
/// @return whether all of it could be read; never where the system forbids process_vm_readv.
/// Cost: a system call of about a microsecond.
inline bool copy_if_readable(void* into, const void* from, std::size_t size) noexcept {
    const iovec local{into, size};
    const iovec remote{const_cast<void*>(from), size};
    constexpr unsigned long one = 1; // an argument of syscall(2) has to be as long as a register
    constexpr unsigned long no_flags = 0;
    return ::syscall(SYS_process_vm_readv, long{::getpid()}, &local, one, &remote, one, no_flags) ==
           static_cast<long>(size);
}

/// A copy of an object's bytes, which is not an object of its own: nothing is constructed or destroyed.
template<class T>
union bytes_of {
    bytes_of() noexcept {}
    bytes_of(const bytes_of&) = delete;
    bytes_of& operator=(const bytes_of&) = delete;
    ~bytes_of() {}

    bool read(const T* from) noexcept { return copy_if_readable(&value, from, sizeof(T)); }

    T value;
};

/// Whether the texts of a location are there: a location that was read from memory that changed may be anything, and
/// those of a library that was unloaded are gone.
inline bool is_readable(const std::source_location& where) noexcept {
    struct record {
        const char* file;
        const char* function;
        unsigned line;
        unsigned column;
    };
    record its{};
    char first = 0;
    const auto* const address = __builtin_bit_cast(const void*, where);
    return address != nullptr && copy_if_readable(&its, address, sizeof its) && copy_if_readable(&first, its.file, 1) &&
           copy_if_readable(&first, its.function, 1);
}

} // namespace asynchio::debug::detail

#pragma GCC visibility pop
