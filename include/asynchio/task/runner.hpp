// SPDX-License-Identifier: BSL-1.0
#pragma once

// A loop with a beginning and an end, for one or several main tasks.

#include <asynchio/core/exchange.hpp>
#include <asynchio/core/late_value.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/run_until_complete.hpp>

#include <csignal>
#include <cstdint>
#include <source_location>
#include <stdexcept>
#include <utility>

namespace asynchio {

/// Runs several main tasks on one loop; what they leave running pauses in between and goes on in the next run.
///
/// Behaviour: the loop is made by the first run() or get_loop(), which also copies the caller's context: all runs share
/// that copy. close(), which the destructor calls too, cancels what is left and waits for it, reports what fails
/// meanwhile, closes the asynchronous generators that stand at a co_yield, shuts the loop's services down (the thread
/// pool is joined), and closes the loop. A task that swallows its cancellation and never ends keeps close() from
/// returning.
/// Threads: one.
/// See also: run.
class runner {
public:
    explicit runner(run_options options = {}) noexcept : options_(options) {}
    runner(const runner&) = delete;
    runner& operator=(const runner&) = delete;
    ~runner() {
        try {
            close();
        } catch (...) { // closing while the loop runs is the only misuse, and then nothing can be done here
        }
    }

    /// Runs `x` (a task, another awaitable, or a callable with arguments) to its end and gives its result.
    /// @throws what it throws; cancelled_error if it ended cancelled; keyboard_interrupt if Ctrl-C did that;
    /// std::logic_error when the runner is closed or a loop is running on this thread.
    template<class X, class... Args>
    decltype(auto) run(X&& x, Args&&... args) {
        if (detail::this_thread.running != nullptr)
            throw std::logic_error("run: cannot be called from a running event loop; co_await it, or use create_task");
        return run_task(detail::as_task(std::forward<X>(x), std::forward<Args>(args)...));
    }

    /// @throws std::logic_error when the runner is closed.
    event_loop& get_loop() {
        if (closed_) throw std::logic_error("Runner is closed");
        if (!loop_) {
            context_.emplace(copy_context());
            loop_.emplace(options_);
        }
        return *loop_;
    }

    /// Ends the loop as described above; does nothing the second time.
    void close() {
        if (detail::exchange(closed_, true) || !loop_) return;
        {
            last_tasks left(*loop_);
            left.cancel();
            left.report();
        }
        close_services();
        loop_->close();
    }

private:
    template<class T>
    T run_task(task<T> main) {
        event_loop& loop = get_loop();
        const task_options in_the_same_context{.context = *context_};
        const task_handle<T> handle = detail::make_task(loop, std::move(main), in_the_same_context, false,
                                                        std::source_location::current());
        detail::late_value<interruptible> guard;
        if (options_.handle_sigint) guard.emplace(loop, handle);
        detail::run_until_done(loop, handle);
        if (handle.cancelled() && guard && guard->interrupted && handle.uncancel() == 0) throw keyboard_interrupt();
        return detail::take_result<T, true>(*handle.completion());
    }

    /// Ctrl-C cancels the main task while this lives.
    struct interruptible {
        interruptible(event_loop& l, any_task_handle main) : loop(l) {
            loop.add_signal_handler(
                SIGINT,
                [this, main] {
                    interrupted = true;
                    main.cancel();
                },
                true);
        }
        interruptible(const interruptible&) = delete;
        interruptible& operator=(const interruptible&) = delete;
        ~interruptible() { loop.remove_signal_handler(SIGINT); }

        event_loop& loop;
        bool interrupted = false;
    };

    void close_services() {
        detail::service_registry& services = loop_->services();
        const event_loop::running_scope scope(*loop_);
        services.close(true);
        while (!services.closed(true)) loop_->run_once();
        services.close();
        const detail::nanoseconds_count end = detail::later(detail::steady_now(), options_.shutdown_timeout.count());
        while (!services.closed()) {
            const detail::nanoseconds_count left = end - detail::steady_now();
            if (left <= 0) return services.give_up();
            loop_->run_for(left);
        }
    }

    /// The tasks that are left at the end. None of this takes memory.
    class last_tasks : private detail::watcher, private detail::ready_item {
    public:
        explicit last_tasks(event_loop& loop) noexcept : watcher(&one_done), ready_item(&all_done), loop_(loop) {
            const detail::frame* const last = loop.tasks().back();
            if (last == nullptr) return;
            youngest_ = last->id;
            for (detail::frame* each = following(nullptr); each != nullptr; each = following(each)) {
                ++each->references;
                each->set(detail::flag_last);
            }
        }
        last_tasks(const last_tasks&) = delete;
        last_tasks& operator=(const last_tasks&) = delete;
        ~last_tasks() {
            if (watching()) watched_->unwatch(*this);
            for (detail::frame* each = following(nullptr); each != nullptr; each = following(each)) { // closing has failed
                each->clear(detail::flag_last);
                detail::release(*each); // the loop has a count
            }
        }

        /// All are asked first, in order of creation, and then waited for together.
        void cancel() {
            if (following(nullptr) == nullptr) return;
            for (detail::frame* each = following(nullptr); each != nullptr; each = following(each))
                detail::cancel_completion(*each, {});
            watch_first();
            while (!over_) loop_.run_forever();
        }

        /// Tells of those that failed, in the order in which they did.
        void report() noexcept {
            detail::intrusive_list<detail::completion>& kept = loop_.kept();
            detail::intrusive_list<detail::completion> ended;
            for (detail::completion* each = kept.front(); each != nullptr;) {
                detail::completion* const after = kept.after(*each);
                if (each->has(detail::flag_root) && each->has(detail::flag_last)) {
                    kept.remove(*each);
                    ended.push_back(*each);
                }
                each = after;
            }
            while (detail::completion* each = ended.pop_front()) {
                each->clear(detail::flag_last);
                detail::keep(*each);
                if (each->failed() && each->error()) {
                    each->set(detail::flag_retrieved);
                    detail::report(*each, "unhandled exception during asyncio.run() shutdown", each->error());
                }
                detail::release(*each);
            }
        }

    private:
        /// The first that has not ended, or the next one; those that were made since the beginning do not belong to them.
        detail::frame* following(detail::frame* each) const noexcept {
            each = each == nullptr ? loop_.tasks().front() : loop_.tasks().after(*each);
            while (each != nullptr && (each->has(detail::flag_branch) || static_cast<std::int32_t>(each->id - youngest_) > 0))
                each = loop_.tasks().after(*each);
            return each;
        }
        void watch_first() noexcept {
            watched_ = following(nullptr);
            if (watched_ != nullptr)
                watched_->watch(*this);
            else
                loop_.schedule(*this);
        }
        static void one_done(watcher& self, detail::completion&) noexcept { static_cast<last_tasks&>(self).watch_first(); }
        static void all_done(ready_item& item) noexcept {
            auto& self = static_cast<last_tasks&>(item);
            self.over_ = true;
            self.loop_.stop();
        }

        event_loop& loop_;
        detail::frame* watched_ = nullptr;
        std::uint32_t youngest_ = 0;
        bool over_ = false;
    };

    run_options options_;
    bool closed_ = false;
    detail::late_value<context> context_;
    detail::late_value<event_loop> loop_;
};

} // namespace asynchio
