// SPDX-License-Identifier: BSL-1.0

// hot_paths PATH COUNT: does one thing COUNT times, for check_instructions.py, which counts the instructions of one.

#include <asynchio.hpp>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace aio = asynchio;
using aio::task;
using namespace std::chrono_literals;

namespace {

// Not inlined into what awaits them, as functions of other files are not.
[[gnu::noinline]] task<std::size_t> ready(std::size_t x) { co_return x; }
[[gnu::noinline]] task<std::size_t> nested(std::size_t depth) {
    if (depth == 0) co_return std::size_t(0);
    const std::size_t below = co_await nested(depth - 1);
    co_return below + 1;
}
[[gnu::noinline]] task<> count(std::size_t& done) {
    ++done;
    co_return;
}

task<std::size_t> awaits(std::size_t n) {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += co_await ready(1);
    co_return sum;
}

task<std::size_t> recursive_awaits(std::size_t n) {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < n / 100; ++i) sum += co_await nested(100);
    co_return sum;
}

task<std::size_t> yields(std::size_t n) {
    std::size_t done = 0;
    auto yielding = [&done](std::size_t times) -> task<> {
        for (std::size_t i = 0; i < times; ++i) {
            co_await aio::yield();
            ++done;
        }
    };
    std::vector<task<>> hundred;
    for (int i = 0; i < 100; ++i) hundred.push_back(yielding(n / 100));
    co_await aio::gather(std::move(hundred));
    co_return done;
}

task<std::size_t> spawns(std::size_t n) {
    std::size_t done = 0;
    for (std::size_t round = 1; round <= n / 100; ++round) {
        for (int i = 0; i < 100; ++i) aio::create_task(count(done));
        while (done < round * 100) co_await aio::yield();
    }
    co_return done;
}

task<std::size_t> gathers(std::size_t n) {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < n / 10; ++i) {
        const auto ten = co_await aio::gather(ready(1), ready(1), ready(1), ready(1), ready(1), ready(1), ready(1),
                                              ready(1), ready(1), ready(1));
        std::apply([&sum](auto... each) { sum += (each + ...); }, ten);
    }
    co_return sum;
}

task<std::size_t> gathers_of_ranges(std::size_t n) {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < n / 1000; ++i) {
        std::vector<task<std::size_t>> thousand;
        thousand.reserve(1000);
        for (int k = 0; k < 1000; ++k) thousand.push_back(ready(1));
        const auto results = co_await aio::gather(std::move(thousand));
        for (const std::size_t each : results) sum += each;
    }
    co_return sum;
}

task<std::size_t> wakes_by_future(std::size_t n) {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
        aio::future<std::size_t> result;
        aio::get_running_loop().call_soon([result] { result.set_result(std::size_t(1)); });
        sum += co_await result;
    }
    co_return sum;
}

task<std::size_t> sets_events(std::size_t n) {
    aio::event ping;
    aio::event pong;
    std::size_t done = 0;
    auto other = [&]() -> task<> {
        for (std::size_t i = 0; i < n; ++i) {
            co_await ping.wait();
            ping.clear();
            pong.set();
        }
    };
    auto one = [&]() -> task<> {
        for (std::size_t i = 0; i < n; ++i) {
            ping.set();
            co_await pong.wait();
            pong.clear();
            ++done;
        }
    };
    co_await aio::gather(other, one);
    co_return done;
}

task<std::size_t> locks(std::size_t n) {
    aio::mutex mutex;
    std::size_t done = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const auto guard = co_await mutex.scoped_acquire();
        ++done;
    }
    co_return done;
}

task<std::size_t> passes_items(std::size_t n) {
    aio::queue<std::size_t> queue(128);
    std::size_t sum = 0;
    auto producer = [&]() -> task<> {
        for (std::size_t i = 0; i < n; ++i) co_await queue.put(std::size_t(1));
    };
    auto consumer = [&]() -> task<> {
        for (std::size_t i = 0; i < n; ++i) sum += co_await queue.get();
    };
    co_await aio::gather(producer, consumer);
    co_return sum;
}

task<std::size_t> cancels_timers(std::size_t n) {
    std::size_t done = 0;
    for (std::size_t i = 0; i < n; ++i) {
        auto timer = aio::get_running_loop().call_later(1h, [] {});
        timer.cancel();
        ++done;
    }
    co_return done;
}

using path = task<std::size_t> (*)(std::size_t);
const std::map<std::string, path> paths = {
    {"await", awaits},
    {"recursive await", recursive_awaits},
    {"yield", yields},
    {"spawn and join", spawns},
    {"gather of ten", gathers},
    {"gather of a range", gathers_of_ranges},
    {"wake-up by a future", wakes_by_future},
    {"event", sets_events},
    {"mutex", locks},
    {"queue", passes_items},
    {"set and cancel a timer", cancels_timers},
};

} // namespace

int main(int count, char** arguments) {
    if (count == 1) { // says what there is
        for (const auto& each : paths) std::puts(each.first.c_str());
        return 0;
    }
    const auto found = paths.find(arguments[1]);
    const std::size_t n = count == 3 ? std::strtoull(arguments[2], nullptr, 10) : 0;
    if (found == paths.end() || n == 0 || n % 1000 != 0) {
        std::fputs("usage: hot_paths [PATH COUNT], COUNT a multiple of 1000; without, lists the paths\n", stderr);
        return 2;
    }
    if (aio::run(found->second(n)) != n) {
        std::fputs("wrong answer\n", stderr);
        return 1;
    }
}
