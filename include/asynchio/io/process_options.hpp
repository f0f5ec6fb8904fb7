// SPDX-License-Identifier: BSL-1.0
#pragma once

// The options of create_subprocess().

#include <cstddef>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

namespace subprocess {

/// The place that one of a subprocess's three standard streams is connected to.
///
/// Threads: a plain value.
/// See also: the constants inherit, pipe, devnull and to_stdout.
class stdio {
public:
    /// The kinds of places: this process's own stream, a new pipe, /dev/null, the place of the standard output, or a
    /// descriptor of this process.
    enum class kind : unsigned char { inherit, pipe, devnull, to_stdout, descriptor };

    /// Connects the stream to a descriptor of this process, which keeps it. It may be one of the standard three: 1 for
    /// `err` is the standard output of this process.
    /// @param descriptor an open descriptor, 0 or more.
    constexpr stdio(int descriptor) noexcept : kind_(kind::descriptor), descriptor_(descriptor) {}
    /// Makes a place of a kind that needs no descriptor; the constants below are such places.
    constexpr explicit stdio(kind k) noexcept : kind_(k) {}

    /// Returns the kind of the place.
    constexpr kind what() const noexcept { return kind_; }
    /// Returns the descriptor; -1 for a place of another kind.
    constexpr int descriptor() const noexcept { return descriptor_; }

private:
    kind kind_;
    int descriptor_ = -1;
};

/// The subprocess shares the stream of this process.
inline constexpr stdio inherit(stdio::kind::inherit);
/// A new pipe connects the subprocess with a stream of the process object: process::in(), out() or err().
inline constexpr stdio pipe(stdio::kind::pipe);
/// The subprocess reads nothing, or what it writes is dropped: /dev/null.
inline constexpr stdio devnull(stdio::kind::devnull);
/// The standard error goes to the place of the standard output; only for `err`.
inline constexpr stdio to_stdout(stdio::kind::to_stdout);

} // namespace subprocess

/// The options of create_subprocess() and create_subprocess_shell().
///
/// Threads: a plain value.
/// Cost: with `pass_descriptors`, `uid`, `gid`, `groups` or `umask`, the program is started by fork(2), which takes
/// longer the more memory this process has.
/// Example: `aio::process_options o; o.out = aio::subprocess::pipe; o.cwd = "/tmp";`
struct process_options {
    process_options() = default; // no aggregate: g++ 12 destroys such temporaries twice inside of co_await

    /// The place of its standard input.
    subprocess::stdio in = subprocess::inherit;
    /// The place of its standard output.
    subprocess::stdio out = subprocess::inherit;
    /// The place of its standard error.
    subprocess::stdio err = subprocess::inherit;
    /// The working directory; an empty string stands for that of this process.
    std::string cwd;
    /// The whole environment, each entry as "NAME=value"; without a value, that of this process.
    std::optional<std::vector<std::string>> env;
    /// Entries "NAME=value" that are added to the environment, or that replace entries with the same name.
    std::vector<std::string> add_env;
    /// Whether the subprocess leads a session of its own, without a terminal: the terminal's Ctrl-C does not reach it.
    bool new_session = false;
    /// Whether the subprocess leads a process group of its own, so that a signal can reach it and all that it starts.
    bool new_group = false;
    /// Whether all descriptors from 3 on are closed in it, also those without O_CLOEXEC, if the system can do that.
    bool close_descriptors = true;
    /// Descriptors of this process, from 3 on, that the subprocess has, too, with the same numbers.
    std::vector<int> pass_descriptors;
    /// The user that it runs as; without a value, that of this process. Another one needs privileges.
    std::optional<uid_t> uid;
    /// The group that it runs as; without a value, that of this process.
    std::optional<gid_t> gid;
    /// Its supplementary groups. An empty vector stands for none if `uid` or `gid` is another one than this process has,
    /// and else for those of this process.
    std::vector<gid_t> groups;
    /// Its umask, 0 to 0777; without a value, that of this process.
    std::optional<unsigned> umask;
    /// The maximum number of bytes that process::communicate() reads from its standard output, and from its standard
    /// error.
    std::size_t communicate_limit = std::string::npos;
};

} // namespace asynchio

#pragma GCC visibility pop
