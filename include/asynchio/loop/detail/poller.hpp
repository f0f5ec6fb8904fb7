// SPDX-License-Identifier: BSL-1.0
#pragma once

// The pollers with which a loop waits for file descriptors: epoll, or the portable poll(2). They have one interface;
// the loop chooses one when it is made.

#include <asynchio/core/detail/failures.hpp>
#include <asynchio/core/detail/owner.hpp>
#include <asynchio/core/detail/trivial_vector.hpp>
#include <asynchio/loop/clock.hpp>
#include <asynchio/loop/poller_kind.hpp>

#include <cerrno>
#include <cstdint>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#if defined(__linux__)
#include <fcntl.h>
#include <sys/epoll.h>
#endif

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// The events that are waited for on one descriptor. Level-triggered: a wanted event is reported in every wait while it
/// lasts. Edge-triggered: it is reported when it begins; `wanted` may then be changed at any time without telling the
/// poller, and an unwanted event may go unreported.
struct fd_watch {
    static constexpr unsigned char readable = 1;
    static constexpr unsigned char writable = 2;
    /// An event for an edge-triggered watch: from now on a short read does not mean that nothing is left. There may be
    /// the end, an error, or data behind urgent data of TCP.
    static constexpr unsigned char uneven = 4;

    int fd = -1;
    unsigned char wanted = 0;
    bool edge = false;
    /// The loop calls it with the directions that are ready; errors and hang-ups count as both.
    void (*ready)(fd_watch&, unsigned char) noexcept = nullptr;
};

/// The base of pollers, with one watch for each descriptor. A descriptor that is closed leaves by itself: its watch is
/// told nothing any more, also if another descriptor gets its number, and removing it does not touch the other.
///
/// Cost: one system call for each change and each wait.
class poller {
public:
    poller() = default;
    poller(const poller&) = delete;
    poller& operator=(const poller&) = delete;
    virtual ~poller() = default;

    /// Takes over `watch.wanted` (0 removes it, which does not throw). @throws std::system_error with the descriptor in
    /// its text: EEXIST if it is watched already, EPERM for one that never blocks, such as a file's.
    virtual void update(fd_watch& watch, unsigned char before) = 0;
    /// Whether the descriptor for which `watch` was added was closed since.
    virtual bool stale(const fd_watch& watch) noexcept = 0;
    /// Waits up to `timeout` nanoseconds (0: not at all; negative: without limit) and calls `ready` of the ready
    /// watches.
    virtual void wait(nanoseconds_count timeout) noexcept = 0;
    /// Makes the kernel's set anew, of what is watched; leaves the old one as it is. @return false if there is no
    /// descriptor for that.
    virtual bool renew() noexcept { return true; }
    /// Returns a descriptor that is readable while a wanted event lasts; -1 if the poller has none.
    virtual int descriptor() const noexcept { return -1; }

protected:
    [[noreturn]] static void fail(int error, int fd) { system_refuses(error, "watch descriptor %d", fd); }
    static timespec to_timespec(nanoseconds_count t) noexcept {
        // A day is enough for any system call; the loop asks again.
        constexpr nanoseconds_count day = nanoseconds_count(86'400) * 1'000'000'000;
        if (t > day) t = day;
        return {static_cast<time_t>(t / 1'000'000'000), static_cast<long>(t % 1'000'000'000)};
    }
};

/// The file that a descriptor stands for, as far as fstat(2) tells.
class open_file {
public:
    open_file() noexcept = default;
    static open_file of(int fd) noexcept {
        open_file found;
        found.exists_ = ::fstat(fd, &found.file_) == 0;
        return found;
    }

