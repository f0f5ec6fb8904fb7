// SPDX-License-Identifier: BSL-1.0
#include "to_thread/problem.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <future>
#include <mutex>
#include <thread>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/// One worker behind a mutex and a condition variable, which answers through an eventfd.
static void to_thread_limit_eventfd(benchmark::State& state) {
    std::mutex mutex;
    std::condition_variable given;
    int jobs = 0;
    bool over = false;
    const int answers = ::eventfd(0, EFD_NONBLOCK);
    std::thread worker([&] {
        std::unique_lock lock(mutex);
        for (;;) {
            given.wait(lock, [&] { return jobs > 0 || over; });
            if (jobs == 0) return;
            --jobs;
            lock.unlock();
            const std::uint64_t one = 1;
            bench::check(::write(answers, &one, sizeof one) == sizeof one, "eventfd");
            lock.lock();
        }
    });
    bench::measure(state, to_thread_problem::calls, [&] {
        std::uint64_t all = 0;
        for (std::size_t i = 0; i < to_thread_problem::calls; ++i) {
            {
                const std::lock_guard lock(mutex);
                ++jobs;
            }
            given.notify_one();
            pollfd wait{answers, POLLIN, 0};
            ::poll(&wait, 1, -1);
            std::uint64_t got = 0;
            if (::read(answers, &got, sizeof got) == sizeof got) all += got;
        }
        to_thread_problem::check(all);
    });
    {
        const std::lock_guard lock(mutex);
        over = true;
    }
    given.notify_one();
    worker.join();
    ::close(answers);
}
BENCHMARK(to_thread_limit_eventfd)->UseRealTime();

/// Two threads that spin on two words.
static void to_thread_limit_spinning(benchmark::State& state) {
    std::atomic<std::size_t> asked = 0;
    std::atomic<std::size_t> answered = 0;
    std::atomic<bool> over = false;
    std::thread worker([&] {
        for (std::size_t seen = 0; !over.load(std::memory_order_relaxed);)
            if (asked.load(std::memory_order_acquire) != seen) answered.store(++seen, std::memory_order_release);
    });
    std::size_t turn = 0;
    bench::measure(state, to_thread_problem::calls, [&] {
        for (std::size_t i = 0; i < to_thread_problem::calls; ++i) {
            asked.store(++turn, std::memory_order_release);
            while (answered.load(std::memory_order_acquire) != turn) {}
        }
        to_thread_problem::check(to_thread_problem::calls);
    });
    over = true;
    worker.join();
}
BENCHMARK(to_thread_limit_spinning)->UseRealTime();

static void to_thread_std_async(benchmark::State& state) {
    bench::measure(state, to_thread_problem::calls, [] {
        std::size_t answer = 0;
        for (std::size_t i = 0; i < to_thread_problem::calls; ++i)
            answer += std::async(std::launch::async, [] { return std::size_t(1); }).get();
        to_thread_problem::check(answer);
    });
}
BENCHMARK(to_thread_std_async)->UseRealTime();
