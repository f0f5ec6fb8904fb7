// SPDX-License-Identifier: BSL-1.0
// covers: loop/detail/running_mark.hpp
#include <asynchio/loop/detail/fork_count.hpp>

#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/sanitized.hpp"

#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/thread/run_in_executor.hpp>
#include <asynchio/thread/thread_pool.hpp>
#include <asynchio/thread/to_thread.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <thread>
#include <unistd.h>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

struct pipe_ends {
    pipe_ends() {
        if (::pipe(fds) != 0) throw std::runtime_error("pipe");
    }
    pipe_ends(const pipe_ends&) = delete;
    pipe_ends& operator=(const pipe_ends&) = delete;
    ~pipe_ends() {
        ::close(fds[0]);
        ::close(fds[1]);
    }
    void write() const { static_cast<void>(::write(fds[1], "x", 1)); }
    void read() const {
        char byte;
        static_cast<void>(::read(fds[0], &byte, 1));
    }
    int fds[2];
};

/// A reader that counts, and takes what has come.
void add_counting_reader(const pipe_ends& pipe, int& count) {
    aio::get_running_loop().add_reader(pipe.fds[0], [&pipe, &count] {
        pipe.read();
        ++count;
    });
}

aio::task<int> seven() {
    co_await aio::sleep(1ms);
    co_return 7;
}

aio::run_options with_sigint() {
    aio::run_options options;
    options.handle_sigint = true;
    return options;
}

/// Runs a loop that Ctrl-C ends. @return 2 if that did.
int run_interrupted() {
    try {
        aio::run(
            []() -> aio::task<> {
                std::raise(SIGINT);
                for (int i = 0; i < 10'000; ++i) co_await aio::sleep(1ms);
            },
            with_sigint());
    } catch (const aio::keyboard_interrupt&) {
        return 2;
    }
    return 3;
}

/// Adds a handler where the loop of another thread, of this process, has one. @return 10 if that is refused.
int handler_in_other_thread() {
    int result = 11;
    std::thread([&result] {
        aio::event_loop other;
        try {
            other.add_signal_handler(SIGINT, [] {});
        } catch (const std::logic_error&) {
            result = 10;
        }
    }).join();
    return result;
}

aio::run_options with(aio::poller_kind kind) {
    aio::run_options options;
    options.poller = kind;
    return options;
}

} // namespace

TEST_CASE("fork_count: a child is another process, its parent is not", "[time]") {
    aio::detail::watch_forks();
    const aio::detail::process_mark mark;
    CHECK(status_in_child([&mark] {
              if (mark.is_here()) return 1;
              aio::detail::process_mark other = mark;
              other.renew();
              return other.is_here() ? 0 : 2;
          }) == 0);
    CHECK(mark.is_here());
}

