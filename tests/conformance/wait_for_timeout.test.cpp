// SPDX-License-Identifier: BSL-1.0

// wait_for: the result in time; at the deadline the child is cancelled and its cleanup is awaited before timeout_error
// is thrown.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<std::string> job(aio::duration delay) {
    std::exception_ptr stop;
    try {
        co_await aio::sleep(delay);
        co_return "result";
    } catch (const aio::cancelled_error&) {
        stop = std::current_exception();
    }
    print("child cancelled, cleaning up");
    co_await aio::sleep(80ms);
    print("child cleaned up");
    std::rethrow_exception(stop);
}

aio::task<> amain() {
    const std::string in_time = co_await aio::wait_for(job(20ms), 1s);
    print(in_time);
    const std::string without_limit = co_await aio::wait_for(job(20ms), std::nullopt);
    print(without_limit);
    try {
        co_await aio::wait_for(job(10s), 40ms);
    } catch (const aio::timeout_error&) {
        print("TimeoutError, main cancelling:", aio::current_task().cancelling());
    }
    auto t = aio::create_task(job(10s));
    try {
        co_await aio::wait_for(t, 40ms);
    } catch (const aio::timeout_error&) {
        print("task cancelled:", t.cancelled());
    }
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
