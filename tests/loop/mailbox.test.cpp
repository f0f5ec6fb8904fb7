// SPDX-License-Identifier: BSL-1.0
#include <asynchio/loop/detail/mailbox.hpp>

// covers: loop_ref.hpp
#include <asynchio/loop/loop_ref.hpp>

#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/sleep.hpp>

#include "support/threads.hpp"
#include "support/virtual_run.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace aio = asynchio;
using asynchio_tests::virtual_run;
using namespace std::chrono_literals;

namespace {

using aio::detail::mailbox;
using aio::detail::ready_queue;

struct entry : aio::detail::ready_item {
    explicit entry(int v) noexcept : ready_item([](ready_item&) noexcept {}), value(v) {}
    int value;
};

std::vector<int> drain(ready_queue& q) {
    std::vector<int> found;
    while (auto* item = q.pop()) found.push_back(static_cast<entry*>(item)->value);
    return found;
}

bool notified(const mailbox& box) {
    pollfd self{box.descriptor(), POLLIN, 0};
    return ::poll(&self, 1, 0) == 1;
}

} // namespace

TEST_CASE("mailbox: what is posted comes out in the order of posting", "[TS-1]") {
    mailbox box;
    ready_queue ready;
    std::vector<entry> all;
    for (int i = 0; i < 5; ++i) all.emplace_back(i);
    CHECK_FALSE(box.has_posts());
    for (entry& each : all) CHECK(box.post(each));
    CHECK(box.has_posts());
    box.take(ready);
    CHECK_FALSE(box.has_posts());
    CHECK(drain(ready) == std::vector<int>{0, 1, 2, 3, 4});
    box.take(ready);
    CHECK(ready.empty());
}

TEST_CASE("mailbox: closed, it refuses posts and gives out those that came before") {
    mailbox box;
    ready_queue ready;
    entry early(1);
    entry late(2);
    CHECK(box.post(early));
    CHECK_FALSE(box.closed());
    box.close(ready);
    CHECK(box.closed());
    CHECK(drain(ready) == std::vector<int>{1});
    CHECK_FALSE(box.post(late));
}

TEST_CASE("mailbox: nobody falls asleep over a post", "[TS-1]") {
    mailbox box;
    ready_queue ready;
    entry item(1);
    box.post(item);
    CHECK_FALSE(notified(box)); // it was awake
    CHECK_FALSE(box.fall_asleep());
    box.take(ready);
    CHECK(box.fall_asleep());
    box.wake_up();
    CHECK_FALSE(notified(box));
}

TEST_CASE("mailbox: one notification wakes the sleeper, however many posts there are", "[TS-1][TS-3]") {
    mailbox box;
    ready_queue ready;
    std::vector<entry> all;
    for (int i = 0; i < 100; ++i) all.emplace_back(i);
    REQUIRE(box.fall_asleep());
    for (entry& each : all) box.post(each);
    CHECK(notified(box));
    box.wait(-1);
    box.wake_up();
    CHECK_FALSE(notified(box));
    box.take(ready);
    CHECK(ready.size() == 100);
}

