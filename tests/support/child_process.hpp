// SPDX-License-Identifier: BSL-1.0
#pragma once

// Children of a test by fork(2).

#include <csignal>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

namespace asynchio_tests {

/// Waits for a child. @return its exit status; -1 if a signal ended it, -2 if it did not end in ten seconds.
inline int status_of(pid_t child) {
    for (int tries = 0; tries < 10'000; ++tries) {
        int status = 0;
        if (::waitpid(child, &status, WNOHANG) == child) return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        ::usleep(1'000);
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    return -2;
}

/// What `f()`, called in a child, makes the child's exit status; see status_of.
template<class F>
int status_in_child(F f) {
    const pid_t child = ::fork();
    if (child != 0) return status_of(child);
    int status = 99;
    try {
        status = f();
    } catch (...) { // which is not what was expected
    }
    ::_exit(status);
}

} // namespace asynchio_tests
