// SPDX-License-Identifier: BSL-1.0
#include <asynchio/testing/allocation_faults.hpp>

#include "support/catch.hpp"
#include "support/operator_new.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/race.hpp>
#include <asynchio/combine/shield.hpp>
#include <asynchio/combine/task_group.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/loop/detail/frame_pool.hpp>
#include <asynchio/sync/barrier.hpp>
#include <asynchio/sync/condition.hpp>
#include <asynchio/sync/event.hpp>
#include <asynchio/sync/mutex.hpp>
#include <asynchio/sync/queue.hpp>
#include <asynchio/sync/semaphore.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/runner.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/testing/policies.hpp>
#include <asynchio/testing/run_until_idle.hpp>
#include <asynchio/testing/stream_pair.hpp>
#include <asynchio/thread/run_coroutine_threadsafe.hpp>
#include <asynchio/thread/threadsafe_queue.hpp>
#include <asynchio/thread/to_thread.hpp>

#include <atomic>
#include <memory>
#include <new>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;
using aio::detail::frame_pool;
using aio::testing::allocation_faults;

TEST_CASE("allocation_faults: the program's operator new is the one that counts") {
    CHECK(allocation_faults::installed());
    CHECK(allocation_faults::made() == 0);
}

TEST_CASE("allocation_faults: the n-th fails, and with all_later those behind it") {
    const auto take = [](int how_many) {
        std::string failed;
        for (int i = 0; i < how_many; ++i) {
            void* const address = ::operator new(100, std::nothrow);
            failed += address == nullptr ? 'x' : '.';
            ::operator delete(address);
        }
        return failed;
    };
    allocation_faults::start(3);
    const std::string one = take(5);
    allocation_faults::stop();
    CHECK(one == "..x..");
    CHECK(allocation_faults::met());
    CHECK(allocation_faults::made() == 5);

    allocation_faults::start(3, true);
    const std::string all = take(5);
    allocation_faults::stop();
    CHECK(all == "..xxx");
    CHECK(take(3) == "...");

    allocation_faults::start(0);
    const std::string none = take(5);
    allocation_faults::stop();
    CHECK(none == ".....");
    CHECK_FALSE(allocation_faults::met());
}

TEST_CASE("allocation_faults: what is aligned fails too, and none fails during a pause") {
    allocation_faults::start(1, true);
    bool failed = false;
    try {
        ::operator delete(::operator new(100, std::align_val_t(64)), std::align_val_t(64));
    } catch (const std::bad_alloc&) {
        failed = true;
    }
    {
        const allocation_faults::pause here;
        ::operator delete(::operator new(100));
        frame_pool::deallocate(frame_pool::allocate(100), 100);
    }
    const std::size_t made = allocation_faults::made();
    allocation_faults::stop();
    CHECK(failed);
    CHECK(made == 1);
}

TEST_CASE("allocation_faults: each block of the frame pool counts, whether there is one or not") {
    const auto before = frame_pool::live();
    frame_pool::deallocate(frame_pool::allocate(100), 100);
    allocation_faults::start(2);
    void* const first = frame_pool::allocate(100);
    frame_pool::deallocate(first, 100);
    bool failed = false;
    try {
        frame_pool::deallocate(frame_pool::allocate(100), 100);
    } catch (const std::bad_alloc&) {
        failed = true;
    }
    void* const last = frame_pool::allocate(100);
    allocation_faults::stop();
    CHECK(failed);
    frame_pool::deallocate(last, 100);
    CHECK(frame_pool::live() == before);
}

// What the library promises

namespace {

/// Makes a task that waits, cancels it, and runs the loop until it has ended. @return how many allocations that took.
template<class Start>
std::size_t cost_of_cancelling(Start start) {
    std::size_t cost = 1000;
    virtual_run([&]() -> aio::task<> {
        const auto task = aio::create_task(start);
        co_await aio::testing::run_until_idle();
        allocation_faults::start(0);
        const bool asked = task.cancel();
        for (int i = 0; i < 10 && !task.done(); ++i) co_await aio::sleep(0s);
        cost = allocation_faults::made();
        allocation_faults::stop();
        REQUIRE(asked);
        REQUIRE(task.cancelled());
    });
    return cost;
}

} // namespace

