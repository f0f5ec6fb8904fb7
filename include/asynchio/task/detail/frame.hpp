// SPDX-License-Identifier: BSL-1.0
#pragma once

// The state that every coroutine of the library has in its promise: the coroutine that it resumes, the line where it
// stands, its outcome; and for a task, the root of such a chain, all that the loop and the handles need. One allocation
// serves all.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/loop/detail/frame_pool.hpp>
#include <asynchio/loop/detail/scheduler.hpp>
#include <asynchio/task/detail/shared_state.hpp>

#include <coroutine>
#include <new>
#include <source_location>

#pragma GCC visibility push(default)

namespace asynchio {
class suspension;
}

namespace asynchio::detail {

/// The base of all promises. The state lives in raw bytes at its front and is not destroyed with the coroutine: a
/// handle may query the result when the coroutine and its arguments are long destroyed.
struct promise_base {
    [[gnu::always_inline]] static void* operator new(std::size_t size) { return frame_pool::allocate(size); }
    [[gnu::always_inline]] static void operator delete(void* address, std::size_t size) noexcept {
        frame_pool::deallocate(address, size);
    }
};

enum root_mark : unsigned char {
    mark_leftover = 1, // a task that is asked to end because its run ends
    mark_settled = 2,  // a branch that ends in the call that decides what it awaits, see child_set::go_on
};

/// The state of a coroutine, see promise_base. As a ready_item it is a step of the task, or, at the end, the call that
/// completes it.
struct frame : shared_state, ready_item {
    unsigned char marks;    // in a root: see root_mark
    unsigned short cancels; // in a root: cancelling(), the requests to cancel that were not taken back
    std::uint32_t id;       // in a root: "Task-<id>" is its name unless it has another one
    union {
        frame* parent;                // the frame that awaits this one inline
        child_owner* owner;           // in a root with flag_owned: it is told first when the root is done
        std::source_location made_at; // in another root: the call that made it a task
    };

    static constexpr unsigned most_cancels = 0xffff;

    frame() noexcept {} // the coroutine's return object, the awaiter, and become_root set the fields

    void note_plain() noexcept { set(flag_plain); }
    void note_started() noexcept { set(flag_started); }
    /// Makes a root one that its owner takes the result of, and frees.
    void be_gathered() noexcept { set(flag_gathered); }
    /// Makes a root a branch, which is not a task.
    void be_branch() noexcept { set(flag_branch); }
    /// Marks a gathered task as done, whose coroutine stays until its owner frees it.
    void rest() noexcept { set(flag_done | flag_resting); }

    /// Parks a root: its next step resumes `coroutine`.
    [[gnu::always_inline]] void wait_in(suspension& hook, void* coroutine) noexcept {
        resume_point = coroutine;
        waiting_for = &hook;
        set(flag_waiting | flag_started);
    }
    void stop_waiting() noexcept { clear(flag_waiting); }

    /// Leaves a request to cancel pending, until the next suspension point.
    void pend_request() noexcept { set(flag_must_cancel); }
    void drop_request() noexcept { clear(flag_must_cancel); }
    /// Notes that the task has left what it waited for: its co_await throws.
    void note_left() noexcept { set(flag_left); }
    /// Whether the task is to be cancelled when it runs.
    bool is_asked() const noexcept { return has_of(flag_must_cancel | flag_left) != 0; }
    /// Drops the request, which is delivered now.
    void deliver_request() noexcept { clear(flag_must_cancel | flag_left); }

    bool has_mark(root_mark which) const noexcept { return (marks & which) != 0; }
    void mark(root_mark which) noexcept { marks = static_cast<unsigned char>(marks | which); }
    void unmark(root_mark which) noexcept { marks = static_cast<unsigned char>(marks & ~which); }

    /// Returns the line at which it is suspended; at first its function.
    std::source_location where() const noexcept {
        const frame* const inner = awaited_frame();
        return inner != nullptr ? inner->awaited_at : place_;
    }
    void stand_at(const std::source_location& line) noexcept { place_ = line; }

    /// Returns the frame that it awaits inline, null if there is none.
    frame* awaited_frame() const noexcept {
        const auto bits = __builtin_bit_cast(std::uintptr_t, place_);
        return (bits & inner_tag) != 0 ? reinterpret_cast<frame*>(bits & ~inner_tag) : nullptr;
    }
    /// Awaits `inner` inline, at `line`.
    void enter(frame& inner, const std::source_location& line) noexcept {
        inner.parent = this;
        inner.awaited_at = line;
        place_ = __builtin_bit_cast(std::source_location, reinterpret_cast<std::uintptr_t>(&inner) + inner_tag);
    }
    /// Goes back to the frame that awaits this one inline. @return that frame.
    frame& leave() noexcept {
        frame& outer = *parent;
        outer.stand_at(awaited_at);
        return outer;
    }
    /// Returns the frame of its chain that is suspended, or runs.
    frame& innermost() noexcept {
        frame* each = this;
        while (frame* inner = each->awaited_frame()) each = inner;
        return *each;
    }

