// SPDX-License-Identifier: BSL-1.0

#include <asynchio/combine/task_status.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"
#include "support/reports.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/task_group.hpp>
#include <asynchio/combine/timeout.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// Takes `time` to start, and serves for an hour.
aio::task<> serves(aio::task_status<int>& status, aio::duration time, trace& log) {
    try {
        co_await aio::sleep(time);
        log.push_back("ready");
        status.started(80);
        co_await aio::sleep(1h);
    } catch (const aio::cancelled_error&) {
        log.push_back("cancelled");
        throw;
    }
}

aio::task<> fails_to_start(aio::task_status<int>&, aio::duration time) {
    co_await aio::sleep(time);
    throw boom("no port");
}

aio::task<> never_starts(aio::task_status<int>&) { co_await aio::sleep(1ms); }

aio::task<> fails_later(aio::task_status<>& status) {
    status.started();
    co_await aio::sleep(1ms);
    throw boom("later");
}

/// What the errors of a group say.
template<class Body>
aio::task<trace> errors_of(Body& body) {
    trace all;
    try {
        co_await aio::with(aio::task_group(), body);
    } catch (const aio::exception_group& group) {
        for (const auto& each : group.exceptions()) all.push_back(text_of(each));
    }
    co_return all;
}

} // namespace

TEST_CASE("task_group::start: waits until the task has started, and gives what it started with") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto body = [&](aio::task_group& g) -> aio::task<> {
            const auto begin = aio::clock::now();
            const int port = co_await g.start(serves, 5ms, std::ref(log));
            CHECK(port == 80);
            CHECK(aio::clock::now() - begin == 5ms);
            log.push_back("goes on");
            co_await aio::sleep(1ms);
            g.cancel();
        };
        co_await aio::with(aio::task_group(), body);
    });
    CHECK(log == trace{"ready", "goes on", "cancelled"});
}

TEST_CASE("task_group::start: the group waits for what it started") {
    virtual_run([]() -> aio::task<> {
        const auto begin = aio::clock::now();
        bool ended = false;
        auto child = [&ended](aio::task_status<>& status) -> aio::task<> {
            status.started();
            co_await aio::sleep(7ms);
            ended = true;
        };
        auto body = [&](aio::task_group& g) -> aio::task<> {
            co_await g.start(child);
            CHECK_FALSE(ended);
        };
        co_await aio::with(aio::task_group(), body);
        CHECK(ended);
        CHECK(aio::clock::now() - begin == 7ms);
    });
}

TEST_CASE("task_group::start: a failure before the start leaves from it, and is none of the group") {
    virtual_run([]() -> aio::task<> {
        auto body = [](aio::task_group& g) -> aio::task<> {
            g.create_task(ends_after(5ms));
            const auto failed = co_await aio::nothrow(g.start(fails_to_start, 1ms));
            CHECK(text_of(failed.error()) == "no port");
            const auto at_once = [](aio::task_status<>&) -> aio::task<> { throw boom("at once"); };
            const auto early = co_await aio::nothrow(g.start(at_once));
            CHECK(text_of(early.error()) == "at once");
            const auto begin = aio::clock::now();
            const int value = co_await g.start([](aio::task_status<int>& s) -> aio::task<> {
                s.started(1);
                co_return;
            });
            CHECK(value == 1); // the group is not shutting down
            co_await aio::sleep(1ms);
            CHECK(aio::clock::now() - begin == 1ms);
        };
        const trace errors = co_await errors_of(body);
        CHECK(errors.empty());
    });
}

TEST_CASE("task_group::start: a failure that nobody catches in the body is one of the body") {
    virtual_run([]() -> aio::task<> {
        auto body = [](aio::task_group& g) -> aio::task<> { co_await g.start(fails_to_start, 1ms); };
        const trace errors = co_await errors_of(body);
        CHECK(errors == trace{"no port"}); // once
    });
}

TEST_CASE("task_group::start: a failure after the start is one of the group") {
    virtual_run([]() -> aio::task<> {
        trace log;
        auto body = [&log](aio::task_group& g) -> aio::task<> {
            co_await g.start(fails_later);
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {
                log.push_back("the body is cancelled");
                throw;
            }
        };
        const trace errors = co_await errors_of(body);
        CHECK(errors == trace{"later"});
        CHECK(log.size() == 1);
        auto at_once = [](aio::task_group& g) -> aio::task<> {
            co_await g.start([](aio::task_status<>& s) -> aio::task<> {
                s.started();
                throw boom("in the same step");
                co_return;
            });
            co_await aio::sleep(1h);
        };
        const trace same_step = co_await errors_of(at_once);
        CHECK(same_step == trace{"in the same step"});
    });
}

