// SPDX-License-Identifier: BSL-1.0
#include <asynchio/io/signal_set.hpp>

#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/message_of.hpp"
#include "support/net.hpp"

#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>

#include <chrono>
#include <csignal>
#include <optional>
#include <string>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

TEST_CASE("signal_set: gives the signals that come, while somebody waits and while nobody does", "[io][SIG-1][SIG-2]") {
    on_each_poller([]() -> aio::task<> {
        aio::signal_set signals(SIGUSR1, SIGUSR2);
        const auto waiting = aio::create_task(signals.wait());
        co_await settle();
        CHECK_FALSE(waiting.done());
        std::raise(SIGUSR2);
        int number = co_await waiting;
        CHECK(number == SIGUSR2);
        std::raise(SIGUSR1);
        std::raise(SIGUSR1);
        co_await settle();
        number = co_await signals.wait();
        CHECK(number == SIGUSR1);
        const auto next = aio::create_task(signals.wait());
        co_await settle();
        CHECK_FALSE(next.done()); // two of a kind were one
        next.cancel();
        const auto ended = co_await aio::nothrow(next);
        CHECK(ended.cancelled());
    });
}

TEST_CASE("signal_set: a signal that came for a cancelled task goes to the next", "[io]") {
    on_each_poller([]() -> aio::task<> {
        aio::signal_set signals(SIGUSR1);
        const auto first = aio::create_task(signals.wait());
        const auto second = aio::create_task(signals.wait());
        co_await settle();
        std::raise(SIGUSR1);
        // The call that hands it over runs in the next iteration, before this task, and the waiter after it.
        co_await aio::yield();
        first.cancel();
        const auto ended = co_await aio::nothrow(first);
        const int number = co_await second;
        CHECK(number == SIGUSR1);
        CHECK(ended.cancelled());
    });
}

TEST_CASE("signal_set: who comes while a signal is on its way to another gets the next", "[io]") {
    on_each_poller([]() -> aio::task<> {
        for (const bool cancelled : {false, true}) {
            aio::signal_set signals(SIGUSR1, SIGUSR2);
            const auto first = aio::create_task(signals.wait());
            co_await settle();
            // Its call is made before those of the others: the new task runs when they have woken the first one, and
            // before that one.
            std::optional<aio::task_handle<int>> second;
            std::optional<aio::task_handle<int>> third;
            auto& loop = aio::get_running_loop();
            loop.add_signal_handler(SIGHUP, [&] {
                second = aio::create_task(signals.wait());
                third = aio::create_task(signals.wait());
                if (cancelled) loop.call_soon([&] { first.cancel(); });
            });
            for (const int number : {SIGHUP, SIGUSR1, SIGUSR2}) std::raise(number);
            while (!second) co_await aio::yield();
            co_await settle();
            loop.remove_signal_handler(SIGHUP);
            CHECK(first.cancelled() == cancelled);
            CHECK(second->done());
            CHECK(third->done() == cancelled);
            third->cancel();
            co_await aio::nothrow(*third);
            co_await aio::nothrow(first);
        }
    });
}

TEST_CASE("signal_set: a hundred thousand times", "[io]") {
    on_each_poller([]() -> aio::task<> {
        aio::signal_set signals(SIGUSR1, SIGUSR2);
        for (int i = 0; i < 100'000; ++i) {
            std::raise(i % 2 == 0 ? SIGUSR1 : SIGUSR2);
            const int number = co_await signals.wait();
            if (number != (i % 2 == 0 ? SIGUSR1 : SIGUSR2)) FAIL_CHECK("signal " << number);
        }
    });
}

TEST_CASE("signal_set: restores what was before, and refuses what cannot be", "[io][SIG-4][SIG-5][SIG-8]") {
    const auto handler_of = [](int number) {
        struct sigaction now{};
        ::sigaction(number, nullptr, &now);
        return now.sa_handler;
    };
    on_each_poller([&]() -> aio::task<> {
        const auto before = handler_of(SIGUSR1);
        std::optional<aio::signal_set> signals(std::in_place, SIGUSR1);
        CHECK(handler_of(SIGUSR1) != before);
        signals.reset();
        CHECK(handler_of(SIGUSR1) == before);
        CHECK(contains(message_of([] { aio::signal_set none(SIGUSR2, SIGKILL); }), "signal 9"));
        CHECK(handler_of(SIGUSR2) == SIG_DFL);
        CHECK(contains(message_of([] { aio::signal_set none(1000); }), "1000 is not a signal number"));
        co_return;
    });
    CHECK(contains(message_of([] { aio::signal_set outside(SIGUSR1); }), "no running event loop"));
}

