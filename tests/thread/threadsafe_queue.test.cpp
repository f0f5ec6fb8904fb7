// SPDX-License-Identifier: BSL-1.0

#include <asynchio/thread/threadsafe_queue.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"
#include "support/threads.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/take.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>
#include <asynchio/testing/run_until_idle.hpp>
#include <asynchio/thread/to_thread.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// Runs `body()` in a worker thread, and waits for it.
template<class Body>
aio::task<> on_thread(Body& body) {
    co_await aio::to_thread(std::ref(body));
}

/// No default constructor, no copy, no assignment.
class only_moved {
public:
    explicit only_moved(int number) noexcept : value(number) {}
    only_moved(only_moved&&) noexcept = default;
    only_moved& operator=(only_moved&&) = delete;

    int value;
};

struct fragile_on_no_heap : fragile {
    using fragile::fragile;
    fragile_on_no_heap(fragile_on_no_heap&&) = default;
    fragile_on_no_heap& operator=(fragile_on_no_heap&& other) noexcept {
        value = other.value;
        return *this;
    }
    static void* operator new(std::size_t) = delete;
    static void* operator new(std::size_t, void*) = delete;
    static void operator delete(void*) = delete;
};

template<class T>
aio::task<> get_into(aio::threadsafe_queue<T>& queue, std::vector<T>& out) {
    out.push_back(co_await queue.get());
}

aio::task<> put_and_log(aio::threadsafe_queue<int>& queue, int value, trace& log) {
    co_await queue.put(value);
    log.push_back("put " + std::to_string(value));
}

aio::task<> get_and_log(aio::threadsafe_queue<int>& queue, std::string name, trace& log) {
    const int value = co_await queue.get();
    log.push_back(name + " got " + std::to_string(value));
}

} // namespace

// Construction

TEST_CASE("threadsafe_queue: a new one is empty and open, and keeps its capacity") {
    const aio::threadsafe_queue<int> queue(3);
    CHECK(queue.maxsize() == 3);
    CHECK(queue.size() == 0);
    CHECK_FALSE(queue.is_shut_down());
}

TEST_CASE("threadsafe_queue: a capacity of 0 is misuse") {
    CHECK_THROWS_AS(aio::threadsafe_queue<int>(0), std::invalid_argument);
    CHECK(contains(message_of([] { aio::threadsafe_queue<int> none(0); }), "at least 1"));
}

// Without waiting

TEST_CASE("threadsafe_queue: try_put and try_get are first in, first out, up to the capacity", "[Q-13]") {
    aio::threadsafe_queue<int> queue(2);
    CHECK(queue.try_put(1));
    CHECK(queue.try_put(2));
    CHECK_FALSE(queue.try_put(3));
    CHECK(queue.size() == 2);
    CHECK(queue.try_get() == 1);
    CHECK(queue.try_get() == 2);
    CHECK(queue.try_get() == std::nullopt);
}

TEST_CASE("threadsafe_queue: a try_put that finds no room leaves its item untouched") {
    aio::threadsafe_queue<std::unique_ptr<int>> queue(1);
    auto first = std::make_unique<int>(1);
    auto second = std::make_unique<int>(2);
    CHECK(queue.try_put(std::move(first)));
    CHECK(first == nullptr);
    CHECK_FALSE(queue.try_put(std::move(second)));
    REQUIRE(second != nullptr);
    CHECK(*second == 2);
}

TEST_CASE("threadsafe_queue: try_put copies an lvalue, and only when there is room") {
    counted::reset();
    const counted item(7);
    aio::threadsafe_queue<counted> queue(1);
    CHECK(queue.try_put(item));
    CHECK(counted::copies == 1);
    CHECK_FALSE(queue.try_put(item));
    CHECK(counted::copies == 1);
    CHECK(queue.try_get()->value == 7);
}

TEST_CASE("threadsafe_queue: put with room and get with items do not wait", "[Q-1]") {
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<int> queue(2);
        const iterations count;
        co_await queue.put(1);
        co_await queue.put(2);
        const int first = co_await queue.get();
        const std::optional<int> second = co_await queue.next();
        CHECK(count.passed() == 0);
        CHECK(first == 1);
        CHECK(second == 2);
    });
}

TEST_CASE("threadsafe_queue: a hundred thousand puts and gets of one task") {
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<int> queue(3);
        std::int64_t sum = 0;
        for (int i = 0; i < 100'000; ++i) {
            co_await queue.put(i);
            sum += co_await queue.get();
        }
        CHECK(sum == std::int64_t(99'999) * 50'000);
    });
}

// Waiting on one loop

TEST_CASE("threadsafe_queue: get waits for an item and runs in the iteration after it came", "[Q-2]") {
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<int> queue(1);
        trace log;
        const auto getter = aio::create_task(get_and_log(queue, "a", log));
        co_await aio::testing::run_until_idle();
        CHECK(log.empty());
        CHECK(queue.try_put(5));
        CHECK(queue.size() == 1);
        co_await aio::yield();
        CHECK(log == trace{"a got 5"});
        CHECK(queue.size() == 0);
        co_await getter;
    });
}

TEST_CASE("threadsafe_queue: put waits for room, and whoever makes it takes the item in", "[Q-2]") {
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<int> queue(1);
        trace log;
        co_await queue.put(1);
        const auto putter = aio::create_task(put_and_log(queue, 2, log));
        co_await aio::testing::run_until_idle();
        CHECK(log.empty());
        CHECK(queue.try_get() == 1);
        CHECK(queue.size() == 1);
        CHECK(queue.try_get() == 2);
        co_await aio::yield();
        CHECK(log == trace{"put 2"});
        co_await putter;
    });
}

