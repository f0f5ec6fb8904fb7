// SPDX-License-Identifier: BSL-1.0
// covers: task/detail/settled.hpp task/detail/watched_handle.hpp

#include <asynchio/task/detail/child_set.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/detail/settled.hpp>

#include <functional>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// Awaits all its children, and tells the order of their ends.
template<class... Child>
class all_of final : public aio::detail::child_set {
public:
    explicit all_of(trace& log, Child... children) : children_(std::move(children)...), log_(log) {}
    all_of(all_of&& other) noexcept
        : child_set(std::move(other)), children_(std::move(other.children_)), log_(other.log_) {}
    all_of& operator=(all_of&&) = delete;
    ~all_of() override = default;

    static bool await_ready() noexcept { return false; }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        begin(awaiting, where);
        {
            asynchio::detail::starting_children all(*this);
            std::apply([&all](auto&... each) { (each.start(all), ...); }, children_);
        }
        park(awaiting, where);
    }
    auto await_resume() {
        resumed();
        return std::apply([](auto&... each) { return std::make_tuple(each.take()...); }, children_);
    }
    void child_done(aio::detail::shared_state&) noexcept override { ended("owned"); }
    void watched_done(aio::detail::shared_state&) noexcept override { ended("watched"); }

private:
    void ended(const char* which) noexcept {
        log_.push_back(which);
        ++ended_;
        call_soon();
    }
    void decide() noexcept override {
        log_.push_back("decided at " + std::to_string(ended_));
        if (ended_ == sizeof...(Child) && parked()) wake();
    }
    std::tuple<Child...> children_;
    trace& log_;
    std::size_t ended_ = 0;
};

template<class... X>
auto await_all(trace& log, X&&... x) {
    return all_of<aio::detail::child_t<X>...>(log, aio::detail::make_child(std::forward<X>(x))...);
}

} // namespace

TEST_CASE("child_set: starts tasks and callables, arms awaitables, watches handles", "[TASK-20]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        const auto main = aio::current_task();
        auto handle = aio::create_task(gives_after(3ms, 1));
        aio::any_task_handle armed_in;
        auto callable = [] { return gives_after(1ms, 2); };
        auto armed = aio::sleep(2ms, 3);
        auto all = await_all(log, handle, callable, armed, gives_after(4ms, 4));
        const auto got = co_await all;
        CHECK(got == std::make_tuple(1, 2, 3, 4));
        CHECK(handle.result() == 1);
        CHECK(aio::current_task() == main);
    });
    CHECK(log ==
          trace{"owned", "decided at 1", "owned", "decided at 2", "watched", "decided at 3", "owned", "decided at 4"});
}

TEST_CASE("child_set: what is armed runs in the name of the awaiting task", "[TASK-13]") {
    trace log;
    struct names_itself {
        bool await_ready() const noexcept { return true; }
        std::string await_resume() const { return aio::current_task().name(); }
        void await_suspend(std::coroutine_handle<>) const noexcept {}
    };
    virtual_run([&log]() -> aio::task<> {
        const auto before = aio::all_tasks().size();
        const names_itself asks;
        auto all = await_all(log, asks);
        const auto got = co_await all;
        CHECK(std::get<0>(got) == "Task-1");
        CHECK(aio::all_tasks().size() == before);
    });
}

TEST_CASE("child_set: children that never started, and results that nobody took, are destroyed", "[TASK-4]") {
    counted::reset();
    trace log;
    virtual_run([&log]() -> aio::task<> {
        const auto make = [](counted c) -> aio::task<counted> { co_return c; };
        { const auto never = await_all(log, make(counted(1))); }
        CHECK(counted::alive == 0);
        {
            auto all = await_all(log, make(counted(2)), make(counted(3)));
            co_await all;
        }
        CHECK(counted::alive == 0);
    });
}

TEST_CASE("settled: waits for the end, whatever it is, and throws nothing", "[TASK-6]") {
    virtual_run([]() -> aio::task<> {
        auto valued = aio::create_task(gives_after(1ms, 1));
        auto failed = aio::create_task(fails_after(2ms, "not thrown, and not reported"));
        auto cancelled = aio::create_task(gives_after(1h, 1));
        co_await aio::detail::settled(*aio::detail::access::state(valued));
        CHECK(valued.done());
        co_await aio::detail::settled(*aio::detail::access::state(failed));
        CHECK(failed.done());
        cancelled.cancel();
        co_await aio::detail::settled(*aio::detail::access::state(cancelled));
        CHECK(cancelled.cancelled());
        const iterations count;
        co_await aio::detail::settled(*aio::detail::access::state(valued));
        CHECK(count.passed() == 0);
    });
}

TEST_CASE("settled: passes a request on, and the awaiting task gets it at its next suspension", "[CAN-15]") {
    trace log;
    virtual_run([&log]() -> aio::task<> {
        auto slow = aio::create_task(cleans_up(10ms, "slow", log));
        auto waits = aio::create_task([&log, slow]() -> aio::task<> {
            co_await aio::detail::settled(*aio::detail::access::state(slow));
            log.push_back("settled");
            co_await aio::yield();
            log.push_back("not reached");
        });
        co_await aio::yield();
        waits.cancel();
        co_await aio::yield();
        CHECK_FALSE(waits.done());
        waits.cancel(); // interrupts the cleanup
        co_await aio::sleep(1ms);
        CHECK(slow.cancelled());
        CHECK(waits.cancelled());
    });
    CHECK(log == trace{"slow begins", "slow cancelled", "slow cancelled again", "settled"});
}
