// SPDX-License-Identifier: BSL-1.0

#include <asynchio/thread/run_in_executor.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"
#include "support/threads.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// A job that stays in its thread until it is released; then it gives a counted value or throws one.
struct held_job {
    gate started;
    gate release;

    shared_counted run(bool fails) {
        started.open();
        release.wait();
        if (fails) throw shared_counted(2);
        return shared_counted(1);
    }
};

} // namespace

// Results

TEST_CASE("run_in_executor: the job runs in the pool's thread, its end is delivered on the loop's", "[EX-1]") {
    virtual_run([]() -> aio::task<> {
        aio::thread_pool pool(1);
        const auto here = std::this_thread::get_id();
        std::thread::id job_thread;
        std::thread::id callback_thread;
        const auto result = aio::run_in_executor(
            pool,
            [&job_thread](int a, int b) {
                job_thread = std::this_thread::get_id();
                return a + b;
            },
            3, 4);
        result.add_done_callback([&callback_thread] { callback_thread = std::this_thread::get_id(); });
        const int sum = co_await result;
        co_await aio::yield();
        CHECK(sum == 7);
        CHECK(job_thread != here);
        CHECK(job_thread != std::thread::id());
        CHECK(callback_thread == here);
    });
}

TEST_CASE("run_in_executor: gives what the job throws", "[EX-1]") {
    virtual_run([]() -> aio::task<> {
        aio::thread_pool pool(1);
        const auto failing = aio::run_in_executor(pool, [] { throw boom("job"); });
        const auto ended = co_await aio::nothrow(failing);
        CHECK(text_of(ended.error()) == "job");
        const auto cancelled = aio::run_in_executor(pool, [] { throw aio::cancelled_error("by itself"); });
        CHECK_THROWS_AS(co_await cancelled, aio::cancelled_error);
        CHECK(cancelled.cancelled());
    });
}

TEST_CASE("run_in_executor: void, move-only and reference results, arguments passed as rvalues", "[EX-1]") {
    virtual_run([]() -> aio::task<> {
        aio::thread_pool pool(1);
        int target = 0;
        co_await aio::run_in_executor(pool, [](int& out) { out = 5; }, std::ref(target));
        CHECK(target == 5);
        auto given = std::make_unique<int>(6);
        const auto moves = [](std::unique_ptr<int> in) { return in; };
        const std::unique_ptr<int> back = co_await aio::run_in_executor(pool, moves, std::move(given));
        CHECK(*back == 6);
        int& same = co_await aio::run_in_executor(pool, [](int& x) -> int& { return x; }, std::ref(target));
        CHECK(&same == &target);
    });
}

TEST_CASE("run_in_executor: without a pool it uses the loop's, which it starts", "[EX-2]") {
    virtual_run([]() -> aio::task<> {
        CHECK(aio::testing::audit().threads == 0);
        const int result = co_await aio::run_in_executor([](int x) { return -x; }, 4);
        CHECK(result == -4);
        CHECK(aio::testing::audit().threads == 1);
    });
}

TEST_CASE("run_in_executor: a job may take a stop_token, which nobody stops") {
    virtual_run([]() -> aio::task<> {
        aio::thread_pool pool(1);
        gate started;
        gate release;
        const auto job = [&](std::stop_token stop) {
            started.open();
            release.wait();
            return stop.stop_requested();
        };
        const auto result = aio::run_in_executor(pool, job);
        started.wait();
        release.open();
        const bool stopped = co_await result;
        CHECK_FALSE(stopped);
    });
}

TEST_CASE("run_in_executor: the job is given to the pool at once") {
    virtual_run([]() -> aio::task<> {
        aio::thread_pool pool(1);
        gate ran;
        const auto result = aio::run_in_executor(pool, [&ran] { ran.open(); });
        ran.wait(); // before anything is awaited
        CHECK_FALSE(result.done());
        co_await result;
    });
}

TEST_CASE("run_in_executor: needs a running loop and something to call") {
    aio::thread_pool pool(1);
    CHECK_THROWS_AS(aio::run_in_executor(pool, [] {}), std::logic_error);
    CHECK_THROWS_AS(aio::run_in_executor([] {}), std::logic_error);
    CHECK(pool.started() == 0);
    virtual_run([]() -> aio::task<> {
        void (*none)() = nullptr;
        CHECK_THROWS_AS(aio::run_in_executor(none), std::invalid_argument);
        co_return;
    });
}

// Cancellation

TEST_CASE("run_in_executor: a queued job whose future is cancelled never runs, and is freed at once", "[EX-4]") {
    virtual_run([]() -> aio::task<> {
        aio::thread_pool pool(1);
        held_job busy;
        const auto first = aio::run_in_executor(pool, &held_job::run, &busy, false);
        busy.started.wait();
        std::atomic<bool> ran = false;
        const auto job = [&ran, held = shared_counted(3)] {
            ran = true;
            return held.value;
        };
        const int before = shared_counted::alive;
        const auto queued = aio::run_in_executor(pool, job);
        CHECK(shared_counted::alive > before);
        CHECK(queued.cancel());
        CHECK(shared_counted::alive == before);
        CHECK(queued.cancelled());
        busy.release.open();
        co_await first;
        co_await pool.aclose();
        CHECK_FALSE(ran);
    });
    CHECK(shared_counted::alive == 0);
}