TEST_CASE("threadsafe_queue: a hundred thousand items through one place", "[Q-2]") {
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<int> queue(1);
        const auto putter = aio::create_task([&]() -> aio::task<> {
            for (int i = 0; i < 100'000; ++i) co_await queue.put(i);
            queue.shutdown();
        });
        int next = 0;
        while (const auto item = co_await queue.next()) next += *item == next ? 1 : 0;
        CHECK(next == 100'000);
        co_await putter;
    });
}

TEST_CASE("threadsafe_queue: those who wait are served in the order in which they came", "[Q-3]") {
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<int> queue(2);
        trace log;
        std::vector<aio::task_handle<>> getters;
        for (const char* name : {"a", "b", "c"}) getters.push_back(aio::create_task(get_and_log(queue, name, log)));
        co_await aio::testing::run_until_idle();
        for (const int value : {1, 2, 3}) co_await queue.put(value);
        co_await aio::testing::run_until_idle();
        CHECK(log == trace{"a got 1", "b got 2", "c got 3"});
        log.clear();
        std::vector<aio::task_handle<>> putters;
        for (const int value : {4, 5, 6, 7}) putters.push_back(aio::create_task(put_and_log(queue, value, log)));
        co_await aio::testing::run_until_idle();
        CHECK(log == trace{"put 4", "put 5"});
        for (const int value : {4, 5, 6, 7}) {
            CHECK(queue.try_get() == value);
            co_await aio::testing::run_until_idle();
        }
        CHECK(log == trace{"put 4", "put 5", "put 6", "put 7"});
    });
}

TEST_CASE("threadsafe_queue: an item that somebody was woken for is nobody else's") {
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<int> queue(2);
        trace log;
        const auto getter = aio::create_task(get_and_log(queue, "a", log));
        co_await aio::testing::run_until_idle();
        CHECK(queue.try_put(1));
        CHECK(queue.try_get() == std::nullopt); // a newcomer, before `a` has run
        const auto second = aio::create_task(get_and_log(queue, "b", log));
        co_await aio::testing::run_until_idle();
        CHECK(log == trace{"a got 1"});
        CHECK(queue.try_put(2));
        co_await second;
        co_await getter;
        CHECK(log == trace{"a got 1", "b got 2"});
    });
}

// Types

TEST_CASE("threadsafe_queue: move-only items without a default constructor go every way") {
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<only_moved> queue(1);
        CHECK(queue.try_put(only_moved(1)));
        only_moved refused(2);
        CHECK_FALSE(queue.try_put(std::move(refused)));
        CHECK(refused.value == 2);
        const only_moved first = co_await queue.get();
        CHECK(first.value == 1);
        co_await queue.put(only_moved(3));
        const std::optional<only_moved> second = co_await queue.next();
        CHECK(second->value == 3);
        only_moved named(4);
        co_await queue.put(aio::take(named));
        const auto job = [&queue] {
            const int got = queue.blocking_get().value;
            queue.blocking_put(only_moved(got + 1));
            return got;
        };
        const int four = co_await aio::to_thread(std::ref(job));
        CHECK(four == 4);
        const std::optional<only_moved> last = queue.try_get();
        CHECK(last->value == 5);
    });
}

TEST_CASE("threadsafe_queue: put makes a T from what it is given") {
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<std::string> queue(3);
        const std::string named = "named";
        co_await queue.put("text");
        co_await queue.put(named);
        co_await queue.put(std::string(3, 'x'));
        CHECK(named == "named");
        std::string all;
        queue.shutdown();
        while (const auto each = co_await queue.next()) all += *each + " ";
        CHECK(all == "text named xxx ");
    });
}

TEST_CASE("threadsafe_queue: optional and pair items are not taken for the queue's own") {
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<std::optional<int>> queue(3);
        co_await queue.put(std::optional<int>());
        co_await queue.put(std::optional<int>(2));
        queue.shutdown();
        const auto empty = co_await queue.next();
        REQUIRE(empty.has_value());
        CHECK_FALSE(empty->has_value());
        const std::optional<int> two = co_await queue.get();
        CHECK(two == 2);
        const auto none = co_await queue.next();
        CHECK_FALSE(none.has_value());
    });
}

TEST_CASE("threadsafe_queue: over-aligned items stay aligned") {
    struct alignas(64) wide {
        explicit wide(int v) noexcept : value(v) {}
        int value;
    };
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<wide> queue(20);
        for (int i = 0; i < 20; ++i) co_await queue.put(wide(i));
        for (int i = 0; i < 20; ++i) {
            auto item = std::make_unique<wide>(co_await queue.get());
            CHECK(item->value == i);
            CHECK(reinterpret_cast<std::size_t>(item.get()) % 64 == 0);
        }
    });
}

TEST_CASE("threadsafe_queue: items are moved, never copied, and each lives once") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<counted> queue(2);
        std::vector<counted> got;
        const auto getter = aio::create_task([&]() -> aio::task<> {
            while (auto item = co_await queue.next()) got.push_back(std::move(*item));
        });
        for (int i = 0; i < 20; ++i) co_await queue.put(counted(i));
        queue.shutdown();
        co_await getter;
        REQUIRE(got.size() == 20);
        for (int i = 0; i < 20; ++i) CHECK(got[static_cast<std::size_t>(i)].value == i);
        CHECK(counted::alive == 20);
    });
    CHECK(counted::copies == 0);
    CHECK(counted::alive == 0);
}

