// SPDX-License-Identifier: BSL-1.0
// covers: thread/detail/parallel_run.hpp
#include <asynchio/thread/parallel_for.hpp>

#include "support/captured_stderr.hpp"
#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"
#include "support/tally.hpp"
#include "support/threads.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/task/context_var.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>
#include <asynchio/thread/run_in_executor.hpp>
#include <asynchio/thread/to_thread.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

std::vector<int> numbers(int count) {
    std::vector<int> all(static_cast<std::size_t>(count));
    std::iota(all.begin(), all.end(), 0);
    return all;
}

/// A computation that stands in its first call until the test lets it go on.
struct held_computation {
    gate begun;
    gate go_on;
    std::atomic<int> calls = 0;
    void operator()(int) {
        ++calls;
        begun.open();
        go_on.wait();
    }
};

/// A thread of a pool that is busy until the end of the scope.
class held_thread {
public:
    explicit held_thread(aio::thread_pool& pool)
        : call_(pool.submit([this] {
              begun_.open();
              go_on_.wait();
          })) {
        begun_.wait();
    }
    held_thread(const held_thread&) = delete;
    held_thread& operator=(const held_thread&) = delete;
    ~held_thread() {
        go_on_.open();
        call_.wait();
    }
    bool is_held() const { return !go_on_.is_open(); }

private:
    gate begun_;
    gate go_on_;
    aio::concurrent_future<void> call_;
};

aio::task<> until_open(const gate& which) {
    while (!which.is_open()) co_await aio::yield();
}

} // namespace

// Numbers

