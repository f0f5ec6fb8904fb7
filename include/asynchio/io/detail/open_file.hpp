// SPDX-License-Identifier: BSL-1.0
#pragma once

// How a file is opened.

#include <asynchio/io/detail/descriptor.hpp>
#include <asynchio/io/detail/file_state.hpp>
#include <asynchio/io/system_calls.hpp>

#include <cerrno>
#include <cstdint>
#include <fcntl.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Returns the flags of open(2) for a mode. @throws std::invalid_argument for one that is none.
inline int flags_of(std::string_view mode) {
    const bool both = mode.ends_with('+');
    const std::string_view kind = mode.substr(0, mode.size() - (both ? 1 : 0));
    const int writes = both ? O_RDWR : O_WRONLY;
    if (kind == "r") return both ? O_RDWR : O_RDONLY;
    if (kind == "w") return writes | O_CREAT | O_TRUNC;
    if (kind == "a") return writes | O_CREAT | O_APPEND;
    if (kind == "x") return writes | O_CREAT | O_EXCL;
    throw std::invalid_argument("open_file: the mode \"" + std::string(mode) +
                                "\" is none of r, w, a and x, with or without a + behind it");
}

/// Makes a file of a descriptor, which is made blocking: io_uring would refuse to wait for another one.
/// @throws std::invalid_argument for what has no positions, std::system_error.
inline file_ptr adopt_file(descriptor opened, std::string name) {
    file_ptr made(new file_state);
    made->opened = std::move(opened);
    made->name = std::move(name);
    const int fd = made->opened.get();
    system_calls::file_status status{};
    const int flags = calls.fcntl(fd, F_GETFL, 0);
    if (flags < 0 || calls.fstat(fd, &status) != 0) made->fail(errno, "open");
    if (S_ISDIR(status.st_mode)) made->fail(EISDIR, "open");
    const off_t position = calls.lseek(fd, 0, SEEK_CUR);
    if (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) || position < 0)
        throw std::invalid_argument("open_file: \"" + made->name +
                                    "\" is a pipe, a socket or a terminal: use stream::from_descriptor");
    if ((flags & O_NONBLOCK) != 0 && calls.fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0) made->fail(errno, "open");
    made->position = static_cast<std::uint64_t>(position);
    made->readable = (flags & O_ACCMODE) != O_WRONLY;
    made->writable = (flags & O_ACCMODE) != O_RDONLY;
    made->appends = (flags & O_APPEND) != 0;
    return made;
}

/// Opens a file by name, without waiting for the other end of a pipe.
inline file_ptr open_path(std::string path, int flags, mode_t permissions) {
    const int fd = uninterrupted([&] { return calls.open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK, permissions); });
    if (fd < 0) fail(errno, "open \"" + path + '"');
    return adopt_file(descriptor(fd), std::move(path));
}

} // namespace asynchio::detail

#pragma GCC visibility pop
