// SPDX-License-Identifier: BSL-1.0
#include "post/problem.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace {

struct call {
    void (*make)(std::size_t& made);
    std::size_t* made;
};

/// Held for a few instructions.
class spinlock {
public:
    void lock() noexcept {
        while (busy_.test_and_set(std::memory_order_acquire))
            while (busy_.test(std::memory_order_relaxed)) {}
    }
    void unlock() noexcept { busy_.clear(std::memory_order_release); }

private:
    std::atomic_flag busy_;
};

} // namespace

/// Two words for each call, in an array behind a spinlock that the consumer takes whole; nobody sleeps.
static void post_limit(benchmark::State& state) {
    std::vector<call> calls;
    std::vector<call> taken;
    bench::measure(state, post_problem::posts, [&] {
        spinlock lock;
        std::size_t made = 0;
        std::thread poster([&] {
            for (std::size_t i = 0; i < post_problem::posts; ++i) {
                const std::lock_guard held(lock);
                calls.push_back({[](std::size_t& count) { ++count; }, &made});
            }
        });
        while (made < post_problem::posts) {
            {
                const std::lock_guard held(lock);
                taken.swap(calls);
            }
            for (const call& each : taken) each.make(*each.made);
            taken.clear();
        }
        poster.join();
    });
}
BENCHMARK(post_limit)->UseRealTime();

/// The plain way: a deque of std::function behind a mutex and a condition variable.
static void post_mutex_condition_variable(benchmark::State& state) {
    bench::measure(state, post_problem::posts, [] {
        std::mutex mutex;
        std::condition_variable given;
        std::deque<std::function<void()>> calls;
        std::size_t made = 0;
        std::thread poster([&] {
            for (std::size_t i = 0; i < post_problem::posts; ++i) {
                {
                    const std::lock_guard lock(mutex);
                    calls.emplace_back([&] { ++made; });
                }
                given.notify_one();
            }
        });
        while (made < post_problem::posts) {
            std::unique_lock lock(mutex);
            given.wait(lock, [&] { return !calls.empty(); });
            const std::function<void()> call = std::move(calls.front());
            calls.pop_front();
            lock.unlock();
            call();
        }
        poster.join();
        bench::check(made == post_problem::posts, "post");
    });
}
BENCHMARK(post_mutex_condition_variable)->UseRealTime();