TEST_CASE("task_group::start: to end without having started is an error") {
    virtual_run([]() -> aio::task<> {
        auto body = [](aio::task_group& g) -> aio::task<> {
            const auto ended = co_await aio::nothrow(g.start(never_starts));
            CHECK(message_of([&] { ended.rethrow(); }) ==
                  "task_group: start: the task has ended without having called started");
            CHECK_THROWS_AS(ended.rethrow(), std::logic_error);
        };
        const trace errors = co_await errors_of(body);
        CHECK(errors.empty());
    });
}

TEST_CASE("task_group::start: started twice is an error of the task") {
    virtual_run([]() -> aio::task<> {
        auto body = [](aio::task_group& g) -> aio::task<> {
            const int value = co_await g.start([](aio::task_status<int>& s) -> aio::task<> {
                s.started(1);
                CHECK(message_of([&s] { s.started(2); }) == "task_status: started was called before");
                co_await aio::yield();
                CHECK_THROWS_AS(s.started(3), std::logic_error);
            });
            CHECK(value == 1);
        };
        const trace errors = co_await errors_of(body);
        CHECK(errors.empty());
    });
}

TEST_CASE("task_group::start: to cancel its caller cancels the task and waits for it") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto body = [&](aio::task_group& g) -> aio::task<> {
            const auto child = [&log](aio::task_status<>&) -> aio::task<> { co_await cleans_up(5ms, "child", log); };
            const auto caller = aio::create_task([&]() -> aio::task<> { co_await g.start(child); });
            co_await aio::testing::run_until_idle();
            const auto begin = aio::clock::now();
            CHECK(caller.cancel("why"));
            co_await aio::nothrow(caller);
            CHECK(caller.cancelled());
            CHECK(aio::clock::now() - begin == 5ms);
            log.push_back("over");
        };
        co_await aio::with(aio::task_group(), body);
    });
    CHECK(log == trace{"child begins", "child cancelled", "child cleaned up", "over"});
}

TEST_CASE("task_group::start: cancelled, a task may fail, or start all the same") {
    virtual_run([]() -> aio::task<> {
        auto body = [](aio::task_group& g) -> aio::task<> {
            const auto failing = [](aio::task_status<int>&) -> aio::task<> {
                try {
                    co_await aio::sleep(1h);
                } catch (const aio::cancelled_error&) {}
                throw boom("cleanup");
            };
            const auto starting = [](aio::task_status<int>& s) -> aio::task<> {
                co_await swallows(1);
                s.started(2);
                co_await aio::sleep(1ms);
            };
            const auto first = aio::create_task([&]() -> aio::task<int> { co_return co_await g.start(failing); });
            const auto second = aio::create_task([&]() -> aio::task<int> { co_return co_await g.start(starting); });
            co_await aio::testing::run_until_idle();
            first.cancel();
            second.cancel();
            const auto failed = co_await aio::nothrow(first);
            CHECK(text_of(failed.error()) == "cleanup");
            const auto started = co_await aio::nothrow(second);
            CHECK(started.value() == 2);
        };
        const trace errors = co_await errors_of(body);
        CHECK(errors.empty());
    });
}

TEST_CASE("task_group::start: a request that comes after the start does not reach the task") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto body = [&](aio::task_group& g) -> aio::task<> {
            std::optional<aio::task_handle<int>> caller;
            const auto child = [&](aio::task_status<int>& s) -> aio::task<> {
                co_await aio::yield();
                s.started(1);
                caller->cancel(); // it is woken, and has not run
                co_await aio::sleep(2ms);
                log.push_back("child ends");
            };
            caller = aio::create_task([&]() -> aio::task<int> { co_return co_await g.start(child); });
            co_await aio::nothrow(*caller);
            CHECK(caller->cancelled());
            log.push_back("caller left");
        };
        co_await aio::with(aio::task_group(), body);
    });
    CHECK(log == trace{"caller left", "child ends"});
}

