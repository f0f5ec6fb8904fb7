// SPDX-License-Identifier: BSL-1.0

// A task gets a copy of the context at its creation and keeps its changes to itself; callbacks and to_thread see the
// context of the place that scheduled them.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

const aio::context_var<std::string> var("var", "default");

aio::task<> child(std::string name) {
    print(name, "sees", var.get());
    var.set(name);
    co_await aio::sleep(0s);
    print(name, "keeps", var.get());
}

aio::task<> inline_coroutine() {
    var.set("set inline");
    co_return;
}

aio::task<> amain() {
    auto& loop = aio::get_running_loop();
    var.set("main");
    auto t = aio::create_task(child("t1"));
    loop.call_soon([] { print("callback sees", var.get()); });
    var.set("changed after create");
    auto u = aio::create_task(child("t2"));
    co_await aio::gather(t, u);
    print("main sees", var.get());
    co_await inline_coroutine();
    print("inline coroutine shares:", var.get());
    const auto look = [] { return var.get(); };
    const std::string seen = co_await aio::to_thread(look);
    print("thread sees", seen);
}

int main() { aio::run(amain()); }
