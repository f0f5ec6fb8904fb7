// SPDX-License-Identifier: BSL-1.0
#pragma once

// The options of a socket that concern multicast groups.

#include <asynchio/io/address.hpp>
#include <asynchio/io/detail/descriptor.hpp>
#include <asynchio/io/system_calls.hpp>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <netinet/in.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Returns the number of a network device, which is given by its name or its number; 0 for an empty text.
/// @throws std::invalid_argument if there is none of that name.
inline std::uint32_t interface_number(std::string_view name, const char* what) {
    if (name.empty()) return 0;
    require_no_zero(name, what);
    std::uint32_t number = 0;
    if (!find_scope(std::string(name), number))
        throw std::invalid_argument(std::string(what) + ": there is no network interface '" + std::string(name) + "'");
    return number;
}

/// Joins or leaves a group. @throws std::system_error with the group in its text, std::invalid_argument for an address
/// that is no group's.
inline void change_membership(int fd, const address& group, std::string_view device, bool joins) {
    const char* const what = joins ? "join_group" : "leave_group";
    group_req request{};
    request.gr_interface = interface_number(device, what);
    std::memcpy(&request.gr_group, group.data(), group.size());
    const bool is_v6 = group.family() == AF_INET6;
    bool is_group = false;
    if (is_v6) {
        sockaddr_in6 v6;
        std::memcpy(&v6, group.data(), sizeof v6);
        is_group = v6.sin6_addr.s6_addr[0] == 0xff;
        if (device.empty()) request.gr_interface = v6.sin6_scope_id;
    } else if (group.family() == AF_INET) {
        sockaddr_in v4;
        std::memcpy(&v4, group.data(), sizeof v4);
        is_group = ntohl(v4.sin_addr.s_addr) >> 28 == 0xe;
    }
    if (!is_group) throw std::invalid_argument(std::string(what) + ": " + group.to_string() + " is no multicast group");
    if (calls.setsockopt(fd, is_v6 ? IPPROTO_IPV6 : IPPROTO_IP, joins ? MCAST_JOIN_GROUP : MCAST_LEAVE_GROUP, &request,
                         sizeof request) != 0)
        fail(errno, std::string(what) + " " + group.host());
}

/// Sets an option of multicast that has one number, in IPv4 and in IPv6.
/// @throws std::system_error with the name of the call, EOPNOTSUPP for a socket that is not of IP.
inline void set_multicast(int fd, int family, int option, int option6, int value, const char* what) {
    if (family != AF_INET && family != AF_INET6) fail(EOPNOTSUPP, what);
    const bool is_v6 = family == AF_INET6;
    if (calls.setsockopt(fd, is_v6 ? IPPROTO_IPV6 : IPPROTO_IP, is_v6 ? option6 : option, &value, sizeof value) != 0)
        fail(errno, what);
}

/// Sets the network interface that multicast datagrams leave by. @throws as interface_number() and set_multicast().
inline void set_multicast_interface(int fd, int family, std::string_view device) {
    const char* const what = "set_multicast_interface";
    const std::uint32_t number = interface_number(device, what);
    if (family != AF_INET) return set_multicast(fd, family, 0, IPV6_MULTICAST_IF, static_cast<int>(number), what);
    ip_mreqn request{};
    request.imr_ifindex = static_cast<int>(number);
    if (calls.setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request) != 0) fail(errno, what);
}

} // namespace asynchio::detail

#pragma GCC visibility pop
