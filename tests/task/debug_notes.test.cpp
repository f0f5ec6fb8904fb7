// SPDX-License-Identifier: BSL-1.0
#include <asynchio/task/detail/debug_notes.hpp>

// covers: loop/detail/loop_notes.hpp task/detail/task_name.hpp
#include <asynchio/loop/detail/loop_notes.hpp>
#include <asynchio/task/detail/task_name.hpp>

#include <asynchio/combine/gather.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/run_until_complete.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>

#include "support/captured_stderr.hpp"
#include "support/message_of.hpp"
#include "support/virtual_run.hpp"

#include <chrono>
#include <cstddef>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

namespace aio = asynchio;
using asynchio_tests::contains;
using asynchio_tests::virtual_run;
using namespace std::chrono_literals;
using texts = std::vector<std::string>;

namespace {

constexpr aio::run_options debug_mode{.debug = true, .virtual_time = true};

/// What debug mode reports of `main` when a wait may last 10 s.
texts reports_of(aio::task<> main) {
    texts found;
    auto whole = [&]() -> aio::task<> {
        aio::get_running_loop().set_report_handler(
            [&](aio::event_loop&, const aio::exception_context& context) { found.push_back(context.message); });
        aio::get_running_loop().set_slow_wait_duration(10s);
        co_await std::move(main);
    };
    virtual_run(whole(), debug_mode);
    return found;
}

std::string at(unsigned line) {
    std::string text = " at ";
    text.append(__FILE__).append(":").append(std::to_string(line));
    return text;
}

constexpr aio::duration no_notes = -1h;
constexpr aio::duration unknown(aio::detail::unknown_time);

/// The time since which a task waits, from the beginning of virtual time.
aio::duration since(const aio::any_task_handle& task) {
    auto* const notes = aio::detail::notes_of(&aio::detail::core_of(aio::get_running_loop()));
    if (notes == nullptr) return no_notes;
    return aio::duration(notes->since(static_cast<aio::detail::frame&>(*aio::detail::access::state(task))));
}

unsigned line_of_wait = 0;
aio::task<> waits(aio::future<> f) {
    line_of_wait = __LINE__ + 1;
    co_await f;
}

} // namespace

TEST_CASE("debug_notes: a wait has begun when the last step of the task ended") {
    auto main = []() -> aio::task<> {
        const aio::future<> never;
        const auto one = aio::create_task(waits(never));
        CHECK(since(one) == unknown);
        co_await aio::sleep(2s);
        const auto two = aio::create_task(waits(never));
        co_await aio::sleep(3s);
        CHECK(since(one) == 0s);
        CHECK(since(two) == 2s);
        never.set_result();
        CHECK(since(one) == unknown); // it does not wait any more
        co_await one;
        co_await two;
    };
    virtual_run(main(), debug_mode);
}

TEST_CASE("debug_notes: there are none without debug mode, and none of before it") {
    auto main = []() -> aio::task<> {
        const aio::future<> never;
        const auto one = aio::create_task(waits(never));
        co_await aio::yield();
        CHECK(since(one) == no_notes);
        aio::get_running_loop().set_debug(true);
        co_await aio::sleep(1s);
        CHECK(since(one) == unknown);
        const auto two = aio::create_task(waits(never));
        co_await aio::yield();
        CHECK(since(two) == 1s);
        aio::get_running_loop().set_debug(false);
        co_await aio::sleep(1s);
        CHECK(since(two) == no_notes);
        aio::get_running_loop().set_debug(true);
        co_await aio::sleep(1s);
        CHECK(since(two) == unknown);
        never.set_result();
        co_await one;
        co_await two;
    };
    virtual_run(main(), {.debug = false, .virtual_time = true});
}

TEST_CASE("debug_notes: they do not grow with the tasks that have ended") {
    auto main = []() -> aio::task<> {
        co_await aio::sleep(1s);
        const aio::future<> never;
        const auto first = aio::create_task(waits(never));
        for (int i = 0; i < 20'000; ++i) {
            const auto each = aio::create_task([]() -> aio::task<> { co_await aio::yield(); });
            co_await each;
        }
        CHECK(since(first) == 1s);
        never.set_result();
        co_await first;
    };
    virtual_run(main(), debug_mode);
    asynchio::detail::debug_note_table table;
    for (std::uintptr_t key = 1; key <= 1'000; ++key) {
        if (table.full()) CHECK(table.sweep([&](const aio::detail::debug_note& each) { return each.key + 3 >= key; }));
        REQUIRE(table.find(key) == nullptr);
        table.add(key).holder = static_cast<std::uint32_t>(key);
        REQUIRE(table.find(key)->holder == key);
    }
    CHECK(table.size() <= 32);
}

