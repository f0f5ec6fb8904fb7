// SPDX-License-Identifier: BSL-1.0
#pragma once

// The ready order for tests: items that are ready in one iteration run in a random but repeatable order.

#include <asynchio/core/detail/trivial_vector.hpp>
#include <asynchio/loop/detail/ready_queue.hpp>

#include <cstdint>
#include <new>
#include <optional>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

class shuffled_order {
public:
    explicit shuffled_order(std::optional<std::uint64_t> seed) noexcept
        : active_(seed.has_value()), state_(seed.value_or(0)) {}

    bool active() const noexcept { return active_; }

    /// Shuffles as Fisher and Yates do, with the generator SplitMix64 (Steele, Lea, Flood 2014).
    [[gnu::cold]] void shuffle(ready_queue& batch) noexcept {
        items_.clear();
        try {
            items_.reserve(batch.size());
        } catch (const std::bad_alloc&) {
            return; // this batch keeps its order
        }
        while (ready_item* item = batch.pop()) items_.push_back(item);
        for (std::size_t left = items_.size(); left > 0; --left) {
            std::swap(items_[next() % left], items_[left - 1]);
            batch.push(*items_[left - 1]);
        }
    }

private:
    [[gnu::cold]] std::uint64_t next() noexcept {
        state_ += 0x9e3779b97f4a7c15;
        std::uint64_t mixed = state_;
        mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
        mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
        return mixed ^ (mixed >> 31);
    }

    bool active_;
    std::uint64_t state_;
    trivial_vector<ready_item*> items_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
