// SPDX-License-Identifier: BSL-1.0

// A chain of co_awaits 1,000,000 deep that runs to its end, by a value and by an exception.

#include <asynchio/task/run.hpp>
#include <asynchio/task/yield.hpp>

#include "small_stack.hpp"

#include <stdexcept>
#include <string>

namespace aio = asynchio;
using asynchio_tests::require;

namespace {

const int depth = asynchio_tests::many(1'000'000);

enum class leaf { returns, yields, throws };

aio::task<int> descend(int left, leaf what) {
    if (left == 0) {
        if (what == leaf::yields) co_await aio::yield();
        if (what == leaf::throws) throw std::runtime_error("from the leaf");
        co_return 0;
    }
    const int below = co_await descend(left - 1, what);
    co_return below + 1;
}

void test() {
    require(aio::run(descend(depth, leaf::returns)) == depth, "a leaf that returns at once: wrong depth");
    require(aio::run(descend(depth, leaf::yields)) == depth, "a leaf that suspends: wrong depth");
    std::string seen;
    try {
        aio::run(descend(depth, leaf::throws));
    } catch (const std::runtime_error& e) {
        seen = e.what();
    }
    require(seen == "from the leaf", "a leaf that throws: '" + seen + "' came out");
}

} // namespace

int main() { return asynchio_tests::on_small_stack(&test); }
