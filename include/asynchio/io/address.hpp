// SPDX-License-Identifier: BSL-1.0
#pragma once

// Where a socket is: an IPv4 or IPv6 address and port, or the path of a Unix-domain socket.

#include <asynchio/io/system_calls.hpp>

#include <arpa/inet.h>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <net/if.h>
#include <netinet/in.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>
#include <system_error>

#pragma GCC visibility push(default)

namespace asynchio {

/// The address of a socket, as a value; empty when default-constructed.
///
/// Text: `127.0.0.1:80`, `[::1]:80`, `[fe80::1%eth0]:80`, `unix:/run/x.sock`, `unix:@name` for Linux's abstract names.
/// See also: resolve, which finds the addresses of a host by its name.
class address {
public:
    address() noexcept : size_(0) { storage_.any.sa_family = AF_UNSPEC; }

    /// What the system gave. @throws std::invalid_argument for more bytes than an address has.
    address(const sockaddr* from, std::size_t size) : address() {
        if (size > sizeof storage_)
            throw std::invalid_argument("address: " + std::to_string(size) + " bytes are too many");
        std::memcpy(&storage_, from, size);
        size_ = static_cast<unsigned char>(size);
    }

    /// @param host a numeric address such as "127.0.0.1", "::1", "fe80::1%eth0" or "fe80::1%2"; names are for resolve().
    /// @param port 0 to 65535. @throws std::invalid_argument for anything else.
    static address ip(std::string_view host, int port);

    /// @param path up to 107 bytes; a first `@` stands for the zero byte of an abstract name.
    /// @throws std::invalid_argument for an empty path, one that is too long, and one with a zero byte that is no
    /// abstract name.
    static address unix_path(std::string_view path);

    explicit operator bool() const noexcept { return size_ != 0; }
    /// AF_INET, AF_INET6, AF_UNIX, or AF_UNSPEC when empty.
    int family() const noexcept { return size_ >= sizeof(sa_family_t) ? storage_.any.sa_family : AF_UNSPEC; }
    bool is_ip() const noexcept { return family() == AF_INET || family() == AF_INET6; }
    /// The numeric address without the port; empty if it is none of IP.
    std::string host() const;
    /// 0 if it is none of IP.
    int port() const noexcept {
        if (family() == AF_INET) return ntohs(storage_.v4.sin_port);
        return family() == AF_INET6 ? ntohs(storage_.v6.sin6_port) : 0;
    }
    /// Of a Unix-domain socket; empty if it is none or has no name.
    std::string path() const;
    std::string to_string() const;

    const sockaddr* data() const noexcept { return &storage_.any; }
    socklen_t size() const noexcept { return size_; }