    /// Makes the frame a root of `of_loop`.
    void become_root(scheduler& of_loop, std::uint32_t count, std::uint32_t number) noexcept {
        begin(of_loop, count);
        set(flag_root);
        what = ready_item::kind::step; // these three in one store
        marks = 0;
        cancels = 0;
        id = number;
        resume_point = handle().address();
    }

    /// Returns the call that made a root a task.
    std::source_location created() const noexcept { return has(flag_owned) ? owner->child_created() : made_at; }
    child_owner* get_owner() const noexcept { return has(flag_owned) ? owner : nullptr; }
    void own(child_owner& who) noexcept {
        set(flag_owned);
        owner = &who;
    }
    void disown() noexcept {
        if (!has(flag_owned)) return;
        lose_owner(owner->child_created());
    }
    /// Makes it a root without an owner, which was made at `line`.
    void lose_owner(const std::source_location& line) noexcept {
        clear(flag_owned);
        made_at = line;
    }

    static frame& of(void* coroutine) noexcept {
        auto handle = std::coroutine_handle<promise_base>::from_address(coroutine);
        return *std::launder(reinterpret_cast<frame*>(&handle.promise()));
    }
    std::coroutine_handle<> handle() noexcept {
        return std::coroutine_handle<promise_base>::from_promise(*reinterpret_cast<promise_base*>(this));
    }

private:
    friend inspection_table;

    static_assert(sizeof(std::source_location) == sizeof(std::uintptr_t) && alignof(shared_state) > 1);
    static constexpr std::uintptr_t inner_tag = 1;

    union {
        std::source_location place_; // or, with the tag, the frame that it awaits inline, which keeps the line
    };
};

static_assert(sizeof(void*) != 8 || sizeof(frame) == 96); // every coroutine that is suspended pays for it

/// Destroys a frame that has not run to its end, with its state.
inline void destroy_frame(frame& dead) noexcept {
    std::coroutine_handle<> handle = dead.handle();
    dead.~frame();
    handle.destroy();
}

/// Destroys a frame that will not be resumed. Frames that its destruction discards in turn (tasks among the arguments
/// of a task, generators in the body of a generator) are destroyed by the outermost call, one after the other, so that
/// no depth of nesting recurses.
inline void discard_frame(frame& dead) noexcept {
    thread_state& thread = this_thread;
    if (thread.dropping) {
        dead.parent = detail::exchange(thread.dropped, &dead);
        return;
    }
    thread.dropping = true;
    destroy_frame(dead);
    while (thread.dropped != nullptr) {
        frame& next = *thread.dropped;
        thread.dropped = next.parent;
        destroy_frame(next);
    }
    thread.dropping = false;
}

/// Drops a frame that was never awaited, or stood in a chain that destroy_chain destroyed.
[[gnu::noinline]] inline void drop_frame(frame& dead) noexcept {
    thread_state& thread = this_thread;
    if (thread.gone == dead.handle().address()) { // destroy_chain has destroyed it already
        thread.gone = nullptr;
        return;
    }
    if (thread.running != nullptr) thread.running->never_awaited(dead.where());
    discard_frame(dead);
}

/// Destroys the coroutine with its arguments, and keeps the block with the state for handles.
inline void destroy_coroutine(frame& dead) noexcept {
    const std::coroutine_handle<> coroutine = dead.handle();
    dead.block_size = frame_pool::hold(coroutine.address(), [coroutine]() noexcept { coroutine.destroy(); });
}

/// Destroys a suspended chain, from the `leaf` inward, up to and without `root`. Each parent's awaiter finds its
/// child in `gone` and leaves it alone; the state of a generator stays for the owner of the generator.
[[gnu::noinline]] inline void destroy_chain(frame& leaf, const frame& root) noexcept {
    frame* each = &leaf;
    while (each != &root) {
        frame* parent = each->parent;
        if (each->has(flag_generator)) {
            destroy_coroutine(*each);
            each->note_done();
        } else {
            void* address = each->handle().address();
            destroy_frame(*each);
            this_thread.gone = address;
        }
        each = parent;
    }
}

/// The last awaiter of a coroutine: it resumes the coroutine that awaits it, or has the driver complete the task by
/// calling `Complete`.
template<ready_item::function Complete>
struct final_awaiter {
    static bool await_ready() noexcept { return false; }
    template<class Promise>
    static std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> ended) noexcept {
        frame& self = ended.promise().state();
        if (!self.has(flag_root)) [[likely]]
            return transfer(self.leave().handle());
        self.run = Complete;
        self.loop->finished(self);
        return std::noop_coroutine();
    }
    static void await_resume() noexcept {}
};

} // namespace asynchio::detail

#pragma GCC visibility pop
