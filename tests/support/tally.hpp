// SPDX-License-Identifier: BSL-1.0
#pragma once

// Counts of things that must each come once, on any thread.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <vector>

namespace asynchio_tests {

/// How often each of a number of things came.
class tally {
public:
    explicit tally(int number) : counts_(static_cast<std::size_t>(number)) {}

    void count(int which) { counts_[static_cast<std::size_t>(which)].fetch_add(1, std::memory_order_relaxed); }
    int times(int which) const { return counts_[static_cast<std::size_t>(which)].load(std::memory_order_relaxed); }
    /// How many did not come exactly once.
    int wrong() const {
        return static_cast<int>(
            std::count_if(counts_.begin(), counts_.end(), [](const auto& each) { return each != 1; }));
    }

private:
    std::vector<std::atomic<unsigned char>> counts_;
};

} // namespace asynchio_tests
