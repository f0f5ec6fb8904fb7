// SPDX-License-Identifier: BSL-1.0
#pragma once

// One program, from its text to its trace.

#include <cstdint>
#include <optional>
#include <string>

namespace oracle {

struct run_settings {
    bool quiet = false;
    std::optional<std::uint64_t> shuffle;
};

/// Runs it and prints its trace. Ends the process when the program is hopeless.
/// @return whether nothing of it is left.
bool run_line(const std::string& text, long number, const run_settings& settings);

} // namespace oracle
