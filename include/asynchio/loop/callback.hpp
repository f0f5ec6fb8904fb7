// SPDX-License-Identifier: BSL-1.0
#pragma once

// A call that the loop will make: in the next iteration, at a point in time, or because another thread asked for it.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/core/kept.hpp>
#include <asynchio/loop/clock.hpp>
#include <asynchio/loop/context.hpp>
#include <asynchio/loop/detail/frame_pool.hpp>
#include <asynchio/loop/detail/scheduler.hpp>
#include <asynchio/loop/detail/timer_queue.hpp>

#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

/// A call with its callable, which the loop and the handles share. It lives in a recycled block, which is one cache
/// line if the callable and its arguments take 16 bytes: between two threads, a call costs as many lines as it touches.
class callback : public ready_item {
public:
    static void* operator new(std::size_t size) { return frame_pool::allocate(size); }
    static void operator delete(void* address, std::size_t size) noexcept { frame_pool::deallocate(address, size); }

    callback(const callback&) = delete;
    callback& operator=(const callback&) = delete;

    // If the call is posted, any thread may call these, else the loop's thread.
    void retain() noexcept {
        if (posted)
            __atomic_fetch_add(&references_, 1, __ATOMIC_RELAXED);
        else
            ++references_;
    }
    void release() noexcept {
        if (posted) { // the owner of the only count needs no locked instruction to see that
            if (__atomic_load_n(&references_, __ATOMIC_ACQUIRE) != 1 &&
                __atomic_sub_fetch(&references_, 1, __ATOMIC_ACQ_REL) != 0)
                return;
        } else if (--references_ != 0) {
            return;
        }
        delete this;
    }
    /// Marks the call: from now on it is not made. @return whether it was not marked yet.
    bool request_cancel() noexcept {
        if (!posted) return !detail::exchange(cancelled_, true);
        return !__atomic_exchange_n(&cancelled_, true, __ATOMIC_ACQ_REL);
    }
    bool cancelled() const noexcept { return __atomic_load_n(&cancelled_, __ATOMIC_ACQUIRE); }
    /// Destroys callable and arguments, on the loop's thread.
    virtual void discard() noexcept = 0;
    /// Returns the timer in which the call waits for its time; null if it waits in none.
    virtual timer* armed_timer() noexcept { return nullptr; }

    // The fields stand in an order that also fills the end of ready_item's last word.

    bool posted = false; // by another thread, before the loop knows it; the loop's thread destroys the callable then

protected:
    bool bound = true; // whether the callable exists

    explicit callback(scheduler& owner) noexcept : ready_item(&run), loop(&owner), context_(inherited_context()) {}
    virtual ~callback() = default;

    virtual void call() = 0;

    /// Makes the call, whose turn has come.
    void make() noexcept {
        scheduler& owner = *detail::exchange(loop, nullptr);
        if (!cancelled() && !owner.closing()) {
            const context_scope inside(&context_);
            try {
                call();
            } catch (...) {
                owner.callback_failed();
            }
            owner.after_call();
        }
        discard();
        release();
    }

private:
    static void run(ready_item& item) noexcept { static_cast<callback&>(item).make(); }

    bool cancelled_ = false;
    std::uint32_t references_ = 1; // the loop's count

public:
    scheduler* loop; // null once the call was made or taken back, or the loop is gone

private:
    context_slot context_; // what the registering code saw
};

/// Removes a timer whose call has not been made. The cost is linear if it stands in the ready queue already.
inline void remove_timer(scheduler& loop, timer& t) noexcept {
    if (t.armed())
        loop.timers().remove(t);
    else if (t.pending)
        loop.unschedule(t);
    t.pending = false;
}

/// A call that waits for its time.
class timed_callback : public callback, public timer {
public:
    timer* armed_timer() noexcept override { return armed() ? this : nullptr; }

    nanoseconds_count deadline = 0;

protected:
    explicit timed_callback(scheduler& owner) noexcept : callback(owner), timer(&due) {}

private:
    static void due(ready_item& item) noexcept {
        auto& self = static_cast<timed_callback&>(static_cast<timer&>(item));
        self.pending = false;
        self.make();
    }
};

