// SPDX-License-Identifier: BSL-1.0

// g++ 12 destroys a temporary lambda with captures twice inside co_await.

// compiler: gnu<13
// expect: g\+\+ before 13 destroys this temporary twice inside co_await

#include <asynchio/combine/on_cancel.hpp>

#include <chrono>
#include <memory>

namespace aio = asynchio;

struct resource {
    resource() = default;
    aio::task<> aclose();
};

aio::task<> use(std::shared_ptr<int> value);

aio::task<> program(std::shared_ptr<int> value, resource& it) {
    static_cast<void>(it);
#ifdef ASYNCHIO_CORRECT
    auto body = [value] { return use(value); };
    co_await aio::on_cancel(use(value), body);
#else
    co_await aio::on_cancel(use(value), [value] { return use(value); });
#endif
}
