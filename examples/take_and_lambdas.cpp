// SPDX-License-Identifier: BSL-1.0

// Lambdas and co_await. g++ 12 destroys a lambda whose captures need a destructor twice if it is written inside a
// co_await expression; the library refuses to compile what a type can show of that. Four ways that are safe everywhere:
//
//     c++ -std=c++20 -pthread -Iinclude examples/take_and_lambdas.cpp -o take_and_lambdas
//
// Run: ./take_and_lambdas
// Prints:
//   captured by reference: 3 words
//   named first: 3 words
//   moved in with take: 3 words
//   passed as an argument: 3 words
//   in create_task: 3 words
//
// Read next: search_files.cpp

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>
#include <asynchio/thread.hpp>

#include <chrono>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;

using words = std::vector<std::string>;

void report(const char* how, const words& w) { std::cout << how << ": " << w.size() << " words\n"; }

aio::task<> show_ways() {
    words text{"to", "be", "or"};

    // [&]: nothing in the lambda needs a destructor. What it refers to outlives the co_await.
    co_await aio::wait_for(
        [&]() -> aio::task<> {
            co_await aio::yield();
            report("captured by reference", text);
        },
        1s);

    // Named first: the combinator refers to it.
    const auto named = [copy = text]() -> aio::task<> {
        co_await aio::yield();
        report("named first", copy);
    };
    co_await aio::wait_for(named, 1s);

    // take moves it in: for what is built here and awaited elsewhere.
    auto moved = [copy = text]() -> aio::task<> {
        co_await aio::yield();
        report("moved in with take", copy);
    };
    auto later = aio::wait_for(aio::take(moved), 1s);
    co_await std::move(later);

    // As an argument behind the callable: no capture at all.
    co_await aio::to_thread([](const words& w) { report("passed as an argument", w); }, text);

    // create_task keeps its callable, and stands outside of co_await.
    const auto handle = aio::create_task([copy = std::move(text)]() -> aio::task<> {
        co_await aio::yield();
        report("in create_task", copy);
    });
    co_await handle;
}

int main() { aio::run(show_ways()); }
