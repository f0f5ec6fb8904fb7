// SPDX-License-Identifier: BSL-1.0

// One of two libraries with hidden visibility that are linked into the same program.

#include "work.hpp"

#include <asynchio/thread/default_pool.hpp>

[[gnu::visibility("default")]] work work_of_b;
[[gnu::visibility("default")]] running loop_of_b;
[[gnu::visibility("default")]] pool pool_of_b;
[[gnu::visibility("default")]] late late_of_b;

aio::task<int> work_of_b(int n, aio::mutex& shared, aio::context_var<int>& variable) {
    return works(n, shared, variable);
}
aio::event_loop& loop_of_b() { return aio::get_running_loop(); }
const void* pool_of_b() { return &aio::detail::default_pool::of(aio::detail::running_core()); }
aio::task<> late_of_b() {
    co_await aio::yield();
    throw aio::timeout_error();
}
