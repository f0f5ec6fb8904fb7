// SPDX-License-Identifier: BSL-1.0

#include <asynchio/thread/to_thread.hpp>

// Wake-ups that come while their receiver is falling asleep; each case tries to lose one, many times.

#include "support/catch.hpp"
#include "support/iterations.hpp"
#include "support/threads.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/thread/run_coroutine_threadsafe.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include <unistd.h>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// Steps of a little work, so that two threads meet at ever different points.
void dawdle(unsigned steps) {
    for (std::atomic<unsigned> i = 0; i < steps;) ++i;
}

/// Something that keeps the loop busy in its own way while it waits: returned by `prepare`, held for the test.
struct pipe_ends {
    pipe_ends() { REQUIRE(::pipe(ends.data()) == 0); }
    pipe_ends(const pipe_ends&) = delete;
    pipe_ends& operator=(const pipe_ends&) = delete;
    ~pipe_ends() {
        for (const int each : ends) ::close(each);
    }
    std::array<int, 2> ends{};
};

/// A task waits for a post; another thread posts when it sees that the task is about to wait, each time a little
/// earlier or later.
template<class Prepare>
void post_while_falling_asleep(int times, aio::run_options options, Prepare prepare) {
    const audited afterwards;
    const watchdog guard;
    std::atomic<int> round = 0;
    int seen = 0;
    aio::run(
        [&]() -> aio::task<> {
            const auto held = prepare();
            const aio::loop_ref loop = aio::get_running_loop().ref();
            std::optional<aio::future<>> next;
            std::thread poster([&, loop] {
                for (int i = 1; i <= times; ++i) {
                    while (round.load(std::memory_order_acquire) < i) {}
                    dawdle(static_cast<unsigned>(i) % 512);
                    loop.call_soon_threadsafe([&next] { next->set_result(); });
                }
            });
            for (int i = 1; i <= times; ++i) {
                next.emplace();
                round.store(i, std::memory_order_release);
                co_await *next;
                ++seen;
            }
            poster.join();
            static_cast<void>(held);
        },
        options);
    CHECK(seen == times);
}

const int times = rounds(100'000);

} // namespace

// The loop says that it sleeps and then looks for posts once more; a poster leaves its post and then looks whether the
// loop sleeps. All four are sequentially consistent, so at least one of the two sees the other.

TEST_CASE("wake_up: a post reaches a loop that falls asleep with nothing else to wait for", "[TS-1][stress]") {
    post_while_falling_asleep(times, {}, [] { return 0; });
}

TEST_CASE("wake_up: a post reaches a loop that falls asleep with a timer set", "[TS-1][stress]") {
    post_while_falling_asleep(times, {}, [] { return aio::get_running_loop().call_later(1h, [] {}); });
}

TEST_CASE("wake_up: a post reaches a loop that falls asleep watching descriptors", "[TS-1][TS-3][stress]") {
    for (const auto kind : {aio::poller_kind::automatic, aio::poller_kind::poll}) {
        const pipe_ends quiet;
        aio::run_options options;
        options.poller = kind;
        post_while_falling_asleep(times / 2, options, [&quiet] {
            aio::get_running_loop().add_reader(quiet.ends[0], [] {});
            return 0;
        });
    }
}

TEST_CASE("wake_up: a post reaches a loop that falls asleep in virtual time", "[TS-1][stress]") {
    post_while_falling_asleep(times, aio::testing::virtual_clock(), [] { return 0; });
}

TEST_CASE("wake_up: a post reaches a loop whose sleep ends by itself at the same time", "[TS-1][stress]") {
    // The poster may have seen the sleep and notify late; then the next sleep is cut short, and none is missed.
    post_while_falling_asleep(times / 2, {}, [] {
        return aio::create_task([]() -> aio::task<> {
            for (;;) co_await aio::sleep(20us);
        });
    });
}

TEST_CASE("wake_up: a post made by the loop itself is run in a later iteration", "[TS-2]") {
    virtual_run([]() -> aio::task<> {
        bool ran = false;
        aio::get_running_loop().call_soon_threadsafe([&ran] { ran = true; });
        CHECK_FALSE(ran);
        co_await aio::yield();
        co_await aio::yield();
        CHECK(ran);
    });
    const audited afterwards;
    aio::event_loop loop;
    bool ran = false;
    loop.call_soon_threadsafe([&] {
        ran = true;
        loop.stop();
    });
    CHECK_FALSE(ran);
    loop.run_forever();
    CHECK(ran);
}

// Giver and worker look at queue and sleepers under one mutex, which a sleeping worker gives up only by sleeping.