    bool exists() const noexcept { return exists_; }
    /// Whether the file is always ready, as a regular file, a folder, a disk, and Linux's /dev/null are.
    bool never_blocks(int fd) const noexcept {
#if defined(__linux__)
        if (S_ISREG(file_.st_mode) || S_ISCHR(file_.st_mode)) { // some of these can be waited for, which epoll knows
            const int judge = ::epoll_create1(EPOLL_CLOEXEC);
            if (judge >= 0) {
                epoll_event none{};
                const bool refused = ::epoll_ctl(judge, EPOLL_CTL_ADD, fd, &none) != 0 && errno == EPERM;
                ::close(judge);
                return refused;
            }
        }
#else
        static_cast<void>(fd);
#endif
        return S_ISREG(file_.st_mode) || S_ISDIR(file_.st_mode) || S_ISBLK(file_.st_mode);
    }
    /// Whether two are the same file. Files that have no name in any file system, such as eventfds, all look alike:
    /// they count as different.
    bool same_as(const open_file& other) const noexcept {
        return exists_ && other.exists_ && (file_.st_mode & S_IFMT) != 0 && file_.st_dev == other.file_.st_dev &&
               file_.st_ino == other.file_.st_ino;
    }
    bool is_anonymous() const noexcept { return exists_ && (file_.st_mode & S_IFMT) == 0; }

private:
    struct stat file_{};
    bool exists_ = false;
};

/// The poller on poll(2): every wait passes all descriptors to the kernel.
class poll_poller final : public poller {
public:
    void update(fd_watch& watch, unsigned char before) override {
        if (before != 0) {
            if (watch.wanted == 0 && knows(watch)) slot_of(watch) = {nullptr, ++serial_, {}};
            return;
        }
        const open_file file = open_file::of(watch.fd);
        if (!file.exists()) fail(errno, watch.fd);
        if (file.never_blocks(watch.fd)) fail(EPERM, watch.fd);
        const auto place = static_cast<std::size_t>(watch.fd);
        if (place >= slots_.size()) slots_.resize(place + 1);
        if (slots_[place].watch != nullptr && file.same_as(slots_[place].file)) fail(EEXIST, watch.fd);
        slots_[place] = {&watch, ++serial_, file};
    }

    bool stale(const fd_watch& watch) noexcept override {
        if (!knows(watch)) return true;
        const open_file now = open_file::of(watch.fd);
        const open_file& added = slot_of(watch).file;
        return !now.same_as(added) && !(now.is_anonymous() && added.is_anonymous());
    }

    void wait(nanoseconds_count timeout) noexcept override {
        const std::uint64_t begin = serial_;
        try {
            polled_.clear();
            for (const slot& each : slots_)
                if (each.watch != nullptr && each.watch->wanted != 0)
                    polled_.push_back({each.watch->fd, events(*each.watch), 0});
        } catch (const std::bad_alloc&) {
            return; // the next iteration asks again
        }
        const timespec limit = to_timespec(timeout);
        const int count = ::ppoll(polled_.data(), polled_.size(), timeout < 0 ? nullptr : &limit, nullptr);
        if (count <= 0) return;
        for (const pollfd& each : polled_) {
            if (each.revents == 0) continue;
            slot& place = slots_[static_cast<std::size_t>(each.fd)];
            if (place.watch == nullptr || place.since > begin) continue; // the call of an earlier watch has changed it
            report(place, static_cast<unsigned>(each.revents));
        }
    }

private:
    struct slot {
        fd_watch* watch;
        std::uint64_t since; // the serial number of the last change
        open_file file;
    };

    bool knows(const fd_watch& watch) const noexcept {
        const auto place = static_cast<std::size_t>(watch.fd);
        return place < slots_.size() && slots_[place].watch == &watch;
    }
    slot& slot_of(const fd_watch& watch) noexcept { return slots_[static_cast<std::size_t>(watch.fd)]; }

    void report(slot& place, unsigned got) noexcept {
        fd_watch& watch = *place.watch;
        if ((got & POLLNVAL) || (!watch.edge && stale(watch))) { // closed, and perhaps another descriptor by now
            place = {nullptr, ++serial_, {}};
            return;
        }
        unsigned char ready = 0;
        if (got & (POLLIN | POLLHUP | POLLERR)) ready |= fd_watch::readable;
        if (got & (POLLOUT | POLLHUP | POLLERR)) ready |= fd_watch::writable;
        if (watch.edge) {
            if (got & (POLLPRI | POLLHUP | POLLERR | read_hang_up)) ready |= fd_watch::readable | fd_watch::uneven;
            watch.wanted = static_cast<unsigned char>(watch.wanted & ~ready);
        }
        watch.ready(watch, ready);
    }

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

    trivial_vector<slot> slots_; // by descriptor
    trivial_vector<pollfd> polled_;
    std::uint64_t serial_ = 0;
};

#if defined(__linux__)
/// The poller on epoll(7), with time-outs in nanoseconds if the kernel has epoll_pwait2 (5.11).
class epoll_poller final : public poller {
public:
    epoll_poller() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
        if (epoll_ < 0) system_refuses(errno, "epoll_create1");
    }
    epoll_poller(const epoll_poller&) = delete;
    epoll_poller& operator=(const epoll_poller&) = delete;
    ~epoll_poller() override { ::close(epoll_); }