TEST_CASE("allocation_faults: cancelling takes no memory, whatever waits") {
    aio::event event;
    aio::mutex mutex;
    aio::semaphore none(0);
    aio::condition condition;
    aio::barrier barrier(2);
    aio::queue<int> empty;
    aio::queue<int> full(1);
    full.put_nowait(1);
    aio::threadsafe_queue<int> shared(1);
    const auto waits = [&]() -> aio::task<> { co_await event.wait(); };
    const auto nested = [&]() -> aio::task<> { co_await aio::gather(waits, waits, event.wait()); };

    CHECK(cost_of_cancelling([]() -> aio::task<> { co_await aio::sleep(1h); }) == 0);
    CHECK(cost_of_cancelling(waits) == 0);
    CHECK(cost_of_cancelling([&]() -> aio::task<> { co_await none.acquire(); }) == 0);
    CHECK(cost_of_cancelling([&]() -> aio::task<> {
              auto body = [&]() -> aio::task<> { co_await condition.wait(); };
              co_await aio::with(condition, body);
          }) == 0);
    CHECK(cost_of_cancelling([&]() -> aio::task<> { co_await barrier.wait(); }) == 0);
    CHECK(cost_of_cancelling([&]() -> aio::task<> { co_await empty.get(); }) == 0);
    CHECK(cost_of_cancelling([&]() -> aio::task<> { co_await full.put(2); }) == 0);
    CHECK(cost_of_cancelling([&]() -> aio::task<> { co_await shared.get(); }) == 0);
    CHECK(cost_of_cancelling([]() -> aio::task<> {
              const aio::future<int> future;
              co_await future;
          }) == 0);
    CHECK(cost_of_cancelling([&]() -> aio::task<> {
              const auto inner = aio::create_task(waits);
              co_await inner;
          }) == 0);
    CHECK(cost_of_cancelling(nested) == 0);
    CHECK(cost_of_cancelling([&]() -> aio::task<> { co_await aio::race(nested, waits); }) == 0);
    CHECK(cost_of_cancelling([&]() -> aio::task<> {
              const auto inner = aio::create_task(waits);
              co_await aio::shield(inner);
          }) == 0);
    CHECK(cost_of_cancelling([&]() -> aio::task<> { co_await aio::wait_for(nested, 1h); }) == 0);
    CHECK(cost_of_cancelling([&]() -> aio::task<> {
              auto body = [&](aio::task_group& group) -> aio::task<> {
                  group.create_task(nested);
                  group.create_task(waits);
                  co_await event.wait();
              };
              co_await aio::with(aio::task_group(), body);
          }) == 0);
    CHECK(cost_of_cancelling([]() -> aio::task<> {
              auto pair = aio::testing::stream_pair();
              co_await pair.first.read_line();
          }) == 0);
}

TEST_CASE("allocation_faults: a cancellation with a message goes without it when there is no memory") {
    virtual_run([]() -> aio::task<> {
        const auto task = aio::create_task([]() -> aio::task<> { co_await aio::sleep(1h); });
        co_await aio::testing::run_until_idle();
        allocation_faults::start(1, true);
        const bool asked = task.cancel("a message that is longer than a small string");
        allocation_faults::stop();
        CHECK(asked);
        co_await aio::testing::run_until_idle();
        CHECK(task.cancelled());
    });
}

TEST_CASE("allocation_faults: a thread cancels a task of a loop without memory", "[time]") {
    virtual_run([]() -> aio::task<> {
        const aio::loop_ref loop = aio::get_running_loop().ref();
        const auto future = aio::run_coroutine_threadsafe([]() -> aio::task<> { co_await aio::sleep(1h); }, loop);
        co_await aio::testing::run_until_idle();
        CHECK(aio::detail::running_core().tasks().back() != nullptr);
        const auto left = aio::all_tasks().size();
        allocation_faults::start(0);
        const bool asked = future.cancel();
        for (int i = 0; i < 4; ++i) co_await aio::sleep(0s);
        const std::size_t made = allocation_faults::made();
        allocation_faults::stop();
        CHECK(asked);
        CHECK(made == 0);
        CHECK(aio::all_tasks().size() == left - 1);
    });
}

TEST_CASE("allocation_faults: a loop ends without memory, and what is left is waited for") {
    int cleaned = 0;
    const auto stays = [&cleaned]() -> aio::task<> {
        std::exception_ptr error;
        try {
            co_await aio::sleep(1h);
        } catch (...) {
            error = std::current_exception();
        }
        co_await aio::sleep(0s);
        ++cleaned;
        std::rethrow_exception(error);
    };
    const auto job = [] {};
    std::size_t made = 1000;
    {
        aio::runner runner(aio::testing::virtual_clock());
        runner.run([&]() -> aio::task<> {
            co_await aio::to_thread(job);
            for (int i = 0; i < 3; ++i) aio::create_task(stays);
            co_await aio::sleep(1ms);
        });
        allocation_faults::start(0);
        runner.close();
        made = allocation_faults::made();
        allocation_faults::stop();
    }
    CHECK(made == 0);
    CHECK(cleaned == 3);
}
