// SPDX-License-Identifier: BSL-1.0

// Modules task, combine and sync when memory runs out: the n-th allocation fails, or all from the n-th on, for every n.
// Either the program sees std::bad_alloc or it goes on; nothing hangs, nothing is left, and nothing that was freed is
// touched.

#include <asynchio/combine/as_completed.hpp>
#include <asynchio/combine/finally.hpp>
#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/map.hpp>
#include <asynchio/combine/merge.hpp>
#include <asynchio/combine/on_cancel.hpp>
#include <asynchio/combine/race.hpp>
#include <asynchio/combine/shield.hpp>
#include <asynchio/combine/task_group.hpp>
#include <asynchio/combine/timeout.hpp>
#include <asynchio/combine/wait.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/core/generator.hpp>
#include <asynchio/sync/barrier.hpp>
#include <asynchio/sync/condition.hpp>
#include <asynchio/sync/event.hpp>
#include <asynchio/sync/lifo_queue.hpp>
#include <asynchio/sync/mutex.hpp>
#include <asynchio/sync/priority_queue.hpp>
#include <asynchio/sync/queue.hpp>
#include <asynchio/sync/semaphore.hpp>
#include <asynchio/task/completion.hpp>
#include <asynchio/task/context_var.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/interval.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/sleep.hpp>

#include "../support/starved.hpp"
#include "small_stack.hpp"

#include <csignal>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;
using asynchio_tests::hold;
using asynchio_tests::long_text;

