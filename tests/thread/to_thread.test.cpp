// SPDX-License-Identifier: BSL-1.0

#include <asynchio/thread/to_thread.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"
#include "support/threads.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/shield.hpp>
#include <asynchio/combine/task_group.hpp>
#include <asynchio/combine/timeout.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/debug/metrics.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>
#include <asynchio/testing/run_until_idle.hpp>
#include <asynchio/thread/run_in_executor.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

int doubled(int value) { return value * 2; }

/// A callable that counts how often it was called and how many of its kind are alive.
class tracked {
public:
    explicit tracked(std::atomic<int>& calls) noexcept : calls_(&calls) { ++alive; }
    tracked(const tracked& other) noexcept : calls_(other.calls_) { ++alive; }
    tracked(tracked&& other) noexcept : calls_(other.calls_) { ++alive; }
    tracked& operator=(const tracked&) = default;
    ~tracked() { --alive; }
    void operator()() const { ++*calls_; }

    static inline std::atomic<int> alive = 0;

private:
    std::atomic<int>* calls_;
};

/// A job that says that it runs and then stays until it may go, or is asked to stop.
struct held_job {
    gate started;
    gate release;
    std::atomic<bool> stopped = false;
    std::atomic<bool> over = false;

    int operator()(std::stop_token stop) {
        started.open();
        stopped = !release.wait(stop);
        over = true;
        return 7;
    }
};

/// A job that cannot be asked to stop.
struct deaf_job {
    gate started;
    gate release;
    std::atomic<bool> over = false;

    int operator()() {
        started.open();
        release.wait();
        over = true;
        return 7;
    }
};

template<class Job>
aio::task<int> in_thread(Job& job) {
    co_return co_await aio::to_thread(std::ref(job));
}

} // namespace

// Results

TEST_CASE("to_thread: gives the result of the call, made once in another thread", "[EX-9][EX-10]") {
    std::atomic<int> calls = 0;
    std::thread::id worker;
    const auto job = [&](int a, const std::string& b) {
        ++calls;
        worker = std::this_thread::get_id();
        return b + std::to_string(a);
    };
    const std::string result =
        virtual_run([&]() -> aio::task<std::string> { co_return co_await aio::to_thread(job, 7, "seven "); });
    CHECK(result == "seven 7");
    CHECK(calls == 1);
    CHECK(worker != std::thread::id());
    CHECK(worker != std::this_thread::get_id());
}

TEST_CASE("to_thread: throws what the call throws", "[EX-10]") {
    std::string said;
    virtual_run([&]() -> aio::task<> {
        try {
            co_await aio::to_thread([] { throw boom("in the thread"); });
        } catch (const boom& e) {
            said = e.what();
        }
    });
    CHECK(said == "in the thread");
}

TEST_CASE("to_thread: void, move-only and reference results", "[EX-9]") {
    int target = 1;
    virtual_run([&]() -> aio::task<> {
        co_await aio::to_thread([&target] { target = 2; });
        CHECK(target == 2);
        const std::unique_ptr<int> owned = co_await aio::to_thread([] { return std::make_unique<int>(5); });
        CHECK(*owned == 5);
        int& reference = co_await aio::to_thread([&target]() -> int& { return target; });
        CHECK(&reference == &target);
    });
}

TEST_CASE("to_thread: a result is moved, not copied, and lives once", "[EX-9]") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        const counted result = co_await aio::to_thread([] { return counted(3); });
        CHECK(result.value == 3);
        CHECK(counted::alive == 1);
    });
    CHECK(counted::alive == 0);
    CHECK(counted::copies == 0);
}

TEST_CASE("to_thread: arguments are copied in and passed as rvalues, std::ref passes a reference", "[EX-9]") {
    virtual_run([]() -> aio::task<> {
        int target = 0;
        auto owned = std::make_unique<int>(4);
        const int sum = co_await aio::to_thread(
            [](int& out, std::unique_ptr<int> in, std::string&& text) {
                out = *in;
                return *in + static_cast<int>(text.size());
            },
            std::ref(target), std::move(owned), std::string("abc"));
        CHECK(sum == 7);
        CHECK(target == 4);
    });
}

