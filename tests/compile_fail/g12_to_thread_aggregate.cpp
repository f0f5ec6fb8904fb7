// SPDX-License-Identifier: BSL-1.0

// g++ 12 destroys a braced aggregate twice inside co_await.

// compiler: gnu<13
// expect: g\+\+ before 13 destroys this temporary twice inside co_await

#include <asynchio/thread/to_thread.hpp>

#include <string>

namespace aio = asynchio;

struct request {
    std::string host;
    int port;
};

int ask(const request& what);

aio::task<int> program() {
#ifdef ASYNCHIO_CORRECT
    const request what{"localhost", 80};
    co_return co_await aio::to_thread(ask, what);
#else
    co_return co_await aio::to_thread(ask, request{"localhost", 80});
#endif
}
