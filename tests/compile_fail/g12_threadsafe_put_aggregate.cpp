// SPDX-License-Identifier: BSL-1.0

// g++ 12 destroys a braced aggregate twice inside co_await.

// compiler: gnu<13
// expect: g\+\+ before 13 destroys this temporary twice inside co_await

#include <asynchio/task/task.hpp>
#include <asynchio/thread/threadsafe_queue.hpp>

#include <string>

namespace aio = asynchio;

struct request {
    std::string host;
    int port;
};

aio::task<> program(aio::threadsafe_queue<request>& requests) {
#ifdef ASYNCHIO_CORRECT
    request next{"localhost", 80};
    co_await requests.put(aio::take(next));
#else
    co_await requests.put(request{"localhost", 80});
#endif
}
