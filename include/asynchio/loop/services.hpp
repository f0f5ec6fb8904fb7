// SPDX-License-Identifier: BSL-1.0
#pragma once

// What upper rooms keep in a loop (the default thread pool, for instance), and how it ends with the loop: the loop
// closes what it holds without knowing what that is.

#include <memory>
#include <utility>
#include <vector>

namespace asynchio::detail {

/// Something that lives as long as its loop. The destructor may block, close() may not.
class service {
public:
    service() = default;
    service(const service&) = delete;
    service& operator=(const service&) = delete;
    virtual ~service() = default;

    /// Begins to shut down; called once, while the loop still runs.
    virtual void close() noexcept = 0;
    /// Whether the shutdown has ended. When it does, something wakes the loop.
    virtual bool closed() const noexcept = 0;
    /// Whether its shutdown runs code of the program, which may need the other services: such a one is closed first,
    /// while everything else is still there, and gets the time it takes.
    virtual bool runs_code() const noexcept { return false; }
    /// It did not end in time: from now on the destructor does not wait for it.
    virtual void give_up() noexcept {}
};

class service_registry {
public:
    /// The loop's `S`, made by `make()` when first asked for. Cost: linear in the handful of services.
    template<class S, class Make>
    S& get(Make make) {
        for (const auto& [key, held] : services_)
            if (key == &tag<S>) return static_cast<S&>(*held);
        services_.emplace_back(&tag<S>, make());
        return static_cast<S&>(*services_.back().second);
    }

    template<class S>
    S* find() const noexcept {
        for (const auto& [key, held] : services_)
            if (key == &tag<S>) return static_cast<S*>(held.get());
        return nullptr;
    }

    /// Asks those to close that run code of the program, or the others; the youngest first.
    void close(bool run_code = false) noexcept {
        for (std::size_t i = services_.size(); i-- > 0;)
            if (services_[i].second->runs_code() == run_code) services_[i].second->close();
    }
    bool closed(bool run_code = false) const noexcept {
        for (const auto& each : services_)
            if (each.second->runs_code() == run_code && !each.second->closed()) return false;
        return true;
    }
    void give_up() noexcept {
        for (const auto& each : services_)
            if (!each.second->runs_code() && !each.second->closed()) each.second->give_up();
    }
    void destroy() noexcept {
        while (!services_.empty()) services_.pop_back();
    }

private:
    template<class S>
    static inline constexpr char tag = 0;

    std::vector<std::pair<const void*, std::unique_ptr<service>>> services_;
};

} // namespace asynchio::detail
