// SPDX-License-Identifier: BSL-1.0

#include <asynchio/combine/task_group.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/finally.hpp>
#include <asynchio/combine/timeout.hpp>
#include <asynchio/combine/wait.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// What the exceptions of `group` say, in order; a group in it in brackets.
trace texts(const aio::exception_group& group) {
    trace all;
    for (const std::exception_ptr& each : group.exceptions()) {
        try {
            std::rethrow_exception(each);
        } catch (const aio::exception_group& inner) {
            std::string text = "[";
            for (const std::string& line : texts(inner)) text += line;
            all.push_back(text + "]");
        } catch (...) {
            all.push_back(text_of(each));
        }
    }
    return all;
}

/// Awaits `body` in a group of its own; gives the errors it ends with, nothing for none.
template<class Body>
aio::task<trace> errors_of(Body& body) {
    std::optional<aio::exception_group> caught;
    try {
        co_await aio::with(aio::task_group(), body);
    } catch (const aio::exception_group& e) {
        caught = e;
    }
    co_return caught ? texts(*caught) : trace();
}

/// Cancelled, it fails with `text` after `time`.
aio::task<> fails_when_cancelled(aio::duration time, std::string text) {
    try {
        co_await aio::sleep(1h);
        co_return;
    } catch (const aio::cancelled_error&) {}
    co_await aio::sleep(time);
    throw boom(text);
}

} // namespace

TEST_CASE("task_group: waits at its end for all children, those of children and late ones too", "[TG-1][TG-31]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        aio::task_group* group = nullptr;
        co_await aio::with(aio::task_group(), [&](aio::task_group& g) -> aio::task<> {
            group = &g;
            g.create_task([&]() -> aio::task<> {
                co_await aio::sleep(5ms);
                group->create_task([&]() -> aio::task<> {
                    co_await aio::sleep(5ms);
                    log.push_back("grandchild");
                });
                log.push_back("child");
            });
            log.push_back("body");
            co_return;
        });
        log.push_back("end");
        CHECK(aio::all_tasks().size() == 1);
    });
    CHECK(log == trace{"body", "child", "grandchild", "end"});
}

TEST_CASE("task_group: without children ends at once and gives the body's result") {
    virtual_run([]() -> aio::task<> {
        const iterations loop;
        const auto number = co_await aio::with(aio::task_group(), []() { return gives(3); });
        CHECK(number == 3);
        CHECK(loop.passed() == 0);
        auto unique = co_await aio::with(aio::task_group(), [](aio::task_group& g) -> aio::task<std::unique_ptr<int>> {
            const auto h = g.create_task(gives(4));
            const int value = co_await h;
            co_return std::make_unique<int>(value);
        });
        CHECK(*unique == 4);
    });
}

TEST_CASE("task_group: create_task gives the task and passes on name and arguments", "[TG-2]") {
    virtual_run([]() -> aio::task<> {
        co_await aio::with(aio::task_group(), [](aio::task_group& g) -> aio::task<> {
            const auto named = g.create_task(gives(1), "worker");
            CHECK(named.name() == "worker");
            const auto called = g.create_task([](int a, int b) { return gives(a + b); }, 1, 2);
            const int sum = co_await called;
            CHECK(sum == 3);
            CHECK(named.result() == 1);
        });
    });
}

TEST_CASE("task_group: the first failure cancels children in order of creation, then the body, and waits for them",
          "[TG-3][TG-4][TG-5][TG-6][TG-7][TG-15]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto body = [&](aio::task_group& g) -> aio::task<> {
            g.create_task(cleans_up(10ms, "a", log));
            g.create_task(fails_after(5ms, "bad"));
            g.create_task(cleans_up(3ms, "b", log));
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {
                log.push_back("body cancelled");
                CHECK(aio::current_task().cancelling() == 1);
                throw;
            }
        };
        const auto begin = aio::clock::now();
        const trace errors = co_await errors_of(body);
        CHECK(errors == trace{"bad"});
        CHECK(aio::clock::now() - begin == 15ms);
        CHECK(aio::current_task().cancelling() == 0);
        co_await aio::sleep(1ms);
        log.push_back("went on");
    });
    CHECK(log == trace{"a begins", "b begins", "a cancelled", "b cancelled", "body cancelled", "b cleaned up",
                       "a cleaned up", "went on"});
}

