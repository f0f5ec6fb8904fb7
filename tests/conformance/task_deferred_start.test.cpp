// SPDX-License-Identifier: BSL-1.0

// create_task only schedules; awaiting a task directly runs it inline.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<std::string> child(std::string name) {
    print(name, "start");
    co_await aio::sleep(0s);
    print(name, "end");
    co_return name;
}

aio::task<> amain() {
    print("create");
    auto t = aio::create_task(child("task"));
    print("created, done:", t.done());
    const std::string r = co_await child("inline");
    print("inline returned", r, "task done:", t.done());
    const std::string& result = co_await t;
    print("task returned", result);
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
