// SPDX-License-Identifier: BSL-1.0

// g++ 12 destroys a temporary lambda with captures twice inside co_await.

// compiler: gnu<13
// expect: g\+\+ before 13 destroys this temporary twice inside co_await

#include <asynchio/combine/task_group.hpp>

#include <memory>

namespace aio = asynchio;

aio::task<> use(std::shared_ptr<int> value);

aio::task<> program(std::shared_ptr<int> value, aio::task_group& group) {
#ifdef ASYNCHIO_CORRECT
    auto child = [value](aio::task_status<>&) { return use(value); };
    co_await group.start(child);
#else
    co_await group.start([value](aio::task_status<>&) { return use(value); });
#endif
}
