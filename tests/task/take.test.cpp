// SPDX-License-Identifier: BSL-1.0

#include <asynchio/task/take.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/finally.hpp>
#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/map.hpp>
#include <asynchio/combine/race.hpp>
#include <asynchio/combine/shield.hpp>
#include <asynchio/combine/task_group.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/task/co_invoke.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/thread/loop_group.hpp>
#include <asynchio/thread/run_coroutine_threadsafe.hpp>
#include <asynchio/thread/run_in_executor.hpp>
#include <asynchio/thread/to_thread.hpp>
#include <asynchio/thread/wrap_future.hpp>

#include <csignal>
#include <functional>
#include <memory>
#include <stdexcept>
#include <unistd.h>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// As a combinator stores its argument.
template<class X>
class keeper {
public:
    explicit keeper(std::remove_reference_t<X>& given) : kept(aio::detail::keep<X>(given)) {}
    aio::detail::kept_t<X> kept;
};

template<class X>
keeper<X> keep(X&& x) {
    return keeper<X>(x);
}

} // namespace

TEST_CASE("take: moves a named object in", "[TASK-3]") {
    counted::reset();
    {
        counted named(3);
        auto stored = keep(aio::take(named));
        STATIC_REQUIRE(std::is_same_v<decltype(stored.kept), counted>);
        CHECK(stored.kept.value == 3);
        CHECK(named.value == -1);
        CHECK(counted::copies == 0);
    }
    CHECK(counted::alive == 0);
}

TEST_CASE("take: works for what cannot be copied", "[TASK-3]") {
    auto named = std::make_unique<int>(4);
    const std::unique_ptr<int> got = aio::take(named).release();
    CHECK(*got == 4);
    CHECK(named == nullptr);
}

TEST_CASE("take: without it an lvalue is referenced, and a temporary kept", "[TASK-3]") {
    counted::reset();
    counted named(5);
    auto referenced = keep(named);
    STATIC_REQUIRE(std::is_same_v<decltype(referenced.kept), counted&>);
    CHECK(&referenced.kept == &named);
    auto kept = keep(counted(6));
    STATIC_REQUIRE(std::is_same_v<decltype(kept.kept), counted>);
    CHECK(kept.kept.value == 6);
    CHECK(counted::copies == 0);
}

// Every call that keeps a callable. The callables own what cannot be copied.

namespace {

auto gives_seven() {
    return [owned = std::make_unique<int>(7)]() -> aio::task<int> {
        co_await aio::sleep(1ms);
        co_return *owned;
    };
}

auto adds() {
    return [owned = std::make_unique<int>(7)](std::unique_ptr<int> more) -> aio::task<int> {
        co_await aio::sleep(1ms);
        co_return *owned + *more;
    };
}

auto sets(int& target) {
    return [owned = std::make_unique<int>(7), &target] { target = *owned; };
}

} // namespace

TEST_CASE("take: what starts a task takes a callable and its arguments so", "[TASK-3]") {
    virtual_run([]() -> aio::task<> {
        auto one = gives_seven();
        const int got_1 = co_await aio::co_invoke(aio::take(one));
        CHECK(got_1 == 7);
        auto two = adds();
        auto argument = std::make_unique<int>(3);
        const int got_2 = co_await aio::co_invoke(aio::take(two), aio::take(argument));
        CHECK(got_2 == 10);
        auto three = gives_seven();
        const int got_3 = co_await aio::create_task(aio::take(three));
        CHECK(got_3 == 7);
        auto four = gives_seven();
        const auto with_name = aio::create_task(aio::named("four"), aio::take(four));
        CHECK(with_name.name() == "four");
        const int got_4 = co_await with_name;
        CHECK(got_4 == 7);
        auto five = adds();
        auto other = std::make_unique<int>(4);
        const int got_5 = co_await aio::create_task(aio::eager, aio::take(five), aio::take(other));
        CHECK(got_5 == 11);
        auto six = gives_seven();
        const int got_6 = co_await aio::get_running_loop().create_task(aio::take(six));
        CHECK(got_6 == 7);
        auto seven = gives_seven();
        auto body = [&seven](aio::task_group& group) -> aio::task<> {
            const auto child = group.create_task(aio::take(seven));
            const int got_7 = co_await child;
            CHECK(got_7 == 7);
        };
        co_await aio::with(aio::task_group(), body);
    });
    auto main = gives_seven();
    CHECK(aio::run(aio::take(main)) == 7);
}

TEST_CASE("take: combinators take a callable so", "[TASK-3]") {
    virtual_run([]() -> aio::task<> {
        auto one = gives_seven();
        auto two = gives_seven();
        const auto both = co_await aio::gather(aio::take(one), aio::take(two));
        CHECK(std::get<0>(both) + std::get<1>(both) == 14);
        auto three = gives_seven();
        const auto first = co_await aio::race(aio::take(three));
        CHECK(std::get<0>(first) == 7);
        auto four = gives_seven();
        const int got_8 = co_await aio::shield(aio::take(four));
        CHECK(got_8 == 7);
        auto five = gives_seven();
        const int got_9 = co_await aio::wait_for(aio::take(five), 1s);
        CHECK(got_9 == 7);
        int cleaned = 0;
        auto six = gives_seven();
        auto cleanup = sets(cleaned);
        const int got_10 = co_await aio::finally(aio::take(six), aio::take(cleanup));
        CHECK(got_10 == 7);
        CHECK(cleaned == 7);
        auto twice = [owned = std::make_unique<int>(2)](int item) -> aio::task<int> { co_return *owned* item; };
        std::vector<int> items{1, 2};
        auto stream = aio::map_ordered(aio::take(items), aio::take(twice), 1);
        int sum = 0;
        while (const auto item = co_await stream.next()) sum += *item;
        CHECK(sum == 6);
        CHECK(items.empty());
    });
}

