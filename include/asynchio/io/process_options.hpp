// SPDX-License-Identifier: BSL-1.0
#pragma once

// How a subprocess is started.

#include <optional>
#include <string>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

namespace subprocess {

/// Where one of a subprocess's three standard streams goes.
class stdio {
public:
    enum class kind : unsigned char { inherit, pipe, devnull, to_stdout, descriptor };

    /// A descriptor of this process, which keeps it; also one of its own three: 1 for `err` is what this process prints to.
    constexpr stdio(int descriptor) noexcept : kind_(kind::descriptor), descriptor_(descriptor) {}
    constexpr explicit stdio(kind k) noexcept : kind_(k) {}

    constexpr kind what() const noexcept { return kind_; }
    constexpr int descriptor() const noexcept { return descriptor_; }

private:
    kind kind_;
    int descriptor_ = -1;
};

/// This process's own.
inline constexpr stdio inherit(stdio::kind::inherit);
/// A stream of the process object.
inline constexpr stdio pipe(stdio::kind::pipe);
inline constexpr stdio devnull(stdio::kind::devnull);
/// Only for `err`: where `out` goes.
inline constexpr stdio to_stdout(stdio::kind::to_stdout);

} // namespace subprocess

/// What create_subprocess is told beside the program and its arguments.
struct process_options {
    process_options() = default; // no aggregate: g++ 12 destroys such temporaries twice inside of co_await

    subprocess::stdio in = subprocess::inherit;
    subprocess::stdio out = subprocess::inherit;
    subprocess::stdio err = subprocess::inherit;
    /// The working directory; empty: this process's.
    std::string cwd;
    /// The whole environment as "NAME=value"; nothing: this process's.
    std::optional<std::vector<std::string>> env;
    /// "NAME=value" each: added to that, or in place of what has the same name there.
    std::vector<std::string> add_env;
    /// In a session of its own: no terminal, and not reached by its Ctrl-C.
    bool new_session = false;
    /// In a process group of its own, for a signal to all it starts.
    bool new_group = false;
    /// Descriptors from 3 on are closed, also those without O_CLOEXEC, where the system can do that.
    bool close_descriptors = true;
};

} // namespace asynchio

#pragma GCC visibility pop
