// SPDX-License-Identifier: BSL-1.0

#include <asynchio/thread/wrap_future.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/other_loop.hpp"
#include "support/probes.hpp"
#include "support/threads.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/shield.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>
#include <asynchio/testing/run_until_idle.hpp>
#include <asynchio/thread/run_coroutine_threadsafe.hpp>
#include <asynchio/thread/to_thread.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

aio::task<int> held_until(gate& release, int value) {
    const auto wait = [&release] { release.wait(); };
    co_await aio::to_thread(wait);
    co_return value;
}

/// A future of another library: what it has in common with std::future, and nothing else.
template<class T>
class foreign_future {
public:
    enum class status { deferred, ready, timeout };

    explicit foreign_future(std::future<T> f) noexcept : inner_(std::move(f)) {}
    bool valid() const noexcept { return inner_.valid(); }
    T get() { return inner_.get(); }
    template<class Duration>
    status wait_for(Duration limit) const {
        return inner_.wait_for(limit) == std::future_status::ready ? status::ready : status::timeout;
    }

private:
    std::future<T> inner_;
};

} // namespace

// A std::future

TEST_CASE("wrap_future: gives what a std::future gives, of any kind") {
    virtual_run([]() -> aio::task<> {
        std::promise<std::string> text;
        std::promise<std::unique_ptr<int>> owned;
        std::promise<int&> reference;
        std::promise<void> nothing;
        int target = 0;
        const auto a = aio::wrap_future(text.get_future());
        auto b = aio::wrap_future(owned.get_future());
        const auto c = aio::wrap_future(reference.get_future());
        const auto d = aio::wrap_future(nothing.get_future());
        std::thread giver([&] {
            nothing.set_value();
            reference.set_value(target);
            owned.set_value(std::make_unique<int>(7));
            text.set_value("text");
        });
        const std::string& got = co_await a;
        CHECK(got == "text");
        const std::unique_ptr<int> seven = co_await std::move(b);
        CHECK(*seven == 7);
        int& same = co_await c;
        CHECK(&same == &target);
        co_await d;
        giver.join();
    });
}

TEST_CASE("wrap_future: a value is moved, not copied") {
    std::weak_ptr<int> seen;
    virtual_run([&seen]() -> aio::task<> {
        auto source = std::make_unique<std::promise<std::shared_ptr<int>>>();
        auto wrapped = aio::wrap_future(source->get_future());
        source->set_value(std::make_shared<int>(5));
        source.reset();
        const std::shared_ptr<int> value = co_await std::move(wrapped);
        CHECK(*value == 5);
        CHECK(value.use_count() == 1);
        seen = value;
    });
    CHECK(seen.expired());
}

TEST_CASE("wrap_future: throws what a std::future throws") {
    virtual_run([]() -> aio::task<> {
        std::promise<int> failing;
        const auto failed = aio::wrap_future(failing.get_future());
        failing.set_exception(std::make_exception_ptr(boom("in the thread")));
        const auto first = co_await aio::nothrow(failed);
        CHECK(text_of(first.error()) == "in the thread");
        auto broken = std::make_unique<std::promise<int>>();
        const auto abandoned = aio::wrap_future(broken->get_future());
        broken.reset();
        const auto second = co_await aio::nothrow(abandoned);
        CHECK_THROWS_AS(second.rethrow(), std::future_error);
        std::promise<int> cancelled;
        const auto third_future = aio::wrap_future(cancelled.get_future());
        cancelled.set_exception(std::make_exception_ptr(aio::cancelled_error()));
        const auto third = co_await aio::nothrow(third_future);
        CHECK(third.cancelled());
    });
}

TEST_CASE("wrap_future: a std::future that is ready takes no thread") {
    virtual_run([]() -> aio::task<> {
        std::promise<int> source;
        source.set_value(4);
        const auto wrapped = aio::wrap_future(source.get_future());
        CHECK(wrapped.done());
        CHECK(wrapped.result() == 4);
        CHECK(aio::testing::audit().threads == 0);
        std::promise<int> failing;
        failing.set_exception(std::make_exception_ptr(boom("at once")));
        const auto failed = aio::wrap_future(failing.get_future());
        CHECK(text_of(failed.exception()) == "at once");
        co_return;
    });
}

