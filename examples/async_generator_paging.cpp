// SPDX-License-Identifier: BSL-1.0

// A service gives its records page by page; an async_generator makes one stream of them, and asks for a page only when
// somebody wants it. `with` closes the stream on every path, so the connection is given back after an early break.
//
//     c++ -std=c++20 -pthread -Iinclude examples/async_generator_paging.cpp -o async_generator_paging
//
// Run: ./async_generator_paging
// Prints:
//   connected
//   (page 1)
//   ada bob
//   (page 2)
//   cyd
//   found cyd
//   disconnected
//
// Read next: merge_streams.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;

/// Stands for a request over the network; an empty page is the end.
aio::task<std::vector<std::string>> fetch_page(std::size_t number) {
    static const std::vector<std::vector<std::string>> pages{{"ada", "bob"}, {"cyd", "dan"}, {"eve"}};
    co_await aio::sleep(5ms);
    if (number > pages.size()) co_return {};
    std::cout << "(page " << number << ")\n";
    co_return pages[number - 1];
}

aio::async_generator<std::string> users() {
    std::cout << "connected\n";
    std::exception_ptr leaving; // C++ cannot await in a catch block
    try {
        for (std::size_t number = 1;; ++number) {
            const std::vector<std::string> page = co_await fetch_page(number);
            if (page.empty()) break;
            for (const std::string& name : page) co_yield name;
        }
    } catch (...) { // generator_exit when the stream is closed
        leaving = std::current_exception();
    }
    co_await aio::sleep(1ms); // says goodbye
    std::cout << "disconnected\n";
    if (leaving) std::rethrow_exception(leaving);
}

aio::task<> find(std::string wanted) {
    auto stream = users();
    auto search = [&]() -> aio::task<> {
        while (const auto name = co_await stream.next()) {
            std::cout << *name << (*name == "ada" ? " " : "\n");
            if (*name == wanted) break;
        }
        std::cout << "found " << wanted << '\n';
    };
    co_await aio::with(stream, search);
}

int main() { aio::run(find("cyd")); }
