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
#include <cstddef>
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

/// Two threads that do what `act` says with a copy of each callback, at the same time. Many at once, since to hand a thread
/// something takes long on a busy machine.
class two_callers {
public:
    using act = void (*)(callback, int);

    two_callers(const std::vector<callback>& given, act what) : given_{given, given} {
        for (int i = 0; i < 2; ++i)
            threads_[i] = std::thread([this, what, i] {
                ready_.fetch_add(1);
                while (ready_.load() != 2) std::this_thread::yield();
                for (std::size_t k = 0; k < given_[i].size(); ++k) {
                    meet(i, k);
                    what(std::move(given_[i][k]), i);
                }
            });
    }
    two_callers(const two_callers&) = delete;
    two_callers& operator=(const two_callers&) = delete;
    ~two_callers() {
        for (std::thread& each : threads_) each.join();
    }
    bool begun() const { return ready_.load() == 2; }

private:
    /// Waits for the other thread to come to the same callback, unless that does not run.
    void meet(int who, std::size_t place) {
        at_[who].store(place);
        for (int i = 0; at_[1 - who].load() < place && i < 1'000; ++i) {}
    }

    std::atomic<std::size_t> at_[2] = {0, 0};
    std::vector<callback> given_[2];
    std::atomic<int> ready_ = 0;
    std::thread threads_[2];
};

constexpr int batches = 20;
constexpr std::size_t batch = sanitized ? 100 : 500;

/// Has both threads do `act` with callbacks of completions that one task awaits, one after the other.
template<class Ended>
void call_and_await(two_callers::act act, Ended ended) {
    virtual_run(
        [&]() -> aio::task<> {
            for (int i = 0; i < batches; ++i) {
                std::vector<aio::completion<value>> all(batch);
                std::vector<callback> callbacks;
                for (const auto& each : all) callbacks.push_back(each.callback());
                const two_callers callers(callbacks, act);
                callbacks.clear();
                for (const auto& each : all) ended(co_await aio::nothrow(each));
            }
        },
        aio::run_options());
}

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
    call_and_await(&calls, [](const aio::outcome<value>& ended) {
        if (*ended.value() != "zero" && *ended.value() != "one") FAIL(*ended.value());
    });
}

TEST_CASE("completion calls: a call wins over a copy that another thread drops", "[stress]") {
    call_and_await(&calls_or_drops, [](const aio::outcome<value>& ended) {
        if (*ended.value() != "zero") FAIL(*ended.value());
    });
}

TEST_CASE("completion calls: two threads drop the last two copies", "[stress]") {
    call_and_await(&drops, [](const aio::outcome<value>& ended) {
        if (!ended.error()) FAIL("there is no result");
    });
}

TEST_CASE("completion calls: the tasks leave, and the completions go, while they come", "[stress]") {
    virtual_run(
        []() -> aio::task<> {
            for (int i = 0; i < batches; ++i) {
                std::vector<callback> callbacks;
                std::vector<aio::task_handle<value>> waiting;
                for (std::size_t k = 0; k < batch; ++k)
                    waiting.push_back(aio::create_task([&callbacks]() -> aio::task<value> {
                        aio::completion<value> c;
                        callbacks.push_back(c.callback());
                        co_return co_await c;
                    }));
                co_await aio::yield();
                const two_callers callers(callbacks, &calls);
                callbacks.clear();
                while (!callers.begun()) std::this_thread::yield();
                for (std::size_t k = batch; k-- > 0;) {
                    waiting[k].cancel();
                    if (k % 8 == 0) co_await aio::yield();
                }
                for (auto& each : waiting) {
                    const auto ended = co_await aio::nothrow(std::move(each));
                    if (!ended && !ended.cancelled()) FAIL("neither a value nor cancelled");
                }
            }
        },
        aio::run_options());
}

TEST_CASE("completion calls: the loop closes while they come", "[stress]") {
    for (int i = 0; i < batches; ++i) {
        std::optional<two_callers> callers;
        aio::event_loop loop;
        loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
        std::vector<callback> callbacks;
        for (std::size_t k = 0; k < batch; ++k)
            loop.create_task([&callbacks]() -> aio::task<> {
                aio::completion<value> c;
                callbacks.push_back(c.callback());
                static_cast<void>(co_await c);
            });
        loop.call_soon([&loop] { loop.stop(); });
        loop.run_forever();
        callers.emplace(callbacks, &calls);
        callbacks.clear();
        while (!callers->begun()) std::this_thread::yield();
    } // the loop goes first
    CHECK(aio::testing::audit().clean());
}
