// SPDX-License-Identifier: BSL-1.0
#pragma once

// The file of a Unix-domain socket that is bound to a path.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/io/address.hpp>
#include <asynchio/io/detail/descriptor.hpp>
#include <asynchio/io/system_calls.hpp>

#include <cerrno>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Removes the file in its destructor, whatever the working directory is by then, unless another file has taken its
/// place.
class socket_file {
public:
    socket_file() noexcept = default;
    /// @param where the address that a socket is about to be bound to; an abstract name, or no name, has no file.
    explicit socket_file(const address& where) {
        if (has_file(where)) path_ = absolute(where.path());
    }
    socket_file(socket_file&& other) noexcept
        : path_(std::move(other.path_)), file_(detail::exchange(other.file_, id())) {}
    socket_file& operator=(socket_file&& other) noexcept {
        socket_file old(std::move(*this));
        path_ = std::move(other.path_);
        file_ = detail::exchange(other.file_, id());
        return *this;
    }
    ~socket_file() {
        status now{};
        if (file_.number != 0 && calls.stat(path_.c_str(), &now) == 0 && file_ == id_of(now))
            calls.unlink(path_.c_str());
    }

    /// Records that the socket was bound: the file is ours.
    void bound() noexcept {
        status made{};
        if (!path_.empty() && calls.stat(path_.c_str(), &made) == 0) file_ = id_of(made);
    }

    /// Prepares binding a socket to `where`: removes the file that a socket which is gone has left behind.
    /// The file of a live socket is left alone, also if the socket does not listen yet: connecting a datagram socket
    /// tells whether it lives, whatever its kind, and makes no connection.
    /// @throws std::system_error if that cannot be found out.
    static void remove_stale(const address& where) {
        status file{};
        if (!has_file(where) || calls.stat(where.path().c_str(), &file) != 0 || !S_ISSOCK(file.st_mode)) return;
        const descriptor probe(calls.socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        if (!probe) fail(errno, "socket for " + where.to_string());
        if (calls.connect(probe.get(), where.data(), where.size()) != 0 && errno == ECONNREFUSED)
            calls.unlink(where.path().c_str());
    }

private:
    using status = system_calls::file_status;
    struct id {
        dev_t device = 0;
        ino_t number = 0; // 0: no file
        friend bool operator==(const id&, const id&) = default;
    };
    static id id_of(const status& file) noexcept { return {file.st_dev, file.st_ino}; }
    static bool has_file(const address& where) {
        const std::string path = where.path();
        return !path.empty() && path.front() != '@';
    }
    static std::string absolute(std::string path) {
        char folder[4096];
        if (path.front() == '/' || calls.getcwd(folder, sizeof folder) == nullptr) return path;
        return std::string(folder).append("/").append(path);
    }

    std::string path_;
    id file_; // our file
};

} // namespace asynchio::detail

#pragma GCC visibility pop
