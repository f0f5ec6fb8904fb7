// SPDX-License-Identifier: BSL-1.0
#pragma once

// Calls that a loop makes again and again: when a signal arrives, while a descriptor is ready.

#include <asynchio/core/exchange.hpp>
#include <asynchio/core/owner_vector.hpp>
#include <asynchio/loop/context.hpp>
#include <asynchio/loop/intrusive_list.hpp>
#include <asynchio/loop/poller.hpp>
#include <asynchio/loop/scheduler.hpp>
#include <asynchio/loop/signals.hpp>

#include <cerrno>
#include <cstddef>
#include <fcntl.h>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace asynchio::detail {

/// A callable that is put into the ready queue each time; not twice at once. Removed while it is queued, it is
/// dropped when its turn comes.
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
    void remove() noexcept {
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
        }
        self.queued_ = false;
        if (self.removed_) delete &self;
    }

    scheduler& loop_;
    context_slot context_; // what the registering code saw
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

/// The signals that one loop handles.
class signal_watches {
public:
    void set(int number, repeated_call_ptr call, const mailbox& box, bool once) {
        calls_.extend(signal_table::signals);
        signal_table::install(number, box, once);
        if (!has(number)) ++handled_;
        calls_.set(static_cast<std::size_t>(number), std::move(call));
    }

    bool remove(int number) noexcept {
        if (!has(number)) return false;
        signal_table::remove(number);
        --handled_;
        calls_.set(static_cast<std::size_t>(number), {});
        return true;
    }

    bool has(int number) const noexcept {
        return number > 0 && number < signal_table::signals && !calls_.empty() &&
               calls_[static_cast<std::size_t>(number)] != nullptr;
    }

    void take() noexcept {
        for (int number = 1; number < signal_table::signals; ++number)
            if (has(number) && signal_table::take(number)) calls_[static_cast<std::size_t>(number)]->schedule();
    }

    bool empty() const noexcept { return handled_ == 0; }
    void clear() noexcept {
        for (int number = 1; number < signal_table::signals; ++number) remove(number);
    }

private:
    owner_vector<repeated_call, repeated_call::remover> calls_; // by number; empty until the first
    std::size_t handled_ = 0;
};

/// A descriptor that is registered once, edge-triggered, with both directions.
struct edge_watch : fd_watch, list_link {
    edge_watch() noexcept : list_link{nullptr, nullptr} { edge = true; }
    /// False again when the loop has been closed.
    bool attached() const noexcept { return next != nullptr; }
};

/// The descriptors that one loop watches: a reader and a writer each, or an edge_watch.
class descriptor_watches {
public:
    bool active() const noexcept { return poller_ != nullptr; }
    std::size_t size() const noexcept { return watched_ + attached_; }

    /// @throws std::system_error for a descriptor that cannot be watched, or that is watched already.
    void attach(edge_watch& edge, poller_kind kind, const mailbox& box) {
        if (poller_ == nullptr) start(kind, box);
        edge.wanted = fd_watch::readable | fd_watch::writable;
        poller_->update(edge, 0);
        edges_.push_back(edge);
        ++attached_;
    }
    /// Before the descriptor is closed. Does nothing if it is not attached.
    void detach(edge_watch& edge) noexcept {
        if (!edge.attached()) return;
        forget(edge);
        edge.wanted = 0;
        poller_->update(edge, fd_watch::readable | fd_watch::writable); // removing does not throw
    }

    /// As if everything that is attached were ready: what a system may say at any time, and a test does.
    void notify_all() noexcept {
        for (std::size_t left = attached_; left > 0 && !edges_.empty(); --left) {
            edge_watch& each = *edges_.pop_front();
            edges_.push_back(each); // it may leave in its call, and others may come
            each.ready(each, fd_watch::readable | fd_watch::writable);
        }
    }

    /// @throws std::system_error for a descriptor that cannot be watched, std::invalid_argument for a negative one.
    void set(int fd, unsigned char direction, repeated_call_ptr call, poller_kind kind, const mailbox& box) {
        if (fd < 0) throw std::invalid_argument("add_reader or add_writer: invalid descriptor " + std::to_string(fd));
        if (poller_ == nullptr) start(kind, box);
        watch& place = open(fd);
        const unsigned char before = place.wanted;
        place.wanted = static_cast<unsigned char>(before | direction);
        try {
            if (before != place.wanted) poller_->update(place, before);
        } catch (...) {
            place.wanted = before;
            if (before == 0) close(fd);
            throw;
        }
        place.call(direction) = std::move(call);
    }

    bool has(int fd, unsigned char direction) const noexcept {
        const watch* found = find(fd);
        return found != nullptr && (found->wanted & direction) != 0;
    }
    /// @return whether there was one.
    bool remove(int fd, unsigned char direction) noexcept {
        watch* const found = find(fd);
        if (found == nullptr || !(found->wanted & direction)) return false;
        watch& each = *found;
        const unsigned char before = each.wanted;
        each.wanted = static_cast<unsigned char>(before & ~direction);
        each.call(direction).reset();
        try {
            poller_->update(each, before);
        } catch (const std::system_error&) { // closed before it was removed: the kernel has forgotten it
        }
        if (each.wanted == 0) close(fd);
        return true;
    }

    /// Puts the calls of ready descriptors into the ready queue.
    void wait(nanoseconds_count timeout) noexcept { poller_->wait(timeout); }

    void clear() noexcept {
        watches_.clear();
        watched_ = 0;
        while (edge_watch* each = edges_.front()) forget(*each);
        poller_.reset();
    }

private:
    void forget(edge_watch& edge) noexcept {
        edges_.remove(edge);
        --attached_;
    }

    struct watch : fd_watch {
        explicit watch(int descriptor) noexcept {
            fd = descriptor;
            ready = [](fd_watch& self, unsigned char what) noexcept {
                auto& each = static_cast<watch&>(self);
                if ((what & readable) && each.reader) each.reader->schedule();
                if ((what & writable) && each.writer) each.writer->schedule();
            };
        }
        repeated_call_ptr& call(unsigned char direction) noexcept { return direction == readable ? reader : writer; }
        repeated_call_ptr reader;
        repeated_call_ptr writer;
    };

    watch* find(int fd) const noexcept {
        const auto index = static_cast<std::size_t>(fd);
        return fd >= 0 && index < watches_.size() ? watches_[index] : nullptr;
    }
    watch& open(int fd) {
        if (watch* known = find(fd)) return *known;
        const auto index = static_cast<std::size_t>(fd);
        if (index >= watches_.size()) {
            if (::fcntl(fd, F_GETFD) < 0) // rather than memory for all numbers up to it
                throw std::system_error(errno, std::generic_category(), "watch descriptor " + std::to_string(fd));
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

    void start(poller_kind kind, const mailbox& box) {
        owner<poller> made = make_poller(kind);
        wake_.box = &box;
        wake_.fd = box.descriptor();
        wake_.wanted = fd_watch::readable;
        wake_.ready = [](fd_watch& self, unsigned char) noexcept { static_cast<wake_watch&>(self).box->drain(); };
        made->update(wake_, 0);
        poller_ = std::move(made);
    }

    /// The mailbox, which is looked into after every wait.
    struct wake_watch : fd_watch {
        const mailbox* box = nullptr;
    };

    wake_watch wake_;
    owner<poller> poller_;
    owner_vector<watch> watches_; // by descriptor, which is the least number that is free
    std::size_t watched_ = 0;
    intrusive_list<edge_watch> edges_;
    std::size_t attached_ = 0;
};

} // namespace asynchio::detail
