// SPDX-License-Identifier: BSL-1.0
#pragma once

// The tools that the environment asks for, in each loop of the process.

#include <asynchio/core/detail/late_value.hpp>
#include <asynchio/debug/profiler.hpp>
#include <asynchio/debug/serve.hpp>
#include <asynchio/debug/trace.hpp>
#include <asynchio/debug/watchdog.hpp>
#include <asynchio/loop/detail/loop_core.hpp>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

#pragma GCC visibility push(default)

namespace asynchio::debug::detail {

/// Reads a duration: a whole number and its unit. @return 0 if it is none, or not more than 0.
[[gnu::cold]] inline duration duration_of(std::string_view text) noexcept {
    struct unit {
        std::string_view name;
        std::int64_t nanoseconds;
    };
    constexpr unit units[] = {
        {"us", 1'000}, {"ms", 1'000'000}, {"s", 1'000'000'000}, {"min", 60'000'000'000}, {"h", 3'600'000'000'000}};
    std::int64_t count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc() || count <= 0) return {};
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    for (const unit& each : units)
        if (each.name == text && count <= asynchio::detail::far_future / each.nanoseconds)
            return duration(count * each.nanoseconds);
    return {};
}

/// What the environment asks for; it is read before the program begins.
struct wanted_tools {
    duration limit{};              // of the watchdog; 0: none
    const char* profile = nullptr; // the path of the profile; null: none
    const char* trace = nullptr;   // the path of the traces
    const char* inspect = nullptr; // the path of the sockets
};
inline constinit wanted_tools wanted;

/// Returns a path in which `%p` stands for the number of the process.
[[gnu::cold]] inline std::string path_of_process(std::string path) {
    if (const auto at = path.find("%p"); at != std::string::npos) path.replace(at, 2, std::to_string(::getpid()));
    return path;
}
/// Returns the path of what each loop has for itself: those of later loops end in .2, .3, and so on.
[[gnu::cold]] inline std::string path_of_loop(const char* path, unsigned number) {
    std::string own = path_of_process(path);
    if (number > 1) own.append(1, '.').append(std::to_string(number));
    return own;
}

/// Opens the file of the profile, where `%p` in the path stands for the number of the process.
/// @return its descriptor; negative if that is impossible, with a line on stderr.
[[gnu::cold]] inline int open_profile(int flags) {
    const int file = ::open(path_of_process(wanted.profile).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);
    if (file < 0)
        std::fprintf(stderr, "asynchio: ASYNCHIO_PROFILE=%s: the file cannot be written: %s\n", wanted.profile,
                     std::generic_category().message(errno).c_str());
    return file;
}

/// Adds the samples of one loop to the profile.
[[gnu::cold]] inline void append_profile(const profiler& samples) {
    const int file = open_profile(O_APPEND);
    if (file < 0) return;
    std::ostringstream text;
    samples.write_folded(text);
    const std::string stacks = text.str();
    ::ssize_t written = 0;
    do written = ::write(file, stacks.data(), stacks.size());
    while (written < 0 && errno == EINTR);
    if (written != static_cast<::ssize_t>(stacks.size()))
        std::fprintf(stderr, "asynchio: ASYNCHIO_PROFILE=%s: the profile is not whole: %s\n", wanted.profile,
                     written < 0 ? std::generic_category().message(errno).c_str() : "the disk may be full");
    ::close(file);
}

/// The tools of one loop, which end with it.
class tools_of_loop final : public asynchio::detail::service {
public:
    ~tools_of_loop() override {
        if (dog_) dog_->stop();
        if (!profiler_ || !process_.is_here()) return;
        profiler_->stop();
        try {
            append_profile(*profiler_);
        } catch (const std::exception& e) {
            refused("ASYNCHIO_PROFILE", e);
        }
    }
    void close() noexcept override {}
    bool closed() const noexcept override { return true; }

    static void on_run(loop_core& loop, bool begins) noexcept {
        if (begins && loop.services().find<tools_of_loop>() == nullptr) equip(loop);
        loop_watch::on_run(loop, begins);
    }

private:
    [[gnu::cold]] static void equip(loop_core& loop) noexcept {
        tools_of_loop* made = nullptr;
        make("memory", [&] { made = &loop.services().get<tools_of_loop>(); });
        if (made == nullptr) return;
        const unsigned number = ++loops;
        if (wanted.limit.count() > 0)
            make("ASYNCHIO_WATCHDOG", [&] { made->dog_ = set_watch(loop, wanted.limit, {}, &print_stall, true); });
        if (wanted.profile != nullptr) make("ASYNCHIO_PROFILE", [&] { made->profiler_.emplace().start(); });
        if (wanted.trace != nullptr)
            make("ASYNCHIO_TRACE", [&] { made->trace_.emplace(path_of_loop(wanted.trace, number)); });
        if (wanted.inspect != nullptr) make("ASYNCHIO_INSPECT", [&] { serve(path_of_loop(wanted.inspect, number)); });
    }
    /// Makes a tool; the program goes on without it if that fails.
    template<class F>
    static void make(const char* which, F f) noexcept {
        try {
            f();
        } catch (const std::exception& e) {
            refused(which, e);
        }
    }
    static void refused(const char* which, const std::exception& why) noexcept {
        std::fprintf(stderr, "asynchio: %s: %s\n", which, why.what());
    }

    asynchio::detail::counted_ptr<watch> dog_;
    asynchio::detail::late_value<profiler> profiler_;
    asynchio::detail::late_value<trace> trace_;
    asynchio::detail::process_mark process_;

    static inline std::atomic<unsigned> loops = 0; // that got tools
};

/// Reads a variable. @return null if it is not set, or empty, or if this program is set-uid.
[[gnu::cold]] inline const char* environment(const char* name) noexcept {
    const char* const value = ::secure_getenv(name);
    return value != nullptr && *value != '\0' ? value : nullptr;
}

/// Has loops make the tools that the environment asks for. @return whether it asks for one.
[[gnu::cold]] inline bool use_environment() {
    if (const char* const limit = environment("ASYNCHIO_WATCHDOG"); limit != nullptr) {
        wanted.limit = duration_of(limit);
        if (wanted.limit.count() <= 0)
            std::fprintf(stderr,
                         "asynchio: ASYNCHIO_WATCHDOG=%s is not a duration such as 100ms, 2s or 1min; there is no "
                         "watchdog\n",
                         limit);
    }
    wanted.profile = environment("ASYNCHIO_PROFILE");
    if (wanted.profile != nullptr) {
        if (const int file = open_profile(O_TRUNC); file >= 0)
            ::close(file);
        else
            wanted.profile = nullptr;
    }
    wanted.trace = environment("ASYNCHIO_TRACE");
    wanted.inspect = environment("ASYNCHIO_INSPECT");
    if (wanted.limit.count() <= 0 && wanted.profile == nullptr && wanted.trace == nullptr && wanted.inspect == nullptr)
        return false;
    asynchio::detail::told_of_runs = &tools_of_loop::on_run;
    return true;
}

} // namespace asynchio::debug::detail

#pragma GCC visibility pop
