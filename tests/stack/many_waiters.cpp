// SPDX-License-Identifier: BSL-1.0

// 1,000,000 tasks that wait for one event, mutex or queue: woken, and destroyed with their loop; for one event also
// cancelled; 50,000 of what else takes an exception each. In a time that grows with their number, and on a small stack.

#include <asynchio/loop/event_loop.hpp>
#include <asynchio/sync/barrier.hpp>
#include <asynchio/sync/event.hpp>
#include <asynchio/sync/mutex.hpp>
#include <asynchio/sync/queue.hpp>
#include <asynchio/sync/semaphore.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/policies.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include "small_stack.hpp"

#include <cstddef>
#include <memory>
#include <vector>

namespace aio = asynchio;
using asynchio_tests::require;

namespace {

// A million exceptions take the sanitizers more than a minute.
const int million = asynchio_tests::many(asynchio_tests::sanitized ? 30'000 : 1'000'000);
const int fewer = asynchio_tests::many(asynchio_tests::sanitized ? 10'000 : 50'000); // where each takes an exception

int alive = 0;
int passed = 0;

class witness {
public:
    witness() noexcept { ++alive; }
    witness(const witness&) = delete;
    witness& operator=(const witness&) = delete;
    ~witness() { --alive; }
};

/// What is waited for, closed at first; open() lets `count` pass.
struct by_event {
    static int crowd() noexcept { return million; }
    static int cancelled() noexcept { return million; }
    aio::event e;
    aio::task<> pass() {
        const witness here;
        co_await e.wait();
        ++passed;
    }
    void open(int) { e.set(); }
};

struct by_mutex {
    static int crowd() noexcept { return million; }
    static int cancelled() noexcept { return fewer; }
    aio::mutex m;
    by_mutex() { require(m.try_acquire(), "a new mutex is locked"); }
    aio::task<> pass() {
        const witness here;
        const auto guard = co_await m.scoped_acquire();
        ++passed;
    }
    void open(int) { m.release(); }
};

struct by_semaphore {
    static int crowd() noexcept { return fewer; }
    static int cancelled() noexcept { return fewer; }
    aio::semaphore s{0};
    aio::task<> pass() {
        const witness here;
        co_await s.acquire();
        ++passed;
    }
    void open(int count) {
        for (int i = 0; i < count; ++i) s.release();
    }
};

struct by_get {
    static int crowd() noexcept { return million; }
    static int cancelled() noexcept { return fewer; }
    aio::queue<int> q;
    aio::task<> pass() {
        const witness here;
        const int item = co_await q.get();
        passed += item;
    }
    void open(int count) {
        for (int i = 0; i < count; ++i) q.put_nowait(1);
    }
};

struct by_put {
    static int crowd() noexcept { return fewer; }
    static int cancelled() noexcept { return fewer; }
    aio::queue<std::unique_ptr<witness>> q{1};
    by_put() { q.put_nowait(nullptr); }
    aio::task<> pass() {
        const witness here;
        bool refused = false;
        try {
            co_await q.put(std::make_unique<witness>());
        } catch (const aio::queue_shut_down&) {
            refused = true;
        }
        require(refused, "a put to a queue that is shut down");
        ++passed;
    }
    void open(int) { q.shutdown(true); }
};

struct by_barrier {
    static int crowd() noexcept { return fewer; }
    static int cancelled() noexcept { return fewer; }
    aio::barrier b{fewer + 1};
    aio::task<> pass() {
        const witness here;
        bool broken = false;
        try {
            co_await b.wait();
        } catch (const aio::broken_barrier_error&) {
            broken = true;
        }
        require(broken, "an aborted barrier lets somebody pass");
        ++passed;
    }
    void open(int) { b.abort(); }
};

template<class Way>
aio::task<> woken() {
    Way way;
    passed = 0;
    for (int i = 0; i < Way::crowd(); ++i) aio::create_task(way.pass());
    co_await aio::yield();
    require(alive >= Way::crowd(), "not every task has started");
    way.open(Way::crowd());
    co_await aio::testing::run_until_idle();
    require(passed == Way::crowd(), "not every task was woken");
    require(alive == 0, "a task is left");
}

template<class Way>
aio::task<> cancelled() {
    Way way;
    passed = 0;
    std::vector<aio::task_handle<>> all;
    for (int i = 0; i < Way::cancelled(); ++i) all.push_back(aio::create_task(way.pass()));
    co_await aio::yield();
    for (std::size_t i = 0; i < all.size(); i += 2) all[i].cancel();     // from the front
    for (std::size_t i = all.size(); i > 0; i -= 2) all[i - 1].cancel(); // from the back
    co_await aio::testing::run_until_idle();
    require(alive == 0, "a cancelled task is left");
    require(passed == 0, "a cancelled task has passed");
    way.open(1);
}

/// Half of them woken already.
template<class Way>
void destroyed() {
    aio::event_loop loop(aio::testing::virtual_clock());
    loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
    {
        Way way;
        for (int i = 0; i < Way::crowd(); ++i) loop.create_task(way.pass());
        aio::testing::run_until_idle(loop);
        way.open(Way::crowd() / 2);
        loop.close();
        require(alive == 0, "tasks outlive their loop");
    }
}

/// The primitive goes first.
template<class Way>
void orphaned() {
    aio::event_loop loop(aio::testing::virtual_clock());
    loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
    {
        Way way;
        for (int i = 0; i < fewer; ++i) loop.create_task(way.pass());
        aio::testing::run_until_idle(loop);
    }
    loop.close();
    require(alive == 0, "tasks outlive their loop");
}

template<class Way>
void every_way() {
    aio::run(woken<Way>());
    aio::run(cancelled<Way>());
    destroyed<Way>();
    orphaned<Way>();
}

void test() {
    every_way<by_event>();
    every_way<by_mutex>();
    every_way<by_semaphore>();
    every_way<by_get>();
    every_way<by_put>();
    every_way<by_barrier>();
}

} // namespace

int main() { return asynchio_tests::on_small_stack(&test); }
