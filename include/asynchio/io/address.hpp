// SPDX-License-Identifier: BSL-1.0
#pragma once

// The address of a socket: an IPv4 or IPv6 address and port, or the path of a Unix-domain socket.

#include <asynchio/io/system_calls.hpp>

#include <arpa/inet.h>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iosfwd>
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

/// The address of a socket, as a value; a default-constructed address is empty.
///
/// Behaviour: to_string() writes `127.0.0.1:80`, `[::1]:80`, `[fe80::1%eth0]:80`, `unix:/run/x.sock`, and `unix:@name`
/// for an abstract name of Linux. Two addresses are equal if they name the same place: host, port and interface, or
/// path.
/// Threads: as an int: any thread may use an address that no other thread changes meanwhile.
/// Cost: no allocation.
/// Example: `aio::address where = aio::address::ip("::1", 8080);`
/// See also: resolve, which finds the addresses of a host by its name.
class address {
public:
    address() noexcept : size_(0) { storage_.any.sa_family = AF_UNSPEC; }

    /// Copies an address that a system call has filled in.
    /// @param from the first byte of the address. @param size its length in bytes, as the system reported it.
    /// @throws std::invalid_argument if `size` exceeds the largest address that this class can hold.
    address(const sockaddr* from, std::size_t size) : address() {
        if (size > sizeof storage_)
            throw std::invalid_argument("address: " + std::to_string(size) + " bytes are too many");
        std::memcpy(&storage_, from, size);
        size_ = static_cast<unsigned char>(size);
    }

    /// Returns the IPv4 or IPv6 address that a text names.
    /// @param host a numeric address such as "127.0.0.1", "::1", "fe80::1%eth0" or "fe80::1%2"; names are for
    /// resolve().
    /// @param port 0 to 65535.
    /// @throws std::invalid_argument if `host` is not numeric or names no network interface, or for another port.
    /// @throws std::system_error if the system cannot look for the network interface.
    static address ip(std::string_view host, int port);

    /// Returns the address of a Unix-domain socket.
    /// @param path up to 107 bytes; a first `@` stands for the zero byte of an abstract name.
    /// @throws std::invalid_argument if the path is empty or too long, or has a zero byte and is not an abstract name.
    static address unix_path(std::string_view path);

    /// Whether there is an address, which may be one of another family than this class can print.
    explicit operator bool() const noexcept { return size_ != 0; }
    /// Returns AF_INET, AF_INET6, AF_UNIX, another family that the system reported, or AF_UNSPEC if the address is
    /// empty.
    int family() const noexcept { return size_ >= sizeof(sa_family_t) ? storage_.any.sa_family : AF_UNSPEC; }
    /// Whether this is an IPv4 or IPv6 address.
    bool is_ip() const noexcept { return family() == AF_INET || family() == AF_INET6; }
    /// Returns the numeric address without the port; an empty string for an address that is not IP.
    std::string host() const;
    /// Returns the port; 0 for an address that is not IP.
    int port() const noexcept {
        if (family() == AF_INET) return ntohs(storage_.v4.sin_port);
        return family() == AF_INET6 ? ntohs(storage_.v6.sin6_port) : 0;
    }
    /// Returns the path of a Unix-domain socket, with `@` for the first byte of an abstract name; an empty string for a
    /// socket without a name and for an address that is not a Unix-domain socket's.
    std::string path() const;
    /// Returns the address as text, as the class comment shows it; "no address" if there is none to print.
    std::string to_string() const;

    /// Returns the address as bind(2) and connect(2) take it; valid while this object lives.
    const sockaddr* data() const noexcept { return &storage_.any; }
    /// Returns the length of what data() points to, in bytes; 0 if the address is empty.
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

    /// Writes to_string().
    template<class Traits>
    friend std::basic_ostream<char, Traits>& operator<<(std::basic_ostream<char, Traits>& out, const address& a) {
        return out << a.to_string();
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

/// Accepts 0 to 65535. @throws std::invalid_argument for any other number.
inline void require_port(int port, const char* what) {
    if (port < 0 || port > 65535)
        throw std::invalid_argument(std::string(what) + ": " + std::to_string(port) + " is not a port (0 to 65535)");
}

/// Refuses a text with a zero byte. The system reads a host, path or argument up to its first zero byte, so it would
/// use another text than the one that the program has checked. @throws std::invalid_argument with the text up to that
/// byte.
inline void require_no_zero(std::string_view text, const char* what) {
    const std::size_t zero = text.find('\0');
    if (zero != std::string_view::npos)
        throw std::invalid_argument(std::string(what) + " '" + std::string(text.substr(0, zero)) +
                                    "...' has a zero byte");
}

/// Finds the network interface of a name, or of a number as getaddrinfo(3) takes it, with at most 32 bits.
/// @return whether there is one. @throws std::system_error when that cannot be found out.
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

/// Returns "host:port", with brackets around a host that has colons.
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
