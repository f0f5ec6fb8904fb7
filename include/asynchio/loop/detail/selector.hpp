// SPDX-License-Identifier: BSL-1.0
#pragma once

// The sources of work for a loop that has none of its own: timers, descriptors, signals, other threads; in real or in
// virtual time.

#include <asynchio/loop/clock.hpp>
#include <asynchio/loop/detail/busy_interval.hpp>
#include <asynchio/loop/detail/mailbox.hpp>
#include <asynchio/loop/detail/ready_queue.hpp>
#include <asynchio/loop/detail/timer_queue.hpp>
#include <asynchio/loop/detail/watches.hpp>
#include <asynchio/loop/run_options.hpp>

#include <cstdint>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Moves work that is due into a ready queue: without waiting while the loop is busy, else when there is some.
///
/// Cost: nothing for a busy loop while no timer, descriptor or signal is registered, else see busy_interval; a loop
/// that sleeps makes one system call to sleep and reads the clock twice.
class selector {
public:
    explicit selector(const run_options& options) : poller_(options.poller), virtual_(options.virtual_time) {}

    nanoseconds_count now() const noexcept { return virtual_ ? virtual_now_ : steady_now(); }
    bool has_posts() const noexcept { return mailbox->has_posts(); }
    /// Whether no timer is set, no other thread owes a result, and nothing was posted.
    bool has_nothing_due() const noexcept { return timers.empty() && outstanding == 0 && !has_posts(); }
    /// Whether no timer, job of a thread, descriptor or signal can bring work: only a post of another thread can.
    bool only_posts_can_come() const noexcept {
        return timers.empty() && outstanding == 0 && descriptors.size() == silent_descriptors && !caught.bring_work();
    }
    /// Whether no other thread can post, since none holds a loop_ref, and none has posted.
    bool no_post_can_come() const noexcept { return mailbox->pointers() <= 1 + mailbox->silent && !has_posts(); }
    bool in_virtual_time() const noexcept { return virtual_; }

    /// Whether a timer ends a sleep that begins now before `time`, in real time.
    bool wakes_before(nanoseconds_count time) const noexcept {
        return !timers.empty() && timers.next_deadline() <= time;
    }

    /// Adds a timer. @param due whether it has expired: it is noticed in the next iteration then, without the clock.
    void add_timer(timer& t, nanoseconds_count deadline, bool due) {
        timers.add(t, deadline);
        t.pending = true;
        if (due) busy_.end();
    }
    std::uint64_t watch(int fd, unsigned char direction, repeated_call_ptr call) {
        return descriptors.set(fd, direction, std::move(call), poller_, *mailbox);
    }

    void attach(attached_watch& watch, unsigned char wanted = fd_watch::readable | fd_watch::writable) {
        descriptors.attach(watch, poller_, *mailbox, wanted);
    }

    /// Called if something is ready: asks clock and poller only now and then, or always if `thoroughly`.
    void look(ready_queue& ready, bool thoroughly) noexcept {
        if (has_posts()) mailbox->take(ready);
        if (virtual_) {
            poll_now();
            timers.expire(virtual_now_, ready);
            return;
        }
        if (timers.empty() && !descriptors.active() && caught.empty()) return;
        if (!busy_.over() && !thoroughly) return;
        const nanoseconds_count time = steady_now();
        if (busy_.looked(time) || thoroughly) poll_now();
        timers.expire(time, ready);
    }

    /// Called if nothing is ready: sleeps until something may be. Virtual time jumps to the next deadline instead,
    /// unless a thread owes a result.
    void sleep(ready_queue& ready) noexcept {
        if (virtual_) {
            jump(ready);
            if (!ready.empty()) return;
        }
        if (const nanoseconds_count timeout = time_to_sleep(); timeout != 0 && mailbox->fall_asleep()) {
            wait(timeout);
        } else if (descriptors.active()) {
            descriptors.wait(0);
        }
        take_signals();
        if (has_posts()) mailbox->take(ready);
        if (virtual_) return;
        const nanoseconds_count time = steady_now();
        busy_.restart(time);
        timers.expire(time, ready);
    }

    /// Whether virtual time may jump to the next deadline: no thread owes a result.
    bool can_jump() const noexcept { return virtual_ && outstanding == 0 && !timers.empty(); }
    /// Jumps there if nothing is ready.
    void jump(ready_queue& ready) noexcept {
        poll_now();
        if (ready.empty() && can_jump() && timers.next_deadline() > virtual_now_) virtual_now_ = timers.next_deadline();
        timers.expire(virtual_now_, ready);
    }

    /// Returns a descriptor that is readable when descriptors, signals or posts have something for the loop; -1 if the
    /// poller has none.
    int descriptor() { return descriptors.descriptor(poller_, *mailbox); }

    /// Sleeps until notified, for at most `real` nanoseconds, whatever the timers say.
    void sleep_at_most(nanoseconds_count real) noexcept {
        if (mailbox->fall_asleep()) wait(real);
    }

    /// Takes what came while it slept: signals and posts.
    [[gnu::cold]] void take(ready_queue& ready) noexcept {
        take_signals();
        if (has_posts()) mailbox->take(ready);
    }

    /// Refuses posts and forgets descriptors and signals; calls that were posted before go to `ready`.
    [[gnu::cold]] void close(ready_queue& ready) noexcept {
        mailbox->close(ready);
        caught.clear();
        descriptors.clear();
    }

    const counted_ptr<detail::mailbox> mailbox = counted_ptr<detail::mailbox>(new detail::mailbox);
    timer_queue timers;
    descriptor_watches descriptors;
    signal_watches caught;              // signals
    std::size_t silent_descriptors = 0; // those that tools watch, and that bring no work to tasks
    std::uint32_t outstanding = 0; // jobs of other threads that will be posted: virtual time stands still meanwhile

private:
    /// Sleeps until something outside wakes it.
    [[gnu::noinline]] void wait(nanoseconds_count timeout) noexcept {
        if (descriptors.active())
            descriptors.wait(timeout);
        else
            mailbox->wait(timeout);
        mailbox->wake_up();
    }
    nanoseconds_count time_to_sleep() const noexcept {
        if (virtual_ || timers.empty()) return -1;
        const nanoseconds_count next = timers.next_deadline();
        const nanoseconds_count time = steady_now();
        return next > time ? next - time : 0; // `next` may be the minimum of the type
    }
    void poll_now() noexcept {
        if (descriptors.active()) descriptors.wait(0);
        take_signals();
    }
    void take_signals() noexcept {
        if (!caught.empty()) caught.take();
    }

    nanoseconds_count virtual_now_ = 0;
    busy_interval busy_;
    poller_kind poller_;
    bool virtual_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
