// SPDX-License-Identifier: BSL-1.0
#pragma once

// Waiting until a task has ended, whatever its outcome, and whatever request comes meanwhile.

#include <asynchio/task/handle_base.hpp>

#include <coroutine>
#include <source_location>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// What a suspension waits for. It is a base class, which a debugger finds by its name.
struct awaited_reference {
    shared_state& what;
};

/// An awaiter that returns nothing and throws nothing. A request to cancel that comes meanwhile is passed on, so that a
/// slow cleanup is interrupted, and stays pending for the awaiting task: it is delivered at its next suspension point.
class [[nodiscard]] settled final : public suspension, private watcher, private fork, private awaited_reference {
public:
    explicit settled(shared_state& target) noexcept : watcher(&fire), awaited_reference{target} {}
    settled(settled&& other) noexcept : settled(other.what) {}
    settled& operator=(settled&&) = delete;
    ~settled() override { what.unwatch(*this); }

    bool await_ready() const noexcept { return what.done(); }
    template<class Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        what.watch(*this);
        park(awaiting, where);
    }
    void await_resume() const noexcept { what.note_retrieved(); }

    const char* waiting_for() const noexcept override { return "the end of a task"; }
    shared_state* awaited_state() const noexcept override { return &what; }
    fork* forks() noexcept override { return this; }

private:
    shared_state* next_asked(bool first) noexcept override { return first ? &what : nullptr; }
    cancel_reply all_asked(const shared_text&, bool) noexcept override { return cancel_reply::refused; }
    static void fire(watcher& self, shared_state&) noexcept {
        auto& waiting = static_cast<settled&>(self);
        if (waiting.parked()) waiting.wake();
    }
};

} // namespace asynchio::detail

#pragma GCC visibility pop