TEST_CASE("wrap_future: a deferred std::future runs on the worker") {
    virtual_run([]() -> aio::task<> {
        auto deferred = std::async(std::launch::deferred, [] { return std::this_thread::get_id(); });
        const auto ran_on = co_await aio::wrap_future(std::move(deferred));
        CHECK(ran_on != std::this_thread::get_id());
    });
}

TEST_CASE("wrap_future: a shared std::future is copied, for as many as want it") {
    virtual_run([]() -> aio::task<> {
        std::promise<std::string> source;
        const std::shared_future<std::string> shared = source.get_future().share();
        const auto first = aio::wrap_future(shared);
        const auto second = aio::wrap_future(shared);
        source.set_value("text");
        const std::string& a = co_await first;
        const std::string& b = co_await second;
        CHECK(a == "text");
        CHECK(b == "text");
        CHECK(&a != &b);
        CHECK(shared.get() == "text");
        std::promise<void> nothing;
        const auto void_one = aio::wrap_future(nothing.get_future().share());
        nothing.set_value();
        co_await void_one;
    });
}

TEST_CASE("wrap_future: takes a future that is used as std::future is") {
    virtual_run([]() -> aio::task<> {
        std::promise<std::unique_ptr<int>> early;
        early.set_value(std::make_unique<int>(1));
        std::promise<std::string> late;
        auto a = aio::wrap_future(foreign_future(early.get_future()));
        CHECK(a.done());
        const auto b = aio::wrap_future(foreign_future(late.get_future()));
        CHECK_FALSE(b.done());
        std::thread([&late] { late.set_value("late"); }).join();
        const std::unique_ptr<int> one = co_await std::move(a);
        CHECK(*one == 1);
        const std::string text = co_await b;
        CHECK(text == "late");
    });
}

TEST_CASE("wrap_future: an empty std::future is misuse, and so is no loop") {
    CHECK_THROWS_AS(aio::wrap_future(std::promise<int>().get_future()), std::logic_error);
    virtual_run([]() -> aio::task<> {
        CHECK_THROWS_AS(aio::wrap_future(std::future<int>()), std::logic_error);
        CHECK_THROWS_AS(aio::wrap_future(std::shared_future<int>()), std::logic_error);
        CHECK(contains(message_of([] { aio::wrap_future(std::future<int>()); }), "the std::future is empty"));
        co_return;
    });
}

TEST_CASE("wrap_future: cancelled, it is so at once, and the result is dropped") {
    std::weak_ptr<int> seen;
    virtual_run([&seen]() -> aio::task<> {
        std::promise<std::shared_ptr<int>> source;
        const auto wrapped = aio::wrap_future(source.get_future());
        co_await aio::testing::run_until_idle();
        CHECK(wrapped.cancel());
        CHECK(wrapped.cancelled());
        auto value = std::make_shared<int>(1);
        seen = value;
        source.set_value(std::move(value));
    });
    CHECK(seen.expired());
}

TEST_CASE("wrap_future: a wait that was cancelled in the queue is not begun") {
    virtual_run([]() -> aio::task<> {
        aio::set_default_pool(1);
        gate go;
        const opened_at_end always(go);
        const auto job = [&go] { go.wait(); };
        const auto busy = aio::create_task([&]() -> aio::task<> { co_await aio::to_thread(std::ref(job)); });
        co_await aio::testing::run_until_idle();
        std::promise<int> never;
        const auto wrapped = aio::wrap_future(never.get_future());
        wrapped.cancel();
        go.open();
        co_await busy;
        const int next = co_await aio::to_thread([] { return 1; }); // the one thread is free
        CHECK(next == 1);
    });
}

TEST_CASE("wrap_future: a std::async that is given up does not block the loop") {
    gate go; // outlives the run, which waits for the thread
    virtual_run([&go]() -> aio::task<> {
        aio::set_default_pool(1);
        const opened_at_end always(go);
        const auto job = [&go] { go.wait(); };
        const auto busy = aio::create_task([&]() -> aio::task<> { co_await aio::to_thread(std::ref(job)); });
        co_await aio::testing::run_until_idle();
        {
            const auto wrapped = aio::wrap_future(std::async(std::launch::async, [&go] { go.wait(); }));
            wrapped.cancel();
        } // its destructor would wait for the gate, which only this loop opens
        go.open();
        co_await busy;
    });
}

