// SPDX-License-Identifier: BSL-1.0
#pragma once

// Calls that a loop makes repeatedly: when a signal arrives, or while a descriptor is ready.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/core/detail/owner_vector.hpp>
#include <asynchio/core/kept.hpp>
#include <asynchio/loop/context.hpp>
#include <asynchio/loop/detail/fork_count.hpp>
#include <asynchio/loop/detail/intrusive_list.hpp>
#include <asynchio/loop/detail/mailbox.hpp>
#include <asynchio/loop/detail/poller.hpp>
#include <asynchio/loop/detail/scheduler.hpp>
#include <asynchio/loop/detail/signals.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <fcntl.h>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// A callable that is put into the ready queue each time, but not twice at once. If it is removed while it is queued,
/// it is dropped when its turn comes.
class repeated_call : public ready_item {
public:
    repeated_call(const repeated_call&) = delete;
    repeated_call& operator=(const repeated_call&) = delete;

    template<class F>
    static repeated_call* make(scheduler& loop, F&& f);

    void schedule() noexcept {
        if (detail::exchange(queued_, true)) return;
        loop_.schedule(*this);
    }
    [[gnu::cold]] void remove() noexcept {
        removed_ = true;
        if (!queued_) delete this;
    }

    struct remover {
        static void dispose(repeated_call* call) noexcept { call->remove(); }
    };

protected:
    explicit repeated_call(scheduler& loop) noexcept : ready_item(&run), loop_(loop), context_(inherited_context()) {}
    virtual ~repeated_call() = default;
    virtual void call() = 0;

private:
    static void run(ready_item& item) noexcept {
        auto& self = static_cast<repeated_call&>(item);
        if (!self.removed_ && !self.loop_.closing()) {
            const context_scope inside(&self.context_);
            try {
                self.call();
            } catch (...) {
                self.loop_.callback_failed();
            }
            self.loop_.after_call();
        }
        self.queued_ = false;
        if (self.removed_) delete &self;
    }

    scheduler& loop_;
    context_slot context_; // the context of the registering code
    bool queued_ = false;
    bool removed_ = false;
};

using repeated_call_ptr = owner<repeated_call, repeated_call::remover>;

template<class F>
repeated_call* repeated_call::make(scheduler& loop, F&& f) {
    struct bound final : repeated_call {
        bound(scheduler& owner, F&& callable) : repeated_call(owner), f(pass_on<F>(callable)) {}
        void call() override { f(); }
        copied_t<F> f;
    };
    return new bound(loop, std::forward<F>(f));
}

/// A listener for a signal, beside the loop's handler and other listeners. It must not be moved while it listens.
struct signal_listener : list_link {
    signal_listener(int n, repeated_call_ptr c) noexcept : list_link{nullptr, nullptr}, number(n), call(std::move(c)) {}
    int number;
    repeated_call_ptr call;
};

/// The signals that one loop handles: each has one handler, which the next one replaces, and any number of listeners. A
/// handler for one arrival is a last resort: it is not called while there is a listener.
class signal_watches {
public:
    /// Sets the handler. @return a number for remove(), so that it removes no later one. @throws as
    /// signal_table::install.
    [[gnu::cold]] std::uint64_t set(int number, repeated_call_ptr call, const mailbox& box, bool once) {
        using mode = signal_table::mode;
        const bool is_last_resort = once && number > 0 && number < signal_table::end && !is_heard(number);
        signal_table::install(number, box, is_last_resort ? mode::first : mode::every);
        mailbox_ = box.write_descriptor();
        if (!has(number)) ++handled_;
        place& its = places_[number];
        count_again(its);
        its.call = std::move(call);
        its.since = ++set_;
        its.once = once;
        its.used = false;
        return set_;
    }

