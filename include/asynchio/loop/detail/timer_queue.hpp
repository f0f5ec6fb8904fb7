// SPDX-License-Identifier: BSL-1.0
#pragma once

// The queue of timers: a 4-ary heap (D. B. Johnson, "Priority queues with update", 1975) of pointers to timers that
// know their place, so that cancelling one removes it at once. Equal deadlines keep the order in which they were set.

#include <asynchio/core/detail/trivial_vector.hpp>
#include <asynchio/loop/clock.hpp>
#include <asynchio/loop/detail/ready_queue.hpp>

#include <cstddef>
#include <cstdint>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// A call that runs when its deadline has passed. It is part of the object that waits; the queue does not own it.
struct timer : ready_item {
    static constexpr std::uint32_t idle = 0xffffffff;

    bool pending = false;       // whether it is in the timer queue, or then in the ready queue; the call clears it
    std::uint32_t place = idle; // its index in the heap
    std::uint64_t sequence = 0; // how many timers were set before it

    explicit timer(function f) noexcept : ready_item(f) {}
    bool armed() const noexcept { return place != idle; }
};

/// The queue. Cost: O(log n) to add and remove, O(1) to query; 16 bytes for each timer beside the timer itself.
class timer_queue {
public:
    bool empty() const noexcept { return timers_.empty(); }
    std::size_t size() const noexcept { return timers_.size(); }
    nanoseconds_count next_deadline() const noexcept { return empty() ? far_future : deadlines_.front(); }

    /// Adds a timer. @throws std::bad_alloc without memory; the timer is idle then.
    void add(timer& t, nanoseconds_count deadline) {
        timers_.push_back(&t);
        try {
            deadlines_.push_back(deadline);
        } catch (...) {
            timers_.pop_back();
            throw;
        }
        t.sequence = ++sequence_;
        sift_up(size() - 1, deadline, t);
    }

    void remove(timer& t) noexcept {
        if (!t.armed()) return;
        const std::size_t hole = t.place;
        t.place = timer::idle;
        const nanoseconds_count deadline = deadlines_.back();
        timer& last = *timers_.back();
        deadlines_.pop_back();
        timers_.pop_back();
        if (hole == size()) return;
        if (hole > 0 && before(deadline, last, (hole - 1) / arity))
            sift_up(hole, deadline, last);
        else
            sift_down(hole, deadline, last);
    }

    /// Moves every timer that is due at `now` to `ready`, in order of deadline.
    void expire(nanoseconds_count now, ready_queue& ready) noexcept {
        while (!empty() && deadlines_.front() <= now) {
            timer& due = *timers_.front();
            remove(due);
            ready.push(due);
        }
    }

    void clear() noexcept {
        for (timer* each : timers_) each->place = timer::idle;
        deadlines_.clear();
        timers_.clear();
    }

private:
    static constexpr std::size_t arity = 4;

    bool before(nanoseconds_count deadline, const timer& t, std::size_t place) const noexcept {
        if (deadline == deadlines_[place]) [[unlikely]]
            return t.sequence < timers_[place]->sequence;
        return deadline < deadlines_[place];
    }
    void put(std::size_t place, nanoseconds_count deadline, timer& t) noexcept {
        deadlines_[place] = deadline;
        timers_[place] = &t;
        t.place = static_cast<std::uint32_t>(place);
    }

    void sift_up(std::size_t hole, nanoseconds_count deadline, timer& t) noexcept {
        while (hole > 0) {
            const std::size_t parent = (hole - 1) / arity;
            if (!before(deadline, t, parent)) break;
            put(hole, deadlines_[parent], *timers_[parent]);
            hole = parent;
        }
        put(hole, deadline, t);
    }

    /// Moves `t` down to the bottom, where it comes from, and then up again (Wegener's bottom-up heapsort, 1993).
    void sift_down(std::size_t hole, nanoseconds_count deadline, timer& t) noexcept {
        for (std::size_t first = hole * arity + 1; first < size(); first = hole * arity + 1) {
            const std::size_t end = first + arity < size() ? first + arity : size();
            std::size_t least = first;
            for (std::size_t child = first + 1; child < end; ++child)
                if (before(deadlines_[child], *timers_[child], least)) least = child;
            put(hole, deadlines_[least], *timers_[least]);
            hole = least;
        }
        sift_up(hole, deadline, t);
    }

    // The heap, in two arrays, so that the minimum of the children is found among deadlines alone.
    trivial_vector<nanoseconds_count> deadlines_;
    trivial_vector<timer*> timers_;
    std::uint64_t sequence_ = 0;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
