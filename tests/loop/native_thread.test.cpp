// SPDX-License-Identifier: BSL-1.0
#include <asynchio/loop/detail/native_thread.hpp>

#include "support/catch.hpp"

#include <atomic>
#include <csignal>
#include <pthread.h>
#include <string>
#include <thread>

using asynchio::detail::name_this_thread;
using asynchio::detail::native_thread;
using asynchio::detail::signals_blocked;

namespace {

bool blocks(int number) {
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, nullptr, &now);
    return sigismember(&now, number) == 1;
}

/// What a thread of the library finds.
struct findings {
    static void* look(void* what) {
        auto& self = *static_cast<findings*>(what);
        self.no_signals = blocks(SIGUSR1) && blocks(SIGTERM);
        name_this_thread("a-very-long-name", 3);
        char name[32] = {};
        pthread_getname_np(pthread_self(), name, sizeof name);
        self.cut = name;
        name_this_thread("aio", 12);
        pthread_getname_np(pthread_self(), name, sizeof name);
        self.name = name;
        self.over = true;
        return nullptr;
    }
    bool no_signals = false;
    std::string cut;
    std::string name;
    std::atomic<bool> over = false;
};

} // namespace

TEST_CASE("signals_blocked: a thread that is started meanwhile takes no signals, and this one does again afterwards") {
    REQUIRE_FALSE(blocks(SIGUSR1));
    bool in_thread = false;
    {
        const signals_blocked inherited;
        CHECK(blocks(SIGUSR1));
        std::thread([&] { in_thread = blocks(SIGUSR1) && blocks(SIGTERM); }).join();
    }
    CHECK(in_thread);
    CHECK_FALSE(blocks(SIGUSR1));
}

TEST_CASE("native_thread: runs without signals, under its name, until it is joined") {
    findings found;
    native_thread thread(&findings::look, &found);
    CHECK(thread.started());
    thread.join();
    CHECK_FALSE(thread.started());
    CHECK(found.over);
    CHECK(found.no_signals);
    CHECK_FALSE(blocks(SIGUSR1));
#if defined(__linux__)
    CHECK(found.name == "aio-12");
    CHECK(found.cut == "a-very-long-nam");
#endif
    thread.join(); // does nothing
}

TEST_CASE("native_thread: goes on when it is detached") {
    static findings found; // may still be looked at when this has ended
    native_thread thread(&findings::look, &found);
    thread.detach();
    CHECK_FALSE(thread.started());
    while (!found.over) std::this_thread::yield();
    CHECK(found.no_signals);
}

TEST_CASE("native_thread: one that was not started has nothing to wait for") {
    native_thread none;
    CHECK_FALSE(none.started());
    none.join();
    none.detach();
}
