// SPDX-License-Identifier: BSL-1.0

// Errors are collected in the order in which the children end; a sibling that fails while it is cancelled is included;
// a plain cancellation is not.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<> fails(std::string name, aio::duration delay) {
    co_await aio::sleep(delay);
    throw python::value_error(name);
}

aio::task<> fails_on_cancel(std::string name, aio::duration cleanup) {
    bool cancelled = false;
    try {
        co_await aio::sleep(10s);
    } catch (const aio::cancelled_error&) {
        cancelled = true;
    }
    if (cancelled) {
        co_await aio::sleep(cleanup);
        print(name, "raises in cleanup");
        throw python::key_error(name);
    }
}

using named_error = std::pair<std::string, std::string>;

std::vector<named_error> errors(const aio::exception_group& group) {
    std::vector<named_error> found;
    for (const std::exception_ptr& each : group.exceptions()) {
        try {
            std::rethrow_exception(each);
        } catch (const python::value_error& e) {
            found.push_back(named_error("ValueError", e.what()));
        } catch (const python::key_error& e) {
            found.push_back(named_error("KeyError", e.what()));
        }
    }
    return found;
}

aio::task<> amain() {
    auto body = [](aio::task_group& tg) -> aio::task<> {
        tg.create_task(fails_on_cancel("slow", 160ms));
        tg.create_task(fails_on_cancel("fast", 80ms));
        tg.create_task(aio::sleep(10s));
        tg.create_task(fails("first", 40ms));
        tg.create_task(fails("never (cancelled)", 120ms));
        print("body ends");
        co_return;
    };
    try {
        co_await aio::with(aio::task_group(), body);
    } catch (const aio::exception_group& eg) {
        print(eg.message());
        print(errors(eg));
    }
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