namespace {

const aio::context_var<std::string> var("var", "default");

aio::task<std::string> later(aio::duration pause) {
    co_await aio::sleep(pause);
    co_return long_text;
}

aio::task<> ends_later(aio::duration pause) { co_await aio::sleep(pause); }

aio::task<> fails_later(aio::duration pause) {
    co_await aio::sleep(pause);
    throw std::runtime_error(long_text);
}

/// Has a cleanup that takes time.
aio::task<> cleans_up(int* cleaned) {
    std::exception_ptr error;
    try {
        co_await aio::sleep(1h);
    } catch (...) {
        error = std::current_exception();
    }
    co_await aio::sleep(1ms);
    ++*cleaned;
    if (error) std::rethrow_exception(error);
}

/// A guard in a body: what its task refers to must not die before it.
struct alive {
    bool* flag;
    explicit alive(bool* f) noexcept : flag(f) { *flag = true; }
    alive(const alive&) = delete;
    alive& operator=(const alive&) = delete;
    ~alive() { *flag = false; }
};

// Module task

aio::task<> tasks() {
    const auto one = aio::create_task(later(1ms), "named");
    const auto two = aio::create_task(
        [text = long_text](std::string more) -> aio::task<std::string> {
            co_await aio::sleep(2ms);
            co_return text + more;
        },
        long_text);
    const auto three = aio::create_task(aio::eager, ends_later(1ms));
    int called = 0;
    one.add_done_callback([&called, text = long_text] { ++called; });
    hold((co_await one) == long_text, "the result");
    hold((co_await two).size() == 2 * long_text.size(), "the other result");
    co_await three;
    co_await aio::sleep(1ms);
    hold(called == 1, "a done callback is called");
}

aio::task<> cancellations() {
    static int cleaned; // which those that are left at the end use
    cleaned = 0;
    const auto one = aio::create_task(cleans_up(&cleaned));
    const auto two = aio::create_task(ends_later(1h));
    const auto never = aio::create_task(ends_later(1h));
    never.cancel(long_text);
    co_await aio::sleep(1ms);
    one.cancel(long_text);
    two.cancel();
    static_cast<void>(co_await aio::nothrow(one));
    static_cast<void>(co_await aio::nothrow(two));
    static_cast<void>(co_await aio::nothrow(never));
    hold(cleaned == 1 && never.cancelled(), "what is cancelled cleans up");
}

/// What is left at the end is cancelled and waited for, without memory too; the next run looks at what came of that.
aio::task<> leftovers() {
    static int entered;
    static int cleaned;
    if (std::exchange(entered, 0) != std::exchange(cleaned, 0)) std::terminate(); // not waited for
    const auto left = []() -> aio::task<> {
        ++entered;
        std::exception_ptr error;
        try {
            co_await aio::sleep(1h);
        } catch (...) {
            error = std::current_exception();
        }
        co_await aio::sleep(0s);
        ++cleaned;
        std::rethrow_exception(error);
    };
    const auto failing = []() -> aio::task<> {
        try {
            co_await aio::sleep(1h);
        } catch (...) {
            throw std::runtime_error(long_text);
        }
    };
    const auto nested = [left]() -> aio::task<> { co_await aio::gather(left, left); };
    aio::create_task(left);
    aio::create_task(failing);
    aio::create_task(nested);
    co_await aio::sleep(1ms);
}

aio::task<> futures() {
    const aio::future<std::string> one;
    const aio::future<> two;
    const aio::future<int> three;
    auto set = [one, text = long_text]() mutable { one.set_result(std::move(text)); };
    auto fail = [two, error = std::make_exception_ptr(std::runtime_error(long_text))] { two.set_exception(error); };
    aio::get_running_loop().call_soon(std::move(set));
    aio::get_running_loop().call_later(1ms, std::move(fail));
    hold((co_await one) == long_text, "the result");
    static_cast<void>(co_await aio::nothrow(two));
    const auto waiting = aio::create_task([three]() -> aio::task<int> { co_return co_await three; });
    co_await aio::sleep(0s);
    three.cancel(long_text);
    static_cast<void>(co_await aio::nothrow(waiting));
}

aio::task<> calls() {
    static int made;
    made = 0;
    aio::event_loop& loop = aio::get_running_loop();
    const auto kept = long_text;
    loop.call_soon([kept] { ++made; });
    loop.call_later(1ms, [kept](const std::string& text) { made += text == kept ? 1 : 0; }, long_text);
    auto taken_back = loop.call_later(1ms, [kept] { made = 100; });
    loop.call_soon_threadsafe([kept] { ++made; });
    taken_back.cancel();
    co_await aio::sleep(2ms);
    hold(made == 3, "each call is made");
}

aio::task<> signals() {
    static int arrived;
    arrived = 0;
    aio::event_loop& loop = aio::get_running_loop();
    loop.add_signal_handler(SIGUSR1, [kept = long_text] { ++arrived; });
    std::raise(SIGUSR1);
    co_await aio::sleep(1ms);
    loop.remove_signal_handler(SIGUSR1);
    hold(arrived == 1, "a signal arrives");
}

aio::task<> contexts() {
    auto token = var.set(long_text);
    const auto child = []() -> aio::task<> {
        auto own = var.set(long_text + "child");
        co_await aio::sleep(1ms);
        var.reset(own);
    };
    const aio::context shared = aio::copy_context();
    co_await aio::create_task(aio::task_options{.name = "named", .context = shared}, child);
    co_await aio::create_task(child());
    aio::get_running_loop().call_soon([] { var.set(long_text + "call"); }); // fails where only the loop sees it
    co_await aio::sleep(1ms);
    var.reset(token);
}

aio::task<> outcomes() {
    const auto good = co_await aio::nothrow(later(1ms));
    const auto bad = co_await aio::nothrow(fails_later(1ms));
    if (good) hold(*&good.value() == long_text, "the result");
    hold(static_cast<bool>(bad.error()), "the error");
    co_await aio::sleep_until(aio::get_running_loop().time() + 1ms);
    co_await aio::yield();
    hold((co_await aio::sleep(1ms, long_text)) == long_text, "the result of a sleep");
}

// Streams of values

aio::async_generator<int> ticks(int items, aio::duration pause) {
    std::exception_ptr error;
    try {
        for (int i = 0; i < items; ++i) {
            if (pause > 0s) co_await aio::sleep(pause);
            co_yield i;
        }
    } catch (...) {
        error = std::current_exception();
    }
    co_await aio::sleep(0s);
    if (error) std::rethrow_exception(error);
}

aio::task<> generators() {
    auto closed = ticks(3, 0s);
    co_await closed.next();
    {
        auto dropped = ticks(3, 0s);
        co_await dropped.next();
    }
    co_await aio::sleep(1ms);
    co_await closed.aclose();
    auto whole = ticks(3, 1ms);
    while (auto item = co_await whole.next()) {}
}

aio::task<> merged() {
    auto stream = aio::merge(ticks(3, 1ms), ticks(3, 2ms));
    auto body = [&]() -> aio::task<> {
        while (auto item = co_await stream.next()) {}
    };
    co_await aio::with(stream, body);
    auto dropped = aio::merge(ticks(3, 1ms), ticks(3, 2ms));
    co_await dropped.next();
}

aio::task<> mapped() {
    const auto work = [](int item) -> aio::task<std::string> {
        co_await aio::sleep(std::chrono::milliseconds(item));
        co_return long_text + std::to_string(item);
    };
    auto ordered = aio::map_ordered(std::vector<int>{3, 1, 2}, work, 2);
    while (auto item = co_await ordered.next()) {}
    auto unordered = aio::map_unordered(std::vector<int>{3, 1, 2}, work, 2);
    co_await unordered.next();
    co_await unordered.aclose();
}

aio::task<> synchronous() {
    struct nest {
        static aio::generator<std::string> of(int depth) {
            if (depth > 0) co_yield aio::elements_of(of(depth - 1));
            co_yield long_text;
        }
    };
    for (const std::string& text : nest::of(3)) static_cast<void>(text);
    co_return;
}

// Module combine

aio::task<> gathered() {
    const auto watched = aio::create_task(later(1ms));
    auto callable = [text = long_text]() -> aio::task<std::string> {
        co_await aio::sleep(1ms);
        co_return text;
    };
    const auto all = co_await aio::gather(later(1ms), watched, callable, aio::sleep(2ms));
    hold(std::get<2>(all) == long_text, "a result");
    std::vector<aio::task<std::string>> many;
    for (int i = 0; i < 4; ++i) many.push_back(later(1ms));
    hold((co_await aio::gather(std::move(many))).size() == 4, "the results");
}

aio::task<> gathered_failure() {
    int cleaned = 0;
    const auto failed = co_await aio::nothrow(aio::gather(cleans_up(&cleaned), fails_later(1ms), ends_later(1h)));
    hold(static_cast<bool>(failed.error()), "the error");
    const auto results = co_await aio::gather(aio::return_exceptions, fails_later(1ms), later(1ms));
    static_cast<void>(results);
}

aio::task<> waited() {
    std::vector<aio::task_handle<std::string>> handles;
    for (int i = 1; i < 4; ++i) handles.push_back(aio::create_task(later(std::chrono::milliseconds(i))));
    const auto first = co_await aio::wait(handles, aio::first_completed);
    hold(first.done.size() == 1, "one is done");
    const auto all = co_await aio::wait(handles, aio::all_completed, 1s);
    hold(all.pending.empty(), "all are done");
}

aio::task<> completed() {
    std::vector<aio::task_handle<std::string>> handles;
    for (int i = 1; i < 4; ++i) handles.push_back(aio::create_task(later(std::chrono::milliseconds(i))));
    auto order = aio::as_completed(handles);
    int count = 0;
    while (auto each = co_await order.next()) count += (co_await *each) == long_text;
    hold(count == 3, "all come");
    std::vector<aio::task<std::string>> owned;
    for (int i = 1; i < 4; ++i) owned.push_back(later(std::chrono::milliseconds(i)));
    auto scope = aio::as_completed(owned);
    auto body = [](auto& results) -> aio::task<> {
        const auto first = co_await results.next();
        static_cast<void>(first);
    };
    co_await aio::with(scope, body);
}

aio::task<> raced() {
    int cleaned = 0;
    const auto won = co_await aio::race(cleans_up(&cleaned), later(1ms), aio::sleep(1h));
    hold(won.index() == 1, "the first wins");
    std::vector<aio::task<std::string>> many;
    for (int i = 1; i < 4; ++i) many.push_back(later(std::chrono::milliseconds(i)));
    hold((co_await aio::race(std::move(many))).first == 0, "the first of a range wins");
}

aio::task<> limited() {
    hold((co_await aio::wait_for(later(1ms), 1s)) == long_text, "in time");
    const auto late = co_await aio::nothrow(aio::wait_for(later(1h), 1ms));
    hold(static_cast<bool>(late.error()), "late");
    auto body = []() -> aio::task<> {
        const auto inner = aio::create_task(ends_later(1h));
        co_await inner;
    };
    const auto over = co_await aio::nothrow(aio::with(aio::timeout(1ms), body));
    hold(static_cast<bool>(over.error()), "late in the block");
    co_await aio::with(aio::move_on_after(1ms), body);
}

/// wait_for without any time arms what combines others, and asks that to end.
aio::task<> without_time() {
    static int cleaned; // which those that are left at the end use
    const auto ends_late = [](const auto& ended) { hold(static_cast<bool>(ended.error()), "late without any time"); };
    ends_late(co_await aio::nothrow(aio::wait_for(aio::gather(cleans_up(&cleaned), ends_later(1h)), 0s)));
    std::vector<aio::task<std::string>> many;
    for (int i = 0; i < 3; ++i) many.push_back(later(1h));
    ends_late(co_await aio::nothrow(aio::wait_for(aio::gather(std::move(many)), 0s)));
    ends_late(co_await aio::nothrow(aio::wait_for(aio::race(cleans_up(&cleaned), later(1h)), 0s)));

    const auto one = aio::create_task(later(1h));
    const auto two = aio::create_task(cleans_up(&cleaned));
    co_await aio::sleep(1ms);
    ends_late(co_await aio::nothrow(aio::wait_for(aio::shield(one), 0s)));
    ends_late(co_await aio::nothrow(aio::wait_for(aio::shield(later(1h)), 0s)));
    hold(!one.done(), "what is shielded goes on");
    ends_late(co_await aio::nothrow(aio::wait_for(aio::gather(one, two, aio::shield(later(1ms))), 0s)));
    ends_late(co_await aio::nothrow(aio::wait_for(aio::gather(one, two), 0s)));

    // The awaiting task is cancelled meanwhile.
    const auto outer = aio::create_task(
        []() -> aio::task<> { co_await aio::wait_for(aio::gather(cleans_up(&cleaned), ends_later(1h)), 0s); });
    const auto shielding = aio::create_task([one]() -> aio::task<> { co_await aio::wait_for(aio::shield(one), 0s); });
    co_await aio::sleep(0s);
    outer.cancel();
    shielding.cancel();
    static_cast<void>(co_await aio::nothrow(outer));
    static_cast<void>(co_await aio::nothrow(shielding));

    const auto done = aio::create_task(later(0s));
    hold((co_await done) == long_text, "the result");
    hold(std::get<1>(co_await aio::wait_for(aio::gather(done, done), 0s)) == long_text, "results that are there");
    hold((co_await aio::wait_for(aio::shield(done), 0s)) == long_text, "a result that is there");
}

aio::task<> shielded() {
    const auto inner = aio::create_task(later(2ms));
    const auto outer = aio::create_task([inner]() -> aio::task<> { co_await aio::shield(inner); });
    co_await aio::sleep(1ms);
    outer.cancel();
    static_cast<void>(co_await aio::nothrow(outer));
    hold((co_await inner) == long_text, "what is shielded goes on");
    hold((co_await aio::shield(later(1ms))) == long_text, "the result");
}

aio::task<> resources() {
    struct resource {
        std::string text = long_text;
        bool entered = false;
        resource() = default;
        resource(resource&&) = default;
        resource& operator=(resource&&) = default;
        ~resource() {
            if (entered) std::terminate();
        }
        aio::task<std::string*> async_enter() {
            co_await aio::sleep(1ms);
            entered = true;
            co_return &text;
        }
        void async_exit(std::exception_ptr) noexcept { entered = false; }
    };
    auto body = [](std::string* one, std::string* two) -> aio::task<std::string> {
        co_await aio::sleep(1ms);
        co_return *one + *two;
    };
    resource outer;
    hold((co_await aio::with(outer, resource(), body)).size() == 2 * long_text.size(), "the result");
    int cleaned = 0;
    auto inside = []() -> aio::task<> { co_await aio::sleep(1ms); };
    auto cleanup = [&cleaned] { ++cleaned; };
    co_await aio::finally(inside, cleanup);
    hold(cleaned == 1, "the cleanup runs");
}

/// The children refer to what lives around the block.
aio::task<> groups() {
    int cleaned = 0;
    bool here = false;
    {
        const alive self(&here);
        const auto uses = [&here]() -> aio::task<> {
            for (int i = 0; i < 3; ++i) {
                co_await aio::sleep(1ms);
                if (!here) std::terminate(); // a child outlives what it refers to
            }
        };
        auto good = [&](aio::task_group& group) -> aio::task<> {
            group.create_task(uses);
            group.create_task(later(1ms));
            group.create_task(uses(), "named");
            co_await aio::sleep(1ms);
        };
        co_await aio::with(aio::task_group(), good);
        auto bad = [&](aio::task_group& group) -> aio::task<> {
            group.create_task(uses);
            group.create_task(cleans_up(&cleaned));
            group.create_task(fails_later(1ms));
            co_await aio::sleep(1h);
        };
        bool failed = false;
        try {
            co_await aio::with(aio::task_group(), bad);
        } catch (const aio::exception_group&) {
            failed = true;
        }
        hold(failed, "the error of a child is not lost");
        auto left = [&](aio::task_group& group) -> aio::task<> {
            group.create_task(cleans_up(&cleaned));
            co_await aio::sleep(1ms);
            group.cancel();
        };
        co_await aio::with(aio::task_group(), left);
    }
    co_await aio::sleep(10ms);
}

/// What has started is in the group, and what has not is waited for.
aio::task<> started() {
    bool here = false;
    {
        const alive self(&here);
        const auto serves = [&here](aio::task_status<std::string>& status, std::string text) -> aio::task<> {
            co_await aio::sleep(1ms);
            if (!here) std::terminate(); // it outlives what it refers to
            status.started(text);
            co_await aio::sleep(1ms);
            if (!here) std::terminate();
        };
        const auto fails = [](aio::task_status<>&) -> aio::task<> { co_await fails_later(1ms); };
        auto body = [&](aio::task_group& group) -> aio::task<> {
            hold((co_await group.start(serves, long_text)) == long_text, "what it started with");
            const auto failed = co_await aio::nothrow(group.start(fails));
            hold(static_cast<bool>(failed.error()), "the error of what has not started");
        };
        co_await aio::with(aio::task_group(), body);
    }
}

/// Cancelled: the cleanup runs, or there was no memory for it, which is told. The task may outlive the one that waits for it.
aio::task<> cleaned_up() {
    static int cleaned;
    cleaned = 0;
    auto cleanup = []() -> aio::task<std::string> {
        co_await aio::sleep(1ms);
        ++cleaned;
        co_return long_text;
    };
    const auto task = aio::create_task(aio::on_cancel(later(1h), aio::take(cleanup)));
    co_await aio::sleep(1ms);
    task.cancel(long_text);
    const auto ended = co_await aio::nothrow(task);
    hold(!ended.cancelled() || cleaned == 1, "no cleanup is left out in silence");
    if (!ended.cancelled()) ended.rethrow();
}

// Callbacks and ticks

aio::task<> called_back() {
    aio::completion<std::string> ended;
    aio::get_running_loop().call_later(1ms, [callback = ended.callback()] { callback(long_text); });
    hold((co_await ended) == long_text, "what the callback was called with");
    aio::completion<> dropped;
    static_cast<void>(dropped.callback());
    const auto nothing = co_await aio::nothrow(dropped);
    hold(static_cast<bool>(nothing.error()), "the end without a call");
    aio::interval ticks(1ms);
    const auto first = co_await ticks.next();
    const auto second = co_await ticks.next();
    hold(second - first == 1ms, "the next tick");
}

// Module sync

aio::task<> locks() {
    aio::mutex mutex;
    aio::condition condition;
    aio::semaphore permits(1);
    int inside = 0;
    bool ready = false;
    const auto worker = [&]() -> aio::task<> {
        auto body = [&]() -> aio::task<> {
            hold(++inside == 1, "one is inside");
            co_await aio::sleep(1ms);
            --inside;
        };
        co_await aio::with(mutex, permits, body);
    };
    const auto waiter = [&]() -> aio::task<> {
        auto body = [&]() -> aio::task<> { co_await condition.wait_for([&ready] { return ready; }); };
        co_await aio::with(condition, body);
    };
    const auto notifier = [&]() -> aio::task<> {
        auto body = [&]() -> aio::task<> {
            co_await aio::sleep(1ms);
            ready = true;
            condition.notify_all();
        };
        co_await aio::with(condition, body);
    };
    co_await aio::gather(worker, worker, worker, waiter, notifier);
}

aio::task<> meetings() {
    aio::event event;
    aio::barrier barrier(2);
    const auto waits = [&]() -> aio::task<> {
        co_await event.wait();
        co_await barrier.wait();
    };
    const auto sets = [&]() -> aio::task<> {
        co_await aio::sleep(1ms);
        event.set();
    };
    co_await aio::gather(waits, waits, sets);
}

template<class Queue>
aio::task<> queued() {
    Queue queue(2);
    const auto puts = [&]() -> aio::task<> {
        for (int i = 0; i < 5; ++i) co_await queue.put(long_text + std::to_string(i));
        queue.shutdown();
    };
    const auto gets = [&]() -> aio::task<> {
        int got = 0;
        while (auto item = co_await queue.next()) {
            ++got;
            queue.task_done();
            co_await aio::sleep(1ms);
        }
        hold(got == 5, "all items come");
    };
    co_await aio::gather(puts, gets);
    co_await queue.join();
}

constexpr asynchio_tests::starved_scenario scenarios[] = {
    {"tasks", &tasks},
    {"cancellations", &cancellations},
    {"leftovers", &leftovers},
    {"futures", &futures},
    {"calls", &calls},
    {"signals", &signals},
    {"contexts", &contexts},
    {"outcomes", &outcomes},
    {"generators", &generators},
    {"merged", &merged},
    {"mapped", &mapped},
    {"synchronous", &synchronous},
    {"gathered", &gathered},
    {"gathered_failure", &gathered_failure},
    {"waited", &waited},
    {"completed", &completed},
    {"raced", &raced},
    {"limited", &limited},
    {"without_time", &without_time},
    {"shielded", &shielded},
    {"resources", &resources},
    {"groups", &groups},
    {"started", &started},
    {"cleaned_up", &cleaned_up},
    {"called_back", &called_back},
    {"locks", &locks},
    {"meetings", &meetings},
    {"queue", &queued<aio::queue<std::string>>},
    {"lifo_queue", &queued<aio::lifo_queue<std::string>>},
    {"priority_queue", &queued<aio::priority_queue<std::string>>},
};

void test() { asynchio_tests::starve(scenarios); }

} // namespace

int main() { return asynchio_tests::on_small_stack(&test); }