TEST_CASE("wrap_future: a cancellation that waits for the result goes through to_thread") {
    virtual_run([]() -> aio::task<> {
        std::promise<int> source;
        gate started;
        const auto get = [&started](std::future<int> f) {
            started.open();
            return f.get();
        };
        const auto waiting = aio::create_task(
            [&]() -> aio::task<int> { co_return co_await aio::to_thread(std::ref(get), source.get_future()); });
        co_await aio::testing::run_until_idle();
        started.wait();
        waiting.cancel();
        co_await aio::testing::run_until_idle();
        CHECK_FALSE(waiting.done());
        source.set_value(1);
        static_cast<void>(co_await aio::nothrow(waiting));
        CHECK(waiting.cancelled());
    });
}

TEST_CASE("wrap_future: wait_for and shield work on it") {
    virtual_run([]() -> aio::task<> {
        std::promise<int> source;
        const auto wrapped = aio::wrap_future(source.get_future());
        const auto waiting = aio::create_task([&]() -> aio::task<int> { co_return co_await aio::shield(wrapped); });
        co_await aio::testing::run_until_idle();
        waiting.cancel();
        static_cast<void>(co_await aio::nothrow(waiting));
        CHECK_FALSE(wrapped.done());
        source.set_value(2);
        const int two = co_await aio::wait_for(wrapped, 1h); // the clock stands still until it is there
        CHECK(two == 2);
    });
}

TEST_CASE("wrap_future: a loop that ends while a thread waits cancels the future and waits for the thread") {
    const watchdog guard;
    std::weak_ptr<int> seen;
    auto value = std::make_shared<int>(1);
    seen = value;
    std::thread giver;
    bool cancelled = false;
    {
        std::promise<std::shared_ptr<int>> source;
        {
            const audited afterwards;
            aio::run([&]() -> aio::task<> {
                aio::create_task([&]() -> aio::task<> {
                    try {
                        co_await aio::wrap_future(source.get_future());
                    } catch (const aio::cancelled_error&) {
                        cancelled = true;
                        giver = std::thread([&] { source.set_value(std::move(value)); });
                    }
                });
                co_await aio::testing::run_until_idle();
            });
        }
        CHECK(cancelled);
        giver.join();
    }
    CHECK(seen.expired());
}

TEST_CASE("wrap_future: cancelled at every step") {
    struct giver {
        std::promise<std::shared_ptr<int>> first;
        std::promise<int> second;
        std::thread thread;
        giver() = default;
        giver(const giver&) = delete;
        giver& operator=(const giver&) = delete;
        ~giver() {
            if (!thread.joinable()) give();
            thread.join();
        }
        void give() {
            thread = std::thread([this] {
                first.set_value(std::make_shared<int>(1));
                second.set_value(2);
            });
        }
    };
    const auto scenario = []() -> aio::task<> {
        giver other;
        const auto first = aio::wrap_future(other.first.get_future());
        const auto second = aio::wrap_future(other.second.get_future());
        co_await aio::yield();
        other.give();
        co_await aio::gather(first, second);
    };
    const auto met = aio::testing::for_each_cancellation(scenario);
    CHECK(met.points > 1);
}

TEST_CASE("wrap_future: many std::futures, more than there are threads") {
    virtual_run([]() -> aio::task<> {
        aio::set_default_pool(2);
        std::vector<std::promise<int>> sources(static_cast<std::size_t>(rounds(2000)));
        std::vector<aio::future<int>> wrapped;
        for (auto& each : sources) wrapped.push_back(aio::wrap_future(each.get_future()));
        std::thread giver([&] {
            int next = 0;
            for (auto& each : sources) each.set_value(next++);
        });
        const std::vector<int> all = co_await aio::gather(wrapped);
        for (std::size_t i = 0; i < all.size(); ++i) REQUIRE(all[i] == static_cast<int>(i));
        giver.join();
    });
}

// A concurrent_future

