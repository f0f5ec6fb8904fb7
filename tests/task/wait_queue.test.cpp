// SPDX-License-Identifier: BSL-1.0
#include <asynchio/task/detail/wait_queue.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/debug/dump_tasks.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <memory>
#include <optional>
#include <sstream>
#include <string>

namespace aio = asynchio;
using aio::detail::wait_queue;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

class stand {
public:
    explicit stand(wait_queue& q, int* passed_on = nullptr) noexcept : queue_(q), passed_on_(passed_on) {}

    static bool await_ready() noexcept { return false; }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        waiter_.enter(awaiting, where, queue_, "stand");
    }
    void await_resume() {
        waiter_->leave([this] {
            if (passed_on_ != nullptr) *passed_on_ += waiter_->woken() ? 1 : 100;
        });
    }

private:
    wait_queue& queue_;
    int* passed_on_;
    aio::detail::late_waiter<wait_queue::waiter> waiter_;
};

/// Goes on when a number is above zero, which it lowers.
class token_waiter final : public wait_queue::retrying_waiter {
public:
    token_waiter(wait_queue& q, int& tokens) noexcept : retrying_waiter(q, "tokens"), tokens_(tokens) {}
    static bool await_ready() noexcept { return false; }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        enter(awaiting, where);
    }
    void await_resume() {
        leave([] {});
        --tokens_;
    }

private:
    bool try_again() noexcept override { return tokens_ > 0; }
    int& tokens_;
};

aio::task<> stands(wait_queue& q, std::string name, trace& log, int* passed_on = nullptr) {
    co_await stand(q, passed_on);
    log.push_back(name);
}

aio::task<> takes_token(wait_queue& q, int& tokens, std::string name, trace& log) {
    co_await token_waiter(q, tokens);
    log.push_back(name);
}

} // namespace

TEST_CASE("wait_queue: an empty one wakes nobody") {
    wait_queue q;
    CHECK(!q.contended());
    CHECK(!q.wake_one());
    q.wake_front();
    q.wake_all();
    CHECK(!q.contended());
}

TEST_CASE("wait_queue: wakes in the order of arrival, in the next iteration") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        wait_queue q;
        for (const char* name : {"a", "b", "c"}) aio::create_task(stands(q, name, log));
        co_await aio::yield();
        CHECK(q.contended());
        CHECK(q.wake_one());
        log.push_back("woke one");
        co_await aio::yield();
        q.wake_all();
        CHECK(!q.wake_one());
        log.push_back("woke all");
        co_await aio::yield();
        CHECK(!q.contended());
    });
    CHECK(log == trace{"woke one", "a", "woke all", "b", "c"});
}

TEST_CASE("wait_queue: who was woken stands in front until the task runs; wake_front leaves it to them") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        wait_queue q;
        for (const char* name : {"a", "b"}) aio::create_task(stands(q, name, log));
        co_await aio::yield();
        q.wake_front();
        q.wake_front(); // a knows already
        CHECK(q.contended());
        co_await aio::yield();
        CHECK(log == trace{"a"});
        q.wake_front();
        co_await aio::yield();
    });
    CHECK(log == trace{"a", "b"});
}

TEST_CASE("wait_queue: the cancelled are passed over, and count no more") {
    trace log;
    int passed_on = 0;
    virtual_run([&]() -> aio::task<> {
        wait_queue q;
        auto a = aio::create_task(stands(q, "a", log, &passed_on));
        auto b = aio::create_task(stands(q, "b", log, &passed_on));
        co_await aio::yield();
        CHECK(a.cancel());
        CHECK(q.contended());
        CHECK(q.wake_one()); // b
        CHECK(!q.wake_one());
        co_await aio::yield();
        CHECK(a.cancelled());
        CHECK(b.done());
        auto c = aio::create_task(stands(q, "c", log, &passed_on));
        co_await aio::yield();
        c.cancel();
        CHECK(!q.contended());
        co_await aio::yield();
    });
    CHECK(log == trace{"b"});
    CHECK(passed_on == 200);
}

TEST_CASE("wait_queue: who is cancelled after the wake-up is told to pass it on") {
    trace log;
    int passed_on = 0;
    virtual_run([&]() -> aio::task<> {
        wait_queue q;
        auto a = aio::create_task(stands(q, "a", log, &passed_on));
        co_await aio::yield();
        q.wake_one();
        CHECK(a.cancel());
        CHECK(a.cancel());
        CHECK(q.contended());
        co_await aio::yield();
        CHECK(a.cancelled());
        CHECK(!q.contended());
    });
    CHECK(log.empty());
    CHECK(passed_on == 1);
}

TEST_CASE("wait_queue: a request that is pending already is delivered at once") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        wait_queue q;
        auto self = aio::create_task([&]() -> aio::task<> {
            aio::current_task().cancel();
            co_await stand(q);
        });
        co_await aio::yield();
        CHECK(!q.contended());
        co_await aio::yield();
        CHECK(self.cancelled());
    });
}

TEST_CASE("wait_queue: who finds nothing when the turn comes waits again, behind the others", "[Q-4]") {
    trace log;
    int tokens = 0;
    virtual_run([&]() -> aio::task<> {
        wait_queue q;
        for (const char* name : {"a", "b", "c"}) aio::create_task(takes_token(q, tokens, name, log));
        co_await aio::yield();
        q.wake_one(); // a, who finds nothing
        co_await aio::yield();
        CHECK(log.empty());
        CHECK(q.contended());
        tokens = 3;
        q.wake_all();
        co_await aio::yield();
    });
    CHECK(log == trace{"b", "c", "a"});
}

