// SPDX-License-Identifier: BSL-1.0
#pragma once

// Room loop: the event loop and its policies.

#include <asynchio/loop/busy_interval.hpp>
#include <asynchio/loop/callback.hpp>
#include <asynchio/loop/clock.hpp>
#include <asynchio/loop/context.hpp>
#include <asynchio/loop/context_map.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/loop/exception_context.hpp>
#include <asynchio/loop/exception_handler.hpp>
#include <asynchio/loop/fork_count.hpp>
#include <asynchio/loop/frame_memory.hpp>
#include <asynchio/loop/frame_pool.hpp>
#include <asynchio/loop/intrusive_list.hpp>
#include <asynchio/loop/loop_ref.hpp>
#include <asynchio/loop/mailbox.hpp>
#include <asynchio/loop/native_thread.hpp>
#include <asynchio/loop/poller.hpp>
#include <asynchio/loop/ready_queue.hpp>
#include <asynchio/loop/run_options.hpp>
#include <asynchio/loop/running_mark.hpp>
#include <asynchio/loop/scheduler.hpp>
#include <asynchio/loop/selector.hpp>
#include <asynchio/loop/services.hpp>
#include <asynchio/loop/shuffled_order.hpp>
#include <asynchio/loop/signals.hpp>
#include <asynchio/loop/stack_room.hpp>
#include <asynchio/loop/step_observer.hpp>
#include <asynchio/loop/task_creator.hpp>
#include <asynchio/loop/timer_queue.hpp>
#include <asynchio/loop/watches.hpp>