    /// @param only the number that set() returned; 0 stands for any. @return whether there was a handler.
    [[gnu::cold]] bool remove(int number, std::uint64_t only = 0) noexcept {
        if (!has(number) || (only != 0 && places_[number].since != only)) return false;
        --handled_;
        count_again(places_[number]);
        places_[number].call.reset();
        if (!is_heard(number)) signal_table::remove(number, mailbox_);
        return true;
    }

    bool has(int number) const noexcept { return number > 0 && number < signal_table::end && places_[number].call; }

    /// @throws as signal_table::install.
    [[gnu::cold]] void listen(signal_listener& who, const mailbox& box) {
        signal_table::install(who.number, box, signal_table::mode::every);
        mailbox_ = box.write_descriptor();
        listeners_.push_back(who);
        ++places_[who.number].listeners;
        ++handled_;
    }
    [[gnu::cold]] void leave(signal_listener& who) noexcept {
        if (who.next == nullptr) return; // the loop was closed
        listeners_.remove(who);
        --places_[who.number].listeners;
        --handled_;
        if (is_heard(who.number)) return;
        if (!has(who.number))
            signal_table::remove(who.number, mailbox_);
        else if (const place& left = places_[who.number]; left.once)
            signal_table::change(who.number, mailbox_,
                                 left.used ? signal_table::mode::none : signal_table::mode::first);
    }

    [[gnu::cold]] void take() noexcept {
        for (int number = 1; number < signal_table::end; ++number)
            if ((has(number) || is_heard(number)) && signal_table::take(number, mailbox_)) arrived(number);
    }

    bool empty() const noexcept { return handled_ == 0; }
    /// Has the handler of a signal not count as one that can bring work to tasks.
    [[gnu::cold]] void discount(int number) noexcept {
        if (has(number) && !detail::exchange(places_[number].silent, true)) ++silent_;
    }
    /// Whether a signal can bring work to tasks.
    bool bring_work() const noexcept { return handled_ != silent_; }
    [[gnu::cold]] void clear() noexcept {
        while (signal_listener* each = listeners_.front()) {
            leave(*each);
            each->call.reset();
        }
        for (int number = 1; number < signal_table::end; ++number) remove(number);
    }

private:
    struct place {
        repeated_call_ptr call;  // the handler
        std::uint64_t since = 0; // of that
        std::uint32_t listeners = 0;
        bool once = false;
        bool used = false;
        bool silent = false; // see discount
    };
    void count_again(place& its) noexcept {
        if (detail::exchange(its.silent, false)) --silent_;
    }

    bool is_heard(int number) const noexcept { return places_[number].listeners != 0; }
    [[gnu::cold]] void arrived(int number) noexcept {
        for (signal_listener* each = listeners_.front(); each != nullptr; each = listeners_.after(*each))
            if (each->number == number) each->call->schedule();
        if (!has(number) || (places_[number].once && is_heard(number))) return;
        places_[number].used = true;
        places_[number].call->schedule();
    }

    place places_[signal_table::end];    // by number
    int mailbox_ = signal_table::nobody; // the descriptor of the loop's mailbox
    intrusive_list<signal_listener> listeners_;
    std::size_t handled_ = 0;
    std::size_t silent_ = 0; // those of them that bring no work
    std::uint64_t set_ = 0;  // how many handlers were ever set
};

/// A descriptor that is watched for its owner alone, level-triggered.
struct attached_watch : fd_watch, list_link {
    attached_watch() noexcept : list_link{nullptr, nullptr} {}
    /// Whether it is attached; false again when the loop was closed.
    bool attached() const noexcept { return next != nullptr; }
};
/// A descriptor that is registered once, edge-triggered, with both directions.
struct edge_watch : attached_watch {
    edge_watch() noexcept { edge = true; }
};

/// The descriptors that one loop watches: each has a reader and a writer, or an attached_watch.
class descriptor_watches {
public:
    bool active() const noexcept { return poller_ != nullptr; }
    std::size_t size() const noexcept { return watched_ + attached_; }

