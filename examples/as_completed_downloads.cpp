// SPDX-License-Identifier: BSL-1.0

// as_completed gives results in the order in which they come. As a resource of `with` it owns the tasks: leaving the
// block early cancels those that are left and waits for them.
//
//     c++ -std=c++20 -pthread -Iinclude examples/as_completed_downloads.cpp -o as_completed_downloads
//
// Run: ./as_completed_downloads
// Prints:
//   small (100 kB)
//   medium (2000 kB)
//   enough
//
// Read next: race_mirrors.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>

#include <chrono>
#include <iostream>
#include <string>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;

struct page {
    std::string name;
    int kilobytes;
};

aio::task<page> download(std::string name, int kilobytes) {
    co_await aio::sleep(std::chrono::milliseconds(kilobytes / 20));
    co_return page{name, kilobytes};
}

aio::task<> take_two(aio::as_completed_iterator<aio::task_handle<page>>& finished) {
    int kilobytes = 0;
    while (const auto next = co_await finished.next()) {
        const page& got = next->result(); // throws here if this download failed
        std::cout << got.name << " (" << got.kilobytes << " kB)\n";
        kilobytes += got.kilobytes;
        if (kilobytes > 1000) break;
    }
    std::cout << "enough\n";
}

aio::task<> fetch_pages() {
    std::vector<aio::task<page>> downloads;
    downloads.push_back(download("huge", 1'000'000));
    downloads.push_back(download("medium", 2'000));
    downloads.push_back(download("small", 100));
    co_await aio::with(aio::as_completed(downloads), take_two);
}

int main() { aio::run(fetch_pages()); }