TEST_CASE("to_thread: takes functions, member functions and callables that cannot be copied", "[EX-9]") {
    struct thing {
        int value;
        int plus(int more) const { return value + more; }
    };
    virtual_run([]() -> aio::task<> {
        const int eight = co_await aio::to_thread(doubled, 4);
        CHECK(eight == 8);
        const thing seven{7};
        const int plus_one = co_await aio::to_thread(&thing::plus, &seven, 1);
        CHECK(plus_one == 8);
        auto job = [owned = std::make_unique<int>(9)] { return *owned; };
        const int nine = co_await aio::to_thread(aio::take(job));
        CHECK(nine == 9);
    });
}

TEST_CASE("to_thread: a null function is misuse") {
    virtual_run([]() -> aio::task<> {
        int (*none)() = nullptr;
        CHECK_THROWS_AS(aio::to_thread(none), std::invalid_argument);
        std::function<int()> empty;
        CHECK_THROWS_AS(aio::to_thread(empty), std::invalid_argument);
        co_return;
    });
}

TEST_CASE("to_thread: nothing is given to a thread before it is awaited", "[EX-13]") {
    std::atomic<int> calls = 0;
    virtual_run([&]() -> aio::task<> {
        {
            const auto dropped = aio::to_thread(tracked(calls));
            CHECK(tracked::alive == 1);
        }
        CHECK(tracked::alive == 0);
        auto later = aio::to_thread(tracked(calls));
        const auto handle = aio::create_task(std::move(later));
        CHECK(aio::testing::audit().threads == 0); // the task has not begun
        co_await handle;
        CHECK(aio::testing::audit().threads == 1);
    });
    CHECK(calls == 1);
    CHECK(tracked::alive == 0);
}

TEST_CASE("to_thread: several run at the same time", "[EX-11]") {
    gate first;
    gate second;
    const auto left = [&] {
        first.open();
        second.wait();
        return 1;
    };
    const auto right = [&] {
        second.open();
        first.wait();
        return 2;
    };
    virtual_run([&]() -> aio::task<> {
        const auto results = co_await aio::gather(aio::to_thread(left), aio::to_thread(right));
        CHECK(std::get<0>(results) == 1);
        CHECK(std::get<1>(results) == 2);
    });
}

TEST_CASE("to_thread: the loop runs on meanwhile") {
    deaf_job job;
    virtual_run([&]() -> aio::task<> {
        const auto handle = aio::create_task(in_thread(job));
        co_await aio::testing::run_until_idle();
        job.started.wait();
        int turns = 0;
        for (; turns < 100; ++turns) co_await aio::yield();
        CHECK_FALSE(handle.done());
        job.release.open();
        const int result = co_await handle;
        CHECK(result == 7);
        CHECK(turns == 100);
    });
}

TEST_CASE("to_thread: virtual time stands still while a thread owes a result") {
    deaf_job job;
    virtual_run([&]() -> aio::task<> {
        const auto sleeper = aio::create_task(ends_after(1ms));
        const auto begin = aio::clock::now();
        const auto handle = aio::create_task(in_thread(job));
        std::thread releaser([&job] {
            job.started.wait();
            job.release.open();
        });
        co_await handle;
        releaser.join();
        CHECK(aio::clock::now() == begin);
        CHECK_FALSE(sleeper.done());
        co_await sleeper;
        CHECK(aio::clock::now() == begin + 1ms);
    });
}

TEST_CASE("to_thread: virtual time goes on after a queued job was cancelled") {
    deaf_job job;
    const opened_at_end release(job.release);
    virtual_run([&]() -> aio::task<> {
        aio::set_default_pool(1);
        const auto busy = aio::create_task(in_thread(job));
        co_await aio::testing::run_until_idle();
        job.started.wait();
        std::atomic<int> calls = 0;
        const auto queued = aio::create_task(aio::to_thread(tracked(calls)));
        co_await aio::testing::run_until_idle();
        queued.cancel();
        co_await aio::testing::run_until_idle();
        job.release.open();
        co_await busy;
        const auto begin = aio::clock::now();
        co_await aio::sleep(1h);
        CHECK(aio::clock::now() == begin + 1h);
        CHECK(calls == 0);
    });
}

// Cancellation

