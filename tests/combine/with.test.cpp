// SPDX-License-Identifier: BSL-1.0

#include <asynchio/combine/with.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/finally.hpp>
#include <asynchio/combine/on_cancel.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// Notes what happens to it; leaving takes a millisecond.
class room {
public:
    room(trace& log, std::string name) : log_(&log), name_(std::move(name)) {}
    aio::task<int> async_enter() {
        log_->push_back(name_ + " entered");
        co_await aio::yield();
        co_return 7;
    }
    aio::task<> async_exit(std::exception_ptr error) {
        try {
            co_await aio::sleep(1ms);
        } catch (const aio::cancelled_error&) {
            log_->push_back(name_ + " interrupted");
            throw;
        }
        log_->push_back(name_ + " left" + (error ? " by " + text_of(error) : ""));
    }

private:
    trace* log_;
    std::string name_;
};

/// Plain calls; may fail in each of them, suppress or replace.
struct plain {
    explicit plain(trace& to) : log(to) {}
    int& async_enter() {
        if (fail_entering) throw boom("entering");
        log.push_back("entered");
        return number;
    }
    bool async_exit(std::exception_ptr error) {
        log.push_back("left" + (error ? " by " + text_of(error) : std::string()));
        if (fail_leaving) throw boom("leaving");
        return suppress;
    }

    trace& log;
    int number = 1;
    bool fail_entering = false;
    bool fail_leaving = false;
    bool suppress = false;
};

/// Has just aclose().
class closes {
public:
    explicit closes(int& count) : count_(count) {}
    aio::task<> aclose() {
        co_await aio::yield();
        ++count_;
    }

private:
    int& count_;
};

struct quiet : plain {
    using plain::plain;
    static constexpr bool ends_quietly = true;
};

} // namespace

TEST_CASE("with: enters, gives the body what that gave, and leaves", "[AGN-12]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const int result = co_await aio::with(room(log, "a"), [&](int given) -> aio::task<int> {
            log.push_back("body " + std::to_string(given));
            co_return given + 1;
        });
        CHECK(result == 8);
    });
    CHECK(log == trace{"a entered", "body 7", "a left"});
}

TEST_CASE("with: several are entered in order and left in reverse", "[AGN-12][AGN-15]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        int closed = 0;
        room outer(log, "a");
        auto body = [&](int a, int b, int& c) -> aio::task<> {
            log.push_back("body " + std::to_string(a + b + c));
            co_return;
        };
        co_await aio::with(outer, room(log, "b"), plain(log), closes(closed), body);
        CHECK(closed == 1);
    });
    CHECK(log == trace{"a entered", "b entered", "entered", "body 15", "left", "b left", "a left"});
}

TEST_CASE("with: leaves by an exception too, and every exit sees it", "[AGN-12]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto ended =
            co_await aio::nothrow(aio::with(room(log, "a"), room(log, "b"), [] { return fails_after(1ms, "bad"); }));
        CHECK(text_of(ended.error()) == "bad");
        // A body that throws before it waits, or when it is called.
        const auto at_once = co_await aio::nothrow(aio::with(room(log, "c"), [] { return fails("at once"); }));
        CHECK(text_of(at_once.error()) == "at once");
        const auto called =
            co_await aio::nothrow(aio::with(room(log, "d"), []() -> decltype(aio::yield()) { throw boom("called"); }));
        CHECK(text_of(called.error()) == "called");
    });
    CHECK(log == trace{"a entered", "b entered", "b left by bad", "a left by bad", "c entered", "c left by at once",
                       "d entered", "d left by called"});
}

TEST_CASE("with: an exit may suppress the exception, and those outside see none", "[AGN-12]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        plain inner(log);
        inner.suppress = true;
        auto body = []() -> aio::task<> {
            co_await aio::yield();
            throw boom("bad");
        };
        co_await aio::with(room(log, "a"), inner, body);
        quiet gentle(log);
        gentle.suppress = true;
        const std::optional<int> nothing = co_await aio::with(gentle, [] { return fails("bad"); });
        CHECK(!nothing);
        const bool ended = co_await aio::with(quiet(log), []() -> aio::task<> { co_return; });
        CHECK(ended);
    });
    CHECK(log == trace{"a entered", "entered", "left by bad", "a left", "entered", "left by bad", "entered", "left"});
}

TEST_CASE("with: suppressing the exception of a body with a result is misuse unless the resource ends quietly") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        plain resource(log);
        resource.suppress = true;
        const auto ended = co_await aio::nothrow(aio::with(resource, [] { return fails("bad"); }));
        CHECK_THROWS_AS(ended.rethrow(), std::logic_error);
    });
}

