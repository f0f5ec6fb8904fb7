// SPDX-License-Identifier: BSL-1.0

// event::set() wakes all who wait, in order, even if clear() follows at once; waiting for a set event does not yield.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<> waiter(aio::event& ev, std::string name) {
    print(name, "waits");
    co_await ev.wait();
    print(name, "woke: True is_set:", ev.is_set()); // Python's wait() gives True
}

aio::task<> amain() {
    aio::event ev;
    std::vector<aio::task_handle<>> ts;
    for (const char* n : {"a", "b", "c"}) ts.push_back(aio::create_task(waiter(ev, n)));
    co_await aio::sleep(0s);
    ts[1].cancel();
    ev.set();
    ev.clear();
    print("set and cleared");
    const auto r = co_await aio::gather(aio::return_exceptions, ts);
    std::vector<std::string> types;
    for (const auto& each : r) types.push_back(each.cancelled() ? "CancelledError" : "NoneType");
    print(types);
    ev.set();
    ev.set();
    aio::get_running_loop().call_soon([] { print("callback"); });
    co_await ev.wait();
    co_await ev.wait();
    print("wait on a set event did not yield");
    co_await aio::sleep(0s);
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
