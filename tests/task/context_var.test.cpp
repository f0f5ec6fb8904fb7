// SPDX-License-Identifier: BSL-1.0

#include <asynchio/task/context_var.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"
#include "support/threads.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/race.hpp>
#include <asynchio/combine/task_group.hpp>
#include <asynchio/task/async_generator.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>
#include <asynchio/testing/run_until_idle.hpp>
#include <asynchio/thread/run_coroutine_threadsafe.hpp>
#include <asynchio/thread/run_in_executor.hpp>
#include <asynchio/thread/to_thread.hpp>

#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <unistd.h>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

const aio::context_var<std::string> var("var", "default");
const aio::context_var<int> number("number");

aio::task<std::string> sees() { co_return var.get(); }

aio::task<std::string> sets(std::string value) {
    var.set(value);
    co_await aio::sleep(1ms);
    co_return var.get();
}

} // namespace

// Values

TEST_CASE("context_var: gives its default until it is set") {
    static_assert(!std::is_copy_constructible_v<aio::context_var<int>>);
    static_assert(std::is_same_v<decltype(aio::context_var("deduced", 1)), aio::context_var<int>>);
    virtual_run([]() -> aio::task<> {
        CHECK(var.name() == "var");
        CHECK(var.get() == "default");
        CHECK(var.get("other") == "other");
        var.set("set");
        CHECK(var.get() == "set");
        CHECK(var.get("other") == "set");
        co_return;
    });
    CHECK(var.get() == "default"); // the thread's
}

TEST_CASE("context_var: without value and default it says which one") {
    const std::string said = message_of([] { static_cast<void>(number.get()); });
    CHECK(said == "context_var 'number' has no value here and no default");
    CHECK_THROWS_AS(number.get(), std::out_of_range);
    CHECK(number.get(7) == 7);
}

TEST_CASE("context_var: reset restores what was there before, also nothing") {
    virtual_run([]() -> aio::task<> {
        auto first = number.set(1);
        CHECK(first.old_value() == nullptr);
        auto second = number.set(2);
        REQUIRE(second.old_value() != nullptr);
        CHECK(*second.old_value() == 1);
        CHECK(second);
        number.reset(second);
        CHECK(!second);
        CHECK(second.old_value() == nullptr);
        CHECK(number.get() == 1);
        number.reset(std::move(first));
        CHECK_THROWS_AS(number.get(), std::out_of_range);
        co_return;
    });
}

TEST_CASE("context_var: a token is used once, for its variable, in its context") {
    virtual_run([]() -> aio::task<> {
        const aio::context_var<int> other("other");
        auto token = number.set(1);
        CHECK_THROWS_AS(other.reset(token), std::invalid_argument);
        CHECK(message_of([&] { other.reset(token); }) ==
              "context_var 'other': reset: the token belongs to another variable");
        auto elsewhere = [&]() -> aio::task<> {
            CHECK_THROWS_AS(number.reset(token), std::invalid_argument);
            CHECK(message_of([&] { number.reset(token); }) ==
                  "context_var 'number': reset: the token was made in another context");
            co_return;
        };
        co_await aio::create_task(elsewhere);
        number.reset(token);
        CHECK_THROWS_AS(number.reset(token), std::logic_error);
        CHECK(message_of([&] { number.reset(token); }) == "context_var 'number': reset: the token was used already");
    });
}

