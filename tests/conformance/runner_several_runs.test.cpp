// SPDX-License-Identifier: BSL-1.0

// runner: several run() calls share one loop; a background task pauses between the runs and goes on in the next;
// close() cancels it.

#include <asynchio.hpp>

#include "support/python.hpp"

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<> background() {
    const auto work = []() -> aio::task<> {
        for (int i = 0; i < 100; ++i) {
            print("background", i);
            co_await aio::sleep(0s);
        }
    };
    const auto cleanup = [] { print("background finally"); };
    co_await aio::finally(work, cleanup);
}

aio::task<std::string> first(std::vector<aio::task_handle<>>& keep) {
    keep.push_back(aio::create_task(background()));
    co_await aio::sleep(0s);
    co_await aio::sleep(0s);
    co_return "first";
}

aio::task<std::string> second() {
    co_await aio::sleep(0s);
    co_return "second";
}

int main() {
    std::vector<aio::task_handle<>> keep;
    aio::runner runner(aio::testing::virtual_clock());
    print(runner.run(first(keep)));
    print("between the runs, closed:", runner.get_loop().is_closed());
    print(runner.run(second()));
    const aio::event_loop& loop = runner.get_loop();
    runner.close();
    print("closed:", loop.is_closed(), "background cancelled:", keep[0].cancelled());
    try {
        runner.run(second());
    } catch (const std::logic_error&) {
        print("RuntimeError: the runner is closed");
    }
}