TEST_CASE("task_group::start: a request that comes with the task's own cancellation is delivered with it") {
    virtual_run([]() -> aio::task<> {
        auto body = [](aio::task_group& g) -> aio::task<> {
            std::optional<aio::task_handle<>> caller;
            aio::any_task_handle started;
            const auto child = [&started](aio::task_status<>&) -> aio::task<> {
                started = aio::current_task();
                co_await aio::sleep(1h);
            };
            caller = aio::create_task([&]() -> aio::task<> { co_await g.start(child); });
            co_await aio::testing::run_until_idle();
            started.add_done_callback([&] {
                CHECK_FALSE(caller->done()); // it is woken, and has not run
                caller->cancel("second");
            });
            started.cancel("first");
            const auto ended = co_await aio::nothrow(*caller);
            CHECK(message_of([&] { ended.rethrow(); }) == "cancelled: first");
        };
        co_await aio::with(aio::task_group(), body);
    });
}

TEST_CASE("task_group::start: in a timeout") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto body = [&](aio::task_group& g) -> aio::task<> {
            const auto late = co_await aio::nothrow(aio::wait_for(g.start(serves, 1h, std::ref(log)), 5ms));
            CHECK_THROWS_AS(late.rethrow(), aio::timeout_error);
            const int in_time = co_await aio::wait_for(g.start(serves, 1ms, std::ref(log)), 5ms);
            CHECK(in_time == 80);
            g.cancel();
        };
        co_await aio::with(aio::task_group(), body);
    });
    CHECK(log == trace{"cancelled", "ready", "cancelled"});
}

TEST_CASE("task_group::start: the end of the group, and its failure, reach a task that has not started") {
    for (const bool fails : {false, true}) {
        trace log;
        virtual_run([&]() -> aio::task<> {
            auto body = [&](aio::task_group& g) -> aio::task<> {
                if (fails)
                    g.create_task(fails_after(1ms, "sibling"));
                else
                    aio::get_running_loop().call_later(1ms, [&g] { g.cancel(); });
                co_await g.start(serves, 1h, std::ref(log));
                log.push_back("not reached");
            };
            const trace errors = co_await errors_of(body);
            CHECK(errors == (fails ? trace{"sibling"} : trace()));
        });
        CHECK(log == trace{"cancelled"});
    }
}

TEST_CASE("task_group::start: the group waits for a start that another task has asked for") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        std::optional<aio::task_handle<int>> caller;
        auto body = [&](aio::task_group& g) -> aio::task<> {
            const auto child = [](aio::task_status<int>& s) -> aio::task<> {
                co_await aio::sleep(3ms);
                s.started(6);
            };
            caller = aio::create_task(
                [](aio::task_group& group, auto f) -> aio::task<int> { co_return co_await group.start(f); },
                std::ref(g), child);
            co_await aio::yield();
        };
        const auto begin = aio::clock::now();
        co_await aio::with(aio::task_group(), body);
        CHECK(aio::clock::now() - begin == 3ms);
        const int value = co_await *caller;
        CHECK(value == 6);
        const auto failing = [](aio::task_group& g) -> aio::task<> {
            const auto breaks = aio::create_task([&g]() -> aio::task<> { co_await g.start(fails_to_start, 2ms); });
            co_await aio::yield();
            breaks.add_done_callback([] {});
            co_await aio::nothrow(breaks);
            CHECK(text_of(breaks.exception()) == "no port");
        };
        const trace errors = co_await errors_of(failing);
        CHECK(errors.empty());
    });
}

TEST_CASE("task_group::start: a caller that goes away leaves an ordinary task") {
    virtual_run([]() -> aio::task<> {
        trace log;
        // Both wait for each other, so that the request to the one frees the other.
        auto body = [&log](aio::task_group& g) -> aio::task<> {
            std::optional<aio::task_handle<>> caller;
            aio::any_task_handle started;
            const auto child = [&](aio::task_status<>& s) -> aio::task<> {
                started = aio::current_task();
                try {
                    co_await *caller;
                } catch (const aio::cancelled_error&) {
                    log.push_back("caller ended");
                }
                s.started(); // nobody hears of it
                throw boom("of the group");
            };
            caller = aio::create_task([&]() -> aio::task<> { co_await g.start(child); });
            co_await aio::testing::run_until_idle();
            started.cancel();
            co_await aio::nothrow(*caller);
            CHECK(caller->cancelled());
            co_await aio::sleep(1h);
        };
        const trace errors = co_await errors_of(body);
        CHECK(errors == trace{"of the group"});
        CHECK(log == trace{"caller ended"});
    });
}

