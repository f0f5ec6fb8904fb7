// SPDX-License-Identifier: BSL-1.0

// A pipeline over threads: the loop reads lines, threads parse them, the loop merges what they found. Both queues are
// bounded, so a slow stage holds up the one before it, and nothing piles up: back-pressure all the way.
//
//     c++ -std=c++20 -pthread -Iinclude examples/worker_pool_pipeline.cpp -o worker_pool_pipeline
//
// Run: ./worker_pool_pipeline
// Prints:
//   never more than 4 lines wait
//   GET: 500 requests, 124750 bytes
//   POST: 250 requests, 62250 bytes
//   PUT: 250 requests, 62500 bytes
//
// Read next: loops_on_all_cores.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>
#include <asynchio/thread.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <utility>

namespace aio = asynchio;

struct request {
    std::string method;
    int bytes;
};

using line_queue = aio::threadsafe_queue<std::string>;
using request_queue = aio::threadsafe_queue<request>;

aio::task<> read_lines(line_queue& lines) {
    std::size_t most = 0;
    for (int i = 0; i < 1000; ++i) {
        const std::string method = i % 2 == 0 ? "GET" : i % 4 == 1 ? "POST" : "PUT";
        co_await lines.put(method + " " + std::to_string(i / 2)); // waits while the threads are behind
        most = std::max(most, lines.size());
    }
    lines.shutdown(); // the threads finish what is in it
    std::cout << "never more than " << std::max<std::size_t>(most, 4) << " lines wait\n";
}

void parse(line_queue& lines, request_queue& requests) { // on a worker thread
    while (const auto line = lines.blocking_next()) {
        const std::size_t blank = line->find(' ');
        requests.blocking_put({line->substr(0, blank), std::stoi(line->substr(blank + 1))});
    }
}

aio::task<> parse_all(line_queue& lines, request_queue& requests) {
    co_await aio::gather(aio::to_thread(parse, std::ref(lines), std::ref(requests)),
                         aio::to_thread(parse, std::ref(lines), std::ref(requests)),
                         aio::to_thread(parse, std::ref(lines), std::ref(requests)));
    requests.shutdown();
}

aio::task<> merge(request_queue& requests) {
    std::map<std::string, std::pair<int, int>> totals;
    while (const auto each = co_await requests.next()) {
        auto& total = totals[each->method];
        total.first += 1;
        total.second += each->bytes;
    }
    for (const auto& [method, total] : totals)
        std::cout << method << ": " << total.first << " requests, " << total.second << " bytes\n";
}

aio::task<> pipeline() {
    line_queue lines(4);
    request_queue requests(4);
    co_await aio::gather(read_lines(lines), parse_all(lines, requests), merge(requests));
}

int main() { aio::run(pipeline()); }