TEST_CASE("threadsafe_queue: items that nobody takes end with it") {
    counted::reset();
    {
        aio::threadsafe_queue<counted> queue(5);
        for (int i = 0; i < 5; ++i) CHECK(queue.try_put(counted(i)));
        queue.shutdown();
        CHECK(counted::alive == 5);
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("threadsafe_queue: a move that throws loses no item that is in, and leaves the queue usable") {
    // Each of put, waiting put, get, waiting get, next, try_get and the blocking ones, with the fuse at every move.
    fragile::alive = 0;
    int failures = 0;
    for (int fuse = 1;; ++fuse) {
        fragile::fuse = fuse;
        bool untouched = false;
        virtual_run([&]() -> aio::task<> {
            aio::threadsafe_queue<fragile> queue(2);
            int in = 0;
            int out = 0;
            const auto putting = [&](int value) -> aio::task<> {
                co_await queue.put(fragile(value));
                ++in;
            };
            const auto getting = [&]() -> aio::task<> {
                const fragile item = co_await queue.get();
                ++out;
            };
            const auto nexting = [&]() -> aio::task<> {
                const std::optional<fragile> item = co_await queue.next();
                if (item) ++out;
            };
            std::vector<aio::task_handle<>> all;
            for (int i = 0; i < 3; ++i) all.push_back(aio::create_task(putting(i)));
            for (int i = 0; i < 2; ++i) all.push_back(aio::create_task(getting()));
            all.push_back(aio::create_task(nexting()));
            all.push_back(aio::create_task(getting())); // waits
            for (int i = 0; i < 2; ++i) {
                co_await aio::testing::run_until_idle();
                all.push_back(aio::create_task(putting(i)));
            }
            co_await aio::testing::run_until_idle();
            try {
                if (queue.try_put(fragile(7))) ++in;
            } catch (const boom&) {}
            try {
                if (queue.try_get()) ++out;
            } catch (const boom&) {}
            co_await aio::testing::run_until_idle();
            untouched = fragile::fuse != 0;
            fragile::fuse = 0;
            queue.shutdown(); // lets go those whose item never came
            for (const auto& each : all) {
                const auto ended = co_await aio::nothrow(each);
                if (!ended) ++failures;
            }
            int left = 0;
            for (;;) {
                const auto item = co_await queue.next();
                if (!item) break;
                ++left;
            }
            CHECK(in == out + left); // an item is in the queue, or was taken
        });
        CHECK(fragile::alive == 0);
        if (untouched) break;
    }
    CHECK(failures > 5);
}

TEST_CASE("threadsafe_queue: an item is moved once when it comes out, and stays if that throws") {
    fragile::alive = 0;
    const auto taken_by = [](auto take) {
        for (int fuse = 1;; ++fuse) {
            INFO("the fuse is " << fuse);
            aio::threadsafe_queue<fragile> queue(2);
            for (int i = 0; i < 2; ++i) CHECK(queue.try_put(fragile(i)));
            fragile::fuse = fuse;
            bool thrown = false;
            int got = -1;
            try {
                got = take(queue);
            } catch (const boom&) {
                thrown = true;
            }
            const bool burnt = fragile::fuse == 0;
            fragile::fuse = 0;
            CHECK(thrown == burnt);
            REQUIRE(queue.size() == (thrown ? 2 : 1));
            if (!thrown) {
                CHECK(got == 0);
                return fuse - 1;
            }
            CHECK(queue.try_get()->value == 0);
        }
    };
    using queue_type = aio::threadsafe_queue<fragile>;
    CHECK(taken_by([](queue_type& queue) { return queue.try_get()->value; }) == 1);
    CHECK(taken_by([](queue_type& queue) { return queue.blocking_get().value; }) == 1);
    CHECK(taken_by([](queue_type& queue) { return queue.blocking_next()->value; }) == 1);
    CHECK(taken_by([](queue_type& queue) { return queue.blocking_get_for(1h)->value; }) == 1);
    CHECK(taken_by([](queue_type& queue) {
              int got = -1;
              virtual_run([&]() -> aio::task<> {
                  const fragile item = co_await queue.get();
                  got = item.value;
              });
              return got;
          }) == 1);
    CHECK(taken_by([](queue_type& queue) {
              int got = -1;
              virtual_run([&]() -> aio::task<> {
                  const auto item = co_await queue.next();
                  got = item->value;
              });
              return got;
          }) == 1);
    CHECK(fragile::alive == 0);
}

TEST_CASE("threadsafe_queue: an item whose move may throw may have an operator new that nobody can call") {
    using queue_type = aio::threadsafe_queue<fragile_on_no_heap>;
    fragile::alive = 0;
    {
        queue_type queue(1);
        virtual_run([&queue]() -> aio::task<> {
            co_await queue.put(fragile_on_no_heap(1));
            const auto waits =
                aio::create_task([&queue]() -> aio::task<> { co_await queue.put(fragile_on_no_heap(2)); });
            co_await aio::testing::run_until_idle();
            fragile::fuse = 1;
            const auto failed = co_await aio::nothrow(queue.get());
            CHECK_THROWS_AS(failed.rethrow(), boom);
            const auto first = co_await queue.get();
            CHECK(first.value == 1);
            co_await waits;
            const std::optional<fragile_on_no_heap> second = co_await queue.next();
            REQUIRE(second);
            CHECK(second->value == 2);
        });
        CHECK(queue.try_put(fragile_on_no_heap(3)));
        CHECK_FALSE(queue.blocking_put_for(fragile_on_no_heap(4), 0s));
        CHECK(queue.try_get()->value == 3);
        queue.blocking_put(fragile_on_no_heap(5));
        CHECK(queue.blocking_get().value == 5);
        CHECK(queue.blocking_put_for(fragile_on_no_heap(6), 0s));
        CHECK(queue.blocking_get_for(0s)->value == 6);
        CHECK(queue.try_put(fragile_on_no_heap(7)));
    }
    CHECK(fragile::alive == 0);
}

TEST_CASE("threadsafe_queue: put_nowait and get_nowait throw where nothing can be put or taken", "[Q-5]") {
    aio::threadsafe_queue<std::unique_ptr<int>> queue(1);
    CHECK_THROWS_AS(queue.get_nowait(), aio::queue_empty);
    queue.put_nowait(std::make_unique<int>(1));
    auto mine = std::make_unique<int>(2);
    CHECK_THROWS_AS(queue.put_nowait(std::move(mine)), aio::queue_full);
    CHECK(*mine == 2);
    CHECK(*queue.get_nowait() == 1);
    queue.put_nowait(std::move(mine));
    queue.shutdown();
    CHECK_THROWS_AS(queue.put_nowait(nullptr), aio::queue_shut_down);
    CHECK(*queue.get_nowait() == 2);
    CHECK_THROWS_AS(queue.get_nowait(), aio::queue_shut_down);
}

// Shutting down

TEST_CASE("threadsafe_queue: an immediate shutdown drops all but the items that were promised") {
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<std::shared_ptr<int>> queue(4);
        const auto alive = std::make_shared<int>(7);
        const auto waiting = aio::create_task(queue.get());
        co_await aio::yield();
        for (int i = 0; i < 4; ++i) queue.put_nowait(alive);
        queue.shutdown(true);
        CHECK(alive.use_count() == 2);
        CHECK(queue.try_get() == std::nullopt);
        const std::shared_ptr<int> promised = co_await waiting;
        CHECK(promised == alive);
        CHECK_THROWS_AS(queue.try_get(), aio::queue_shut_down);
    });
}

