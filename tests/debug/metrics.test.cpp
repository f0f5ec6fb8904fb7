// SPDX-License-Identifier: BSL-1.0
#include <asynchio/debug/metrics.hpp>

#include <asynchio/combine/gather.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>

#include "support/message_of.hpp"
#include "support/virtual_run.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <unistd.h>

namespace aio = asynchio;
using asynchio_tests::contains;
using asynchio_tests::virtual_run;
using namespace std::chrono_literals;

namespace {

/// Reads the text as Prometheus does. @throws std::runtime_error for a line that it would refuse.
std::map<std::string, double> parsed(const std::string& text) {
    std::map<std::string, double> all;
    std::map<std::string, std::string> types;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
        if (line.starts_with("# HELP ")) continue;
        if (line.starts_with("# TYPE ")) {
            std::istringstream words(line.substr(7));
            std::string name;
            words >> name >> types[name];
            if (types[name] != "counter" && types[name] != "gauge" && types[name] != "histogram")
                throw std::runtime_error("type: " + line);
            continue;
        }
        const auto space = line.rfind(' ');
        if (space == std::string::npos) throw std::runtime_error("sample: " + line);
        std::size_t read = 0;
        const double value = std::stod(line.substr(space + 1), &read);
        if (read != line.size() - space - 1) throw std::runtime_error("value: " + line);
        if (!all.emplace(line.substr(0, space), value).second) throw std::runtime_error("twice: " + line);
    }
    return all;
}

/// Uses the processor for `time`.
void compute(std::chrono::nanoseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {}
}

} // namespace

TEST_CASE("metrics: what is always counted") {
    virtual_run([]() -> aio::task<> {
        auto& loop = aio::get_running_loop();
        const aio::loop_metrics before = loop.metrics();
        CHECK_FALSE(before.measured);
        CHECK(before.tasks == 1);
        CHECK(before.steps == 0);
        const auto one = aio::create_task(aio::sleep(1h));
        const auto two = aio::create_task(aio::sleep(2h));
        CHECK(loop.metrics().ready == before.ready + 2);
        co_await aio::yield();
        const aio::loop_metrics after = loop.metrics();
        CHECK(after.iterations == before.iterations + 1);
        CHECK(after.tasks_created == before.tasks_created + 2);
        CHECK(after.tasks == 3);
        CHECK(after.ready == 0);
        CHECK(after.timers == 2);
        one.cancel();
        two.cancel();
        co_await aio::yield();
        CHECK(loop.metrics().tasks == 1);
    });
}

TEST_CASE("metrics: steps, the time in them, and the longest one with its line", "[time]") {
    aio::run([]() -> aio::task<> {
        auto& loop = aio::get_running_loop();
        loop.set_metrics(true);
        unsigned line = 0;
        const auto slow = [&]() -> aio::task<> {
            line = __LINE__ + 1;
            co_await aio::yield();
            compute(20ms);
        };
        co_await aio::create_task(slow());
        const aio::loop_metrics seen = loop.metrics();
        CHECK(seen.measured);
        CHECK(seen.steps == 2); // those of slow(): the one of this coroutine has not ended
        CHECK(seen.longest_step >= 20ms);
        CHECK(seen.longest_step_at.line() == line);
        CHECK(seen.busy >= seen.longest_step);
        CHECK(seen.asleep == 0s);
        co_await aio::sleep(20ms);
        CHECK(loop.metrics().asleep >= 19ms);
    });
}

TEST_CASE("metrics: an iteration counts with all its steps", "[time]") {
    aio::run([]() -> aio::task<> {
        auto& loop = aio::get_running_loop();
        loop.set_metrics(true);
        const auto slow = []() -> aio::task<> {
            compute(6ms);
            co_return;
        };
        co_await aio::gather(slow(), slow());
        co_await aio::yield();
        const aio::loop_metrics seen = loop.metrics();
        std::uint64_t long_ones = 0; // above 10 ms, which no single step took, unless the machine is busy
        for (std::size_t i = 4; i < seen.lags.size(); ++i) long_ones += seen.lags[i];
        CHECK(long_ones >= 1);
        CHECK(seen.lag >= 12ms);
    });
}

