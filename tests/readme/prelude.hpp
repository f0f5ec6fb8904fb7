// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the blocks of the README leave to the reader.

#include <asynchio.hpp>

#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;

struct job {
    explicit job(int) {}
};
struct page {};
struct client {
    aio::task<page> get(int number);
};

aio::task<int> fetch(int id);
aio::task<> download();
aio::task<> first_part();
aio::task<> second_part();
template<class... T>
aio::task<> use(const T&...) {
    co_return;
}
void use(int result);
void work(const job& each);
void show(const page& each);

inline std::vector<aio::task_handle<int>> handles;
inline std::vector<int> items;
inline aio::mutex mutex;
inline aio::condition ready;
inline client from;
inline std::string request;
