// SPDX-License-Identifier: BSL-1.0

// Guest mode: a program that has a main loop of its own, here around poll(2), runs tasks in it. It waits for one
// descriptor more, native_handle(), no longer than until next_deadline(), and then calls run_ready(), which never waits.
//
//     c++ -std=c++20 -pthread -Iinclude examples/guest_in_poll.cpp -o guest_in_poll
//
// Run: ./guest_in_poll
// Prints:
//   the guest asks
//   the host has read: how many?
//   the guest got 3
//   a thread computed 9
//   the guest is done
//
// Read next: eager_tasks.cpp

#include <asynchio/loop.hpp>
#include <asynchio/task.hpp>
#include <asynchio/thread.hpp>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <poll.h>
#include <string_view>
#include <unistd.h>

namespace aio = asynchio;
using namespace std::chrono_literals;

aio::task<> guest(int to_host, aio::future<int> answer) {
    co_await aio::sleep(10ms); // told by next_deadline()
    std::cout << "the guest asks\n";
    if (::write(to_host, "how many?", 9) != 9) std::abort();
    const int count = co_await answer; // set by the host
    std::cout << "the guest got " << count << '\n';
    const int square = co_await aio::to_thread([count] { return count * count; }); // told by native_handle()
    std::cout << "a thread computed " << square << '\n';
}

/// Returns how many milliseconds poll(2) may wait; -1 stands for any time.
int wait_of(const aio::event_loop& loop) {
    const std::optional<aio::time_point> deadline = loop.next_deadline();
    if (!deadline) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - loop.time());
    return left > 0ms ? static_cast<int>(left.count()) : 0;
}

int main() {
    int ends[2];
    if (::pipe(ends) != 0) std::abort();

    aio::runner runner;
    aio::event_loop& loop = runner.get_loop();
    aio::future<int> answer = loop.create_future<int>();
    const auto task = loop.create_task(guest(ends[1], answer));
    while (!task.done()) {
        pollfd watched[] = {{ends[0], POLLIN, 0}, {loop.native_handle(), POLLIN, 0}};
        ::poll(watched, 2, wait_of(loop));
        if (watched[0].revents != 0) { // the host's own business
            char text[16];
            const auto size = ::read(ends[0], text, sizeof text);
            if (size < 0) std::abort();
            std::cout << "the host has read: " << std::string_view(text, static_cast<std::size_t>(size)) << '\n';
            answer.set_result(3);
        }
        loop.run_ready();
    }
    std::cout << "the guest is done\n";
    ::close(ends[0]);
    ::close(ends[1]);
} // the runner waits for what is left
