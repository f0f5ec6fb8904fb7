// SPDX-License-Identifier: BSL-1.0
#pragma once

// A descriptor that tasks can wait for.

#include <asynchio/io/detail/descriptor.hpp>
#include <asynchio/io/detail/readiness.hpp>
#include <asynchio/loop/event_loop.hpp>

#include <stdexcept>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// A `Base`, which is a readiness, over a descriptor. The descriptor is registered with its loop once, when a call
/// would block for the first time.
template<class Base>
class watched_descriptor : public Base, protected edge_watch {
public:
    explicit watched_descriptor(descriptor d) noexcept : descriptor_(std::move(d)) {
        fd = descriptor_.get();
        ready = [](fd_watch& self, unsigned char what) noexcept {
            static_cast<watched_descriptor&>(static_cast<edge_watch&>(self)).notify(what);
        };
    }
    ~watched_descriptor() override { forget(); }

    /// Returns the descriptor; -1 once it is closed.
    int handle() const noexcept { return descriptor_.get(); }

protected:
    void arm(direction d) final {
        scheduler* running = this_thread.running;
        if (!attached()) {
            static_cast<loop_core&>(*running).outside().attach(*this);
            loop_ = running;
            wanted = 0;
        } else if (loop_ != running) {
            throw std::logic_error("stream or socket: it belongs to another event loop");
        }
        wanted |= d == direction::read ? readable : writable;
    }
    void close_descriptor() noexcept {
        forget();
        descriptor_ = detail::descriptor();
        fd = -1;
    }
    /// Gives the descriptor up without closing it. @return the descriptor.
    int release_descriptor() noexcept {
        forget();
        fd = -1;
        return descriptor_.release();
    }

private:
    void forget() noexcept {
        if (attached()) static_cast<loop_core&>(*loop_).outside().descriptors.detach(*this);
    }

    detail::descriptor descriptor_;
    scheduler* loop_ = nullptr;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
