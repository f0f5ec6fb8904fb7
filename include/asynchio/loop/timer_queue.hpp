// SPDX-License-Identifier: BSL-1.0
#pragma once

// Deadlines in order: a 4-ary heap (D. B. Johnson, "Priority queues with update", 1975) of pointers to timers that
// know their place, so that cancelling one takes it out at once. Equal deadlines keep the order they were set in.

#include <asynchio/loop/clock.hpp>
#include <asynchio/loop/ready_queue.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace asynchio::detail {

/// A call that runs when its deadline has passed. Lives in whatever waits, is not owned by the queue.
struct timer : ready_item {
    static constexpr std::uint32_t idle = 0xffffffff;

    bool pending = false;       // in the timer queue, or in the ready queue after it; the call clears it
    std::uint32_t place = idle; // index in the heap

    explicit timer(function f) noexcept : ready_item(f) {}
    bool armed() const noexcept { return place != idle; }
};

/// Cost: O(log n) to add and remove, O(1) to ask; 24 bytes a timer beside the timer itself.
class timer_queue {
public:
    bool empty() const noexcept { return heap_.empty(); }
    std::size_t size() const noexcept { return heap_.size(); }
    nanoseconds_count next_deadline() const noexcept { return heap_.empty() ? far_future : heap_.front().deadline; }

    /// @throws std::bad_alloc; the timer is idle then.
    void add(timer& t, nanoseconds_count deadline) {
        heap_.push_back(entry{deadline, ++sequence_, &t});
        sift_up(heap_.size() - 1, heap_.back());
    }

    void remove(timer& t) noexcept {
        if (!t.armed()) return;
        const std::size_t hole = t.place;
        t.place = timer::idle;
        const entry last = heap_.back();
        heap_.pop_back();
        if (hole == heap_.size()) return;
        if (hole > 0 && last.before(heap_[(hole - 1) / arity]))
            sift_up(hole, last);
        else
            sift_down(hole, last);
    }

    /// Moves every timer that is due at `now` to `ready`, in order of deadline.
    void expire(nanoseconds_count now, ready_queue& ready) noexcept {
        while (!heap_.empty() && heap_.front().deadline <= now) {
            timer& due = *heap_.front().what;
            remove(due);
            ready.push(due);
        }
    }

    void clear() noexcept {
        for (const entry& each : heap_) each.what->place = timer::idle;
        heap_.clear();
    }

private:
    static constexpr std::size_t arity = 4;

    struct entry {
        nanoseconds_count deadline;
        std::uint64_t sequence;
        timer* what;

        bool before(const entry& other) const noexcept {
            return deadline != other.deadline ? deadline < other.deadline : sequence < other.sequence;
        }
    };

    void put(std::size_t place, const entry& e) noexcept {
        heap_[place] = e;
        e.what->place = static_cast<std::uint32_t>(place);
    }

    void sift_up(std::size_t hole, const entry e) noexcept {
        while (hole > 0) {
            const std::size_t parent = (hole - 1) / arity;
            if (!e.before(heap_[parent])) break;
            put(hole, heap_[parent]);
            hole = parent;
        }
        put(hole, e);
    }

    /// Down to the bottom, since that is where `e` comes from, and then up again (Wegener's bottom-up heapsort, 1993).
    void sift_down(std::size_t hole, const entry e) noexcept {
        for (;;) {
            const std::size_t first = hole * arity + 1;
            if (first >= heap_.size()) break;
            const std::size_t end = first + arity < heap_.size() ? first + arity : heap_.size();
            std::size_t least = first;
            for (std::size_t child = first + 1; child < end; ++child)
                if (heap_[child].before(heap_[least])) least = child;
            put(hole, heap_[least]);
            hole = least;
        }
        sift_up(hole, e);
    }

    std::vector<entry> heap_;
    std::uint64_t sequence_ = 0;
};

} // namespace asynchio::detail
