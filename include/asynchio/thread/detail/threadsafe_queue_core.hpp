// SPDX-License-Identifier: BSL-1.0
#pragma once

// The state that a threadsafe_queue shares with the tasks and threads that wait in it.

#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/core/detail/owner.hpp>
#include <asynchio/core/detail/ring_buffer.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/loop/clock.hpp>
#include <asynchio/thread/detail/mixed_line.hpp>

#include <cstddef>
#include <mutex>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// The items and the two lines. The mutex guards everything but itself and `maxsize`.
///
/// A waiting getter is woken with a claim to one item, and takes the first item that is there when it runs; no other
/// getter may take a claimed item. So nothing is in flight that a cancellation could lose: a claim that is given up
/// passes to the next in line. A waiting putter leaves its item in its place: the call that makes room takes the item
/// in, and wakes the putter. At any moment, getters wait only if every item is claimed, and putters only if there is no
/// room.
template<class T>
class threadsafe_queue_core : public counted_object<threadsafe_queue_core<T>> {
public:
    /// A type whose move may throw is moved once when it comes and once when it goes, and travels behind a pointer.
    static constexpr bool boxed = !std::is_nothrow_move_constructible_v<T>;
    using stored = std::conditional_t<boxed, owner<heap_value<T>>, T>;

    explicit threadsafe_queue_core(std::size_t most) noexcept : maxsize(most) {}
    threadsafe_queue_core(const threadsafe_queue_core&) = delete;
    threadsafe_queue_core& operator=(const threadsafe_queue_core&) = delete;
    ~threadsafe_queue_core() = default;

    template<class U>
    static stored store(U&& item) {
        if constexpr (boxed)
            return make_heap_value<T>(std::forward<U>(item));
        else
            return T(std::forward<U>(item));
    }

    std::size_t size() const noexcept { return items_.size(); }
    bool is_shut_down() const noexcept { return shut_down_; }
    bool drained() const noexcept { return shut_down_ && items_.empty(); }
    bool has_room() const noexcept { return items_.size() < maxsize; }
    bool has_item() const noexcept { return items_.size() > claimed_; }
    void claim() noexcept { ++claimed_; }

    /// Adds an item; there must be room. @throws std::bad_alloc without memory: nothing has changed then.
    void insert(stored&& item) {
        items_.push_back(std::move(item));
        serve_getters();
    }
    template<class U>
    void insert_from(U&& item) {
        if constexpr (std::is_same_v<U, stored>)
            insert(std::forward<U>(item));
        else
            insert(store(std::forward<U>(item)));
    }
    /// Takes the first item; there must be one. `Result` is T or an optional. @throws exceptions of moving: the item
    /// stays.
    template<class Result>
    Result take() {
        after_taking finished{*this};
        stored item = items_.pop_front();
        if constexpr (boxed) {
            try {
                return Result(std::move(item->value)); // g++ 12 would move a local once more, when the item is gone
            } catch (...) {
                items_.push_front(std::move(item)); // where it was: there is room
                finished.nothing_gone = true;
                throw;
            }
        } else {
            return Result(std::move(item));
        }
    }
    template<class Result>
    Result take_claimed() {
        --claimed_;
        if constexpr (boxed) {
            try {
                return take<Result>();
            } catch (...) {
                serve_getters(); // another getter may have the item
                throw;
            }
        } else {
            return take<Result>();
        }
    }

    void shut_down() noexcept {
        shut_down_ = true;
        putters.refuse_all();
        if (items_.empty()) getters.refuse_all();
    }
    /// Removes, after shut_down(), the items that no getter has claimed; each is destroyed without the lock. Takes a
    /// share of the queue, whose end an item's end may be.
    static void drop_unclaimed(counted_ptr<threadsafe_queue_core> self) noexcept {
        std::unique_lock lock(self->mutex);
        while (self->has_item()) {
            {
                [[maybe_unused]] const stored dropped = self->items_.pop_back();
                if (self->items_.empty()) self->getters.refuse_all();
                lock.unlock();
            }
            lock.lock();
        }
    }

    /// Blocks the calling thread until `item` was taken in. @return false when the time is up.
    static bool put_until(const counted_ptr<threadsafe_queue_core>& self, stored& item, nanoseconds_count deadline) {
        counted_ptr<threadsafe_queue_core> kept;
        std::unique_lock lock(self->mutex);
        if (self->shut_down_) throw queue_shut_down();
        if (self->has_room()) {
            self->insert(std::move(item));
            return true;
        }
        kept = self; // the queue may be destroyed meanwhile
        switch (wait_in(kept->putters, &item, lock, deadline)) {
        case standing::served: return true;
        case standing::refused: throw queue_shut_down();
        default: return false;
        }
    }
    /// Blocks the calling thread until there is an item. Once the queue is drained, or when the time is up, it returns
    /// an empty `Result`, or throws.
    template<class Result, bool EmptyAtEnd>
    static Result get_until(const counted_ptr<threadsafe_queue_core>& self, nanoseconds_count deadline) {
        counted_ptr<threadsafe_queue_core> kept;
        std::unique_lock lock(self->mutex);
        if (self->has_item()) return self->template take<Result>();
        standing how = standing::refused;
        if (!self->drained()) {
            kept = self;
            how = wait_in(kept->getters, nullptr, lock, deadline);
            if (how == standing::served) return kept->template take_claimed<Result>();
        }
        if constexpr (std::is_default_constructible_v<Result> && !std::is_same_v<Result, T>)
            if (EmptyAtEnd || how == standing::waiting) return Result();
        throw queue_shut_down();
    }

    /// Leaves the line for a task that gives up, or passes its claim on. @return whether it was still in the line.
    bool give_up_get(line_place& place) noexcept {
        const std::lock_guard lock(mutex);
        if (getters.leave(place)) return true;
        if (place.standing != standing::served) return false;
        place.standing = standing::outside;
        --claimed_;
        serve_getters();
        return false;
    }
    bool leave_getters(line_place& place) noexcept {
        const std::lock_guard lock(mutex);
        return getters.leave(place);
    }
    bool leave_putters(line_place& place) noexcept {
        const std::lock_guard lock(mutex);
        return putters.leave(place);
    }

    std::mutex mutex;
    const std::size_t maxsize;
    mixed_line getters;
    mixed_line putters;

private:
    static standing wait_in(mixed_line& line, void* brought, std::unique_lock<std::mutex>& lock,
                            nanoseconds_count deadline) {
        thread_place place;
        place.brought = brought;
        line.enter(place);
        place.wait(lock, deadline);
        return line.leave(place) ? standing::waiting : place.standing;
    }

    /// Ends a call that takes an item, when its result has been made.
    struct after_taking {
        threadsafe_queue_core& queue;
        bool nothing_gone = false;
        ~after_taking() {
            if (!nothing_gone) queue.taken();
        }
    };

    /// Serves the lines after an item was taken.
    void taken() noexcept {
        while (has_room() && !putters.empty()) {
            // After the first item there is memory for as many as have been there: this cannot throw.
            items_.push_back(std::move(*static_cast<stored*>(putters.front()->brought)));
            putters.dismiss_first(standing::served);
        }
        serve_getters();
        if (drained()) getters.refuse_all();
    }
    void serve_getters() noexcept {
        while (has_item() && !getters.empty())
            if (getters.dismiss_first(standing::served)) claim();
    }

    ring_buffer<stored> items_;
    std::size_t claimed_ = 0;
    bool shut_down_ = false;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
