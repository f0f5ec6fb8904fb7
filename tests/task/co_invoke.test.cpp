// SPDX-License-Identifier: BSL-1.0

#include <asynchio/task/co_invoke.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>

#include <coroutine>
#include <functional>
#include <memory>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

aio::task<int> stored_for_later() {
    auto owned = std::make_unique<int>(20);
    auto adds = [x = std::move(owned)](int more) -> aio::task<int> {
        co_await aio::yield();
        co_return *x + more;
    };
    return aio::co_invoke(aio::take(adds), 1);
}

} // namespace

TEST_CASE("co_invoke: owns a capturing lambda and its arguments while it runs", "[TASK-3]") {
    virtual_run([]() -> aio::task<> {
        const int got = co_await stored_for_later();
        CHECK(got == 21);
    });
}

TEST_CASE("co_invoke: is lazy, and what it owns dies with it", "[TASK-4]") {
    const audited afterwards;
    counted::reset();
    {
        const auto never = aio::co_invoke(
            [](counted) -> aio::task<> {
                FAIL("ran");
                co_return;
            },
            counted(1));
        CHECK(counted::alive == 1);
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("co_invoke: destroys callable and arguments when it has ended", "[TASK-3]") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        aio::task<int> t;
        {
            auto adds = [c = counted(1)](counted d) -> aio::task<int> { co_return c.value + d.value; };
            t = aio::co_invoke(aio::take(adds), counted(2));
        }
        CHECK(counted::alive > 0);
        const int got = co_await std::move(t);
        CHECK(got == 3);
        CHECK(counted::copies == 0);
        CHECK(counted::alive == 0);
    });
}

TEST_CASE("co_invoke: calls functions, members and references", "[TASK-20]") {
    struct adder {
        aio::task<int> add(int x) const { co_return base + x; }
        int base;
    };
    virtual_run([]() -> aio::task<> {
        const int by_function = co_await aio::co_invoke(gives, 3);
        CHECK(by_function == 3);
        const adder ten{10};
        const int by_member = co_await aio::co_invoke(&adder::add, &ten, 5);
        CHECK(by_member == 15);
        int target = 0;
        auto set = [](int& x) -> aio::task<> {
            x = 8;
            co_return;
        };
        co_await aio::co_invoke(set, std::ref(target));
        CHECK(target == 8);
    });
}

TEST_CASE("co_invoke: makes a task of any awaitable; a handle given as an lvalue keeps its result", "[TASK-20]") {
    virtual_run([]() -> aio::task<> {
        const int slept = co_await aio::co_invoke(aio::sleep(1ms, 6));
        CHECK(slept == 6);
        auto handle = aio::create_task([]() -> aio::task<std::string> { co_return "kept"; });
        const std::string copy = co_await aio::co_invoke(handle);
        CHECK(copy == "kept");
        CHECK(handle.result() == "kept");
        const auto other = handle;
        const std::string moved = co_await aio::co_invoke(std::move(handle));
        CHECK(moved == "kept");
        CHECK_THROWS_AS(other.result(), aio::invalid_state_error);
        auto reference_to_task = gives(9);
        const int direct = co_await aio::co_invoke(std::move(reference_to_task));
        CHECK(direct == 9);
    });
}

TEST_CASE("co_invoke: passes exceptions of the call and of the task on", "[TASK-8]") {
    virtual_run([]() -> aio::task<> {
        const auto refuses = [](int) -> aio::task<int> { throw boom("in the call"); };
        std::string caught;
        try {
            co_await aio::co_invoke(refuses, 1);
        } catch (const boom& e) {
            caught = e.what();
        }
        CHECK(caught == "in the call");
        try {
            co_await aio::co_invoke(fails, "in the task");
        } catch (const boom& e) {
            caught = e.what();
        }
        CHECK(caught == "in the task");
    });
}

TEST_CASE("co_invoke: a callable or argument that cannot be moved in leaves nothing") {
    virtual_run([]() -> aio::task<> {
        const fragile value(1);
        const auto takes = [](fragile, const fragile&) -> aio::task<> { co_return; };
        const auto keeps = [value]() -> aio::task<> { co_return; };
        const auto keeps_and_takes = [value](fragile) -> aio::task<> { co_return; };
        struct waits {
            fragile held;
            bool await_ready() const noexcept { return true; }
            void await_suspend(std::coroutine_handle<>) const noexcept {}
            void await_resume() const noexcept {}
        };
        const waits awaited{value};
        CHECK(throws_while_made([&] { return aio::co_invoke(takes, value, value); }) > 0);
        CHECK(throws_while_made([&] { return aio::co_invoke(keeps); }) > 0);
        CHECK(throws_while_made([&] { return aio::co_invoke(keeps_and_takes, value); }) > 0);
        CHECK(throws_while_made([&] {
                  auto given = awaited;
                  return aio::co_invoke(aio::take(given));
              }) > 0);
        co_return;
    });
    CHECK(fragile::alive == 0);
}
