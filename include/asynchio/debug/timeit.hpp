// SPDX-License-Identifier: BSL-1.0
#pragma once

// How long a call takes: asyncio programs ask Python's timeit.

#include <asynchio/core/detail/functional.hpp>
#include <asynchio/core/detail/trivial_vector.hpp>
#include <asynchio/loop/clock.hpp>

#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <stdexcept>

#pragma GCC visibility push(default)

namespace asynchio::debug {

/// How long a call took, in several repetitions. It is a value.
///
/// Threads: any, as for values.
/// See also: timeit.
struct timing {
    /// The time of one call in the fastest repetition: what the call takes when nothing else disturbs it.
    std::chrono::duration<double> least{0};
    /// The time of one call in the middle one.
    std::chrono::duration<double> median{0};
    /// How much longer than in the fastest repetition a call took in the slowest one.
    std::chrono::duration<double> spread{0};
    /// How many calls each repetition made.
    std::size_t calls = 0;
};

/// Measures a call. It is repeated in batches that last for 20 milliseconds or longer, so that the clock does not count.
///
/// @param f a callable without arguments; what it returns is dropped. @param repeats how many batches it measures, at
/// least 1.
/// @return the time of one call. @throws the exception of a call; std::invalid_argument for no repetitions.
/// Threads: any. Inside a task it holds up the loop, as every call does.
/// Cost: `repeats` times 20 milliseconds, or calls.
/// Differs from Python: it finds the number of calls itself, and returns median and spread, too.
/// Example: `std::cout << aio::debug::timeit([] { parse(text); }).least.count();`
template<class F>
timing timeit(F&& f, std::size_t repeats = 5) {
    if (repeats == 0) throw std::invalid_argument("timeit: the number of repetitions must be at least 1");
    constexpr double long_enough = 20e6;
    const auto measure = [&f](std::size_t calls) {
        const auto begin = asynchio::detail::steady_now();
        for (std::size_t i = 0; i < calls; ++i) static_cast<void>(asynchio::detail::invoke(f));
        return static_cast<double>(asynchio::detail::steady_now() - begin);
    };
    timing result;
    result.calls = 1;
    for (double took = measure(1); took < long_enough; took = measure(result.calls))
        result.calls *= took < 1e6 ? 10 : 2;

    asynchio::detail::trivial_vector<double> batches;
    for (std::size_t i = 0; i < repeats; ++i)
        batches.push_back(measure(result.calls) / static_cast<double>(result.calls));
    std::qsort(batches.data(), batches.size(), sizeof(double), [](const void* a, const void* b) {
        const double left = *static_cast<const double*>(a);
        const double right = *static_cast<const double*>(b);
        return left < right ? -1 : left > right ? 1 : 0;
    });
    using nanoseconds = std::chrono::duration<double, std::nano>;
    result.least = nanoseconds(batches[0]);
    result.median = nanoseconds((batches[(repeats - 1) / 2] + batches[repeats / 2]) / 2);
    result.spread = nanoseconds(batches[repeats - 1] - batches[0]);
    return result;
}

} // namespace asynchio::debug

#pragma GCC visibility pop
