// SPDX-License-Identifier: BSL-1.0

// At most N at a time is a semaphore. At most N per second is a semaphore too, whose permits come back a second after
// they were taken. Under the virtual clock, so that you need not wait.
//
//     c++ -std=c++20 -pthread -Iinclude examples/rate_limiter.cpp -o rate_limiter
//
// Run: ./rate_limiter
// Prints:
//   two at a time, of 300 ms each:
//     request 0 sent after 0 ms
//     request 1 sent after 0 ms
//     request 2 sent after 300 ms
//     request 3 sent after 300 ms
//     request 4 sent after 600 ms
//   two a second:
//     request 0 sent after 0 ms
//     request 1 sent after 0 ms
//     request 2 sent after 1000 ms
//     request 3 sent after 1000 ms
//     request 4 sent after 2000 ms
//
// Read next: resource_pool.cpp

#include <asynchio/combine.hpp>
#include <asynchio/sync.hpp>
#include <asynchio/task.hpp>
#include <asynchio/testing.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <iostream>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;

/// Lets `n` pass per `period`, in order of arrival. A resource for with.
class rate_limiter {
public:
    rate_limiter(std::ptrdiff_t n, aio::duration period) : permits_(n), period_(period) {}

    aio::task<> async_enter() {
        co_await permits_.acquire();
        aio::get_running_loop().call_later(period_, [this] { permits_.release(); });
    }
    void async_exit(std::exception_ptr) {}

private:
    aio::semaphore permits_;
    aio::duration period_;
};

aio::task<> request(int number, aio::time_point begin) {
    const auto after = std::chrono::duration_cast<std::chrono::milliseconds>(aio::clock::now() - begin);
    std::cout << "  request " << number << " sent after " << after.count() << " ms\n";
    co_await aio::sleep(300ms);
}

/// Five requests at once, each of which has to pass `limit` first.
template<class Limit>
aio::task<> send_all(Limit& limit) {
    const auto begin = aio::clock::now();
    std::vector<aio::task<>> requests;
    requests.reserve(5);
    for (int number = 0; number < 5; ++number)
        requests.push_back(aio::with(limit, [number, begin] { return request(number, begin); }));
    co_await aio::gather(std::move(requests));
}

aio::task<> show_limits() {
    std::cout << "two at a time, of 300 ms each:\n";
    aio::semaphore at_a_time(2);
    co_await send_all(at_a_time);
    std::cout << "two a second:\n";
    rate_limiter per_second(2, 1s);
    co_await send_all(per_second);
    co_await aio::sleep(1s); // until the last permits are back
}

int main() { aio::run(show_limits(), aio::testing::virtual_clock()); }