TEST_CASE("task_group: the message of its exception lists what failed", "[TG-7]") {
    virtual_run([]() -> aio::task<> {
        std::string what;
        try {
            co_await aio::with(aio::task_group(), [](aio::task_group& g) -> aio::task<> {
                g.create_task(fails("one"));
                g.create_task(fails("two"));
                co_return;
            });
        } catch (const aio::exception_group& e) {
            what = e.what();
            CHECK(e.contains<boom>());
            CHECK(e.exceptions().size() == 2);
        }
        CHECK(what.find("unhandled errors in a TaskGroup (2 exceptions)") == 0);
        CHECK(what.find("one") < what.find("two"));
    });
}

TEST_CASE("task_group: errors come in order of completion; the cancelled contribute none", "[TG-7][TG-8][TG-27]") {
    virtual_run([]() -> aio::task<> {
        auto body = [](aio::task_group& g) -> aio::task<> {
            g.create_task(fails_when_cancelled(20ms, "late"));
            g.create_task(ends_after(1h));
            g.create_task(swallows(1));
            g.create_task(fails_when_cancelled(10ms, "soon"));
            g.create_task(fails_after(5ms, "first"));
            co_return;
        };
        const trace errors = co_await errors_of(body);
        CHECK(errors == trace{"first", "soon", "late"});
    });
}

TEST_CASE("task_group: the body's exception aborts the children and comes last", "[TG-9]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto alone = [&](aio::task_group& g) -> aio::task<> {
            g.create_task(cleans_up(1ms, "a", log));
            co_await aio::sleep(1ms);
            throw boom("body");
        };
        trace errors = co_await errors_of(alone);
        CHECK(errors == trace{"body"});
        auto with_child = [](aio::task_group& g) -> aio::task<> {
            g.create_task(fails_when_cancelled(5ms, "child"));
            co_await aio::sleep(1ms);
            throw boom("body");
        };
        errors = co_await errors_of(with_child);
        CHECK(errors == trace{"child", "body"});
        auto at_once = [](aio::task_group&) -> aio::task<> {
            throw boom("at once");
            co_return;
        };
        errors = co_await errors_of(at_once);
        CHECK(errors == trace{"at once"});
        CHECK(aio::current_task().cancelling() == 0);
    });
    CHECK(log == trace{"a begins", "a cancelled", "a cleaned up"});
}

TEST_CASE("task_group: a body that makes another exception of its cancellation puts that into the group", "[TG-10]") {
    trace errors;
    virtual_run([&]() -> aio::task<> {
        const auto parent = aio::create_task([&]() -> aio::task<> {
            auto body = [](aio::task_group& g) -> aio::task<> {
                g.create_task(ends_after(1h));
                try {
                    co_await aio::sleep(1h);
                } catch (const aio::cancelled_error&) {
                    throw boom("turned");
                }
            };
            errors = co_await errors_of(body);
        });
        co_await aio::testing::run_until_idle();
        parent.cancel();
        co_await aio::nothrow(parent);
        CHECK(parent.cancelling() == 1);
        CHECK(parent.cancelled()); // the request was delivered again, and the parent did not wait any more
    });
    CHECK(errors == trace{"turned"});
}

TEST_CASE("task_group: a child that is cancelled on its own is no error and aborts nothing", "[TG-11]") {
    virtual_run([]() -> aio::task<> {
        auto body = [](aio::task_group& g) -> aio::task<> {
            const auto one = g.create_task(ends_after(1h));
            const auto other = g.create_task(ends_after(10ms));
            g.create_task([]() -> aio::task<> {
                throw aio::cancelled_error("thrown");
                co_return;
            });
            co_await aio::sleep(1ms);
            one.cancel();
            co_await aio::sleep(1ms);
            CHECK(one.cancelled());
            CHECK(other.cancelling() == 0);
            co_await other;
        };
        const trace errors = co_await errors_of(body);
        CHECK(errors.empty());
    });
}

