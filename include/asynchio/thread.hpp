// SPDX-License-Identifier: BSL-1.0
#pragma once

// Room thread: worker threads and the ways across.

#include <asynchio/thread/worker_count.hpp>
