// SPDX-License-Identifier: BSL-1.0

// A program for check_ps.py to look at: target MODE [N].
//
//   waits     a task for each kind of wait; prints dump_tasks() and then "ready", and holds its loop up until its input
//             ends
//   many N    N tasks that sleep
//   chain N   a task whose chain of coroutines is N deep
//   graph N   N tasks, each of which awaits the next one
//   circle    two tasks that await each other
//   churn     tasks that start and end all the time
//
// All but the first print "ready", and go on until their input ends.

#include <asynchio/combine/as_completed.hpp>
#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/race.hpp>
#include <asynchio/combine/shield.hpp>
#include <asynchio/combine/task_group.hpp>
#include <asynchio/combine/wait.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/debug/dump_tasks.hpp>
#include <asynchio/io/stream.hpp>
#include <asynchio/io/wait_readable.hpp>
#include <asynchio/sync/event.hpp>
#include <asynchio/sync/mutex.hpp>
#include <asynchio/sync/queue.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/stream_pair.hpp>
#include <asynchio/thread/to_thread.hpp>

#include <sys/prctl.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;

namespace {

/// Waits for ever.
class own_wait final : public aio::suspension {
public:
    static bool await_ready() noexcept { return false; }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> coroutine,
                       std::source_location where = std::source_location::current()) {
        park(coroutine, where);
    }
    void await_resume() { resumed(); }
    aio::cancel_reply cancel(const aio::cancel_message&) noexcept override { return aio::cancel_reply::left; }
};

/// Holds a thread of the pool until the end of the program.
class gate {
public:
    void pass() {
        std::unique_lock lock(mutex_);
        opened_.wait(lock, [this] { return open_; });
    }
    void open() {
        const std::lock_guard lock(mutex_);
        open_ = true;
        opened_.notify_all();
    }

private:
    std::mutex mutex_;
    std::condition_variable opened_;
    bool open_ = false;
};

void wait_for_end_of_input() {
    for (char byte; ::read(STDIN_FILENO, &byte, 1) > 0;) {}
}

void tell_ready() {
    std::puts("ready");
    std::fflush(stdout);
}

aio::task<> sleeps() { co_await aio::sleep(1h); }
aio::task<> sleeps_deeper(std::string, int) { co_await sleeps(); }
aio::task<> waits_for_future(aio::future<int> future) { co_await future; }
aio::task<> waits_for_task(aio::task_handle<> task) { co_await task; }
aio::task<> gathers() { co_await aio::gather(sleeps(), aio::sleep(2h), sleeps_deeper("a", 1)); }
aio::task<> waits(std::vector<aio::task_handle<>> tasks) { co_await aio::wait(std::move(tasks)); }
aio::task<> locks(aio::mutex& mutex) {
    auto lock = co_await mutex.scoped_acquire();
    co_await aio::sleep(1h);
}
aio::task<> waits_for_event(aio::event& event) { co_await event.wait(); }
aio::task<> gets(aio::queue<int>& queue) { co_await queue.get(); }
aio::task<> in_thread(gate& held) {
    co_await aio::to_thread([&held] { held.pass(); });
}
aio::task<> reads(aio::stream& stream) { co_await stream.read_line(); }
aio::task<> in_group() {
    co_await aio::with(aio::task_group(), [](aio::task_group& group) -> aio::task<> {
        group.create_task(sleeps());
        group.create_task(sleeps_deeper("b", 2));
        co_return;
    });
}
aio::task<> shields() { co_await aio::shield(sleeps()); }
aio::task<> shields_handle(aio::task_handle<> task) { co_await aio::shield(task); }
aio::task<> takes_as_completed(std::vector<aio::task_handle<>> tasks) {
    aio::as_completed_iterator<aio::task_handle<>> each = aio::as_completed(std::move(tasks));
    co_await each.next();
}
aio::task<> races(aio::task_handle<> task) { co_await aio::race(task, sleeps()); }
aio::task<> in_time() { co_await aio::wait_for(sleeps(), 1h); }
aio::task<> waits_its_own_way() { co_await own_wait(); }
aio::task<> waits_for_descriptor(int fd) { co_await aio::wait_readable(fd); }
aio::task<> is_not_started() { co_return; }
aio::task<> is_cancelled() {
    bool asked = false;
    try {
        co_await aio::sleep(1h);
    } catch (const aio::cancelled_error&) {
        asked = true;
    }
    if (asked) co_await own_wait();
}

