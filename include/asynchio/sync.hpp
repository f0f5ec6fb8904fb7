// SPDX-License-Identifier: BSL-1.0
#pragma once

// Module sync: tasks of one loop that wait for each other.

#include <asynchio/sync/barrier.hpp>
#include <asynchio/sync/condition.hpp>
#include <asynchio/sync/event.hpp>
#include <asynchio/sync/lifo_queue.hpp>
#include <asynchio/sync/mutex.hpp>
#include <asynchio/sync/priority_queue.hpp>
#include <asynchio/sync/queue.hpp>
#include <asynchio/sync/semaphore.hpp>
