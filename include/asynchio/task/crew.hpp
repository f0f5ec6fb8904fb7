// SPDX-License-Identifier: BSL-1.0
#pragma once

// Tasks that somebody started and waits for, of any number, coming and going: under task_group, merge, map and servers.

#include <asynchio/core/owner.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/hop.hpp>
#include <asynchio/task/suspension.hpp>

#include <coroutine>
#include <cstddef>
#include <memory>
#include <source_location>
#include <utility>

namespace asynchio::detail {

/// The children tell it of their end; what follows from that is decided one iteration later, in child_ended.
///
/// Cost: one recycled block of 64 bytes a child, freed when the child has ended.
class crew : public hop {
public:
    class all_ended;

    /// How many have not ended yet.
    std::size_t running() const noexcept { return running_; }
    /// Whether `task` is one of them. Linear.
    bool has(const frame& task) const noexcept {
        for (const member* each = children_.front(); each != nullptr; each = children_.after(*each))
            if (each->task == &task) return true;
        return false;
    }

protected:
    crew() = default;
    ~crew() override {
        while (member* each = children_.pop_front()) delete each;
        while (member* each = ended_.pop_front()) delete each;
        while (member* each = spare_.pop_front()) delete each;
    }

    /// What child_ended is told is over, or was cancelled, or failed.
    virtual void child_ended(frame& child) noexcept = 0;

    /// Before a child is made: from now on adopt cannot fail. Before `count` that start together: who cannot start all is
    /// to start none.
    void make_room(std::size_t count = 1) {
        for (const member* each = spare_.front(); each != nullptr && count > 0; each = spare_.after(*each)) --count;
        for (; count > 0; --count) spare_.push_back(*new member(*this));
    }
    void adopt(completion& task) noexcept {
        member& child = *spare_.pop_front();
        child.task = static_cast<frame*>(&task);
        ++task.references;
        ++running_;
        children_.push_back(child);
        if (task.done())
            ended(child);
        else
            child.own();
    }

    /// In order of creation.
    void cancel_all(const shared_text& message = shared_text()) noexcept {
        for (member* each = children_.front(); each != nullptr; each = children_.after(*each))
            cancel_completion(*each->task, message);
    }

private:
    /// A child: listed in order of creation while it runs, in order of its end afterwards.
    class member final : public child_owner, public list_link {
    public:
        static void* operator new(std::size_t size) { return frame_pool::allocate(size); }
        static void operator delete(void* address, std::size_t size) noexcept { frame_pool::deallocate(address, size); }

        explicit member(crew& c) noexcept : list_link(), all(c) {}
        member(const member&) = delete;
        member& operator=(const member&) = delete;
        ~member() override {
            if (task == nullptr) return;
            task->disown();
            release(*task);
        }
        void own() noexcept {
            created = task->created();
            task->own(*this);
        }
        void child_done(completion&) noexcept override { all.ended(*this); }
        std::source_location child_created() const noexcept override { return created; }

        crew& all;
        frame* task = nullptr;
        std::source_location created;
    };

    void ended(member& child) noexcept {
        children_.remove(child);
        ended_.push_back(child);
        hop_soon();
    }
    inline void decide() noexcept final;

    intrusive_list<member> children_;
    intrusive_list<member> ended_;
    intrusive_list<member> spare_;
    std::size_t running_ = 0;
    all_ended* waiting_ = nullptr;
};

/// Suspended until the last child has ended. Only while one runs.
class [[nodiscard]] crew::all_ended final : public suspension {
public:
    /// `passes_on`: a request to cancel goes to the children, and stays pending for the awaiting task until it has waited
    /// for them; else the wait ends.
    all_ended(crew& c, const char* what, bool passes_on) noexcept : crew_(c), what_(what), passes_on_(passes_on) {}
    all_ended(all_ended&& other) noexcept : all_ended(other.crew_, other.what_, other.passes_on_) {}
    all_ended& operator=(all_ended&&) = delete;
    ~all_ended() override {
        if (crew_.waiting_ == this) crew_.waiting_ = nullptr;
    }

    static bool await_ready() noexcept { return false; }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) noexcept {
        crew_.waiting_ = this;
        park(awaiting, where);
    }
    void await_resume() {
        if (!passes_on_) resumed();
    }

    const char* waiting_for() const noexcept override { return what_; }
    cancel_reply cancel(const shared_text& message) noexcept override {
        if (!passes_on_) return cancel_reply::left;
        crew_.cancel_all(message);
        return cancel_reply::refused;
    }

private:
    crew& crew_;
    const char* what_;
    bool passes_on_;
};

inline void crew::decide() noexcept {
    while (member* first = ended_.pop_front()) {
        const owner<member> child(first);
        --running_;
        if (running_ == 0 && waiting_ != nullptr && waiting_->parked()) waiting_->wake();
        child_ended(*child->task);
    }
}

} // namespace asynchio::detail
