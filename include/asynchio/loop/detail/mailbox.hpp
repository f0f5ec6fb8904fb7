// SPDX-License-Identifier: BSL-1.0
#pragma once

// The mailbox in which other threads leave calls for a loop: a lock-free stack that the loop empties, and an eventfd
// that wakes it only when it sleeps. It outlives the loop, so that a late post is refused instead of touching freed
// memory.

#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/loop/clock.hpp>
#include <asynchio/loop/detail/fork_count.hpp>
#include <asynchio/loop/detail/ready_queue.hpp>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/eventfd.h>
#endif

#pragma GCC visibility push(default)

namespace asynchio::detail {

class scheduler;

/// No wake-up is lost: the loop sets `asleep` and then looks into the stack once more before it sleeps; a poster puts
/// its item on the stack and then looks at `asleep`. Both orders are sequentially consistent, so that at least one of
/// the two sees the other, and the one that clears `asleep` is the one that writes to the eventfd.
class mailbox : public counted_object<mailbox> {
public:
    /// @throws std::system_error when the process may not open another descriptor.
    [[gnu::cold]] mailbox() {
        watch_forks();
#if defined(__linux__)
        read_end_ = write_end_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (read_end_ < 0) system_refuses(errno, "eventfd");
        if (read_end_ <= STDERR_FILENO) { // a program that closed its standard streams must not write into it
            const int higher = ::fcntl(read_end_, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
            const int error = errno;
            ::close(read_end_);
            if (higher < 0) system_refuses(error, "eventfd");
            read_end_ = write_end_ = higher;
        }
#else
        int ends[2];
        if (::pipe(ends) != 0) system_refuses(errno, "pipe");
        for (int end : ends) {
            ::fcntl(end, F_SETFD, FD_CLOEXEC);
            ::fcntl(end, F_SETFL, O_NONBLOCK);
        }
        read_end_ = ends[0];
        write_end_ = ends[1];
#endif
        alive.fetch_add(1, std::memory_order_relaxed);
    }
    mailbox(const mailbox&) = delete;
    mailbox& operator=(const mailbox&) = delete;
    [[gnu::cold]] ~mailbox() {
        alive.fetch_sub(1, std::memory_order_relaxed);
        ::close(read_end_);
        if (write_end_ != read_end_) ::close(write_end_);
    }

    // Any thread may call these.

    /// Posts `item` to the loop. @return false if the loop is closed; the item remains the caller's then.
    bool post(ready_item& item) noexcept {
        ready_item* head = head_.load(std::memory_order_relaxed);
        do {
            if (head == closed_mark()) return false;
            item.next = head;
        } while (!head_.compare_exchange_weak(head, &item, std::memory_order_seq_cst, std::memory_order_relaxed));
        if (asleep_.load(std::memory_order_seq_cst) && asleep_.exchange(false, std::memory_order_seq_cst)) notify();
        return true;
    }

    /// Whether the loop sleeps, or is about to, and nobody has posted since.
    bool asleep() const noexcept { return asleep_.load(std::memory_order_relaxed); }

    bool closed() const noexcept { return head_.load(std::memory_order_acquire) == closed_mark(); }

    /// Makes the read end readable. It is async-signal-safe.
    void notify() const noexcept {
        const std::uint64_t one = 1;
        while (::write(write_end_, &one, write_end_ == read_end_ ? sizeof one : 1) < 0 && errno == EINTR) {}
    }

    /// How many of the pointers to it belong to tools that never post. A tool counts itself while it has the pointer.
    std::atomic<std::size_t> silent = 0;
    /// The loop to which the posts go; it may be gone.
    scheduler* loop = nullptr;

    // The loop's thread calls these.

    bool has_posts() const noexcept { return head_.load(std::memory_order_relaxed) != nullptr; }

    /// Moves all posts to the back of `ready`, the oldest first.
    void take(ready_queue& ready) noexcept { give(head_.exchange(nullptr, std::memory_order_acquire), ready); }

    /// Refuses posts from now on; posts that came before go to `ready`.
    void close(ready_queue& ready) noexcept { give(head_.exchange(closed_mark(), std::memory_order_acq_rel), ready); }

    /// Gets, in a child process, a descriptor of its own under the old number; otherwise it would read and write the
    /// parent's. If there is no descriptor left, it tries again later.
    void notice_fork() noexcept {
        if (process_.is_here()) [[likely]]
            return;
#if defined(__linux__)
        const int own = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (own < 0) return;
        if (::dup3(own, read_end_, O_CLOEXEC) >= 0) process_.renew();
        ::close(own);
#else
        int ends[2];
        if (::pipe(ends) != 0) return;
        const int old[] = {read_end_, write_end_};
        for (int i = 0; i < 2; ++i) {
            ::dup2(ends[i], old[i]);
            ::fcntl(old[i], F_SETFD, FD_CLOEXEC);
            ::fcntl(old[i], F_SETFL, O_NONBLOCK);
            ::close(ends[i]);
        }
        process_.renew();
#endif
        notify(); // a signal may have written to the old one
    }

    /// Prepares to sleep. @return false if something was posted meanwhile: the loop must not sleep.
    bool fall_asleep() noexcept {
        notice_fork();
        asleep_.store(true, std::memory_order_seq_cst);
        if (head_.load(std::memory_order_seq_cst) == nullptr) return true;
        asleep_.store(false, std::memory_order_relaxed);
        return false;
    }

    /// Called after sleeping. A poster that saw the loop asleep may still be about to notify, which ends the next sleep
    /// early.
    void wake_up() noexcept { asleep_.store(false, std::memory_order_relaxed); }

    /// Prepares for a host that waits for the descriptor in its own way: the next post notifies it, and so do posts that
    /// have come already.
    void wait_in_host() noexcept {
        if (!fall_asleep()) notify();
    }

    /// Reads the notifications; called when the descriptor is readable.
    void drain() const noexcept {
        std::uint64_t buffer[8];
        while (::read(read_end_, buffer, sizeof buffer) > 0 && write_end_ != read_end_) {}
    }

    /// Sleeps until notified, or for `timeout` nanoseconds; a negative time stands for no limit. It serves a loop
    /// without descriptors.
    void wait(nanoseconds_count timeout) const noexcept {
        constexpr nanoseconds_count day = nanoseconds_count(86'400) * 1'000'000'000;
        if (timeout > day) timeout = day;
        pollfd self{read_end_, POLLIN, 0};
        const timespec limit{static_cast<time_t>(timeout / 1'000'000'000), static_cast<long>(timeout % 1'000'000'000)};
        if (::ppoll(&self, 1, timeout < 0 ? nullptr : &limit, nullptr) > 0) drain();
    }

    int descriptor() const noexcept { return read_end_; }
    int write_descriptor() const noexcept { return write_end_; }

    /// The number of mailboxes in the process, for audits.
    static inline std::atomic<int> alive = 0;

private:
    ready_item* closed_mark() const noexcept {
        return reinterpret_cast<ready_item*>(const_cast<std::atomic<bool>*>(&asleep_));
    }

    static void give(ready_item* newest, ready_queue& ready) noexcept {
        if (newest == nullptr) return;
        ready_item* oldest = nullptr;
        for (ready_item* each = newest; each != nullptr;) {
            ready_item* next = each->next;
            each->next = oldest;
            oldest = each;
            each = next;
        }
        ready.append(*oldest, *newest);
    }

    std::atomic<ready_item*> head_ = nullptr;
    std::atomic<bool> asleep_ = false;
    process_mark process_;
    int read_end_ = -1;
    int write_end_ = -1;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
