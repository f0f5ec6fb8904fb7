// SPDX-License-Identifier: BSL-1.0

// g++ 12 destroys a braced aggregate twice inside co_await.

// compiler: gnu<13
// expect: g\+\+ before 13 destroys this temporary twice inside co_await

#include <asynchio/combine/with.hpp>

#include <string>

namespace aio = asynchio;

struct connection {
    std::string host;
    aio::task<> aclose();
};

aio::task<> body();

aio::task<> program() {
#ifdef ASYNCHIO_CORRECT
    connection to{"localhost"};
    co_await aio::with(to, body);
#else
    co_await aio::with(connection{"localhost"}, body);
#endif
}