TEST_CASE("to_thread: cancelled before its task began, it runs nothing", "[EX-4][EX-13]") {
    std::atomic<int> calls = 0;
    virtual_run([&]() -> aio::task<> {
        const auto handle = aio::create_task(aio::to_thread(tracked(calls)));
        handle.cancel();
        CHECK_THROWS_AS(co_await handle, aio::cancelled_error);
        CHECK(aio::testing::audit().threads == 0);
    });
    CHECK(calls == 0);
    CHECK(tracked::alive == 0);
}

TEST_CASE("to_thread: a queued job that is cancelled never runs, and its task ends at once", "[EX-4]") {
    deaf_job busy;
    std::atomic<int> calls = 0;
    virtual_run([&]() -> aio::task<> {
        const opened_at_end release(busy.release);
        aio::set_default_pool(1);
        const auto first = aio::create_task(in_thread(busy));
        const auto second = aio::create_task(aio::to_thread(tracked(calls)));
        const auto third = aio::create_task(aio::to_thread(tracked(calls)));
        co_await aio::testing::run_until_idle();
        busy.started.wait();
        const int held = tracked::alive;
        second.cancel("no need");
        co_await aio::testing::run_until_idle();
        CHECK(second.cancelled());
        CHECK(tracked::alive == held / 2); // what the third holds
        CHECK_FALSE(busy.over);
        std::string message;
        try {
            co_await second;
        } catch (const aio::cancelled_error& e) {
            message = e.message();
        }
        CHECK(message == "no need");
        busy.release.open();
        const int result = co_await first;
        CHECK(result == 7);
        co_await third;
    });
    CHECK(calls == 1);
    CHECK(tracked::alive == 0);
}

TEST_CASE("to_thread: cancelling asks a running job to stop at once, and waits for it", "[EX-14]") {
    held_job job;
    virtual_run([&]() -> aio::task<> {
        const auto handle = aio::create_task(in_thread(job));
        co_await aio::testing::run_until_idle();
        job.started.wait();
        CHECK(handle.cancel("stop it"));
        std::string message;
        try {
            co_await handle;
        } catch (const aio::cancelled_error& e) {
            message = e.message();
        }
        CHECK(message == "stop it");
        CHECK(job.stopped);
        CHECK(job.over);
        CHECK(handle.cancelled());
    });
}

TEST_CASE("to_thread: a cancelled job that takes no stop_token is waited for", "[EX-14]") {
    deaf_job job;
    virtual_run([&]() -> aio::task<> {
        const opened_at_end release(job.release);
        const auto handle = aio::create_task(in_thread(job));
        co_await aio::testing::run_until_idle();
        job.started.wait();
        handle.cancel();
        co_await aio::testing::run_until_idle();
        CHECK_FALSE(handle.done());
        job.release.open();
        CHECK_THROWS_AS(co_await handle, aio::cancelled_error);
        CHECK(job.over);
    });
}

TEST_CASE("to_thread: a second request to cancel does not cut the waiting short") {
    deaf_job job;
    virtual_run([&]() -> aio::task<> {
        const opened_at_end release(job.release);
        const auto handle = aio::create_task(in_thread(job));
        co_await aio::testing::run_until_idle();
        job.started.wait();
        CHECK(handle.cancel());
        CHECK(handle.cancel());
        co_await aio::testing::run_until_idle();
        CHECK(handle.cancel());
        co_await aio::testing::run_until_idle();
        CHECK_FALSE(handle.done());
        CHECK(handle.cancelling() == 3);
        job.release.open();
        CHECK_THROWS_AS(co_await handle, aio::cancelled_error);
        CHECK(job.over);
    });
}

TEST_CASE("to_thread: the result of a cancelled job is freed, its exception dropped") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        for (const bool fails : {false, true}) {
            deaf_job job;
            auto call = [&job, fails] {
                job();
                if (fails) throw boom("unseen");
                return counted(1);
            };
            const auto handle = aio::create_task([&call]() -> aio::task<> { co_await aio::to_thread(std::ref(call)); });
            co_await aio::testing::run_until_idle();
            job.started.wait();
            handle.cancel();
            job.release.open();
            CHECK_THROWS_AS(co_await handle, aio::cancelled_error);
        }
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("to_thread: a cancellation that is caught leaves the task as it was") {
    held_job job;
    virtual_run([&]() -> aio::task<> {
        const auto handle = aio::create_task([&job]() -> aio::task<int> {
            try {
                co_await aio::to_thread(std::ref(job));
            } catch (const aio::cancelled_error&) {
                aio::current_task().uncancel();
            }
            co_return co_await aio::to_thread(doubled, 21);
        });
        co_await aio::testing::run_until_idle();
        job.started.wait();
        handle.cancel();
        const int result = co_await handle;
        CHECK(result == 42);
    });
}

