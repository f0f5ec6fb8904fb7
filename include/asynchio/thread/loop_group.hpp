// SPDX-License-Identifier: BSL-1.0
#pragma once

// A group of loops, each on a thread of its own, for programs that one thread is not enough for.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/closure_check.hpp>
#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/detail/owner_vector.hpp>
#include <asynchio/loop/detail/native_thread.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/co_invoke.hpp>
#include <asynchio/task/runner.hpp>
#include <asynchio/task/task.hpp>
#include <asynchio/thread/concurrent_future.hpp>
#include <asynchio/thread/run_coroutine_threadsafe.hpp>
#include <asynchio/thread/to_thread.hpp>

#include <atomic>
#include <cstddef>
#include <mutex>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

/// A number of loops, each on a thread of its own, that share nothing. A task stays on the loop that it was given to.
///
/// Behaviour: the loops run from the constructor to close(). Each ends as run() does: the tasks that are left are
/// cancelled and waited for, and its thread pool is joined. All loops are told to end before the first is waited for.
/// The threads are named "aio-loop-0", "aio-loop-1", ... and take no signals.
/// Threads: any thread may submit; the owner calls the functions that end the group.
/// Lifetime: the destructor ends the loops, and blocks until they have ended. A task that swallows its cancellation and
/// never ends keeps it from returning. A task of the group must not end the group.
/// Cost: a thread and a loop each; to submit costs what run_coroutine_threadsafe() costs.
/// Differs from Python: asyncio has nothing like it.
/// Example: `loop_group loops; loops.submit(serve, port).get();`, or inside of a loop `co_await with(loops, body)`.
/// See also: run_coroutine_threadsafe, wrap_future, threadsafe_queue.
class loop_group {
public:
    /// Returns the number of cores that are online, at least 1.
    static std::size_t default_size() noexcept { return detail::processors(); }

    /// Starts the loops.
    /// @param number of loops, at least 1.
    /// @param options of each loop; the threads take no signals, so handle_sigint belongs to a loop of the program's
    /// own.
    /// @throws std::invalid_argument for 0; std::system_error when the system has no descriptors or threads left. All
    /// threads that were started have ended then.
    explicit loop_group(std::size_t number = default_size(), const run_options& options = {});
    loop_group(const loop_group&) = delete;
    loop_group& operator=(const loop_group&) = delete;
    ~loop_group() {
        stop();
        join();
    }

    /// Returns the number of loops.
    std::size_t size() const noexcept { return members_.size(); }

    /// Returns a reference to a loop, which any thread may hold.
    /// @param index of the loop, below size(). @throws std::out_of_range for another index.
    loop_ref loop(std::size_t index) const { return member_at(index).loop; }

    /// Makes a task on a given loop.
    /// @param index of the loop, below size().
    /// @param x a task, another awaitable, or a callable, which is called on that loop.
    /// @param args for the callable; they are copied, or moved by take().
    /// @return a concurrent_future for the result; wrap_future() makes it awaitable.
    /// @throws std::out_of_range for another index; std::logic_error when the group is being closed. Nothing was
    /// started then.
    /// Cancellation: cancelling the future cancels the task.
    /// Threads: any.
    template<class X, class... Args>
    auto submit(std::size_t index, X&& x, Args&&... args) {
        detail::check_awaited_arguments<X, Args...>();
        member& to = member_at(index);
        auto work = detail::as_task(std::forward<X>(x), std::forward<Args>(args)...);
        const std::lock_guard lock(to.entry);
        if (to.told) throw std::logic_error("submit: the loop_group is closed");
        return run_coroutine_threadsafe(std::move(work), to.loop);
    }

    /// Makes a task on the next loop: calls without an index take the loops in turn.
    /// @param x a task, another awaitable, or a callable that is not an integer, as above. @param args for the
    /// callable.
    /// @return a concurrent_future for the result. @throws std::logic_error when the group is being closed.
    template<class X, class... Args>
        requires(!std::is_integral_v<std::remove_cvref_t<X>>)
    auto submit(X&& x, Args&&... args) {
        detail::check_awaited_arguments<X, Args...>();
        const std::size_t index = next_.fetch_add(1, std::memory_order_relaxed) % size();
        return submit(index, std::forward<X>(x), std::forward<Args>(args)...);
    }

    /// Ends all loops and blocks until their threads have ended. A second call does nothing.
    /// @throws std::logic_error on a thread that runs a loop, which it would block: co_await aclose() there.
    void close() {
        if (detail::this_thread.running != nullptr)
            throw std::logic_error("loop_group: close would block the event loop that runs on this thread; use "
                                   "co_await aclose()");
        stop();
        join();
    }

    /// Awaitable: ends all loops and waits for their threads without blocking the running loop. It makes the group a
    /// resource for with().
    /// @throws std::logic_error in a task of the group itself.
    /// Cancellation: delivered when the loops have ended.
    template<class = void> // a template: g++ makes code of every other coroutine, also where it is not used
    task<> aclose();

private:
    /// A loop, and the program of its thread. The owner makes it, and destroys it when the thread has ended.
    struct member : detail::ready_item {
        member(const run_options& options, std::size_t i)
            : ready_item(&end), ended_by(options), loop(ended_by.get_loop().ref()), index(i) {}

        void work() noexcept {
            detail::name_this_thread("aio-loop", index);
            event_loop& mine = ended_by.get_loop();
            while (!ending) mine.run_forever(); // goes on if a task has stopped the loop
            ended_by.close();
        }
        static void* run(void* what) noexcept {
            static_cast<member*>(what)->work();
            return nullptr;
        }
        static void end(ready_item& item) noexcept {
            auto& self = static_cast<member&>(item);
            self.ending = true;
            self.loop.get()->stop();
        }

        runner ended_by;
        const loop_ref loop;
        const std::size_t index;
        bool ending = false; // used by the loop's thread only
        std::mutex entry;    // a task is posted before the end, or refused
        bool told = false;
        detail::native_thread thread;
    };

    member& member_at(std::size_t index) const {
        if (index >= members_.size())
            throw std::out_of_range("loop_group: there is no loop number " + std::to_string(index) + " among " +
                                    std::to_string(members_.size()));
        return *members_[index];
    }
    void stop() noexcept {
        for (const auto& each : members_) {
            const std::lock_guard lock(each->entry);
            if (!detail::exchange(each->told, true) && each->thread.started()) detail::access::post(each->loop, *each);
        }
    }
    void join() {
        const std::lock_guard lock(joining_);
        for (const auto& each : members_) each->thread.join();
    }

    detail::owner_vector<member> members_;
    std::atomic<std::size_t> next_ = 0;
    std::mutex joining_;
};

inline loop_group::loop_group(std::size_t number, const run_options& options) {
    if (number == 0) throw std::invalid_argument("loop_group: the number of loops must be at least 1");
    members_.reserve(number);
    while (members_.size() < number) members_.push_back(detail::make_owner<member>(options, members_.size()));
    try {
        for (member* each : members_) each->thread = detail::native_thread(&member::run, each);
    } catch (...) {
        stop();
        join();
        throw;
    }
}

template<class>
task<> loop_group::aclose() {
    const loop_ref here = get_running_loop().ref();
    for (const auto& each : members_)
        if (each->loop == here) throw std::logic_error("loop_group: a task of the group cannot close it");
    stop();
    co_await to_thread([this] { join(); });
}

} // namespace asynchio

#pragma GCC visibility pop
