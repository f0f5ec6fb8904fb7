// SPDX-License-Identifier: BSL-1.0

// g++ 12 destroys a temporary lambda with captures twice inside co_await.

// compiler: gnu<13
// expect: g\+\+ before 13 destroys this temporary twice inside co_await

#include <asynchio/io/server.hpp>

#include <memory>
#include <utility>

namespace aio = asynchio;

aio::task<> answer(aio::stream client, std::shared_ptr<int> value);

aio::task<> program(std::shared_ptr<int> value) {
#ifdef ASYNCHIO_CORRECT
    auto handler = [value](aio::stream client) { return answer(std::move(client), value); };
    co_await aio::start_server(handler, "localhost", 0);
#else
    co_await aio::start_server([value](aio::stream client) { return answer(std::move(client), value); }, "localhost",
                               0);
#endif
}
