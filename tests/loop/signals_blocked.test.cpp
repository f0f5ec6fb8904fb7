// SPDX-License-Identifier: BSL-1.0
#include <asynchio/loop/signals_blocked.hpp>

#include "support/catch.hpp"

#include <csignal>
#include <pthread.h>
#include <thread>

namespace {

bool blocks(int number) {
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, nullptr, &now);
    return sigismember(&now, number) == 1;
}

} // namespace

TEST_CASE("signals_blocked: a thread that is started meanwhile takes no signals, and this one does again afterwards") {
    REQUIRE_FALSE(blocks(SIGUSR1));
    bool in_thread = false;
    {
        const asynchio::detail::signals_blocked inherited;
        CHECK(blocks(SIGUSR1));
        std::thread([&] { in_thread = blocks(SIGUSR1) && blocks(SIGTERM); }).join();
    }
    CHECK(in_thread);
    CHECK_FALSE(blocks(SIGUSR1));
}
