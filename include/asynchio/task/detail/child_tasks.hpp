// SPDX-License-Identifier: BSL-1.0
#pragma once

// Child tasks of any number, which are started and awaited together; task_group, merge, map and servers are built on
// it.

#include <asynchio/core/detail/owner.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/detail/named_suspension.hpp>
#include <asynchio/task/suspension.hpp>

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// A set of child tasks. The children tell it of their end; child_ended is called one iteration later, for each of them
/// in its turn among the calls of that iteration.
///
/// Cost: one recycled block of 64 bytes for each child, freed when the child has ended.
class child_tasks {
    class member;

public:
    class all_ended;

    child_tasks(const child_tasks&) = delete;
    child_tasks& operator=(const child_tasks&) = delete;

    /// Returns how many children have not ended yet.
    std::size_t running() const noexcept { return running_; }
    /// Whether `task` is one of the children. The cost is linear.
    bool has(const frame& task) const noexcept {
        for (const member* each = children_.front(); each != nullptr; each = children_.after(*each))
            if (each->task == &task) return true;
        return false;
    }

protected:
    child_tasks() = default;
    virtual ~child_tasks() {
        while (member* each = children_.pop_front()) each->leave();
    }

    /// Called for each child that has ended, whether it has a result, was cancelled, or failed.
    virtual void child_ended(frame& child) noexcept = 0;
    /// Returns the task that waits for the children in the end; null if there is none.
    virtual const frame* parent() const noexcept { return nullptr; }

    /// The room for a child, which is made before the child: with it, adopt cannot fail. Code that starts several
    /// children together makes room for all of them first.
    using reservation = owner<member>;
    reservation make_room() { return reservation(new member(*this)); }
    void adopt(shared_state& task, reservation room) noexcept {
        member& child = *room.release();
        child.task = static_cast<frame*>(&task);
        ++task.references;
        ++running_;
        children_.push_back(child);
        if (task.done())
            child.child_done(task);
        else
            child.own();
    }

    /// Cancels all children, in order of creation.
    void cancel_all(const shared_text& message = shared_text()) noexcept {
        for (member* each = children_.front(); each != nullptr; each = children_.after(*each))
            cancel_completion(*each->task, message);
    }

private:
    /// The set to which an object belongs. It is a base class, which a debugger finds by its name.
    struct in_set {
        child_tasks* all; // null once the set is gone
    };

    /// A child, listed in order of creation until child_ended was told of it.
    class member final : public child_owner, public list_link, private ready_item, private in_set {
    public:
        static void* operator new(std::size_t size) { return frame_pool::allocate(size); }
        static void operator delete(void* address, std::size_t size) noexcept { frame_pool::deallocate(address, size); }

        explicit member(child_tasks& set) noexcept : list_link(), ready_item(&decide), in_set{&set} {}
        member(const member&) = delete;
        member& operator=(const member&) = delete;
        ~member() {
            if (task != nullptr) release(*task);
        }
        void own() noexcept {
            waiting_for = __builtin_bit_cast(void*, task->created());
            task->own(*this);
        }
        void child_done(shared_state&) noexcept override { task->loop->schedule(*this); }
        const frame* awaiting() const noexcept override { return all->parent(); }
        /// The line is kept in the place of the link, since this stands in no queue before the child has ended.
        std::source_location child_created() const noexcept override {
            return __builtin_bit_cast(std::source_location, waiting_for);
        }
        /// Called if the set is destroyed first; a call that is under way frees this object.
        void leave() noexcept {
            all = nullptr;
            if (task->done() && !loop_is_gone()) return;
            task->disown();
            delete this;
        }

        frame* task = nullptr;

    private:
        static inline void decide(ready_item& item) noexcept;
        bool loop_is_gone() const noexcept { return task->loop == nullptr || task->loop->closing(); }
    };

    intrusive_list<member> children_;
    std::size_t running_ = 0;
    all_ended* waiting_ = nullptr;
};

/// Suspends until the last child has ended. One must run.
class [[nodiscard]] child_tasks::all_ended : public named_suspension, private fork, private child_tasks::in_set {
public:
    /// @param passes_on whether a request to cancel goes to the children, and stays pending for the awaiting task until
    /// it has waited for them; otherwise the wait ends.
    all_ended(child_tasks& set, const char* name, bool passes_on) noexcept
        : named_suspension(name), in_set{&set}, passes_on_(passes_on) {}
    all_ended(all_ended&& other) noexcept : all_ended(*other.all, other.what_, other.passes_on_) {}
    all_ended& operator=(all_ended&&) = delete;
    ~all_ended() override {
        if (all->waiting_ == this) all->waiting_ = nullptr;
    }

    static bool await_ready() noexcept { return false; }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        all->waiting_ = this;
        park(awaiting, where);
    }
    void await_resume() {
        if (!passes_on_) resumed();
    }

    fork* forks() noexcept override { return passes_on_ ? this : nullptr; }
    cancel_reply cancel(const shared_text&) noexcept override { return cancel_reply::left; }

private:
    shared_state* next_awaited(std::uintptr_t& place) noexcept override {
        const member* const last = reinterpret_cast<const member*>(place);
        const member* const next = last == nullptr ? all->children_.front() : all->children_.after(*last);
        place = reinterpret_cast<std::uintptr_t>(next);
        return next != nullptr ? next->task : nullptr;
    }
    shared_state* next_asked(bool first) noexcept override {
        if (first) asked_ = 0;
        return next_awaited(asked_);
    }
    cancel_reply all_asked(const shared_text&, bool) noexcept override { return cancel_reply::refused; }

    std::uintptr_t asked_ = 0; // the child that the walk of a request to cancel has asked last
    bool passes_on_;
};

inline void child_tasks::member::decide(ready_item& item) noexcept {
    auto& self = static_cast<member&>(item);
    child_tasks* const set = self.all;
    if (set == nullptr) return delete &self;
    if (self.loop_is_gone()) return;
    set->children_.remove(self);
    const owner<member> child(&self);
    --set->running_;
    if (set->running_ == 0 && set->waiting_ != nullptr && set->waiting_->parked()) set->waiting_->wake();
    set->child_ended(*child->task);
}

} // namespace asynchio::detail

#pragma GCC visibility pop
