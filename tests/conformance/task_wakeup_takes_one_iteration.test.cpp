// SPDX-License-Identifier: BSL-1.0

// To the tick: a future's result resumes the awaiter in the next iteration; a task that awaits a task resumes one
// iteration after the child's last step.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<> ticker() {
    for (int i = 0; i < 8; ++i) {
        print("tick", i);
        co_await aio::sleep(0s);
    }
}

aio::task<> leaf(aio::future<> f) {
    print("leaf waits");
    co_await f;
    print("leaf resumed");
}

aio::task<> mid(aio::task_handle<> t) {
    co_await t;
    print("mid resumed");
}

aio::task<> amain() {
    auto f = aio::get_running_loop().create_future<>();
    auto tick = aio::create_task(ticker());
    auto a = aio::create_task(leaf(f));
    auto b = aio::create_task(mid(a));
    co_await aio::sleep(0s);
    co_await aio::sleep(0s);
    print("set_result");
    f.set_result();
    co_await b;
    print("main resumed");
    co_await tick;
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
