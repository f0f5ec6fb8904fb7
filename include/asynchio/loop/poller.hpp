// SPDX-License-Identifier: BSL-1.0
#pragma once

// How a loop waits for file descriptors: epoll, or the portable poll(2). One interface, chosen when the loop is made.

#include <asynchio/core/owner.hpp>
#include <asynchio/core/trivial_vector.hpp>
#include <asynchio/loop/clock.hpp>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <poll.h>
#include <system_error>
#include <time.h>
#include <unistd.h>
#include <vector>
#if defined(__linux__)
#include <sys/epoll.h>
#endif

namespace asynchio {

/// Which system call a loop waits with; `automatic` is the best one of the system.
enum class poller_kind : unsigned char { automatic, epoll, poll };

namespace detail {

/// What somebody waits for on one descriptor. Level-triggered: what is wanted is reported in every wait while it lasts.
/// Edge-triggered: reported when it becomes so; `wanted` may then be changed at any time without telling the poller, and
/// what nobody wants may go unreported.
struct fd_watch {
    static constexpr unsigned char readable = 1;
    static constexpr unsigned char writable = 2;
    /// Only told to an edge-triggered watch: from now on a short read does not mean that nothing is left. There may be
    /// the end, an error, or what comes behind urgent data of TCP.
    static constexpr unsigned char uneven = 4;

    int fd = -1;
    unsigned char wanted = 0;
    bool edge = false;
    /// Called by the loop with what is ready; errors and hang-ups count as both.
    void (*ready)(fd_watch&, unsigned char) noexcept = nullptr;
};

/// Cost: one system call per change and per wait.
class poller {
public:
    poller() = default;
    poller(const poller&) = delete;
    poller& operator=(const poller&) = delete;
    virtual ~poller() = default;

    /// Takes over `watch.wanted` (0 removes it). @throws std::system_error naming the descriptor.
    virtual void update(fd_watch& watch, unsigned char before) = 0;
    /// Waits up to `timeout` nanoseconds (0: asks only; negative: without end) and calls `ready` of what is ready.
    virtual void wait(nanoseconds_count timeout) noexcept = 0;

protected:
    [[noreturn]] static void fail(const char* what, int fd) {
        throw std::system_error(errno, std::generic_category(), what + (" descriptor " + std::to_string(fd)));
    }
    static timespec to_timespec(nanoseconds_count t) noexcept {
        // A day is enough for any system call; the loop asks again.
        constexpr nanoseconds_count day = nanoseconds_count(86'400) * 1'000'000'000;
        if (t > day) t = day;
        return {static_cast<time_t>(t / 1'000'000'000), static_cast<long>(t % 1'000'000'000)};
    }
};

/// poll(2): every wait hands all descriptors to the kernel.
class poll_poller final : public poller {
public:
    void update(fd_watch& watch, unsigned char before) override {
        if (before == 0 && watch.wanted != 0) {
            watches_.push_back(&watch);
            return;
        }
        if (watch.wanted == 0)
            for (fd_watch*& each : watches_)
                if (each == &watch) each = nullptr;
    }

    void wait(nanoseconds_count timeout) noexcept override {
        std::size_t left = 0;
        for (fd_watch* each : watches_)
            if (each != nullptr) watches_[left++] = each;
        watches_.shrink(left);
        try {
            polled_.clear();
            for (const fd_watch* each : watches_) // a negative descriptor is passed over
                polled_.push_back({each->wanted != 0 ? each->fd : -1, events(*each), 0});
        } catch (const std::bad_alloc&) {
            return; // asked again in the next iteration
        }
        const timespec limit = to_timespec(timeout);
        const int count = ::ppoll(polled_.data(), polled_.size(), timeout < 0 ? nullptr : &limit, nullptr);
        if (count <= 0) return;
        for (std::size_t i = 0; i < polled_.size(); ++i) {
            const auto got = static_cast<unsigned>(polled_[i].revents);
            if (got == 0 || watches_[i] == nullptr) continue;
            unsigned char ready = 0;
            if (got & (POLLIN | POLLHUP | POLLERR | POLLNVAL)) ready |= fd_watch::readable;
            if (got & (POLLOUT | POLLHUP | POLLERR | POLLNVAL)) ready |= fd_watch::writable;
            fd_watch& watch = *watches_[i];
            if (watch.edge) {
                if (got & (POLLPRI | POLLHUP | POLLERR | read_hang_up)) ready |= fd_watch::readable | fd_watch::uneven;
                watch.wanted = static_cast<unsigned char>(watch.wanted & ~ready);
            }
            watch.ready(watch, ready);
        }
    }

private:
#if defined(POLLRDHUP)
    static constexpr unsigned read_hang_up = POLLRDHUP;
#else
    static constexpr unsigned read_hang_up = 0;
#endif
    static short events(const fd_watch& watch) noexcept {
        unsigned wanted = 0;
        if (watch.wanted & fd_watch::readable)
            wanted |= watch.edge ? POLLIN | POLLPRI | read_hang_up : unsigned(POLLIN);
        if (watch.wanted & fd_watch::writable) wanted |= POLLOUT;
        return static_cast<short>(wanted);
    }
    trivial_vector<fd_watch*> watches_; // null: removed since the last wait
    trivial_vector<pollfd> polled_;
};

#if defined(__linux__)
/// epoll(7), with nanosecond time-outs where the kernel has epoll_pwait2 (5.11).
class epoll_poller final : public poller {
public:
    epoll_poller() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
        if (epoll_ < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
    }
    epoll_poller(const epoll_poller&) = delete;
    epoll_poller& operator=(const epoll_poller&) = delete;
    ~epoll_poller() override { ::close(epoll_); }

