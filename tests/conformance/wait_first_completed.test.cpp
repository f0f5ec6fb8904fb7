// SPDX-License-Identifier: BSL-1.0

// wait(first_completed) gives what is done and what is pending, and does not cancel the latter.

#include <asynchio.hpp>

#include "support/python.hpp"

#include <algorithm>

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;
using handle_list = std::vector<aio::task_handle<std::string>>;

aio::task<std::string> job(std::string name, aio::duration delay) {
    co_await aio::sleep(delay);
    print(name, "end");
    co_return name;
}

std::vector<std::string> names(const handle_list& ts) {
    std::vector<std::string> found;
    for (const auto& t : ts) found.push_back(t.name());
    std::sort(found.begin(), found.end());
    return found;
}

aio::task<> amain() {
    handle_list pending;
    pending.push_back(aio::create_task(job("a", 240ms), "a"));
    pending.push_back(aio::create_task(job("b", 40ms), "b"));
    pending.push_back(aio::create_task(job("c", 140ms), "c"));
    while (!pending.empty()) {
        auto r = co_await aio::wait(pending, aio::first_completed);
        pending = r.pending;
        print("done", names(r.done), "pending", names(pending));
    }
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
