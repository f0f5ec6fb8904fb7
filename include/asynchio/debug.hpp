// SPDX-License-Identifier: BSL-1.0
#pragma once

// Module debug: what runs, and where it waits.

#include <asynchio/debug/call_graph.hpp>
#include <asynchio/debug/dump_tasks.hpp>
#include <asynchio/debug/function_name.hpp>
