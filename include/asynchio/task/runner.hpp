// SPDX-License-Identifier: BSL-1.0
#pragma once

// A loop that is made and closed by one object, for one or several main tasks.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/detail/late_value.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/detail/leftovers.hpp>
#include <asynchio/task/run_until_complete.hpp>

#include <csignal>
#include <cstdint>
#include <source_location>
#include <stdexcept>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// A runner of several main tasks on one loop. Tasks that they leave pause in between and go on in the next run.
///
/// Behaviour: the first run() or get_loop() makes the loop and copies the caller's context: all runs share that copy.
/// close(), which the destructor calls, too, cancels the tasks that are left and waits for them, reports errors that
/// they end with, closes the asynchronous generators that stand at a co_yield, shuts the loop's services down (the
/// thread pool is joined), and closes the loop. A task that swallows its cancellation and never ends keeps close() from
/// returning.
/// Threads: one thread uses it.
/// Lifetime: it owns the loop.
/// Cost: that of a loop.
/// Example: `aio::runner r; r.run(first()); r.run(second());`
/// See also: run.
class runner {
public:
    /// Makes a runner, and no loop yet. @param options of the loop.
    explicit runner(run_options options = {}) noexcept : options_(options) {}
    runner(const runner&) = delete;
    runner& operator=(const runner&) = delete;
    [[gnu::cold]] ~runner() {
        try {
            close();
        } catch (...) { // closing while the loop runs is the only misuse, and then nothing can be done here
        }
    }

    /// Runs a main task to its end.
    /// @param x a task, another awaitable, or a callable. @param args for the callable; they are copied, or moved by
    /// take().
    /// @return the result of the task.
    /// @throws the exception of the task; cancelled_error if it was cancelled; keyboard_interrupt if Ctrl-C did that;
    /// std::logic_error when the runner is closed or a loop is running on this thread; deadlock_error in virtual time, see
    /// event_loop::run_forever.
    template<class X, class... Args>
    decltype(auto) run(X&& x, Args&&... args) {
        if (detail::running_mark::is_set())
            throw std::logic_error("run: cannot be called from a running event loop; co_await it, or use create_task");
        return run_task(detail::as_task(std::forward<X>(x), std::forward<Args>(args)...));
    }

    /// Returns the loop, and makes it at the first call. @throws std::logic_error when the runner is closed;
    /// std::system_error if the loop cannot be made.
    [[gnu::cold]] event_loop& get_loop() {
        if (closed_) throw std::logic_error("Runner is closed");
        if (!loop_) {
            context_.emplace(copy_context());
            loop_.emplace(options_);
        }
        return *loop_;
    }

    /// Ends the loop as the class comment describes; a second call does nothing.
    [[gnu::cold]] void close() {
        if (detail::exchange(closed_, true) || !loop_) return;
        cancel_all();
        close_services();
        loop_->close();
    }

private:
    detail::loop_core& core() noexcept { return detail::core_of(*loop_); }

    template<class T>
    [[gnu::cold]] T run_task(task<T> main) {
        detail::loop_core& loop = detail::core_of(get_loop()); // if that throws, `main` is still a task
        const task_handle<T> handle = detail::make_task_with(loop, detail::access::release(main), {}, &*context_, false,
                                                             std::source_location::current());
        run_to_end(handle);
        return detail::take_result<T, true>(*detail::access::state(handle));
    }

    /// @throws keyboard_interrupt if Ctrl-C ended `main`.
    [[gnu::cold]] void run_to_end(const any_task_handle& main) {
        detail::late_value<interruptible> guard;
        if (options_.handle_sigint) guard.emplace(core(), main);
        detail::run_until_done(core(), main);
        if (main.cancelled() && guard && guard->interrupted && main.uncancel() == 0) throw keyboard_interrupt();
    }

    /// Has Ctrl-C cancel the main task while it lives, unless the program replaces that handler, or has ignored SIGINT
    /// before.
    struct interruptible {
        [[gnu::cold]] interruptible(detail::loop_core& l, const any_task_handle& main) : loop(l) {
            if (detail::signal_table::is_ignored(SIGINT) || loop.outside().caught.has(SIGINT)) return;
            ours = loop.outside().caught.set(SIGINT, detail::repeated_call_ptr(new interruption(*this, main)),
                                             *loop.outside().mailbox, true);
            loop.outside().caught.discount(SIGINT); // tasks that only Ctrl-C can wake are in a deadlock
        }
        interruptible(const interruptible&) = delete;
        interruptible& operator=(const interruptible&) = delete;
        [[gnu::cold]] ~interruptible() {
            if (ours != 0) loop.outside().caught.remove(SIGINT, ours);
        }

        struct interruption final : detail::repeated_call {
            interruption(interruptible& of, const any_task_handle& m) : repeated_call(of.loop), run(of), main(m) {}
            void call() override {
                run.interrupted = true;
                main.cancel();
            }
            interruptible& run;
            any_task_handle main;
        };

        detail::loop_core& loop;
        std::uint64_t ours = 0;
        bool interrupted = false;
    };

    /// Begins to close the services, in its turn among the calls of an iteration.
    struct first_step final : detail::loop_call<first_step> {
        first_step(detail::loop_core& its, bool run_code) noexcept : those_that_run_code(run_code) {
            bind(its);
            call_soon();
        }
        void called() noexcept { loop().services().close(those_that_run_code); }
        bool those_that_run_code;
    };

    /// Closes the services, in the iterations that asyncio's shutdown_asyncgens and shutdown_default_executor take,
    /// each of which is a task.
    [[gnu::cold]] void close_services() {
        detail::loop_core& loop = core();
        detail::service_registry& services = loop.services();
        const detail::loop_core::running_scope scope(loop);
        const bool generators = begin_closing(services, true);
        loop.run_while([&] { return !services.closed(true) && !loop.deadlocked(); });
        make_iterations(generators ? 3 : 1); // asyncio's gather of them ends, and the loop is stopped
        const bool threads = begin_closing(services, false);
        const detail::nanoseconds_count end = detail::later(detail::steady_now(), options_.shutdown_timeout.count());
        while (!services.closed()) {
            const detail::nanoseconds_count left = end - detail::steady_now();
            if (left <= 0) return services.give_up();
            loop.run_for(left);
        }
        make_iterations(threads ? 2 : 1); // asyncio's task goes on, and the loop is stopped
    }

    /// Begins to close the services of one kind. @return whether there is something to wait for.
    [[gnu::cold]] bool begin_closing(detail::service_registry& services, bool those_that_run_code) {
        const first_step begin(core(), those_that_run_code);
        make_iterations(1);
        return !services.closed(those_that_run_code);
    }

    /// Cancels all tasks, in order of creation, and then waits for them together. It allocates nothing.
    [[gnu::cold]] void cancel_all() {
        detail::loop_core& loop = core();
        if (loop.tasks().empty()) return;
        detail::late_value<detail::loop_core::running_scope> scope;
        scope.emplace(loop);
        detail::leftovers left(loop);
        loop.run_while([&] { return left.running() && !loop.deadlocked(); });
        make_iterations(2); // asyncio's gather of them ends, and the loop is stopped
        scope.reset();
        left.report();
    }

    /// Makes the iterations that asyncio makes for a task that has nothing to wait for: calls that were made soon still
    /// run.
    void make_iterations(int number) noexcept {
        for (; number > 0; --number) core().run_once(false);
    }

    run_options options_;
    bool closed_ = false;
    detail::late_value<context> context_;
    detail::late_value<event_loop> loop_;
};

} // namespace asynchio

#pragma GCC visibility pop