TEST_CASE("threadsafe_queue: a shutdown can be made immediate afterwards") {
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<int> queue(2);
        queue.put_nowait(1);
        queue.shutdown();
        CHECK(queue.size() == 1);
        queue.shutdown(true);
        CHECK(queue.size() == 0);
        const auto over = co_await aio::nothrow(queue.get());
        CHECK_THROWS_AS(over.rethrow(), aio::queue_shut_down);
        const auto none = co_await queue.next();
        CHECK(none == std::nullopt);
    });
}

TEST_CASE("threadsafe_queue: after shutdown nothing goes in, and what is in comes out", "[Q-17]") {
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<int> queue(3);
        co_await queue.put(1);
        co_await queue.put(2);
        queue.shutdown();
        queue.shutdown();
        CHECK(queue.is_shut_down());
        CHECK_THROWS_AS(queue.try_put(3), aio::queue_shut_down);
        const auto refused = co_await aio::nothrow(queue.put(3));
        CHECK_THROWS_AS(refused.rethrow(), aio::queue_shut_down);
        const int first = co_await queue.get();
        CHECK(first == 1);
        CHECK(queue.try_get() == 2);
        CHECK_THROWS_AS(queue.try_get(), aio::queue_shut_down);
        const auto over = co_await aio::nothrow(queue.get());
        CHECK_THROWS_AS(over.rethrow(), aio::queue_shut_down);
        const auto none = co_await queue.next();
        CHECK(none == std::nullopt);
    });
}

TEST_CASE("threadsafe_queue: shutdown wakes those who wait for room, and their items do not go in", "[Q-17]") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<counted> queue(1);
        co_await queue.put(counted(1));
        const auto putting = [&]() -> aio::task<> { co_await queue.put(counted(2)); };
        const auto first = aio::create_task(putting);
        const auto second = aio::create_task(putting);
        co_await aio::testing::run_until_idle();
        queue.shutdown();
        const auto one = co_await aio::nothrow(first);
        const auto two = co_await aio::nothrow(second);
        CHECK_THROWS_AS(one.rethrow(), aio::queue_shut_down);
        CHECK_THROWS_AS(two.rethrow(), aio::queue_shut_down);
        const counted left = co_await queue.get();
        CHECK(left.value == 1);
        const auto none = co_await queue.next();
        CHECK_FALSE(none.has_value());
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("threadsafe_queue: shutdown wakes those who wait for an item in vain", "[Q-17]") {
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<int> queue(1);
        const auto getter = aio::create_task([&]() -> aio::task<int> { co_return co_await queue.get(); });
        const auto next = aio::create_task([&]() -> aio::task<bool> {
            const auto item = co_await queue.next();
            co_return item.has_value();
        });
        co_await aio::testing::run_until_idle();
        queue.shutdown();
        const auto got = co_await aio::nothrow(getter);
        CHECK_THROWS_AS(got.rethrow(), aio::queue_shut_down);
        const bool any = co_await next;
        CHECK_FALSE(any);
    });
}

TEST_CASE("threadsafe_queue: who comes after shutdown waits while an item may still come back") {
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<int> queue(1);
        const auto first = aio::create_task([&]() -> aio::task<int> { co_return co_await queue.get(); });
        co_await aio::testing::run_until_idle();
        CHECK(queue.try_put(1)); // promised to `first`
        queue.shutdown();
        const auto second = aio::create_task(aio::eager, [&]() -> aio::task<int> {
            const auto item = co_await queue.next();
            co_return item.value_or(-1);
        });
        CHECK_FALSE(second.done());
        first.cancel();
        const int got = co_await second;
        CHECK(got == 1);
        CHECK(first.cancelled());
    });
}

