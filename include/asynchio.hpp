// SPDX-License-Identifier: BSL-1.0
#pragma once

// asynchio: Python's asyncio for C++20. Everything but the adapters; each module and each thing has its own header.

#include <asynchio/combine.hpp>
#include <asynchio/core.hpp>
#include <asynchio/debug.hpp>
#include <asynchio/io.hpp>
#include <asynchio/loop.hpp>
#include <asynchio/sync.hpp>
#include <asynchio/task.hpp>
#include <asynchio/testing.hpp>
#include <asynchio/thread.hpp>
#include <asynchio/version.hpp>