TEST_CASE("context_var: destroys values when nobody can see them any more") {
    counted::reset();
    const aio::context_var<counted> held("held");
    virtual_run([&]() -> aio::task<> {
        {
            held.set(counted(1));
            const auto token = held.set(counted(2));
            CHECK(counted::alive == 2); // the token has the first
        }
        CHECK(counted::alive == 1);
        auto waits = []() -> aio::task<> { co_await aio::sleep(1ms); };
        const auto child = aio::create_task(waits());
        held.set(counted(3));
        CHECK(counted::alive == 2); // the child has the second
        co_await child;
        CHECK(counted::alive == 2); // the handle keeps the child's context
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("context_var: of what can only be copied, of what has no default constructor, of pointers to the rest") {
    struct plain {
        explicit plain(int v) : value(v) {}
        int value;
    };
    virtual_run([]() -> aio::task<> {
        const aio::context_var<plain> whole("whole", plain(1));
        whole.set(plain(2));
        CHECK(whole.get().value == 2);
        const aio::context_var<std::shared_ptr<std::unique_ptr<int>>> shared("shared");
        shared.set(std::make_shared<std::unique_ptr<int>>(std::make_unique<int>(3)));
        CHECK(**shared.get() == 3);
        co_return;
    });
}

TEST_CASE("context_var: a value that cannot be copied in leaves all as it was") {
    virtual_run([]() -> aio::task<> {
        const aio::context_var<fragile> breaking("breaking");
        breaking.set(fragile(1));
        const fragile value(2);
        fragile::fuse = 1;
        CHECK_THROWS_AS(breaking.set(value), boom);
        CHECK(fragile::fuse == 0);
        CHECK(breaking.get().value == 1);
        co_return;
    });
    CHECK(fragile::alive == 0);
}

TEST_CASE("context_var: a hundred of them, set, changed and reset in any order") {
    virtual_run([]() -> aio::task<> {
        std::vector<std::unique_ptr<aio::context_var<int>>> all;
        for (int i = 0; i < 100; ++i)
            all.push_back(std::make_unique<aio::context_var<int>>("v" + std::to_string(i), -1));
        std::vector<int> model(100, -1);
        std::uint64_t seed = 12345;
        for (int step = 0; step < 5'000; ++step) {
            seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
            const std::size_t which = (seed >> 33) % 100;
            if ((seed >> 60) < 12) {
                model[which] = step;
                all[which]->set(step);
            } else {
                auto token = all[which]->set(step);
                all[which]->reset(token);
            }
            if (step % 50 == 0)
                for (std::size_t i = 0; i < 100; ++i) CHECK_NOFAIL(all[i]->get() == model[i]);
        }
        bool right = true;
        for (std::size_t i = 0; i < 100; ++i) right = right && all[i]->get() == model[i];
        CHECK(right);
        co_return;
    });
}

// Tasks

TEST_CASE("context_var: a task starts with what its creator had when it was created", "[CTX-1]") {
    virtual_run([]() -> aio::task<> {
        var.set("before");
        const auto child = aio::create_task(sees());
        var.set("after");
        const std::string seen = co_await child;
        CHECK(seen == "before");
        const std::string later = co_await aio::create_task(sees());
        CHECK(later == "after");
    });
}

TEST_CASE("context_var: what a task sets is its own", "[CTX-2][CTX-9]") {
    virtual_run([]() -> aio::task<> {
        var.set("main");
        const auto a = aio::create_task(sets("a"));
        const auto b = aio::create_task(sets("b"));
        const auto c = aio::create_task(sees());
        const std::string of_a = co_await a;
        const std::string of_b = co_await b;
        const std::string of_c = co_await c;
        CHECK(of_a == "a");
        CHECK(of_b == "b");
        CHECK(of_c == "main");
        CHECK(var.get() == "main");
    });
}

TEST_CASE("context_var: a coroutine that is awaited inline shares its caller's", "[CTX-3]") {
    virtual_run([]() -> aio::task<> {
        co_await sets("inline");
        CHECK(var.get() == "inline");
    });
}

TEST_CASE("context_var: values survive while tasks take turns", "[CTX-9]") {
    virtual_run([]() -> aio::task<> {
        auto keeps = [](int mine) -> aio::task<bool> {
            number.set(mine);
            bool right = true;
            for (int i = 0; i < 100; ++i) {
                co_await aio::yield();
                right = right && number.get() == mine;
            }
            co_return right;
        };
        std::vector<aio::task<bool>> all;
        for (int i = 0; i < 20; ++i) all.push_back(keeps(i));
        const auto results = co_await aio::gather(std::move(all));
        for (const bool right : results) CHECK(right);
    });
}

TEST_CASE("context_var: the children of gather, race and task_group, and eager tasks, inherit", "[CTX-1][CTX-2]") {
    virtual_run([]() -> aio::task<> {
        var.set("main");
        const auto gathered = co_await aio::gather(sets("one"), sees());
        CHECK(std::get<0>(gathered) == "one");
        CHECK(std::get<1>(gathered) == "main");
        const auto raced = co_await aio::race(sees(), sets("loser"));
        CHECK(std::get<0>(raced) == "main");
        auto body = [](aio::task_group& group) -> aio::task<std::string> {
            const auto child = group.create_task(sees());
            co_return co_await child;
        };
        const std::string grouped = co_await aio::with(aio::task_group(), body);
        CHECK(grouped == "main");
        const std::string eager = co_await aio::create_task(aio::eager, sets("eager"));
        CHECK(eager == "eager");
        CHECK(var.get() == "main");
    });
}

TEST_CASE("context_var: an awaitable that a combinator arms shares the awaiting task's", "[CTX-3]") {
    virtual_run([]() -> aio::task<> {
        const auto stream = [](std::string value) -> aio::async_generator<std::string> {
            var.set(value);
            co_yield var.get();
        };
        auto one = stream("from the body");
        co_await aio::gather(one.next(), aio::sleep(1ms));
        CHECK(var.get() == "from the body");
    });
}

TEST_CASE("context_var: the body of an async_generator shares its consumer's", "[CTX-3]") {
    virtual_run([]() -> aio::task<> {
        const auto body = []() -> aio::async_generator<std::string> {
            for (;;) co_yield var.get();
        };
        auto stream = body();
        var.set("first");
        const auto first = co_await stream.next();
        CHECK(*first == "first");
        var.set("second");
        const auto second = co_await stream.next();
        CHECK(*second == "second");
    });
}

TEST_CASE("context_var: a task with a context given runs in that itself", "[CTX-5]") {
    virtual_run([]() -> aio::task<> {
        aio::context shared;
        var.set("main");
        const std::string first = co_await aio::create_task(aio::task_options{.context = shared}, sees());
        CHECK(first == "default");
        const std::string second =
            co_await aio::create_task(aio::task_options{.name = "second", .context = shared}, sets("in it"));
        CHECK(second == "in it");
        const std::string third = co_await aio::create_task(aio::task_options{.context = shared}, sees());
        CHECK(third == "in it");
        CHECK(shared.run([] { return var.get(); }) == "in it");
        CHECK(var.get() == "main");
        auto body = [&](aio::task_group& group) -> aio::task<std::string> {
            const auto child = group.create_task(aio::task_options{.context = shared}, sees());
            co_return co_await child;
        };
        const std::string grouped = co_await aio::with(aio::task_group(), body);
        CHECK(grouped == "in it");
        const std::string eager = co_await aio::create_task(aio::task_options{.context = shared}, aio::eager, sees());
        CHECK(eager == "in it");
    });
}

TEST_CASE("context_var: a task with a name, a message and a context has all three", "[CTX-5]") {
    virtual_run([]() -> aio::task<> {
        var.set("main");
        auto waits = []() -> aio::task<std::string> {
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error& e) {
                co_return std::string(e.message()) + ' ' + aio::current_task().name() + ' ' + var.get();
            }
            co_return "";
        };
        const auto named = aio::create_task(waits(), "named");
        const auto renamed = aio::create_task(waits());
        co_await aio::yield();
        named.cancel("why");
        renamed.cancel("because");
        renamed.set_name("renamed");
        const std::string a = co_await named;
        const std::string b = co_await renamed;
        CHECK(a == "why named main");
        CHECK(b == "because renamed main");
    });
}

TEST_CASE("context_var: a task that is cancelled before its start never enters its context", "[CTX-6]") {
    virtual_run([]() -> aio::task<> {
        aio::context shared;
        const auto child = aio::create_task(aio::task_options{.context = shared}, sets("never"));
        child.cancel();
        co_await aio::nothrow(child);
        CHECK(child.cancelled());
        CHECK(shared.size() == 0);
    });
}

TEST_CASE("context_var: 100,000 tasks that inherit") {
    virtual_run([]() -> aio::task<> {
        var.set("main");
        int right = 0;
        for (int i = 0; i < rounds(100'000); ++i) {
            const std::string seen = co_await aio::create_task(sees());
            right += seen == "main" ? 1 : 0;
        }
        CHECK(right == rounds(100'000));
    });
}

TEST_CASE("context_var: set and inherited, whenever the task is cancelled") {
    counted::reset();
    const aio::context_var<counted> held("held");
    const auto report = aio::testing::for_each_cancellation([&]() -> aio::task<> {
        held.set(counted(1));
        auto inner = [&]() -> aio::task<> {
            held.set(counted(held.get().value + 1));
            co_await aio::sleep(1ms);
            CHECK(held.get().value == 2);
        };
        co_await aio::gather(inner, inner);
        CHECK(held.get().value == 1);
    });
    CHECK(report.points > 3);
    CHECK(counted::alive == 0);
}

// Calls of the loop

TEST_CASE("context_var: calls, timers and done-callbacks see what the registering code saw", "[CTX-4]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto note = [&log](const char* who) {
            log.push_back(std::string(who) + " sees " + var.get());
            var.set(who); // its own
        };
        auto& loop = aio::get_running_loop();
        var.set("registered");
        loop.call_soon(note, "call");
        loop.call_later(1ms, note, "timer");
        loop.call_soon_threadsafe(note, "post");
        const aio::future<> done;
        done.add_done_callback([note] { note("future"); });
        const auto task = aio::create_task(ends_after(2ms));
        task.add_done_callback([note] { note("task"); });
        var.set("later");
        done.set_result();
        co_await task;
        co_await aio::testing::run_until_idle();
        log.push_back("main sees " + var.get());
    });
    CHECK(log == trace{"call sees registered", "future sees registered", "post sees registered",
                       "timer sees registered", "task sees registered", "main sees later"});
}

TEST_CASE("context_var: a call that makes tasks and calls hands its values on", "[CTX-1][CTX-4]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto& loop = aio::get_running_loop();
        loop.call_soon([&] {
            var.set("call");
            loop.call_soon([&] { log.push_back("inner call sees " + var.get()); });
            auto body = [&]() -> aio::task<> {
                log.push_back("task sees " + var.get());
                co_return;
            };
            aio::create_task(body);
            auto eager_body = [&]() -> aio::task<> {
                log.push_back("eager task sees " + var.get());
                var.set("eager");
                co_return;
            };
            aio::create_task(aio::eager, eager_body);
            log.push_back("call sees " + var.get());
        });
        co_await aio::testing::run_until_idle();
    });
    CHECK(log == trace{"eager task sees call", "call sees call", "inner call sees call", "task sees call"});
}

