// SPDX-License-Identifier: BSL-1.0
#pragma once

// Options of run() that make a program repeatable.

#include <asynchio/loop/run_options.hpp>

#include <cstdint>

#pragma GCC visibility push(default)

namespace asynchio::testing {

/// Returns options with a virtual clock: time stands still while anything runs, and jumps to the next deadline when
/// nothing does. A worker thread that owes a result holds the clock.
/// Example: `run(test(), testing::virtual_clock());`
inline run_options virtual_clock() noexcept { return {.virtual_time = true}; }

/// Returns options with a virtual clock and a random order: what is ready in one iteration runs in an order drawn from
/// a seed.
/// @param seed any number; equal seeds lead to equal orders.
inline run_options shuffled_order(std::uint64_t seed) noexcept { return {.virtual_time = true, .order_seed = seed}; }

} // namespace asynchio::testing

#pragma GCC visibility pop
