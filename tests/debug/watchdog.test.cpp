// SPDX-License-Identifier: BSL-1.0
#include <asynchio/debug/watchdog.hpp>

// covers: debug/stall_report.hpp debug/watchdog_options.hpp debug/detail/watch.hpp
#include <asynchio/debug/stall_report.hpp>
#include <asynchio/debug/watchdog_options.hpp>

#include <asynchio/combine/gather.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>

#include "support/captured_stderr.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/message_of.hpp"
#include "support/sanitized.hpp"
#include "support/threads.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <coroutine>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <dlfcn.h>
#include <link.h>
#include <unistd.h>
#include <unwind.h>

namespace aio = asynchio;
using asynchio_tests::contains;
using asynchio_tests::message_of;
using namespace std::chrono_literals;
using aio::debug::stall_report;
using aio::debug::watchdog;
using steady = std::chrono::steady_clock;

namespace asynchio_tests {

/// The reports of one watchdog or several, which other threads wait for.
class stall_reports {
public:
    void operator()(const stall_report& report) {
        const std::lock_guard lock(mutex_);
        all_.push_back(report);
        ++count_;
    }
    int count() const noexcept { return count_; }
    stall_report at(std::size_t index) const {
        const std::lock_guard lock(mutex_);
        return all_.at(index);
    }
    /// What a watchdog calls.
    auto handler() {
        return [this](const stall_report& report) { (*this)(report); };
    }

private:
    mutable std::mutex mutex_;
    std::vector<stall_report> all_;
    std::atomic<int> count_ = 0;
};

/// Computes for `least`, and until `enough()`, for 15 s at most. Its name is what reports have to show.
template<class F>
[[gnu::always_inline]] inline void keep_busy(std::chrono::milliseconds least, F enough) {
    const auto begin = steady::now();
    while (steady::now() - begin < least || (!enough() && steady::now() - begin < 15s)) take_a_moment(1'000);
}
[[gnu::noinline]] void compute_until(const stall_reports& reports, int count) {
    keep_busy(300ms, [&] { return reports.count() >= count; });
}
[[gnu::noinline]] void compute_for(std::chrono::milliseconds least) {
    keep_busy(least, [] { return true; });
}
[[gnu::noinline]] int sleep_in_kernel(useconds_t microseconds) {
    const int result = ::usleep(microseconds);
    take_a_moment(1); // the call is no tail call
    return result;
}

} // namespace asynchio_tests

namespace {

using asynchio_tests::compute_for;
using asynchio_tests::compute_until;
using asynchio_tests::sleep_in_kernel;
using asynchio_tests::stall_reports;

/// Whether a report names `function`, or has its module and offset where the program exports no symbols.
bool names(const stall_report& report, const char* name, const void* function) {
    Dl_info info{};
    void* extra = nullptr;
    ::dladdr1(function, &info, &extra, RTLD_DL_LINKMAP);
    const auto base = static_cast<const link_map*>(extra)->l_addr;
    return std::any_of(report.functions.begin(), report.functions.end(), [&](const std::string& each) {
        if (each.ends_with(name)) return true;
        const auto at = each.find("+0x");
        if (at == std::string::npos || !contains(each, "(addr2line -Cfie /")) return false;
        const auto offset = std::strtoull(each.c_str() + at + 1, nullptr, 16);
        return _Unwind_FindEnclosingFunction(reinterpret_cast<void*>(base + offset)) == function;
    });
}
bool names_compute_until(const stall_report& report) {
    return names(report, "compute_until", reinterpret_cast<const void*>(&compute_until));
}

std::atomic<unsigned> line_of_step = 0; // two loops write it
unsigned line_of_wait = 0;

/// More than a loaded machine keeps a thread waiting for a processor.
constexpr auto limit = 100ms;

aio::task<> stalls(stall_reports& reports, int count = 1) {
    line_of_step = __LINE__ + 1;
    co_await aio::yield();
    compute_until(reports, count);
}
aio::task<> waits_for_stall(stall_reports& reports) {
    line_of_wait = __LINE__ + 1;
    co_await stalls(reports);
}

/// An awaitable that is no task, and computes when its wait is over.
class stalls_at_end final : public aio::suspension {
public:
    explicit stalls_at_end(stall_reports& reports) : reports_(reports) {}
    stalls_at_end(stalls_at_end&& other) noexcept : reports_(other.reports_) {}
    static bool await_ready() noexcept { return false; }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> coroutine) {
        park(coroutine, std::source_location::current());
        wake();
    }
    void await_resume() {
        compute_until(reports_, 1);
        resumed();
    }

private:
    stall_reports& reports_;
};

/// Keeps the signal of the watchdog from this thread while it lives.
class signal_blocked {
public:
    signal_blocked() { set(SIG_BLOCK); }
    signal_blocked(const signal_blocked&) = delete;
    signal_blocked& operator=(const signal_blocked&) = delete;
    ~signal_blocked() { set(SIG_UNBLOCK); }

private:
    static void set(int how) {
        sigset_t one;
        sigemptyset(&one);
        sigaddset(&one, aio::debug::detail::probe::signal_number());
        pthread_sigmask(how, &one, nullptr);
    }
};

aio::task<> watched(stall_reports& reports) {
    const watchdog dog(limit, reports.handler());
    co_await aio::create_task(waits_for_stall(reports), "a slow one");
}

} // namespace