TEST_CASE("wrap_future: gives what runs on another loop to this one", "[TS-12]") {
    const audited afterwards;
    const watchdog guard;
    const other_loop loop;
    aio::run([&]() -> aio::task<> {
        gate release;
        const auto waiting = aio::wrap_future(aio::run_coroutine_threadsafe(held_until(release, 5), loop.ref()));
        CHECK_FALSE(waiting.done());
        release.open();
        const int five = co_await waiting;
        CHECK(five == 5);
        const auto failing = aio::wrap_future(aio::run_coroutine_threadsafe(fails("over there"), loop.ref()));
        const auto failed = co_await aio::nothrow(failing);
        CHECK(text_of(failed.error()) == "over there");
        const auto nothing =
            aio::wrap_future(aio::run_coroutine_threadsafe([]() -> aio::task<> { co_return; }, loop.ref()));
        co_await nothing;
        const auto owned = aio::run_coroutine_threadsafe(
            []() -> aio::task<std::unique_ptr<int>> { co_return std::make_unique<int>(6); }, loop.ref());
        const std::unique_ptr<int> six = co_await aio::wrap_future(owned);
        CHECK(*six == 6);
    });
}

TEST_CASE("wrap_future: cancelling the one cancels the other", "[TS-12]") {
    const audited afterwards;
    const watchdog guard;
    const other_loop loop;
    aio::run([&]() -> aio::task<> {
        gate begun;
        gate ended;
        const auto source = aio::run_coroutine_threadsafe(
            [&]() -> aio::task<> {
                const opened_at_end over(ended);
                begun.open();
                co_await aio::sleep(1h);
            },
            loop.ref());
        const auto target = aio::wrap_future(source);
        begun.wait();
        target.cancel();
        CHECK_THROWS_AS(co_await target, aio::cancelled_error);
        co_await aio::testing::run_until_idle();
        CHECK(source.cancelled());
        ended.wait();

        const auto second = aio::run_coroutine_threadsafe(ends_after(1h), loop.ref());
        const auto follows = aio::wrap_future(second);
        second.cancel();
        CHECK_THROWS_AS(co_await follows, aio::cancelled_error);
        CHECK(follows.cancelled());
    });
}

TEST_CASE("wrap_future: a result for a cancelled future is dropped", "[TS-13]") {
    virtual_run([]() -> aio::task<> {
        aio::future<int> held;
        const auto waits = [](aio::future<int> from) -> aio::task<int> {
            const int result = co_await from;
            co_return result;
        };
        const auto source = aio::run_coroutine_threadsafe(waits(held), aio::get_running_loop().ref());
        const auto target = aio::wrap_future(source);
        co_await aio::testing::run_until_idle();
        held.set_result(4);
        target.cancel(); // in the iteration in which the result is on its way
        co_await aio::testing::run_until_idle();
        CHECK(target.cancelled());
    });
}

TEST_CASE("wrap_future: a loop that is closed when the result comes drops it", "[TS-14]") {
    counted::reset();
    {
        const audited afterwards;
        const watchdog guard;
        other_loop loop;
        gate release;
        std::optional<aio::future<counted>> target;
        const auto source = aio::run_coroutine_threadsafe(
            [&release]() -> aio::task<counted> {
                const auto wait = [&release] { release.wait(); };
                co_await aio::to_thread(wait);
                co_return counted(1);
            },
            loop.ref());
        {
            aio::event_loop here;
            here.call_soon([&] { target.emplace(aio::wrap_future(source)); });
            aio::testing::run_until_idle(here);
        }
        release.open();
        source.wait();
        CHECK_FALSE(target->done());
        loop.end();
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("wrap_future: a result that cannot be copied over is an error, not silence") {
    fragile::fuse = 0;
    virtual_run([]() -> aio::task<> {
        const auto source = aio::run_coroutine_threadsafe([]() -> aio::task<fragile> { co_return fragile(1); },
                                                          aio::get_running_loop().ref());
        co_await aio::testing::run_until_idle();
        const auto target = aio::wrap_future(source);
        fragile::fuse = 1;
        const auto ended = co_await aio::nothrow(target);
        CHECK(text_of(ended.error()) == "copy");
        fragile::fuse = 0;
    });
    CHECK(fragile::alive == 0);
}