TEST_CASE("task_group: cancelling the parent, in the body or at the end, cancels the children and no group comes",
          "[TG-12]") {
    for (const bool in_body : {true, false}) {
        trace log;
        virtual_run([&]() -> aio::task<> {
            const auto parent = aio::create_task([&log, in_body]() -> aio::task<> {
                co_await aio::with(aio::task_group(), [&](aio::task_group& g) -> aio::task<> {
                    g.create_task(cleans_up(5ms, "a", log));
                    g.create_task(cleans_up(9ms, "b", log));
                    if (in_body) co_await aio::sleep(1h);
                });
            });
            co_await aio::sleep(1ms);
            const auto begin = aio::clock::now();
            parent.cancel("stop");
            std::string message;
            try {
                co_await parent;
            } catch (const aio::cancelled_error& e) {
                message = e.message();
            }
            CHECK(message == "stop");
            CHECK(parent.cancelled());
            CHECK(aio::clock::now() - begin == 9ms);
        });
        CHECK(log == trace{"a begins", "b begins", "a cancelled", "b cancelled", "a cleaned up", "b cleaned up"});
    }
}

TEST_CASE("task_group: errors of children win over a cancellation, which is delivered at the next suspension",
          "[TG-13][TG-14]") {
    for (const bool in_body : {true, false}) {
        trace log;
        virtual_run([&]() -> aio::task<> {
            const auto parent = aio::create_task([&log, in_body]() -> aio::task<> {
                auto body = [in_body](aio::task_group& g) -> aio::task<> {
                    g.create_task(fails_when_cancelled(1ms, "child"));
                    if (in_body) co_await aio::sleep(1h);
                };
                const trace errors = co_await errors_of(body);
                CHECK(errors == trace{"child"});
                CHECK(aio::current_task().cancelling() == 1);
                log.push_back("group");
                try {
                    co_await aio::sleep(1h);
                } catch (const aio::cancelled_error&) {
                    log.push_back("delivered");
                    throw;
                }
            });
            co_await aio::sleep(1ms);
            parent.cancel();
            co_await aio::nothrow(parent);
            CHECK(parent.cancelled());
        });
        CHECK(log == trace{"group", "delivered"});
    }
}

TEST_CASE("task_group: keeps the level of cancelling that the parent entered with", "[TG-15][TG-14]") {
    virtual_run([]() -> aio::task<> {
        const auto parent = aio::create_task([]() -> aio::task<> {
            aio::current_task().cancel();
            try {
                co_await aio::yield();
            } catch (const aio::cancelled_error&) {}
            CHECK(aio::current_task().cancelling() == 1);
            auto body = [](aio::task_group& g) -> aio::task<> {
                g.create_task(fails("bad"));
                co_await aio::sleep(1h);
            };
            trace errors;
            try {
                errors = co_await errors_of(body);
            } catch (const aio::cancelled_error&) {
                errors.push_back("cancelled");
            }
            CHECK(aio::current_task().cancelling() == 1);
        });
        co_await aio::nothrow(parent);
    });
}

TEST_CASE("task_group: repeated requests do not end the waiting early and are counted", "[TG-16]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto child = [](trace& to) -> aio::task<> {
            for (int i = 0; i < 5; ++i) {
                try {
                    co_await aio::sleep(10ms);
                } catch (const aio::cancelled_error&) {
                    to.push_back("request");
                }
            }
            to.push_back("child ends");
        };
        const auto parent = aio::create_task([&]() -> aio::task<> {
            co_await aio::with(aio::task_group(), [&](aio::task_group& g) -> aio::task<> {
                g.create_task(child(log));
                co_return;
            });
        });
        for (int i = 0; i < 3; ++i) {
            co_await aio::sleep(1ms);
            parent.cancel();
        }
        co_await aio::nothrow(parent);
        CHECK(parent.cancelled());
        CHECK(parent.cancelling() == 3);
    });
    CHECK(log == trace{"request", "child ends"});
}