    /// Attaches a watch, which wants both directions unless it is told otherwise.
    /// @throws std::system_error for a descriptor that cannot be watched, or that is watched already.
    void attach(attached_watch& each, poller_kind kind, mailbox& box,
                unsigned char wanted = fd_watch::readable | fd_watch::writable) {
        open_poller(kind, box);
        each.wanted = wanted;
        poller_->update(each, 0);
        attached_watches_.push_back(each);
        ++attached_;
    }
    /// Changes what a level-triggered watch wants. Allocates nothing.
    /// @throws std::system_error if its descriptor was closed, or is watched by another one meanwhile.
    void change(attached_watch& each, unsigned char wanted) {
        const bool here = notice_fork();
        const unsigned char before = detail::exchange(each.wanted, wanted);
        if (before == wanted) return;
        try {
            if (!here) system_refuses(errno, "epoll_create1 in a child process");
            if (before != 0 && wanted != 0 && poller_->stale(each))
                system_refuses(EBADF, "watch descriptor %d", each.fd);
            poller_->update(each, before);
        } catch (...) {
            each.wanted = before;
            throw;
        }
    }
    /// Detaches a watch, before its descriptor is closed. Does nothing if it is not attached.
    void detach(attached_watch& each) noexcept {
        if (!each.attached()) return;
        const bool here = notice_fork();
        forget(each);
        each.wanted = 0;
        if (here) poller_->update(each, fd_watch::readable | fd_watch::writable); // removing does not throw
    }

    /// Reports everything that is attached as ready, as a system may do at any time, and a test does.
    void notify_all() noexcept {
        for (std::size_t left = attached_; left > 0 && !attached_watches_.empty(); --left) {
            attached_watch& each = *attached_watches_.pop_front();
            attached_watches_.push_back(each); // its call may detach it, and attach others
            each.ready(each, fd_watch::readable | fd_watch::writable);
        }
    }

    /// Sets a reader or writer. @return a number for remove(), so that it removes no later one.
    /// @throws std::system_error for a descriptor that cannot be watched, std::invalid_argument for a negative number.
    std::uint64_t set(int fd, unsigned char direction, repeated_call_ptr call, poller_kind kind, mailbox& box) {
        if (fd < 0) throw std::invalid_argument(formatted("add_reader or add_writer: invalid descriptor %d", fd));
        open_poller(kind, box);
        watch& place = open(fd);
        if (place.wanted != 0 && poller_->stale(place)) { // a closed descriptor had this number
            poller_->update(place, detail::exchange(place.wanted, static_cast<unsigned char>(0)));
            for (const unsigned char each : {fd_watch::readable, fd_watch::writable}) place.of(each) = {};
        }
        const unsigned char before = place.wanted;
        place.wanted = static_cast<unsigned char>(before | direction);
        try {
            if (before != place.wanted) poller_->update(place, before);
        } catch (...) {
            place.wanted = before;
            if (before == 0) close(fd);
            throw;
        }
        place.of(direction) = {std::move(call), ++calls_};
        return calls_;
    }

    /// Whether there is a reader or writer; that of a closed descriptor with this number does not count.
    bool has(int fd, unsigned char direction) const noexcept {
        const watch* found = find(fd);
        return found != nullptr && (found->wanted & direction) != 0 && !poller_->stale(*found);
    }
    /// @param only the number that set() returned; 0 stands for any. @return whether there was a reader or writer.
    bool remove(int fd, unsigned char direction, std::uint64_t only = 0) noexcept {
        watch* const found = find(fd);
        if (found == nullptr || !(found->wanted & direction)) return false;
        watch& each = *found;
        if (only != 0 && each.of(direction).number != only) return false;
        const bool here = notice_fork();
        const unsigned char before = each.wanted;
        each.wanted = static_cast<unsigned char>(before & ~direction);
        each.of(direction) = {};
        try {
            if (here) poller_->update(each, before);
        } catch (const std::system_error&) { // closed before: the kernel has removed all of it
        }
        if (each.wanted == 0) close(fd);
        return true;
    }

