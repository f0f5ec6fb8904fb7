// SPDX-License-Identifier: BSL-1.0

// run_coroutine_threadsafe from another thread: the coroutine runs in the loop, the thread blocks on a
// concurrent_future for its result or exception.

#include <asynchio.hpp>

#include "support/python.hpp"

#include <thread>

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

const std::thread::id main_thread = std::this_thread::get_id();

aio::task<int> work(int n) {
    co_await aio::sleep(20ms);
    print("work", n, "in loop thread:", std::this_thread::get_id() == main_thread);
    if (n < 0) throw python::value_error("negative");
    co_return n * 2;
}

void thread(const aio::loop_ref& loop) {
    for (const int n : {1, 2, -1}) {
        auto f = aio::run_coroutine_threadsafe(work(n), loop);
        try {
            if (!f.wait_for(5s)) throw aio::timeout_error();
            print("thread got", f.get());
        } catch (const python::value_error& e) {
            print("thread got ValueError", e.what());
        }
    }
}

aio::task<> amain() {
    const auto loop = aio::get_running_loop().ref();
    co_await aio::to_thread(thread, loop);
    print("end");
}

int main() { aio::run(amain()); }