template<class Base, class F, class... Args>
class bound_callback final : public Base {
public:
    template<class G, class... Given>
    explicit bound_callback(scheduler& owner, G&& f, Given&&... args)
        : Base(owner), what_{std::forward<G>(f), std::tuple<Args...>(std::forward<Given>(args)...)} {}
    ~bound_callback() override { discard(); }

    void discard() noexcept override {
        if (detail::exchange(this->bound, false)) what_.~callable();
    }

private:
    void call() override { std::apply(std::move(what_.f), std::move(what_.args)); }

    struct callable {
        F f;
        [[no_unique_address]] std::tuple<Args...> args;
    };
    union {
        callable what_;
    };
};

/// @tparam Base callback or timed_callback.
template<class Base, class F, class... Args>
Base* make_callback(scheduler& owner, F&& f, Args&&... args) {
    return new bound_callback<Base, copied_t<F>, copied_t<Args>...>(owner, pass_on<F>(f), pass_on<Args>(args)...);
}

template<class F>
constexpr bool is_null_callable(const F& f) noexcept {
    if constexpr (!std::is_function_v<F> && requires { static_cast<bool>(f == nullptr); }) // a pointer, std::function
        return static_cast<bool>(f == nullptr);
    else
        return false;
}

template<class F>
constexpr bool is_null_callable(const taken<F>& f) noexcept {
    return is_null_callable(f.value());
}

/// @throws std::invalid_argument with the name of the function if the callable is null.
template<class F>
void require_callable(const F& f, const char* who) {
    if (is_null_callable(f)) refuse<std::invalid_argument>(who, "the callable is null");
}

} // namespace detail

/// The handle that call_soon() and call_soon_threadsafe() return. The call can be taken back until it was made.
///
/// Threads: a handle from call_soon_threadsafe may be used on any thread, another one on the loop's thread.
/// Lifetime: it may outlive the loop; dropping it changes nothing.
/// Cost: a counted pointer.
/// See also: event_loop::call_soon, timer_handle.
class callback_handle {
public:
    callback_handle() noexcept = default;

    /// Whether the handle refers to a call: neither default-constructed nor moved from.
    explicit operator bool() const noexcept { return static_cast<bool>(callback_); }
    /// Prevents the call, also when it is due in this very iteration. The callable and its arguments are
    /// destroyed at once, those of call_soon_threadsafe when their turn comes. A second cancel() does nothing, nor does
    /// one after the call.
    inline void cancel() noexcept;
    /// Whether cancel() was called.
    bool cancelled() const noexcept { return callback_ && callback_->cancelled(); }

protected:
    friend struct detail::access;
    explicit callback_handle(detail::callback& counted) noexcept : callback_(&counted) {}

    detail::counted_ptr<detail::callback> callback_;
};

/// The handle that call_later() and call_at() return. Handles of the same call are equal; `when()` tells the order.
///
/// Threads: the thread of the loop. Lifetime: as that of callback_handle.
class timer_handle : public callback_handle {
public:
    timer_handle() noexcept = default;
    /// Returns the absolute deadline; the clock's epoch for an empty handle.
    time_point when() const noexcept {
        const auto* timed = static_cast<const detail::timed_callback*>(callback_.get());
        return time_point(duration(timed != nullptr ? timed->deadline : 0));
    }
    friend bool operator==(const timer_handle& a, const timer_handle& b) noexcept { return a.callback_ == b.callback_; }

private:
    friend struct detail::access;
    explicit timer_handle(detail::timed_callback& counted) noexcept : callback_handle(counted) {}
};

inline void callback_handle::cancel() noexcept {
    if (!callback_ || !callback_->request_cancel() || callback_->posted) return; // posted: the loop drops it
    detail::scheduler* const loop = callback_->loop;
    if (loop == nullptr) return;
    callback_->discard();
    detail::timer* armed = callback_->armed_timer(); // null: it stands in the ready queue, and is dropped there
    if (armed == nullptr) return;
    detail::remove_timer(*loop, *armed);
    callback_->loop = nullptr;
    callback_->release();
}

} // namespace asynchio

#pragma GCC visibility pop
