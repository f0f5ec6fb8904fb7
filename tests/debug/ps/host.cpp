// SPDX-License-Identifier: BSL-1.0

// A program with a loop of its own that loads the target as a plugin, with a copy of the library and another loop:
// host LIBRARY ARGUMENTS... runs `target ARGUMENTS...` on a thread.

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/thread/to_thread.hpp>

#include <dlfcn.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace aio = asynchio;

static aio::task<> sleeps_in_host() { co_await aio::sleep(std::chrono::hours(1)); }

static aio::task<int> hosts(int count, char** arguments) {
    void* const library = ::dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        std::fprintf(stderr, "%s\n", ::dlerror());
        co_return 1;
    }
    using function = int (*)(int, char**);
    const auto run_target = reinterpret_cast<function>(::dlsym(library, "run_target"));
    if (run_target == nullptr) {
        std::fprintf(stderr, "%s\n", ::dlerror());
        co_return 1;
    }
    auto sleeper = aio::create_task(sleeps_in_host());
    sleeper.set_name("a task of the host");
    const int status = co_await aio::to_thread([=] { return run_target(count - 1, arguments + 1); });
    sleeper.cancel();
    co_return status;
}

int main(int count, char** arguments) {
    if (count < 3) {
        std::fputs("usage: host LIBRARY MODE [N]\n", stderr);
        return 2;
    }
    return aio::run(hosts(count, arguments));
}
