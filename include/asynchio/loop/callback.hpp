// SPDX-License-Identifier: BSL-1.0
#pragma once

// A call that the loop will make: at once, at a time, or because another thread asked for it.

#include <asynchio/loop/clock.hpp>
#include <asynchio/loop/context.hpp>
#include <asynchio/loop/frame_pool.hpp>
#include <asynchio/loop/scheduler.hpp>
#include <asynchio/loop/timer_queue.hpp>

#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace asynchio {

namespace detail {

/// The callable and the loop share one object; handles count as well. Lives in a recycled block.
class callback : public timer {
public:
    static void* operator new(std::size_t size) { return frame_pool::allocate(size); }
    static void operator delete(void* address, std::size_t size) noexcept { frame_pool::deallocate(address, size); }

    callback(const callback&) = delete;
    callback& operator=(const callback&) = delete;

    void retain() noexcept { __atomic_fetch_add(&references_, 1, __ATOMIC_RELAXED); }
    void release() noexcept {
        if (__atomic_sub_fetch(&references_, 1, __ATOMIC_ACQ_REL) == 0) delete this;
    }

    /// Marks it: from now on it is not called. Any thread.
    bool request_cancel() noexcept { return !__atomic_exchange_n(&cancelled_, true, __ATOMIC_ACQ_REL); }
    bool cancelled() const noexcept { return __atomic_load_n(&cancelled_, __ATOMIC_ACQUIRE); }
    /// Destroys callable and arguments, on the loop's thread.
    virtual void discard() noexcept = 0;

    nanoseconds_count deadline = 0;
    bool posted = false; // by another thread: only the loop's destroys what it holds
    scheduler* loop;     // null once it ran, was taken back, or the loop is gone

protected:
    explicit callback(scheduler& owner) noexcept : timer(&run), loop(&owner), context_(inherited_context()) {}
    virtual ~callback() = default;

    virtual void call() = 0;

private:
    static void run(ready_item& item) noexcept {
        auto& self = static_cast<callback&>(static_cast<timer&>(item));
        scheduler& owner = *std::exchange(self.loop, nullptr);
        self.pending = false;
        if (!self.cancelled() && !owner.closing()) {
            const context_scope inside(&self.context_);
            try {
                self.call();
            } catch (...) {
                owner.callback_failed();
            }
        }
        self.discard();
        self.release();
    }

    context_slot context_; // what the registering code saw
    std::uint32_t references_ = 1; // the loop's
    bool cancelled_ = false;
};

template<class F, class... Args>
class bound_callback final : public callback {
public:
    template<class G, class... Given>
    explicit bound_callback(scheduler& owner, G&& f, Given&&... args)
        : callback(owner), bound_(std::in_place, std::forward<G>(f), std::tuple<Args...>(std::forward<Given>(args)...)) {}

    void discard() noexcept override { bound_.reset(); }

private:
    void call() override {
        std::apply(std::move(bound_->first), std::move(bound_->second));
    }
    std::optional<std::pair<F, std::tuple<Args...>>> bound_;
};

template<class F, class... Args>
callback* make_callback(scheduler& owner, F&& f, Args&&... args) {
    return new bound_callback<std::decay_t<F>, std::decay_t<Args>...>(owner, std::forward<F>(f),
                                                                      std::forward<Args>(args)...);
}

template<class F>
constexpr bool is_null_callable(const F& f) noexcept {
    if constexpr (std::is_function_v<F>)
        return false;
    else if constexpr (std::is_pointer_v<F> || std::is_member_pointer_v<F>)
        return f == nullptr;
    else if constexpr (requires { static_cast<bool>(f == nullptr); }) // std::function and its like
        return static_cast<bool>(f == nullptr);
    else
        return false;
}

/// @throws std::invalid_argument naming the function that was given nothing to call.
template<class F>
void require_callable(const F& f, const char* who) {
    if (is_null_callable(f)) throw std::invalid_argument(std::string(who) + ": the callable is null");
}

} // namespace detail

/// What call_soon and call_soon_threadsafe give: the call can be taken back until it was made.
///
/// Threads: a handle from call_soon_threadsafe may be used on any thread, another one on the loop's.
/// Lifetime: may outlive the loop; dropping it changes nothing.
class callback_handle {
public:
    callback_handle() noexcept = default;
    /// Takes over one count.
    explicit callback_handle(detail::callback& c) noexcept : callback_(&c) {}
    callback_handle(const callback_handle& other) noexcept : callback_(other.callback_) {
        if (callback_ != nullptr) callback_->retain();
    }
    callback_handle(callback_handle&& other) noexcept : callback_(std::exchange(other.callback_, nullptr)) {}
    callback_handle& operator=(callback_handle other) noexcept {
        std::swap(callback_, other.callback_);
        return *this;
    }
    ~callback_handle() {
        if (callback_ != nullptr) callback_->release();
    }

    explicit operator bool() const noexcept { return callback_ != nullptr; }
    /// Prevents the call, also when it is due in this very iteration. The callable and its arguments are
    /// destroyed at once, those of call_soon_threadsafe when the loop comes to them. Does nothing the second time, or after the call.
    void cancel() noexcept; // event_loop.hpp
    /// Whether cancel() was called.
    bool cancelled() const noexcept { return callback_ != nullptr && callback_->cancelled(); }

protected:
    detail::callback* callback_ = nullptr;
};

/// What call_later and call_at give.
class timer_handle : public callback_handle {
public:
    using callback_handle::callback_handle;
    /// The absolute deadline.
    time_point when() const noexcept {
        return time_point(duration(callback_ != nullptr ? callback_->deadline : 0));
    }
    friend auto operator<=>(const timer_handle& a, const timer_handle& b) noexcept { return a.when() <=> b.when(); }
    friend bool operator==(const timer_handle& a, const timer_handle& b) noexcept {
        return a.callback_ == b.callback_;
    }
};

} // namespace asynchio
