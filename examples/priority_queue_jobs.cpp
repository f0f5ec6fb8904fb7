// SPDX-License-Identifier: BSL-1.0

// A priority_queue gives the smallest item first, by `<` or by an order of your own; equal ones come in the order in
// which they were put. Jobs may be move-only. A lifo_queue gives the newest first.
//
//     c++ -std=c++20 -pthread -Iinclude examples/priority_queue_jobs.cpp -o priority_queue_jobs
//
// Run: ./priority_queue_jobs
// Prints:
//   fire alarm
//   call back Ann
//   call back Bob
//   water the plants
//   all done
//   newest first: 3 2 1
//
// Read next: rate_limiter.cpp

#include <asynchio/combine.hpp>
#include <asynchio/sync.hpp>
#include <asynchio/task.hpp>

#include <functional>
#include <iostream>
#include <string>
#include <utility>

namespace aio = asynchio;

class job {
public:
    job(int urgency, std::function<aio::task<>()> work) : urgency_(urgency), work_(std::move(work)) {}

    int urgency() const { return urgency_; }
    aio::task<> run() { return work_(); }

private:
    int urgency_;
    std::function<aio::task<>()> work_;
};

struct most_urgent_first {
    bool operator()(const job& a, const job& b) const { return a.urgency() > b.urgency(); }
};

using job_queue = aio::priority_queue<job, most_urgent_first>;

job says(int urgency, std::string text) {
    return job(urgency, [text]() -> aio::task<> {
        co_await aio::yield();
        std::cout << text << '\n';
    });
}

aio::task<> work_off(job_queue& jobs) {
    while (auto next = co_await jobs.next()) co_await next->run();
    std::cout << "all done\n";
}

aio::task<> show_jobs() {
    job_queue jobs;
    jobs.put_nowait(says(1, "water the plants"));
    jobs.put_nowait(says(5, "call back Ann"));
    jobs.put_nowait(says(5, "call back Bob"));
    jobs.put_nowait(says(9, "fire alarm"));
    jobs.shutdown(); // what is in it is still worked off
    co_await work_off(jobs);

    aio::lifo_queue<int> stack;
    for (int i = 1; i <= 3; ++i) stack.put_nowait(i);
    std::cout << "newest first:";
    while (!stack.empty()) std::cout << ' ' << stack.get_nowait();
    std::cout << '\n';
}

int main() { aio::run(show_jobs()); }
