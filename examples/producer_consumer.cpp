// SPDX-License-Identifier: BSL-1.0

// A queue between producers and consumers. It holds a few items, so fast producers wait for slow consumers; at the end
// it is shut down, and the consumers' loops end when it is drained.
//
//     c++ -std=c++20 -pthread -Iinclude examples/producer_consumer.cpp -o producer_consumer
//
// Run: ./producer_consumer
// Prints:
//   6 pages from 2 producers, 3 consumers
//   ann fetched 1 2 3
//   bob fetched 11 12 13
//   words in all pages: 420
//
// Read next: priority_queue_jobs.cpp

#include <asynchio/combine.hpp>
#include <asynchio/sync.hpp>
#include <asynchio/task.hpp>

#include <chrono>
#include <iostream>
#include <string>
#include <tuple>
#include <utility>

namespace aio = asynchio;
using namespace std::chrono_literals;

struct page {
    page(std::string by, int n) : fetched_by(std::move(by)), number(n) {}
    std::string fetched_by;
    int number;
};

aio::task<std::string> produce(aio::queue<page>& pages, std::string name, int first) {
    std::string report = name + " fetched";
    for (int number = first; number < first + 3; ++number) {
        co_await aio::sleep(1ms);
        co_await pages.put(page(name, number)); // waits while the queue is full
        report += ' ';
        report += std::to_string(number);
    }
    co_return report;
}

aio::task<> consume(aio::queue<page>& pages, int& words) {
    while (const auto next = co_await pages.next()) { // nothing once it is shut down and drained
        co_await aio::sleep(2ms);
        words += next->number * 10;
        pages.task_done();
    }
}

aio::task<> show_pipeline() {
    aio::queue<page> pages(2);
    int words = 0;
    std::cout << "6 pages from 2 producers, 3 consumers\n";
    co_await aio::with(aio::task_group(), [&](aio::task_group& group) -> aio::task<> {
        for (int i = 0; i < 3; ++i) group.create_task(consume(pages, words));
        const auto reports = co_await aio::gather(produce(pages, "ann", 1), produce(pages, "bob", 11));
        co_await pages.join(); // until every page was worked on
        pages.shutdown();
        std::cout << std::get<0>(reports) << '\n' << std::get<1>(reports) << '\n';
    });
    std::cout << "words in all pages: " << words << '\n';
}

int main() { aio::run(show_pipeline()); }
