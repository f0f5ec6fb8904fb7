// SPDX-License-Identifier: BSL-1.0

#include <asynchio/task/suspension.hpp>
// covers: core/detail/access.hpp

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/reports.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/debug/dump_tasks.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>

#include <sstream>

// covers: task/detail/running_root.hpp

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// A row of tasks that wait to be let on, one by one.
class gate {
public:
    class waiter;
    /// What a waiter answers to a request to cancel.
    explicit gate(aio::cancel_reply reply) : reply_(reply) {}
    waiter pass();
    /// Lets the first one on. @return whether there was one.
    bool open();
    std::size_t waiting() const { return row_.size(); }

    trace requests; // to cancel, with their messages
private:
    std::vector<waiter*> row_;
    aio::cancel_reply reply_;
};

class [[nodiscard]] gate::waiter : public aio::suspension {
public:
    explicit waiter(gate& g) noexcept : gate_(g) {}
    waiter(waiter&& other) noexcept : gate_(other.gate_) {}
    waiter& operator=(waiter&&) = delete;
    ~waiter() override { leave(); }

    static bool await_ready() noexcept { return false; }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        gate_.row_.push_back(this);
        park(awaiting, where);
    }
    int await_resume() {
        resumed();
        return 1;
    }

    const char* waiting_for() const noexcept override { return "a gate"; }
    aio::cancel_reply cancel(const aio::cancel_message& message) noexcept override {
        gate_.requests.push_back("cancel " + std::string(message.view()));
        if (gate_.reply_ == aio::cancel_reply::left) leave();
        return gate_.reply_;
    }

private:
    friend gate;
    void leave() noexcept { std::erase(gate_.row_, this); }
    gate& gate_;
};

gate::waiter gate::pass() { return waiter(*this); }

bool gate::open() {
    if (row_.empty()) return false;
    waiter* first = row_.front();
    row_.erase(row_.begin());
    if (first->parked()) first->wake();
    return true;
}

aio::task<> passes(gate& g, std::string name, trace& log) {
    try {
        const int got = co_await g.pass();
        log.push_back(name + " passed " + std::to_string(got));
    } catch (const aio::cancelled_error& e) {
        log.push_back(name + " cancelled " + std::string(e.message()));
        throw;
    }
}

} // namespace

TEST_CASE("suspension: parks a task until it is woken, which takes one iteration", "[FUT-17]") {
    gate g(aio::cancel_reply::left);
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto a = aio::create_task(passes(g, "a", log));
        auto b = aio::create_task(passes(g, "b", log));
        co_await aio::sleep(1s);
        CHECK(g.waiting() == 2);
        CHECK(g.open());
        CHECK(log.empty());
        co_await aio::yield();
        CHECK(log == trace{"a passed 1"});
        CHECK(g.open());
        co_await b;
        CHECK_FALSE(g.open());
        CHECK(a.done());
    });
    CHECK(log == trace{"a passed 1", "b passed 1"});
}

TEST_CASE("suspension: tells which task or future it waits for") {
    virtual_run([]() -> aio::task<> {
        const auto child = aio::create_task(aio::yield());
        const aio::future<> promised;
        const auto for_task = child.operator co_await();
        const auto for_future = promised.operator co_await();
        gate g(aio::cancel_reply::left);
        CHECK(for_task.awaited() == child);
        CHECK(for_future.awaited() == promised);
        CHECK_FALSE(g.pass().awaited());
        aio::handle_base kept = for_future.awaited();
        kept.cancel();
        CHECK(promised.cancelled());
        co_await child;
    });
}

TEST_CASE("suspension: that leaves throws in the next iteration", "[CAN-1][CAN-4]") {
    gate g(aio::cancel_reply::left);
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto t = aio::create_task(passes(g, "t", log));
        co_await aio::yield();
        CHECK(t.cancel("now"));
        CHECK(g.waiting() == 0);
        CHECK_FALSE(t.done());
        CHECK(t.cancel("too late"));
        co_await aio::yield();
        CHECK(t.cancelled());
    });
    CHECK(log == trace{"t cancelled now"});
    CHECK(g.requests == trace{"cancel now"});
}

TEST_CASE("suspension: that refuses is waited for, and the request is delivered when it is over", "[CAN-9]") {
    gate g(aio::cancel_reply::refused);
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto t = aio::create_task(passes(g, "t", log));
        co_await aio::yield();
        CHECK(t.cancel("first"));
        CHECK(t.cancel("second"));
        co_await aio::sleep(1s);
        CHECK_FALSE(t.done());
        CHECK(g.waiting() == 1);
        g.open();
        co_await aio::yield();
        CHECK(t.cancelled());
    });
    CHECK(log == trace{"t cancelled second"}); // as CPython's: of those that stay pending, the last
    CHECK(g.requests == trace{"cancel first", "cancel second"});
}

TEST_CASE("suspension: that refused, and the request was taken back meanwhile", "[CAN-26]") {
    gate g(aio::cancel_reply::refused);
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto t = aio::create_task(passes(g, "t", log));
        co_await aio::yield();
        t.cancel();
        CHECK(t.uncancel() == 0);
        g.open();
        co_await t;
    });
    CHECK(log == trace{"t passed 1"});
}

