// SPDX-License-Identifier: BSL-1.0
// covers: task/detail/frame.hpp

#include <asynchio/task/task.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/future.hpp>

#include <memory>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

aio::task<int> depth(int levels) {
    if (levels == 0) {
        co_await aio::yield();
        co_return 0;
    }
    const int below = co_await depth(levels - 1);
    co_return below + 1;
}

aio::task<int> failing_depth(int levels) {
    if (levels == 0) throw boom("deepest");
    const int below = co_await failing_depth(levels - 1);
    co_return below + 1;
}

struct immovable {
    explicit immovable(int v) : value(v) {}
    immovable(const immovable&) = delete;
    immovable& operator=(const immovable&) = delete;
    ~immovable() = default;
    int value;
};

struct alignas(64) aligned {
    int value = 5;
};

/// Fails in its destructor, behind the co_return.
struct fails_late {
    fails_late() = default;
    fails_late(const fails_late&) = delete;
    fails_late& operator=(const fails_late&) = delete;
    ~fails_late() noexcept(false) { throw boom("in a destructor"); }
};

aio::task<counted> returns_and_fails() {
    const fails_late guard;
    co_return counted(1);
}

} // namespace

TEST_CASE("task: does nothing until it is awaited", "[TASK-4]") {
    const audited afterwards;
    trace log;
    counted::reset();
    {
        auto never = [](trace& entered, counted) -> aio::task<> {
            entered.push_back("body");
            co_return;
        }(log, counted(1));
        CHECK(never);
        CHECK(counted::alive == 1);
    }
    CHECK(log.empty());
    CHECK(counted::alive == 0);
}

TEST_CASE("task: awaited it runs at once, in the awaiting task, and does not give way", "[TASK-3]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        const iterations count;
        const auto self = aio::current_task();
        const auto inner = [&log, self]() -> aio::task<std::string> {
            log.push_back("inner");
            CHECK(aio::current_task() == self);
            co_return "result";
        };
        log.push_back("before");
        const std::string got = co_await inner();
        log.push_back(got);
        CHECK(count.passed() == 0);
        CHECK(aio::all_tasks().size() == 1);
    });
    CHECK(log == trace{"before", "inner", "result"});
}

TEST_CASE("task: suspends its awaiter only where it suspends itself", "[TASK-3][TASK-5]") {
    virtual_run([]() -> aio::task<> {
        const iterations count;
        const int got = co_await depth(50);
        CHECK(got == 50);
        CHECK(count.passed() == 1);
    });
}

TEST_CASE("task: passes its exception to its awaiter", "[TASK-8]") {
    virtual_run([]() -> aio::task<> {
        std::string caught;
        try {
            co_await failing_depth(20);
        } catch (const boom& e) {
            caught = e.what();
        }
        CHECK(caught == "deepest");
    });
}

TEST_CASE("task: is move-only, and empty when moved from", "[TASK-4]") {
    STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<aio::task<int>>);
    STATIC_REQUIRE(std::is_nothrow_move_constructible_v<aio::task<int>>);
    virtual_run([]() -> aio::task<> {
        auto a = gives(1);
        auto b = std::move(a);
        CHECK_FALSE(a);
        CHECK(b);
        a = std::move(b);
        CHECK(a);
        CHECK_FALSE(b);
        a = gives(2); // the first one is dropped
        const int got = co_await std::move(a);
        CHECK(got == 2);
        CHECK_FALSE(a);
        const aio::task<> empty;
        CHECK_FALSE(empty);
    });
}

TEST_CASE("task: an empty one cannot be awaited", "[TASK-4]") {
    virtual_run([]() -> aio::task<> {
        auto t = gives(1);
        co_await std::move(t);
        std::string awaited_twice;
        try {
            co_await std::move(t);
        } catch (const std::logic_error& e) {
            awaited_twice = e.what();
        }
        CHECK_THAT(awaited_twice, Catch::Matchers::Contains("empty task"));
        std::string never_filled;
        try {
            co_await aio::task<>();
        } catch (const std::logic_error& e) {
            never_filled = e.what();
        }
        CHECK_THAT(never_filled, Catch::Matchers::Contains("empty task"));
    });
}

TEST_CASE("task: may give what cannot be copied", "[TASK-8]") {
    virtual_run([]() -> aio::task<> {
        const auto make = []() -> aio::task<std::unique_ptr<int>> { co_return std::make_unique<int>(3); };
        const std::unique_ptr<int> got = co_await make();
        CHECK(*got == 3);
    });
}

TEST_CASE("task: may give what can be neither copied nor moved, through a handle", "[TASK-8]") {
    virtual_run([]() -> aio::task<> {
        auto t = aio::create_task(
            []() -> aio::task<std::unique_ptr<immovable>> { co_return std::make_unique<immovable>(6); });
        const auto& got = co_await t;
        CHECK(got->value == 6);
    });
}