TEST_CASE("watchdog: it needs a running loop, and a limit") {
    CHECK_THROWS_AS(watchdog(), std::logic_error);
    CHECK(contains(message_of([] { const watchdog dog; }), "no running event loop"));
    aio::run([]() -> aio::task<> {
        CHECK_THROWS_AS(watchdog(0ms), std::invalid_argument);
        CHECK_THROWS_AS(watchdog(-1s), std::invalid_argument);
        CHECK(contains(message_of([] { const watchdog dog(0ms); }), "the limit"));
        CHECK_THROWS_AS(watchdog(1s, std::function<void(const stall_report&)>()), std::invalid_argument);
        co_return;
    });
}

TEST_CASE("watchdog: a loop has one, and another one afterwards") {
    aio::run([]() -> aio::task<> {
        {
            const watchdog dog(1h);
            CHECK(contains(message_of([] { const watchdog second; }), "has a watchdog already"));
            CHECK_THROWS_AS(watchdog(), std::logic_error);
        }
        const watchdog next(1h);
        co_return;
    });
}

TEST_CASE("watchdog: its end does not wait for the limit") {
    const auto begin = steady::now();
    aio::run([]() -> aio::task<> {
        const watchdog dog(1h);
        co_return;
    });
    CHECK(steady::now() - begin < 10s);
}

TEST_CASE("watchdog: code that computes is named, with the task and the lines at which it awaits", "[time]") {
    stall_reports reports;
    aio::run(watched(reports));
    REQUIRE(reports.count() == 1);
    const stall_report report = reports.at(0);
    INFO(report.to_string());
    CHECK(report.what == "a slow one");
    CHECK(report.late >= limit);
    CHECK(report.system_call.empty());
    CHECK(report.left_out == 0);
    CHECK(names_compute_until(report));
    REQUIRE(report.awaits.size() == 2);
    CHECK(report.awaits[0].line() == line_of_wait);
    CHECK(report.awaits[1].line() == line_of_step);
    const std::string text = report.to_string();
    CHECK(contains(text, "asynchio: a slow one has held up the loop for "));
    CHECK(contains(text, "waits_for_stall " __FILE__ ":" + std::to_string(line_of_wait) + "\n"));
    CHECK(text.ends_with("\n"));
}

TEST_CASE("watchdog: a task without a name is told by its number", "[time]") {
    stall_reports reports;
    aio::run([&]() -> aio::task<> {
        const watchdog dog(limit, reports.handler());
        compute_until(reports, 1);
        co_return;
    });
    REQUIRE(reports.count() == 1);
    CHECK(reports.at(0).what == "Task-1");
    CHECK(names_compute_until(reports.at(0)));
}

