// SPDX-License-Identifier: BSL-1.0

// A call scheduled by a call runs in the next iteration, after everything that was ready already: here after all of the
// first round.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

void call(aio::future<std::string> fin, std::string name, int depth) {
    print("round", depth, name);
    if (depth < 3) {
        aio::get_running_loop().call_soon(call, fin, name, depth + 1);
    } else if (name == "c") {
        fin.set_result("fin");
        print("result set, waiter not yet resumed");
    }
}

aio::task<> amain() {
    auto& loop = aio::get_running_loop();
    auto fin = loop.create_future<std::string>();
    for (const char* name : {"a", "b", "c"}) loop.call_soon(call, fin, name, 1);
    print("scheduled");
    const std::string& result = co_await fin;
    print(result);
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
