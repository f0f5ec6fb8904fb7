// SPDX-License-Identifier: BSL-1.0

// A mutex is first come, first served; unlock() hands over to the first who waits, who owns it when it runs; with
// unlocks on exceptions.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<> worker(aio::mutex& lock, std::string name) {
    print(name, "wants");
    auto body = [&]() -> aio::task<> {
        print(name, "has it");
        co_await aio::sleep(20ms);
        if (name == "b") throw python::value_error(name);
    };
    co_await aio::with(lock, body);
    print(name, "released");
}

std::string show(const aio::outcome<void>& r) {
    try {
        r.value();
        return "None";
    } catch (const python::value_error& e) {
        return e.what();
    }
}

aio::task<> amain() {
    aio::mutex lock;
    std::vector<aio::task_handle<>> ts;
    for (const char* n : {"a", "b", "c"}) ts.push_back(aio::create_task(worker(lock, n)));
    co_await aio::sleep(0s);
    print("locked:", lock.locked());
    const auto r = co_await aio::gather(aio::return_exceptions, ts);
    std::vector<std::string> shown;
    for (const auto& each : r) shown.push_back(show(each));
    print("locked:", lock.locked(), shown);
    try {
        lock.release();
    } catch (const std::logic_error&) {
        print("RuntimeError: not acquired");
    }
}

int main() { aio::run(amain(), aio::testing::virtual_clock()); }
