// SPDX-License-Identifier: BSL-1.0

// as_completed gives the handles in order of completion; each result is awaited; an exception comes at its own
// position, and the iteration can go on.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<std::string> job(std::string name, aio::duration delay, bool fail = false) {
    co_await aio::sleep(delay);
    if (fail) throw python::value_error(name);
    co_return name;
}

aio::task<> amain() {
    std::vector<aio::task_handle<std::string>> ts;
    ts.push_back(aio::create_task(job("a", 120ms)));
    ts.push_back(aio::create_task(job("b", 40ms)));
    ts.push_back(aio::create_task(job("c", 80ms, true)));
    ts.push_back(aio::create_task(job("d", 160ms)));
    int n = 0;
    auto completed = aio::as_completed(ts);
    while (auto next = co_await completed.next()) {
        try {
            const std::string& result = co_await *next;
            print(n, result);
        } catch (const python::value_error& e) {
            print(n, "ValueError", e.what());
        }
        ++n;
    }
    print("end", python::done(ts));
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
