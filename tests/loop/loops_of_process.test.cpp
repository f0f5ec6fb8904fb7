// SPDX-License-Identifier: BSL-1.0
#include <asynchio/loop/detail/loops_of_process.hpp>

#include "support/catch.hpp"
#include "support/child_process.hpp"

#include <asynchio/loop/event_loop.hpp>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

using namespace asynchio;

namespace {

std::vector<const detail::listed_loop*> listed() {
    const detail::spin_lock::guard lock(detail::loops_of_process.lock);
    std::vector<const detail::listed_loop*> all;
    auto& loops = detail::loops_of_process.loops;
    for (const detail::listed_loop* each = loops.front(); each != nullptr; each = loops.after(*each))
        all.push_back(each);
    return all;
}

} // namespace

TEST_CASE("the loops of a process are listed while they live, in the order in which they were made") {
    REQUIRE(listed().empty());
    auto first = std::make_unique<event_loop>();
    event_loop second;
    const std::vector<const detail::listed_loop*> both = {&detail::core_of(*first), &detail::core_of(second)};
    CHECK(listed() == both);
    first->close();
    CHECK(listed() == both);
    first.reset();
    CHECK(listed() == std::vector{both[1]});
}

TEST_CASE("loops of several threads enter and leave the list at once") {
    const auto come_and_go = [] {
        for (int i = 0; i < 200; ++i) const event_loop loop;
    };
    std::thread other(come_and_go);
    come_and_go();
    other.join();
    CHECK(listed().empty());
}

TEST_CASE("a child of a fork finds the list of loops unlocked, whatever other threads do", "[stress]") {
    std::atomic<bool> stop = false;
    std::thread other([&stop] {
        while (!stop) const event_loop loop;
    });
    int failed = 0;
    for (int i = 0; i < 50; ++i)
        if (asynchio_tests::status_in_child([] {
                const event_loop loop;
                return 0;
            }) != 0)
            ++failed;
    stop = true;
    other.join();
    CHECK(failed == 0);
}