TEST_CASE("threadsafe_queue: who comes after shutdown is let go when the promised item was taken") {
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<int> queue(1);
        const auto first = aio::create_task([&]() -> aio::task<int> { co_return co_await queue.get(); });
        co_await aio::testing::run_until_idle();
        CHECK(queue.try_put(1));
        queue.shutdown();
        const auto second = aio::create_task(aio::eager, [&]() -> aio::task<int> {
            const auto item = co_await queue.next();
            co_return item.value_or(-1);
        });
        const int nothing = co_await second;
        CHECK(nothing == -1);
        const int one = co_await first;
        CHECK(one == 1);
    });
}

// Cancellation

TEST_CASE("threadsafe_queue: a get that is cancelled while it waits takes nothing", "[Q-6]") {
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<int> queue(1);
        trace log;
        const auto first = aio::create_task(get_and_log(queue, "a", log));
        const auto second = aio::create_task(get_and_log(queue, "b", log));
        co_await aio::testing::run_until_idle();
        first.cancel();
        CHECK(queue.try_put(1));
        co_await aio::testing::run_until_idle();
        CHECK(first.cancelled());
        CHECK(log == trace{"b got 1"});
    });
}

TEST_CASE("threadsafe_queue: a get that is cancelled after its wake-up passes the item on", "[Q-6]") {
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<int> queue(2);
        trace log;
        const auto first = aio::create_task(get_and_log(queue, "a", log));
        const auto second = aio::create_task(get_and_log(queue, "b", log));
        co_await aio::testing::run_until_idle();
        CHECK(queue.try_put(1)); // for a
        first.cancel();
        first.cancel();
        co_await aio::testing::run_until_idle();
        CHECK(first.cancelled());
        CHECK(log == trace{"b got 1"});
        const auto third = aio::create_task(get_and_log(queue, "c", log));
        co_await aio::testing::run_until_idle();
        CHECK(queue.try_put(2));
        third.cancel();
        co_await aio::testing::run_until_idle();
        CHECK(queue.try_get() == 2); // nobody was there: it stayed
        CHECK(second.done());
    });
}

TEST_CASE("threadsafe_queue: a put that is cancelled while it waits puts nothing in", "[Q-7]") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<counted> queue(1);
        co_await queue.put(counted(1));
        const auto putting = [&](int value) -> aio::task<> { co_await queue.put(counted(value)); };
        const auto first = aio::create_task(putting(2));
        const auto second = aio::create_task(putting(3));
        co_await aio::testing::run_until_idle();
        first.cancel();
        co_await aio::testing::run_until_idle();
        CHECK(first.cancelled());
        CHECK(queue.size() == 1);
        CHECK(queue.try_get()->value == 1);
        CHECK(queue.try_get()->value == 3);
        co_await second;
    });
}

TEST_CASE("threadsafe_queue: a put that is cancelled after its item was taken in is cancelled, and the item stays") {
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<int> queue(1);
        trace log;
        co_await queue.put(1);
        const auto putter = aio::create_task(put_and_log(queue, 2, log));
        co_await aio::testing::run_until_idle();
        CHECK(queue.try_get() == 1);
        putter.cancel();
        co_await aio::testing::run_until_idle();
        CHECK(putter.cancelled());
        CHECK(log.empty());
        CHECK(queue.try_get() == 2);
        CHECK(queue.try_get() == std::nullopt);
    });
}

TEST_CASE("threadsafe_queue: a cancellation that comes with shutdown is delivered") {
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<int> queue(1);
        trace log;
        const auto getter = aio::create_task(get_and_log(queue, "a", log));
        co_await aio::testing::run_until_idle();
        queue.shutdown();
        getter.cancel();
        co_await aio::testing::run_until_idle();
        CHECK(getter.cancelled());
    });
}

TEST_CASE("threadsafe_queue: a task that is to be cancelled already does not wait") {
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<int> queue(1);
        const auto self_cancelled = [&]() -> aio::task<int> {
            aio::current_task().cancel();
            co_return co_await queue.get();
        };
        const auto getter = aio::create_task(self_cancelled);
        co_await aio::testing::run_until_idle();
        CHECK(getter.cancelled());
        CHECK(queue.try_put(1));
        CHECK(queue.try_get() == 1);
    });
}

TEST_CASE("threadsafe_queue: a wait_for that times out loses no item", "[Q-8]") {
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<int> queue(1);
        const auto late = co_await aio::nothrow(aio::wait_for(queue.get(), 1s));
        CHECK_THROWS_AS(late.rethrow(), aio::timeout_error);
        co_await queue.put(1);
        const auto full = co_await aio::nothrow(aio::wait_for(queue.put(2), 1s));
        CHECK_THROWS_AS(full.rethrow(), aio::timeout_error);
        CHECK(queue.try_get() == 1);
        CHECK(queue.try_get() == std::nullopt);
    });
}

