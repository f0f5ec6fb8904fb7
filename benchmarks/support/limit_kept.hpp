// SPDX-License-Identifier: BSL-1.0
#pragma once

// The hand-written limit again, of a task that keeps what asynchio promises of every task, and nothing else: its result or
// exception stays until the last handle is gone, it is in the list of all tasks, it can be cancelled before it has begun, and
// its line, the line that made it and its number are known. What the promises cost, written for one row alone: no clocks, no
// names, no contexts, no debug mode, no other thread.

#include "limit.hpp"

#include <coroutine>
#include <cstdint>
#include <exception>
#include <source_location>
#include <stdexcept>
#include <utility>

namespace limit::kept {

enum class state : unsigned char { pending, value, error, cancelled };

/// What every task has.
struct task_base : item {
    std::exception_ptr error;
    task_base* before = nullptr; // in the list of all tasks
    task_base* after = nullptr;
    item* waiting = nullptr; // who awaits it
    std::uint32_t references = 0;
    std::uint32_t number = 0;
    state now = state::pending;
    bool cancel_requested = false;
    std::source_location created;
    std::source_location where;
};

struct loop {
    task_base* first = nullptr;
    task_base* last = nullptr;
    task_base* current = nullptr;
    std::uint32_t tasks = 0;
    bool closing = false;

    void add(task_base& task) noexcept {
        task.before = last;
        (last != nullptr ? last->after : first) = &task;
        last = &task;
        task.number = ++tasks;
    }
    void remove(task_base& task) noexcept {
        (task.before != nullptr ? task.before->after : first) = task.after;
        (task.after != nullptr ? task.after->before : last) = task.before;
    }
};

inline loop the_loop;

/// Counted; asks for the result.
template<class Promise>
class handle {
public:
    explicit handle(Promise& p) noexcept : promise_(&p) {}
    handle(handle&& other) noexcept : promise_(std::exchange(other.promise_, nullptr)) {}
    handle& operator=(handle&&) = delete;
    ~handle() {
        if (promise_ != nullptr) promise_->release();
    }

    bool done() const noexcept { return promise_->now != state::pending; }
    void cancel() const noexcept {
        if (!done()) promise_->cancel_requested = true;
    }
    auto result() const {
        if (promise_->error) std::rethrow_exception(promise_->error);
        return promise_->result();
    }

private:
    Promise* promise_;
};

/// Leaves the list of all tasks, and wakes who awaits it.
template<class Promise>
struct end {
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<Promise> self) const noexcept {
        Promise& promise = self.promise();
        the_loop.remove(promise);
        if (promise.waiting != nullptr) ready.push(*promise.waiting);
        promise.ended();
    }
    void await_resume() const noexcept {}
};

template<class Promise>
struct promise_of : task_base {
    static void* operator new(std::size_t size) { return frames::take(size); }
    static void operator delete(void* address, std::size_t size) noexcept { frames::give(address, size); }

    Promise& self() noexcept { return static_cast<Promise&>(*this); }
    void keep_line(const std::source_location& function) noexcept {
        resume = std::coroutine_handle<Promise>::from_promise(self());
        where = function;
    }
    /// The first step: a request to cancel that came before it ends the task without it.
    struct begin {
        Promise& promise;
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<>) const noexcept {}
        void await_resume() const {
            the_loop.current = &promise;
            if (promise.cancel_requested) [[unlikely]]
                throw std::runtime_error("cancelled");
        }
    };
    begin initial_suspend() noexcept { return {self()}; }
    end<Promise> final_suspend() noexcept { return {}; }
    void unhandled_exception() noexcept {
        error = std::current_exception();
        now = cancel_requested ? state::cancelled : state::error;
    }
    void release() noexcept {
        if (--references == 0) std::coroutine_handle<Promise>::from_promise(self()).destroy();
    }
};

/// A task that the loop holds and handles may.
struct task {
    struct promise_type : promise_of<promise_type> {
        task get_return_object(std::source_location function = std::source_location::current()) noexcept {
            keep_line(function);
            return {*this};
        }
        void return_void() noexcept { now = state::value; }
        void result() const noexcept {}
        void ended() noexcept { release(); }
    };
    promise_type& promise;

    handle<promise_type> start(std::source_location created = std::source_location::current()) {
        if (the_loop.closing) [[unlikely]]
            throw std::logic_error("the loop is closed");
        promise.created = created;
        promise.references = 2;
        the_loop.add(promise);
        ready.push(promise);
        return handle<promise_type>(promise);
    }
};

} // namespace limit::kept
