// SPDX-License-Identifier: BSL-1.0
#include <asynchio/loop/detail/signals.hpp>

#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include "support/message_of.hpp"
#include "support/threads.hpp"
#include "support/virtual_run.hpp"

#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <signal.h>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>

namespace aio = asynchio;
using asynchio_tests::virtual_run;
using namespace std::chrono_literals;

namespace {

/// How often the handler that was there before was called, while this lives.
class plain_handler {
public:
    explicit plain_handler(int number) : number_(number) {
        calls = 0;
        struct sigaction action{};
        action.sa_handler = [](int) { calls = calls + 1; };
        sigemptyset(&action.sa_mask);
        ::sigaction(number, &action, &before_);
    }
    plain_handler(const plain_handler&) = delete;
    plain_handler& operator=(const plain_handler&) = delete;
    ~plain_handler() { ::sigaction(number_, &before_, nullptr); }

    static inline volatile std::sig_atomic_t calls = 0;

private:
    int number_;
    struct sigaction before_{};
};

aio::event_loop make_loop() { return aio::event_loop({.virtual_time = true}); }

} // namespace

TEST_CASE("add_signal_handler: the call comes from the loop, in a later iteration", "[SIG-1]") {
    aio::event_loop loop = make_loop();
    std::string trace;
    loop.add_signal_handler(SIGUSR1, [&] { trace += 's'; });
    loop.call_soon([&] {
        trace += 'a';
        std::raise(SIGUSR1);
        trace += 'b';
    });
    loop.call_soon([&] { trace += 'c'; });
    aio::testing::run_until_idle(loop);
    CHECK(trace == "abcs");
    std::raise(SIGUSR1);
    aio::testing::run_until_idle(loop);
    CHECK(trace == "abcss");
}

TEST_CASE("add_signal_handler: a signal before the loop runs is not lost, several may be one call", "[SIG-9]") {
    aio::event_loop loop = make_loop();
    int calls = 0;
    loop.add_signal_handler(SIGUSR1, [&] { ++calls; });
    for (int i = 0; i < 5; ++i) std::raise(SIGUSR1);
    CHECK(calls == 0);
    aio::testing::run_until_idle(loop);
    CHECK(calls >= 1);
    CHECK(calls <= 5);
}

TEST_CASE("add_signal_handler: a signal wakes a loop that sleeps", "[SIG-2][time]") {
    for (const bool with_descriptors : {false, true}) {
        int ends[2];
        REQUIRE(::pipe(ends) == 0);
        std::thread sender;
        virtual_run(
            [&]() -> aio::task<> {
                aio::event_loop& loop = aio::get_running_loop();
                if (with_descriptors) loop.add_reader(ends[0], [] {});
                const aio::future<> arrived;
                loop.add_signal_handler(SIGUSR1, [arrived] { arrived.set_result(); });
                sender = std::thread([loops_thread = ::gettid()] {
                    asynchio_tests::until_asleep(loops_thread);
                    ::kill(::getpid(), SIGUSR1);
                });
                co_await arrived;
                loop.remove_signal_handler(SIGUSR1);
            },
            aio::run_options{});
        sender.join();
        ::close(ends[0]);
        ::close(ends[1]);
    }
}

TEST_CASE("add_signal_handler: a second one for the same signal replaces the first", "[SIG-3]") {
    aio::event_loop loop = make_loop();
    std::string trace;
    auto alive = std::make_shared<int>(0);
    const std::weak_ptr<int> watched = alive;
    loop.add_signal_handler(SIGUSR1, [&trace, a = std::move(alive)] { trace += 'a'; });
    loop.add_signal_handler(SIGUSR1, [&] { trace += 'b'; });
    CHECK(watched.expired());
    std::raise(SIGUSR1);
    aio::testing::run_until_idle(loop);
    CHECK(trace == "b");
    CHECK(loop.remove_signal_handler(SIGUSR1));
    CHECK_FALSE(loop.remove_signal_handler(SIGUSR1));
}

TEST_CASE("add_signal_handler: signals have handlers of their own", "[SIG-3]") {
    aio::event_loop loop = make_loop();
    std::string trace;
    loop.add_signal_handler(SIGUSR1, [&] { trace += '1'; });
    loop.add_signal_handler(SIGUSR2, [&] { trace += '2'; });
    std::raise(SIGUSR2);
    aio::testing::run_until_idle(loop);
    CHECK(trace == "2");
    loop.remove_signal_handler(SIGUSR2);
    std::raise(SIGUSR1);
    aio::testing::run_until_idle(loop);
    CHECK(trace == "21");
}

