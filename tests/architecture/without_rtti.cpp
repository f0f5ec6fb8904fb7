// SPDX-License-Identifier: BSL-1.0

// Built with -fno-rtti: what ends cancelled is told from what fails.

#include <asynchio.hpp>

#include <chrono>
#include <stdexcept>

namespace aio = asynchio;

static aio::task<> sleeps() { co_await aio::sleep(std::chrono::hours(1)); }
static aio::task<> fails() {
    co_await aio::yield();
    throw std::runtime_error("failed");
}

static aio::task<int> checks() {
    const auto cancelled = aio::create_task(sleeps());
    const auto failed = aio::create_task(fails());
    co_await aio::yield();
    cancelled.cancel();
    const auto first = co_await aio::nothrow(cancelled);
    const auto second = co_await aio::nothrow(failed);
    if (!first.cancelled() || second.cancelled() || !second.error()) co_return 1;
    bool late = false;
    try {
        co_await aio::wait_for(sleeps(), std::chrono::milliseconds(1));
    } catch (const aio::timeout_error&) {
        late = true;
    }
    const auto body = []() -> aio::task<> { return sleeps(); };
    const bool in_time = co_await aio::with(aio::move_on_after(std::chrono::milliseconds(1)), body);
    co_return late && !in_time ? 0 : 2;
}

int main() { return aio::run(checks(), aio::testing::virtual_clock()); }
