// SPDX-License-Identifier: BSL-1.0

// gather(return_exceptions, ...) waits for all; exceptions and cancellations of single children are outcomes.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<std::string> job(std::string name, aio::duration delay, std::exception_ptr error = nullptr) {
    co_await aio::sleep(delay);
    print(name, "end");
    if (error) std::rethrow_exception(error);
    co_return name;
}

std::string show(const aio::outcome<std::string>& r) {
    try {
        return r.value();
    } catch (const aio::cancelled_error&) {
        return "CancelledError";
    } catch (const python::value_error&) {
        return "ValueError";
    }
}

aio::task<> amain() {
    auto victim = aio::create_task(job("victim", 10s));
    aio::get_running_loop().call_later(80ms, [victim] { victim.cancel(); });
    auto a = aio::create_task(job("a", 120ms));
    auto b = aio::create_task(job("b", 40ms, std::make_exception_ptr(python::value_error("x"))));
    auto r = co_await aio::gather(aio::return_exceptions, a, b, victim);
    std::vector<std::string> shown;
    shown.push_back(show(std::get<0>(r)));
    shown.push_back(show(std::get<1>(r)));
    shown.push_back(show(std::get<2>(r)));
    print(shown);
    print("main cancelling:", aio::current_task().cancelling());
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