TEST_CASE("run_in_executor: a task that awaits a queued job cancels the job with itself", "[EX-4]") {
    virtual_run([]() -> aio::task<> {
        aio::thread_pool pool(1);
        held_job busy;
        const auto first = aio::run_in_executor(pool, &held_job::run, &busy, false);
        busy.started.wait();
        std::atomic<bool> ran = false;
        const auto waiter =
            aio::create_task([&]() -> aio::task<> { co_await aio::run_in_executor(pool, [&ran] { ran = true; }); });
        co_await aio::testing::run_until_idle();
        waiter.cancel();
        CHECK_THROWS_AS(co_await waiter, aio::cancelled_error);
        busy.release.open();
        co_await first;
        co_await pool.aclose();
        CHECK_FALSE(ran);
    });
}

TEST_CASE("run_in_executor: a running job is not interrupted, and its result or exception is dropped", "[EX-4]") {
    for (const bool fails : {false, true}) {
        virtual_run([fails]() -> aio::task<> {
            aio::thread_pool pool(1);
            held_job job;
            const auto result = aio::run_in_executor(pool, &held_job::run, &job, fails);
            job.started.wait();
            CHECK(result.cancel());
            CHECK_THROWS_AS(co_await result, aio::cancelled_error);
            CHECK_FALSE(job.release.is_open());
            job.release.open();
            co_await pool.aclose();
            co_await aio::testing::run_until_idle();
            CHECK(result.cancelled());
            CHECK(shared_counted::alive == 0);
        });
    }
    CHECK(shared_counted::alive == 0);
}

TEST_CASE("run_in_executor: a result that somebody else has set stays") {
    virtual_run([]() -> aio::task<> {
        aio::thread_pool pool(1);
        gate started;
        gate release;
        const auto job = [&] {
            started.open();
            release.wait();
            return 1;
        };
        const auto result = aio::run_in_executor(pool, job);
        started.wait();
        result.set_result(2);
        release.open();
        co_await pool.aclose();
        co_await aio::testing::run_until_idle();
        CHECK(result.result() == 2);
    });
}

TEST_CASE("run_in_executor: cancelled at every step, nothing is lost", "[EX-4]") {
    std::atomic<int> begun = 0;
    std::atomic<int> ended = 0;
    const auto job = [&] {
        ++begun;
        const shared_counted result(1);
        ++ended;
        return result;
    };
    aio::testing::cancellation_plan twice;
    twice.second_after = 2;
    for (const auto& plan : {aio::testing::cancellation_plan(), twice}) {
        const auto met = aio::testing::for_each_cancellation(
            [&]() -> aio::task<> {
                aio::thread_pool pool(1);
                const auto first = aio::run_in_executor(pool, job);
                const auto second = aio::run_in_executor(pool, job);
                co_await aio::gather(first, second);
                co_await aio::run_in_executor(job);
            },
            plan);
        CHECK(met.points > 2);
        CHECK(met.failed == 0);
    }
    CHECK(begun == ended);
    CHECK(begun >= 6); // at least those of the untouched runs
}

// Exceptions of what is given

TEST_CASE("run_in_executor: an argument that cannot be copied leaves nothing behind") {
    fragile::fuse = 0;
    virtual_run([]() -> aio::task<> {
        aio::thread_pool pool(1);
        const fragile argument(1);
        fragile::fuse = 1;
        CHECK_THROWS_AS(aio::run_in_executor(pool, [](const fragile&) {}, argument), boom);
        fragile::fuse = 0;
        const int result = co_await aio::run_in_executor(pool, [] { return 3; });
        CHECK(result == 3);
    });
    CHECK(fragile::alive == 0);
}

// Lifetime

TEST_CASE("run_in_executor: a loop that is destroyed drops queued jobs, and the result of a running one is freed") {
    for (const bool fails : {false, true}) {
        {
            const audited afterwards;
            held_job running;
            std::atomic<bool> ran = false;
            aio::thread_pool pool(1); // joins before what its jobs refer to goes
            std::optional<aio::future<shared_counted>> result;
            {
                aio::event_loop loop;
                loop.create_task([&]() -> aio::task<> {
                    result.emplace(aio::run_in_executor(pool, &held_job::run, &running, fails));
                    running.started.wait();
                    const auto job = [&ran, held = shared_counted(9)] { ran = held.value != 0; };
                    aio::run_in_executor(pool, job);
                    co_return;
                });
                aio::testing::run_until_idle(loop);
                CHECK(shared_counted::alive == 1); // in the queued job
            }
            CHECK(shared_counted::alive == 0);
            CHECK_FALSE(result->done());
            running.release.open();
            CHECK_FALSE(ran);
        }
        CHECK(shared_counted::alive == 0);
    }
}

