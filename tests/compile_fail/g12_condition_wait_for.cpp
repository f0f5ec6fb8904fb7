// SPDX-License-Identifier: BSL-1.0

// g++ 12 destroys a temporary lambda with captures twice inside co_await.

// compiler: gnu<13
// expect: g\+\+ before 13 destroys this temporary twice inside co_await

#include <asynchio/sync/condition.hpp>

#include <memory>

namespace aio = asynchio;

aio::task<> program(aio::condition& c, std::shared_ptr<int> value) {
#ifdef ASYNCHIO_CORRECT
    auto there = [value] { return *value > 0; };
    co_await c.wait_for(there);
#else
    co_await c.wait_for([value] { return *value > 0; });
#endif
}
