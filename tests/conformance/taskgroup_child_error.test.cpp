// SPDX-License-Identifier: BSL-1.0

// A failing child cancels its sibling and the body; the block throws an exception_group after the sibling's cleanup;
// the parent is uncancelled.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<> bad() {
    co_await aio::sleep(40ms);
    print("bad raises");
    throw python::value_error("bad");
}

aio::task<> sibling() {
    std::exception_ptr stop;
    try {
        co_await aio::sleep(10s);
    } catch (const aio::cancelled_error&) {
        stop = std::current_exception();
    }
    if (stop) {
        print("sibling cleanup begins");
        co_await aio::sleep(40ms);
        print("sibling cleanup ends");
        std::rethrow_exception(stop);
    }
}

std::vector<std::string> messages(const aio::exception_group& group) {
    std::vector<std::string> texts;
    for (const std::exception_ptr& each : group.exceptions()) {
        try {
            std::rethrow_exception(each);
        } catch (const python::value_error& e) {
            texts.push_back(e.what());
        }
    }
    return texts;
}

aio::task<> amain() {
    aio::task_handle<> s;
    auto body = [&s](aio::task_group& tg) -> aio::task<> {
        s = tg.create_task(sibling());
        tg.create_task(bad());
        try {
            co_await aio::sleep(10s);
        } catch (const aio::cancelled_error&) {
            print("body cancelled, cancelling:", aio::current_task().cancelling());
            throw;
        }
    };
    try {
        co_await aio::with(aio::task_group(), body);
    } catch (const aio::exception_group& eg) {
        print("group:", messages(eg), "sibling cancelled:", s.cancelled());
    }
    print("cancelling:", aio::current_task().cancelling());
    co_await aio::sleep(20ms);
    print("main goes on");
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
