// SPDX-License-Identifier: BSL-1.0
#pragma once

// The common base of tasks and futures: a result that comes once, the watchers that wait for it in order, and a count
// of the handles that can still query it.

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

struct inspection_table;

/// The data that few tasks have, which is not part of the frame so that it stays small.
struct task_extra; // suspension.hpp, since texts take long to compile
struct task_extra_base {
    task_extra_base() noexcept = default;
    task_extra_base(const task_extra_base&) = delete;
    task_extra_base& operator=(const task_extra_base&) = delete;
    virtual ~task_extra_base() = default;

    context_slot context;
};

/// The context of a task, and its task_extra if it has one, which holds the context then. It is one word, and trivial;
/// the code that frees the task calls drop().
class task_extra_ptr : private context_word {
public:
    task_extra_ptr() noexcept = default;

    bool operator==(std::nullptr_t) const noexcept { return get() == nullptr; }
    template<class Extra = task_extra> // a template, so that the type need not be known here
    Extra* operator->() const noexcept {
        return static_cast<Extra*>(get());
    }
    /// Takes `made` over, which gets the context; null is ignored. It may be called once.
    task_extra_ptr& operator=(task_extra_base* made) noexcept {
        if (made == nullptr) return *this;
        static_cast<context_word&>(made->context) = static_cast<context_word&>(*this);
        bits_ = reinterpret_cast<std::uintptr_t>(made);
        return *this;
    }
    /// Returns the task's context.
    context_word& context() noexcept {
        task_extra_base* extra = get();
        return extra != nullptr ? static_cast<context_word&>(extra->context) : *this;
    }
    /// Frees context and task_extra.
    void drop() noexcept {
        if (!empty()) [[unlikely]]
            drop_slowly();
    }

private:
    friend inspection_table;

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

/// The base of objects that are told when a completion is done: an awaiting task, a callback, a combinator.
/// They are told inside the completing step, in order of registration; tasks that they wake run in the next iteration.
struct watcher : list_link {
    using function = void (*)(watcher&, shared_state&) noexcept;
    function completed;

    explicit watcher(function f) noexcept : list_link{nullptr, nullptr}, completed(f) {}
    bool watching() const noexcept { return next != nullptr; }
};

/// The base of objects that start tasks and are told first when these are done.
class child_owner {
public:
    virtual void child_done(shared_state& child) noexcept = 0;
    /// Returns the task in whose name a branch runs.
    virtual frame* identity() const noexcept { return nullptr; }
    /// Returns the task that waits for the child, or will; null if there is none.
    virtual const frame* awaiting() const noexcept { return identity(); }
    /// Returns the line that made the child a task. It is kept here, so that frames stay small.
    virtual std::source_location child_created() const noexcept = 0;

protected:
    child_owner() = default;
    child_owner(const child_owner&) = default;
    child_owner& operator=(const child_owner&) = default;
    ~child_owner() = default; // not virtual, which every set of children would pay for
};

enum completion_flag : unsigned short {
    flag_root = 1,   // a task, not a frame that another one awaits inline
    flag_branch = 2, // a root that is not a task of its own: an awaitable that a combinator armed
    flag_done = 4,
    flag_retrieved = 8,     // the exception was looked at
    flag_must_cancel = 16,  // a request to cancel that is delivered at the next suspension point
    flag_left = 32,         // cancelled while waiting: the co_await throws when the task runs
    flag_waiting = 64,      // suspended with a hook
    flag_future = 128,      // a future_state, else a frame
    flag_started = 256,     // a task that has entered its body
    flag_moved = 512,       // the result was moved out
    flag_kept = 1024,       // in the loop's list of what handles may query when the loop is gone
    flag_owned = 2048,      // a root with a child_owner
    flag_gathered = 4096,   // its owner takes the result and then frees the coroutine with it
    flag_resting = 8192,    // gathered and done, and no other handle exists: the coroutine still does
    flag_plain = 16384,     // a coroutine whose arguments have trivial destructors
    flag_generator = 32768, // an async_generator's frame: never a root; it belongs to no parent
};

/// The shared state of tasks and futures, without the type of the result. It is linked in its loop: a task stands among
/// the tasks until it is done; then, if a handle exists, it stands among the completions that the loop tells of its
/// end, as a future does from the beginning.
class shared_state : public list_link, public outcome_base {
public:
    bool done() const noexcept { return has(flag_done); }
    bool has(completion_flag flag) const noexcept { return (flags_ & flag) != 0; }
    /// Returns those of several flags that are set.
    unsigned has_of(unsigned several) const noexcept { return flags_ & several; }

    /// Notes that the exception was looked at, so that nobody reports it.
    void note_retrieved() noexcept { set(flag_retrieved); }
    void note_moved() noexcept { set(flag_moved); }
    /// Notes whether it stands in the loop's list of what handles may query when the loop is gone.
    void note_kept(bool kept) noexcept { kept ? set(flag_kept) : clear(flag_kept); }
    /// Marks it as done, for an end of which other code tells.
    void note_done() noexcept { set(flag_done); }

    void watch(watcher& who) noexcept { watchers.push_back(who); }
    void unwatch(watcher& who) noexcept {
        if (who.watching()) watchers.remove(who);
    }

    /// Whether it has ended with an exception other than a cancellation.
    bool failed() const noexcept { return state_ == outcome_state::error; }
    void set_cancelled() noexcept { state_ = outcome_state::cancelled; }
    using outcome_base::fail;

    /// Marks it as done and tells all watchers, in order.
    void complete() noexcept {
        set(flag_done);
        while (watcher* first = watchers.pop_front()) first->completed(*first, *this);
    }

private:
    friend inspection_table;

    unsigned short flags_ = 0; // of completion_flag

public:
    // begin() sets these, which a frame that is awaited inline does not need.
    std::uint32_t references;
    union {
        intrusive_list<watcher> watchers;
    };
    union {
        scheduler* loop;                 // null once the loop is gone
        std::source_location awaited_at; // the line that awaits it, in a frame that is awaited inline
    };
    union {
        task_extra_ptr extra;
    };

protected:
    shared_state() noexcept {}
    ~shared_state() = default;

    void set(unsigned more) noexcept { flags_ = static_cast<unsigned short>(flags_ | more); }
    void clear(unsigned some) noexcept { flags_ = static_cast<unsigned short>(flags_ & ~some); }

    /// Prepares it for handles, `count` of which hold it.
    void begin(scheduler& owner, std::uint32_t count) noexcept {
        references = count;
        new (&watchers) intrusive_list<watcher>;
        loop = &owner;
        new (&extra) task_extra_ptr;
    }
};

} // namespace asynchio::detail

#pragma GCC visibility pop
