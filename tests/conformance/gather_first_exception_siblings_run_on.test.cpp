// SPDX-License-Identifier: BSL-1.0

// The first exception of watched children reaches the awaiter at once; the others are not cancelled; later exceptions
// are dropped.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<std::string> job(std::string name, aio::duration delay, std::exception_ptr error = nullptr) {
    try {
        co_await aio::sleep(delay);
    } catch (const aio::cancelled_error&) {
        print(name, "cancelled (must not appear)");
        throw;
    }
    print(name, "end");
    if (error) std::rethrow_exception(error);
    co_return name;
}

aio::task<> amain() {
    std::vector<aio::task_handle<std::string>> ts;
    ts.push_back(aio::create_task(job("a", 120ms)));
    ts.push_back(aio::create_task(job("b", 40ms, std::make_exception_ptr(python::value_error("b failed")))));
    ts.push_back(aio::create_task(job("c", 80ms, std::make_exception_ptr(python::key_error("c failed")))));
    auto g = aio::create_task(aio::gather(ts));
    try {
        co_await g;
    } catch (const python::value_error& e) {
        print("gather raised", e.what(), "| done:", python::done(ts));
    }
    print("cancel finished gather ->", g.cancel());
    co_await aio::wait(ts);
    print("a result:", ts[0].result());
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