TEST_CASE("threadsafe_queue: cancelled at every step, producers and consumers conserve the items") {
    for (const std::size_t second_after : {std::size_t(0), std::size_t(1), std::size_t(2)}) {
        const auto scenario = []() -> aio::task<> {
            aio::threadsafe_queue<counted> queue(2);
            int in = 0;
            int out = 0;
            const auto produce = [&]() -> aio::task<> {
                for (int i = 0; i < 6; ++i) {
                    co_await queue.put(counted(i));
                    ++in;
                }
            };
            const auto consume = [&](int number) -> aio::task<> {
                for (int i = 0; i < number; ++i) {
                    const counted item = co_await queue.get();
                    CHECK(item.value >= 0);
                    ++out;
                }
            };
            const auto both = [&]() -> aio::task<> { co_await aio::gather(produce(), consume(2), consume(4)); };
            const auto ended = aio::create_task(both);
            std::exception_ptr error;
            try {
                co_await ended;
            } catch (...) {
                error = std::current_exception();
            }
            co_await aio::testing::run_until_idle();
            const int left = static_cast<int>(queue.size());
            // A cancelled put may have had its item taken in; it is one at most, as there is one producer.
            CHECK(out + left >= in);
            CHECK(out + left <= in + 1);
            if (error) std::rethrow_exception(error);
        };
        aio::testing::cancellation_plan plan;
        plan.second_after = second_after;
        counted::reset();
        const auto met = aio::testing::for_each_cancellation(scenario, plan);
        CHECK(met.points > 9);
        CHECK(met.failed == 0);
        CHECK(counted::alive == 0);
    }
}

TEST_CASE("threadsafe_queue: cancelled at every step while a thread is at the other end") {
    /// Sends back what it gets, from begin() to the end of the scope.
    struct echo {
        aio::threadsafe_queue<int> there{2};
        aio::threadsafe_queue<int> back{2};
        std::shared_ptr<std::atomic<bool>> begun = std::make_shared<std::atomic<bool>>(false);
        std::thread thread{[this] {
            begun->wait(false);
            try {
                while (const auto item = there.blocking_next()) back.blocking_put(*item);
            } catch (const aio::queue_shut_down&) {}
        }};
        echo() = default;
        echo(const echo&) = delete;
        echo& operator=(const echo&) = delete;
        static void begin(const std::shared_ptr<std::atomic<bool>>& which) {
            *which = true;
            which->notify_all();
        }
        ~echo() {
            begin(begun);
            there.shutdown();
            back.shutdown();
            thread.join();
        }
    };
    const auto scenario = []() -> aio::task<> {
        echo other;
        // A loop that waits only for a plain thread looks stuck.
        const auto tick = aio::get_running_loop().call_later(1h, [] {});
        // When the task waits for its first item, however quick the thread is.
        aio::get_running_loop().call_soon([begun = other.begun] { echo::begin(begun); });
        for (int i = 0; i < 4; ++i) {
            co_await other.there.put(i);
            const int item = co_await other.back.get();
            CHECK(item == i);
        }
    };
    aio::testing::cancellation_plan plan;
    plan.options = {};
    const auto met = aio::testing::for_each_cancellation(scenario, plan);
    CHECK(met.points > 0);
}

// Lifetime

TEST_CASE("threadsafe_queue: a loop that closes while tasks wait takes them out of the lines") {
    counted::reset();
    aio::threadsafe_queue<counted> empty(1);
    aio::threadsafe_queue<counted> full(1);
    CHECK(full.try_put(counted(1)));
    {
        const audited afterwards;
        aio::event_loop loop;
        loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
        for (int i = 0; i < 3; ++i) {
            loop.create_task([&]() -> aio::task<> { co_await empty.get(); });
            loop.create_task([&]() -> aio::task<> { co_await full.put(counted(2)); });
        }
        aio::testing::run_until_idle(loop);
    }
    CHECK(counted::alive == 1);
    CHECK(empty.try_put(counted(3)));
    CHECK(empty.try_get()->value == 3);
    CHECK(full.try_get()->value == 1);
    CHECK(full.try_get() == std::nullopt);
}