TEST_CASE("remove_signal_handler: restores what was there before the first add", "[SIG-4]") {
    const plain_handler before(SIGUSR1);
    aio::event_loop loop = make_loop();
    CHECK_FALSE(loop.remove_signal_handler(SIGUSR1));
    int calls = 0;
    loop.add_signal_handler(SIGUSR1, [&] { ++calls; });
    loop.add_signal_handler(SIGUSR1, [&] { ++calls; });
    CHECK(loop.remove_signal_handler(SIGUSR1));
    std::raise(SIGUSR1);
    aio::testing::run_until_idle(loop);
    CHECK(calls == 0);
    CHECK(plain_handler::calls == 1);
}

TEST_CASE("remove_signal_handler: a signal that arrived just before is ignored, and the loop sleeps on", "[SIG-10]") {
    const plain_handler before(SIGUSR1);
    aio::event_loop loop = make_loop();
    int calls = 0;
    loop.add_signal_handler(SIGUSR1, [&] { ++calls; });
    std::raise(SIGUSR1);
    CHECK(loop.remove_signal_handler(SIGUSR1));
    CHECK(aio::testing::run_until_idle(loop) == 0);
    loop.add_signal_handler(SIGUSR1, [&] { ++calls; }); // not this one's either
    aio::testing::run_until_idle(loop);
    CHECK(calls == 0);
    CHECK(plain_handler::calls == 0);
}

TEST_CASE("remove_signal_handler: a call that is queued already is dropped", "[SIG-10]") {
    aio::event_loop loop = make_loop();
    int calls = 0;
    loop.add_signal_handler(SIGUSR1, [&] { ++calls; });
    loop.call_soon([&] { loop.remove_signal_handler(SIGUSR1); });
    std::raise(SIGUSR1); // taken in the iteration in which the call above runs
    aio::testing::run_until_idle(loop);
    CHECK(calls == 0);
}

TEST_CASE("add_signal_handler: what no program can catch is refused", "[SIG-5]") {
    aio::event_loop loop = make_loop();
    CHECK_THROWS_AS(loop.add_signal_handler(SIGKILL, [] {}), std::system_error);
    CHECK_THROWS_AS(loop.add_signal_handler(SIGSTOP, [] {}), std::system_error);
    CHECK_FALSE(loop.remove_signal_handler(SIGKILL));
    CHECK(asynchio_tests::contains(asynchio_tests::message_of([&] { loop.add_signal_handler(SIGKILL, [] {}); }), "9"));
}

TEST_CASE("add_signal_handler: a number that is no signal, and no callable, are refused", "[SIG-5]") {
    aio::event_loop loop = make_loop();
    for (const int number : {0, -1, 65, 1'000'000})
        CHECK_THROWS_AS(loop.add_signal_handler(number, [] {}), std::invalid_argument);
    CHECK_THROWS_AS(loop.add_signal_handler(SIGUSR1, std::function<void()>()), std::invalid_argument);
    CHECK_FALSE(loop.remove_signal_handler(0));
    CHECK_FALSE(loop.remove_signal_handler(1'000'000));
}

TEST_CASE("add_signal_handler: any thread's loop may, but one loop only has a signal", "[SIG-7]") {
    aio::event_loop first = make_loop();
    int calls = 0;
    first.add_signal_handler(SIGUSR1, [&] { ++calls; });
    std::thread([&] {
        aio::event_loop second = make_loop();
        CHECK_THROWS_AS(second.add_signal_handler(SIGUSR1, [] {}), std::logic_error);
        CHECK_FALSE(second.remove_signal_handler(SIGUSR1));
        int other = 0;
        second.add_signal_handler(SIGUSR2, [&] { ++other; });
        std::raise(SIGUSR2);
        aio::testing::run_until_idle(second);
        CHECK(other == 1);
    }).join();
    std::raise(SIGUSR1);
    aio::testing::run_until_idle(first);
    CHECK(calls == 1);
    first.remove_signal_handler(SIGUSR1);
    aio::event_loop third = make_loop();
    third.add_signal_handler(SIGUSR1, [&] { calls += 10; });
    std::raise(SIGUSR1);
    aio::testing::run_until_idle(third);
    CHECK(calls == 11);
}

