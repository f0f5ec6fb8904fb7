// SPDX-License-Identifier: BSL-1.0

// Several tasks wait for one future: set_result returns before any of them runs, then they resume in waiting order; a
// cancelled waiter cancels the bare future that it awaits, and so every other waiter too.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<> waiter(aio::future<int> f, std::string name) {
    try {
        const int got = co_await f;
        print(name, "got", got);
    } catch (const aio::cancelled_error&) {
        print(name, "CancelledError");
        throw;
    }
}

std::vector<aio::task_handle<>> start(const aio::future<int>& f, std::string_view names) {
    std::vector<aio::task_handle<>> ts;
    for (const char name : names) ts.push_back(aio::create_task(waiter(f, std::string(1, name))));
    return ts;
}

aio::task<> amain() {
    auto& loop = aio::get_running_loop();
    auto f = loop.create_future<int>();
    auto ts = start(f, "abc");
    co_await aio::sleep(0s);
    f.set_result(42);
    print("set_result returned");
    co_await aio::wait(ts);
    auto g = loop.create_future<int>();
    ts = start(g, "xyz");
    co_await aio::sleep(0s);
    ts[1].cancel();
    print("g cancelled:", g.cancelled());
    co_await aio::wait(ts);
    print(python::cancelled(ts));
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
