// SPDX-License-Identifier: BSL-1.0
#pragma once

// A file descriptor that is closed when its owner is destroyed.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/io/system_calls.hpp>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

[[noreturn]] inline void fail(int error, const std::string& what) {
    throw std::system_error(error, std::generic_category(), what);
}

class descriptor {
public:
    descriptor() noexcept = default;
    /// Takes `fd` over; a negative number stands for no descriptor.
    explicit descriptor(int fd) noexcept : fd_(fd) {
        if (fd >= 0) ++descriptors_alive;
    }
    descriptor(descriptor&& other) noexcept : fd_(detail::exchange(other.fd_, -1)) {}
    descriptor& operator=(descriptor&& other) noexcept {
        const descriptor old(std::move(*this));
        fd_ = detail::exchange(other.fd_, -1);
        return *this;
    }
    ~descriptor() {
        const int error = errno;
        close();
        errno = error;
    }

    explicit operator bool() const noexcept { return fd_ >= 0; }
    int get() const noexcept { return fd_; }
    /// Closes the descriptor, if there is one. @return an errno, or 0. It is closed in any case.
    int close() noexcept {
        if (fd_ < 0) return 0;
        const int result = calls.close(detail::exchange(fd_, -1));
        --descriptors_alive;
        return result == 0 || errno == EINTR ? 0 : errno; // when it was interrupted, Linux has closed it
    }
    /// Gives the descriptor up without closing it. @return the descriptor, or -1.
    int release() noexcept {
        if (fd_ >= 0) --descriptors_alive;
        return detail::exchange(fd_, -1);
    }

private:
    int fd_ = -1;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