TEST_CASE("to_thread: with a request to cancel pending it ends cancelled, whether the job began or not") {
    std::atomic<int> begun = 0;
    std::atomic<int> ended = 0;
    virtual_run([&]() -> aio::task<> {
        for (int i = 0; i < 100; ++i) {
            const auto handle = aio::create_task([&]() -> aio::task<> {
                aio::current_task().cancel();
                co_await aio::to_thread([&] {
                    ++begun;
                    ++ended;
                });
            });
            CHECK_THROWS_AS(co_await handle, aio::cancelled_error);
            CHECK(begun == ended);
        }
    });
}

TEST_CASE("to_thread: abandon_on_cancel leaves a running job behind, and run joins it", "[EX-14]") {
    auto job = std::make_shared<deaf_job>();
    virtual_run([&]() -> aio::task<> {
        const auto call = [job] { return (*job)(); };
        const auto handle = aio::create_task(aio::to_thread(aio::abandon_on_cancel, call));
        co_await aio::testing::run_until_idle();
        job->started.wait();
        handle.cancel();
        CHECK_THROWS_AS(co_await handle, aio::cancelled_error);
        CHECK_FALSE(job->over);
        job->release.open();
    });
    CHECK(job->over);
    CHECK(job.use_count() == 1);
}

TEST_CASE("to_thread: abandon_on_cancel gives results, exceptions, and withdraws a queued job", "[EX-4]") {
    deaf_job busy;
    std::atomic<int> calls = 0;
    virtual_run([&]() -> aio::task<> {
        const opened_at_end release(busy.release);
        aio::set_default_pool(1);
        const int eight = co_await aio::to_thread(aio::abandon_on_cancel, doubled, 4);
        CHECK(eight == 8);
        CHECK_THROWS_AS(co_await aio::to_thread(aio::abandon_on_cancel, [] { throw boom("x"); }), boom);
        const auto first = aio::create_task(in_thread(busy));
        const auto queued = aio::create_task(aio::to_thread(aio::abandon_on_cancel, tracked(calls)));
        co_await aio::testing::run_until_idle();
        busy.started.wait();
        queued.cancel();
        co_await aio::testing::run_until_idle();
        CHECK(queued.cancelled());
        CHECK(tracked::alive == 0);
        busy.release.open();
        co_await first;
    });
    CHECK(calls == 0);
}

// In combinators

TEST_CASE("to_thread: a timeout stops the job and waits for it", "[time]") {
    held_job job;
    const audited afterwards;
    const watchdog guard;
    aio::run([&]() -> aio::task<> {
        bool timed_out = false;
        const auto body = [&job]() -> aio::task<> { co_await aio::to_thread(std::ref(job)); };
        try {
            co_await aio::with(aio::timeout(10ms), body);
        } catch (const aio::timeout_error&) {
            timed_out = true;
        }
        CHECK(timed_out);
        CHECK(job.stopped);
        CHECK(job.over);
        CHECK(aio::current_task().cancelling() == 0);
    });
}

TEST_CASE("to_thread: wait_for stops the job and waits for it", "[time]") {
    held_job job;
    const audited afterwards;
    const watchdog guard;
    aio::run([&]() -> aio::task<> {
        CHECK_THROWS_AS(co_await aio::wait_for(aio::to_thread(std::ref(job)), 10ms), aio::timeout_error);
        CHECK(job.stopped);
        CHECK(job.over);
        const int six = co_await aio::wait_for(aio::to_thread(doubled, 3), 10s);
        CHECK(six == 6);
    });
}

TEST_CASE("to_thread: no time at all starts nothing") {
    std::atomic<int> calls = 0;
    virtual_run([&]() -> aio::task<> {
        CHECK_THROWS_AS(co_await aio::wait_for(aio::to_thread(tracked(calls)), 0s), aio::timeout_error);
    });
    CHECK(calls == 0);
    CHECK(tracked::alive == 0);
}

