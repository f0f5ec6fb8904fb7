// SPDX-License-Identifier: BSL-1.0
#pragma once

// The base of queue, lifo_queue and priority_queue: everything but the order in which items come out.

#include <asynchio/core/detail/closure_check.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/sync/event.hpp>
#include <asynchio/task/detail/wait_queue.hpp>
#include <asynchio/task/take.hpp>

#include <coroutine>
#include <cstddef>
#include <limits>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Items that wait for getters, and getters that wait for items. The `Store` keeps the items: it has `size()`,
/// `push(T&&)`, which leaves the value alone when it throws, `pop<R>()`, which makes an `R` of the next item and keeps
/// it when that throws, and `take_all()`.
///
/// As in asyncio, a put only wakes a getter: the item is chosen, and taken, when the getter runs. If another task was
/// quicker, the getter waits again, behind the others. Putters and free places are treated alike.
template<class T, class Store>
class basic_queue {
    static_assert(std::is_object_v<T> && !std::is_const_v<T> && std::is_move_constructible_v<T>,
                  "what goes through a queue is a movable object type, not a reference, void or const");

public:
    using value_type = T;
    class put_awaiter;
    template<class Result>
    class take_awaiter;

    /// Makes an empty queue.
    /// @param maxsize the maximum number of items; 0 stands for no limit.
    explicit basic_queue(std::size_t maxsize = 0) : basic_queue(maxsize, Store()) {}
    basic_queue(const basic_queue&) = delete;
    basic_queue& operator=(const basic_queue&) = delete;

    // Queries

    /// Returns the number of items. Items of tasks that wait to put do not count.
    std::size_t size() const noexcept { return items_.size(); }
    /// Returns the maximum number of items; 0 stands for no limit.
    std::size_t maxsize() const noexcept { return maxsize_; }
    /// Whether there is no item.
    bool empty() const noexcept { return items_.size() == 0; }
    /// Whether there are `maxsize` items; never true without a limit.
    bool full() const noexcept { return maxsize_ != 0 && items_.size() >= maxsize_; }

    // Putting and getting

    /// Puts an item in; waits while the queue is full.
    /// @param value the item, which is moved or copied into the awaiter at once.
    /// @throws queue_shut_down, also when that happens while it waits; exceptions of moving or comparing the item,
    /// which is not in the queue then.
    /// Cancellation: the item is not put, and is destroyed with the awaiter; the place it may have had goes to the
    /// next.
    template<class U = T>
    put_awaiter put(U&& value) {
        check_awaited_arguments<U>();
        if constexpr (is_taken<U>) {
            return put_awaiter(*this, std::forward<U>(value).release());
        } else {
            static_assert(std::is_constructible_v<T, U>, "put: the queue's items cannot be made of this");
            return put_awaiter(*this, std::forward<U>(value));
        }
    }

    /// Takes the next item out; waits while there is none. @return the item.
    /// @throws queue_shut_down when there is none and the queue is shut down, also while it waits; exceptions of moving
    /// the item, which stays in the queue then, and another getter is woken.
    /// Cancellation: no item is lost; one that the task may have been woken for goes to the next.
    take_awaiter<T> get() noexcept { return take_awaiter<T>(*this); }

    /// Takes the next item out; waits while there is none. Example: `while (auto item = co_await q.next())`.
    /// @return the item, or nothing once the queue is shut down and drained.
    /// Cancellation: no item is lost; one that the task may have been woken for goes to the next.
    take_awaiter<std::optional<T>> next() noexcept { return take_awaiter<std::optional<T>>(*this); }

    /// Puts an item in without waiting.
    /// @throws queue_full, queue_shut_down: `value` is as it was then; exceptions of moving or comparing the item.
    template<class U = T>
    void put_nowait(U&& value) {
        static_assert(std::is_constructible_v<T, U>, "put_nowait: the queue's items cannot be made of this");
        if (shut_down_) throw queue_shut_down();
        if (full()) throw queue_full();
        if constexpr (std::is_same_v<U, T>)
            add(std::forward<U>(value));
        else
            add(T(std::forward<U>(value)));
    }

    /// Puts an item in if there is room, without waiting. @return whether it was put; if not, `value` is untouched.
    /// @throws queue_shut_down after shutdown(): `value` is untouched; exceptions of making or comparing the item.
    template<class U = T>
    bool try_put(U&& value) {
        if (full() && !shut_down_) return false;
        put_nowait(std::forward<U>(value));
        return true;
    }

    /// Takes the next item out if there is one, without waiting. @return the item, or nothing.
    /// @throws queue_shut_down if none will come any more; exceptions of moving the item.
    std::optional<T> try_get() {
        if (!empty()) return take<std::optional<T>>();
        if (shut_down_) throw_empty();
        return std::nullopt;
    }

    /// Takes the next item out without waiting. @return the item.
    /// @throws queue_empty, or queue_shut_down if none will come any more; exceptions of moving the item.
    T get_nowait() {
        if (empty()) throw_empty();
        return take<T>();
    }

    // Counting work that is done

    /// Reports that the work on an item that was taken is done, for join().
    /// @throws std::invalid_argument if it was called for every item already.
    void task_done() {
        if (unfinished_ == 0) throw std::invalid_argument("task_done: called more often than items were put");
        if (--unfinished_ == 0) finished_.set();
    }