aio::task<> every_wait() {
    aio::future<int> future = aio::get_running_loop().create_future<int>();
    aio::mutex mutex;
    aio::event event;
    aio::queue<int> queue;
    gate held;
    int pipe_ends[2];
    if (::pipe(pipe_ends) != 0) std::abort();
    auto [left, right] = aio::testing::stream_pair();
    std::vector<aio::task_handle<>> all;
    all.push_back(aio::create_task(sleeps()));
    all.back().set_name("the first sleeper");
    all.push_back(aio::create_task(sleeps_deeper("text", 3)));
    all.push_back(aio::create_task(waits_for_future(future)));
    all.push_back(aio::create_task(waits_for_task(all[0])));
    all.push_back(aio::create_task(gathers()));
    all.push_back(aio::create_task(waits({all[0], all[1]})));
    all.push_back(aio::create_task(locks(mutex)));
    all.push_back(aio::create_task(locks(mutex)));
    all.push_back(aio::create_task(waits_for_event(event)));
    all.push_back(aio::create_task(gets(queue)));
    all.push_back(aio::create_task(in_thread(held)));
    all.push_back(aio::create_task(reads(left)));
    all.push_back(aio::create_task(in_group()));
    all.push_back(aio::create_task(shields()));
    all.push_back(aio::create_task(shields_handle(all[0])));
    all.push_back(aio::create_task(in_time()));
    all.push_back(aio::create_task(waits_its_own_way()));
    all.push_back(aio::create_task(waits_for_descriptor(pipe_ends[0])));
    all.push_back(aio::create_task(takes_as_completed({all[0], all[1]})));
    all.push_back(aio::create_task(races(all[0])));
    all.push_back(aio::create_task(is_cancelled()));
    for (int i = 0; i < 10; ++i) co_await aio::yield();
    all.back().cancel();
    for (int i = 0; i < 10; ++i) co_await aio::yield();
    all.push_back(aio::create_task(is_not_started()));
    aio::dump_tasks(std::cout);
    std::cout << std::flush;
    tell_ready();
    wait_for_end_of_input();
    held.open();
    for (const auto& each : all) each.cancel();
    for (const auto& each : all) co_await aio::nothrow(each);
    ::close(pipe_ends[0]);
    ::close(pipe_ends[1]);
}

/// Waits in the loop, which is asleep meanwhile.
aio::task<> end_of_input() {
    tell_ready();
    co_await aio::to_thread(&wait_for_end_of_input);
}

aio::task<> many(long count) {
    std::vector<aio::task_handle<>> all;
    for (long i = 0; i < count; ++i) all.push_back(aio::create_task(sleeps()));
    co_await aio::yield();
    co_await end_of_input();
    for (const auto& each : all) each.cancel();
}

aio::task<> deep(long left) {
    if (left > 1)
        co_await deep(left - 1);
    else
        co_await own_wait();
}
aio::task<> chain(long depth) {
    const auto task = aio::create_task(deep(depth));
    co_await aio::yield();
    co_await end_of_input();
    task.cancel();
    co_await aio::nothrow(task);
}

aio::task<> graph(long count) {
    aio::task_handle<> last = aio::create_task(sleeps());
    for (long i = 1; i < count; ++i) last = aio::create_task(waits_for_task(last));
    co_await aio::yield();
    co_await end_of_input();
    last.cancel();
    co_await aio::nothrow(last);
}

aio::task<> awaits_handle_at(const aio::task_handle<>& other) { co_await other; }
aio::task<> circle() {
    aio::task_handle<> first, second;
    first = aio::create_task(awaits_handle_at(second));
    second = aio::create_task(awaits_handle_at(first));
    co_await aio::yield();
    co_await end_of_input();
    first.cancel();
}

aio::task<> comes_and_goes(int steps) {
    for (int i = 0; i < steps; ++i) co_await aio::yield();
}
aio::task<> churns(const aio::event& ended) {
    for (int i = 0; !ended.is_set(); ++i) {
        std::vector<aio::task_handle<>> some;
        for (int each = 0; each < 20; ++each) some.push_back(aio::create_task(comes_and_goes((i + each) % 7)));
        co_await aio::gather(aio::sleep(0s), comes_and_goes(3));
        for (const auto& each : some) co_await each;
    }
}
aio::task<> churn() {
    aio::event ended;
    const auto task = aio::create_task(churns(ended));
    co_await end_of_input();
    ended.set();
    co_await task;
}

} // namespace

#if defined(AS_LIBRARY)
extern "C" __attribute__((visibility("default"))) int run_target(int count, char** arguments) {
#else
int main(int count, char** arguments) {
#endif
    ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    const std::string_view mode = count > 1 ? arguments[1] : "";
    const long n = count > 2 ? std::atol(arguments[2]) : 1;
    if (mode == "waits") aio::run(every_wait());
    if (mode == "many") aio::run(many(n));
    if (mode == "chain") aio::run(chain(n));
    if (mode == "graph") aio::run(graph(n));
    if (mode == "circle") aio::run(circle());
    if (mode == "churn") aio::run(churn());
    return 0;
}
