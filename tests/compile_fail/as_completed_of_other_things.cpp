// SPDX-License-Identifier: BSL-1.0

// as_completed takes a range of handles, or of tasks for with(); nothing else.

// expect: as_completed takes a range of handles, or a range of tasks that goes to with

#include <asynchio/combine/as_completed.hpp>

#include <variant>
#include <vector>

namespace aio = asynchio;

#ifdef ASYNCHIO_CORRECT
using things = std::vector<aio::any_task_handle>;
#else
using things = std::vector<std::variant<aio::task_handle<int>, aio::task_handle<>>>;
#endif

aio::task<> program(things given) {
    auto finished = aio::as_completed(given);
    while (auto next = co_await finished.next()) next->cancel();
}
