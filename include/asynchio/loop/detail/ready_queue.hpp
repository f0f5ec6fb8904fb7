// SPDX-License-Identifier: BSL-1.0
#pragma once

// The ready queue: an intrusive first-in first-out list of the steps of tasks and the plain calls that run next.

#include <cstddef>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// An item of the ready queue: either a step of a task (`resume_point` is the address of the frame to resume) or a call
/// of `run`. The queue does not own it, and it must stay alive until it has run.
struct ready_item {
    enum class kind : unsigned char { step, call };
    using function = void (*)(ready_item&) noexcept;

    union {
        ready_item* next;       // while it stands in a queue
        void* waiting_for;      // the hook of a suspended task, which stands in no queue
        std::size_t block_size; // the size of the block of a task that is done
    };
    union {
        void* resume_point;
        function run;
    };
    kind what;

    ready_item() noexcept {} // the fields are set when the item is first used
    explicit ready_item(function f) noexcept : run(f), what(kind::call) {}
};

/// The queue, first in, first out.
/// Cost: two stores to push, two loads to pop; no allocation.
class ready_queue {
public:
    bool empty() const noexcept { return first_ == nullptr; }
    const ready_item* front() const noexcept { return first_; }

    void push(ready_item& item) noexcept {
        item.next = nullptr;
        *last_ = &item;
        last_ = &item.next;
    }

    ready_item* pop() noexcept {
        ready_item* item = first_;
        if (item != nullptr && (first_ = item->next) == nullptr) last_ = &first_;
        return item;
    }

    /// Puts the items from `first` on, which are linked up to `last`, to the back.
    void append(ready_item& first, ready_item& last) noexcept {
        *last_ = &first;
        last_ = &last.next;
    }
    /// Moves all items of `other` to the back.
    void append(ready_queue& other) noexcept {
        if (other.empty()) return;
        *last_ = other.first_;
        last_ = other.last_;
        other.clear();
    }

    /// Removes `item` if it is in the queue; needed only if an item is destroyed before its turn. Cost: linear.
    bool remove(ready_item& item) noexcept {
        for (ready_item** link = &first_; *link != nullptr; link = &(*link)->next) {
            if (*link != &item) continue;
            *link = item.next;
            if (last_ == &item.next) last_ = link;
            return true;
        }
        return false;
    }

    /// Removes all calls for which `which(item)` is true. Cost: linear.
    template<class F>
    void remove_if(F which) noexcept {
        for (ready_item** link = &first_; ready_item* item = *link;) {
            if (item->what != ready_item::kind::call || !which(*item)) {
                link = &item->next;
                continue;
            }
            *link = item->next;
            if (last_ == &item->next) last_ = link;
        }
    }

    std::size_t size() const noexcept {
        std::size_t count = 0;
        for (const ready_item* each = first_; each != nullptr; each = each->next) ++count;
        return count;
    }

    void clear() noexcept {
        first_ = nullptr;
        last_ = &first_;
    }

    ready_queue() = default;
    ready_queue(const ready_queue&) = delete;
    ready_queue& operator=(const ready_queue&) = delete;
    ~ready_queue() = default;

private:
    ready_item* first_ = nullptr;
    ready_item** last_ = &first_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