TEST_CASE("fork_count: a child that lets go of an inherited reader leaves it to its parent", "[time]") {
    for (const auto kind : {aio::poller_kind::automatic, aio::poller_kind::poll}) {
        const pipe_ends pipe;
        int arrived = 0;
        aio::run(
            [&]() -> aio::task<> {
                add_counting_reader(pipe, arrived);
                co_await aio::sleep(1ms);
                const int status =
                    status_in_child([&] { return aio::get_running_loop().remove_reader(pipe.fds[0]) ? 0 : 1; });
                CHECK(status == 0);
                pipe.write();
                for (int i = 0; i < 1'000 && arrived == 0; ++i) co_await aio::sleep(1ms);
                aio::get_running_loop().remove_reader(pipe.fds[0]);
            },
            with(kind));
        CHECK(arrived == 1);
    }
}

TEST_CASE("fork_count: a reader of a child's is not one of its parent", "[time]") {
    const pipe_ends both;
    const pipe_ends of_child;
    int arrived = 0;
    aio::run([&]() -> aio::task<> {
        add_counting_reader(both, arrived);
        co_await aio::sleep(1ms);
        const int status = status_in_child([&] {
            int count = 0;
            add_counting_reader(of_child, count);
            return 0;
        });
        CHECK(status == 0);
        of_child.write();
        co_await aio::sleep(2ms);
        both.write();
        for (int i = 0; i < 1'000 && arrived == 0; ++i) co_await aio::sleep(1ms);
        aio::get_running_loop().remove_reader(both.fds[0]);
    });
    CHECK(arrived == 1);
}

TEST_CASE("fork_count: a loop goes on in a child, with its readers, timers, posts and signals", "[time]") {
    for (const auto kind : {aio::poller_kind::automatic, aio::poller_kind::poll}) {
        const pipe_ends pipe;
        int arrived = 0;
        int signals = 0;
        int status = -3;
        aio::run(
            [&]() -> aio::task<> {
                aio::event_loop& loop = aio::get_running_loop();
                add_counting_reader(pipe, arrived);
                loop.add_signal_handler(SIGUSR1, [&signals] { ++signals; });
                co_await aio::sleep(1ms);
                const pid_t child = ::fork();
                if (child != 0) {
                    status = status_of(child);
                    co_await aio::sleep(2ms);
                    loop.remove_reader(pipe.fds[0]);
                    loop.remove_signal_handler(SIGUSR1);
                    co_return;
                }
                pipe.write();
                for (int i = 0; i < 1'000 && arrived == 0; ++i) co_await aio::sleep(1ms);
                const aio::future<> posted;
                std::thread([ref = loop.ref(), &posted] {
                    ref.call_soon_threadsafe([&posted] { posted.set_result(); });
                }).join();
                co_await posted;
                std::raise(SIGUSR1);
                for (int i = 0; i < 1'000 && signals == 0; ++i) co_await aio::sleep(1ms);
                ::_exit(arrived == 1 && signals == 1 ? 0 : 10 * arrived + signals);
            },
            with(kind));
        CHECK(status == 0);
        CHECK(arrived == 0); // the child took it
        CHECK(signals == 0);
    }
}

TEST_CASE("fork_count: run works in a child that was forked inside of a task, and again", "[time]") {
    aio::run([]() -> aio::task<> {
        co_await aio::sleep(1ms);
        const int status = status_in_child([] { return aio::run(seven()) + aio::run(seven()); });
        CHECK(status == 14);
        const int after_inner = status_in_child([] {
            const aio::any_task_handle outer = aio::current_task();
            const int inner = aio::run(seven());
            return aio::current_task() == outer ? inner : 0;
        });
        CHECK(after_inner == 7);
        CHECK_THROWS_AS(aio::run(seven()), std::logic_error); // but not here
        const int grandchild = status_in_child([] {
            return aio::run([]() -> aio::task<int> {
                co_await aio::sleep(1ms);
                co_return status_in_child([] { return aio::run(seven()); });
            });
        });
        CHECK(grandchild == 7);
    });
}

TEST_CASE("fork_count: Ctrl-C ends a run in a child, and is the parent's own in the parent", "[time]") {
    const auto parent = []() -> aio::task<> {
        co_await aio::sleep(1ms);
        const int status = status_in_child([] { return run_interrupted() + run_interrupted(); });
        CHECK(status == 4);
        const int grandchild = status_in_child([] {
            return aio::run(
                []() -> aio::task<int> {
                    co_await aio::sleep(1ms);
                    co_return status_in_child(run_interrupted) + handler_in_other_thread();
                },
                with_sigint());
        });
        CHECK(grandchild == 12);
        co_await aio::sleep(2ms);
        std::raise(SIGINT);
        for (int i = 0; i < 10'000; ++i) co_await aio::sleep(1ms);
    };
    CHECK_THROWS_AS(aio::run(parent, with_sigint()), aio::keyboard_interrupt);
}

TEST_CASE("fork_count: a handler that a child inherited is back when a run in the child has ended", "[time]") {
    int interrupts = 0;
    aio::run([&interrupts]() -> aio::task<> {
        aio::event_loop& loop = aio::get_running_loop();
        loop.add_signal_handler(SIGINT, [&interrupts] { ++interrupts; });
        co_await aio::sleep(1ms);
        const pid_t child = ::fork();
        if (child != 0) {
            const int status = status_of(child);
            CHECK(status == 21);
            std::raise(SIGINT);
            for (int i = 0; i < 1'000 && interrupts == 0; ++i) co_await aio::sleep(1ms);
            CHECK(interrupts == 1);
            loop.remove_signal_handler(SIGINT);
            co_return;
        }
        const int how = run_interrupted();
        std::raise(SIGINT);
        for (int i = 0; i < 1'000 && interrupts == 0; ++i) co_await aio::sleep(1ms);
        ::_exit(10 * how + interrupts);
    });
}

TEST_CASE("fork_count: a handler that a child inherited may end while a run of the child's has the signal", "[time]") {
    const auto before = std::signal(SIGINT, [](int) { ::_exit(7); });
    aio::run([]() -> aio::task<> {
        aio::event_loop& inherited = aio::get_running_loop();
        inherited.add_signal_handler(SIGINT, [] {});
        co_await aio::sleep(1ms);
        const int status = status_in_child([&inherited] {
            try {
                aio::run(
                    [&inherited]() -> aio::task<> {
                        if (!inherited.remove_signal_handler(SIGINT)) ::_exit(90);
                        std::raise(SIGINT);
                        for (int i = 0; i < 10'000; ++i) co_await aio::sleep(1ms);
                    },
                    with_sigint());
            } catch (const aio::keyboard_interrupt&) {
                std::raise(SIGINT); // which is the program's again
            }
            return 91;
        });
        CHECK(status == 7);
        inherited.remove_signal_handler(SIGINT);
    });
    std::signal(SIGINT, before);
}

TEST_CASE("fork_count: a child lets go of a signal that arrived on another thread of its parent", "[time][stress]") {
    std::atomic<bool> over = false;
    int status = 7;
    aio::run([&]() -> aio::task<> {
        aio::event_loop& loop = aio::get_running_loop();
        loop.add_signal_handler(SIGURG, [] {});
        std::thread busy([&over] {
            while (!over) std::raise(SIGURG);
        });
        for (int i = 0; i < 100 && status == 7; ++i)
            status = status_in_child([&loop] { return loop.remove_signal_handler(SIGURG) ? 7 : 0; });
        over = true;
        busy.join();
        loop.remove_signal_handler(SIGURG);
        co_return;
    });
    CHECK(status == 7);
}

TEST_CASE("fork_count: in a child a loop's pool, and others, have threads of their own", "[time]") {
    if (thread_sanitized) return;
    int status = -3;
    aio::thread_pool pool(1);
    aio::run([&]() -> aio::task<> {
        const auto nothing = [] {};
        co_await aio::to_thread(nothing);
        co_await aio::run_in_executor(pool, nothing);
        const pid_t child = ::fork();
        if (child != 0) {
            status = status_of(child);
            co_return;
        }
        const auto six = [] { return 6; };
        const int one = co_await aio::to_thread(six);
        const int two = co_await aio::run_in_executor(pool, six);
        co_await pool.aclose();
        ::_exit(one + two);
    });
    CHECK(status == 12);
}

TEST_CASE("fork_count: a loop ends in a child, where jobs of the parent's threads never come back", "[time]") {
    std::atomic<bool> begun = false;
    std::atomic<bool> release = false;
    int status = -3;
    {
        aio::runner runner;
        bool in_child = false;
        pid_t child = -1;
        runner.run([&]() -> aio::task<> {
            const auto waits = [&] {
                begun = true;
                while (!release) std::this_thread::yield();
            };
            const auto waiting = [&]() -> aio::task<> { co_await aio::to_thread(waits); };
            aio::create_task(waiting);
            while (!begun) co_await aio::sleep(1ms);
            child = ::fork();
            in_child = child == 0;
            if (!in_child) release = true;
        });
        if (in_child) {
            runner.close();
            ::_exit(5);
        }
        status = status_of(child);
    }
    CHECK(status == 5);
}

TEST_CASE("fork_count: a child finds the frame pool unlocked, whatever other threads do", "[time][stress]") {
    std::atomic<bool> over = false;
    std::thread busy([&over] {
        while (!over)
            for (int i = 0; i < 100; ++i) {
                void* const large = aio::detail::frame_pool::allocate(2000);
                std::thread([] { // whose end takes the lock
                    aio::detail::frame_pool::deallocate(aio::detail::frame_pool::allocate(100), 100);
                })
                    .join();
                aio::detail::frame_pool::deallocate(large, 2000);
            }
    });
    int failed = 0;
    for (int i = 0; i < 50; ++i) failed += status_in_child([] { return aio::run(seven()); }) == 7 ? 0 : 1;
    over = true;
    busy.join();
    CHECK(failed == 0);
}
