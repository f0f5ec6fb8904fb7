// SPDX-License-Identifier: BSL-1.0

// A group owns its children.

// expect: (deleted function|deleted copy|no matching function|deleted constructor|implicitly deleted)

#include <asynchio/combine/task_group.hpp>

namespace aio = asynchio;

#ifdef ASYNCHIO_CORRECT
aio::task_group& pass(aio::task_group& group) { return group; }
#else
aio::task_group pass(aio::task_group& group) { return group; }
#endif