TEST_CASE("add_signal_handler: closing the loop removes all its handlers", "[SIG-8]") {
    const plain_handler before(SIGUSR1);
    int calls = 0;
    {
        aio::event_loop loop = make_loop();
        auto alive = std::make_shared<int>(0);
        const std::weak_ptr<int> watched = alive;
        loop.add_signal_handler(SIGUSR1, [&calls, a = std::move(alive)] { ++calls; });
        std::raise(SIGUSR1);
        loop.close();
        CHECK(watched.expired());
        CHECK_THROWS_AS(loop.add_signal_handler(SIGUSR1, [] {}), std::logic_error);
    }
    std::raise(SIGUSR1);
    CHECK(calls == 0);
    CHECK(plain_handler::calls == 1);
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("add_signal_handler: with once, the default action is back after the first arrival") {
    aio::event_loop loop = make_loop();
    int calls = 0;
    loop.add_signal_handler(SIGUSR1, [&] { ++calls; }, true);
    std::raise(SIGUSR1);
    struct sigaction now{};
    ::sigaction(SIGUSR1, nullptr, &now);
    CHECK(now.sa_handler == SIG_DFL);
    aio::testing::run_until_idle(loop);
    CHECK(calls == 1);
    CHECK(loop.remove_signal_handler(SIGUSR1));
}

TEST_CASE("add_signal_handler: system calls of the program go on after a signal, and errno stays") {
    aio::event_loop loop = make_loop();
    loop.add_signal_handler(SIGUSR1, [] {});
    errno = 77;
    std::raise(SIGUSR1);
    CHECK(errno == 77);
    struct sigaction now{};
    ::sigaction(SIGUSR1, nullptr, &now);
    CHECK((now.sa_flags & SA_RESTART) != 0);
}

TEST_CASE("add_signal_handler: an exception goes to the handler and the signal stays handled", "[LOOP-18]") {
    aio::event_loop loop = make_loop();
    int reports = 0;
    loop.set_exception_handler([&](aio::event_loop&, const aio::exception_context& context) {
        CHECK(aio::detail::describe(context.exception) == "in the handler");
        ++reports;
    });
    loop.add_signal_handler(SIGUSR1, [] { throw std::runtime_error("in the handler"); });
    for (int i = 0; i < 2; ++i) {
        std::raise(SIGUSR1);
        aio::testing::run_until_idle(loop);
    }
    CHECK(reports == 2);
}

namespace {

/// What is done about a signal now. SIGURG is taken where nothing happens by default.
struct sigaction action_of(int number) {
    struct sigaction now{};
    ::sigaction(number, nullptr, &now);
    return now;
}

} // namespace

TEST_CASE("add_signal_handler: one for an arrival is replaced by one for all", "[SIG-3]") {
    aio::event_loop loop = make_loop();
    std::string trace;
    loop.add_signal_handler(SIGURG, [&] { trace += 'o'; }, true);
    loop.add_signal_handler(SIGURG, [&] { trace += 'n'; });
    for (int i = 0; i < 3; ++i) {
        std::raise(SIGURG);
        aio::testing::run_until_idle(loop);
    }
    CHECK(trace == "nnn");
    loop.add_signal_handler(SIGURG, [&] { trace += 'o'; }, true);
    std::raise(SIGURG); // used up
    aio::testing::run_until_idle(loop);
    loop.add_signal_handler(SIGURG, [&] { trace += 'm'; });
    for (int i = 0; i < 3; ++i) {
        std::raise(SIGURG);
        aio::testing::run_until_idle(loop);
    }
    CHECK(trace == "nnnommm");
}

TEST_CASE("add_signal_handler: one for all is replaced by one for an arrival, again and again", "[SIG-3]") {
    const plain_handler before(SIGURG);
    aio::event_loop loop = make_loop();
    std::string trace;
    loop.add_signal_handler(SIGURG, [&] { trace += 'a'; });
    for (int i = 0; i < 2; ++i) {
        loop.add_signal_handler(SIGURG, [&] { trace += 'o'; }, true);
        for (int j = 0; j < 3; ++j) {
            std::raise(SIGURG);
            aio::testing::run_until_idle(loop);
        }
        CHECK(action_of(SIGURG).sa_handler == SIG_DFL);
    }
    CHECK(trace == "oo");
    loop.remove_signal_handler(SIGURG); // what was there before the first
    std::raise(SIGURG);
    CHECK(plain_handler::calls == 1);
}
