// SPDX-License-Identifier: BSL-1.0
#include <asynchio/debug/resources.hpp>

#include "support/catch.hpp"

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace asynchio;

TEST_CASE("resources: descriptors and threads that are opened are counted") {
    const debug::resource_usage before = debug::resources();
    CHECK(before.descriptors >= 3);
    CHECK(before.threads >= 1);
    const int copy = ::dup(STDERR_FILENO);
    REQUIRE(copy >= 0);
    std::atomic<bool> end = false;
    std::thread other([&end] {
        while (!end) std::this_thread::yield();
    });
    const debug::resource_usage during = debug::resources();
    end = true;
    other.join();
    ::close(copy);
    CHECK(during.descriptors == before.descriptors + 1);
    CHECK(during.threads == before.threads + 1);
}

TEST_CASE("resources: memory that is touched is resident") {
    constexpr std::size_t much = std::size_t(64) << 20;
    const debug::resource_usage before = debug::resources();
    std::vector<char> block(much);
    std::memset(block.data(), 1, block.size());
    const debug::resource_usage after = debug::resources();
    CHECK(block[much / 2] == 1);
    CHECK(after.resident > before.resident + much / 2);
    CHECK(after.most_resident >= after.resident - (std::size_t(1) << 20));
}

TEST_CASE("resources: processor time and switches grow", "[time]") {
    const debug::resource_usage before = debug::resources();
    debug::resource_usage now = before;
    while (now.user + now.system < before.user + before.system + std::chrono::milliseconds(20))
        now = debug::resources();
    std::this_thread::sleep_for(std::chrono::milliseconds(1)); // gives up the processor
    now = debug::resources();
    CHECK(now.voluntary_switches > before.voluntary_switches);
    CHECK(now.involuntary_switches >= before.involuntary_switches);
}