TEST_CASE("to_thread: a gather that fails stops the job beside it and waits for it") {
    held_job job;
    virtual_run([&]() -> aio::task<> {
        const auto failing = [&job]() -> aio::task<> {
            co_await aio::to_thread([&job] { job.started.wait(); });
            throw boom("beside");
        };
        CHECK_THROWS_AS(co_await aio::gather(aio::to_thread(std::ref(job)), failing()), boom);
        CHECK(job.stopped);
        CHECK(job.over);
    });
}

TEST_CASE("to_thread: a task group that fails stops the job and waits for it") {
    held_job job;
    virtual_run([&]() -> aio::task<> {
        const auto body = [&job](aio::task_group& group) -> aio::task<> {
            group.create_task(in_thread(job));
            co_await aio::testing::run_until_idle();
            job.started.wait();
            throw boom("in the body");
        };
        bool seen = false;
        try {
            co_await aio::with(aio::task_group(), body);
        } catch (const aio::exception_group& errors) {
            seen = errors.exceptions().size() == 1 && errors.contains<boom>();
        }
        CHECK(seen);
        CHECK(job.stopped);
        CHECK(job.over);
    });
}

TEST_CASE("to_thread: shield keeps the request from the job, and delivers it when that has ended") {
    held_job job;
    virtual_run([&]() -> aio::task<> {
        const opened_at_end release(job.release);
        const auto handle = aio::create_task(
            [&job]() -> aio::task<int> { co_return co_await aio::shield(aio::to_thread(std::ref(job))); });
        co_await aio::testing::run_until_idle();
        job.started.wait();
        handle.cancel();
        co_await aio::testing::run_until_idle();
        CHECK_FALSE(handle.done());
        CHECK_FALSE(job.stopped);
        job.release.open();
        CHECK_THROWS_AS(co_await handle, aio::cancelled_error);
        CHECK_FALSE(job.stopped);
        CHECK(job.over);
    });
}

TEST_CASE("to_thread: nothrow gives what the call throws") {
    virtual_run([]() -> aio::task<> {
        const auto good = co_await aio::nothrow(aio::to_thread(doubled, 2));
        CHECK(good.value() == 4);
        const auto bad = co_await aio::nothrow(aio::to_thread([]() -> int { throw boom("caught"); }));
        CHECK(text_of(bad.error()) == "caught");
    });
}

TEST_CASE("to_thread: cancelled at every step, it leaves no thread in a dead frame") {
    std::atomic<int> inside = 0;
    std::atomic<int> begun = 0;
    const auto job = [&](std::vector<int>& frame) {
        ++begun;
        ++inside;
        for (int& each : frame) ++each;
        --inside;
        return std::accumulate(frame.begin(), frame.end(), 0);
    };
    const auto leaf = [&]() -> aio::task<int> {
        std::vector<int> mine(64, 1);
        const int first = co_await aio::to_thread(job, std::ref(mine));
        const int second = co_await aio::to_thread(job, std::ref(mine));
        co_return first + second;
    };
    const auto check = [&](auto scenario) {
        const auto met = aio::testing::for_each_cancellation(scenario);
        CHECK(met.points > 2);
        CHECK(met.failed == 0);
        CHECK(inside == 0);
        aio::testing::cancellation_plan twice;
        twice.second_after = 1;
        const auto met_twice = aio::testing::for_each_cancellation(scenario, twice);
        CHECK(met_twice.points > 2);
        CHECK(inside == 0);
    };
    SECTION("alone") {
        check([&] { return leaf(); });
    }
    SECTION("gathered") {
        check([&]() -> aio::task<> {
            const auto sums = co_await aio::gather(leaf(), leaf(), aio::to_thread(doubled, 1));
            CHECK(std::get<2>(sums) == 2);
        });
    }
    SECTION("in a timeout") {
        check([&]() -> aio::task<> {
            const auto body = [&]() -> aio::task<> { co_await leaf(); };
            co_await aio::with(aio::timeout(1h), body);
        });
    }
    SECTION("in a task group") {
        check([&]() -> aio::task<> {
            const auto body = [&](aio::task_group& group) -> aio::task<> {
                group.create_task(leaf());
                group.create_task(leaf());
                co_await leaf();
            };
            co_await aio::with(aio::task_group(), body);
        });
    }
    SECTION("shielded") {
        check([&]() -> aio::task<> { co_await aio::shield(leaf()); });
    }
    SECTION("behind a busy thread") {
        check([&]() -> aio::task<> {
            aio::set_default_pool(1);
            co_await aio::gather(leaf(), leaf(), leaf());
        });
    }
    SECTION("left behind") {
        check([&]() -> aio::task<> {
            const int one = co_await aio::to_thread(aio::abandon_on_cancel, doubled, 1);
            co_await aio::to_thread(aio::abandon_on_cancel, doubled, one);
        });
    }
    CHECK(begun >= 0);
}