TEST_CASE("task_group: a body that swallows the abort may go on; the group is thrown all the same", "[TG-17]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto body = [&](aio::task_group& g) -> aio::task<> {
            g.create_task(fails("bad"));
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {}
            co_await aio::sleep(5ms);
            log.push_back("went on");
        };
        const trace errors = co_await errors_of(body);
        CHECK(errors == trace{"bad"});
        CHECK(aio::current_task().cancelling() == 0);
    });
    CHECK(log == trace{"went on"});
}

TEST_CASE("task_group: nested in different tasks, an inner failure aborts the inner one and arrives as a group",
          "[TG-18]") {
    virtual_run([]() -> aio::task<> {
        int outer_children = 0;
        auto outer = [&](aio::task_group& g) -> aio::task<> {
            g.create_task([&]() -> aio::task<> {
                co_await aio::with(aio::task_group(), [](aio::task_group& inner) -> aio::task<> {
                    inner.create_task(fails_after(1ms, "inner"));
                    inner.create_task(ends_after(1h));
                    co_await aio::sleep(1h);
                });
            });
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {
                ++outer_children;
                throw;
            }
        };
        const trace errors = co_await errors_of(outer);
        CHECK(errors == trace{"[inner]"});
        CHECK(outer_children == 1);
    });
}

TEST_CASE("task_group: nested in one task, a failure in the outer one cancels the inner block", "[TG-19]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto outer = [&](aio::task_group& g) -> aio::task<> {
            g.create_task(fails_after(1ms, "outer"));
            try {
                co_await aio::with(aio::task_group(), [&](aio::task_group& inner) -> aio::task<> {
                    inner.create_task(cleans_up(5ms, "in", log));
                    co_await aio::sleep(1h);
                });
            } catch (const aio::cancelled_error&) {
                log.push_back("inner block cancelled");
                throw;
            }
        };
        const trace errors = co_await errors_of(outer);
        CHECK(errors == trace{"outer"});
        CHECK(aio::current_task().cancelling() == 0);
    });
    CHECK(log == trace{"in begins", "in cancelled", "in cleaned up", "inner block cancelled"});
}

TEST_CASE("task_group: nested in one task, a failure in the inner one is a group in a group", "[TG-20]") {
    virtual_run([]() -> aio::task<> {
        auto outer = [](aio::task_group& g) -> aio::task<> {
            g.create_task(ends_after(1h));
            co_await aio::with(aio::task_group(), [](aio::task_group& inner) -> aio::task<> {
                inner.create_task(fails_after(1ms, "inner"));
                co_await aio::sleep(1h);
            });
        };
        const trace errors = co_await errors_of(outer);
        CHECK(errors == trace{"[inner]"});
        CHECK(aio::current_task().cancelling() == 0);
    });
}

TEST_CASE("task_group: nested, both failing in one iteration, both come out and the count is restored", "[TG-21]") {
    virtual_run([]() -> aio::task<> {
        auto outer = [](aio::task_group& g) -> aio::task<> {
            g.create_task(fails("outer"));
            co_await aio::with(aio::task_group(), [](aio::task_group& inner) -> aio::task<> {
                inner.create_task(fails("inner"));
                co_await aio::sleep(1h);
            });
        };
        const trace errors = co_await errors_of(outer);
        CHECK(errors == trace{"outer", "[inner]"});
        CHECK(aio::current_task().cancelling() == 0);
        co_await aio::yield();
    });
}

TEST_CASE("task_group: create_task before the block, after it and while it aborts is misuse, and nothing runs",
          "[TG-24]") {
    counted::reset();
    bool ran = false;
    virtual_run([&]() -> aio::task<> {
        const auto never = [&](counted) -> aio::task<> {
            ran = true;
            co_return;
        };
        aio::task_group group;
        CHECK_THROWS_AS(group.create_task(never(counted(1))), std::logic_error);
        CHECK(counted::alive == 0);
        co_await aio::with(group, []() -> aio::task<> { co_return; });
        CHECK_THROWS_AS(group.create_task(never(counted(2))), std::logic_error);
        CHECK(counted::alive == 0);
        auto body = [&](aio::task_group& g) -> aio::task<> {
            g.create_task(fails("bad"));
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {}
            CHECK_THROWS_AS(g.create_task(never(counted(3))), std::logic_error);
            CHECK(counted::alive == 0);
        };
        const trace errors = co_await errors_of(body);
        CHECK(errors == trace{"bad"});
    });
    CHECK(!ran);
}

