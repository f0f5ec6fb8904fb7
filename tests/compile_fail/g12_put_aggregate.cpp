// SPDX-License-Identifier: BSL-1.0

// g++ 12 destroys a braced aggregate twice inside co_await.

// compiler: gnu<13
// expect: g\+\+ before 13 destroys this temporary twice inside co_await

#include <asynchio/sync/queue.hpp>
#include <asynchio/task/task.hpp>

#include <string>

namespace aio = asynchio;

struct job {
    std::string name;
};

aio::task<> program(aio::queue<job>& q) {
#ifdef ASYNCHIO_CORRECT
    job next{"clean"};
    co_await q.put(aio::take(next));
#else
    co_await q.put(job{"clean"});
#endif
}