TEST_CASE("task_group::start: several at once, in a gather") {
    virtual_run([]() -> aio::task<> {
        auto body = [](aio::task_group& g) -> aio::task<> {
            const auto child = [](aio::task_status<std::string>& s, aio::duration time,
                                  std::string text) -> aio::task<> {
                co_await aio::sleep(time);
                s.started(text);
            };
            const auto [one, two] = co_await aio::gather(g.start(child, 2ms, "one"), g.start(child, 1ms, "two"));
            CHECK(one + two == "onetwo");
        };
        co_await aio::with(aio::task_group(), body);
    });
}

TEST_CASE("task_group::start: move-only values and arguments, references, and callables of every kind") {
    struct methodical {
        aio::task<> operator()(aio::task_status<int>& s, int value) {
            s.started(value + offset);
            co_return;
        }
        int offset;
    };
    int value = 3;
    virtual_run([&]() -> aio::task<> {
        auto body = [&](aio::task_group& g) -> aio::task<> {
            const auto unique = [](aio::task_status<std::unique_ptr<int>>& s, std::unique_ptr<int> p) -> aio::task<> {
                s.started(std::move(p));
                co_return;
            };
            const auto got = co_await g.start(unique, std::make_unique<int>(4));
            CHECK(*got == 4);
            const auto refers = [&value](aio::task_status<int&>& s) -> aio::task<> {
                s.started(value);
                co_return;
            };
            int& same = co_await g.start(refers);
            CHECK(&same == &value);
            const auto generic = [](auto& s) -> aio::task<int> {
                s.started("text");
                co_return 1;
            };
            const std::string text = co_await g.start<std::string>(generic);
            CHECK(text == "text");
            methodical object{5};
            const int sum = co_await g.start(object, 2);
            CHECK(sum == 7);
            std::function<aio::task<>(aio::task_status<>&)> erased = [](aio::task_status<>& s) -> aio::task<> {
                s.started();
                co_return;
            };
            co_await g.start(erased);
            const auto plain = [](aio::task_status<int>& s) {
                s.started(8);
                return aio::sleep(1ms);
            };
            const int eight = co_await g.start(plain);
            CHECK(eight == 8);
        };
        co_await aio::with(aio::task_group(), body);
    });
}

TEST_CASE("task_group::start: callable and arguments live as long as the task, and moves may throw") {
    counted::reset();
    fragile::alive = 0;
    virtual_run([]() -> aio::task<> {
        auto body = [](aio::task_group& g) -> aio::task<> {
            {
                auto child = [held = counted(1)](aio::task_status<int>& s, const counted& argument) -> aio::task<> {
                    s.started(argument.value);
                    co_await aio::sleep(1ms);
                    CHECK(held.value + argument.value == 3);
                };
                const int value = co_await g.start(aio::take(child), counted(2));
                CHECK(value == 2);
            }
            CHECK(counted::alive == 2);
            co_await aio::sleep(2ms);
            CHECK(counted::alive == 0);
            for (int fuse = 1; fuse < 8; ++fuse) {
                fragile held(1);
                auto child = [held](aio::task_status<fragile>& s, const fragile& argument) -> aio::task<> {
                    s.started(fragile(held.value + argument.value));
                    co_return;
                };
                fragile::fuse = fuse;
                bool thrown = false;
                try {
                    const fragile result = co_await g.start(child, held);
                    CHECK(result.value == 2);
                } catch (const boom&) {
                    thrown = true;
                }
                CHECK(thrown == (fragile::fuse == 0));
                fragile::fuse = 0;
                co_await aio::testing::run_until_idle();
                CHECK(fragile::alive == 2);
            }
        };
        const trace errors = co_await errors_of(body);
        CHECK(errors.empty());
    });
    CHECK(counted::alive == 0);
    CHECK(fragile::alive == 0);
}

TEST_CASE("task_group::start: outside of the block it is misuse, and nothing runs") {
    virtual_run([]() -> aio::task<> {
        trace log;
        aio::task_group g;
        const auto early = [&]() -> aio::task<int> { co_return co_await g.start(serves, 0ms, std::ref(log)); };
        const auto before = co_await aio::nothrow(early());
        CHECK(message_of([&] { before.rethrow(); }) == "task_group: start: the group has not been entered");
        auto body = [](aio::task_group&) -> aio::task<> { co_return; };
        co_await aio::with(g, body);
        const auto after = co_await aio::nothrow(early());
        CHECK(message_of([&] { after.rethrow(); }) == "task_group: start: the group is finished");
        aio::task_group cancelled;
        auto cancels = [&](aio::task_group& group) -> aio::task<> {
            group.cancel();
            const auto late = [&]() -> aio::task<int> { co_return co_await group.start(serves, 0ms, std::ref(log)); };
            const auto during = co_await aio::nothrow(late());
            CHECK(message_of([&] { during.rethrow(); }) == "task_group: start: the group is shutting down");
        };
        co_await aio::with(cancelled, cancels);
        std::function<aio::task<>(aio::task_status<>&)> null;
        CHECK_THROWS_AS(cancelled.start(null), std::invalid_argument);
        CHECK(log.empty());
    });
}

