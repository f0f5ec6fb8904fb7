// SPDX-License-Identifier: BSL-1.0
#include "threadsafe_queue/problem.hpp"

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>

using namespace threadsafe_queue_problem;

namespace {

/// A mutex and two condition variables: what one writes by hand between threads.
class plain_queue {
public:
    explicit plain_queue(std::size_t capacity) : capacity_(capacity) {}

    void put(std::uint64_t item) {
        {
            std::unique_lock lock(mutex_);
            room_.wait(lock, [this] { return items_.size() < capacity_; });
            items_.push_back(item);
        }
        any_.notify_one();
    }
    std::uint64_t get() {
        std::uint64_t item = 0;
        {
            std::unique_lock lock(mutex_);
            any_.wait(lock, [this] { return !items_.empty(); });
            item = items_.front();
            items_.pop_front();
        }
        room_.notify_one();
        return item;
    }

private:
    std::mutex mutex_;
    std::condition_variable any_;
    std::condition_variable room_;
    std::deque<std::uint64_t> items_;
    const std::size_t capacity_;
};

} // namespace

static void thread_to_thread_condition_variables(benchmark::State& state) {
    const auto capacity = static_cast<std::size_t>(state.range(0));
    const std::size_t number = items(capacity);
    plain_queue shared(capacity);
    bench::measure(state, number, [&] {
        std::thread other([&] {
            for (std::uint64_t i = 0; i < number; ++i) shared.put(i);
        });
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i < number; ++i) sum += shared.get();
        other.join();
        check(sum, number);
    });
}
BENCHMARK(thread_to_thread_condition_variables)->Apply(capacities);
