// SPDX-License-Identifier: BSL-1.0

// Module thread when memory runs out: the n-th allocation fails, or all from the n-th on, for every n. Either the program
// sees std::bad_alloc or it goes on; nothing hangs, nothing is left, and nothing that was freed is touched.

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/task/context_var.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/thread/loop_group.hpp>
#include <asynchio/thread/run_coroutine_threadsafe.hpp>
#include <asynchio/thread/run_in_executor.hpp>
#include <asynchio/thread/thread_pool.hpp>
#include <asynchio/thread/threadsafe_queue.hpp>
#include <asynchio/thread/to_thread.hpp>
#include <asynchio/thread/wrap_future.hpp>

#include "../support/starved.hpp"
#include "small_stack.hpp"

#include <atomic>
#include <exception>
#include <future>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;
using asynchio_tests::hold;
using asynchio_tests::long_text;

namespace {

std::string twice(const std::string& text) { return text + text; }

aio::task<std::string> later(aio::duration pause) {
    co_await aio::sleep(pause);
    co_return long_text;
}

aio::task<> awaited_calls() {
    hold((co_await aio::to_thread(&twice, long_text)).size() == 2 * long_text.size(), "the result");
    const auto failing = [](const std::string& text) -> int { throw std::runtime_error(text); };
    const auto failed = co_await aio::nothrow(aio::to_thread(failing, long_text));
    hold(static_cast<bool>(failed.error()), "the error");
    hold((co_await aio::to_thread(aio::abandon_on_cancel, &twice, long_text)).size() == 2 * long_text.size(),
         "the result of what may be left behind");
}

/// The call is running when it is cancelled, and stops because of that.
aio::task<> cancelled_calls() {
    std::atomic<bool> begun = false;
    const auto stops = [&begun](std::stop_token token) {
        begun = true;
        while (!token.stop_requested()) {}
    };
    const auto running = aio::create_task([&stops]() -> aio::task<> { co_await aio::to_thread(stops); });
    co_await aio::sleep(0s);
    while (!begun && !running.done()) co_await aio::sleep(0s);
    running.cancel();
    const auto ended = co_await aio::nothrow(running);
    static_cast<void>(ended);
}

aio::task<> executed_calls() {
    aio::thread_pool pool(1);
    auto body = [&pool]() -> aio::task<> {
        const auto one = aio::run_in_executor(pool, &twice, long_text);
        const auto two = aio::run_in_executor(&twice, long_text);
        hold((co_await one).size() == 2 * long_text.size(), "the result");
        hold((co_await two).size() == 2 * long_text.size(), "the result of the default pool");
    };
    co_await aio::with(pool, body);
}

aio::task<> threadsafe_coroutines() {
    const auto caller = [](aio::loop_ref loop) {
        auto future = aio::run_coroutine_threadsafe(later(0s), loop);
        future.add_done_callback([text = long_text] {});
        return future.get();
    };
    // What cannot be told to the loop is an error here, and what cannot begin there is one of the future.
    const auto result = co_await aio::nothrow(aio::to_thread(caller, aio::get_running_loop().ref()));
    if (result) hold(*&result.value() == long_text, "the result");
    result.rethrow();
}

aio::task<> wrapped_concurrent_futures() {
    aio::loop_group loops(1);
    auto body = [&loops]() -> aio::task<> {
        const auto submitted = loops.submit(0, later(0s));
        const auto followed = aio::wrap_future(submitted);
        static_cast<void>(co_await aio::nothrow(followed)); // it ends in any case
        const auto again = aio::wrap_future(submitted);     // it is done
        hold((co_await again) == long_text, "the result");
        const auto cancelled = aio::wrap_future(loops.submit(0, later(1h)));
        co_await aio::sleep(1ms);
        cancelled.cancel();
    };
    co_await aio::with(loops, body);
}

/// A promise that is kept in any case: libstdc++ has no way to break one without memory.
struct kept_promise {
    std::string text = long_text;
    std::promise<std::string> promise;
    bool kept = false;
    kept_promise() = default;
    kept_promise(const kept_promise&) = delete;
    kept_promise& operator=(const kept_promise&) = delete;
    ~kept_promise() { keep(); }
    void keep() {
        if (!std::exchange(kept, true)) promise.set_value(std::move(text));
    }
};

aio::task<> wrapped_futures() {
    kept_promise ready;
    kept_promise late;
    ready.keep();
    const auto at_once = aio::wrap_future(ready.promise.get_future());
    hold((co_await at_once) == long_text, "the result that was there");
    const auto followed = aio::wrap_future(late.promise.get_future());
    co_await aio::sleep(0s);
    late.keep();
    hold((co_await followed) == long_text, "the result");
}

aio::task<> groups_of_loops() {
    static std::atomic<int> entered;
    static std::atomic<int> cleaned;
    if (entered.exchange(0) != cleaned.exchange(0)) std::terminate(); // a loop ended without waiting
    const auto stays = []() -> aio::task<> {
        ++entered;
        std::exception_ptr error;
        try {
            co_await aio::sleep(1h);
        } catch (...) {
            error = std::current_exception();
        }
        ++cleaned; // before a wait, which the end of the loop may interrupt
        co_await aio::sleep(0s);
        std::rethrow_exception(error);
    };
    aio::loop_group loops(2);
    auto body = [&]() -> aio::task<> {
        auto one = loops.submit(stays);
        auto two = loops.submit(1, stays);
        const auto result = aio::wrap_future(loops.submit(0, later(0s)));
        hold((co_await result) == long_text, "the result");
    };
    co_await aio::with(loops, body);
}

aio::task<> queues() {
    aio::threadsafe_queue<std::string> queue(1);
    const auto produce = [&queue] {
        try {
            for (int i = 0; i < 4; ++i) queue.blocking_put(long_text + std::to_string(i));
        } catch (...) {
            queue.shutdown();
            throw;
        }
        queue.shutdown();
    };
    const auto producing = [&produce]() -> aio::task<> { co_await aio::to_thread(produce); };
    int got = 0;
    const auto consuming = [&]() -> aio::task<> {
        const struct closing {
            aio::threadsafe_queue<std::string>& queue;
            ~closing() { queue.shutdown(); } // also when it gets no further
        } at_end{queue};
        while (auto item = co_await queue.next()) ++got;
    };
    co_await aio::gather(producing, consuming);
    hold(got == 4, "all items come");
}

constexpr asynchio_tests::starved_scenario scenarios[] = {
    {"awaited_calls", &awaited_calls},
    {"cancelled_calls", &cancelled_calls},
    {"executed_calls", &executed_calls},
    {"threadsafe_coroutines", &threadsafe_coroutines},
    {"wrapped_concurrent_futures", &wrapped_concurrent_futures},
    {"wrapped_futures", &wrapped_futures},
    {"groups_of_loops", &groups_of_loops},
    {"queues", &queues},
};

void test() { asynchio_tests::starve(scenarios); }

} // namespace

int main() { return asynchio_tests::on_small_stack(&test); }
