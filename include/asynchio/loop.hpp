// SPDX-License-Identifier: BSL-1.0
#pragma once

// Module loop: the event loop and its policies.

#include <asynchio/loop/callback.hpp>
#include <asynchio/loop/clock.hpp>
#include <asynchio/loop/context.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/loop/exception_context.hpp>
#include <asynchio/loop/loop_ref.hpp>
#include <asynchio/loop/poller_kind.hpp>
#include <asynchio/loop/run_options.hpp>
