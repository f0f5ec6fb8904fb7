// SPDX-License-Identifier: BSL-1.0
#pragma once

// The options that all new sockets have.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/detail/owner.hpp>
#include <asynchio/io/address.hpp>
#include <asynchio/io/detail/descriptor.hpp>
#include <asynchio/io/system_calls.hpp>

#include <cerrno>
#include <concepts>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// A function that prepares a new socket, as a value: `options.configure = [](int fd, const aio::address& where) { ... };`
///
/// Threads: a plain value. Lifetime: it owns the function, and a copy has a copy of it.
/// Cost: an allocation; none while it is empty.
/// See also: socket_options::configure.
class socket_hook {
public:
    /// Makes an empty hook, which does nothing.
    socket_hook() noexcept = default;
    /// Makes a hook of a function.
    /// @param f is called as `f(int fd, const address& where)`. It can be copied.
    template<class F>
        requires(!std::same_as<std::remove_cvref_t<F>, socket_hook> && std::is_invocable_v<F&, int, const address&>)
    socket_hook(F f) : call_(new bound<F>(std::move(f))) {}
    socket_hook(const socket_hook& other) : call_(other.call_ ? other.call_->copy() : nullptr) {}
    socket_hook(socket_hook&&) noexcept = default;
    socket_hook& operator=(const socket_hook& other) { return *this = socket_hook(other); }
    socket_hook& operator=(socket_hook&&) noexcept = default;
    ~socket_hook() = default;

    /// Whether there is a function.
    explicit operator bool() const noexcept { return static_cast<bool>(call_); }
    /// Calls the function, if there is one. @throws what it throws.
    void operator()(int fd, const address& where) const {
        if (call_) call_->call(fd, where);
    }

private:
    struct any {
        any() = default;
        any(const any&) = delete;
        any& operator=(const any&) = delete;
        virtual ~any() = default;
        virtual void call(int fd, const address& where) = 0;
        virtual any* copy() const = 0;
    };
    template<class F>
    struct bound final : any {
        explicit bound(F g) : f(std::move(g)) {}
        void call(int fd, const address& where) override { f(fd, where); }
        any* copy() const override { return new bound(f); }
        F f;
    };
    detail::owner<any> call_;
};

/// The options that all new sockets have: of servers, of connections and for datagrams.
///
/// Threads: a plain value.
/// See also: tcp_options, datagram_options.
struct socket_options {
    socket_options() = default; // no aggregate: g++ 12 destroys such temporaries twice inside of co_await

    /// The size of the system's buffer for what was received, in bytes; 0 leaves it to the system.
    int receive_buffer = 0;
    /// The size of the system's buffer for what is to be sent, in bytes; 0 leaves it to the system.
    int send_buffer = 0;
    /// Is called with each new socket, after the other options were set and before it is bound or connected, and with
    /// the address that it is about to be bound or connected to. It may set more options. What it throws ends the call.
    socket_hook configure;
};

namespace detail {

/// @return errno or 0.
inline int set_option(int fd, int level, int option, int value) noexcept {
    return calls.setsockopt(fd, level, option, &value, sizeof value) == 0 ? 0 : errno;
}
/// @throws std::system_error with the option's name and the address.
inline void require_option(int fd, int level, int option, int value, const char* name, const address& where) {
    if (const int error = set_option(fd, level, option, value))
        fail(error, std::string(name) + " for " + where.to_string());
}

/// Sets the sizes of the buffers. @throws std::system_error with the option's name and the address.
inline void apply(const socket_options& options, int fd, const address& where) {
    if (options.receive_buffer > 0)
        require_option(fd, SOL_SOCKET, SO_RCVBUF, options.receive_buffer, "SO_RCVBUF", where);
    if (options.send_buffer > 0) require_option(fd, SOL_SOCKET, SO_SNDBUF, options.send_buffer, "SO_SNDBUF", where);
}

/// @throws std::invalid_argument for the size of a buffer below 0.
inline void require_valid(const socket_options& options, const char* what) {
    if (options.receive_buffer < 0 || options.send_buffer < 0)
        throw std::invalid_argument(std::string(what) + ": the size of a buffer must not be negative");
}

} // namespace detail

} // namespace asynchio

#pragma GCC visibility pop