    void update(fd_watch& watch, unsigned char before) override {
        const auto place = static_cast<std::size_t>(watch.fd);
        if (place >= watches_.size()) watches_.resize(place + 1);
        epoll_event event{};
        if (watch.edge) {
            event.events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;
        } else {
            event.events = ((watch.wanted & fd_watch::readable) ? std::uint32_t(EPOLLIN) : 0) |
                           ((watch.wanted & fd_watch::writable) ? std::uint32_t(EPOLLOUT) : 0);
        }
        event.data.fd = watch.fd;
        if (watch.wanted == 0) {
            watches_[place] = nullptr;
            ::epoll_ctl(epoll_, EPOLL_CTL_DEL, watch.fd, &event); // a closed descriptor has left by itself
            return;
        }
        const int operation = before == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
        // Not known to be there: a descriptor that was closed and opened again under its old number.
        if (::epoll_ctl(epoll_, operation, watch.fd, &event) != 0 &&
            (operation == EPOLL_CTL_ADD || errno != ENOENT ||
             ::epoll_ctl(epoll_, EPOLL_CTL_ADD, watch.fd, &event) != 0))
            fail("watch", watch.fd);
        watches_[place] = &watch;
    }

    void wait(nanoseconds_count timeout) noexcept override {
        const int count = wait_for_events(timeout);
        for (int i = 0; i < count; ++i) {
            const epoll_event& event = events_[i];
            fd_watch* watch = watches_[static_cast<std::size_t>(event.data.fd)];
            // Removed by the call of an earlier one; or closed first, while a copy of the descriptor lives on.
            if (watch == nullptr) continue;
            unsigned char ready = 0;
            if (event.events & (EPOLLIN | EPOLLPRI | EPOLLHUP | EPOLLERR | EPOLLRDHUP)) ready |= fd_watch::readable;
            if (event.events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) ready |= fd_watch::writable;
            if (watch->edge && (event.events & (EPOLLPRI | EPOLLHUP | EPOLLERR | EPOLLRDHUP)))
                ready |= fd_watch::uneven;
            watch->ready(*watch, ready);
        }
    }

private:
    int wait_for_events(nanoseconds_count timeout) noexcept {
        if (timeout <= 0) return ::epoll_wait(epoll_, events_, most, timeout < 0 ? -1 : 0);
        if (precise_) {
            const timespec limit = to_timespec(timeout);
            const int count = ::epoll_pwait2(epoll_, events_, most, &limit, nullptr);
            if (count >= 0 || errno != ENOSYS) return count;
            precise_ = false;
        }
        constexpr nanoseconds_count most_milliseconds = 86'400'000;
        const nanoseconds_count milliseconds = timeout / 1'000'000 + (timeout % 1'000'000 != 0 ? 1 : 0);
        return ::epoll_wait(epoll_, events_, most,
                            static_cast<int>(milliseconds < most_milliseconds ? milliseconds : most_milliseconds));
    }

    static constexpr int most = 256; // events taken in one wait
    int epoll_;
    bool precise_ = true;
    trivial_vector<fd_watch*> watches_; // by descriptor: what the kernel reports may be gone
    epoll_event events_[most];
};
#endif

/// @throws std::system_error, std::invalid_argument for one that the system does not have.
inline owner<poller> make_poller(poller_kind kind) {
#if defined(__linux__)
    if (kind != poller_kind::poll) return owner<poller>(new epoll_poller);
#else
    if (kind == poller_kind::epoll) throw std::invalid_argument("poller_kind::epoll: this system has no epoll");
#endif
    return owner<poller>(new poll_poller);
}

} // namespace detail

} // namespace asynchio