    /// Waits until task_done() was called for every item that was put.
    /// Cancellation: the task leaves the line; the others keep their order.
    event::wait_awaiter join() noexcept { return event::wait_awaiter(finished_, "queue, join"); }

    /// Shuts the queue down: nothing goes in any more, and pending puts get queue_shut_down. Items that are in the
    /// queue can still be taken; then get() throws queue_shut_down, too. A second call changes nothing.
    /// @param immediate whether the items are dropped and count as done, also after an earlier shutdown.
    void shutdown(bool immediate = false) {
        shut_down_ = true;
        limit_ = 0;
        decltype(items_.take_all()) dropped; // destroyed last: an item's destructor may destroy the queue
        if (immediate) {
            dropped = items_.take_all();
            unfinished_ -= dropped.size() < unfinished_ ? dropped.size() : unfinished_;
            if (unfinished_ == 0) finished_.set();
        }
        getters_.wake_all();
        putters_.wake_all();
    }

protected:
    basic_queue(std::size_t maxsize, Store&& items)
        : items_(std::move(items)), maxsize_(maxsize),
          limit_(maxsize != 0 ? maxsize : std::numeric_limits<std::size_t>::max()) {
        finished_.set();
    }
    ~basic_queue() = default;

private:
    template<bool (basic_queue::*Ready)() const noexcept>
    class place;

    bool put_is_ready() const noexcept { return items_.size() < limit_ || shut_down_; }
    bool get_is_ready() const noexcept { return !empty() || shut_down_; }

    void add(T&& value) {
        items_.push(std::move(value));
        ++unfinished_;
        finished_.clear();
        getters_.wake_one();
    }
    template<class R>
    R take() {
        R taken = items_.template pop<R>();
        putters_.wake_one();
        return taken;
    }
    [[noreturn, gnu::noinline]] void throw_empty() const {
        if (shut_down_) throw queue_shut_down();
        throw queue_empty();
    }

    Store items_;
    std::size_t maxsize_;
    std::size_t limit_; // the number of items from which on put() looks closer; 0 once shut down
    std::size_t unfinished_ = 0;
    bool shut_down_ = false;
    event finished_;
    wait_queue getters_;
    wait_queue putters_;
};

/// A place in one of the two lines. The task that waits in it goes on when `Ready` says so.
template<class T, class Store>
template<bool (basic_queue<T, Store>::*Ready)() const noexcept>
class basic_queue<T, Store>::place final : public wait_queue::retrying_waiter {
public:
    place(wait_queue& line, const char* name, const basic_queue& queue) noexcept
        : retrying_waiter(line, name), queue_(&queue) {}

private:
    bool try_again() noexcept override { return (queue_->*Ready)(); }

    const basic_queue* queue_;
};

template<class T, class Store>
class [[nodiscard("the item is put only when this is awaited")]] basic_queue<T, Store>::put_awaiter {
public:
    template<class U>
    put_awaiter(basic_queue& queue, U&& value) : queue_(&queue), value_(std::forward<U>(value)) {}
    put_awaiter(put_awaiter&& other) noexcept(std::is_nothrow_move_constructible_v<T>)
        : put_awaiter(*other.queue_, std::move(other.value_)) {}
    put_awaiter& operator=(put_awaiter&&) = delete;
    ~put_awaiter() = default;

    bool await_ready() const noexcept { return queue_->put_is_ready(); }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        waiter_.enter(awaiting, where, queue_->putters_, "queue, put", *queue_);
    }
    [[gnu::always_inline]] void await_resume() {
        if (waiter_.entered()) [[unlikely]]
            return put_after_waiting();
        if (queue_->shut_down_) [[unlikely]]
            throw queue_shut_down();
        queue_->add(std::move(value_));
    }

private:
    [[gnu::noinline]] void put_after_waiting() {
        waiter_->leave([this] {
            if (waiter_->woken() && !queue_->full()) queue_->putters_.wake_one();
        });
        if (queue_->shut_down_) throw queue_shut_down();
        try {
            queue_->add(std::move(value_));
        } catch (...) {
            queue_->putters_.wake_one();
            throw;
        }
    }

    basic_queue* queue_;
    T value_;
    late_waiter<place<&basic_queue::put_is_ready>> waiter_;
};

template<class T, class Store>
template<class Result>
class [[nodiscard("an item is taken only when this is awaited")]] basic_queue<T, Store>::take_awaiter {
public:
    explicit take_awaiter(basic_queue& queue) noexcept : queue_(&queue) {}
    take_awaiter(take_awaiter&& other) noexcept : take_awaiter(*other.queue_) {}
    take_awaiter& operator=(take_awaiter&&) = delete;
    ~take_awaiter() = default;

    bool await_ready() const noexcept { return queue_->get_is_ready(); }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        waiter_.enter(awaiting, where, queue_->getters_, "queue, get", *queue_);
    }
    Result await_resume() {
        if (waiter_.entered()) [[unlikely]] {
            waiter_->leave([this] {
                if (waiter_->woken() && !queue_->empty()) queue_->getters_.wake_one();
            });
        }
        if (queue_->empty()) [[unlikely]] {
            if constexpr (std::is_same_v<Result, T>)
                queue_->throw_empty();
            else
                return std::nullopt;
        }
        try {
            return queue_->template take<Result>();
        } catch (...) {
            if (waiter_.entered()) queue_->getters_.wake_one();
            throw;
        }
    }

private:
    basic_queue* queue_;
    late_waiter<place<&basic_queue::get_is_ready>> waiter_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
