// SPDX-License-Identifier: BSL-1.0
#pragma once

// The tools, and the environment variables that set them to work without another line: include this in one file of a
// program. See environment_tools below.

#include <asynchio/debug/detail/environment.hpp>
#include <asynchio/debug/dump_on_signal.hpp>
#include <asynchio/debug/metrics.hpp>
#include <asynchio/debug/profiler.hpp>
#include <asynchio/debug/resources.hpp>
#include <asynchio/debug/serve.hpp>
#include <asynchio/debug/stall_report.hpp>
#include <asynchio/debug/step_profiler.hpp>
#include <asynchio/debug/timeit.hpp>
#include <asynchio/debug/trace.hpp>
#include <asynchio/debug/watchdog.hpp>
#include <asynchio/debug/watchdog_options.hpp>

#pragma GCC visibility push(default)

namespace asynchio::debug {

/// Whether the environment asks for a tool in this process. A program that includes this header reads four variables
/// when it starts, unless it is set-uid:
///
/// ASYNCHIO_WATCHDOG is a duration such as 100ms, 2s or 1min. Each loop gets a watchdog with that limit, which reports
/// to stderr, and gives way to one that the program makes.
///
/// ASYNCHIO_PROFILE is the path of a file that gets folded stacks, those of each loop when that is closed. What was in
/// the file is lost.
///
/// ASYNCHIO_TRACE is the path of a trace, see trace; ASYNCHIO_INSPECT is that of a socket, see serve. Each loop has its own:
/// the second one of a process adds .2 to the path, and so on.
///
/// `%p` in a path stands for the number of the process: child processes inherit the variable, and would use the same path.
///
/// A bad value is one line on stderr, and the program goes on without the tool.
/// Threads: any.
/// Cost: without the variables, nothing; with them, see the tools.
/// Example: `ASYNCHIO_WATCHDOG=100ms ASYNCHIO_PROFILE=server.folded ./server`
/// See also: watchdog, profiler, trace, serve.
inline const bool environment_tools = detail::use_environment();

} // namespace asynchio::debug

#pragma GCC visibility pop
