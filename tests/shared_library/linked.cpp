// SPDX-License-Identifier: BSL-1.0

// Linked libraries share the loop, the frames, the contexts and the types of exceptions, whatever their visibility.

#include "work.hpp"

#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/testing/audit.hpp>
#include <asynchio/thread/default_pool.hpp>

#include <cstdio>

work work_of_a, work_of_b;
running loop_of_a, loop_of_b;
pool pool_of_a, pool_of_b;
late late_of_a, late_of_b;

static int failures = 0;
static void check(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "%s\n", what);
    ++failures;
}

static aio::task<> checks() {
    aio::mutex shared;
    aio::context_var<int> variable("variable", 0);
    variable.set(100);
    check(&loop_of_a() == &aio::get_running_loop() && &loop_of_b() == &loop_of_a(), "a library sees another loop");
    const void* own = &aio::detail::default_pool::of(aio::detail::running_core());
    check(pool_of_a() == own && pool_of_b() == own, "a library has a pool of its own");
    auto both = co_await aio::gather(work_of_a(1, shared, variable), work_of_b(2, shared, variable));
    check(std::get<0>(both) == 108 && std::get<1>(both) == 109, "what the libraries gave is wrong");
    const auto sleeps = aio::create_task(work_of_a(1, shared, variable));
    co_await aio::yield();
    sleeps.cancel();
    const auto outcome = co_await aio::nothrow(sleeps);
    check(outcome.cancelled(), "a library's task was not cancelled");
    for (late* each : {&late_of_a, &late_of_b}) {
        bool caught = false;
        try {
            co_await each();
        } catch (const aio::timeout_error&) {
            caught = true;
        }
        check(caught, "a library's exception has a type of its own");
    }
}

int main() {
    aio::run(checks());
    check(aio::testing::audit().clean(), "something is left");
    return failures;
}
