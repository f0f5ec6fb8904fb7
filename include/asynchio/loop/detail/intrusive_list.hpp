// SPDX-License-Identifier: BSL-1.0
#pragma once

// A doubly linked list through its elements, for tasks of a loop, waiters of a result, and waiters of a lock.

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// A place in an intrusive_list. An unlinked one has `next == nullptr`.
struct list_link {
    list_link* prev;
    list_link* next;
};

/// The list. It is one pointer; the `prev` of the first element is the last one. Insertion, removal and both ends are
/// O(1).
/// `T` derives from list_link. The list owns nothing.
template<class T>
class intrusive_list {
public:
    bool empty() const noexcept { return first_ == nullptr; }
    T* front() const noexcept { return static_cast<T*>(first_); }
    T* back() const noexcept { return first_ == nullptr ? nullptr : static_cast<T*>(first_->prev); }
    /// Returns the element after `item`, null after the last.
    T* after(const T& item) const noexcept {
        const list_link& link = item;
        return link.next == first_ ? nullptr : &static_cast<T&>(*link.next);
    }

    void push_back(T& item) noexcept {
        list_link& link = item;
        if (first_ == nullptr) {
            link.prev = link.next = first_ = &link;
        } else {
            link.prev = first_->prev;
            link.next = first_;
            first_->prev->next = &link;
            first_->prev = &link;
        }
    }

    /// Returns the element before `item`, null before the first.
    T* before(const T& item) const noexcept {
        const list_link& link = item;
        return first_ == &link ? nullptr : &static_cast<T&>(*link.prev);
    }
    /// Puts `item` behind `place`, or to the front if that is null.
    void insert_after(T* place, T& item) noexcept {
        if (place == nullptr || after(*place) == nullptr) {
            list_link* const old_first = first_;
            push_back(item); // in a ring, the back is the place in front of the first
            if (place == nullptr && old_first != nullptr) first_ = &static_cast<list_link&>(item);
            return;
        }
        list_link& link = item;
        list_link& left = *place;
        link.prev = &left;
        link.next = left.next;
        left.next->prev = &link;
        left.next = &link;
    }

    /// Moves all elements of `other` to the back, in their order.
    void append(intrusive_list& other) noexcept {
        if (other.first_ == nullptr) return;
        if (first_ == nullptr) {
            first_ = other.first_;
        } else {
            list_link* last = other.first_->prev;
            first_->prev->next = other.first_;
            other.first_->prev = first_->prev;
            last->next = first_;
            first_->prev = last;
        }
        other.first_ = nullptr;
    }

    void remove(T& item) noexcept {
        list_link& link = item;
        if (link.next == &link) {
            first_ = nullptr;
        } else {
            link.prev->next = link.next;
            link.next->prev = link.prev;
            if (first_ == &link) first_ = link.next;
        }
        link.next = nullptr;
    }

    T* pop_front() noexcept {
        T* item = front();
        if (item != nullptr) remove(*item);
        return item;
    }

private:
    list_link* first_ = nullptr;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