TEST_CASE("parallel_for: each number is met once, whatever the chunks and threads") {
    aio::run([]() -> aio::task<> {
        for (const int count : {1, 2, 63, 64, 1'000, 4'096})
            for (const std::size_t chunk : {0u, 1u, 7u, 5'000u})
                for (const std::size_t threads : {0u, 1u, 3u}) {
                    tally met(count);
                    const aio::parallel_options options{chunk, threads};
                    co_await aio::parallel_for(0, count, [&](int i) { met.count(i); }, options);
                    CHECK(met.wrong() == 0);
                }
    });
}

TEST_CASE("parallel_for: the bounds may be negative, of two types, and at the ends of their type") {
    aio::run([]() -> aio::task<> {
        std::atomic<std::int64_t> sum = 0;
        co_await aio::parallel_for(-5, std::int64_t(8), [&](std::int64_t i) { sum += i; });
        CHECK(sum == 13);
        using limits = std::numeric_limits<std::int8_t>;
        sum = 0;
        std::atomic<int> calls = 0;
        co_await aio::parallel_for(limits::min(), limits::max(), [&](std::int8_t i) {
            sum += i;
            ++calls;
        });
        CHECK(calls == 255);
        CHECK(sum == -128 - 127); // all but the last number cancel out, and -128, -127
    });
}

TEST_CASE("parallel_for: an empty range calls nothing, and does not suspend") {
    bool later = false;
    aio::run([&]() -> aio::task<> {
        aio::get_running_loop().call_soon([&] { later = true; });
        bool called = false;
        co_await aio::parallel_for(3, 3, [&](int) { called = true; });
        co_await aio::parallel_for(3, -3, [&](int) { called = true; });
        const std::vector<int> none = co_await aio::parallel_map(std::vector<int>(), [](int i) { return i; });
        CHECK(none.empty());
        CHECK_FALSE(called);
        CHECK_FALSE(later);
    });
}

TEST_CASE("parallel_for: several threads work, and none of them is the loop's") {
    aio::run([]() -> aio::task<> {
        // Each of two calls waits for the other one, so that one thread alone would wait for ever.
        std::array<gate, 2> there;
        std::array<std::thread::id, 2> ids;
        aio::thread_pool pool(2);
        const aio::parallel_options options{1, 0, &pool};
        co_await aio::parallel_for(
            std::size_t(0), std::size_t(2),
            [&](std::size_t i) {
                ids[i] = std::this_thread::get_id();
                there[i].open();
                there[1 - i].wait();
            },
            options);
        CHECK(ids[0] != ids[1]);
        CHECK(ids[0] != std::this_thread::get_id());
        CHECK(ids[1] != std::this_thread::get_id());
    });
}

TEST_CASE("parallel_for: the loop goes on meanwhile") {
    aio::run([]() -> aio::task<> {
        held_computation held;
        const opened_at_end last(held.go_on);
        const auto computing =
            aio::create_task([&]() -> aio::task<> { co_await aio::parallel_for(0, 1, std::ref(held)); });
        co_await until_open(held.begun);
        for (int i = 0; i < 5; ++i) co_await aio::sleep(1ms);
        CHECK_FALSE(computing.done());
        held.go_on.open();
        co_await computing;
    });
}

TEST_CASE("parallel_for: its threads are not those of the default pool") {
    aio::run([]() -> aio::task<> {
        aio::set_default_pool(1);
        gate blocked;
        gate go_on;
        const opened_at_end last(go_on);
        const auto blocks = aio::create_task([&]() -> aio::task<> {
            co_await aio::to_thread([&] {
                blocked.open();
                go_on.wait();
            });
        });
        co_await until_open(blocked);
        std::atomic<int> calls = 0;
        co_await aio::parallel_for(0, 100, [&](int) { ++calls; });
        CHECK(calls == 100);
        go_on.open();
        co_await blocks;
    });
}

TEST_CASE("parallel_for: a pool whose threads are busy but for one computes all in that one") {
    aio::run([]() -> aio::task<> {
        aio::thread_pool pool(2);
        const held_thread busy(pool);
        tally met(100);
        const aio::parallel_options options{1, 0, &pool};
        co_await aio::parallel_for(0, 100, [&](int i) { met.count(i); }, options);
        CHECK(met.wrong() == 0);
        CHECK(busy.is_held());
    });
}

TEST_CASE("parallel_for: the caller's context is seen by the calls") {
    aio::run([]() -> aio::task<> {
        static aio::context_var<int> level("level", 0);
        level.set(3);
        std::atomic<int> sum = 0;
        co_await aio::parallel_for(0, 100, [&](int) {
            sum += level.get();
            level.set(3); // in a copy of the thread's own
        });
        CHECK(sum == 300);
        CHECK(level.get() == 3);
    });
}

// Elements

TEST_CASE("parallel_map: results come in the order of the elements") {
    aio::run([]() -> aio::task<> {
        const std::vector<int> in = numbers(1'000);
        const std::vector<int> squares = co_await aio::parallel_map(in, [](int i) { return i * i; });
        REQUIRE(squares.size() == 1'000);
        for (int i = 0; i < 1'000; ++i) CHECK(squares[static_cast<std::size_t>(i)] == i * i);
        const std::vector<bool> odd = co_await aio::parallel_map(in, [](int i) { return i % 2 != 0; });
        for (std::size_t i = 0; i < 1'000; ++i) CHECK(odd[i] == (i % 2 != 0));
        const std::vector<std::string> texts =
            co_await aio::parallel_map(std::span(in).first(3), [](int i) { return std::to_string(i); });
        CHECK(texts == std::vector<std::string>{"0", "1", "2"});
    });
}

TEST_CASE("parallel_map: results may be move-only and without a default") {
    struct only_moved {
        explicit only_moved(int i) : value(std::make_unique<int>(i)) {}
        std::unique_ptr<int> value;
    };
    aio::run([]() -> aio::task<> {
        std::vector<std::unique_ptr<int>> in;
        for (int i = 0; i < 100; ++i) in.push_back(std::make_unique<int>(i));
        const std::vector<only_moved> out =
            co_await aio::parallel_map(aio::take(in), [](const std::unique_ptr<int>& p) { return only_moved(*p); });
        CHECK(in.empty());
        for (int i = 0; i < 100; ++i) CHECK(*out[static_cast<std::size_t>(i)].value == i);
    });
}

TEST_CASE("parallel_map: a function without a result changes the elements in place") {
    aio::run([]() -> aio::task<> {
        std::vector<int> in = numbers(500);
        co_await aio::parallel_map(in, [](int& i) { ++i; });
        for (int i = 0; i < 500; ++i) CHECK(in[static_cast<std::size_t>(i)] == i + 1);
        int plain[] = {1, 2, 3};
        co_await aio::parallel_map(plain, [](int& i) { i *= 2; });
        CHECK(plain[2] == 6);
    });
}

TEST_CASE("parallel_map: what it returns holds nothing of the range or the function") {
    aio::run([]() -> aio::task<> {
        std::vector<shared_counted> in(50, shared_counted(2));
        const auto add = [](const shared_counted& n) { return shared_counted(n.value + 1); };
        const auto out = co_await aio::parallel_map(aio::take(in), add);
        CHECK(out.size() == 50);
        CHECK(out[49].value == 3);
        CHECK(shared_counted::alive == 50);
    });
    CHECK(shared_counted::alive == 0);
}

// Exceptions

TEST_CASE("parallel_for: the exception of the lowest number is thrown, and no chunk is begun after it") {
    aio::run([]() -> aio::task<> {
        for (int round = 0; round < rounds(200); ++round) {
            std::atomic<int> calls = 0;
            const aio::parallel_options options{1};
            const auto failed = co_await aio::nothrow(aio::parallel_for(
                0, 100'000,
                [&](int i) {
                    ++calls;
                    if (i >= 50) throw std::runtime_error(std::to_string(i));
                },
                options));
            CHECK(message_of([&] { failed.rethrow(); }) == "50");
            CHECK(calls >= 51);
            CHECK(calls < 1'000);
        }
    });
}

TEST_CASE("parallel_for: the lowest number's exception is thrown, whichever comes first") {
    aio::run([]() -> aio::task<> {
        aio::thread_pool pool(2);
        for (int round = 0; round < 40; ++round) {
            std::array<gate, 2> there;
            const auto fail = [&, first = std::size_t(round % 2)](std::size_t i) {
                there[i].open();
                there[1 - i].wait(); // both have begun
                if (i != first) take_a_moment(5'000);
                throw std::runtime_error(std::to_string(i));
            };
            const aio::parallel_options options{1, 0, &pool};
            const auto failed = co_await aio::nothrow(aio::parallel_for(std::size_t(0), std::size_t(2), fail, options));
            CHECK(message_of([&] { failed.rethrow(); }) == "0");
        }
    });
}

TEST_CASE("parallel_map: results that are there already are destroyed when a call throws") {
    aio::run([]() -> aio::task<> {
        const std::vector<int> in = numbers(100);
        const auto failed = co_await aio::nothrow(aio::parallel_map(in, [](int i) {
            if (i == 70) throw boom("broken");
            return shared_counted(i);
        }));
        CHECK(failed.error());
    });
    CHECK(shared_counted::alive == 0);
}

TEST_CASE("parallel_for: a pool that is closed is refused") {
    aio::run([]() -> aio::task<> {
        aio::thread_pool pool(1);
        co_await pool.aclose();
        const aio::parallel_options options{0, 0, &pool};
        const auto failed = co_await aio::nothrow(aio::parallel_for(0, 10, [](int) {}, options));
        CHECK(contains(message_of([&] { failed.rethrow(); }), "after shutdown"));
    });
}

TEST_CASE("parallel_for: a pool that takes fewer jobs computes all with those") {
    aio::run([]() -> aio::task<> {
        aio::thread_pool pool(3, 0); // no job may wait
        const held_thread busy(pool);
        tally met(200);
        const aio::parallel_options options{1, 0, &pool};
        gate all_submitted;
        aio::get_running_loop().call_soon([&] { all_submitted.open(); });
        const auto count = [&](int i) {
            all_submitted.wait();
            met.count(i);
        };
        co_await aio::parallel_for(0, 200, count, options);
        CHECK(met.wrong() == 0);
        CHECK(pool.started() == 3);
    });
}

// Cancellation

TEST_CASE("parallel_for: a cancelled task waits for the chunks that run, and begins no other") {
    aio::run([]() -> aio::task<> {
        held_computation held;
        const opened_at_end last(held.go_on);
        const aio::parallel_options options{1, 1};
        const auto computing =
            aio::create_task([&]() -> aio::task<> { co_await aio::parallel_for(0, 1'000, std::ref(held), options); });
        co_await until_open(held.begun);
        computing.cancel("enough");
        for (int i = 0; i < 20; ++i) co_await aio::yield();
        CHECK_FALSE(computing.done());
        held.go_on.open();
        const auto end = co_await aio::nothrow(computing);
        CHECK(contains(message_of([&] { end.rethrow(); }), "enough"));
        CHECK(held.calls == 1);
    });
}

TEST_CASE("parallel_for: a cancelled task whose jobs have not begun leaves at once") {
    std::atomic<int> calls = 0;
    aio::run([&]() -> aio::task<> {
        aio::thread_pool pool(1);
        const held_thread busy(pool);
        const auto computing = aio::create_task([&]() -> aio::task<> {
            const std::vector<int> in = numbers(10);
            const aio::parallel_options options{1, 0, &pool};
            co_await aio::parallel_map(in, [&](int) { ++calls; }, options);
        });
        co_await aio::yield();
        computing.cancel();
        const auto end = co_await aio::nothrow(computing);
        CHECK(end.cancelled());
        CHECK(busy.is_held());
    });
    CHECK(calls == 0);
}

TEST_CASE("parallel_for: a time limit ends it") {
    aio::run([]() -> aio::task<> {
        const auto limited = co_await aio::nothrow(aio::wait_for(
            aio::parallel_for(
                0, std::numeric_limits<int>::max(), [](int) { take_a_moment(10); }, aio::parallel_options{1}),
            5ms));
        CHECK(limited.error());
    });
}

TEST_CASE("parallel_for: cancelled after each step, it leaves nothing behind") {
    const auto met = aio::testing::for_each_cancellation([]() -> aio::task<> {
        const std::vector<int> in = numbers(200);
        const auto out = co_await aio::parallel_map(in, [](int i) { return std::to_string(i); });
        CHECK(out.size() == 200);
    });
    CHECK(met.cancelled > 0);
}

// Lifetime

TEST_CASE("parallel_for: a loop that is closed waits for the chunks that run") {
    std::atomic<int> begins = 0;
    std::atomic<int> ends = 0;
    gate begun;
    gate go_on;
    const opened_at_end last(go_on);
    aio::thread_pool pool(2);
    std::thread opens;
    const captured_stderr told; // of the task that was destroyed
    {
        aio::event_loop loop;
        const aio::parallel_options options{1, 0, &pool};
        const auto computing = loop.create_task([&]() -> aio::task<> {
            std::string local(100, 'x');
            co_await aio::parallel_for(
                0, 1'000,
                [&](int) {
                    ++begins;
                    begun.open();
                    go_on.wait();
                    if (local.size() == 100) ++ends;
                },
                options);
        });
        while (!begun.is_open()) loop.run_ready();
        opens = std::thread([&] { go_on.open(); });
    }
    CHECK(begins == ends);
    CHECK(begins > 0);
    opens.join();
}

TEST_CASE("parallel_for: several run at once on the same threads") {
    aio::run([]() -> aio::task<> {
        constexpr int each = 1'000;
        tally met(4 * each);
        const auto compute = [&](int first) -> aio::task<> {
            for (int i = 0; i < 10; ++i)
                co_await aio::parallel_for(first + i * each / 10, first + (i + 1) * each / 10,
                                           [&](int n) { met.count(n); });
        };
        co_await aio::gather(compute(0), compute(each), compute(2 * each), compute(3 * each));
        CHECK(met.wrong() == 0);
    });
}

TEST_CASE("parallel_for: many short runs", "[stress]") {
    aio::run([]() -> aio::task<> {
        std::atomic<int> calls = 0;
        const aio::parallel_options options{1};
        for (int i = 0; i < rounds(20'000); ++i) co_await aio::parallel_for(0, i % 4, [&](int) { ++calls; }, options);
        CHECK(calls == rounds(20'000) / 4 * 6);
    });
}

// Virtual time

TEST_CASE("parallel_for: in virtual time all calls are made in order by one thread, and no time passes") {
    virtual_run([]() -> aio::task<> {
        const aio::time_point begin = aio::get_running_loop().time();
        std::vector<int> order; // without a lock
        const auto timer = aio::get_running_loop().call_later(1ms, [] {});
        aio::thread_pool pool(2);
        const aio::parallel_options options{1, 0, &pool};
        co_await aio::parallel_for(0, 500, [&](int i) { order.push_back(i); }, options);
        CHECK(pool.started() == 1);
        CHECK(order == numbers(500));
        CHECK(aio::get_running_loop().time() == begin);
    });
}
