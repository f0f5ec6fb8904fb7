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

    /// Asks all to close, the youngest first.
    void close() noexcept {
        for (std::size_t i = services_.size(); i-- > 0;) services_[i].second->close();
    }
    bool closed() const noexcept {
        for (const auto& each : services_)
            if (!each.second->closed()) return false;
        return true;
    }
    void give_up() noexcept {
        for (const auto& each : services_)
            if (!each.second->closed()) each.second->give_up();
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
