// SPDX-License-Identifier: BSL-1.0

// processors JOB WAY OPERATIONS: computing on all cores. saxpy: y = a x + y of four million floats, bound by the memory;
// uneven: 20,000 calls, of which each takes another time, together some 100 ms of one core.

#include "neighbours/timed.hpp"

#include <asynchio.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#if __has_include(<tbb/version.h>)
#include <execution>
#endif

namespace aio = asynchio;

namespace {

constexpr std::size_t floats = 4'000'000;
constexpr std::size_t calls = 20'000;

std::uint32_t work(std::size_t i) {
    std::uint32_t state = static_cast<std::uint32_t>(i);
    for (std::size_t left = i % 97 * i % 89 * 25; left > 0; --left) state = state * 1'664'525u + 1'013'904'223u;
    return state | 1U;
}

/// Calls `f(i)` for each number below `count`.
template<class F>
void by_threads(std::size_t count, std::size_t chunk, F f) {
    std::atomic<std::size_t> next = 0;
    std::vector<std::thread> all;
    for (unsigned t = std::thread::hardware_concurrency(); t > 0; --t)
        all.emplace_back([&] {
            for (;;) {
                const std::size_t begin = next.fetch_add(chunk, std::memory_order_relaxed);
                if (begin >= count) return;
                const std::size_t end = std::min(begin + chunk, count);
                for (std::size_t i = begin; i < end; ++i) f(i);
            }
        });
    for (std::thread& each : all) each.join();
}

template<class F>
void once(const std::string& way, std::size_t count, std::size_t chunk, F f) {
    if (way == "alone")
        for (std::size_t i = 0; i < count; ++i) f(i);
    else if (way == "threads")
        by_threads(count, chunk, f);
#if defined(_OPENMP)
    else if (way == "openmp") {
#pragma omp parallel for schedule(dynamic, chunk)
        for (std::size_t i = 0; i < count; ++i) f(i);
    }
#endif
#if __has_include(<tbb/version.h>)
    else if (way == "execution") {
        static std::vector<std::size_t> numbers = [count] {
            std::vector<std::size_t> made(count);
            std::iota(made.begin(), made.end(), std::size_t(0));
            return made;
        }();
        std::for_each(std::execution::par, numbers.begin(), numbers.end(), f);
    }
#endif
    else
        neighbours::expect(false, "the way");
}

template<class F>
aio::task<> in_loop(std::size_t rounds, std::size_t count, F f) {
    for (std::size_t r = 0; r < rounds; ++r) co_await aio::parallel_for(std::size_t(0), count, f);
}

template<class F>
void all_rounds(const std::string& way, std::size_t rounds, std::size_t count, std::size_t chunk, F f) {
    once("threads", count, chunk, f); // touches the memory
    neighbours::timed(rounds, [&] {
        if (way == "asynchio")
            aio::run(in_loop(rounds, count, f));
        else
            for (std::size_t r = 0; r < rounds; ++r) once(way, count, chunk, f);
    });
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    const std::string way = argv[2];
    const std::size_t rounds = std::strtoul(argv[3], nullptr, 10);
    if (std::string(argv[1]) == "saxpy") {
        std::vector<float> x(floats, 2), y(floats, 0);
        const auto saxpy = [x = x.data(), y = y.data()](std::size_t i) { y[i] = 0.5f * x[i] + y[i]; };
        all_rounds(way, rounds, floats, 62'500, saxpy);
        neighbours::expect(y[0] == static_cast<float>(rounds + 1) && y.back() == y[0], "saxpy");
    } else {
        std::vector<std::uint32_t> made(calls);
        const auto fill = [made = made.data()](std::size_t i) { made[i] = work(i); };
        all_rounds(way, rounds, calls, 312, fill);
        neighbours::expect(std::count(made.begin(), made.end(), 0U) == 0, "uneven");
    }
}
