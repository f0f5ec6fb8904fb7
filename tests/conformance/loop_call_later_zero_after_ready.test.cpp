// SPDX-License-Identifier: BSL-1.0

// call_later with a delay of 0 or less runs in the next iteration, but after the calls that were in the ready queue of
// that iteration already.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<> amain() {
    auto& loop = aio::get_running_loop();
    const auto say = [](const char* text) { print(text); };
    auto done = loop.create_future<>();
    loop.call_later(-1s, say, "timer -1");
    loop.call_soon(say, "soon 1");
    loop.call_soon([&] { loop.call_soon(say, "soon nested (next iteration)"); });
    loop.call_soon(say, "soon 2");
    loop.call_later(120ms, [done] { done.set_result(); });
    co_await done;
    print("end");
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