TEST_CASE("take: calls of the loop and callbacks take a callable so", "[TASK-3]") {
    virtual_run([]() -> aio::task<> {
        aio::event_loop& loop = aio::get_running_loop();
        const auto called = [](auto give) -> aio::task<int> {
            int target = 0;
            auto call = sets(target);
            give(call);
            co_await aio::sleep(1ms);
            co_return target;
        };
        const int got_11 = co_await called([&](auto& call) { loop.call_soon(aio::take(call)); });
        CHECK(got_11 == 7);
        const int got_12 = co_await called([&](auto& call) { loop.call_soon_threadsafe(aio::take(call)); });
        CHECK(got_12 == 7);
        const int got_13 = co_await called([&](auto& call) { loop.call_later(1us, aio::take(call)); });
        CHECK(got_13 == 7);
        const int got_14 = co_await called([&](auto& call) { loop.call_at(loop.time() + 1us, aio::take(call)); });
        CHECK(got_14 == 7);
        const int got_24 = co_await called([&](auto& call) {
            const aio::future<> future;
            future.add_done_callback(aio::take(call));
            future.set_result();
        });
        CHECK(got_24 == 7);
        const int got_25 = co_await called([&](auto& call) {
            const auto task = aio::create_task([]() -> aio::task<> { co_return; });
            task.add_done_callback(aio::take(call));
        });
        CHECK(got_25 == 7);
        const int got_26 = co_await called([&](auto& call) {
            loop.add_signal_handler(SIGUSR1, aio::take(call));
            std::raise(SIGUSR1);
        });
        CHECK(got_26 == 7);
        loop.remove_signal_handler(SIGUSR1);
        int ends[2];
        REQUIRE(::pipe(ends) == 0);
        int written = 0;
        auto writes = [owned = std::make_unique<int>(7), &written, &loop, end = ends[1]] {
            written = *owned;
            loop.remove_writer(end);
        };
        loop.add_writer(ends[1], aio::take(writes));
        co_await aio::sleep(1ms);
        CHECK(written == 7);
        ::close(ends[0]);
        ::close(ends[1]);
        bool told = false;
        auto handler = [owned = std::make_unique<bool*>(&told)](aio::event_loop&, const aio::exception_context&) {
            **owned = true;
        };
        loop.set_exception_handler(aio::take(handler));
        loop.call_soon([] { throw boom("a call"); });
        co_await aio::sleep(1ms);
        CHECK(told);
    });
}

TEST_CASE("take: a null callable is refused also in there", "[TASK-3]") {
    virtual_run([]() -> aio::task<> {
        std::function<void()> null;
        CHECK_THROWS_AS(aio::get_running_loop().call_soon(aio::take(null)), std::invalid_argument);
        co_return;
    });
}

TEST_CASE("take: what goes to other threads takes a callable and its arguments so", "[TASK-3][time]") {
    virtual_run([]() -> aio::task<> {
        aio::loop_group loops(1);
        aio::thread_pool pool(1);
        const auto seven = [] { return [owned = std::make_unique<int>(7)] { return *owned; }; };
        auto one = seven();
        const int got_16 = co_await aio::to_thread(aio::take(one));
        CHECK(got_16 == 7);
        auto two = seven();
        const int got_17 = co_await aio::to_thread(aio::abandon_on_cancel, aio::take(two));
        CHECK(got_17 == 7);
        auto three = seven();
        const int got_18 = co_await aio::run_in_executor(pool, aio::take(three));
        CHECK(got_18 == 7);
        auto four = seven();
        const int got_19 = co_await aio::run_in_executor(aio::take(four));
        CHECK(got_19 == 7);
        auto sum = [owned = std::make_unique<int>(7)](std::unique_ptr<int> more) { return *owned + *more; };
        auto argument = std::make_unique<int>(3);
        const int got_20 = co_await aio::run_in_executor(pool, aio::take(sum), aio::take(argument));
        CHECK(got_20 == 10);
        auto five = gives_seven();
        const int got_21 = co_await aio::wrap_future(loops.submit(aio::take(five)));
        CHECK(got_21 == 7);
        auto six = adds();
        auto more = std::make_unique<int>(3);
        const int got_22 = co_await aio::wrap_future(loops.submit(0, aio::take(six), aio::take(more)));
        CHECK(got_22 == 10);
        auto eight = gives_seven();
        const auto future = aio::run_coroutine_threadsafe(aio::take(eight), aio::get_running_loop().ref());
        int told = 0;
        auto callback = sets(told);
        future.add_done_callback(aio::take(callback));
        const int got_23 = co_await aio::wrap_future(future);
        CHECK(got_23 == 7);
        CHECK(told == 7);
    });
}