TEST_CASE("watchdog: a system call is named, and not cut short", "[time]") {
    stall_reports reports;
    int result = -1;
    steady::duration slept{};
    aio::run([&]() -> aio::task<> {
        const watchdog dog(limit, reports.handler());
        co_await aio::create_task(
            [&]() -> aio::task<> {
                const auto begin = steady::now();
                result = sleep_in_kernel(300'000);
                slept = steady::now() - begin;
                co_return;
            }(),
            "sleeper");
    });
    CHECK(result == 0);
    CHECK(slept >= 300ms);
    REQUIRE(reports.count() == 1);
    INFO(reports.at(0).to_string());
    CHECK(contains(reports.at(0).system_call, "nanosleep("));
    CHECK(reports.at(0).what == "sleeper");
    CHECK(reports.at(0).awaits.size() == 1);
    CHECK(reports.at(0).functions.empty());
    CHECK(contains(reports.at(0).to_string(), "sleeper has held up the loop for "));
}

TEST_CASE("watchdog: a system call is named with its descriptor", "[time]") {
    stall_reports reports;
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    std::thread writer;
    ::ssize_t written = 0;
    aio::run([&]() -> aio::task<> {
        const watchdog dog(limit, reports.handler());
        writer = std::thread([&] {
            const auto end = steady::now() + 15s;
            while (reports.count() == 0 && steady::now() < end) std::this_thread::yield();
            written = ::write(ends[1], "x", 1);
        });
        char got = 0;
        CHECK(::read(ends[0], &got, 1) == 1);
        co_return;
    });
    writer.join();
    CHECK(written == 1);
    REQUIRE(reports.count() == 1);
    INFO(reports.at(0).system_call);
    CHECK(reports.at(0).system_call.starts_with("read(" + std::to_string(ends[0]) + " pipe:["));
    CHECK(reports.at(0).system_call.ends_with(", 1)"));
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST_CASE("watchdog: on request, a system call is interrupted to name the function that made it", "[time]") {
    stall_reports reports;
    aio::run([&]() -> aio::task<> {
        const watchdog dog(limit, reports.handler(), {.interrupt_system_calls = true});
        const auto end = steady::now() + 15s;
        while (reports.count() == 0 && steady::now() < end) sleep_in_kernel(300'000);
        co_return;
    });
    REQUIRE(reports.count() == 1);
    INFO(reports.at(0).to_string());
    CHECK(names(reports.at(0), "sleep_in_kernel", reinterpret_cast<const void*>(&sleep_in_kernel)));
    CHECK(reports.at(0).what == "Task-1");
}

TEST_CASE("watchdog: a loop that sleeps is not reported, and not woken", "[time]") {
    stall_reports reports;
    std::uint64_t iterations[2] = {};
    for (const bool watches : {false, true})
        aio::run([&]() -> aio::task<> {
            std::optional<watchdog> dog;
            if (watches) dog.emplace(1ms, reports.handler());
            const aio::future<> never;
            std::vector<aio::task_handle<>> idle;
            const auto wait = [](aio::future<> f) -> aio::task<> { co_await f; };
            for (int i = 0; i < 10'000; ++i) idle.push_back(aio::create_task(wait(never)));
            co_await aio::sleep(0ms);
            dog.reset();
            if (watches) dog.emplace(limit, reports.handler());
            const int before = reports.count();
            const std::uint64_t begin = aio::detail::running_core().iterations();
            co_await aio::sleep(300ms);
            iterations[watches ? 1 : 0] = aio::detail::running_core().iterations() - begin;
            CHECK(reports.count() == before);
            dog.reset();
            never.set_result();
        });
    CHECK(iterations[0] == iterations[1]);
    CHECK(iterations[1] <= 2);
}

TEST_CASE("watchdog: a stall is reported once, and the next one again", "[time]") {
    stall_reports reports;
    aio::run([&]() -> aio::task<> {
        const watchdog dog(limit, reports.handler());
        compute_until(reports, 1);
        CHECK(reports.count() == 1);
        co_await aio::yield();
        compute_until(reports, 2);
        CHECK(reports.count() == 2);
    });
}

TEST_CASE("watchdog: there are five reports in a minute", "[time]") {
    stall_reports reports;
    aio::run([&]() -> aio::task<> {
        const watchdog dog(10ms, reports.handler());
        for (int i = 0; i < 5; ++i) {
            co_await aio::yield();
            compute_until(reports, i + 1);
        }
        co_await aio::yield();
        compute_for(300ms);
        CHECK(reports.count() == 5);
    });
}

TEST_CASE("watchdog: what is left out in a minute is counted") {
    aio::debug::detail::report_limit reports;
    constexpr std::int64_t second = 1'000'000'000;
    for (int i = 0; i < 5; ++i) {
        REQUIRE(reports.allows(i * second));
        reports.note(i * second);
    }
    CHECK_FALSE(reports.allows(5 * second));
    CHECK_FALSE(reports.allows(59 * second));
    CHECK(reports.allows(60 * second));
    reports.note(60 * second);
    CHECK(reports.take_left_out() == 2);
    CHECK(reports.take_left_out() == 0);
    CHECK_FALSE(reports.allows(60 * second));
    CHECK(reports.allows(61 * second));
    stall_report report;
    report.what = "the loop";
    report.left_out = 3;
    CHECK(contains(report.to_string(), "3 stalls before this one went without a report"));
}

TEST_CASE("watchdog: a plain call that stalls is named as such", "[time]") {
    stall_reports reports;
    aio::run([&]() -> aio::task<> {
        const watchdog dog(limit, reports.handler());
        aio::get_running_loop().call_soon([&] { compute_until(reports, 1); });
        co_await aio::sleep(0ms);
        co_await aio::sleep(0ms);
    });
    REQUIRE(reports.count() == 1);
    CHECK(reports.at(0).what == "a call");
    CHECK(reports.at(0).awaits.empty());
    CHECK(names_compute_until(reports.at(0)));
}

TEST_CASE("watchdog: an awaitable that a combinator runs is a part of a task", "[time]") {
    stall_reports reports;
    aio::run([&]() -> aio::task<> {
        const watchdog dog(limit, reports.handler());
        co_await aio::gather(stalls_at_end(reports), aio::sleep(0ms));
    });
    REQUIRE(reports.count() == 1);
    INFO(reports.at(0).to_string());
    CHECK(reports.at(0).what == "a part of a task");
    CHECK(reports.at(0).awaits.size() == 1);
    CHECK(names_compute_until(reports.at(0)));
}

TEST_CASE("watchdog: a long chain is cut, and its innermost line is there", "[time]") {
    stall_reports reports;
    struct nest {
        static aio::task<> of(stall_reports& reports, int depth) {
            if (depth == 0)
                co_await stalls(reports);
            else
                co_await of(reports, depth - 1);
        }
    };
    aio::run([&]() -> aio::task<> {
        const watchdog dog(limit, reports.handler());
        co_await nest::of(reports, 300);
    });
    REQUIRE(reports.count() == 1);
    const stall_report report = reports.at(0);
    CHECK(report.awaits.size() == 64);
    CHECK(report.awaits.back().line() == line_of_step);
    CHECK(contains(report.note, "the chain is longer"));
}

TEST_CASE("watchdog: two loops have one each", "[time]") {
    stall_reports reports[2];
    std::vector<std::thread> threads;
    for (stall_reports& each : reports)
        threads.emplace_back([&each, first = &each == &reports[0]] {
            aio::run([&]() -> aio::task<> {
                const watchdog dog(limit, each.handler());
                co_await aio::create_task(stalls(each), first ? "first" : "second");
            });
        });
    for (std::thread& each : threads) each.join();
    for (const stall_reports& each : reports) {
        REQUIRE(each.count() == 1);
        CHECK(each.at(0).what == (&each == &reports[0] ? "first" : "second"));
        CHECK(names_compute_until(each.at(0)));
    }
}

TEST_CASE("watchdog: under a virtual clock it measures real time", "[time]") {
    stall_reports reports;
    aio::run(
        [&]() -> aio::task<> {
            const watchdog dog(1s, reports.handler());
            co_await aio::sleep(24h);
        },
        {.virtual_time = true});
    CHECK(reports.count() == 0);
    aio::run(
        [&]() -> aio::task<> {
            const watchdog dog(limit, reports.handler());
            co_await stalls(reports);
        },
        {.virtual_time = true});
    CHECK(reports.count() == 1);
}

TEST_CASE("watchdog: it outlives its loop", "[time]") {
    stall_reports reports;
    std::unique_ptr<watchdog> dog;
    std::thread([&] {
        aio::run([&]() -> aio::task<> {
            dog = std::make_unique<watchdog>(10ms, reports.handler());
            co_return;
        });
        compute_for(200ms);
    }).join();
    const int before = reports.count();
    compute_for(100ms);
    CHECK(reports.count() == before);
    dog.reset();
}

TEST_CASE("watchdog: it counts no time in which the loop does not run, and watches the next run", "[time]") {
    stall_reports reports;
    std::unique_ptr<watchdog> dog;
    aio::runner runner;
    runner.run([&]() -> aio::task<> {
        dog = std::make_unique<watchdog>(200ms, reports.handler());
        co_return;
    });
    const int before = reports.count();
    compute_for(500ms);
    CHECK(reports.count() == before);
    runner.run(stalls(reports, before + 1));
    CHECK(reports.count() == before + 1);
}

TEST_CASE("watchdog: the default handler prints to stderr", "[time]") {
    const asynchio_tests::captured_stderr captured;
    aio::run([&]() -> aio::task<> {
        const watchdog dog(20ms);
        asynchio_tests::keep_busy(50ms, [&] { return contains(captured.text(), "held up"); });
        co_return;
    });
    CHECK(captured.text().starts_with("asynchio: Task-1 has held up the loop for "));
}

TEST_CASE("watchdog: a handler that throws is reported, and called again", "[time]") {
    const asynchio_tests::captured_stderr captured;
    std::atomic<int> calls = 0;
    aio::run([&]() -> aio::task<> {
        const watchdog dog(20ms, [&](const stall_report&) {
            ++calls;
            throw std::runtime_error("no disk");
        });
        for (int i = 1; i < 3; ++i) {
            asynchio_tests::keep_busy(1ms, [&] { return calls >= i; });
            co_await aio::yield();
        }
    });
    CHECK(calls == 2);
    CHECK(contains(captured.text(), "asynchio: the report of a watchdog has failed: no disk\n"));
}

TEST_CASE("watchdog: errno is what it was", "[time]") {
    stall_reports reports;
    int after = 0;
    aio::run([&]() -> aio::task<> {
        const watchdog dog(limit, reports.handler());
        errno = ENOTTY;
        asynchio_tests::keep_busy(1ms, [&] { return reports.count() > 0; });
        after = errno;
        co_return;
    });
    CHECK(reports.count() == 1);
    CHECK(after == ENOTTY);
}

TEST_CASE("watchdog: a thread that blocked all signals is interrupted all the same", "[time]") {
    stall_reports reports;
    std::thread([&] {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, nullptr);
        aio::run(watched(reports));
    }).join();
    REQUIRE(reports.count() == 1);
    CHECK(names_compute_until(reports.at(0)));
}

TEST_CASE("watchdog: a signal that comes late does nothing", "[time]") {
    stall_reports reports;
    aio::run([&]() -> aio::task<> {
        const watchdog dog(limit, reports.handler());
        const signal_blocked late;
        compute_for(300ms);
        co_await aio::yield();
    });
    CHECK(reports.count() == 0);
}

TEST_CASE("watchdog: a thread that does not answer is reported, without functions", "[time]") {
    stall_reports reports;
    aio::run([&]() -> aio::task<> {
        const watchdog dog(limit, reports.handler());
        const signal_blocked late;
        compute_until(reports, 1);
        co_return;
    });
    REQUIRE(reports.count() == 1);
    CHECK(reports.at(0).what == "something");
    CHECK(reports.at(0).functions.empty());
    CHECK(contains(reports.at(0).note, "does not answer the watchdog's signal"));
}

TEST_CASE("watchdog: if the program takes its signal, the report says what is missing", "[time]") {
    stall_reports reports;
    aio::run([&]() -> aio::task<> {
        const watchdog dog(limit, reports.handler());
        struct sigaction before{};
        struct sigaction ignored{};
        ignored.sa_handler = SIG_IGN;
        REQUIRE(::sigaction(aio::debug::detail::probe::signal_number(), &ignored, &before) == 0);
        compute_until(reports, 1);
        ::sigaction(aio::debug::detail::probe::signal_number(), &before, nullptr);
        co_return;
    });
    REQUIRE(reports.count() == 1);
    CHECK(reports.at(0).functions.empty());
    CHECK(contains(reports.at(0).to_string(), "has replaced the handler of the watchdog's signal"));
}

TEST_CASE("watchdog: in a child process that was forked meanwhile, it is silent, and ends", "[time]") {
    if (asynchio_tests::thread_sanitized) return;
    stall_reports reports;
    int status = -1;
    pid_t child = -1;
    aio::run([&]() -> aio::task<> {
        const watchdog dog(10ms, reports.handler());
        child = ::fork();
        if (child != 0) status = asynchio_tests::status_of(child);
        co_return;
    });
    if (child == 0) ::_exit(7);
    CHECK(status == 7);
}

TEST_CASE("watchdog: it is made and ended a thousand times") {
    aio::run([]() -> aio::task<> {
        for (int i = 0; i < asynchio_tests::rounds(1'000); ++i) {
            const watchdog dog(1ms, [](const stall_report&) {});
            co_await aio::yield();
        }
    });
}

TEST_CASE("watchdog: reports meet steps that begin, end and destroy tasks", "[time]") {
    stall_reports reports;
    const auto child = [](int n) -> aio::task<int> { co_return n; };
    const auto end = steady::now() + 500ms;
    while (steady::now() < end)
        aio::run([&]() -> aio::task<> {
            const watchdog dog(1ms, reports.handler());
            std::vector<aio::task_handle<int>> many;
            for (int round = 0; round < 5; ++round) {
                for (int i = 0; i < asynchio_tests::rounds(20'000); ++i) many.push_back(aio::create_task(child(i)));
                for (auto& each : many) co_await each;
                many.clear();
            }
        });
    SUCCEED();
}