TEST_CASE("run_in_executor: a result that is on its way when its loop is destroyed is freed") {
    {
        const audited afterwards;
        aio::thread_pool pool(1);
        {
            aio::event_loop loop;
            loop.create_task([&]() -> aio::task<> {
                aio::run_in_executor(pool, [] { return shared_counted(1); });
                co_return;
            });
            aio::testing::run_until_idle(loop);
        }
    }
    CHECK(shared_counted::alive == 0);
}

TEST_CASE("run_in_executor: the end of a job races with the end of its loop", "[stress]") {
    const int times = rounds(2'000);
    {
        const audited afterwards;
        aio::thread_pool pool(2);
        for (int i = 0; i < times; ++i) {
            aio::event_loop loop;
            loop.create_task([&]() -> aio::task<> {
                aio::run_in_executor(pool, [] { return shared_counted(1); });
                aio::run_in_executor(pool, [] { throw shared_counted(1); });
                co_return;
            });
            aio::testing::run_until_idle(loop);
            take_a_moment(i % 64);
        }
    }
    CHECK(shared_counted::alive == 0);
}

// An executor of the program

namespace {

/// Keeps its jobs until the test runs or drops them.
struct kept_jobs {
    std::vector<std::function<void()>> jobs;
    void execute(std::function<void()> job) { jobs.push_back(std::move(job)); }
};

/// Gives each job a thread; a value, as the executors of many libraries.
struct threads_executor {
    std::vector<std::thread>* threads;
    template<class Job>
    void execute(Job job) const {
        threads->emplace_back(job);
    }
};

struct refusing_executor {
    bool keeps_a_copy;
    std::function<void()>* kept;
    void execute(std::function<void()> job) {
        if (keeps_a_copy) *kept = job;
        throw std::runtime_error("full");
    }
};

} // namespace

TEST_CASE("run_in_executor: an executor of the program runs the job, and the loop gets its result") {
    std::vector<std::thread> threads;
    const threads_executor executor{&threads};
    const auto thread = aio::run([&]() -> aio::task<std::thread::id> {
        const auto pass = [](std::unique_ptr<int> p) { return p; };
        const auto moved = co_await aio::run_in_executor(executor, pass, std::make_unique<int>(5));
        CHECK(*moved == 5);
        const auto failing = aio::run_in_executor(executor, [] { throw std::runtime_error("broken"); });
        const auto failed = co_await aio::nothrow(failing);
        CHECK(message_of([&] { failed.rethrow(); }) == "broken");
        co_return co_await aio::run_in_executor(executor, [] { return std::this_thread::get_id(); });
    });
    CHECK(threads.size() == 3);
    CHECK(thread != std::this_thread::get_id());
    for (std::thread& each : threads) each.join();
}

TEST_CASE("run_in_executor: an executor may run the job on the spot") {
    struct inline_executor {
        void execute(const std::function<void()>& job) const { job(); }
    };
    const int got = aio::run([]() -> aio::task<int> {
        const inline_executor here;
        const auto future = aio::run_in_executor(here, [] { return 4; });
        CHECK_FALSE(future.done());
        co_return co_await future;
    });
    CHECK(got == 4);
}

TEST_CASE("run_in_executor: a job that an executor drops is an error, one that was cancelled is not run") {
    kept_jobs later;
    bool ran = false;
    aio::run([&]() -> aio::task<> {
        const auto lost = aio::run_in_executor(later, [] { return 1; });
        later.jobs.clear();
        const auto error = co_await aio::nothrow(lost);
        CHECK(contains(message_of([&] { error.rethrow(); }), "dropped the job"));

        const auto unwanted = aio::run_in_executor(later, [&] { ran = true; });
        unwanted.cancel();
        CHECK(unwanted.cancelled());
        later.jobs.at(0)();
        later.jobs.at(0)(); // only the first call counts
        later.jobs.clear();

        bool stopped = false;
        const auto running =
            aio::run_in_executor(later, [&](const std::stop_token& stop) { stopped = stop.stop_requested(); });
        later.jobs.at(0)();
        co_await running;
        CHECK_FALSE(stopped);
    });
    CHECK_FALSE(ran);
}

TEST_CASE("run_in_executor: a job may outlive its loop") {
    kept_jobs later;
    const int before = shared_counted::alive;
    aio::run([&]() -> aio::task<> {
        const auto job = [value = shared_counted(1)] { return value; };
        static_cast<void>(aio::run_in_executor(later, job));
        co_return;
    });
    CHECK(shared_counted::alive == before + 1);
    later.jobs.at(0)();
    CHECK(shared_counted::alive == before);
}

TEST_CASE("run_in_executor: the exception of an executor leaves nothing behind, or a job that runs alone") {
    std::function<void()> kept;
    int ran = 0;
    const int before = shared_counted::alive;
    aio::run([&]() -> aio::task<> {
        const auto start = [&](bool keeps) {
            return message_of([&] {
                const auto job = [&, v = shared_counted(1)] { ++ran; };
                static_cast<void>(aio::run_in_executor(refusing_executor{keeps, &kept}, job));
            });
        };
        CHECK(start(false) == "full");
        CHECK(shared_counted::alive == before);
        CHECK(start(true) == "full");
        CHECK(shared_counted::alive == before);
        kept();
        co_return;
    });
    CHECK(ran == 0);
}
