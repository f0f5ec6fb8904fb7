// SPDX-License-Identifier: BSL-1.0

// What goes through a queue between threads must be movable.

// expect: what goes through a threadsafe_queue is an object that can be moved

#include <asynchio/thread/threadsafe_queue.hpp>

#include <memory>
#include <mutex>

namespace aio = asynchio;

#ifdef ASYNCHIO_CORRECT
using item = std::unique_ptr<std::mutex>;
#else
using item = std::mutex;
#endif

aio::threadsafe_queue<item> queue(1);
