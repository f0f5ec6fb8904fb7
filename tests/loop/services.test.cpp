// SPDX-License-Identifier: BSL-1.0
#include <asynchio/loop/detail/services.hpp>

#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/runner.hpp>
#include <asynchio/task/yield.hpp>

#include "support/virtual_run.hpp"

#include <string>

namespace aio = asynchio;

namespace {

std::string trace;

/// Ends some iterations after it was asked to.
template<char Name>
class counting : public aio::detail::service {
public:
    explicit counting(int iterations = 0) : left_(iterations) { trace += Name; }
    ~counting() override { trace += '~', trace += Name; }
    void close() noexcept override {
        trace += '!';
        trace += Name;
        count_down();
    }
    bool closed() const noexcept override { return closing_ && left_ == 0; }
    void give_up() noexcept override {
        trace += '?';
        trace += Name;
    }

private:
    void count_down() noexcept {
        closing_ = true;
        if (left_ == 0) return;
        aio::get_running_loop().call_soon([this] {
            --left_;
            count_down();
        });
    }
    int left_;
    bool closing_ = false;
};
using first = counting<'a'>;
using second = counting<'b'>;

} // namespace

TEST_CASE("services: each is made once, when it is first asked for") {
    trace.clear();
    aio::detail::service_registry registry;
    CHECK(registry.find<first>() == nullptr);
    CHECK(registry.closed());
    first& a = registry.get<first>();
    CHECK(registry.find<second>() == nullptr);
    second& b = registry.get<second>();
    CHECK(&registry.get<first>(7) == &a);
    CHECK(registry.find<second>() == &b);
    CHECK(trace == "ab");
    CHECK_FALSE(registry.closed());
    registry.close();
    CHECK(registry.closed());
    registry.destroy();
    CHECK(trace == "ab!b!a~b~a");
    CHECK(registry.find<first>() == nullptr);
}

TEST_CASE("services: only those that have not ended are given up") {
    trace.clear();
    aio::detail::service_registry registry;
    registry.get<first>();
    registry.get<second>().close();
    registry.give_up();
    CHECK(trace == "ab!b?a");
}

TEST_CASE("services: a loop ends its services when it is closed", "[LOOP-27]") {
    trace.clear();
    {
        aio::event_loop loop;
        aio::detail::core_of(loop).services().get<first>(3);
        CHECK(trace == "a");
    }
    CHECK(trace == "a~a"); // without waiting
}

TEST_CASE("services: a runner closes the youngest first and waits until all have ended") {
    trace.clear();
    {
        aio::runner r({.virtual_time = true});
        r.run([]() -> aio::task<> {
            auto& services = aio::detail::running_core().services();
            services.get<first>(3);
            services.get<second>();
            co_await aio::yield();
        });
        CHECK(trace == "ab");
    }
    CHECK(trace == "ab!b!a~b~a");
    CHECK(aio::testing::audit().clean());
}

namespace {

/// Ends at once, but runs code of the program, so it is asked before the others.
class running_code final : public aio::detail::service {
public:
    running_code() { trace += 'r'; }
    ~running_code() override { trace += "~r"; }
    bool runs_code() const noexcept override { return true; }
    void close() noexcept override {
        trace += "!r";
        aio::get_running_loop().call_soon([this] {
            trace += '.';
            closed_ = true;
        });
    }
    bool closed() const noexcept override { return closed_; }
    void give_up() noexcept override { trace += "?r"; }

private:
    bool closed_ = false;
};

} // namespace

TEST_CASE("services: those that run code of the program are closed, to the end, before the others are asked") {
    trace.clear();
    {
        aio::runner runner(aio::testing::virtual_clock());
        runner.run([]() -> aio::task<> {
            auto& services = aio::detail::running_core().services();
            services.get<running_code>();
            services.get<first>(1);
            co_return;
        });
        trace += '|';
    }
    CHECK(trace == "ra|!r.!a~a~r");
}

TEST_CASE("services: giving up leaves those that run code alone") {
    trace.clear();
    {
        aio::detail::service_registry registry;
        registry.get<running_code>();
        registry.get<first>(1);
        CHECK(!registry.closed(true));
        CHECK(!registry.closed());
        registry.give_up();
        registry.destroy();
    }
    CHECK(trace == "ra?a~a~r");
}