    /// Returns the poller's own descriptor; -1 if it has none.
    /// @throws std::system_error when the system has no descriptors left.
    [[gnu::cold]] int descriptor(poller_kind kind, mailbox& box) {
        open_poller(kind, box);
        return poller_->descriptor();
    }
    /// Puts the calls of ready descriptors into the ready queue.
    void wait(nanoseconds_count timeout) noexcept {
        ++polls;
        if (notice_fork()) poller_->wait(timeout);
    }
    /// How many times the system was asked for ready descriptors.
    std::uint64_t polls = 0;

    [[gnu::cold]] void clear() noexcept {
        watches_.clear();
        watched_ = 0;
        while (attached_watch* each = attached_watches_.front()) forget(*each);
        poller_.reset();
    }

private:
    void forget(attached_watch& each) noexcept {
        attached_watches_.remove(each);
        --attached_;
    }

    struct watch : fd_watch {
        explicit watch(int descriptor) noexcept {
            fd = descriptor;
            ready = [](fd_watch& self, unsigned char what) noexcept {
                auto& each = static_cast<watch&>(self);
                if ((what & readable) && each.reader.call) each.reader.call->schedule();
                if ((what & writable) && each.writer.call) each.writer.call->schedule();
            };
        }
        struct registered {
            repeated_call_ptr call;
            std::uint64_t number = 0;
        };
        registered& of(unsigned char direction) noexcept { return direction == readable ? reader : writer; }
        registered reader;
        registered writer;
    };

    watch* find(int fd) const noexcept {
        const auto index = static_cast<std::size_t>(fd);
        return fd >= 0 && index < watches_.size() ? watches_[index] : nullptr;
    }
    watch& open(int fd) {
        if (watch* known = find(fd)) return *known;
        const auto index = static_cast<std::size_t>(fd);
        if (index >= watches_.size()) {
            if (::fcntl(fd, F_GETFD) < 0) // avoids memory for all numbers up to it
                system_refuses(errno, "watch descriptor %d", fd);
            watches_.extend(index + 1);
        }
        watches_.set(index, make_owner<watch>(fd));
        ++watched_;
        return *watches_[index];
    }
    void close(int fd) noexcept {
        watches_.set(static_cast<std::size_t>(fd), {});
        --watched_;
    }

    [[gnu::cold]] void open_poller(poller_kind kind, mailbox& box) {
        if (poller_ == nullptr) start(kind, box);
        if (!notice_fork()) system_refuses(errno, "epoll_create1 in a child process");
    }

    /// Registers everything, in a child process, with a new set of the kernel, since the old one is the parent's as
    /// well.
    /// @return false if the kernel has none left; the parent's is not touched.
    bool notice_fork() noexcept {
        if (process_.is_here()) [[likely]]
            return true;
        wake_.box->notice_fork();
        if (!poller_->renew()) return false;
        process_.renew();
        return true;
    }

    [[gnu::cold]] void start(poller_kind kind, mailbox& box) {
        owner<poller> made = make_poller(kind);
        process_.renew();
        wake_.box = &box;
        wake_.fd = box.descriptor();
        wake_.wanted = fd_watch::readable;
        wake_.ready = [](fd_watch& self, unsigned char) noexcept { static_cast<wake_watch&>(self).box->drain(); };
        made->update(wake_, 0);
        poller_ = std::move(made);
    }

    /// The watch of the mailbox, which is emptied after every wait.
    struct wake_watch : fd_watch {
        mailbox* box = nullptr;
    };

    wake_watch wake_;
    owner<poller> poller_;
    process_mark process_;
    owner_vector<watch> watches_; // by descriptor, which is the lowest free number
    std::size_t watched_ = 0;
    std::uint64_t calls_ = 0; // how many calls were ever set
    intrusive_list<attached_watch> attached_watches_;
    std::size_t attached_ = 0;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