// Lifetime

TEST_CASE("to_thread: a loop that is destroyed asks running jobs to stop and waits for them, and drops queued ones") {
    held_job job;
    std::atomic<int> calls = 0;
    {
        const audited afterwards;
        std::optional<aio::event_loop> loop(std::in_place);
        int reports = 0;
        loop->set_exception_handler([&reports](aio::event_loop&, const aio::exception_context&) { ++reports; });
        loop->create_task([]() -> aio::task<> {
            aio::set_default_pool(1);
            co_return;
        });
        loop->create_task(in_thread(job));
        loop->create_task(aio::to_thread(tracked(calls)));
        aio::testing::run_until_idle(*loop);
        job.started.wait();
        loop.reset();
        CHECK(job.stopped);
        CHECK(job.over);
        CHECK(reports == 2);
    }
    CHECK(calls == 0);
    CHECK(tracked::alive == 0);
}

TEST_CASE("to_thread: a result that is on its way when its loop is destroyed is freed") {
    counted::reset();
    {
        const audited afterwards;
        aio::event_loop loop;
        loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
        gate given;
        const auto job = [&given] {
            given.open();
            return counted(1);
        };
        loop.create_task([&job]() -> aio::task<> { co_await aio::to_thread(job); });
        aio::testing::run_until_idle(loop);
        given.wait();
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("to_thread: one worker does 10,000 jobs in order", "[EX-5]") {
    constexpr int jobs = 10'000;
    std::vector<int> order;
    virtual_run([&]() -> aio::task<> {
        aio::set_default_pool(1);
        std::vector<aio::task<int>> calls;
        for (int i = 0; i < jobs; ++i)
            calls.push_back(aio::co_invoke([&order, i] {
                return aio::to_thread([&order, i] {
                    order.push_back(i);
                    return i;
                });
            }));
        const std::vector<int> results = co_await aio::gather(std::move(calls));
        CHECK(results == order);
        CHECK(aio::testing::audit().threads == 1);
    });
    REQUIRE(order.size() == jobs);
    CHECK(std::is_sorted(order.begin(), order.end()));
}

TEST_CASE("to_thread: 10,000 jobs queued behind a busy worker are cancelled at once") {
    deaf_job busy;
    std::atomic<int> calls = 0;
    virtual_run([&]() -> aio::task<> {
        const opened_at_end release(busy.release);
        aio::set_default_pool(1);
        const auto first = aio::create_task(in_thread(busy));
        std::vector<aio::task_handle<>> queued;
        for (int i = 0; i < 10'000; ++i) queued.push_back(aio::create_task(aio::to_thread(tracked(calls))));
        co_await aio::testing::run_until_idle();
        busy.started.wait();
        for (const auto& each : queued) each.cancel();
        co_await aio::testing::run_until_idle();
        CHECK(std::all_of(queued.begin(), queued.end(), [](const auto& each) { return each.cancelled(); }));
        CHECK(tracked::alive == 0);
        busy.release.open();
        co_await first;
    });
    CHECK(calls == 0);
}

TEST_CASE("to_thread: 100,000 calls one after the other", "[stress]") {
    const int calls = rounds(100'000);
    std::int64_t sum = 0;
    virtual_run([&]() -> aio::task<> {
        for (int i = 0; i < calls; ++i) sum += co_await aio::to_thread(doubled, i);
    });
    CHECK(sum == std::int64_t(calls) * (calls - 1));
}

TEST_CASE("to_thread: in a pool of one's own") {
    virtual_run([]() -> aio::task<> {
        aio::thread_pool pool(1);
        const auto own = co_await aio::to_thread(pool, [] { return std::this_thread::get_id(); });
        const auto again = co_await aio::to_thread(
            pool, [](std::thread::id known) { return known == std::this_thread::get_id(); }, own);
        CHECK(again);
        const auto other = co_await aio::to_thread([] { return std::this_thread::get_id(); });
        CHECK(other != own);
        const auto failed =
            co_await aio::nothrow(aio::to_thread(pool, []() -> int { throw std::runtime_error("bad"); }));
        CHECK_THROWS_WITH(failed.rethrow(), "bad");
    });
}

TEST_CASE("to_thread: in a pool of one's own, a queued call that is cancelled never runs") {
    virtual_run([]() -> aio::task<> {
        aio::thread_pool pool(1);
        gate started;
        gate release;
        bool ran = false;
        const auto first = aio::create_task([&]() -> aio::task<> {
            co_await aio::to_thread(pool, [&] {
                started.open();
                release.wait();
            });
        });
        co_await aio::yield();
        started.wait();
        const auto second =
            aio::create_task([&]() -> aio::task<> { co_await aio::to_thread(pool, [&] { ran = true; }); });
        co_await aio::yield();
        CHECK(second.cancel());
        const auto ended = co_await aio::nothrow(second);
        CHECK(ended.cancelled());
        release.open();
        co_await first;
        CHECK_FALSE(ran);
    });
}

TEST_CASE("to_thread: a callable or argument that cannot be moved in leaves nothing") {
    virtual_run([]() -> aio::task<> {
        const fragile value(1);
        const auto call = [value](const fragile& other) { return value.value + other.value; };
        CHECK(throws_while_made([&] { return aio::to_thread(aio::abandon_on_cancel, call, value); }) > 1);
        const int sum = co_await aio::to_thread(aio::abandon_on_cancel, call, value);
        CHECK(sum == 2);
    });
    CHECK(fragile::alive == 0);
}

TEST_CASE("to_thread: debug mode reports a call that has waited long for a thread, and metrics count the wait") {
    for (const bool executor : {false, true}) {
        std::vector<std::string> reports;
        std::atomic<bool> may_end = false;
        const auto wait = [&] {
            while (!may_end) std::this_thread::yield();
        };
        // Has two calls for one thread, so that the second one waits until the first one may end.
        auto two_calls = [&](aio::thread_pool& pool, aio::duration limit) -> aio::task<> {
            may_end = false;
            const auto first = aio::run_in_executor(pool, wait);
            auto second = aio::run_in_executor(pool, [] {});
            auto third = [&]() -> aio::task<> { co_await aio::to_thread(pool, [] {}); };
            const auto in_thread = aio::create_task(third());
            if (!executor) {
                second.cancel();
            } else {
                in_thread.cancel();
            }
            for (int i = 0; i < 3; ++i) co_await aio::yield();
            aio::get_running_loop().set_slow_callback_duration(limit);
            may_end = true;
            co_await aio::nothrow(first);
            while (!second.done() || !in_thread.done()) co_await aio::yield();
        };
        auto main = [&]() -> aio::task<> {
            auto& loop = aio::get_running_loop();
            loop.set_report_handler([&](aio::event_loop&, const aio::exception_context& context) {
                if (contains(context.message, "has waited")) reports.push_back(context.message);
            });
            aio::thread_pool pool(1);
            co_await two_calls(pool, 1h);
            CHECK(reports.empty());
            co_await two_calls(pool, 1ns);
            CHECK(reports.size() == 1);
            CHECK(loop.metrics().pool_threads == 0); // they are those of the loop
            co_await aio::to_thread([] {});
            CHECK(loop.metrics().pool_threads == 1);
            CHECK(loop.metrics().pool_queued == 0);
            CHECK(loop.metrics().pool_longest_wait == 0s);
        };
        virtual_run(main(), {.debug = true});
        REQUIRE(reports.size() == 1);
        CHECK(reports[0].starts_with("a call has waited 0."));
        CHECK(reports[0].ends_with(" seconds for a thread of a pool that has at most 1"));
    }
}