TEST_CASE("with: a cancellation leaves, and the exit may await", "[AGN-13]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto task = aio::create_task([&]() -> aio::task<> {
            co_await aio::with(room(log, "a"), room(log, "b"), [] { return ends_after(1h); });
        });
        co_await aio::sleep(1ms);
        task.cancel();
        co_await aio::nothrow(task);
        CHECK(task.cancelled());
    });
    CHECK(log == trace{"a entered", "b entered", "b left by cancelled", "a left by cancelled"});
}

TEST_CASE("with: a second request interrupts the exit; those outside are left all the same", "[AGN-13]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto task = aio::create_task([&]() -> aio::task<> {
            co_await aio::with(room(log, "a"), room(log, "b"), [] { return ends_after(1h); });
        });
        co_await aio::sleep(1ms);
        task.cancel();
        co_await aio::testing::run_until_idle();
        task.cancel();
        co_await aio::nothrow(task);
        CHECK(task.cancelled());
        CHECK(task.cancelling() == 2);
    });
    CHECK(log == trace{"a entered", "b entered", "b interrupted", "a left by cancelled"});
}

TEST_CASE("with: cancelled while it enters, it does not leave what it did not enter", "[AGN-13]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto task = aio::create_task([&]() -> aio::task<> {
            co_await aio::with(room(log, "a"), room(log, "b"), [] { return ends_after(1h); });
        });
        co_await aio::yield(); // a is being entered
        co_await aio::yield(); // b is being entered
        task.cancel();
        co_await aio::nothrow(task);
        CHECK(task.cancelled());
    });
    CHECK(log == trace{"a entered", "b entered", "a left by cancelled"});
}

TEST_CASE("with: an exception in the exit replaces the body's", "[AGN-14]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        plain inner(log);
        inner.fail_leaving = true;
        auto ended = co_await aio::nothrow(aio::with(room(log, "a"), inner, [] { return fails("bad"); }));
        CHECK(text_of(ended.error()) == "leaving");
        ended = co_await aio::nothrow(aio::with(inner, [] { return gives(1); }));
        CHECK(text_of(ended.error()) == "leaving");
    });
    CHECK(log == trace{"a entered", "entered", "left by bad", "a left by leaving", "entered", "left"});
}

TEST_CASE("with: an exception while entering leaves those entered before", "[AGN-12]") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        plain inner(log);
        inner.fail_entering = true;
        bool ran = false;
        const auto body = [&]() -> aio::task<> {
            ran = true;
            co_return;
        };
        const auto ended = co_await aio::nothrow(aio::with(room(log, "a"), inner, body));
        CHECK(text_of(ended.error()) == "entering");
        CHECK(!ran);
    });
    CHECK(log == trace{"a entered", "a left by entering"});
}

TEST_CASE("with: what entering gives is the same object for the body") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        plain resource(log);
        co_await aio::with(resource, [&](int& number) -> aio::task<> {
            CHECK(&number == &resource.number);
            number = 5;
            co_return;
        });
        CHECK(resource.number == 5);
        co_await aio::with(resource, []() -> aio::task<> { co_return; }); // a body may take nothing
    });
}

TEST_CASE("with: an lvalue body is referenced, a temporary kept, a taken one moved in") {
    counted::reset();
    trace log;
    virtual_run([&]() -> aio::task<> {
        counted held(2);
        auto body = [held]() -> aio::task<int> {
            co_await aio::yield();
            co_return held.value;
        };
        counted::copies = counted::moves = 0;
        const int referenced = co_await aio::with(plain(log), body);
        CHECK(referenced == 2);
        CHECK(counted::copies == 0);
        CHECK(counted::moves == 0);
        auto waiting = aio::with(plain(log), aio::take(body));
        CHECK(counted::moves > 0);
        CHECK(counted::copies == 0);
        const int taken = co_await std::move(waiting);
        CHECK(taken == 2);
        // A task as the body.
        const int of_task = co_await aio::with(plain(log), gives_after(1ms, 3));
        CHECK(of_task == 3);
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("with: an awaitable that is an lvalue is awaited where it is") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        fixed body;
        for (int i = 1; i <= 2; ++i) {
            const int result = co_await aio::with(plain(log), body);
            CHECK(result == i);
        }
        const int inside_two = co_await aio::with(plain(log), plain(log), body);
        CHECK(inside_two == 3);
        CHECK(body.times == 3);
    });
}

