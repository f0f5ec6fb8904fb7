// SPDX-License-Identifier: BSL-1.0
#pragma once

// A line in which tasks of any loop and blocked threads stand together, first come, first served.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/loop/clock.hpp>
#include <asynchio/loop/detail/intrusive_list.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/suspension.hpp>
#include <asynchio/thread/detail/native_condition.hpp>

#include <mutex>

#pragma GCC visibility push(default)

namespace asynchio::detail {

enum class standing : unsigned char { outside, waiting, served, refused };

/// The place of a task or thread in a line. One mutex of the line's owner guards the line and its places; once a place
/// is served or refused, it belongs to the task or thread that waited.
class line_place : public list_link {
public:
    line_place(const line_place&) = delete;
    line_place& operator=(const line_place&) = delete;

    /// Wakes the task or thread that waits. @return false if it will not run because its loop is closed.
    virtual bool wake() noexcept = 0;

    detail::standing standing = detail::standing::outside;
    void* brought = nullptr; // an item that is taken when the place is served

protected:
    line_place() noexcept : list_link{nullptr, nullptr} {}
    ~line_place() = default;
};

/// The line. All calls are made under the mutex.
///
/// No wake-up is lost: a getter that finds nothing enters under the mutex under which it looked, and a putter looks
/// into the line under the same mutex. Waking notifies a condition variable whose thread gives the mutex up only by
/// sleeping, or posts to a loop, which mailbox.hpp shows to be seen.
class mixed_line {
public:
    bool empty() const noexcept { return line_.empty(); }
    line_place* front() const noexcept { return line_.front(); }

    void enter(line_place& place) noexcept {
        place.standing = standing::waiting;
        line_.push_back(place);
    }
    /// Leaves the line. @return false if the place does not wait any more.
    bool leave(line_place& place) noexcept {
        if (place.standing != standing::waiting) return false;
        line_.remove(place);
        place.standing = standing::outside;
        return true;
    }
    /// Takes the first place, if any, out of the line and wakes its task or thread, after which the place may be
    /// destroyed.
    /// @return false if there is none, or its task will not run.
    bool dismiss_first(detail::standing with) noexcept {
        line_place* const first = line_.pop_front();
        if (first == nullptr) return false;
        first->standing = with;
        if (first->wake()) return true;
        first->standing = standing::outside;
        return false;
    }
    void refuse_all() noexcept {
        while (!empty()) dismiss_first(standing::refused);
    }

private:
    intrusive_list<line_place> line_;
};

/// The place of a blocked thread.
class thread_place final : public line_place {
public:
    thread_place() noexcept = default;

    bool wake() noexcept override {
        woken_.notify_one(); // under the mutex: the thread destroys `*this` as soon as it has that
        return true;
    }
    /// Blocks until the place is dismissed, or until `deadline` of the steady clock.
    void wait(std::unique_lock<std::mutex>& lock, nanoseconds_count deadline) {
        const auto dismissed = [this] { return standing != detail::standing::waiting; };
        if (deadline == far_future)
            woken_.wait(lock, dismissed);
        else
            woken_.wait_until(lock, deadline, dismissed);
    }

private:
    native_condition woken_;
};

/// The place of a task, and the base of the awaiters. An awaiter binds, enters the line, and parks.
class task_place : public line_place, public suspension, private ready_item {
public:
    bool wake() noexcept final {
        scheduler* const running = this_thread.running;
        if (running != nullptr && &loop_of(*running) == box_.get()) {
            if (running->closing()) return false;
            running->schedule(*this);
            return true;
        }
        const loop_ref box = box_; // once posted, the loop may resume and destroy all this
        return access::post(box, *this);
    }

protected:
    task_place() noexcept : ready_item(&arrived) {}
    ~task_place() = default;

    void bind() { box_ = get_running_loop().ref(); }

private:
    /// Runs on the loop. A place that was dismissed is not destroyed before this, except with the loop.
    static void arrived(ready_item& item) noexcept {
        auto& self = static_cast<task_place&>(item);
        if (!core_of(*self.box_.get()).closing()) self.run_now();
    }

    loop_ref box_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