TEST_CASE("task_group: entering it twice is misuse", "[TG-25]") {
    virtual_run([]() -> aio::task<> {
        aio::task_group group;
        bool thrown = false;
        co_await aio::with(group, [&]() -> aio::task<> {
            try {
                co_await aio::with(group, []() -> aio::task<> { co_return; });
            } catch (const std::logic_error&) {
                thrown = true;
            }
        });
        CHECK(thrown);
        thrown = false;
        try {
            co_await aio::with(group, []() -> aio::task<> { co_return; });
        } catch (const std::logic_error&) {
            thrown = true;
        }
        CHECK(thrown);
        CHECK_THROWS_AS(aio::task_group(std::move(group)), std::logic_error);
    });
}

TEST_CASE("task_group: entered outside of a task is misuse", "[TG-25]") {
    virtual_run([]() -> aio::task<> {
        bool thrown = false;
        aio::get_running_loop().call_soon([&] {
            aio::task_group group;
            try {
                group.async_enter();
            } catch (const std::logic_error&) {
                thrown = true;
            }
        });
        co_await aio::testing::run_until_idle();
        CHECK(thrown);
    });
}

TEST_CASE("task_group: children that have ended are dropped from it", "[TG-26]") {
    counted::reset();
    virtual_run([]() -> aio::task<> {
        co_await aio::with(aio::task_group(), [](aio::task_group& g) -> aio::task<> {
            for (int i = 0; i < 1000; ++i) {
                g.create_task([]() -> aio::task<counted> { co_return counted(1); });
                if (i % 10 == 9) {
                    co_await aio::testing::run_until_idle();
                    CHECK(counted::alive == 0);
                }
            }
        });
    });
}

TEST_CASE("task_group: an eager child may end, or fail, inside create_task", "[TG-28]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto body = [&](aio::task_group& g) -> aio::task<> {
            const auto done = g.create_task(aio::eager, gives(1));
            CHECK(done.done());
            const auto bad = g.create_task(aio::eager, fails("eager"));
            CHECK(bad.done());
            g.create_task(ends_after(1ms)); // not aborting yet
            log.push_back("still there");
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {
                log.push_back("aborted");
                throw;
            }
        };
        const trace errors = co_await errors_of(body);
        CHECK(errors == trace{"eager"});
    });
    CHECK(log == trace{"still there", "aborted"});
}

TEST_CASE("task_group: cancel ends body and children and the block quietly", "[TG-30]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        co_await aio::with(aio::task_group(), [&](aio::task_group& g) -> aio::task<> {
            g.create_task(cleans_up(5ms, "a", log));
            co_await aio::sleep(1ms);
            g.cancel();
            g.cancel();
            co_await aio::sleep(1h);
            log.push_back("not reached");
        });
        log.push_back("quiet");
        CHECK(aio::current_task().cancelling() == 0);
        co_await aio::yield();
    });
    CHECK(log == trace{"a begins", "a cancelled", "a cleaned up", "quiet"});
}

TEST_CASE("task_group: cancel by a child while the block waits at its end", "[TG-30]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        co_await aio::with(aio::task_group(), [&](aio::task_group& g) -> aio::task<> {
            g.create_task(cleans_up(1ms, "a", log));
            g.create_task([&]() -> aio::task<> {
                co_await aio::sleep(2ms);
                g.cancel();
            });
            co_return;
        });
        CHECK(aio::current_task().cancelling() == 0);
        co_await aio::yield();
    });
    CHECK(log == trace{"a begins", "a cancelled", "a cleaned up"});
}

