// SPDX-License-Identifier: BSL-1.0
#include <asynchio/debug/profiler.hpp>

#include <asynchio/debug/watchdog.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>

#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/message_of.hpp"
#include "support/sanitized.hpp"
#include "support/threads.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <map>
#include <memory>
#include <random>
#include <source_location>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

namespace aio = asynchio;
using asynchio_tests::contains;
using asynchio_tests::message_of;
using namespace std::chrono_literals;
using aio::debug::profiler;
using steady = std::chrono::steady_clock;

namespace {

std::chrono::nanoseconds processor_time() {
    timespec used{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

/// Uses this much of a processor.
void compute(std::chrono::nanoseconds how_long) {
    const auto end = processor_time() + how_long;
    while (processor_time() < end) asynchio_tests::take_a_moment(100);
}

/// Computes until there are more samples than `before`: on a loaded machine the kernel looks at its timers when it can.
void compute_until_sampled(const profiler& p, std::uint64_t before = 0) {
    const auto end = steady::now() + 15s;
    while (p.samples() <= before && steady::now() < end) compute(1ms);
}

aio::task<> threefold(std::chrono::nanoseconds unit) {
    compute(3 * unit);
    co_return;
}
aio::task<> single(std::chrono::nanoseconds unit) {
    compute(unit);
    co_return;
}
/// Two coroutines take turns for so long that no rhythm of the kernel's clock matters.
aio::task<> three_to_one(std::chrono::nanoseconds total) {
    static std::minstd_rand random(7);
    std::uniform_int_distribution<int> microseconds(100, 1'000);
    const auto end = processor_time() + total;
    while (processor_time() < end) {
        const std::chrono::microseconds unit(microseconds(random));
        co_await threefold(unit);
        co_await single(unit);
        co_await aio::yield();
    }
}

std::string table_of(const profiler& p) {
    std::ostringstream out;
    p.print(out);
    return out.str();
}

/// The folded stacks and their samples. @throws std::runtime_error for a line that is none.
std::map<std::string, std::uint64_t> folded(const profiler& p) {
    std::stringstream text;
    p.write_folded(text);
    std::map<std::string, std::uint64_t> found;
    for (std::string line; std::getline(text, line);) {
        const auto blank = line.rfind(' ');
        char* end = nullptr;
        const auto samples = blank == std::string::npos ? 0 : std::strtoull(line.c_str() + blank + 1, &end, 10);
        if (samples == 0 || *end != '\0' || !found.emplace(line.substr(0, blank), samples).second)
            throw std::runtime_error("not a folded stack: " + line);
    }
    return found;
}

/// The samples in stacks that end with a coroutine.
std::uint64_t samples_in(const profiler& p, const std::string& coroutine) {
    std::uint64_t sum = 0;
    for (const auto& [stack, samples] : folded(p))
        if (contains(stack.substr(stack.rfind(';') + 1), coroutine + " profiler.test.cpp:")) sum += samples;
    return sum;
}

} // namespace

TEST_CASE("profiler: it needs a running loop, and values in range") {
    CHECK(contains(message_of([] { const profiler p; }), "no running event loop"));
    aio::run([]() -> aio::task<> {
        CHECK_THROWS_AS(profiler({.frequency = 0}), std::invalid_argument);
        CHECK_THROWS_AS(profiler({.frequency = 10'001}), std::invalid_argument);
        CHECK(contains(message_of([] { const profiler p({.frequency = 0}); }), "the frequency"));
        CHECK_THROWS_AS(profiler({.stacks = 0}), std::invalid_argument);
        co_return;
    });
}

TEST_CASE("profiler: one that is refused takes no place") {
    aio::run([]() -> aio::task<> {
        for (int i = 0; i < 2'000; ++i) CHECK_THROWS_AS(profiler({.frequency = 0}), std::invalid_argument);
        std::vector<std::unique_ptr<profiler>> many;
        while (many.size() < 2'000 &&
               message_of([&] {
                   many.push_back(std::make_unique<profiler>(aio::debug::profiler_options{.stacks = 1}));
               }).empty()) {}
        CHECK(many.size() == 1'024);
        CHECK(contains(message_of([] { const profiler p; }), "there are more than 1024 in the process"));
        many.clear();
        const profiler p;
        co_return;
    });
}

TEST_CASE("profiler: it is started on its own thread") {
    aio::run([]() -> aio::task<> {
        profiler p;
        std::string refused;
        std::thread([&] { refused = message_of([&] { p.start(); }); }).join();
        CHECK(contains(refused, "profiler::start: it is called on the thread that made the profiler"));
        CHECK_FALSE(p.is_running());
        p.stop();
        co_return;
    });
}

TEST_CASE("profiler: without samples there is an empty table") {
    aio::run([]() -> aio::task<> {
        const profiler p;
        CHECK(p.samples() == 0);
        CHECK(p.dropped() == 0);
        CHECK(folded(p).empty());
        CHECK(table_of(p) == "   samples   share  coroutine and the line where its step began\n"
                             "0 samples in 0.00 s of the thread's processor time\n");
        co_return;
    });
}

TEST_CASE("profiler: its shares are those of the processor time", "[time]") {
    aio::run([]() -> aio::task<> {
        profiler p;
        p.start();
        CHECK(p.is_running());
        const auto begin = processor_time();
        const auto end = steady::now() + 60s;
        while (p.samples() < 600 && steady::now() < end) co_await three_to_one(50ms);
        const std::chrono::duration<double> used = processor_time() - begin;
        p.stop();
        INFO(table_of(p));
        const auto three = static_cast<double>(samples_in(p, "threefold"));
        const auto one = static_cast<double>(samples_in(p, "single"));
        const auto all = static_cast<double>(p.samples());
        CHECK(three / all > 0.65);
        CHECK(three / all < 0.85);
        CHECK(one / all > 0.15);
        CHECK(one / all < 0.35);
        CHECK(all <= 1.1 * 997 * used.count());
        const std::chrono::duration<double> counted = p.processor_time();
        CHECK(counted.count() > 0.5 * used.count());
        CHECK(counted.count() < 1.1 * used.count());
    });
}

TEST_CASE("profiler: a folded stack is a chain of coroutines, the outermost first", "[time]") {
    aio::run([]() -> aio::task<> {
        profiler p;
        p.start();
        while (samples_in(p, "single") == 0) co_await three_to_one(50ms);
        p.stop();
        std::uint64_t sum = 0;
        bool nested = false;
        for (const auto& [stack, samples] : folded(p)) {
            sum += samples;
            const auto outer = stack.find("three_to_one profiler.test.cpp:");
            const auto inner = stack.find("single profiler.test.cpp:");
            nested = nested || (outer != std::string::npos && inner != std::string::npos && outer < inner);
            CHECK(stack.find('\n') == std::string::npos);
        }
        CHECK(nested);
        CHECK(sum == p.samples());
    });
}

TEST_CASE("profiler: the table has most samples first", "[time]") {
    aio::run([]() -> aio::task<> {
        profiler p;
        p.start();
        const auto end = steady::now() + 60s;
        while (p.samples() < 50 && steady::now() < end) co_await three_to_one(50ms);
        p.stop();
        std::istringstream lines(table_of(p));
        std::string line;
        std::getline(lines, line);
        std::uint64_t before = ~std::uint64_t(0);
        std::uint64_t sum = 0;
        while (std::getline(lines, line) && contains(line, "%")) {
            const std::uint64_t samples = std::strtoull(line.c_str(), nullptr, 10);
            CHECK(samples <= before);
            before = samples;
            sum += samples;
        }
        CHECK(sum == p.samples());
        CHECK(line.starts_with(std::to_string(sum) + " samples in "));
        CHECK(line.ends_with(" s of the thread's processor time"));
        CHECK(contains(table_of(p), std::string("threefold ") + __FILE__ + ":"));
    });
}

TEST_CASE("profiler: stopped, it counts nothing; started again, it goes on", "[time]") {
    aio::run([]() -> aio::task<> {
        profiler p;
        compute(50ms);
        CHECK(p.samples() == 0);
        p.start();
        p.start();
        compute_until_sampled(p);
        p.stop();
        p.stop();
        const std::uint64_t before = p.samples();
        CHECK(before > 0);
        compute(50ms);
        CHECK(p.samples() == before);
        p.start();
        compute_until_sampled(p, before);
        CHECK(p.samples() > before);
        co_return;
    });
}

TEST_CASE("profiler: what calls and the loop use is told apart", "[time]") {
    aio::run([]() -> aio::task<> {
        profiler p;
        p.start();
        aio::get_running_loop().call_soon([&] { compute_until_sampled(p, 20); });
        co_await aio::sleep(0ms);
        co_await aio::sleep(0ms);
        p.stop();
        INFO(table_of(p));
        const auto stacks = folded(p);
        REQUIRE(stacks.count("(calls)") == 1);
        CHECK(stacks.at("(calls)") > 5 * (p.samples() - stacks.at("(calls)")));
        CHECK(contains(table_of(p), "  (calls)\n"));
    });
}

TEST_CASE("profiler: a thread that sleeps is not interrupted", "[time]") {
    aio::run([]() -> aio::task<> {
        profiler p;
        p.start();
        const auto begin = steady::now();
        const int result = ::usleep(300'000);
        CHECK(result == 0);
        CHECK(steady::now() - begin >= 300ms);
        p.stop();
        CHECK(p.samples() < 20);
        co_return;
    });
}

TEST_CASE("profiler: samples without room are counted as dropped", "[time]") {
    aio::run([]() -> aio::task<> {
        profiler p({.stacks = 1});
        p.start();
        while (p.dropped() == 0) co_await three_to_one(50ms);
        p.stop();
        CHECK(contains(table_of(p), std::to_string(p.dropped()) + " samples were dropped for room"));
        CHECK(folded(p).size() <= 3);
    });
}

TEST_CASE("profiler: the table of samples counts stacks, each for itself") {
    aio::debug::detail::sample_table table(3);
    const auto a = std::source_location::current();
    const auto b = std::source_location::current();
    const std::source_location stacks[][2] = {{a, b}, {b, a}, {a, a}};
    for (std::uint64_t round = 1; round <= 10; ++round)
        for (const auto& each : stacks) table.add(each, 2, round);
    table.add(stacks[0], 1, 5);
    CHECK(table.dropped() == 5);
    int found = 0;
    table.for_each([&](const std::source_location* lines, std::size_t depth, std::uint64_t samples) {
        ++found;
        CHECK(depth == 2);
        CHECK(samples == 55);
        CHECK((lines[0].line() == a.line() || lines[1].line() == a.line()));
    });
    CHECK(found == 3);
}

TEST_CASE("profiler: it outlives its loop and the thread", "[time]") {
    std::unique_ptr<profiler> p;
    std::thread([&] {
        aio::run([&]() -> aio::task<> {
            p = std::make_unique<profiler>();
            p->start();
            compute_until_sampled(*p);
            co_return;
        });
        compute(50ms);
    }).join();
    const std::uint64_t samples = p->samples();
    CHECK(samples > 0);
    compute(50ms);
    CHECK(p->samples() == samples);
    p.reset();
}

TEST_CASE("profiler: it goes along with a watchdog", "[time]") {
    std::atomic<int> reports = 0;
    aio::run([&]() -> aio::task<> {
        profiler p;
        p.start();
        const aio::debug::watchdog dog(50ms, [&](const aio::debug::stall_report&) { ++reports; });
        const auto end = steady::now() + 15s;
        while (reports == 0 && steady::now() < end) compute(1ms);
        compute_until_sampled(p);
        p.stop();
        CHECK(p.samples() > 0);
        co_return;
    });
    CHECK(reports == 1);
}

TEST_CASE("profiler: a child process that was forked meanwhile does not sample", "[time]") {
    int status = -1;
    aio::run([&]() -> aio::task<> {
        profiler p;
        p.start();
        status = asynchio_tests::status_in_child([&] {
            const std::uint64_t before = p.samples();
            compute(50ms);
            const bool silent = p.samples() == before;
            p.stop();
            return silent ? 7 : 8;
        });
        co_return;
    });
    CHECK(status == 7);
}

TEST_CASE("profiler: samples meet steps that begin, end and destroy tasks", "[time]") {
    const auto child = [](int n) -> aio::task<int> { co_return n; };
    const auto large = [](int n) -> aio::task<int> { // its frame is none of the pool's
        std::array<int, 1'000> many{};
        many[static_cast<std::size_t>(n) % many.size()] = n;
        co_await aio::yield();
        co_return many[static_cast<std::size_t>(n) % many.size()];
    };
    aio::run([&]() -> aio::task<> {
        profiler p({.frequency = 10'000});
        p.start();
        std::vector<aio::task_handle<int>> many;
        const auto end = processor_time() + 500ms;
        int n = 0;
        while (processor_time() < end || p.samples() == 0) {
            for (int i = 0; i < 500; ++i) {
                many.push_back(aio::create_task(child(++n)));
                many.push_back(aio::create_task(large(++n)));
            }
            for (auto& each : many) co_await each;
            many.clear();
        }
        p.stop();
        CHECK(p.samples() > 0);
        static_cast<void>(table_of(p));
    });
}
