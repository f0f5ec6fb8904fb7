// SPDX-License-Identifier: BSL-1.0

// g++ 12 destroys a temporary lambda with captures twice inside co_await.

// compiler: gnu<13
// expect: g\+\+ before 13 destroys this temporary twice inside co_await

#include <asynchio/thread/run_in_executor.hpp>

#include <memory>

namespace aio = asynchio;

aio::task<> program(std::shared_ptr<int> value) {
#ifdef ASYNCHIO_CORRECT
    auto body = [value] { return *value; };
    co_await aio::run_in_executor(aio::take(body));
#else
    co_await aio::run_in_executor([value] { return *value; });
#endif
}
