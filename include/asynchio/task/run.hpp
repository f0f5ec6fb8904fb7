// SPDX-License-Identifier: BSL-1.0
#pragma once

// The main entry point of an asynchronous program.

#include <asynchio/task/runner.hpp>

#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// Makes a loop on this thread, runs `x` on it to its end, and gives the result.
///
/// `x` is a task, another awaitable, or a callable with arguments: `int main() { return run(amain(), {.debug = true}); }`
/// Before it returns, also by an exception: the tasks that are left are cancelled and waited for, errors in their
/// cleanup go to the exception handler, the thread pool is joined, and the loop is destroyed.
///
/// @throws what `x` throws; cancelled_error if it ended cancelled; keyboard_interrupt (see run_options);
/// std::logic_error when a loop is running on this thread.
/// See also: runner, event_loop.
template<class X>
decltype(auto) run(X&& x, run_options options) {
    return runner(options).run(std::forward<X>(x));
}

template<class F, class... Args>
decltype(auto) run(F&& f, Args&&... args) {
    return runner().run(std::forward<F>(f), std::forward<Args>(args)...);
}

} // namespace asynchio

#pragma GCC visibility pop