TEST_CASE("task_group::start: cancelled at every step, once and twice") {
    for (std::size_t second_after = 0; second_after < 6; ++second_after) {
        counted::reset();
        aio::testing::cancellation_plan plan;
        plan.second_after = second_after;
        int running = 0, outlived = 0, failed = 0;
        const auto met = aio::testing::for_each_cancellation(
            [&]() -> aio::task<> {
                auto child = [&](aio::task_status<counted>& s) -> aio::task<> {
                    ++running;
                    std::exception_ptr error;
                    try {
                        co_await aio::sleep(1ms);
                        s.started(counted(1));
                        co_await aio::sleep(2ms);
                    } catch (const aio::cancelled_error&) {
                        error = std::current_exception();
                    }
                    try {
                        co_await aio::yield();
                    } catch (const aio::cancelled_error&) {
                        error = std::current_exception();
                    }
                    --running;
                    if (error) std::rethrow_exception(error);
                };
                auto body = [&](aio::task_group& g) -> aio::task<> {
                    const counted one = co_await g.start(child);
                    const auto two = co_await aio::gather(g.start(child), g.start(child));
                    static_cast<void>(two);
                };
                try {
                    co_await aio::with(aio::task_group(), body);
                } catch (const aio::exception_group&) {
                    ++failed;
                } catch (const aio::cancelled_error&) {
                    if (running != 0) ++outlived;
                    throw;
                }
                if (running != 0) ++outlived;
            },
            plan);
        CHECK(met.points > 8);
        CHECK(met.cancelled == met.points);
        CHECK(running == 0);
        CHECK(outlived == 0);
        CHECK(failed == 0);
        CHECK(counted::alive == 0);
    }
}

TEST_CASE("task_group::start: a loop that closes meanwhile destroys everything") {
    counted::reset();
    {
        aio::event_loop loop;
        loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
        auto body = [](aio::task_group& g) -> aio::task<> {
            const auto child = [](aio::task_status<>& s, counted) -> aio::task<> {
                co_await aio::sleep(1h);
                s.started();
            };
            co_await aio::gather(g.start(child, counted(1)), g.start(child, counted(2)));
        };
        loop.create_task([&body]() -> aio::task<> { co_await aio::with(aio::task_group(), body); });
        loop.call_later(1ms, [&] { loop.stop(); });
        loop.run_forever();
        CHECK(counted::alive == 6);
    }
    CHECK(counted::alive == 0);
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("task_group::start: a loop that closes may destroy the group before the caller") {
    for (const bool group_first : {true, false}) {
        {
            aio::event_loop loop;
            loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
            aio::task_group* group = nullptr;
            auto body = [&group](aio::task_group& g) -> aio::task<> {
                group = &g;
                co_await aio::sleep(1h);
            };
            const auto opens = [&body]() -> aio::task<> { co_await aio::with(aio::task_group(), body); };
            const auto calls = [&group]() -> aio::task<> {
                co_await aio::sleep(1ms);
                const auto child = [](aio::task_status<>&) -> aio::task<> { co_await aio::sleep(1h); };
                co_await group->start(child);
            };
            if (group_first) loop.create_task(opens);
            loop.create_task(calls);
            if (!group_first) loop.create_task(opens);
            loop.call_later(2ms, [&] { loop.stop(); });
            loop.run_forever();
        }
        CHECK(aio::testing::audit().clean());
    }
}

TEST_CASE("task_group::start: 10,000 in one group", "[stress]") {
    virtual_run([]() -> aio::task<> {
        auto body = [](aio::task_group& g) -> aio::task<> {
            const auto child = [](aio::task_status<int>& s, int i) -> aio::task<> {
                co_await aio::yield();
                s.started(i);
            };
            for (int i = 0; i < 10'000; ++i) {
                const int got = co_await g.start(child, i);
                if (got != i) FAIL(got);
            }
        };
        co_await aio::with(aio::task_group(), body);
    });
}