TEST_CASE("context_var: handlers of descriptors and signals keep a context of their own", "[CTX-4][io]") {
    const audited afterwards;
    trace log;
    aio::run([&]() -> aio::task<> {
        int ends[2];
        REQUIRE(::pipe(ends) == 0);
        REQUIRE(::write(ends[1], "x", 1) == 1);
        auto& loop = aio::get_running_loop();
        var.set("registered");
        int calls = 0;
        const aio::future<> twice;
        loop.add_reader(ends[0], [&] {
            log.push_back("reader sees " + var.get());
            var.set("reader");
            if (++calls == 2) {
                loop.remove_reader(ends[0]);
                twice.set_result();
            }
        });
        const aio::future<> signalled;
        loop.add_signal_handler(SIGUSR1, [&] {
            log.push_back("signal sees " + var.get());
            signalled.set_result();
        });
        var.set("later");
        co_await twice;
        std::raise(SIGUSR1);
        co_await signalled;
        loop.remove_signal_handler(SIGUSR1);
        ::close(ends[0]);
        ::close(ends[1]);
    });
    CHECK(log == trace{"reader sees registered", "reader sees reader", "signal sees registered"});
}

// run, runner, threads

TEST_CASE("context_var: run copies the caller's values, and keeps to itself what it sets", "[CTX-8]") {
    auto token = var.set("thread");
    CHECK(aio::run(sees()) == "thread");
    CHECK(aio::run(sets("in run")) == "in run");
    CHECK(var.get() == "thread");
    aio::context apart;
    CHECK(apart.run([] { return aio::run(sees()); }) == "default");
    CHECK(apart.run([] {
        var.set("apart");
        return aio::run([]() -> aio::task<std::string> { co_return co_await aio::create_task(sees()); });
    }) == "apart");
    CHECK(apart.run([] {
        aio::run(sets("inside"));
        return var.get();
    }) == "apart");
    CHECK(var.get() == "thread");
    var.reset(token);
    CHECK(var.get() == "default");
}