TEST_CASE("wake_up: a job reaches a worker that falls asleep", "[stress]") {
    const int jobs = rounds(60'000);
    for (const auto spin : {0us, 5us}) {
        int done = 0;
        const audited afterwards;
        const watchdog guard;
        aio::run([&]() -> aio::task<> {
            aio::thread_pool_options options;
            options.spin = spin;
            aio::set_default_pool(2, options);
            for (int i = 0; i < jobs; ++i) {
                dawdle(static_cast<unsigned>(i) % 512);
                done += co_await aio::to_thread([] { return 1; });
            }
        });
        CHECK(done == jobs);
    }
}

TEST_CASE("wake_up: jobs that are given while others end reach a worker", "[stress]") {
    const int turns = rounds(4'000);
    std::atomic<int> done = 0;
    const audited afterwards;
    const watchdog guard;
    aio::run([&]() -> aio::task<> {
        aio::set_default_pool(3);
        for (int i = 0; i < turns; ++i) {
            const auto job = [&done, i] {
                dawdle(static_cast<unsigned>(i) % 128);
                ++done;
            };
            co_await aio::gather(aio::to_thread(job), aio::to_thread(job), aio::to_thread(job), aio::to_thread(job));
        }
    });
    CHECK(done == 4 * turns);
}

// The last worker takes the list of those who wait for the end under the mutex under which they enter it.

TEST_CASE("wake_up: the end of a pool reaches the task that closes it", "[stress]") {
    const int pools = rounds(4'000);
    int closed = 0;
    const audited afterwards;
    const watchdog guard;
    aio::run([&]() -> aio::task<> {
        for (int i = 0; i < pools; ++i) {
            aio::thread_pool pool(2);
            aio::run_in_executor(pool, [] {});
            dawdle(static_cast<unsigned>(i) % 2048);
            co_await pool.aclose();
            ++closed;
        }
    });
    CHECK(closed == pools);
}

// A worker posts the awaiting call itself, which the loop does not free before it has arrived; refused, it says so under
// the mutex under which a closing loop waits for that.

TEST_CASE("wake_up: the end of a job reaches a loop that is being destroyed", "[stress]") {
    const int loops = rounds(3'000);
    std::atomic<int> begun = 0;
    std::atomic<int> ended = 0;
    const audited afterwards;
    const watchdog guard;
    for (int i = 0; i < loops; ++i) {
        std::optional<aio::event_loop> loop(std::in_place);
        loop->set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
        loop->create_task([&]() -> aio::task<> {
            int mine = 0; // what the job refers to
            const auto job = [&] {
                ++begun;
                dawdle(64);
                mine = 1;
                ++ended;
            };
            co_await aio::to_thread(job);
        });
        make_iterations(*loop, 1, false);
        dawdle(static_cast<unsigned>(i) % 1024);
        loop.reset();
        REQUIRE(begun == ended);
    }
}

TEST_CASE("wake_up: four threads and two loops, a million crossings, none lost or doubled", "[TS-1][TS-4][stress]") {
    constexpr int threads = 4;
    // Per thread and loop: 2 x 4 x 125,000 = 1,000,000 in all; under a sanitizer 200,000.
    constexpr int share = sanitized ? 5 : 1;
    constexpr int calls = 75'000 / share;
    constexpr int coroutines = 40'000 / share;
    constexpr int jobs = 10'000 / share;
    const audited afterwards;

    struct loop_state {
        gate ready;
        aio::loop_ref ref;
        std::function<void()> end;
        // On the loop's thread only.
        std::array<int, threads> next_call{};
        std::int64_t calls_out_of_order = 0;
        std::int64_t calls = 0;
        std::int64_t coroutines = 0;
        // On workers.
        std::atomic<std::int64_t> jobs = 0;
        std::thread thread;
    };
    std::array<loop_state, 2> loops;
    for (loop_state& each : loops) {
        each.thread = std::thread([&each] {
            aio::run([&each]() -> aio::task<> {
                const aio::future<> until;
                each.ref = aio::get_running_loop().ref();
                each.end = [until] { until.set_result(); };
                each.ready.open();
                co_await until;
            });
        });
        each.ready.wait();
    }

    std::atomic<std::int64_t> results = 0;
    std::vector<std::thread> users;
    for (std::size_t mine = 0; mine < threads; ++mine) {
        users.emplace_back([&, mine] {
            std::vector<aio::concurrent_future<int>> pending;
            const auto collect = [&] {
                for (const auto& each : pending) results += each.get();
                pending.clear();
            };
            for (int i = 0; i < calls; ++i) {
                for (loop_state& each : loops) {
                    each.ref.call_soon_threadsafe([&each, mine, i] {
                        ++each.calls;
                        if (each.next_call[mine]++ != i) ++each.calls_out_of_order;
                    });
                    if (i < coroutines) {
                        pending.push_back(aio::run_coroutine_threadsafe(
                            [&each]() -> aio::task<int> {
                                ++each.coroutines;
                                co_await aio::yield();
                                co_return 1;
                            },
                            each.ref));
                    }
                    if (i < jobs) {
                        pending.push_back(aio::run_coroutine_threadsafe(
                            [&each]() -> aio::task<int> {
                                co_return co_await aio::to_thread([&each] {
                                    ++each.jobs;
                                    return 1;
                                });
                            },
                            each.ref));
                    }
                }
                if (pending.size() >= 64) collect();
            }
            collect();
        });
    }
    for (std::thread& each : users) each.join();
    for (loop_state& each : loops) {
        each.ref.call_soon_threadsafe([&each] { each.end(); });
        each.thread.join();
        CHECK(each.calls == std::int64_t(threads) * calls);
        CHECK(each.calls_out_of_order == 0);
        CHECK(each.coroutines == std::int64_t(threads) * coroutines);
        CHECK(each.jobs == std::int64_t(threads) * jobs);
    }
    CHECK(results == std::int64_t(2) * threads * (coroutines + jobs));
}
