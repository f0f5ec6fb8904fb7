// SPDX-License-Identifier: BSL-1.0
#include "post/problem.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace {

struct node {
    node* next;
    std::size_t* made;
};

} // namespace

/// A stack of nodes, each an allocation, that the consumer takes whole; it spins when there is nothing.
static void post_limit(benchmark::State& state) {
    bench::measure(state, post_problem::posts, [] {
        std::atomic<node*> head = nullptr;
        std::size_t made = 0;
        std::thread poster([&] {
            for (std::size_t i = 0; i < post_problem::posts; ++i) {
                node* made_here = new node{head.load(std::memory_order_relaxed), &made};
                while (!head.compare_exchange_weak(made_here->next, made_here, std::memory_order_release,
                                                   std::memory_order_relaxed)) {}
            }
        });
        while (made < post_problem::posts) {
            for (node* each = head.exchange(nullptr, std::memory_order_acquire); each != nullptr;) {
                node* next = each->next;
                ++*each->made;
                delete each;
                each = next;
            }
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
