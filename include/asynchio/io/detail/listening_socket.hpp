// SPDX-License-Identifier: BSL-1.0
#pragma once

// Sockets that servers listen on.

#include <asynchio/io/address.hpp>
#include <asynchio/io/detail/descriptor.hpp>
#include <asynchio/io/detail/socket_address.hpp>
#include <asynchio/io/detail/socket_file.hpp>

#include <cerrno>
#include <netinet/in.h>
#include <string>
#include <system_error>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// A socket that is bound, and listens when it is told to. It owns the file of a Unix-domain socket.
class listening_socket {
public:
    listening_socket(const address& where, bool reuse_port) : where_(where) {
        socket_ = descriptor(calls.socket(where.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        if (!socket_) fail(errno, "socket for " + where.to_string());
        if (where.is_ip()) {
            switch_on(SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR");
            if (reuse_port) switch_on(SOL_SOCKET, SO_REUSEPORT, "SO_REUSEPORT");
            if (where.family() == AF_INET6) switch_on(IPPROTO_IPV6, IPV6_V6ONLY, "IPV6_V6ONLY");
        } else {
            socket_file::remove_stale(where);
            file_ = socket_file(where);
        }
        if (calls.bind(socket_.get(), where.data(), where.size()) != 0) fail(errno, "bind to " + where.to_string());
        if (where.is_ip())
            where_ = bound_address();
        else
            file_.bound();
    }

    int get() const noexcept { return socket_.get(); }
    const address& where() const noexcept { return where_; }
    void listen(int backlog) const {
        if (calls.listen(socket_.get(), backlog) != 0) fail(errno, "listen on " + where_.to_string());
    }

private:
    void switch_on(int level, int option, const char* name) const {
        const int on = 1;
        if (calls.setsockopt(socket_.get(), level, option, &on, sizeof on) != 0)
            fail(errno, std::string(name) + " for " + where_.to_string());
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
inline std::vector<listening_socket> listen_at(const std::vector<address>& all, bool reuse_port) {
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
                made.emplace_back(picks ? address::ip(each.host(), port) : each, reuse_port);
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
