// SPDX-License-Identifier: BSL-1.0

#include <asynchio/thread/thread_pool.hpp>

// covers: thread/detail/worker_count.hpp

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"
#include "support/threads.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/task/context_var.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/testing/run_until_idle.hpp>
#include <asynchio/thread/detail/worker_count.hpp>
#include <asynchio/thread/run_in_executor.hpp>
#include <asynchio/thread/to_thread.hpp>
#include <asynchio/thread/wrap_future.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <pthread.h>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

std::string thread_name() {
    char name[16] = {};
    pthread_getname_np(pthread_self(), name, sizeof name);
    return name;
}

sigset_t signal_mask() {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    return mask;
}

/// Occupies a thread from begin() until it is opened.
struct occupation {
    gate started;
    gate release;

    aio::future<> begin(aio::thread_pool& pool) {
        const auto job = [this] {
            started.open();
            release.wait();
        };
        aio::future<> made = aio::run_in_executor(pool, job);
        started.wait();
        return made;
    }
};

} // namespace

// Construction

TEST_CASE("thread_pool: has min(32, cores + 4) threads at most unless told otherwise", "[EX-2]") {
    const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
    CHECK(aio::thread_pool().size() == std::min<std::size_t>(32, cores + 4));
    CHECK(aio::thread_pool(3).size() == 3);
}

TEST_CASE("thread_pool: no threads at all is misuse") { CHECK_THROWS_AS(aio::thread_pool(0), std::invalid_argument); }

TEST_CASE("thread_pool: starts no thread before there is work", "[EX-2]") {
    const aio::thread_pool pool(4);
    CHECK(pool.started() == 0);
    CHECK(aio::detail::workers_alive == 0);
}

// Threads

TEST_CASE("thread_pool: starts a thread when none is idle, up to its number", "[EX-5]") {
    virtual_run([]() -> aio::task<> {
        aio::thread_pool pool(2);
        occupation first;
        occupation second;
        const auto one = first.begin(pool);
        CHECK(pool.started() == 1);
        const auto two = second.begin(pool);
        CHECK(pool.started() == 2);
        CHECK(aio::detail::workers_alive == 2);
        std::atomic<int> ran = 0;
        const auto job = [&ran] { return ++ran; };
        const auto three = aio::run_in_executor(pool, job);
        const auto four = aio::run_in_executor(pool, job);
        CHECK(pool.started() == 2);
        CHECK(ran == 0);
        first.release.open();
        CHECK_NOTHROW(co_await one);
        const auto ends = co_await aio::gather(three, four);
        CHECK(std::get<0>(ends) + std::get<1>(ends) == 3);
        second.release.open();
        co_await two;
        CHECK(pool.started() == 2);
    });
}

