// SPDX-License-Identifier: BSL-1.0

// A task is given up to who runs it.

// expect: a task is given up to who runs it: write std::move\(t\)

#include <asynchio/task/run.hpp>

#include <utility>

namespace aio = asynchio;

aio::task<int> program();

int main() {
    auto t = program();
#ifdef ASYNCHIO_CORRECT
    return aio::run(std::move(t));
#else
    return aio::run(t);
#endif
}
