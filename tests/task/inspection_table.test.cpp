// SPDX-License-Identifier: BSL-1.0
// covers: task/detail/named_suspension.hpp

#include <asynchio/task/detail/inspection_table.hpp>

#include "support/catch.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/detail/named_suspension.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace aio = asynchio;
using asynchio_tests::virtual_run;
using namespace aio::detail;
using namespace std::chrono_literals;

namespace {

const inspection_table& table = table_for_inspection;

using address = const char*;

/// The value at a place, read as a program outside reads it.
template<class T>
T value_at(address object, std::size_t distance = 0) {
    T value;
    std::memcpy(&value, object + distance, sizeof value);
    return value;
}
template<class Member>
std::size_t distance(const Member& member) {
    static_assert(sizeof member == sizeof(std::size_t));
    return value_at<std::size_t>(reinterpret_cast<address>(&member));
}

std::vector<address> linked(address list) {
    std::vector<address> all;
    const address first = value_at<address>(list);
    for (address each = first; each != nullptr && (all.empty() || each != first);
         each = value_at<address>(each, distance(table.link_next)))
        all.push_back(each);
    return all;
}

address loop_at(address link) { return link - distance(table.loop_prev); }
address task_at(address link) { return link - distance(table.task_prev); }

/// Returns the tasks of the loop that runs here.
std::vector<address> tasks() {
    std::vector<address> found;
    for (const address link : linked(reinterpret_cast<address>(table.loops) + distance(table.first_loop))) {
        if (loop_at(link) != reinterpret_cast<address>(&running_core())) continue;
        for (const address task : linked(loop_at(link) + distance(table.loop_tasks))) found.push_back(task_at(task));
    }
    return found;
}

unsigned flags_of(address task) { return value_at<unsigned short>(task, distance(table.task_flags)); }

class named final : public named_suspension {
public:
    named() : named_suspension("a name") {}
    ~named() override = default;

    static bool await_ready() noexcept { return false; }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> coroutine,
                       std::source_location where = std::source_location::current()) {
        park(coroutine, where);
    }
    void await_resume() { resumed(); }
    aio::cancel_reply cancel(const aio::cancel_message&) noexcept override { return aio::cancel_reply::left; }
};

aio::task<> waits() { co_await named(); }
aio::task<> awaits(aio::task<> inner) { co_await std::move(inner); }

} // namespace

TEST_CASE("inspection table: it says what it is") {
    CHECK(std::string_view(table.magic) == "asynchio_tasks\n");
    CHECK(table.size == sizeof table);
    CHECK(table.pointer_size == sizeof(void*));
    CHECK(table.loops == &loops_of_process);
}

TEST_CASE("inspection table: a task is found, with its number, flags, name and place") {
    virtual_run([]() -> aio::task<> {
        auto handle = aio::create_task(awaits(waits()));
        handle.set_name("a task with a name");
        const std::vector<address> before = tasks();
        REQUIRE(before.size() == 2);
        CHECK((flags_of(before[1]) & (table.root | table.started | table.waiting)) == table.root);
        co_await aio::yield();
        const std::vector<address> all = tasks();
        REQUIRE(all == before);
        const address task = all[1];
        CHECK((flags_of(task) & (table.root | table.started | table.waiting | table.branch | table.done)) ==
              (table.root | table.started | table.waiting));
        CHECK(value_at<scheduler*>(task, distance(table.task_loop)) == &running_core());
        CHECK(value_at<std::uint32_t>(task, distance(table.task_id)) ==
              value_at<std::uint32_t>(all[0], distance(table.task_id)) + 1);
        CHECK(value_at<unsigned short>(task, distance(table.task_cancels)) == 0);

        const auto extra = value_at<address>(task, distance(table.task_extra_word));
        const auto text = value_at<address>(extra, distance(table.extra_name));
        CHECK(std::string(text + table.text_begin, value_at<std::size_t>(text, distance(table.text_size))) ==
              "a task with a name");

        const auto hook = value_at<address>(task, distance(table.task_waiting_for));
        CHECK(value_at<std::string_view::const_pointer>(hook, distance(table.named_word)) ==
              std::string_view("a name"));

        const address inner = value_at<address>(task, distance(table.task_resume_point)) + table.promise_in_coroutine;
        CHECK(value_at<address>(inner, distance(table.task_parent)) == task);
        CHECK(value_at<address>(task, distance(table.task_place)) == inner + table.inner_tag);
        CHECK(std::string_view(value_at<std::source_location>(inner, distance(table.task_awaited_at)).function_name())
                  .find("awaits") != std::string_view::npos);
        CHECK(std::string_view(value_at<std::source_location>(inner, distance(table.task_place)).function_name())
                  .find("waits") != std::string_view::npos);
        CHECK(std::string_view(value_at<std::source_location>(task, distance(table.task_made_at)).file_name()) ==
              __FILE__);
        handle.cancel();
    });
}

TEST_CASE("inspection table: the task that runs is found through the thread of its loop") {
    virtual_run([]() -> aio::task<> {
        const auto loop = reinterpret_cast<address>(&running_core());
        CHECK(value_at<bool>(loop, distance(table.loop_running)));
        const auto thread = value_at<address>(loop, distance(table.loop_thread));
        const auto running = value_at<address>(thread, distance(table.thread_current));
        CHECK(running == reinterpret_cast<address>(this_thread.current));
        CHECK(value_at<std::uint64_t>(loop, distance(table.loop_iterations)) == running_core().iterations());
        CHECK(value_at<address>(loop, distance(table.loop_interrupted)) == nullptr);
        co_return;
    });
}

TEST_CASE("named suspension: the name is in reports, and a request to cancel ends the wait") {
    virtual_run([]() -> aio::task<> {
        const named wait;
        CHECK(std::string_view(wait.waiting_for()) == "a name");
        auto handle = aio::create_task(waits());
        co_await aio::yield();
        handle.cancel();
        co_await aio::sleep(1s);
        const bool cancelled = handle.cancelled();
        CHECK(cancelled);
    });
}
