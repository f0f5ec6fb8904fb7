// SPDX-License-Identifier: BSL-1.0
#include "support/limit.hpp"
#include "queue/problem.hpp"

#include <vector>

namespace {

/// One producer, one consumer, numbers in a ring.
class ring {
public:
    explicit ring(std::size_t capacity) : limit_(capacity), numbers_(capacity) {}

    struct put {
        ring& r;
        std::size_t value;

        bool await_ready() const noexcept { return r.end_ - r.first_ < r.limit_; }
        void await_suspend(std::coroutine_handle<limit::detached::promise_type> self) const noexcept {
            r.putter_ = &self.promise();
        }
        void await_resume() const noexcept {
            r.numbers_[r.end_++ & (r.limit_ - 1)] = value;
            if (r.getter_ != nullptr) limit::ready.push(*std::exchange(r.getter_, nullptr));
        }
    };
    struct get {
        ring& r;

        bool await_ready() const noexcept { return r.end_ != r.first_; }
        void await_suspend(std::coroutine_handle<limit::detached::promise_type> self) const noexcept {
            r.getter_ = &self.promise();
        }
        std::size_t await_resume() const noexcept {
            const std::size_t value = r.numbers_[r.first_++ & (r.limit_ - 1)];
            if (r.putter_ != nullptr) limit::ready.push(*std::exchange(r.putter_, nullptr));
            return value;
        }
    };

private:
    std::size_t limit_;
    std::vector<std::size_t> numbers_;
    std::size_t first_ = 0;
    std::size_t end_ = 0;
    limit::item* putter_ = nullptr;
    limit::item* getter_ = nullptr;
};

limit::detached produce(ring& r) {
    for (std::size_t i = 0; i < queue_problem::items; ++i) co_await ring::put{r, i};
}

limit::detached consume(ring& r, std::size_t& sum) {
    for (std::size_t i = 0; i < queue_problem::items; ++i) sum += co_await ring::get{r};
}

} // namespace

static void queue_limit(benchmark::State& state) {
    const auto capacity = static_cast<std::size_t>(state.range(0));
    ring r(capacity != 0 ? capacity : std::size_t(1) << 20);
    bench::measure(state, queue_problem::items, [&] {
        std::size_t running = 0;
        std::size_t sum = 0;
        produce(r).start(running);
        consume(r, sum).start(running);
        limit::ready.run();
        queue_problem::check(sum);
    });
}
BENCHMARK(queue_limit)->Arg(1)->Arg(128)->Arg(0);
