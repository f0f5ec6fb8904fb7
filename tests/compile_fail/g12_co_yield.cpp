// SPDX-License-Identifier: BSL-1.0

// g++ 12 destroys a braced aggregate twice inside co_yield, as it does inside co_await.

// compiler: gnu<13
// expect: g\+\+ before 13 destroys this temporary twice inside co_yield

#include <asynchio/task/async_generator.hpp>
#include <asynchio/task/take.hpp>

#include <string>

namespace aio = asynchio;

struct page {
    int number;
    std::string text;
};

aio::async_generator<page> program() {
#ifdef ASYNCHIO_CORRECT
    page first{1, "first"};
    co_yield aio::take(first);
#else
    co_yield page{1, "first"};
#endif
}
