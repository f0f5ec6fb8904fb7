// SPDX-License-Identifier: BSL-1.0
#pragma once

// Handles that are watched for their end alone: by wait and as_completed.

#include <asynchio/loop/clock.hpp>
#include <asynchio/task/handle_base.hpp>

#include <iterator>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace asynchio::detail {

/// Tells `owner.ended(*this)` once, in the step in which the handle is done.
template<class H, class Owner>
struct observed : watcher {
    explicit observed(H h) : watcher(&fire), handle(std::move(h)) {}
    observed(observed&& other) noexcept : watcher(&fire), handle(std::move(other.handle)) {}
    observed& operator=(observed&&) = delete;
    ~observed() { stop(); }

    void start(Owner& who) noexcept {
        owner = &who;
        if (handle.done())
            who.ended(*this);
        else
            handle.completion()->watch(*this);
    }
    void stop() noexcept {
        if (watching()) handle.completion()->unwatch(*this);
    }

    H handle;
    Owner* owner = nullptr;
    observed* next_done = nullptr; // for the owner

private:
    static void fire(watcher& self, completion&) noexcept {
        auto& each = static_cast<observed&>(self);
        each.owner->ended(each);
    }
};

/// Each handle once, in order. @throws std::logic_error for an empty one.
template<class Owner, class H>
std::vector<observed<H, Owner>> observe(std::vector<H> handles, const char* who) {
    std::vector<observed<H, Owner>> list;
    list.reserve(handles.size());
    std::set<const completion*> seen;
    for (H& each : handles) {
        if (!each) throw std::logic_error(std::string(who) + ": a handle is empty");
        require_own_loop(*each.completion(), who);
        if (seen.insert(each.completion()).second) list.emplace_back(std::move(each));
    }
    return list;
}

template<class R>
concept handle_range = requires(R& r) {
    requires std::is_base_of_v<handle_base, std::remove_cvref_t<decltype(*std::begin(r))>>;
    std::end(r);
};

template<handle_range R>
auto handles_of(R&& range) {
    using H = std::remove_cvref_t<decltype(*std::begin(range))>;
    std::vector<H> handles;
    for (auto&& each : range) handles.push_back(each);
    return handles;
}

template<class D>
std::optional<nanoseconds_count> optional_timeout(const D& timeout) {
    if constexpr (std::is_same_v<D, std::nullopt_t>)
        return std::nullopt;
    else if constexpr (requires { timeout.has_value(); })
        return timeout ? std::optional<nanoseconds_count>(to_nanoseconds(*timeout)) : std::nullopt;
    else
        return to_nanoseconds(timeout);
}

} // namespace asynchio::detail