TEST_CASE("task: may give a reference", "[TASK-8]") {
    virtual_run([]() -> aio::task<> {
        int target = 1;
        const auto give = [&target]() -> aio::task<int&> { co_return target; };
        int& direct = co_await give();
        CHECK(&direct == &target);
        auto t = aio::create_task(give());
        int& through_handle = co_await t;
        CHECK(&through_handle == &target);
        const auto give_const = [&target]() -> aio::task<const int&> { co_return target; };
        const int& constant = co_await give_const();
        CHECK(&constant == &target);
    });
}

TEST_CASE("task: moves its result out, and destroys everything once", "[TASK-8]") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        const auto make = []() -> aio::task<counted> { co_return counted(4); };
        {
            const counted got = co_await make();
            CHECK(got.value == 4);
            CHECK(counted::copies == 0);
            CHECK(counted::alive == 1);
        }
        co_await make(); // the result is dropped
        CHECK(counted::alive == 0);
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("task: a result converts to what is returned", "[TASK-8]") {
    virtual_run([]() -> aio::task<> {
        const auto text = []() -> aio::task<std::string> { co_return "from a literal"; };
        const auto none = []() -> aio::task<std::optional<int>> { co_return std::nullopt; };
        const std::string got = co_await text();
        CHECK(got == "from a literal");
        const auto nothing = co_await none();
        CHECK_FALSE(nothing);
    });
}

TEST_CASE("task: results and locals of strict alignment are aligned", "[TASK-8]") {
    virtual_run([]() -> aio::task<> {
        const auto make = []() -> aio::task<aligned> {
            const aligned local;
            CHECK(reinterpret_cast<std::uintptr_t>(&local) % 64 == 0);
            co_await aio::yield();
            co_return local;
        };
        const aligned got = co_await make();
        CHECK(got.value == 5);
        auto t = aio::create_task(make());
        const aligned& kept = co_await t;
        CHECK(reinterpret_cast<std::uintptr_t>(&kept) % 64 == 0);
    });
}

TEST_CASE("task: a result that throws when it is moved passes that on", "[TASK-8]") {
    fragile::alive = 0;
    fragile::fuse = 0;
    virtual_run([]() -> aio::task<> {
        const auto make = []() -> aio::task<fragile> {
            const fragile local(1);
            co_return local;
        };
        for (int at = 1; at <= 2; ++at) {
            fragile::fuse = at;
            std::string caught;
            try {
                co_await make();
            } catch (const boom& e) {
                caught = e.what();
            }
            CHECK_FALSE(caught.empty());
            CHECK(fragile::alive == 0);
        }
        fragile::fuse = 0;
    });
}

TEST_CASE("task: one that fails behind its co_return fails, and its value is destroyed", "[TASK-8]") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        std::string caught;
        try {
            co_await returns_and_fails();
        } catch (const boom& e) {
            caught = e.what();
        }
        CHECK(caught == "in a destructor");
        CHECK(counted::alive == 0);
    });
}

TEST_CASE("task: parameters live until the awaiter has its result", "[TASK-3]") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        const auto use = [](counted by_value) -> aio::task<int> {
            co_await aio::yield();
            co_return by_value.value;
        };
        auto t = use(counted(7));
        CHECK(counted::alive == 1);
        const int got = co_await std::move(t);
        CHECK(got == 7);
        CHECK(counted::alive == 0);
    });
}

TEST_CASE("task: an exception object outlives the coroutine that threw it", "[TASK-8]") {
    virtual_run([]() -> aio::task<> {
        std::exception_ptr error;
        try {
            co_await fails("kept");
        } catch (...) {
            error = std::current_exception();
        }
        CHECK(text_of(error) == "kept");
    });
}

TEST_CASE("task: long chains that suspend, return and fail keep the stack", "[TASK-31][stress]") {
    virtual_run([]() -> aio::task<> {
        const int got = co_await depth(100'000);
        CHECK(got == 100'000);
        std::string caught;
        try {
            co_await failing_depth(20'000);
        } catch (const boom& e) {
            caught = e.what();
        }
        CHECK(caught == "deepest");
    });
}

TEST_CASE("task: a long chain can be cancelled", "[TASK-31][CAN-7][stress]") {
    virtual_run([]() -> aio::task<> {
        const auto chain = [](auto self, int levels) -> aio::task<> {
            if (levels == 0) {
                co_await aio::sleep(1h);
                co_return;
            }
            co_await self(self, levels - 1);
        };
        auto t = aio::create_task(chain(chain, 20'000));
        co_await aio::yield();
        t.cancel();
        co_await aio::yield();
        CHECK(t.cancelled());
    });
}

TEST_CASE("task: tasks nested as arguments are dropped without recursion", "[TASK-4][stress]") {
    const audited afterwards;
    auto nested = ends_after(1s);
    for (int i = 0; i < 100'000; ++i) {
        nested = [](aio::task<> inner) -> aio::task<> { co_await std::move(inner); }(std::move(nested));
    }
    CHECK(nested);
}

TEST_CASE("task: 100,000 awaits that are ready", "[TASK-3]") {
    virtual_run([]() -> aio::task<> {
        long sum = 0;
        const iterations count;
        for (int i = 0; i < 100'000; ++i) sum += co_await gives(i);
        CHECK(sum == 4999950000L);
        CHECK(count.passed() == 0);
    });
}
