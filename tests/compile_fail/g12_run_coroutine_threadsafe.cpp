// SPDX-License-Identifier: BSL-1.0

// g++ 12 destroys a temporary lambda with captures twice inside co_await.

// compiler: gnu<13
// expect: g\+\+ before 13 destroys this temporary twice inside co_await

#include <asynchio/task/take.hpp>
#include <asynchio/thread/run_coroutine_threadsafe.hpp>
#include <asynchio/thread/wrap_future.hpp>

#include <memory>

namespace aio = asynchio;

aio::task<> use(std::shared_ptr<int> value);

aio::task<> program(std::shared_ptr<int> value, aio::loop_ref loop) {
    static_cast<void>(loop);
#ifdef ASYNCHIO_CORRECT
    auto body = [value] { return use(value); };
    co_await aio::wrap_future(aio::run_coroutine_threadsafe(aio::take(body), loop));
#else
    co_await aio::wrap_future(aio::run_coroutine_threadsafe([value] { return use(value); }, loop));
#endif
}
