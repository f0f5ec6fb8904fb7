// SPDX-License-Identifier: BSL-1.0

// with(timeout): cancelled_error inside becomes timeout_error outside; expired(), and the counter is back to 0.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<> amain() {
    {
        auto cm = aio::timeout(40ms);
        auto block = [&cm]() -> aio::task<> {
            try {
                co_await aio::sleep(10s);
            } catch (const aio::cancelled_error&) {
                print("inside: CancelledError, expired:", cm.expired(),
                      "cancelling:", aio::current_task().cancelling());
                throw;
            }
        };
        try {
            co_await aio::with(cm, block);
            print("must not appear");
        } catch (const aio::timeout_error&) {
            print("outside: TimeoutError, expired:", cm.expired(), "cancelling:", aio::current_task().cancelling());
        }
    }
    {
        auto cm = aio::timeout(10s);
        co_await aio::with(cm, aio::sleep(20ms));
        print("in time, expired:", cm.expired());
    }
    {
        auto cm = aio::timeout(std::nullopt);
        co_await aio::with(cm, aio::sleep(20ms));
        print("no deadline, when:", cm.when() ? "a deadline" : "None", "expired:", cm.expired());
    }
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
