// SPDX-License-Identifier: BSL-1.0
#pragma once

// A handle whose end is watched for; gather, race, shield, wait and as_completed are built on it.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/task/handle_base.hpp>

#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Calls `owner.ended(*this)` once, in the step in which the handle is done, or at once if it is done already.
template<class H, class Owner>
class watched_handle : private watcher {
public:
    explicit watched_handle(H h) noexcept : watcher(&fire), handle(std::move(h)) {}
    watched_handle(watched_handle&& other) noexcept : watched_handle(std::move(other.handle)) {} // before watch()
    watched_handle& operator=(watched_handle&&) = delete;
    ~watched_handle() { stop_watching(); }

    void watch(Owner& who) noexcept {
        owner = &who;
        if (access::state(handle)->done())
            who.ended(*this);
        else
            access::state(handle)->watch(*this);
    }
    void stop_watching() noexcept {
        if (watching()) access::state(handle)->unwatch(*this);
    }

    H handle;
    Owner* owner = nullptr;

private:
    static void fire(watcher& self, shared_state&) noexcept {
        auto& each = static_cast<watched_handle&>(self);
        each.owner->ended(each);
    }
};

} // namespace asynchio::detail

#pragma GCC visibility pop
