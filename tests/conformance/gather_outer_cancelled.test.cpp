// SPDX-License-Identifier: BSL-1.0

// Cancelling the task that awaits gather cancels every unfinished child, in argument order; of watched children the
// awaiter resumes as soon as the first one is cancelled, not after all cleanups.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;
using handle_list = std::vector<aio::task_handle<std::string>>;

aio::task<std::string> job(std::string name, aio::duration cleanup) {
    std::exception_ptr stop;
    try {
        co_await aio::sleep(10s);
    } catch (const aio::cancelled_error&) {
        stop = std::current_exception();
    }
    if (stop) {
        print(name, "cleanup begins");
        co_await aio::sleep(cleanup);
        print(name, "cleanup ends");
        std::rethrow_exception(stop);
    }
    co_return "None";
}

aio::task<std::string> quick() { co_return "quick"; }

aio::task<> outer(handle_list ts) {
    try {
        co_await aio::gather(ts);
    } catch (const aio::cancelled_error&) {
        print("outer CancelledError, done:", python::done(ts));
        throw;
    }
}

aio::task<> amain() {
    handle_list ts;
    ts.push_back(aio::create_task(job("a", 120ms)));
    ts.push_back(aio::create_task(quick()));
    ts.push_back(aio::create_task(job("b", 40ms)));
    ts.push_back(aio::create_task(job("c", 80ms)));
    auto o = aio::create_task(outer(ts));
    co_await aio::sleep(20ms);
    print("cancel ->", o.cancel());
    co_await aio::wait(o);
    print("outer cancelled:", o.cancelled());
    co_await aio::wait(ts);
    print(python::cancelled(ts));
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