TEST_CASE("suspension: that forwards keeps the task parked, and may swallow the request", "[CAN-6][CAN-8]") {
    gate g(aio::cancel_reply::forwarded);
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto t = aio::create_task(passes(g, "t", log));
        co_await aio::yield();
        CHECK(t.cancel("passed on"));
        co_await aio::sleep(1s);
        CHECK_FALSE(t.done());
        g.open();
        co_await t;
        CHECK_FALSE(t.cancelled());
        CHECK(t.cancelling() == 1);
    });
    CHECK(log == trace{"t passed 1"});
    CHECK(g.requests == trace{"cancel passed on"});
}

TEST_CASE("suspension: woken and then cancelled in the same iteration, the hook is not asked", "[CAN-9]") {
    gate g(aio::cancel_reply::left);
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto t = aio::create_task(passes(g, "t", log));
        co_await aio::yield();
        g.open();
        CHECK(t.cancel("late"));
        co_await aio::yield();
        CHECK(t.cancelled());
    });
    CHECK(log == trace{"t cancelled late"});
    CHECK(g.requests.empty());
}

TEST_CASE("suspension: a request from before is handed to the hook at once", "[CAN-17][CAN-19]") {
    trace log;
    for (const auto reply : {aio::cancel_reply::left, aio::cancel_reply::refused, aio::cancel_reply::forwarded}) {
        gate g(reply);
        virtual_run([&]() -> aio::task<> {
            auto t = aio::create_task([&]() -> aio::task<> {
                aio::current_task().cancel("before");
                co_await passes(g, "t", log);
            });
            co_await aio::yield();
            CHECK(g.requests == trace{"cancel before"});
            co_await aio::yield();
            CHECK(t.done() == (reply == aio::cancel_reply::left));
            g.open();
            co_await aio::yield();
            CHECK(t.done());
            CHECK(t.cancelled() == (reply != aio::cancel_reply::forwarded));
        });
    }
    CHECK(log == trace{"t cancelled before", "t cancelled before", "t passed 1"});
}

TEST_CASE("suspension: destroyed with its loop while a task is parked in it", "[TASK-22]") {
    gate g(aio::cancel_reply::left);
    trace log;
    reports told;
    {
        const audited afterwards;
        aio::event_loop loop(aio::testing::virtual_clock());
        collect(told, loop);
        loop.create_task(passes(g, "t", log));
        loop.create_task(passes(g, "u", log));
        loop.run_until_complete(aio::yield());
        CHECK(g.waiting() == 2);
        loop.close();
        CHECK(g.waiting() == 0);
    }
    CHECK(log.empty());
    CHECK(told.size() == 2);
}

TEST_CASE("suspension: says what the task waits for", "[GRF-9]") {
    gate g(aio::cancel_reply::left);
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto t = aio::create_task(passes(g, "t", log), "at the gate");
        co_await aio::yield();
        std::ostringstream out;
        aio::dump_tasks(out);
        CHECK_THAT(out.str(), Catch::Matchers::Contains("at the gate: waiting for a gate"));
        t.cancel();
    });
}

TEST_CASE("suspension: the default hook refuses", "[CAN-9]") {
    class plain : public aio::suspension {
    public:
        explicit plain(plain*& place) noexcept : place_(place) {}
        plain(plain&& other) noexcept : place_(other.place_) {}
        plain& operator=(plain&&) = delete;
        ~plain() override = default;
        static bool await_ready() noexcept { return false; }
        void await_suspend(std::coroutine_handle<aio::task<>::promise_type> awaiting,
                           std::source_location where = std::source_location::current()) {
            place_ = this;
            park(awaiting, where);
        }
        void await_resume() { resumed(); }

    private:
        plain*& place_;
    };
    virtual_run([]() -> aio::task<> {
        plain* parked = nullptr;
        auto t = aio::create_task([&parked]() -> aio::task<> { co_await plain(parked); });
        co_await aio::yield();
        REQUIRE(parked != nullptr);
        CHECK(parked->parked());
        CHECK(std::string(parked->waiting_for()) == "an awaiter");
        t.cancel();
        co_await aio::sleep(1s);
        CHECK_FALSE(t.done());
        parked->wake();
        CHECK_FALSE(parked->parked());
        co_await aio::yield();
        CHECK(t.cancelled());
    });
}

TEST_CASE("suspension: cancelled at every point", "[CAN-1][stress]") {
    for (const auto reply : {aio::cancel_reply::left, aio::cancel_reply::refused, aio::cancel_reply::forwarded}) {
        const auto met = aio::testing::for_each_cancellation([reply]() -> aio::task<> {
            gate g(reply);
            trace log;
            auto t = aio::create_task(passes(g, "t", log));
            aio::get_running_loop().call_later(1ms, [&g] { g.open(); });
            bool cancelled = false;
            try {
                co_await t;
            } catch (const aio::cancelled_error&) {
                cancelled = true;
            }
            const auto end = co_await aio::nothrow(t);
            CHECK(g.waiting() == 0);
            CHECK(log.size() == (t.cancelling() > 0 && log.empty() ? 0U : 1U));
            if (cancelled) throw aio::cancelled_error();
        });
        CHECK(met.points > 2);
    }
}

TEST_CASE("suspension: 100,000 waits", "[FUT-17]") {
    gate g(aio::cancel_reply::left);
    virtual_run([&g]() -> aio::task<> {
        auto& loop = aio::get_running_loop();
        int passed = 0;
        for (int i = 0; i < 100'000; ++i) {
            loop.call_soon([&g] { g.open(); });
            passed += co_await g.pass();
        }
        CHECK(passed == 100'000);
    });
}