TEST_CASE("task_group: cancelled before the block, it takes effect when that is entered", "[TG-30]") {
    bool reached = false;
    virtual_run([&]() -> aio::task<> {
        aio::task_group group;
        group.cancel();
        aio::task_group moved(std::move(group));
        co_await aio::with(moved, [&]() -> aio::task<> {
            co_await aio::yield();
            reached = true;
        });
        CHECK(aio::current_task().cancelling() == 0);
    });
    CHECK(!reached);
}

TEST_CASE("task_group: after cancel errors are thrown all the same", "[TG-30]") {
    virtual_run([]() -> aio::task<> {
        auto body = [](aio::task_group& g) -> aio::task<> {
            g.create_task(fails_when_cancelled(1ms, "child"));
            co_await aio::sleep(1ms);
            g.cancel();
            co_await aio::sleep(1h);
        };
        const trace errors = co_await errors_of(body);
        CHECK(errors == trace{"child"});
        CHECK(aio::current_task().cancelling() == 0);
    });
}

TEST_CASE("task_group: a callable whose copy throws leaves the group as it was") {
    fragile::alive = 0;
    virtual_run([]() -> aio::task<> {
        int ran = 0;
        co_await aio::with(aio::task_group(), [&](aio::task_group& g) -> aio::task<> {
            const fragile held(1);
            const auto body = [&ran, held]() -> aio::task<> {
                co_await aio::yield();
                ran += held.value;
            };
            g.create_task(ends_after(1ms));
            int thrown = 0;
            for (int fuse = 1; fuse <= 2; ++fuse) {
                fragile::fuse = fuse;
                try {
                    g.create_task(body);
                } catch (const boom&) {
                    ++thrown;
                }
            }
            CHECK(thrown > 0);
            fragile::fuse = 0;
            g.create_task(body);
            co_return;
        });
        CHECK(ran > 0);
    });
    CHECK(fragile::alive == 0);
}

TEST_CASE("task_group: its body runs in the calling task") {
    virtual_run([]() -> aio::task<> {
        const auto self = aio::current_task();
        co_await aio::with(aio::task_group(), [&]() -> aio::task<> {
            CHECK(aio::current_task() == self);
            co_return;
        });
    });
}

TEST_CASE("task_group: the waiting block goes on two iterations after the last child's last step") {
    virtual_run([]() -> aio::task<> {
        int child_ended = 0;
        const iterations loop;
        co_await aio::with(aio::task_group(), [&](aio::task_group& g) -> aio::task<> {
            g.create_task([&]() -> aio::task<> {
                co_await aio::yield();
                child_ended = loop.passed();
            });
            co_return;
        });
        CHECK(child_ended == 2);
        CHECK(loop.passed() == child_ended + 2);
    });
}