TEST_CASE("mailbox: any number of notifications is one wake-up", "[TS-3]") {
    mailbox box;
    for (int i = 0; i < 100'000; ++i) box.notify();
    REQUIRE(box.fall_asleep());
    box.wait(-1);
    box.wake_up();
    CHECK_FALSE(notified(box));
}

TEST_CASE("mailbox: a notification that nobody waits for any more costs one look, not all later ones", "[TS-3]") {
    mailbox box;
    REQUIRE(box.fall_asleep());
    box.wait(1); // woken by the time
    box.wake_up();
    box.notify(); // of a poster that had seen it asleep, and was late
    REQUIRE(box.fall_asleep());
    box.wait(-1);
    box.wake_up();
    CHECK_FALSE(notified(box));
}

TEST_CASE("mailbox: sleeps no longer than asked", "[LOOP-12][time]") {
    const mailbox box;
    const auto begin = std::chrono::steady_clock::now();
    box.wait(5'000'000);
    const auto took = std::chrono::steady_clock::now() - begin;
    CHECK(took >= 5ms);
    CHECK(took < 5s);
}

TEST_CASE("mailbox: its descriptors are none of the standard streams, and are counted") {
    const int before = mailbox::alive;
    {
        const mailbox box;
        CHECK(box.descriptor() > STDERR_FILENO);
        CHECK(box.write_descriptor() > STDERR_FILENO);
        CHECK(mailbox::alive == before + 1);
    }
    CHECK(mailbox::alive == before);
}

TEST_CASE("call_soon_threadsafe: wakes a loop that sleeps without any timer", "[TS-1][time]") {
    std::thread poster;
    const std::thread::id here = std::this_thread::get_id();
    std::thread::id called_on;
    virtual_run(
        [&]() -> aio::task<> {
            const aio::future<int> answer;
            const aio::loop_ref loop = aio::get_running_loop().ref();
            poster = std::thread([&called_on, &answer, loop, loops_thread = ::gettid()] {
                asynchio_tests::until_asleep(loops_thread);
                loop.call_soon_threadsafe([&called_on, &answer] {
                    called_on = std::this_thread::get_id();
                    answer.set_result(42);
                });
            });
            CHECK(co_await answer == 42);
            poster.join();
        },
        aio::run_options{});
    CHECK(called_on == here);
}

TEST_CASE("call_soon_threadsafe: wakes a loop that sleeps in its poller", "[TS-1][time][io]") {
    for (const aio::poller_kind kind : {aio::poller_kind::epoll, aio::poller_kind::poll}) {
        int ends[2];
        REQUIRE(::pipe(ends) == 0);
        std::thread poster;
        aio::run_options options;
        options.poller = kind;
        virtual_run(
            [&]() -> aio::task<> {
                aio::get_running_loop().add_reader(ends[0], [] { FAIL("nothing was written"); });
                const aio::future<> answer;
                const aio::loop_ref loop = aio::get_running_loop().ref();
                poster = std::thread([&answer, loop, loops_thread = ::gettid()] {
                    asynchio_tests::until_asleep(loops_thread);
                    loop.call_soon_threadsafe([&answer] { answer.set_result(); });
                });
                co_await answer;
                poster.join();
            },
            options);
        ::close(ends[0]);
        ::close(ends[1]);
    }
}

TEST_CASE("call_soon_threadsafe: posts of one thread keep their order while the loop runs", "[TS-1][time]") {
    constexpr int posts = 2000;
    constexpr int threads = 3;
    std::vector<std::vector<int>> seen(threads);
    std::vector<std::thread> posters;
    virtual_run(
        [&]() -> aio::task<> {
            const aio::future<> all_came;
            int left = posts * threads;
            const aio::loop_ref loop = aio::get_running_loop().ref();
            for (std::vector<int>& mine : seen)
                posters.emplace_back([&, loop] {
                    for (int i = 0; i < posts; ++i)
                        loop.call_soon_threadsafe([&, i] {
                            mine.push_back(i);
                            if (--left == 0) all_came.set_result();
                        });
                });
            co_await all_came;
            for (std::thread& each : posters) each.join();
        },
        aio::run_options{});
    for (const std::vector<int>& mine : seen) {
        REQUIRE(mine.size() == posts);
        for (int i = 0; i < posts; ++i) REQUIRE(mine[static_cast<std::size_t>(i)] == i);
    }
}

TEST_CASE("call_soon_threadsafe: works before the loop runs and from its own thread, and never calls on the spot",
          "[TS-2]") {
    std::string trace;
    {
        aio::event_loop loop({.virtual_time = true});
        loop.call_soon_threadsafe([&] { trace += 'a'; });
        CHECK(trace.empty());
        loop.call_soon([&] {
            loop.call_soon_threadsafe(
                [&](char c) {
                    trace += c;
                    loop.stop();
                },
                'c');
            trace += 'b';
        });
        loop.run_forever();
    }
    CHECK((trace == "abc" || trace == "bac"));
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("call_soon_threadsafe: a null callable is refused") {
    aio::event_loop loop;
    CHECK_THROWS_AS(loop.call_soon_threadsafe(std::function<void()>()), std::invalid_argument);
}

TEST_CASE("call_soon_threadsafe: a call that is taken back is not made, and frees what it holds on the loop's thread",
          "[TS-1][time]") {
    std::optional<std::thread::id> destroyed_on;
    struct tracer {
        std::optional<std::thread::id>* place;
        void operator()(const int* p) const {
            *place = std::this_thread::get_id();
            delete p;
        }
    };
    {
        aio::event_loop loop({.virtual_time = true});
        int calls = 0;
        std::thread([&] {
            std::unique_ptr<int, tracer> owned(new int(1), tracer{&destroyed_on});
            aio::callback_handle handle = loop.call_soon_threadsafe([&calls, o = std::move(owned)] { calls += *o; });
            handle.cancel();
            CHECK(handle.cancelled());
        }).join();
        CHECK_FALSE(destroyed_on);
        loop.call_soon([&loop] { loop.call_soon([&loop] { loop.stop(); }); });
        loop.run_forever();
        CHECK(calls == 0);
        REQUIRE(destroyed_on);
        CHECK(*destroyed_on == std::this_thread::get_id());
    }
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("call_soon_threadsafe: may be taken back on another thread while the loop is about to make the call",
          "[TS-1][time][stress]") {
    {
        aio::event_loop loop;
        std::atomic<int> made = 0;
        std::atomic<int> taken_back = 0;
        std::thread poster([&, ref = loop.ref()] {
            for (int i = 0; i < 2000; ++i) {
                aio::callback_handle handle = ref.call_soon_threadsafe([&made] { ++made; });
                if (i % 3 == 0) std::this_thread::yield();
                handle.cancel();
                taken_back += handle.cancelled() ? 1 : 0;
            }
            ref.call_soon_threadsafe([&loop] { loop.stop(); });
        });
        loop.run_forever();
        poster.join();
        CHECK(taken_back == 2000);
        CHECK(made <= 2000);
    }
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("loop_ref: says closed instead of dangling", "[LOOP-28]") {
    aio::loop_ref ref;
    CHECK(ref.is_closed());
    CHECK_THROWS_AS(ref.call_soon_threadsafe([] {}), std::logic_error);
    int dropped = 0;
    {
        aio::event_loop loop;
        ref = loop.ref();
        CHECK_FALSE(ref.is_closed());
        CHECK(ref == loop.ref());
        CHECK(ref.get() == &loop);
        struct counter {
            int* place;
            explicit counter(int& p) : place(&p) {}
            counter(counter&& other) noexcept : place(std::exchange(other.place, nullptr)) {}
            counter& operator=(counter&&) = delete;
            ~counter() {
                if (place != nullptr) ++*place;
            }
            void operator()() const { FAIL("a closed loop calls nothing"); }
        };
        ref.call_soon_threadsafe(counter(dropped));
    }
    CHECK(dropped == 1);
    CHECK(ref.is_closed());
    CHECK_THROWS_WITH(ref.call_soon_threadsafe([] {}), "call_soon_threadsafe: Event loop is closed");
    entry item(1);
    CHECK_FALSE(aio::detail::access::post(ref, item));
    ref = aio::loop_ref();
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("loop_ref: threads that post while the loop ends are refused or served, never lost", "[TS-1][time][stress]") {
    for (int round = 0; round < 20; ++round) {
        std::atomic<int> accepted = 0;
        std::atomic<int> dropped = 0;
        int served = 0;
        std::vector<std::thread> posters;
        {
            auto loop = std::make_unique<aio::event_loop>();
            const auto serve = [&] {
                if (++served == 200) loop->stop();
            };
            for (int i = 0; i < 2; ++i)
                posters.emplace_back([&, ref = loop->ref()] {
                    try {
                        for (;;) {
                            auto counted = std::shared_ptr<void>(nullptr, [&](void*) { ++dropped; });
                            ref.call_soon_threadsafe([&serve, c = std::move(counted)] { serve(); });
                            ++accepted;
                        }
                    } catch (const std::logic_error&) { // the loop is closed
                    }
                });
            loop->run_forever();
        }
        for (std::thread& each : posters) each.join();
        CHECK(served >= 200);
        CHECK(accepted >= served);
        CHECK(dropped >= accepted);
    }
    CHECK(aio::testing::audit().clean());
}