TEST_CASE("metrics: measuring begins from zero, and ends") {
    virtual_run([]() -> aio::task<> {
        auto& loop = aio::get_running_loop();
        loop.set_metrics(true);
        loop.set_metrics(true);
        for (int i = 0; i < 10; ++i) co_await aio::yield();
        const auto steps = loop.metrics().steps;
        CHECK(steps == 9); // the step in which it was switched on has begun before
        loop.set_metrics(false);
        co_await aio::yield();
        CHECK(loop.metrics().steps == steps);
        loop.set_metrics(true);
        CHECK(loop.metrics().steps == 0);
    });
}

TEST_CASE("metrics: the text is what Prometheus reads") {
    virtual_run([]() -> aio::task<> {
        auto& loop = aio::get_running_loop();
        auto unmeasured = parsed(aio::metrics_text());
        CHECK(unmeasured.at("asynchio_tasks") == 1);
        CHECK(unmeasured.at("asynchio_iterations_total") >= 1);
        CHECK(unmeasured.count("asynchio_steps_total") == 0);
        loop.set_metrics(true);
        for (int i = 0; i < 5; ++i) co_await aio::yield();
        auto all = parsed(aio::metrics_text());
        CHECK(all.at("asynchio_steps_total") == static_cast<double>(loop.metrics().steps));
        CHECK(all.at("asynchio_loop_lag_seconds_bucket{le=\"+Inf\"}") == all.at("asynchio_loop_lag_seconds_count"));
        CHECK(all.at("asynchio_loop_lag_seconds_bucket{le=\"0.1\"}") <=
              all.at("asynchio_loop_lag_seconds_bucket{le=\"0.5\"}"));
        CHECK(all.at("asynchio_loop_lag_seconds_count") == 4);
        CHECK(all.at("asynchio_busy_seconds_total") > 0);
    });
}

TEST_CASE("metrics: a label for the loop, with what is escaped in it") {
    virtual_run([]() -> aio::task<> {
        auto& loop = aio::get_running_loop();
        loop.set_metrics(true);
        co_await aio::yield();
        const auto all = parsed(aio::metrics_text(loop, "a\"b\\c"));
        CHECK(all.count("asynchio_tasks{loop=\"a\\\"b\\\\c\"}") == 1);
        CHECK(all.count("asynchio_loop_lag_seconds_bucket{loop=\"a\\\"b\\\\c\",le=\"1\"}") == 1);
    });
}

TEST_CASE("metrics: refused without a loop, and on a closed one") {
    CHECK_THROWS_AS(aio::metrics_text(), std::logic_error);
    aio::event_loop loop;
    loop.set_metrics(true);
    CHECK(loop.metrics().measured);
    loop.close();
    CHECK_THROWS_AS(loop.set_metrics(false), std::logic_error);
}

TEST_CASE("metrics: tasks that failed or were cancelled, and questions for descriptors, are counted") {
    auto main = []() -> aio::task<> {
        auto& loop = aio::get_running_loop();
        auto fails = []() -> aio::task<> {
            co_await aio::yield();
            throw std::runtime_error("failed");
        };
        auto works = []() -> aio::task<> { co_await aio::yield(); };
        const auto one = aio::create_task(fails());
        const auto two = aio::create_task(works());
        const auto three = aio::create_task(aio::sleep(1h));
        const auto unstarted = aio::create_task(works());
        unstarted.cancel();
        co_await aio::yield();
        three.cancel();
        co_await aio::sleep(1ms);
        CHECK(one.exception() != nullptr);
        CHECK(two.done());
        const aio::loop_metrics found = loop.metrics();
        CHECK(found.tasks_failed == 1);
        CHECK(found.tasks_cancelled == 2);
        const auto outcome = co_await aio::nothrow(aio::gather(fails(), works()));
        CHECK(!outcome);
        CHECK(loop.metrics().tasks_failed == 2);
        const auto values = parsed(aio::metrics_text(loop));
        CHECK(values.at("asynchio_tasks_failed_total") == 2);
        CHECK(values.at("asynchio_tasks_cancelled_total") == 2);
        CHECK(values.at("asynchio_pool_threads") == 0);
        int ends[2];
        REQUIRE(::pipe(ends) == 0);
        const std::uint64_t before = loop.metrics().polls;
        loop.add_reader(ends[0], [] {});
        co_await aio::sleep(1ms);
        CHECK(loop.metrics().polls > before);
        CHECK(values.at("asynchio_polls_total") == static_cast<double>(before));
        loop.remove_reader(ends[0]);
        ::close(ends[0]);
        ::close(ends[1]);
    };
    virtual_run(main(), {});
}