TEST_CASE("threadsafe_queue: a loop that closes before a woken task has run passes the item on") {
    aio::threadsafe_queue<int> queue(2);
    std::optional<aio::event_loop> first(std::in_place);
    first->set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
    const auto consume = [&]() -> aio::task<int> { co_return co_await queue.get(); };
    first->create_task(consume);
    aio::testing::run_until_idle(*first);
    {
        aio::event_loop second;
        const auto other = second.create_task(consume);
        aio::testing::run_until_idle(second);
        CHECK(queue.try_put(7)); // for the first
        CHECK(queue.try_get() == std::nullopt);
        aio::testing::run_until_idle(second);
        CHECK_FALSE(other.done());
        first.reset();
        aio::testing::run_until_idle(second);
        REQUIRE(other.done());
        CHECK(other.result() == 7);
    }
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("threadsafe_queue: a waiting task whose loop is closed is passed over") {
    aio::threadsafe_queue<int> queue(1);
    std::optional<aio::event_loop> loop(std::in_place);
    loop->set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
    // Destroyed with its loop: another task puts while that happens.
    bool put = false;
    struct putter {
        putter(aio::threadsafe_queue<int>& q, bool& p) noexcept : queue(q), done(p) {}
        putter(const putter&) = delete;
        putter& operator=(const putter&) = delete;
        ~putter() { done = queue.try_put(1); }
        aio::threadsafe_queue<int>& queue;
        bool& done;
    };
    loop->create_task([&]() -> aio::task<> { co_await queue.get(); });
    loop->create_task([&]() -> aio::task<> {
        const putter at_end(queue, put);
        co_await aio::sleep(1h);
    });
    aio::testing::run_until_idle(*loop);
    loop.reset();
    CHECK(put);
    CHECK(queue.try_get() == 1);
}

TEST_CASE("threadsafe_queue: its end wakes those who wait") {
    virtual_run([]() -> aio::task<> {
        auto queue = std::make_unique<aio::threadsafe_queue<int>>(1);
        const auto getting = [&]() -> aio::task<bool> {
            const auto item = co_await queue->next();
            co_return item.has_value();
        };
        const auto getter = aio::create_task(getting);
        gate started;
        const auto job = [&] {
            started.open();
            return queue->blocking_next().has_value();
        };
        const auto thread =
            aio::create_task([&]() -> aio::task<bool> { co_return co_await aio::to_thread(std::ref(job)); });
        co_await aio::testing::run_until_idle();
        started.wait();
        CHECK(queue->try_put(1)); // for the getter, which came first
        const bool first = co_await getter;
        CHECK(first);
        CHECK(queue->try_put(2)); // for the thread, whether it waits already or not
        const bool second = co_await thread;
        CHECK(second);
        const auto waiting = aio::create_task(getting);
        co_await aio::testing::run_until_idle();
        queue.reset();
        const bool none = co_await waiting;
        CHECK_FALSE(none);
    });
}

TEST_CASE("threadsafe_queue: a queue that ended before the loop of a waiting task") {
    const audited afterwards;
    aio::event_loop loop;
    loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
    {
        aio::threadsafe_queue<int> queue(1);
        loop.create_task([&]() -> aio::task<> { co_await queue.get(); });
        aio::testing::run_until_idle(loop);
        CHECK(queue.try_put(1)); // promised, and never fetched
    }
}

// Threads

TEST_CASE("threadsafe_queue: blocking calls pass items from thread to thread in order") {
    aio::threadsafe_queue<int> queue(4);
    const int number = rounds(20'000);
    std::thread producer([&] {
        for (int i = 0; i < number; ++i) queue.blocking_put(i);
        queue.shutdown();
    });
    int next = 0;
    while (const auto item = queue.blocking_next()) next += *item == next ? 1 : 0;
    producer.join();
    CHECK(next == number);
    CHECK_THROWS_AS(queue.blocking_get(), aio::queue_shut_down);
    CHECK_THROWS_AS(queue.blocking_get_for(1h), aio::queue_shut_down);
    CHECK_THROWS_AS(queue.blocking_put(1), aio::queue_shut_down);
    CHECK_THROWS_AS(queue.blocking_put_for(1, 1h), aio::queue_shut_down);
}

TEST_CASE("threadsafe_queue: a thread feeds a loop, and a loop a thread") {
    const audited afterwards; // when the thread has ended: until then it may hold a loop_ref
    const watchdog guard;
    aio::threadsafe_queue<int> there(2);
    aio::threadsafe_queue<int> back(2);
    const int number = rounds(10'000);
    std::thread thread([&] {
        while (const auto item = there.blocking_next()) back.blocking_put(*item * 2);
        back.shutdown();
    });
    std::int64_t sum = 0;
    int got = 0;
    const auto feed_and_collect = [&]() -> aio::task<> {
        const auto feed = aio::create_task([&]() -> aio::task<> {
            for (int i = 0; i < number; ++i) co_await there.put(i);
            there.shutdown();
        });
        while (const auto item = co_await back.next()) {
            sum += *item;
            ++got;
        }
        co_await feed;
    };
    aio::run(feed_and_collect(), aio::testing::virtual_clock());
    thread.join();
    CHECK(got == number);
    CHECK(sum == std::int64_t(number) * (number - 1));
}

TEST_CASE("threadsafe_queue: timed calls end when the time is up, and leave what they brought", "[time]") {
    aio::threadsafe_queue<std::unique_ptr<int>> queue(1);
    const auto begin = std::chrono::steady_clock::now();
    CHECK(queue.blocking_get_for(20ms) == std::nullopt);
    CHECK(std::chrono::steady_clock::now() - begin >= 20ms);
    CHECK(queue.blocking_put_for(std::make_unique<int>(1), 1h));
    auto second = std::make_unique<int>(2);
    CHECK_FALSE(queue.blocking_put_for(std::move(second), 20ms));
    REQUIRE(second != nullptr);
    CHECK_FALSE(queue.blocking_put_for(std::move(second), -1h));
    CHECK_FALSE(queue.blocking_put_for(std::move(second), 0s));
    REQUIRE(second != nullptr);
    const auto first = queue.blocking_get_for(0s);
    REQUIRE(first.has_value());
    CHECK(**first == 1);
    CHECK(queue.size() == 0);
    CHECK(queue.blocking_put_for(std::move(second), std::chrono::hours::max()));
    const auto last = queue.blocking_get_for(std::chrono::hours::max());
    CHECK(**last == 2);
}

TEST_CASE("threadsafe_queue: an item whose move may throw comes back from a timed put", "[time]") {
    struct heavy {
        explicit heavy(int v) : value(v) {}
        heavy(heavy&& other) : value(std::exchange(other.value, -1)) {}
        heavy& operator=(heavy&& other) {
            value = std::exchange(other.value, -1);
            return *this;
        }
        int value;
    };
    aio::threadsafe_queue<heavy> queue(1);
    CHECK(queue.try_put(heavy(1)));
    heavy second(2);
    CHECK_FALSE(queue.blocking_put_for(std::move(second), 1ms));
    CHECK(second.value == 2);
    queue.shutdown();
    CHECK_THROWS_AS(queue.blocking_put_for(std::move(second), 1ms), aio::queue_shut_down);
    CHECK(second.value == 2);
    CHECK(queue.blocking_get().value == 1);
}

TEST_CASE("threadsafe_queue: a timed put copies an lvalue", "[time]") {
    aio::threadsafe_queue<std::string> queue(1);
    const std::string item = "item";
    CHECK(queue.blocking_put_for(item, 1ms));
    CHECK_FALSE(queue.blocking_put_for(item, 1ms));
    CHECK(queue.blocking_get() == "item");
}

TEST_CASE("threadsafe_queue: shutdown wakes blocked threads") {
    aio::threadsafe_queue<int> empty(1);
    aio::threadsafe_queue<int> full(1);
    CHECK(full.try_put(1));
    std::atomic<int> woken = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&] {
            if (!empty.blocking_next()) ++woken;
        });
        threads.emplace_back([&] {
            try {
                empty.blocking_get_for(1h);
            } catch (const aio::queue_shut_down&) {
                ++woken;
            }
        });
        threads.emplace_back([&] {
            try {
                full.blocking_put(2);
            } catch (const aio::queue_shut_down&) {
                ++woken;
            }
        });
    }
    empty.shutdown();
    full.shutdown();
    for (std::thread& each : threads) each.join();
    CHECK(woken == 6);
    CHECK(full.try_get() == 1);
}

