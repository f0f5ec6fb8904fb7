// SPDX-License-Identifier: BSL-1.0

// 1,000,000 tasks that await each other's handles in a chain: cancelled at the head, and destroyed with their loop.

#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include "small_stack.hpp"

#include <utility>

namespace aio = asynchio;
using asynchio_tests::require;

namespace {

// A million exceptions take the sanitizers more than a minute.
const int length = asynchio_tests::many(asynchio_tests::sanitized ? 300'000 : 1'000'000);

int cancelled = 0;
int alive = 0;

class witness {
public:
    witness() noexcept { ++alive; }
    witness(const witness&) = delete;
    witness& operator=(const witness&) = delete;
    ~witness() { --alive; }
};

aio::task<> awaits(aio::task_handle<> next, aio::future<> last) {
    const witness here;
    try {
        if (next)
            co_await next;
        else
            co_await last;
    } catch (const aio::cancelled_error&) {
        ++cancelled;
        throw;
    }
}

aio::task_handle<> make_chain(aio::event_loop& loop, const aio::future<>& last) {
    aio::task_handle<> head;
    for (int i = 0; i < length; ++i) head = loop.create_task(awaits(head, last));
    return head;
}

aio::task<> cancel_the_head() {
    const aio::future<> last;
    const aio::task_handle<> head = make_chain(aio::get_running_loop(), last);
    co_await aio::testing::run_until_idle();
    require(alive == length, "not every task has started");
    require(head.cancel(), "the head was done before it was cancelled");
    require(cancelled == 0, "cancel() ran something at once");
    bool seen = false;
    try {
        co_await head;
    } catch (const aio::cancelled_error&) {
        seen = true;
    }
    require(seen && head.cancelled(), "the head did not end cancelled");
    require(last.cancelled(), "the future at the end was not cancelled");
    require(cancelled == length, "not every task was cancelled once");
    require(alive == 0, "some tasks have not ended");
}

void test() {
    aio::run(cancel_the_head());

    {
        aio::event_loop loop;
        int reports = 0;
        loop.set_exception_handler([&reports](aio::event_loop&, const aio::exception_context&) { ++reports; });
        const aio::future<> last(loop);
        const aio::task_handle<> head = make_chain(loop, last);
        aio::testing::run_until_idle(loop);
        require(alive == length, "not every task of the second chain has started");
        loop.close();
        require(reports == length, "not every task that was destroyed was reported");
        require(!head.done(), "a destroyed task is not done");
    }
    require(alive == 0, "some tasks outlived their loop");
}

} // namespace

int main() { return asynchio_tests::on_small_stack(&test); }
