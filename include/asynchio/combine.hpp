// SPDX-License-Identifier: BSL-1.0
#pragma once

// Module combine: several things awaited together, blocks with an end, streams.

#include <asynchio/combine/as_completed.hpp>
#include <asynchio/combine/exception_group.hpp>
#include <asynchio/combine/finally.hpp>
#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/map.hpp>
#include <asynchio/combine/merge.hpp>
#include <asynchio/combine/on_cancel.hpp>
#include <asynchio/combine/race.hpp>
#include <asynchio/combine/shield.hpp>
#include <asynchio/combine/task_group.hpp>
#include <asynchio/combine/task_status.hpp>
#include <asynchio/combine/timeout.hpp>
#include <asynchio/combine/wait.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/combine/with.hpp>
