// SPDX-License-Identifier: BSL-1.0
#pragma once

// Module task: tasks, handles, futures, sleep, run, context variables, asynchronous generators.

#include <asynchio/task/async_generator.hpp>
#include <asynchio/task/co_invoke.hpp>
#include <asynchio/task/completion.hpp>
#include <asynchio/task/context_var.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/foreign.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/handle_base.hpp>
#include <asynchio/task/interval.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/run_until_complete.hpp>
#include <asynchio/task/runner.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/suspension.hpp>
#include <asynchio/task/take.hpp>
#include <asynchio/task/task.hpp>
#include <asynchio/task/task_handle.hpp>
#include <asynchio/task/yield.hpp>