TEST_CASE("signal_set: several sets and a handler of the loop each get a signal", "[io]") {
    on_each_poller([]() -> aio::task<> {
        aio::event_loop& loop = aio::get_running_loop();
        int calls = 0;
        loop.add_signal_handler(SIGURG, [&] { ++calls; });
        std::optional<aio::signal_set> first(std::in_place, SIGURG, SIGUSR1);
        std::optional<aio::signal_set> second(std::in_place, SIGURG);
        for (int i = 1; i <= 2; ++i) {
            std::raise(SIGURG);
            int number = co_await first->wait();
            CHECK(number == SIGURG);
            number = co_await second->wait();
            CHECK(number == SIGURG);
            CHECK(calls == i);
        }
        first.reset();
        std::raise(SIGURG);
        int number = co_await second->wait();
        CHECK(number == SIGURG);
        CHECK(calls == 3);
        CHECK(loop.remove_signal_handler(SIGURG));
        std::raise(SIGURG);
        number = co_await second->wait();
        CHECK(number == SIGURG);
        CHECK(calls == 3);
        CHECK_FALSE(loop.remove_signal_handler(SIGURG));
        loop.add_signal_handler(SIGURG, [&] { ++calls; });
        second.reset();
        std::raise(SIGURG);
        while (calls < 4) co_await aio::yield();
    });
}

TEST_CASE("signal_set: a handler for one arrival is a last resort, and is one again afterwards", "[io]") {
    const auto is_default = [] {
        struct sigaction now{};
        ::sigaction(SIGURG, nullptr, &now);
        return now.sa_handler == SIG_DFL;
    };
    on_each_poller([&]() -> aio::task<> {
        aio::event_loop& loop = aio::get_running_loop();
        int calls = 0;
        loop.add_signal_handler(SIGURG, [&] { ++calls; }, true);
        for (int round = 0; round < 2; ++round) {
            aio::signal_set own(SIGURG);
            for (int i = 0; i < 3; ++i) {
                std::raise(SIGURG);
                const int number = co_await own.wait();
                CHECK(number == SIGURG);
            }
            CHECK(calls == 0);
        }
        CHECK_FALSE(is_default());
        std::raise(SIGURG);
        CHECK(is_default());
        while (calls < 1) co_await aio::yield();
        {
            const aio::signal_set own(SIGURG);
            CHECK_FALSE(is_default());
        }
        CHECK(is_default()); // its arrival has been
    });
}

TEST_CASE("signal_set: of a loop that is closed first leaves nothing behind", "[io]") {
    const auto handler_of = [](int number) {
        struct sigaction now{};
        ::sigaction(number, nullptr, &now);
        return now.sa_handler;
    };
    const auto before = handler_of(SIGURG);
    aio::event_loop loop;
    std::optional<aio::signal_set> own;
    loop.call_soon([&] {
        own.emplace(SIGURG);
        loop.stop();
    });
    loop.run_forever();
    CHECK(handler_of(SIGURG) != before);
    loop.close();
    CHECK(handler_of(SIGURG) == before);
    own.reset();
    CHECK(handler_of(SIGURG) == before);
}

TEST_CASE("signal_set: one that a child inherited ends there, and a run of the child's keeps the signal",
          "[io][time]") {
    for (const bool has_arrived : {false, true}) {
        aio::run([has_arrived]() -> aio::task<> {
            aio::event_loop& loop = aio::get_running_loop();
            loop.add_signal_handler(SIGURG, [] {}, true);
            if (has_arrived) std::raise(SIGURG);
            co_await settle();
            std::optional<aio::signal_set> inherited(std::in_place, SIGURG);
            const int status = status_in_child([&] {
                const int calls = aio::run([&inherited]() -> aio::task<int> {
                    aio::event_loop& own = aio::get_running_loop();
                    int made = 0;
                    own.add_signal_handler(SIGURG, [&made] { ++made; });
                    inherited.reset();
                    for (int wanted = 1; wanted <= 3; ++wanted) {
                        std::raise(SIGURG);
                        for (int i = 0; i < 1'000 && made < wanted; ++i) co_await aio::sleep(1ms);
                    }
                    own.remove_signal_handler(SIGURG);
                    co_return made;
                });
                struct sigaction now{};
                ::sigaction(SIGURG, nullptr, &now);
                const bool is_last_resort = (now.sa_flags & int(SA_RESETHAND)) != 0;
                const bool is_as_left = has_arrived ? now.sa_handler == SIG_DFL : is_last_resort;
                return 10 * calls + (is_as_left ? 1 : 0);
            });
            CHECK(status == 31);
            loop.remove_signal_handler(SIGURG);
        });
    }
}

TEST_CASE("handle_sigint: a set of main takes Ctrl-C over, as often as it comes", "[io]") {
    aio::run_options options;
    options.handle_sigint = true;
    const int times = virtual_run(
        []() -> aio::task<int> {
            aio::signal_set stop(SIGINT);
            int count = 0;
            for (; count < 3; ++count) {
                std::raise(SIGINT);
                const int number = co_await stop.wait();
                CHECK(number == SIGINT);
            }
            co_return count;
        }(),
        options);
    CHECK(times == 3);
}
