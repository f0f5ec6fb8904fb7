// SPDX-License-Identifier: BSL-1.0

#include <asynchio/loop/detail/loop_call.hpp>

#include "support/catch.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/task/yield.hpp>

#include <optional>

namespace aio = asynchio;
using asynchio_tests::virtual_run;

namespace {

class counted_call final : public aio::detail::loop_call<counted_call> {
public:
    explicit counted_call(int& count, aio::detail::loop_core& loop = aio::detail::running_core()) noexcept
        : calls_(count) {
        bind(loop);
    }
    using loop_call::call_soon;
    using loop_call::queued;
    using loop_call::take_back;
    void called() noexcept { ++calls_; }

private:
    int& calls_;
};

} // namespace

TEST_CASE("loop_call: is made once, in the next iteration, however often it is asked for", "[TASK-6]") {
    virtual_run([]() -> aio::task<> {
        int calls = 0;
        int others = 0;
        counted_call c(calls);
        counted_call other(others);
        c.call_soon();
        other.call_soon();
        c.call_soon();
        CHECK(calls == 0);
        CHECK(c.queued());
        co_await aio::yield();
        CHECK(calls == 1);
        CHECK(others == 1);
        CHECK_FALSE(c.queued());
        co_await aio::yield();
        CHECK(calls == 1);
        c.call_soon();
        co_await aio::yield();
        CHECK(calls == 2);
    });
}

TEST_CASE("loop_call: may be destroyed or taken back before it was made", "[TASK-6]") {
    virtual_run([]() -> aio::task<> {
        int calls = 0;
        int others = 0;
        auto& loop = aio::get_running_loop();
        counted_call taken_back(calls);
        std::optional<counted_call> destroyed;
        destroyed.emplace(calls);
        loop.call_soon([&others] { ++others; });
        destroyed->call_soon();
        taken_back.call_soon();
        loop.call_soon([&others] { ++others; });
        destroyed.reset();
        taken_back.take_back();
        co_await aio::yield();
        CHECK(others == 2);
        CHECK(calls == 0);
    });
}

TEST_CASE("loop_call: is not made when the loop closes, and may outlive the loop", "[TASK-6]") {
    int calls = 0;
    std::optional<aio::event_loop> loop;
    loop.emplace();
    counted_call queued(calls, aio::detail::core_of(*loop));
    counted_call late(calls, aio::detail::core_of(*loop));
    queued.call_soon();
    loop->close();
    CHECK_FALSE(queued.queued());
    late.call_soon();
    CHECK_FALSE(late.queued());
    loop.reset();
    CHECK(calls == 0);
}