TEST_CASE("wait_queue: who waits again can be woken again, and cancelled") {
    trace log;
    int tokens = 0;
    virtual_run([&]() -> aio::task<> {
        wait_queue q;
        auto a = aio::create_task(takes_token(q, tokens, "a", log));
        co_await aio::yield();
        for (int i = 0; i < 3; ++i) {
            CHECK(q.wake_one());
            co_await aio::yield();
        }
        CHECK(log.empty());
        q.wake_one();
        a.cancel(); // between the wake-up and the turn
        co_await aio::yield();
        CHECK(a.cancelled());
        auto b = aio::create_task(takes_token(q, tokens, "b", log));
        co_await aio::yield();
        q.wake_one();
        co_await aio::yield();
        b.cancel(); // waits again
        co_await aio::yield();
        CHECK(b.cancelled());
        CHECK(!q.contended());
    });
}

TEST_CASE("wait_queue: one that ends lets those who wait go unresumed, and those it woke find it gone") {
    trace log;
    std::string message;
    virtual_run([&]() -> aio::task<> {
        auto q = std::make_unique<wait_queue>();
        auto woken = aio::create_task(stands(*q, "woken", log));
        auto waits = aio::create_task(stands(*q, "waits", log));
        auto cancelled = aio::create_task(stands(*q, "cancelled", log));
        co_await aio::yield();
        q->wake_one();
        cancelled.cancel();
        q.reset();
        co_await aio::testing::run_until_idle();
        CHECK(!waits.done());
        CHECK(cancelled.cancelled());
        message = message_of([&] { woken.result(); });
        waits.cancel();
        co_await aio::yield();
        CHECK(waits.cancelled());
    });
    CHECK(log.empty());
    CHECK(message == "stand: destroyed while a task waited for it");
}

TEST_CASE("wait_queue: who waits again finds out too that it is gone, or can be cancelled") {
    trace log;
    int tokens = 0;
    virtual_run([&]() -> aio::task<> {
        auto q = std::make_unique<wait_queue>();
        auto woken = aio::create_task(takes_token(*q, tokens, "woken", log));
        auto cancelled = aio::create_task(takes_token(*q, tokens, "cancelled", log));
        auto waits = aio::create_task(takes_token(*q, tokens, "waits", log));
        co_await aio::yield();
        q->wake_one();
        q->wake_one();
        cancelled.cancel();
        q.reset();
        co_await aio::testing::run_until_idle();
        CHECK(message_of([&] { woken.result(); }) == "tokens: destroyed while a task waited for it");
        CHECK(cancelled.cancelled());
        CHECK(!waits.done());
        waits.cancel();
        co_await aio::yield();
        CHECK(waits.cancelled());
    });
    CHECK(log.empty());
}

TEST_CASE("wait_queue: outlives a loop whose tasks stood in it, and takes those of another", "[LOCK-13]") {
    wait_queue q;
    trace log;
    {
        const audited afterwards;
        aio::event_loop loop(aio::testing::virtual_clock());
        loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
        auto a = loop.create_task(stands(q, "a", log));
        auto b = loop.create_task(stands(q, "b", log));
        auto c = loop.create_task(stands(q, "c", log));
        aio::testing::run_until_idle(loop);
        q.wake_one();
        b.cancel();
        loop.close();
        CHECK(!q.contended());
        CHECK(!q.wake_one());
    }
    virtual_run([&]() -> aio::task<> {
        auto a = aio::create_task(stands(q, "other", log));
        co_await aio::yield();
        CHECK(q.wake_one());
        co_await a;
    });
    CHECK(log == trace{"other"});
}

TEST_CASE("wait_queue: tasks of two loops do not stand in it together", "[LOCK-13]") {
    wait_queue q;
    trace log;
    const audited afterwards;
    aio::event_loop loop(aio::testing::virtual_clock());
    loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
    loop.create_task(stands(q, "a", log));
    aio::testing::run_until_idle(loop);
    const std::string message = message_of([&] { aio::run(stands(q, "b", log)); });
    CHECK(message == "stand: tasks of a different event loop wait for it");
    loop.close();
    CHECK(log.empty());
}

TEST_CASE("wait_queue: reports name what is waited for") {
    std::ostringstream text;
    virtual_run([&]() -> aio::task<> {
        wait_queue q;
        trace log;
        auto a = aio::create_task(stands(q, "a", log));
        co_await aio::yield();
        aio::debug::dump_tasks(text);
        q.wake_all();
        co_await a;
    });
    CHECK(contains(text.str(), "stand"));
}

TEST_CASE("wait_queue: 100,000 times in line, and 100,000 in line at once") {
    static constexpr int count = 100'000;
    virtual_run([]() -> aio::task<> {
        wait_queue q;
        int passed = 0;
        auto loops = aio::create_task([&]() -> aio::task<> {
            for (int i = 0; i < count; ++i) {
                co_await stand(q);
                ++passed;
            }
        });
        co_await aio::yield();
        while (!loops.done()) {
            q.wake_all();
            co_await aio::yield();
        }
        CHECK(passed == count);
        trace log;
        auto waits = [&]() -> aio::task<> {
            co_await stand(q);
            ++passed;
        };
        for (int i = 0; i < count; ++i) aio::create_task(waits());
        co_await aio::yield();
        q.wake_all();
        co_await aio::yield();
        CHECK(passed == 2 * count);
    });
}