TEST_CASE("threadsafe_queue: threads and tasks stand in one line") {
    // A task, then a thread, then a task wait for an item; it comes three times.
    aio::threadsafe_queue<int> queue(3);
    std::atomic<int> thread_got = 0;
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto first = aio::create_task(get_and_log(queue, "a", log));
        co_await aio::testing::run_until_idle();
        const auto job = [&] { thread_got = queue.blocking_get(); };
        const auto thread = aio::create_task(on_thread(job));
        co_await aio::testing::run_until_idle();
        CHECK(queue.try_put(1));
        co_await first;
        CHECK(queue.try_put(2));
        co_await thread; // nobody else was there to take it
        const auto last = aio::create_task(get_and_log(queue, "b", log));
        co_await aio::testing::run_until_idle();
        CHECK(queue.try_put(3));
        co_await last;
    });
    CHECK(thread_got == 2);
    CHECK(log == trace{"a got 1", "b got 3"});
}

TEST_CASE("threadsafe_queue: a job that feeds a task holds the virtual clock, the waiting task does not") {
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<int> queue(1);
        gate go;
        const auto job = [&] {
            go.wait();
            queue.blocking_put(5);
        };
        const auto thread = aio::create_task(on_thread(job));
        const auto waiting =
            aio::create_task([&]() -> aio::task<int> { co_return co_await aio::wait_for(queue.get(), 1h); });
        co_await aio::testing::run_until_idle();
        go.open();
        const int got = co_await waiting; // no hour has passed
        CHECK(got == 5);
        co_await thread;
        const auto alone = co_await aio::nothrow(aio::wait_for(queue.get(), 1h));
        CHECK_THROWS_AS(alone.rethrow(), aio::timeout_error);
    });
}

TEST_CASE("threadsafe_queue: blocking calls on a thread that runs a loop are misuse, and name the way out") {
    virtual_run([]() -> aio::task<> {
        aio::threadsafe_queue<int> queue(1);
        CHECK_THROWS_AS(queue.blocking_get(), std::logic_error);
        CHECK_THROWS_AS(queue.blocking_next(), std::logic_error);
        CHECK_THROWS_AS(queue.blocking_put(1), std::logic_error);
        CHECK_THROWS_AS(queue.blocking_get_for(1s), std::logic_error);
        CHECK_THROWS_AS(queue.blocking_put_for(1, 1s), std::logic_error);
        CHECK(contains(message_of([&] { queue.blocking_get(); }), "co_await get()"));
        CHECK(contains(message_of([&] { queue.blocking_put(1); }), "co_await put()"));
        CHECK(queue.size() == 0);
        co_return;
    });
}

// Model

TEST_CASE("threadsafe_queue: random puts, gets and cancellations of one loop match a model") {
    for (unsigned seed = 1; seed <= 20; ++seed) {
        INFO("seed " << seed);
        virtual_run([seed]() -> aio::task<> {
            std::mt19937 random(seed);
            aio::threadsafe_queue<int> queue(1 + seed % 4);
            std::vector<int> got;
            std::vector<int> put;
            int next = 0;
            std::vector<aio::task_handle<>> tasks;
            const auto putting = [&](int value) -> aio::task<> {
                try {
                    co_await queue.put(value);
                    put.push_back(value);
                } catch (const aio::queue_shut_down&) {}
            };
            const auto getting = [&]() -> aio::task<> {
                const auto item = co_await queue.next();
                if (item) got.push_back(*item);
            };
            for (int i = 0; i < 300; ++i) {
                switch (random() % 5) {
                case 0:
                case 1: tasks.push_back(aio::create_task(putting(next++))); break;
                case 2:
                case 3: tasks.push_back(aio::create_task(getting())); break;
                default:
                    if (!tasks.empty()) tasks[random() % tasks.size()].cancel();
                }
                if (random() % 3 == 0) co_await aio::yield();
            }
            queue.shutdown();
            co_await aio::testing::run_until_idle();
            while (const auto item = co_await queue.next()) got.push_back(*item);
            for (const auto& each : tasks) CHECK(each.done());
            // In order, none twice; those whose put returned all came out.
            CHECK(std::is_sorted(got.begin(), got.end()));
            CHECK(std::adjacent_find(got.begin(), got.end()) == got.end());
            for (const int each : put) CHECK(std::find(got.begin(), got.end(), each) != got.end());
        });
    }
}
