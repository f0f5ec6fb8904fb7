// SPDX-License-Identifier: BSL-1.0
#pragma once

// Sockets that servers listen on.

#include <asynchio/io/address.hpp>
#include <asynchio/io/detail/descriptor.hpp>
#include <asynchio/io/detail/socket_address.hpp>
#include <asynchio/io/detail/socket_file.hpp>
#include <asynchio/io/server_options.hpp>
#include <asynchio/io/socket_options.hpp>
#include <asynchio/io/tcp_options.hpp>

#include <cerrno>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <system_error>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// A socket that is bound, and listens when it is told to. It owns the file of a Unix-domain socket.
class listening_socket {
public:
    /// Makes a socket. @throws std::system_error with the address in its text.
    listening_socket(const address& where, const server_options& options) : where_(where) {
        socket_ = descriptor(calls.socket(where.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        if (!socket_) fail(errno, "socket for " + where.to_string());
        if (where.is_ip()) {
            if (options.reuse_address) switch_on(SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR");
            if (options.reuse_port) switch_on(SOL_SOCKET, SO_REUSEPORT, "SO_REUSEPORT");
            if (where.family() == AF_INET6) switch_on(IPPROTO_IPV6, IPV6_V6ONLY, "IPV6_V6ONLY");
        } else {
            socket_file::remove_stale(where);
            file_ = socket_file(where);
        }
        apply(options, socket_.get(), where);
        options.configure(socket_.get(), where);
        if (calls.bind(socket_.get(), where.data(), where.size()) != 0) fail(errno, "bind to " + where.to_string());
        if (where.is_ip())
            where_ = bound_address();
        else
            file_.bound();
        if (options.mode && calls.chmod(where.path().c_str(), static_cast<mode_t>(*options.mode)) != 0)
            fail(errno, "chmod for " + where.to_string());
    }
    /// Takes over a socket that was made elsewhere. @throws std::system_error with the descriptor in its text,
    /// std::invalid_argument for a socket of another kind.
    listening_socket(descriptor made, const server_options& options) : socket_(std::move(made)) {
        const std::string name = "start_server_on: descriptor " + std::to_string(socket_.get());
        int type = 0;
        socklen_t size = sizeof type;
        if (!socket_) fail(EBADF, name);
        if (calls.getsockopt(socket_.get(), SOL_SOCKET, SO_TYPE, &type, &size) != 0) fail(errno, name);
        if (type != SOCK_STREAM) throw std::invalid_argument(name + " is no stream socket");
        const int flags = calls.fcntl(socket_.get(), F_GETFL, 0);
        if (flags < 0 || calls.fcntl(socket_.get(), F_SETFL, flags | O_NONBLOCK) != 0) fail(errno, name);
        where_ = local_address_of(socket_.get());
        if (!where_) fail(errno, name);
        apply(options, socket_.get(), where_);
    }

    int get() const noexcept { return socket_.get(); }
    const address& where() const noexcept { return where_; }
    void listen(int backlog) const {
        if (calls.listen(socket_.get(), backlog) != 0) fail(errno, "listen on " + where_.to_string());
    }

    bool failing = false; // whether it was reported that nothing can be accepted
    bool paused = false;  // whether accepting waits for the next attempt

private:
    void switch_on(int level, int option, const char* name) const {
        require_option(socket_.get(), level, option, 1, name, where_);
    }
    address bound_address() const {
        const address found = local_address_of(socket_.get());
        if (!found) fail(errno, "getsockname after bind to " + where_.to_string());
        return found;
    }

    descriptor socket_;
    address where_;
    socket_file file_;
};

/// Returns one socket for each of the addresses that this machine has; port 0 becomes one port for all of them.
/// @throws std::system_error if this machine has none of them, or for an address that is in use.
inline std::vector<listening_socket> listen_at(const std::vector<address>& all, const server_options& options) {
    constexpr int most_tries = 16; // to find a port that is free at all addresses
    for (int tries = 0;; ++tries) {
        std::vector<listening_socket> made;
        std::error_code missing;
        std::string missing_what;
        int port = 0;
        bool taken = false;
        for (const address& each : all) {
            const bool picks = each.is_ip() && each.port() == 0 && port != 0;
            try {
                made.emplace_back(picks ? address::ip(each.host(), port) : each, options);
                if (port == 0) port = made.back().where().port();
            } catch (const std::system_error& e) {
                taken = picks && e.code().value() == EADDRINUSE && tries < most_tries;
                if (taken) break;
                if (e.code().value() != EAFNOSUPPORT && e.code().value() != EADDRNOTAVAIL) throw;
                if (!missing) {
                    missing = e.code();
                    missing_what = "bind to " + each.to_string();
                }
            }
        }
        if (taken) continue;
        if (made.empty()) throw std::system_error(missing, missing_what);
        return made;
    }
}

} // namespace asynchio::detail

#pragma GCC visibility pop
