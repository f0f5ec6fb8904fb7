// SPDX-License-Identifier: BSL-1.0

// g++ 12 destroys a temporary lambda with captures twice inside co_await.

// compiler: gnu<13
// expect: g\+\+ before 13 destroys this temporary twice inside co_await

#include <asynchio/task/co_invoke.hpp>
#include <asynchio/task/take.hpp>

#include <memory>

namespace aio = asynchio;

aio::task<> use(std::shared_ptr<int> value);

aio::task<> program(std::shared_ptr<int> value) {
#ifdef ASYNCHIO_CORRECT
    auto body = [value] { return use(value); };
    co_await aio::co_invoke(aio::take(body));
#else
    co_await aio::co_invoke([value] { return use(value); });
#endif
}
