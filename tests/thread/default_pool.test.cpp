// SPDX-License-Identifier: BSL-1.0

#include <asynchio/thread/default_pool.hpp>

#include "support/captured_stderr.hpp"
#include "support/catch.hpp"
#include "support/threads.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/runner.hpp>
#include <asynchio/testing/run_until_idle.hpp>
#include <asynchio/thread/detail/worker_count.hpp>
#include <asynchio/thread/run_in_executor.hpp>
#include <asynchio/thread/to_thread.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <pthread.h>
#include <stdexcept>
#include <string>
#include <thread>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

aio::detail::counted_ptr<aio::detail::pool_core> core_of_running_loop() {
    return aio::detail::default_pool::of(aio::detail::running_core()).core();
}

/// Counts the iterations that the loop makes.
struct iteration_counter {
    int& made;
    void operator()() const {
        ++made;
        aio::get_running_loop().call_soon(*this);
    }
};

} // namespace

TEST_CASE("default_pool: is made when it is first needed, with min(32, cores + 4) threads at most", "[EX-2]") {
    virtual_run([]() -> aio::task<> {
        auto& services = aio::detail::running_core().services();
        CHECK(services.find<aio::detail::default_pool>() == nullptr);
        co_await aio::to_thread([] {});
        CHECK(services.find<aio::detail::default_pool>() != nullptr);
        const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
        CHECK(core_of_running_loop()->most() == std::min<std::size_t>(32, cores + 4));
        CHECK(core_of_running_loop()->started() == 1);
    });
}

TEST_CASE("default_pool: set_default_pool sets its size before it is used") {
    virtual_run([]() -> aio::task<> {
        aio::set_default_pool(2);
        gate first;
        gate second;
        const auto left = [&] {
            first.open();
            second.wait();
        };
        const auto right = [&] {
            second.open();
            first.wait();
        };
        co_await aio::gather(aio::to_thread(left), aio::to_thread(right), aio::to_thread([] {}));
        CHECK(core_of_running_loop()->most() == 2);
        CHECK(core_of_running_loop()->started() == 2);
    });
}

TEST_CASE("default_pool: set_default_pool is misuse twice, after use, for 0, and outside of a loop") {
    CHECK_THROWS_AS(aio::set_default_pool(1), std::logic_error);
    virtual_run([]() -> aio::task<> {
        CHECK_THROWS_AS(aio::set_default_pool(0), std::invalid_argument);
        aio::set_default_pool(1);
        CHECK_THROWS_AS(aio::set_default_pool(2), std::logic_error);
        co_return;
    });
    virtual_run([]() -> aio::task<> {
        co_await aio::to_thread([] {});
        CHECK_THROWS_AS(aio::set_default_pool(2), std::logic_error);
    });
}

TEST_CASE("default_pool: each loop has its own") {
    aio::detail::counted_ptr<aio::detail::pool_core> first;
    aio::detail::counted_ptr<aio::detail::pool_core> second;
    virtual_run([&]() -> aio::task<> {
        first = core_of_running_loop();
        co_return;
    });
    virtual_run([&]() -> aio::task<> {
        second = core_of_running_loop();
        co_return;
    });
    CHECK(first != second);
}

TEST_CASE("default_pool: run joins it: a job that nobody waits for is over when run returns", "[EX-7]") {
    std::atomic<int> over = 0;
    gate started;
    gate release;
    virtual_run([&]() -> aio::task<> {
        for (int i = 0; i < 3; ++i)
            aio::run_in_executor([&] {
                started.open();
                release.wait();
                ++over;
            });
        started.wait();
        aio::get_running_loop().call_soon([&release] { release.open(); });
        co_return;
    });
    CHECK(over == 3);
    CHECK(aio::detail::workers_alive == 0);
}

TEST_CASE("default_pool: the end of run takes the iterations in which asyncio waits for its executor") {
    int without = 0;
    virtual_run([&]() -> aio::task<> {
        iteration_counter{without}();
        co_return;
    });
    int with = 0;
    virtual_run([&]() -> aio::task<> {
        aio::set_default_pool(1);
        iteration_counter{with}();
        co_return;
    });
    CHECK(with == without + 2);
}

TEST_CASE("default_pool: lives as long as its runner") {
    const audited afterwards;
    const watchdog guard;
    aio::runner several(aio::testing::virtual_clock());
    for (int i = 1; i <= 3; ++i) {
        const int result = several.run(
            [](int x) -> aio::task<int> { co_return co_await aio::to_thread([](int y) { return y; }, x); }, i);
        CHECK(result == i);
        CHECK(aio::detail::workers_alive >= 1);
    }
    several.close();
    CHECK(aio::detail::workers_alive == 0);
}

TEST_CASE("default_pool: once the loop is shutting down, new work is refused", "[EX-6]") {
    std::atomic<bool> refused = false;
    virtual_run([&]() -> aio::task<> {
        // Runs on while the pool is being shut down, and has the loop try to give it more, until that is refused.
        auto tries = [&refused, loop = aio::get_running_loop().ref()] {
            const auto end = std::chrono::steady_clock::now() + 10s;
            while (!refused && std::chrono::steady_clock::now() < end) {
                gate tried;
                loop.call_soon_threadsafe([&] {
                    try {
                        aio::run_in_executor([] {});
                    } catch (const std::logic_error&) {
                        refused = true;
                    }
                    tried.open();
                });
                tried.wait();
            }
        };
        aio::run_in_executor(aio::take(tries));
        co_return;
    });
    CHECK(refused);
}

TEST_CASE("default_pool: a job that does not end is left behind after shutdown_timeout", "[EX-8][time]") {
    struct shared {
        gate started;
        gate release;
        std::atomic<bool> over = false;
    };
    const auto state = std::make_shared<shared>();
    const captured_stderr reports;
    const auto begin = std::chrono::steady_clock::now();
    {
        const watchdog guard;
        aio::run_options options;
        options.shutdown_timeout = 30ms;
        aio::run(
            [state]() -> aio::task<> {
                const auto job = [state] {
                    state->started.open();
                    state->release.wait();
                    state->over = true;
                    return std::string("nobody takes it");
                };
                aio::run_in_executor(job);
                state->started.wait();
                co_return;
            },
            options);
    }
    const auto took = std::chrono::steady_clock::now() - begin;
    CHECK(took >= 30ms);
    CHECK(took < 10s);
    CHECK_FALSE(state->over);
    CHECK(reports.text().find("a worker thread did not end in time") != std::string::npos);
    CHECK(aio::detail::workers_alive == 1);
    state->release.open();
    // The thread and the job free themselves.
    for (int i = 0; i < 10'000 && (aio::detail::workers_alive != 0 || state.use_count() != 1); ++i)
        std::this_thread::sleep_for(1ms);
    CHECK(state->over);
    CHECK(state.use_count() == 1);
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("default_pool: the end of its last thread wakes the loop that waits for it", "[stress]") {
    // The worker posts after it has left the count of running threads, and the loop looks at that count before each
    // sleep; so it sees either the count or the post.
    const int times = rounds(4'000);
    const audited afterwards;
    const watchdog guard;
    for (int i = 0; i < times; ++i) {
        std::atomic<int> ran = 0;
        aio::run([&]() -> aio::task<> {
            co_await aio::to_thread([&ran] { ++ran; });
            if (i % 2 == 0) aio::run_in_executor([&ran] { ++ran; });
        });
        REQUIRE(ran == 1 + (i % 2 == 0 ? 1 : 0));
    }
}
