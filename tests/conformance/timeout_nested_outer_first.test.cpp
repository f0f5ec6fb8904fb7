// SPDX-License-Identifier: BSL-1.0

// The outer deadline passes first: the inner block only sees cancelled_error, since it has not expired; the outer one
// turns it into timeout_error.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<> amain() {
    auto outer = aio::timeout(40ms);
    auto outer_block = []() -> aio::task<> {
        auto inner = aio::timeout(10s);
        try {
            co_await aio::with(inner, aio::sleep(10s));
        } catch (const aio::cancelled_error&) {
            print("between: CancelledError, inner expired:", inner.expired());
            throw;
        } catch (const aio::timeout_error&) {
            print("between: TimeoutError (must not appear)");
            throw;
        }
    };
    try {
        co_await aio::with(outer, outer_block);
    } catch (const aio::timeout_error&) {
        print("outer TimeoutError, outer expired:", outer.expired());
    }
    print("cancelling:", aio::current_task().cancelling());
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