    friend bool operator==(const address& a, const address& b) noexcept {
        if (a.family() != b.family()) return false;
        if (a.family() == AF_INET)
            return a.storage_.v4.sin_port == b.storage_.v4.sin_port &&
                   a.storage_.v4.sin_addr.s_addr == b.storage_.v4.sin_addr.s_addr;
        if (a.family() == AF_INET6)
            return a.storage_.v6.sin6_port == b.storage_.v6.sin6_port &&
                   a.storage_.v6.sin6_scope_id == b.storage_.v6.sin6_scope_id &&
                   std::memcmp(&a.storage_.v6.sin6_addr, &b.storage_.v6.sin6_addr, sizeof(in6_addr)) == 0;
        return a.size_ == b.size_ && std::memcmp(&a.storage_, &b.storage_, a.size_) == 0;
    }

private:
    union {
        sockaddr any;
        sockaddr_in v4;
        sockaddr_in6 v6;
        sockaddr_un local;
    } storage_;
    unsigned char size_;
};

namespace detail {

/// @throws std::invalid_argument for a port that is none.
inline void require_port(int port, const char* what) {
    if (port < 0 || port > 65535)
        throw std::invalid_argument(std::string(what) + ": " + std::to_string(port) + " is not a port (0 to 65535)");
}

/// A host, path or argument goes to the system as a text that ends with a zero byte: one with a zero byte inside would be
/// another one than whoever looked at it saw. @throws std::invalid_argument that names it, up to there.
inline void require_no_zero(std::string_view text, const char* what) {
    const std::size_t zero = text.find('\0');
    if (zero != std::string_view::npos)
        throw std::invalid_argument(std::string(what) + " '" + std::string(text.substr(0, zero)) +
                                    "...' has a zero byte");
}

/// The interface of a name, or of a number as getaddrinfo(3) takes it, at most 32 bits. @return whether there is one.
/// @throws std::system_error when that cannot be found out.
inline bool find_scope(const std::string& zone, std::uint32_t& scope) {
    scope = calls.if_nametoindex(zone.c_str());
    if (scope != 0) return true;
    for (const int error : {EMFILE, ENFILE, ENOBUFS, ENOMEM})
        if (errno == error)
            throw std::system_error(error, std::generic_category(), "look for the network interface '" + zone + "'");
    std::uint64_t number = 0;
    for (const char digit : zone) {
        if (digit < '0' || digit > '9') return false;
        number = number * 10 + static_cast<std::uint64_t>(digit - '0');
        if (number > 0xffff'ffff) return false;
    }
    scope = static_cast<std::uint32_t>(number);
    return !zone.empty();
}

/// "host:port", with brackets where the host has colons.
inline std::string host_and_port(std::string_view host, std::string_view port) {
    std::string text;
    if (host.find(':') != std::string_view::npos)
        text.append("[").append(host).append("]");
    else
        text.append(host);
    return text.append(":").append(port);
}

} // namespace detail

inline address address::ip(std::string_view host, int port) {
    detail::require_port(port, "address");
    detail::require_no_zero(host, "address: the host");
    const std::string text(host);
    address made;
    if (::inet_pton(AF_INET, text.c_str(), &made.storage_.v4.sin_addr) == 1) {
        made.storage_.v4.sin_family = AF_INET;
        made.storage_.v4.sin_port = htons(static_cast<in_port_t>(port));
        std::memset(made.storage_.v4.sin_zero, 0, sizeof made.storage_.v4.sin_zero);
        made.size_ = sizeof(sockaddr_in);
        return made;
    }
    const std::size_t percent = text.find('%');
    made.storage_.v6 = {};
    if (::inet_pton(AF_INET6, text.substr(0, percent).c_str(), &made.storage_.v6.sin6_addr) == 1) {
        made.storage_.v6.sin6_family = AF_INET6;
        made.storage_.v6.sin6_port = htons(static_cast<in_port_t>(port));
        made.size_ = sizeof(sockaddr_in6);
        if (percent == std::string::npos) return made;
        const std::string zone = text.substr(percent + 1);
        std::uint32_t scope = 0;
        if (detail::find_scope(zone, scope)) {
            made.storage_.v6.sin6_scope_id = scope;
            return made;
        }
        throw std::invalid_argument("address: there is no network interface '" + zone + "'");
    }
    throw std::invalid_argument("address: '" + text + "' is not a numeric IP address; use resolve() for names");
}

inline address address::unix_path(std::string_view path) {
    address made;
    sockaddr_un& local = made.storage_.local;
    if (path.empty()) throw std::invalid_argument("address: the path of a Unix-domain socket is empty");
    if (path.front() != '@') detail::require_no_zero(path, "address: the path of a Unix-domain socket");
    if (path.size() >= sizeof local.sun_path)
        throw std::invalid_argument("address: the path of a Unix-domain socket has " + std::to_string(path.size()) +
                                    " bytes; " + std::to_string(sizeof local.sun_path - 1) + " are the most");
    local = {};
    local.sun_family = AF_UNIX;
    std::memcpy(local.sun_path, path.data(), path.size());
    const bool abstract = path.front() == '@';
    if (abstract) local.sun_path[0] = '\0';
    made.size_ = static_cast<unsigned char>(offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 0 : 1));
    return made;
}

inline std::string address::host() const {
    char text[INET6_ADDRSTRLEN] = "";
    if (family() == AF_INET) return ::inet_ntop(AF_INET, &storage_.v4.sin_addr, text, sizeof text);
    if (family() != AF_INET6) return text;
    std::string host = ::inet_ntop(AF_INET6, &storage_.v6.sin6_addr, text, sizeof text);
    char zone[IF_NAMESIZE];
    if (const auto scope = storage_.v6.sin6_scope_id; scope != 0)
        host.append("%").append(::if_indextoname(scope, zone) != nullptr ? zone : std::to_string(scope));
    return host;
}

inline std::string address::path() const {
    constexpr std::size_t start = offsetof(sockaddr_un, sun_path);
    if (family() != AF_UNIX || size_ <= start) return {};
    std::string text(storage_.local.sun_path, size_ - start);
    if (text.front() == '\0')
        text.front() = '@';
    else
        text.resize(std::strlen(text.c_str()));
    return text;
}

inline std::string address::to_string() const {
    if (is_ip()) return detail::host_and_port(host(), std::to_string(port()));
    if (family() == AF_UNIX) return path().empty() ? "unix socket" : "unix:" + path();
    return "no address";
}

} // namespace asynchio

#pragma GCC visibility pop
