// SPDX-License-Identifier: BSL-1.0
#include "queue/problem.hpp"

#include <condition_variable>
#include <deque>
#include <limits>
#include <mutex>
#include <thread>

namespace {

class blocking_queue {
public:
    explicit blocking_queue(std::size_t capacity)
        : limit_(capacity != 0 ? capacity : std::numeric_limits<std::size_t>::max()) {}

    void put(std::size_t value) {
        std::unique_lock lock(mutex_);
        not_full_.wait(lock, [this] { return items_.size() < limit_; });
        items_.push_back(value);
        lock.unlock();
        not_empty_.notify_one();
    }
    std::size_t get() {
        std::unique_lock lock(mutex_);
        not_empty_.wait(lock, [this] { return !items_.empty(); });
        const std::size_t value = items_.front();
        items_.pop_front();
        lock.unlock();
        not_full_.notify_one();
        return value;
    }

private:
    std::mutex mutex_;
    std::condition_variable not_full_;
    std::condition_variable not_empty_;
    std::deque<std::size_t> items_;
    std::size_t limit_;
};

} // namespace

/// Two threads and what the standard library has: fewer items, since each may cost a switch of threads.
static void queue_two_threads(benchmark::State& state) {
    constexpr std::size_t items = 100'000;
    bench::measure(state, items, [&] {
        blocking_queue queue(static_cast<std::size_t>(state.range(0)));
        std::thread producer([&] {
            for (std::size_t i = 0; i < items; ++i) queue.put(i);
        });
        std::size_t sum = 0;
        for (std::size_t i = 0; i < items; ++i) sum += queue.get();
        producer.join();
        bench::check(sum == items * (items - 1) / 2, "queue");
    });
}
BENCHMARK(queue_two_threads)->Arg(1)->Arg(128)->Arg(0)->UseRealTime();