TEST_CASE("thread_pool: one thread runs jobs in the order in which they were given", "[EX-5]") {
    std::vector<int> order;
    virtual_run([&]() -> aio::task<> {
        aio::thread_pool pool(1);
        std::vector<aio::future<>> jobs;
        for (int i = 0; i < 1'000; ++i) jobs.push_back(aio::run_in_executor(pool, [&order, i] { order.push_back(i); }));
        co_await aio::gather(jobs);
    });
    std::vector<int> expected(1'000);
    std::iota(expected.begin(), expected.end(), 0);
    CHECK(order == expected);
}

TEST_CASE("thread_pool: names its threads", "[EX-2]") {
    virtual_run([]() -> aio::task<> {
        aio::thread_pool pool(2);
        const auto occupied_name = [](occupation* held) {
            held->started.open();
            held->release.wait();
            return thread_name();
        };
        occupation first;
        const auto one = aio::run_in_executor(pool, occupied_name, &first);
        first.started.wait();
        const auto two = aio::run_in_executor(pool, thread_name);
        const std::string second_name = co_await two;
        first.release.open();
        const std::string first_name = co_await one;
        CHECK(first_name == "asynchio-0");
        CHECK(second_name == "asynchio-1");
    });
}

TEST_CASE("thread_pool: its threads take no signals, and the mask of who starts them stays") {
    sigset_t ours;
    sigemptyset(&ours);
    sigaddset(&ours, SIGUSR2);
    sigset_t before;
    pthread_sigmask(SIG_SETMASK, &ours, &before);
    virtual_run([]() -> aio::task<> {
        aio::thread_pool pool(1);
        const sigset_t theirs = co_await aio::run_in_executor(pool, signal_mask);
        for (const int each : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGCHLD, SIGPIPE})
            CHECK(sigismember(&theirs, each) == 1);
    });
    const sigset_t now = signal_mask();
    CHECK(sigismember(&now, SIGUSR2) == 1);
    CHECK(sigismember(&now, SIGINT) == 0);
    CHECK(sigismember(&now, SIGUSR1) == 0);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_CASE("thread_pool: a thread that spins before it sleeps does its work all the same") {
    aio::thread_pool_options options;
    options.spin = 20us;
    virtual_run([&]() -> aio::task<> {
        aio::thread_pool pool(2, options);
        int sum = 0;
        for (int i = 0; i < 1'000; ++i) sum += co_await aio::run_in_executor(pool, [](int x) { return x; }, i);
        CHECK(sum == 999 * 1'000 / 2);
    });
}

// The end

TEST_CASE("thread_pool: a thread counts as alive until its thread_local objects are gone") {
    static std::atomic<int> alive_at_the_end;
    alive_at_the_end = -1;
    struct last_look {
        ~last_look() { alive_at_the_end = aio::detail::workers_alive.load(); }
    };
    virtual_run([]() -> aio::task<> {
        aio::thread_pool pool(1);
        co_await aio::run_in_executor(pool, [] {
            static thread_local const last_look at_the_end;
            static_cast<void>(&at_the_end);
        });
    });
    CHECK(alive_at_the_end == 1);
}

TEST_CASE("thread_pool: its destructor waits for the work that was given") {
    std::atomic<int> ran = 0;
    virtual_run([&]() -> aio::task<> {
        std::vector<aio::future<int>> jobs;
        {
            aio::thread_pool pool(1);
            for (int i = 0; i < 100; ++i) jobs.push_back(aio::run_in_executor(pool, [&ran] { return ++ran; }));
        }
        CHECK(ran == 100);
        CHECK(aio::detail::workers_alive == 0);
        const std::vector<int> results = co_await aio::gather(jobs);
        CHECK(results.back() == 100);
    });
}

TEST_CASE("thread_pool: aclose waits for the work without blocking the loop", "[EX-7]") {
    virtual_run([]() -> aio::task<> {
        aio::thread_pool pool(1);
        occupation held;
        const auto busy = held.begin(pool);
        std::atomic<bool> ran = false;
        const auto queued = aio::run_in_executor(pool, [&ran] { ran = true; });
        const auto closing = aio::create_task(pool.aclose());
        co_await aio::testing::run_until_idle();
        CHECK_FALSE(closing.done());
        CHECK_FALSE(ran);
        held.release.open();
        co_await closing;
        CHECK(ran);
        CHECK(aio::detail::workers_alive == 0);
        co_await queued;
        co_await busy;
    });
}

TEST_CASE("thread_pool: takes no more work once it is closed", "[EX-6]") {
    virtual_run([]() -> aio::task<> {
        aio::thread_pool pool(1);
        const int one = co_await aio::run_in_executor(pool, [] { return 1; });
        CHECK(one == 1);
        co_await pool.aclose();
        counted::reset();
        const auto job = [held = counted(1)] { return held.value; };
        CHECK_THROWS_AS(aio::run_in_executor(pool, job), std::logic_error);
        CHECK(counted::alive == 1);
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("thread_pool: aclose of a pool that never worked, and a second time, is done at once") {
    virtual_run([]() -> aio::task<> {
        aio::thread_pool pool(1);
        co_await pool.aclose();
        co_await pool.aclose();
        CHECK(pool.started() == 0);
    });
}

TEST_CASE("thread_pool: several tasks may wait for its end") {
    virtual_run([]() -> aio::task<> {
        aio::thread_pool pool(2);
        occupation held;
        const auto busy = held.begin(pool);
        std::vector<aio::task_handle<>> closing;
        for (int i = 0; i < 5; ++i) closing.push_back(aio::create_task(pool.aclose()));
        co_await aio::testing::run_until_idle();
        closing[1].cancel();
        co_await aio::testing::run_until_idle();
        CHECK(closing[1].cancelled());
        CHECK_FALSE(closing[0].done());
        held.release.open();
        for (const int each : {0, 2, 3, 4}) co_await closing[static_cast<std::size_t>(each)];
        CHECK(aio::detail::workers_alive == 0);
        co_await busy;
    });
}

TEST_CASE("thread_pool: a cancelled aclose stops the waiting, not the pool") {
    virtual_run([]() -> aio::task<> {
        aio::thread_pool pool(1);
        occupation held;
        const auto busy = held.begin(pool);
        const auto closing = aio::create_task(pool.aclose());
        co_await aio::testing::run_until_idle();
        closing.cancel();
        CHECK_THROWS_AS(co_await closing, aio::cancelled_error);
        CHECK_THROWS_AS(aio::run_in_executor(pool, [] {}), std::logic_error);
        held.release.open();
        co_await busy;
        co_await pool.aclose();
        CHECK(aio::detail::workers_alive == 0);
    });
}

TEST_CASE("thread_pool: is a resource of with") {
    virtual_run([]() -> aio::task<> {
        aio::thread_pool pool(1);
        std::atomic<int> ran = 0;
        const auto body = [&]() -> aio::task<> {
            for (int i = 0; i < 10; ++i) aio::run_in_executor(pool, [&ran] { ++ran; });
            co_return;
        };
        co_await aio::with(pool, body);
        CHECK(ran == 10);
        CHECK(aio::detail::workers_alive == 0);
    });
}

TEST_CASE("thread_pool: its end finds a loop that is gone") {
    const audited afterwards;
    occupation held;
    aio::thread_pool pool(1);
    {
        aio::event_loop loop;
        int reports = 0;
        loop.set_exception_handler([&reports](aio::event_loop&, const aio::exception_context&) { ++reports; });
        loop.create_task([&]() -> aio::task<> {
            held.begin(pool);
            co_await pool.aclose();
        });
        aio::testing::run_until_idle(loop);
        loop.close();
        CHECK(reports == 1);
    }
    held.release.open();
}

TEST_CASE("thread_pool: serves two loops on two threads") {
    const int jobs = rounds(20'000);
    aio::thread_pool pool(3);
    std::atomic<int> ran = 0;
    const auto main = [&]() -> aio::task<int> {
        int mine = 0;
        const auto loop_thread = std::this_thread::get_id();
        for (int i = 0; i < jobs; ++i) {
            co_await aio::run_in_executor(pool, [&ran] { ++ran; });
            if (std::this_thread::get_id() == loop_thread) ++mine;
        }
        co_return mine;
    };
    int other = 0;
    std::thread thread([&] { other = aio::run(main); });
    const int here = aio::run(main);
    thread.join();
    CHECK(here == jobs);
    CHECK(other == jobs);
    CHECK(ran == 2 * jobs);
}

// submit

TEST_CASE("thread_pool: submit gives what the call gives to a thread without a loop") {
    const watchdog guard;
    aio::thread_pool pool(2);
    const auto sum = pool.submit([](int a, int b) { return a + b; }, 1, 2);
    CHECK(sum.get() == 3);
    bool called = false;
    pool.submit([&] { called = true; }).get();
    CHECK(called);
    const auto fails = pool.submit([]() -> int { throw std::runtime_error("bad"); });
    CHECK_THROWS_WITH(fails.get(), "bad");
    CHECK_FALSE(fails.cancelled());
    const auto moved = pool.submit([](std::unique_ptr<int> p) { return p; }, std::make_unique<int>(7));
    CHECK(*moved.get() == 7);
    int number = 5;
    const auto reference = pool.submit([](int& n) -> int& { return n; }, std::ref(number));
    CHECK(&reference.get() == &number);
}

TEST_CASE("thread_pool: a task awaits what was submitted through wrap_future") {
    virtual_run([]() -> aio::task<> {
        aio::thread_pool pool(1);
        const int result = co_await aio::wrap_future(pool.submit([] { return 4; }));
        CHECK(result == 4);
    });
}

TEST_CASE("thread_pool: a submitted call sees a copy of the caller's context") {
    static aio::context_var<int> number("number", 1);
    virtual_run([]() -> aio::task<> {
        aio::thread_pool pool(1);
        number.set(2);
        const auto seen = pool.submit([] {
            const int before = number.get();
            number.set(3);
            return before;
        });
        const int before = co_await aio::wrap_future(seen);
        CHECK(before == 2);
        CHECK(number.get() == 2);
    });
}

TEST_CASE("thread_pool: a submitted call that is cancelled in the queue never runs, and what it holds is freed") {
    const watchdog guard;
    auto held = std::make_shared<int>(1);
    std::atomic<bool> ran = false;
    gate started;
    gate release;
    {
        aio::thread_pool pool(1);
        const auto first = pool.submit([&] {
            started.open();
            release.wait();
        });
        started.wait();
        auto runs = [&ran, held] { ran = true; };
        const auto second = pool.submit(aio::take(runs));
        CHECK(held.use_count() == 2);
        CHECK(second.cancel());
        CHECK_FALSE(second.cancel());
        CHECK(second.cancelled());
        CHECK_THROWS_AS(second.get(), aio::cancelled_error);
        release.open();
        first.get();
    }
    CHECK_FALSE(ran);
    CHECK(held.use_count() == 1);
}

TEST_CASE("thread_pool: a running call that was submitted is asked to stop when its future is cancelled") {
    const watchdog guard;
    gate started;
    gate never;
    std::atomic<bool> stopped = false;
    {
        aio::thread_pool pool(1);
        const auto running = pool.submit([&](const std::stop_token& stop) {
            started.open();
            never.wait(stop);
            stopped = stop.stop_requested();
        });
        started.wait();
        CHECK(running.cancel());
        CHECK(running.done());
    }
    CHECK(stopped);
}

TEST_CASE("thread_pool: a dropped future cancels nothing, and the destructor waits for the call") {
    const watchdog guard;
    std::atomic<bool> ran = false;
    {
        aio::thread_pool pool(1);
        pool.submit([&] { ran = true; });
    }
    CHECK(ran);
}

TEST_CASE("thread_pool: what is submitted to a closed pool is refused and freed") {
    virtual_run([]() -> aio::task<> {
        aio::thread_pool pool(1);
        co_await pool.aclose();
        const auto held = std::make_shared<int>(1);
        const auto holds = [held] {};
        CHECK(contains(message_of([&] { pool.submit(holds); }), "after shutdown"));
        CHECK(held.use_count() == 2);
    });
}

TEST_CASE("thread_pool: one with a bounded queue refuses what does not fit, and takes more when there is room") {
    virtual_run([]() -> aio::task<> {
        aio::thread_pool pool(1, 1);
        gate started;
        gate release;
        const auto first = pool.submit([&] {
            started.open();
            release.wait();
        });
        started.wait();
        const auto second = pool.submit([] { return 2; });
        CHECK_THROWS_AS(pool.submit([] {}), aio::queue_full);
        CHECK_THROWS_AS(aio::run_in_executor(pool, [] {}), aio::queue_full);
        const auto refused = co_await aio::nothrow(aio::to_thread(pool, [] {}));
        CHECK_THROWS_AS(refused.rethrow(), aio::queue_full);
        release.open();
        const int result = co_await aio::wrap_future(second);
        CHECK(result == 2);
        const int again = co_await aio::to_thread(pool, [] { return 3; });
        CHECK(again == 3);
    });
}

TEST_CASE("thread_pool: a bound of none takes as many jobs as there are threads") {
    const watchdog guard;
    aio::thread_pool pool(2, 0);
    gate release;
    const auto wait = [&] { release.wait(); };
    const auto first = pool.submit(wait);
    const auto second = pool.submit(wait);
    CHECK_THROWS_AS(pool.submit(wait), aio::queue_full);
    release.open();
    first.get();
    second.get();
}
