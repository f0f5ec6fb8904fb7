// SPDX-License-Identifier: BSL-1.0
#pragma once

// The services that upper modules keep in a loop (the default thread pool, for instance), and their end with the loop,
// which closes them without knowing what they are.

#include <cstddef>
#include <cstdint>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// What the pools of threads of a loop count.
struct pool_counts {
    std::size_t threads = 0;
    std::size_t queued = 0;
    std::int64_t longest_wait = 0; // of a job for its thread, in nanoseconds
};

/// An object that lives as long as its loop. The destructor may block, close() must not.
class service {
public:
    service() = default;
    service(const service&) = delete;
    service& operator=(const service&) = delete;
    virtual ~service() = default;

    /// Begins to shut the service down; called once, while the loop still runs.
    virtual void close() noexcept = 0;
    /// Whether the shutdown has ended. The service wakes the loop at that moment.
    virtual bool closed() const noexcept = 0;
    /// Whether its shutdown runs code of the program, which may need the other services: such a service is closed
    /// first, while everything else still exists, and gets the time that it takes.
    virtual bool runs_code() const noexcept { return false; }
    /// Adds what it counts, if it has threads.
    virtual void count(pool_counts& into) noexcept { (void)into; }
    /// Called if the shutdown did not end in time: from now on the destructor must not wait for it.
    [[gnu::cold]] virtual void give_up() noexcept {}

private:
    friend class service_registry;
    const void* key_ = nullptr; // the key of its type
    service* older_ = nullptr;
};

class service_registry {
public:
    service_registry() noexcept = default;
    service_registry(const service_registry&) = delete;
    service_registry& operator=(const service_registry&) = delete;
    ~service_registry() { destroy(); }

    /// Returns the loop's `S`, which the first call makes of `args`. Cost: linear in the handful of services.
    template<class S, class... Args>
    S& get(Args&&... args) {
        if (S* known = find<S>()) return *known;
        S* const made = new S(std::forward<Args>(args)...);
        made->key_ = &tag<S>;
        made->older_ = youngest_;
        youngest_ = made;
        return *made;
    }

    template<class S>
    S* find() const noexcept {
        for (service* each = youngest_; each != nullptr; each = each->older_)
            if (each->key_ == &tag<S>) return static_cast<S*>(each);
        return nullptr;
    }

    void count(pool_counts& into) const noexcept {
        for (service* each = youngest_; each != nullptr; each = each->older_) each->count(into);
    }

    /// Closes the services that run code of the program, or the others; the youngest first.
    [[gnu::cold]] void close(bool run_code = false) noexcept {
        for (service* each = youngest_; each != nullptr; each = each->older_)
            if (each->runs_code() == run_code) each->close();
    }
    [[gnu::cold]] bool closed(bool run_code = false) const noexcept {
        for (const service* each = youngest_; each != nullptr; each = each->older_)
            if (each->runs_code() == run_code && !each->closed()) return false;
        return true;
    }
    [[gnu::cold]] void give_up() noexcept {
        for (service* each = youngest_; each != nullptr; each = each->older_)
            if (!each->runs_code() && !each->closed()) each->give_up();
    }
    /// The youngest first.
    void destroy() noexcept {
        while (service* const last = youngest_) {
            youngest_ = last->older_;
            delete last;
        }
    }

private:
    template<class S>
    static inline constexpr char tag = 0;

    service* youngest_ = nullptr;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
