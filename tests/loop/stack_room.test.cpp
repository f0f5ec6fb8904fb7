// SPDX-License-Identifier: BSL-1.0
#include <asynchio/loop/detail/stack_room.hpp>

#include "support/catch.hpp"
#include "support/sanitized.hpp"

#include <cstddef>
#include <pthread.h>

using asynchio::detail::stack_address;
using asynchio::detail::stack_end;
using asynchio::detail::stack_room;
using asynchio::detail::stack_slack;
using asynchio_tests::sanitized;

namespace {

struct found {
    std::ptrdiff_t left = -1;
    std::ptrdiff_t room = -1;
};

found on_thread_with(std::size_t size) {
    found result;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, size);
    pthread_t thread;
    const auto look = [](void* into) -> void* {
        auto& mine = *static_cast<found*>(into);
        if (const char* const end = stack_end()) mine.left = stack_address() - end;
        mine.room = stack_room();
        return nullptr;
    };
    REQUIRE(pthread_create(&thread, &attributes, look, &result) == 0);
    pthread_attr_destroy(&attributes);
    pthread_join(thread, nullptr);
    return result;
}

} // namespace

TEST_CASE("stack_room: is half of a small stack") {
    const found small = on_thread_with(64 * 1024);
    if (small.left < 0) return;                     // the system does not say
    if (!sanitized) CHECK(small.left <= 64 * 1024); // a sanitizer makes stacks larger
    CHECK(small.left > 48 * 1024);
    CHECK(small.room <= small.left / 2);
    CHECK(small.room > small.left / 2 - 1024);
}

TEST_CASE("stack_room: of a large stack it is what it is on the main thread") {
    CHECK(on_thread_with(4 * 1024 * 1024).room == stack_slack);
    CHECK(stack_room() == stack_slack);
}
