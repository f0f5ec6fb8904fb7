// SPDX-License-Identifier: BSL-1.0
#include "support/limit.hpp"
#include "generator/problem.hpp"

using generator_problem::n;

namespace {

/// The least a generator can do: one coroutine, one pointer to the item.
struct stream {
    struct promise_type {
        const long* item = nullptr;

        static void* operator new(std::size_t size) { return limit::frames::take(size); }
        static void operator delete(void* address, std::size_t size) noexcept { limit::frames::give(address, size); }
        stream get_return_object() noexcept { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
        static std::suspend_always initial_suspend() noexcept { return {}; }
        static std::suspend_always final_suspend() noexcept { return {}; }
        std::suspend_always yield_value(const long& value) noexcept {
            item = &value;
            return {};
        }
        static void return_void() noexcept {}
        [[noreturn]] static void unhandled_exception() noexcept { std::abort(); }
    };
    std::coroutine_handle<promise_type> body;
};

/// A stream that hands over to and from its consumer by symmetric transfer.
struct async_stream {
    struct promise_type : limit::promise_base {
        const long* item = nullptr;

        async_stream get_return_object() noexcept { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
        struct hand_over {
            bool await_ready() const noexcept { return false; }
            std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> self) const noexcept {
                return self.promise().continuation;
            }
            void await_resume() const noexcept {}
        };
        hand_over yield_value(const long& value) noexcept {
            item = &value;
            return {};
        }
        void return_void() noexcept { item = nullptr; }
    };
    std::coroutine_handle<promise_type> body;

    struct next {
        std::coroutine_handle<promise_type> body;
        bool await_ready() const noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<> asking) const noexcept {
            body.promise().continuation = asking;
            return body;
        }
        const long* await_resume() const noexcept { return body.promise().item; }
    };
};

} // namespace

[[gnu::noinline]] static stream count(long end) {
    for (long i = 0; i < end; ++i) co_yield i;
}

static void generator_limit(benchmark::State& state) {
    bench::measure(state, n, [] {
        long sum = 0;
        const stream numbers = count(n);
        for (numbers.body.resume(); !numbers.body.done(); numbers.body.resume()) sum += *numbers.body.promise().item;
        numbers.body.destroy();
        generator_problem::check(sum);
    });
}
BENCHMARK(generator_limit);

/// What a loop calls to get the next number when there is no coroutine.
struct counter {
    long at = 0;
    [[gnu::noinline]] const long* next(long end) noexcept {
        if (at == end) return nullptr;
        item = at++;
        return &item;
    }
    long item = 0;
};

static void generator_limit_hand_written_iterator(benchmark::State& state) {
    bench::measure(state, n, [] {
        long sum = 0;
        counter numbers;
        while (const long* item = numbers.next(n)) sum += *item;
        generator_problem::check(sum);
    });
}
BENCHMARK(generator_limit_hand_written_iterator);

[[gnu::noinline]] static async_stream count_async(long end) {
    for (long i = 0; i < end; ++i) co_yield i;
}

static limit::detached consume() {
    long sum = 0;
    const async_stream numbers = count_async(n);
    while (const long* item = co_await async_stream::next{numbers.body}) sum += *item;
    numbers.body.destroy();
    generator_problem::check(sum);
}

static void async_generator_limit(benchmark::State& state) {
    bench::measure(state, n, [] {
        std::size_t running = 0;
        consume().start(running);
        limit::ready.run();
    });
}
BENCHMARK(async_generator_limit);

static limit::detached begin_and_end() {
    for (long i = 0; i < n; ++i) {
        const async_stream numbers = count_async(1);
        while (const long* item = co_await async_stream::next{numbers.body}) bench::check(*item == 0, "generator");
        numbers.body.destroy();
    }
}

static void async_generator_limit_one_item(benchmark::State& state) {
    bench::measure(state, n, [] {
        std::size_t running = 0;
        begin_and_end().start(running);
        limit::ready.run();
    });
}
BENCHMARK(async_generator_limit_one_item);
