// SPDX-License-Identifier: BSL-1.0

// expect: a done callback is called with the handle, or with nothing

#include <asynchio/task/task_handle.hpp>

namespace aio = asynchio;

void program(const aio::task_handle<int>& handle) {
#ifdef ASYNCHIO_CORRECT
    handle.add_done_callback([](const aio::task_handle<int>& done) { static_cast<void>(done.result()); });
#else
    handle.add_done_callback([](int result) { static_cast<void>(result); });
#endif
}
