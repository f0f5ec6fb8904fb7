// SPDX-License-Identifier: BSL-1.0
#pragma once

// The tools, and the environment variables that set them to work without another line: include this in one file of a
// program. See environment_tools below.

#include <asynchio/debug/detail/environment.hpp>
#include <asynchio/debug/dump_on_signal.hpp>
#include <asynchio/debug/metrics.hpp>
#include <asynchio/debug/resources.hpp>
#include <asynchio/debug/timeit.hpp>
#include <asynchio/debug/watchdog.hpp>

#pragma GCC visibility push(default)

namespace asynchio::debug {

/// Whether the environment asks for a tool, in this process. A program that includes this header reads these
/// variables when it starts, unless it is set-uid:
///
/// ASYNCHIO_WATCHDOG is a duration such as 100ms, 2s or 1min: each loop gets a watchdog with that limit, which reports
/// to stderr, and gives way to one that the program makes.
/// A bad value is one line on stderr, and the program goes on without the tool.
/// Threads: any.
/// Cost: without the variables, nothing; with them, see watchdog.
/// Example: `ASYNCHIO_WATCHDOG=100ms ./server`
/// See also: watchdog.
inline const bool environment_tools = detail::use_environment();

} // namespace asynchio::debug

#pragma GCC visibility pop