TEST_CASE("task_group: 100,000 children, to their end and cancelled", "[stress]") {
    virtual_run([]() -> aio::task<> {
        int ended = 0;
        co_await aio::with(aio::task_group(), [&](aio::task_group& g) -> aio::task<> {
            for (int i = 0; i < 100'000; ++i)
                g.create_task([&]() -> aio::task<> {
                    co_await aio::yield();
                    ++ended;
                });
            co_return;
        });
        CHECK(ended == 100'000);
        const auto parent = aio::create_task([]() -> aio::task<> {
            co_await aio::with(aio::task_group(), [](aio::task_group& g) -> aio::task<> {
                for (int i = 0; i < 100'000; ++i) g.create_task(ends_after(1h));
                co_return;
            });
        });
        co_await aio::testing::run_until_idle();
        parent.cancel();
        co_await aio::nothrow(parent);
        CHECK(parent.cancelled());
        CHECK(aio::all_tasks().size() == 1);
    });
}

namespace {

aio::task<> deep_groups(int depth) {
    co_await aio::with(aio::task_group(), [depth](aio::task_group& g) -> aio::task<> {
        if (depth == 0) co_await aio::sleep(1h);
        g.create_task(deep_groups(depth - 1));
    });
}

} // namespace

TEST_CASE("task_group: 1,000 deep, cancelled") {
    virtual_run([]() -> aio::task<> {
        const auto parent = aio::create_task(deep_groups(1000));
        co_await aio::testing::run_until_idle();
        parent.cancel();
        co_await aio::nothrow(parent);
        CHECK(parent.cancelled());
    });
}

TEST_CASE("task_group: cancel() does not swallow a timeout or a request that comes while the group ends") {
    for (const bool by_timeout : {true, false}) {
        virtual_run([by_timeout]() -> aio::task<> {
            auto slow = []() -> aio::task<> {
                auto body = []() -> aio::task<> { co_await aio::sleep(1h); };
                auto cleanup = []() -> aio::task<> { co_await aio::sleep(1s); };
                co_await aio::finally(body, cleanup);
            };
            auto block = [&](aio::task_group& g) -> aio::task<> {
                g.create_task(slow);
                co_await aio::sleep(100ms);
                g.cancel();
            };
            std::string left;
            auto body = [&]() -> aio::task<> {
                co_await aio::with(aio::task_group(), block);
                left = "quietly";
            };
            const auto all = aio::create_task([&]() -> aio::task<> {
                if (by_timeout)
                    co_await aio::with(aio::timeout(500ms), body);
                else
                    co_await body();
            });
            co_await aio::sleep(300ms);
            if (!by_timeout) all.cancel("from outside");
            const auto ended = co_await aio::nothrow(all);
            CHECK(left.empty());
            if (by_timeout)
                CHECK_THROWS_AS(ended.rethrow(), aio::timeout_error);
            else
                CHECK(contains(message_of([&] { ended.rethrow(); }), "from outside"));
        });
    }
}

TEST_CASE("task_group: cancel() after a child has failed asks the task once") {
    virtual_run([]() -> aio::task<> {
        const int before = aio::current_task().cancelling();
        auto block = [](aio::task_group& g) -> aio::task<> {
            g.create_task(fails_after(1ms, "child"));
            try {
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {
                g.cancel();
                throw;
            }
        };
        try {
            co_await aio::with(aio::task_group(), block);
        } catch (const aio::exception_group&) {}
        CHECK(aio::current_task().cancelling() == before);
    });
}

TEST_CASE("task_group: create_task knows the caller's line, with up to six arguments", "[TASK-23]") {
    virtual_run([]() -> aio::task<> {
        const auto none = [] { return gives(1); };
        const auto some = [](auto...) { return gives(1); };
        auto body = [&](aio::task_group& group) -> aio::task<> {
            std::vector<aio::any_task_handle> all;
            const unsigned first = __LINE__ + 1;
            all.push_back(group.create_task(gives(1)));
            all.push_back(group.create_task(gives(1), "name"));
            all.push_back(group.create_task(none));
            all.push_back(group.create_task(some, 1));
            all.push_back(group.create_task(some, 1, 2, 3));
            all.push_back(group.create_task(some, 1, 2, 3, 4, 5, 6));
            all.push_back(group.create_task(aio::named("name"), some, 1, 2, 3, 4, 5, 6));
            all.push_back(group.create_task(aio::eager, some, 1, 2, 3, 4, 5, 6));
            all.push_back(group.create_task(aio::task_options{.name = "name"}, gives(1)));
            for (unsigned i = 0; i < 9; ++i) {
                const auto& task = static_cast<const aio::detail::frame&>(*aio::detail::access::state(all[i]));
                CHECK(task.created().line() == first + i);
            }
            CHECK(all[1].name() == "name");
            CHECK(all[6].name() == "name");
            co_return;
        };
        co_await aio::with(aio::task_group(), body);
    });
}

TEST_CASE("task_group: an eager child starts others of the group before it suspends") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        auto block = [&](aio::task_group& g) -> aio::task<> {
            g.create_task(aio::eager, [&]() -> aio::task<> {
                g.create_task([&]() -> aio::task<> {
                    log.push_back("inner");
                    co_return;
                });
                log.push_back("outer");
                co_await aio::yield();
            });
            co_return;
        };
        co_await aio::with(aio::task_group(), block);
    });
    CHECK(log == trace{"outer", "inner"});
}
