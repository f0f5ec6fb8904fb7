// SPDX-License-Identifier: BSL-1.0
#pragma once

// The tools that the environment asks for, in each loop of the process.

#include <asynchio/debug/watchdog.hpp>
#include <asynchio/loop/detail/loop_core.hpp>

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string_view>
#include <system_error>

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
    duration limit{}; // of the watchdog; 0: none
};
inline wanted_tools wanted;

/// The tools of one loop, which end with it.
class tools_of_loop final : public asynchio::detail::service {
public:
    ~tools_of_loop() override {
        if (dog) dog->stop();
    }
    void close() noexcept override {}
    bool closed() const noexcept override { return true; }

    static void on_run(loop_core& loop, bool begins) noexcept {
        if (begins && loop.services().find<tools_of_loop>() == nullptr) equip(loop);
        loop_watch::on_run(loop, begins);
    }

    asynchio::detail::counted_ptr<watch> dog;

private:
    [[gnu::cold]] static void equip(loop_core& loop) noexcept try {
        tools_of_loop& made = loop.services().get<tools_of_loop>();
        if (wanted.limit.count() > 0) made.dog = set_watch(loop, wanted.limit, {}, &print_stall, true);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "asynchio: ASYNCHIO_WATCHDOG: %s\n", e.what());
    }
};

/// Has loops make the tools that the environment asks for. @return whether it asks for one.
[[gnu::cold]] inline bool use_environment() noexcept {
    const char* const limit = ::secure_getenv("ASYNCHIO_WATCHDOG");
    if (limit == nullptr || *limit == '\0') return false;
    wanted.limit = duration_of(limit);
    if (wanted.limit.count() <= 0) {
        std::fprintf(
            stderr,
            "asynchio: ASYNCHIO_WATCHDOG=%s is not a duration such as 100ms, 2s or 1min; there is no watchdog\n",
            limit);
        return false;
    }
    asynchio::detail::told_of_runs = &tools_of_loop::on_run;
    return true;
}

} // namespace asynchio::debug::detail

#pragma GCC visibility pop