TEST_CASE("with: a temporary resource lives until the end, a taken one too") {
    counted::reset();
    class holder {
    public:
        aio::task<> aclose() {
            co_await aio::yield();
            CHECK(held_.value == 1);
        }

    private:
        counted held_{1};
    };
    virtual_run([]() -> aio::task<> {
        {
            auto waiting = aio::with(holder(), []() -> aio::task<> {
                CHECK(counted::alive == 1);
                co_await aio::yield();
            });
            co_await std::move(waiting);
        }
        CHECK(counted::alive == 0);
        holder named;
        co_await aio::with(aio::take(named), []() -> aio::task<> { co_return; });
        CHECK(counted::alive == 1);
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("with: the body runs in the calling task and takes no iteration of its own") {
    trace log;
    virtual_run([&]() -> aio::task<> {
        const auto self = aio::current_task();
        const iterations loop;
        co_await aio::with(plain(log), [&]() -> aio::task<> {
            CHECK(aio::current_task() == self);
            co_return;
        });
        CHECK(loop.passed() == 0);
    });
}

TEST_CASE("with: move-only and reference results, and one whose move throws") {
    trace log;
    int value = 0;
    fragile::alive = 0;
    virtual_run([&]() -> aio::task<> {
        const auto unique = co_await aio::with(plain(log), []() -> aio::task<std::unique_ptr<int>> {
            co_await aio::yield();
            co_return std::make_unique<int>(4);
        });
        CHECK(*unique == 4);
        int& same = co_await aio::with(plain(log), [&]() -> aio::task<int&> { co_return value; });
        CHECK(&same == &value);
    });
    for (int fuse = 1; fuse < 12; ++fuse) {
        log.clear();
        virtual_run([&]() -> aio::task<> {
            fragile::fuse = fuse;
            bool thrown = false;
            try {
                const fragile result =
                    co_await aio::with(plain(log), []() -> aio::task<fragile> { co_return fragile(1); });
                CHECK(result.value == 1);
            } catch (const boom&) {
                thrown = true;
            }
            CHECK(thrown == (fragile::fuse == 0));
            fragile::fuse = 0;
        });
        CHECK(fragile::alive == 0);
        CHECK(log.size() == 2); // left on every path
    }
}

TEST_CASE("with: 100,000 times in one task", "[stress]") {
    virtual_run([]() -> aio::task<> {
        int closed = 0;
        closes resource(closed);
        for (int i = 0; i < 100'000; ++i) co_await aio::with(resource, []() -> aio::task<> { co_return; });
        CHECK(closed == 100'000);
    });
}

namespace {

aio::task<int> deep_with(int depth, int& closed) {
    if (depth == 0) co_return 0;
    auto inner = [depth, &closed]() -> aio::task<int> { co_return 1 + co_await deep_with(depth - 1, closed); };
    co_return co_await aio::with(closes(closed), inner);
}

} // namespace

TEST_CASE("with: 1,000 deep") {
    virtual_run([]() -> aio::task<> {
        int closed = 0;
        const int depth = co_await deep_with(1000, closed);
        CHECK(depth == 1000);
        CHECK(closed == 1000);
    });
}

TEST_CASE("with, finally, on_cancel, wait_for: a body or resource that cannot be moved in leaves nothing") {
    struct resource {
        fragile held;
        aio::task<> aclose() { co_return; }
    };
    virtual_run([]() -> aio::task<> {
        const fragile value(1);
        const auto body = [value]() -> aio::task<> { co_return; };
        CHECK(throws_while_made([&] {
                  resource owned{value};
                  auto first = body;
                  return aio::with(aio::take(owned), aio::take(first));
              }) > 2);
        CHECK(throws_while_made([&] {
                  auto first = body, second = body;
                  return aio::finally(aio::take(first), aio::take(second));
              }) > 2);
        CHECK(throws_while_made([&] {
                  auto first = body, second = body;
                  return aio::on_cancel(aio::take(first), aio::take(second));
              }) > 2);
        CHECK(throws_while_made([&] {
                  auto first = body;
                  return aio::wait_for(aio::take(first), 1s);
              }) > 1);
        resource owned{value};
        auto first = body, second = body, third = body, fourth = body, fifth = body, sixth = body;
        co_await aio::with(aio::take(owned), aio::take(first));
        co_await aio::finally(aio::take(second), aio::take(third));
        co_await aio::on_cancel(aio::take(fourth), aio::take(fifth));
        co_await aio::wait_for(aio::take(sixth), 1s);
    });
    CHECK(fragile::alive == 0);
}