TEST_CASE("context_var: all runs of a runner share one context", "[CTX-8]") {
    auto token = var.set("when it began");
    aio::runner runner;
    CHECK(runner.run(sees()) == "when it began");
    var.set("later");
    CHECK(runner.run(sees()) == "when it began");
    runner.run(sets("from a run"));
    CHECK(runner.run(sees()) == "from a run");
    CHECK(var.get() == "later");
    var.reset(token);
}

TEST_CASE("context_var: to_thread runs in a copy, run_in_executor does not", "[CTX-7]") {
    const audited afterwards;
    aio::run([]() -> aio::task<> {
        const auto look = [] {
            const std::string seen = var.get();
            var.set("worker");
            return seen;
        };
        var.set("main");
        const std::string thread = co_await aio::to_thread(look);
        CHECK(thread == "main");
        const std::string again = co_await aio::to_thread(look);
        CHECK(again == "main");
        const std::string abandoned = co_await aio::to_thread(aio::abandon_on_cancel, look);
        CHECK(abandoned == "main");
        CHECK(var.get() == "main");
        const auto peek = [] { return var.get(); };
        const std::string executor = co_await aio::run_in_executor(peek);
        CHECK(executor == "default");
    });
}

TEST_CASE("context_var: run_coroutine_threadsafe carries the values of the thread that calls it", "[CTX-1]") {
    const audited afterwards;
    aio::run([]() -> aio::task<> {
        var.set("loop");
        const auto ref = aio::get_running_loop().ref();
        const auto submit = [ref] {
            var.set("worker");
            return aio::run_coroutine_threadsafe(sees(), ref).get();
        };
        const std::string seen = co_await aio::to_thread(submit);
        CHECK(seen == "worker");
        const auto unchanged = [ref] { return aio::run_coroutine_threadsafe(sees(), ref).get(); };
        const std::string inherited = co_await aio::to_thread(unchanged);
        CHECK(inherited == "loop");
        std::string of_thread;
        std::thread thread([&] {
            var.set("thread");
            of_thread = aio::run_coroutine_threadsafe(sees(), ref).get();
        });
        const auto join = [&] { thread.join(); };
        co_await aio::to_thread(join);
        CHECK(of_thread == "thread");
    });
}

TEST_CASE("context_var: values are shared with threads and given up anywhere", "[stress]") {
    const audited afterwards;
    const aio::context_var<std::shared_ptr<int>> shared("shared");
    auto value = std::make_shared<int>(0);
    aio::run([&]() -> aio::task<> {
        shared.set(value);
        const auto job = [&] {
            auto token = shared.set(std::make_shared<int>(1));
            const int got = *shared.get();
            shared.reset(token);
            return got + *shared.get();
        };
        auto one = [&](int turns) -> aio::task<int> {
            int sum = 0;
            for (int i = 0; i < turns; ++i) {
                shared.set(shared.get());
                sum += co_await aio::to_thread(job);
            }
            co_return sum;
        };
        std::vector<aio::task<int>> all;
        for (int i = 0; i < 8; ++i) all.push_back(one(rounds(2'000)));
        const auto sums = co_await aio::gather(std::move(all));
        for (const int sum : sums) CHECK(sum == rounds(2'000));
    });
    CHECK(value.use_count() == 1);
}
