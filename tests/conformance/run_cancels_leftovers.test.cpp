// SPDX-License-Identifier: BSL-1.0

// run() gives the result of its main task only after it cancelled the tasks that still run and awaited their cleanup;
// one of them that fails goes to the exception handler.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<> leftover() {
    std::exception_ptr stop;
    try {
        co_await aio::sleep(10s);
    } catch (const aio::cancelled_error&) {
        stop = std::current_exception();
    }
    if (stop) {
        print("leftover cancelled");
        co_await aio::sleep(20ms);
        print("leftover cleaned up");
        std::rethrow_exception(stop);
    }
}

aio::task<> broken() {
    const auto cleanup = []() -> aio::task<> {
        co_await aio::sleep(40ms);
        throw python::value_error("broken cleanup");
    };
    co_await aio::finally(aio::sleep(10s), cleanup);
}

void handler(aio::event_loop&, const aio::exception_context& context) {
    try {
        std::rethrow_exception(context.exception);
    } catch (const std::exception& e) {
        print("handler:", context.message, "|", e.what());
    }
}

aio::task<std::string> amain(std::vector<aio::task_handle<>>& keep) {
    aio::get_running_loop().set_exception_handler(handler);
    keep.push_back(aio::create_task(leftover()));
    keep.push_back(aio::create_task(broken()));
    co_await aio::sleep(0s);
    print("main returns");
    co_return "result";
}

int main() {
    std::vector<aio::task_handle<>> keep;
    print(aio::run(amain(keep), aio::testing::virtual_clock()));
    print(python::cancelled(keep));
}
