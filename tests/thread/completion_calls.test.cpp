// SPDX-License-Identifier: BSL-1.0

// Callbacks of completions that threads call, copy and drop while tasks wait, leave, and end.

#include <asynchio/task/completion.hpp>

#include "support/catch.hpp"
#include "support/probes.hpp"
#include "support/threads.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;

namespace {

using value = std::unique_ptr<std::string>;
using callback = aio::completion_callback<value>;

/// Two threads that get a copy of each callback, to do what `act` says.
class two_callers {
public:
    explicit two_callers(void (*act)(callback, int)) : act_(act) {
        for (int i = 0; i < 2; ++i)
            threads_.emplace_back([this, i] {
                for (int round = 0;;) {
                    const int now = round_.load(std::memory_order_acquire);
                    if (now < 0) return;
                    if (now == round) {
                        std::this_thread::yield();
                        continue;
                    }
                    round = now;
                    act_(*std::exchange(given_[i], std::nullopt), i);
                    idle_.fetch_add(1, std::memory_order_release);
                }
            });
    }
    two_callers(const two_callers&) = delete;
    two_callers& operator=(const two_callers&) = delete;
    ~two_callers() {
        join_round();
        round_.store(-1, std::memory_order_release);
        for (std::thread& each : threads_) each.join();
    }

    void start(const callback& given) {
        join_round();
        for (auto& each : given_) each.emplace(given);
        idle_.store(0, std::memory_order_relaxed);
        round_.fetch_add(1, std::memory_order_release);
    }
    void join_round() const {
        while (idle_.load(std::memory_order_acquire) != 2) std::this_thread::yield();
    }

private:
    void (*act_)(callback, int);
    std::optional<callback> given_[2];
    std::atomic<int> round_ = 0;
    std::atomic<int> idle_ = 2;
    std::vector<std::thread> threads_;
};

void calls(callback c, int who) {
    const callback copy = c;
    copy(std::make_unique<std::string>(who == 0 ? "zero" : "one"));
    c.fail(boom("late"));
}
void calls_or_drops(callback c, int who) {
    if (who == 0) c(std::make_unique<std::string>("zero"));
}
void drops(callback, int) {}

} // namespace

TEST_CASE("completion calls: of two threads that call at once, one is heard", "[stress]") {
    virtual_run(
        []() -> aio::task<> {
            two_callers callers(&calls);
            for (int i = 0; i < rounds(20'000); ++i) {
                aio::completion<value> c;
                callers.start(c.callback());
                const value got = co_await c;
                if (*got != "zero" && *got != "one") FAIL(*got);
            }
        },
        aio::run_options());
}

TEST_CASE("completion calls: a call wins over a copy that another thread drops", "[stress]") {
    virtual_run(
        []() -> aio::task<> {
            two_callers callers(&calls_or_drops);
            for (int i = 0; i < rounds(20'000); ++i) {
                aio::completion<value> c;
                callers.start(c.callback());
                const value got = co_await c;
                if (*got != "zero") FAIL(*got);
            }
        },
        aio::run_options());
}

TEST_CASE("completion calls: two threads drop the last two copies", "[stress]") {
    virtual_run(
        []() -> aio::task<> {
            two_callers callers(&drops);
            for (int i = 0; i < rounds(20'000); ++i) {
                aio::completion<value> c;
                callers.start(c.callback());
                const auto ended = co_await aio::nothrow(c);
                if (!ended.error()) FAIL("there is no result");
            }
        },
        aio::run_options());
}

TEST_CASE("completion calls: the task leaves, and the completion goes, while they come", "[stress]") {
    virtual_run(
        []() -> aio::task<> {
            two_callers callers(&calls);
            int cancelled = 0;
            for (int i = 0; i < rounds(20'000); ++i) {
                auto waiting = aio::create_task([&callers]() -> aio::task<value> {
                    aio::completion<value> c;
                    callers.start(c.callback());
                    co_return co_await c;
                });
                co_await aio::yield();
                take_a_moment(i % 16);
                waiting.cancel();
                const auto ended = co_await aio::nothrow(std::move(waiting));
                if (!ended && !ended.cancelled()) FAIL("neither a value nor cancelled");
                cancelled += ended.cancelled() ? 1 : 0;
            }
            CHECK(cancelled > 0);
        },
        aio::run_options());
}

TEST_CASE("completion calls: the loop closes while they come", "[stress]") {
    two_callers callers(&calls);
    for (int i = 0; i < rounds(4'000); ++i) {
        aio::event_loop loop;
        loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
        loop.create_task([&callers]() -> aio::task<> {
            aio::completion<value> c;
            callers.start(c.callback());
            static_cast<void>(co_await c);
        });
        loop.call_soon([&loop] { loop.stop(); });
        loop.run_forever();
        take_a_moment(i % 16);
    }
    SUCCEED();
}
