// SPDX-License-Identifier: BSL-1.0

// wait(first_exception) returns at the first failure; a mere completion or a cancelled child does not end it; the
// exception is not thrown by wait.

#include <asynchio.hpp>

#include "support/python.hpp"

#include <algorithm>

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;
using handle_list = std::vector<aio::task_handle<>>;

aio::task<> job(std::string name, aio::duration delay, bool fail) {
    co_await aio::sleep(delay);
    print(name, "end");
    if (fail) throw python::value_error(name);
}

std::vector<std::string> names(const handle_list& ts) {
    std::vector<std::string> found;
    for (const auto& t : ts) found.push_back(t.name());
    std::sort(found.begin(), found.end());
    return found;
}

aio::task_handle<> make(const char* name, aio::duration delay, bool fail = false) {
    return aio::create_task(job(name, delay, fail), name);
}

std::string message(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const python::value_error& e) {
        return e.what();
    }
}

aio::task<> amain() {
    handle_list ts;
    ts.push_back(make("ok", 40ms));
    ts.push_back(make("victim", 10s));
    ts.push_back(make("bad", 120ms, true));
    ts.push_back(make("slow", 200ms));
    aio::get_running_loop().call_later(80ms, [victim = ts[1]] { victim.cancel(); });
    auto r = co_await aio::wait(ts, aio::first_exception);
    print("done", names(r.done), "pending", names(r.pending));
    auto rest = co_await aio::wait(r.pending, aio::first_exception);
    print("done", names(rest.done), "pending", names(rest.pending));
    print("exception:", message(ts[2].exception()));
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
