// SPDX-License-Identifier: BSL-1.0
#pragma once

// Module thread: worker threads and the ways across.

#include <asynchio/thread/concurrent_future.hpp>
#include <asynchio/thread/default_pool.hpp>
#include <asynchio/thread/loop_group.hpp>
#include <asynchio/thread/parallel_for.hpp>
#include <asynchio/thread/run_coroutine_threadsafe.hpp>
#include <asynchio/thread/run_in_executor.hpp>
#include <asynchio/thread/thread_pool.hpp>
#include <asynchio/thread/threadsafe_queue.hpp>
#include <asynchio/thread/to_thread.hpp>
#include <asynchio/thread/wrap_future.hpp>