TEST_CASE("debug_notes: a wait that becomes long is reported once, with what it is for") {
    auto main = []() -> aio::task<> {
        const aio::future<> never;
        const auto one = aio::create_task(waits(never), "a patient one");
        for (int i = 0; i < 100; ++i) co_await aio::sleep(1s);
        never.set_result();
        co_await one;
    };
    const texts reports = reports_of(main());
    REQUIRE(reports.size() == 1);
    CHECK(reports[0] == "a patient one has waited 10.000 seconds for future" + at(line_of_wait));
}

TEST_CASE("debug_notes: a wait that was long is reported when the task runs, if nobody looked meanwhile") {
    unsigned line = 0;
    auto first = []() -> aio::task<> { co_await aio::sleep(10s); };
    auto second = [&]() -> aio::task<> {
        co_await aio::sleep(500ms);
        line = __LINE__ + 1;
        co_await aio::sleep(10'050ms);
        co_await aio::sleep(9s);
        aio::get_running_loop().set_slow_wait_duration(aio::duration(0));
        co_await aio::sleep(11s);
    };
    auto main = [&]() -> aio::task<> { co_await aio::gather(first(), second()); };
    const texts reports = reports_of(main());
    REQUIRE(reports.size() == 3);
    CHECK(reports[0].starts_with("Task-1 has waited 10.000 seconds for gather"));
    CHECK(reports[1].starts_with("Task-2 has waited 10.000 seconds for sleep"));
    CHECK(reports[2] == "Task-3 waited 10.050 seconds" + at(line));
}

TEST_CASE("debug_notes: a hundred thousand long waits at once are reported one by one, on a small stack") {
    auto main = []() -> aio::task<> {
        const aio::future<> never;
        std::vector<aio::task_handle<>> all;
        for (int i = 0; i < 100'000; ++i) all.push_back(aio::create_task(waits(never)));
        for (int i = 0; i < 12; ++i) co_await aio::sleep(1s);
        never.set_result();
        for (const auto& each : all) co_await each;
    };
    std::size_t waits_told = 0; // beside them, a step that took long may be told
    for (const std::string& each : reports_of(main())) waits_told += contains(each, " has waited ") ? 1U : 0U;
    CHECK(waits_told == 100'000);
}

TEST_CASE("debug_notes: all long waits are reported, and the handler may end them") {
    texts reports;
    auto main = [&]() -> aio::task<> {
        aio::get_running_loop().set_slow_wait_duration(10s);
        const aio::future<> never;
        std::vector<aio::task_handle<>> all;
        for (int i = 0; i < 20; ++i) all.push_back(aio::create_task(waits(never)));
        aio::get_running_loop().set_report_handler([&](aio::event_loop&, const aio::exception_context& context) {
            reports.push_back(context.message);
            if (reports.size() == 15) {
                for (auto& each : all) each.cancel();
                all.clear();
            }
        });
        for (int i = 0; i < 12; ++i) co_await aio::sleep(1s);
    };
    virtual_run(main(), debug_mode);
    REQUIRE(reports.size() == 20);
    CHECK(contains(reports[14], " has waited 10.000 seconds for future"));
    CHECK(contains(reports[15], " waited 10.000 seconds at "));
}

TEST_CASE("debug_notes: in real time a loop wakes up to report a wait, and sleeps on", "[time]") {
    texts reports;
    aio::event_loop loop({.debug = true});
    const aio::future<> never(loop);
    loop.set_slow_wait_duration(20ms);
    loop.set_report_handler([&](aio::event_loop& its, const aio::exception_context& context) {
        reports.push_back(context.message);
        its.call_soon([&] { never.set_result(); });
    });
    const auto ref = loop.ref(); // so that it is not deadlocked
    loop.run_until_complete(waits(never));
    REQUIRE(reports.size() == 1);
    CHECK(contains(reports[0], "has waited 0."));
    CHECK(contains(reports[0], " seconds for future" + at(line_of_wait)));
    loop.close();
}

TEST_CASE("debug_notes: a wait of a branch is reported in the name of its task") {
    unsigned line = 0;
    auto gathers = [&]() -> aio::task<> {
        co_await aio::sleep(7s);
        line = __LINE__ + 1;
        co_await aio::gather(aio::sleep(1h), aio::sleep(2h));
    };
    auto main = [&]() -> aio::task<> {
        const auto one = aio::create_task(gathers(), "gatherer");
        for (int i = 0; i < 18; ++i) co_await aio::sleep(1s);
        one.cancel();
    };
    const texts reports = reports_of(main());
    REQUIRE(reports.size() == 3);
    CHECK(reports[0] == "gatherer has waited 10.000 seconds for gather" + at(line));
    for (const std::size_t i : {1U, 2U}) CHECK(reports[i].starts_with("gatherer has waited 10.000 seconds for sleep"));
}
