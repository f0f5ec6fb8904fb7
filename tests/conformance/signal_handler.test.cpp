// SPDX-License-Identifier: BSL-1.0

// add_signal_handler: the call runs in the loop (not in the middle of running code), in an iteration after the signal;
// removal reports success.

#include <asynchio.hpp>

#include "support/python.hpp"

#include <csignal>
#include <system_error>

namespace aio = asynchio;
using namespace std::chrono_literals;
using python::print;

aio::task<> amain() {
    aio::event_loop& loop = aio::get_running_loop();
    const aio::future<int> got = loop.create_future<int>();
    loop.add_signal_handler(SIGUSR1, [got] {
        print("handler");
        got.set_result(1);
    });
    std::raise(SIGUSR1);
    print("after kill, handler has not run:", !got.done());
    co_await got;
    loop.add_signal_handler(SIGUSR1, [] { print("replaced handler"); });
    std::raise(SIGUSR1);
    co_await aio::sleep(40ms);
    print("removed:", loop.remove_signal_handler(SIGUSR1));
    print("removed again:", loop.remove_signal_handler(SIGUSR1));
    try {
        loop.add_signal_handler(SIGKILL, [] {});
    } catch (const std::system_error&) {
        print("SIGKILL refused");
    }
}

int main() { aio::run(amain()); }
