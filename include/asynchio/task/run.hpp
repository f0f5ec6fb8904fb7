// SPDX-License-Identifier: BSL-1.0
#pragma once

// The main entry point of an asynchronous program.

#include <asynchio/task/runner.hpp>

#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// Makes a loop on this thread, and runs a main task on it to its end.
///
/// Behaviour: before it returns, also by an exception, the tasks that are left are cancelled and waited for, errors in
/// their cleanup go to the exception handler, the thread pool is joined, and the loop is destroyed.
///
/// @param x a task, another awaitable, or a callable without arguments. @param options of the loop.
/// @return the result of `x`.
/// @throws the exception of `x`; cancelled_error if it was cancelled; keyboard_interrupt (see run_options);
/// std::logic_error when a loop is running on this thread; deadlock_error in virtual time, see event_loop::run_forever.
/// Threads: any thread that runs no loop. Cost: makes and destroys a loop.
/// Example: `int main() { return aio::run(amain(), {.debug = true}); }`
/// See also: runner, event_loop.
template<class X>
decltype(auto) run(X&& x, run_options options) {
    return runner(options).run(std::forward<X>(x));
}

/// Makes a loop with default options on this thread, and runs a main task on it to its end, as above.
/// @param f a task, another awaitable, or a callable. @param args for the callable; they are copied, or moved by
/// take().
/// @return the result. @throws as above.
template<class F, class... Args>
decltype(auto) run(F&& f, Args&&... args) {
    return runner().run(std::forward<F>(f), std::forward<Args>(args)...);
}

} // namespace asynchio

#pragma GCC visibility pop