    void update(fd_watch& watch, unsigned char before) override {
        const auto place = static_cast<std::size_t>(watch.fd);
        if (before != 0 && !knows(watch)) return; // another descriptor has its number by now
        if (place >= slots_.size()) slots_.resize(place + 1);
        if (watch.wanted == 0) {
            slots_[place] = {nullptr, next_tag(nobody)};
            epoll_event none{};
            ::epoll_ctl(epoll_, EPOLL_CTL_DEL, watch.fd, &none); // the kernel has removed a closed descriptor itself
            return;
        }
        const slot now = {&watch, before == 0 ? next_tag(static_cast<std::uint32_t>(watch.fd)) : slots_[place].tag};
        if (!control(before == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, now)) fail(errno, watch.fd);
        slots_[place] = now;
    }

    bool stale(const fd_watch& watch) noexcept override {
        return !knows(watch) || !control(EPOLL_CTL_MOD, slots_[static_cast<std::size_t>(watch.fd)]);
    }

    void wait(nanoseconds_count timeout) noexcept override {
        const std::uint32_t begin = serial_;
        bool haunted = false;
        const int count = wait_for_events(timeout);
        for (int i = 0; i < count; ++i) {
            const epoll_event& event = events_[i];
            const slot& place = slots_[static_cast<std::uint32_t>(event.data.u64)];
            if (place.tag != event.data.u64) [[unlikely]] { // changed by the call of an earlier one, or long ago
                const auto changes = static_cast<std::uint32_t>(place.tag >> 32) - begin;
                haunted = haunted || changes == 0 || changes > serial_ - begin;
                continue;
            }
            fd_watch* const watch = place.watch;
            unsigned char ready = 0;
            if (event.events & (EPOLLIN | EPOLLPRI | EPOLLHUP | EPOLLERR | EPOLLRDHUP)) ready |= fd_watch::readable;
            if (event.events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) ready |= fd_watch::writable;
            if (watch->edge && (event.events & (EPOLLPRI | EPOLLHUP | EPOLLERR | EPOLLRDHUP)))
                ready |= fd_watch::uneven;
            watch->ready(*watch, ready);
        }
        if (haunted) renew();
    }

    /// Makes the kernel's set anew, of what is watched. There is no other way to remove a descriptor that was closed
    /// before it was removed, and of which a copy lives on.
    bool renew() noexcept override {
        const int fresh = ::epoll_create1(EPOLL_CLOEXEC);
        if (fresh < 0) return false; // tried again when the descriptor is reported again
        ::dup3(fresh, epoll_, O_CLOEXEC);
        ::close(fresh);
        for (const slot& each : slots_)
            if (each.watch != nullptr) control(EPOLL_CTL_ADD, each);
        return true;
    }

    int descriptor() const noexcept override { return epoll_; }

private:
    struct slot {
        fd_watch* watch;
        std::uint64_t tag; // the serial number of the last change, and the descriptor, whose number may be used again
    };
    static constexpr std::uint32_t nobody = 0xffff'ffff;
    std::uint64_t next_tag(std::uint32_t fd) noexcept { return std::uint64_t(++serial_) << 32 | fd; }

    bool knows(const fd_watch& watch) const noexcept {
        const auto place = static_cast<std::size_t>(watch.fd);
        return place < slots_.size() && slots_[place].watch == &watch;
    }
    bool control(int operation, const slot& place) const noexcept {
        const fd_watch& watch = *place.watch;
        epoll_event event{};
        event.data.u64 = place.tag;
        if (watch.edge)
            event.events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;
        else
            event.events = ((watch.wanted & fd_watch::readable) ? std::uint32_t(EPOLLIN) : 0) |
                           ((watch.wanted & fd_watch::writable) ? std::uint32_t(EPOLLOUT) : 0);
        return ::epoll_ctl(epoll_, operation, watch.fd, &event) == 0;
    }
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

    static constexpr int most = 256; // the maximum of events in one wait
    int epoll_;
    bool precise_ = true;
    trivial_vector<slot> slots_; // by descriptor: the kernel may report one that is gone
    std::uint32_t serial_ = 0;
    epoll_event events_[most];
};
#endif

/// Makes a poller. @throws std::system_error; std::invalid_argument for a kind that the system does not have.
inline owner<poller> make_poller(poller_kind kind) {
#if defined(__linux__)
    if (kind != poller_kind::poll) return owner<poller>(new epoll_poller);
#else
    if (kind == poller_kind::epoll) throw std::invalid_argument("poller_kind::epoll: this system has no epoll");
#endif
    return owner<poller>(new poll_poller);
}

} // namespace asynchio::detail

#pragma GCC visibility pop
