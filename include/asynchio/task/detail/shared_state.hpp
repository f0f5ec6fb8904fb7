// SPDX-License-Identifier: BSL-1.0
#pragma once

// What tasks and futures have in common: a result that comes once, those who wait for it in order, and a count of
// the handles that can still ask for it.

#include <asynchio/core/outcome.hpp>
#include <asynchio/loop/context.hpp>
#include <asynchio/loop/detail/intrusive_list.hpp>
#include <asynchio/loop/detail/scheduler.hpp>

#include <cstddef>
#include <cstdint>
#include <new>
#include <source_location>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// What few tasks have, apart from the frame so that it stays small.
struct task_extra; // suspension.hpp, since texts take long to compile
struct task_extra_base {
    task_extra_base() noexcept = default;
    task_extra_base(const task_extra_base&) = delete;
    task_extra_base& operator=(const task_extra_base&) = delete;
    virtual ~task_extra_base() = default;

    context_slot context;
};

/// Where a task keeps its context, and its task_extra if it has one, which holds the context then. One word, and
/// trivial; whoever frees the task calls drop().
class task_extra_ptr : private context_word {
public:
    task_extra_ptr() noexcept = default;

    bool operator==(std::nullptr_t) const noexcept { return get() == nullptr; }
    template<class Extra = task_extra> // a template, so that the type need not be known here
    Extra* operator->() const noexcept {
        return static_cast<Extra*>(get());
    }
    /// Takes `made` over, which gets the context; null is ignored. Only once.
    task_extra_ptr& operator=(task_extra_base* made) noexcept {
        if (made == nullptr) return *this;
        static_cast<context_word&>(made->context) = static_cast<context_word&>(*this);
        bits_ = reinterpret_cast<std::uintptr_t>(made);
        return *this;
    }
    /// The task's context.
    context_word& context() noexcept {
        task_extra_base* extra = get();
        return extra != nullptr ? static_cast<context_word&>(extra->context) : *this;
    }
    /// Frees all.
    void drop() noexcept {
        if (!empty()) [[unlikely]]
            drop_slowly();
    }

private:
    task_extra_base* get() const noexcept {
        return (bits_ & tags) == 0 ? reinterpret_cast<task_extra_base*>(bits_) : nullptr;
    }
    [[gnu::noinline]] void drop_slowly() noexcept {
        task_extra_base* extra = get();
        if (extra == nullptr) context_word::drop();
        delete extra;
        bits_ = 0;
    }
};

class shared_state;

/// Somebody who is told when a completion is done: an awaiting task, a callback, a combinator.
/// Told inside the completing step, in order of registration; what it makes run, runs in the next iteration.
struct watcher : list_link {
    using function = void (*)(watcher&, shared_state&) noexcept;
    function completed;

    explicit watcher(function f) noexcept : list_link{nullptr, nullptr}, completed(f) {}
    bool watching() const noexcept { return next != nullptr; }
};

/// Who started a task and is told first when it is done.
class child_owner {
public:
    virtual void child_done(shared_state& child) noexcept = 0;
    /// The task in whose name a branch runs.
    virtual frame* identity() const noexcept { return nullptr; }
    /// The line that made the child a task: kept here, so that frames stay small.
    virtual std::source_location child_created() const noexcept = 0;

protected:
    child_owner() = default;
    child_owner(const child_owner&) = default;
    child_owner& operator=(const child_owner&) = default;
    ~child_owner() = default; // nobody deletes one, and it would be in every set of children
};

enum completion_flag : unsigned short {
    flag_root = 1,         // a task, not a frame that another one awaits inline
    flag_branch = 2,       // a root that is no task of its own: an awaitable that a combinator armed
    flag_done = 4,
    flag_retrieved = 8,    // somebody has looked at the exception
    flag_must_cancel = 16, // a request to cancel that is delivered at the next suspension point
    flag_left = 32,        // cancelled while waiting: the co_await throws when the task runs
    flag_waiting = 64,     // suspended with a hook
    flag_future = 128,     // a future_state, else a frame
    flag_started = 256,    // a task that has entered its body
    flag_moved = 512,      // the result was moved out
    flag_kept = 1024,      // in the loop's list of what handles may ask for when the loop is gone
    flag_owned = 2048,     // a root with a child_owner
    flag_gathered = 4096,  // owned by somebody who takes the result and then frees the coroutine with it
    flag_resting = 8192,   // gathered, done, and nobody else has a handle: the coroutine is still there
    flag_plain = 16384,    // a coroutine whose arguments have trivial destructors: nobody sees when they die
    flag_generator = 32768, // an async_generator's frame: never a root; it belongs to no parent
};

/// The shared state of tasks and futures, without the result's type.
/// Linked in its loop: among the tasks until it is done, then, if somebody holds a handle, and as a future from the
/// beginning, among what the loop tells of its end.
class shared_state : public list_link, public outcome_base {
public:
    bool done() const noexcept { return has(flag_done); }
    bool has(completion_flag flag) const noexcept { return (flags & flag) != 0; }
    void set(completion_flag flag) noexcept { flags = static_cast<unsigned short>(flags | flag); }
    void clear(completion_flag flag) noexcept { flags = static_cast<unsigned short>(flags & ~flag); }

    void watch(watcher& who) noexcept { watchers.push_back(who); }
    void unwatch(watcher& who) noexcept {
        if (who.watching()) watchers.remove(who);
    }

    /// Ended with an exception other than a cancellation.
    bool failed() const noexcept { return state_ == outcome_state::error; }
    void set_cancelled() noexcept { state_ = outcome_state::cancelled; }
    using outcome_base::fail;

    /// Marks the result as there and tells everybody who waits, in order.
    void complete() noexcept {
        set(flag_done);
        while (watcher* first = watchers.pop_front()) first->completed(*first, *this);
    }

    unsigned short flags = 0;
    // What a frame that is awaited inline does without: set by begin().
    std::uint32_t references;
    union {
        intrusive_list<watcher> watchers;
    };
    union {
        scheduler* loop;                 // null once the loop is gone
        std::source_location awaited_at; // of a frame that is awaited inline: the line that awaits it
    };
    union {
        task_extra_ptr extra;
    };

protected:
    shared_state() noexcept {}
    ~shared_state() = default;

    /// Makes it something that handles can refer to, held by `count` of them.
    void begin(scheduler& owner, std::uint32_t count) noexcept {
        references = count;
        new (&watchers) intrusive_list<watcher>;
        loop = &owner;
        new (&extra) task_extra_ptr;
    }
};

} // namespace asynchio::detail

#pragma GCC visibility pop
