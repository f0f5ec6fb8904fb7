// SPDX-License-Identifier: BSL-1.0
#pragma once

// An outcome: how something ended, with a value, with an exception, cancelled, or not yet. One type serves results of
// any kind, void and references included; the states of tasks and futures are built on the same template.

#include <asynchio/core/awaitable.hpp>

#include <cstddef>
#include <exception>
#include <new>
#include <type_traits>
#include <utility>
#if __has_include(<version>)
#include <version>
#endif
#if defined(__cpp_lib_expected)
#include <expected>
#endif

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

enum class outcome_state : unsigned char { nothing, value, error, cancelled };

/// The place of one `Stored` inside a frame. Frames promise 16 bytes of alignment, so a stricter type gets slack.
template<class Stored>
class slot {
public:
    Stored* get() noexcept {
        auto address = reinterpret_cast<std::size_t>(bytes_);
        if constexpr (slack != 0) address = (address + alignof(Stored) - 1) & ~(alignof(Stored) - 1);
        return std::launder(reinterpret_cast<Stored*>(address));
    }
    /// Returns the address at which the value is made.
    void* place() noexcept { return static_cast<void*>(get()); }

private:
    static constexpr std::size_t most = 16;
    static constexpr std::size_t slack = alignof(Stored) > most ? alignof(Stored) : 0;
    alignas(slack != 0 ? most : alignof(Stored)) std::byte bytes_[sizeof(Stored) + slack];
};

template<>
class slot<void> {};

/// The way in which a result type is stored and returned; the one place that knows void, const and references.
template<class T>
struct result_traits {
    using stored = std::remove_cv_t<T>;
    using reference = T&;
    static T& get(slot<stored>& from) noexcept { return *from.get(); }
    static T take(slot<stored>& from) {
        static_assert(
            std::is_move_constructible_v<stored>,
            "this result cannot be moved out: make it a task of its own with create_task and await the handle, "
            "which returns a reference to it");
        if constexpr (std::is_move_constructible_v<stored>) return static_cast<stored&&>(*from.get());
    }
};

template<class T>
struct result_traits<T&> {
    using stored = T*;
    using reference = T&;
    static T& get(slot<stored>& from) noexcept { return **from.get(); }
    static T& take(slot<stored>& from) noexcept { return **from.get(); }
};

/// Whether a `U` is or refers to the object that a reference of type `T` shall be bound to, so that no temporary is
/// made.
template<class T, class U>
consteval bool binds_directly() {
    using referred = std::remove_reference_t<T>;
    using given = std::remove_reference_t<U>;
    if constexpr (std::is_convertible_v<given*, referred*>)
        return std::is_lvalue_reference_v<U>;
    else // as std::reference_wrapper does
        return requires(given& x) { x.operator referred&(); } ||
               requires(given& x) { x.operator std::remove_const_t<referred>&(); };
}

template<>
struct result_traits<void> {
    using stored = void;
    using reference = void;
    static void get(slot<void>&) noexcept {}
    static void take(slot<void>&) noexcept {}
};

} // namespace detail

/// The part of an outcome that does not depend on the type of the result.
///
/// Threads: as a plain value: threads that change it need a lock.
class outcome_base {
public:
    /// Whether there is a value (for void, whether it ended without an exception).
    bool has_value() const noexcept { return state_ == detail::outcome_state::value; }
    /// Whether there is a value, as has_value().
    explicit operator bool() const noexcept { return has_value(); }
    /// Whether what was awaited was cancelled.
    bool cancelled() const noexcept { return state_ == detail::outcome_state::cancelled; }
    /// Returns the exception, which is a cancelled_error if cancelled(); null if there is none.
    const std::exception_ptr& error() const noexcept { return error_; }
    /// Throws the exception; does nothing if there is none.
    [[gnu::always_inline]] void rethrow() const {
        if (error_) std::rethrow_exception(error_);
    }

protected:
    outcome_base() noexcept = default;
    outcome_base(const outcome_base&) noexcept = default;
    outcome_base& operator=(const outcome_base&) noexcept = default;
    ~outcome_base() = default;

    void fail(std::exception_ptr error, detail::outcome_state state) noexcept {
        error_ = std::move(error);
        state_ = state;
    }

    std::exception_ptr error_;
    detail::outcome_state state_ = detail::outcome_state::nothing;
};

namespace detail {

/// A result of type `T` on top of `Base`, which is outcome_base or is built on it.
template<class T, class Base>
class basic_outcome : public Base {
    static_assert(!std::is_rvalue_reference_v<T> && !std::is_array_v<T>,
                  "a result is an object, an lvalue reference or void: T&& would refer to what is gone");
    using traits = result_traits<T>;
    using stored = typename traits::stored;

public:
    using value_type = T;
    using Base::Base;

    basic_outcome() = default;
    basic_outcome(basic_outcome&& other) noexcept(std::is_void_v<T> || std::is_nothrow_move_constructible_v<stored>)
        requires std::is_same_v<Base, outcome_base>
        : Base(other) {
        if constexpr (!std::is_void_v<T>)
            if (this->has_value()) ::new (value_.place()) stored(static_cast<stored&&>(*other.value_.get()));
    }
    basic_outcome(const basic_outcome& other)
        requires(std::is_same_v<Base, outcome_base> && (std::is_void_v<T> || std::is_copy_constructible_v<stored>))
        : Base(other) {
        if constexpr (!std::is_void_v<T>)
            if (this->has_value()) ::new (value_.place()) stored(*other.value_.get());
    }
    basic_outcome& operator=(basic_outcome other) noexcept(std::is_void_v<T> ||
                                                           std::is_nothrow_move_constructible_v<stored>)
        requires std::is_same_v<Base, outcome_base>
    {
        reset();
        this->error_ = nullptr;
        if constexpr (!std::is_void_v<T>)
            if (other.has_value()) ::new (value_.place()) stored(static_cast<stored&&>(*other.value_.get()));
        Base::operator=(other);
        return *this;
    }
    ~basic_outcome() { reset(); }

    /// Returns the result. @throws the exception of what was awaited, or cancelled_error. While there is neither value
    /// nor exception, the call is undefined.
    typename traits::reference value() & {
        this->rethrow();
        return traits::get(value_);
    }
    std::add_lvalue_reference_t<const T> value() const& {
        this->rethrow();
        return traits::get(value_);
    }
    /// Moves the result out. @throws the exception of what was awaited, or cancelled_error.
    T value() && {
        this->rethrow();
        return traits::take(value_);
    }

    /// The result, or `other` where there is none.
    template<class U = std::remove_cv_t<T>>
        requires(!std::is_void_v<T>)
    T value_or(U&& other) const& {
        if (this->has_value()) return traits::get(value_);
        return static_cast<T>(static_cast<U&&>(other));
    }
    template<class U = std::remove_cv_t<T>>
        requires(!std::is_void_v<T>)
    T value_or(U&& other) && {
        if (this->has_value()) return traits::take(value_);
        return static_cast<T>(static_cast<U&&>(other));
    }

    template<class... Args>
    void emplace(Args&&... args) {
        if constexpr (std::is_lvalue_reference_v<T>) {
            constexpr bool lasts = (binds_directly<T, Args>() && ...);
            static_assert(lasts, "the result is a reference, and this is a temporary or a local variable, or would be "
                                 "converted to a temporary, which is gone before anybody looks: give what lives "
                                 "elsewhere by its name, or make the result an object");
            if constexpr (lasts) {
                T bound(static_cast<Args&&>(args)...);
                ::new (value_.place()) stored(__builtin_addressof(bound));
            }
        } else if constexpr (!std::is_void_v<T>) {
            ::new (value_.place()) stored(std::forward<Args>(args)...);
        }
        this->state_ = outcome_state::value;
    }

    /// Sets the exception. A value is destroyed: a coroutine may still fail after its co_return.
    void set_error(std::exception_ptr error, bool is_cancellation) noexcept {
        reset();
        this->fail(std::move(error), is_cancellation ? outcome_state::cancelled : outcome_state::error);
    }

#if defined(__cpp_lib_expected)
    operator std::expected<T, std::exception_ptr>() && {
        if (this->error_) return std::unexpected(this->error_);
        if constexpr (std::is_void_v<T>)
            return {};
        else
            return std::expected<T, std::exception_ptr>(traits::take(value_));
    }
#endif

protected:
    void reset() noexcept {
        if constexpr (!std::is_void_v<T>)
            if (this->has_value()) value_.get()->~stored();
        this->state_ = outcome_state::nothing;
    }

private:
    [[no_unique_address]] mutable slot<stored> value_;
};

} // namespace detail

/// A result as a value: `co_await nothrow(x)` and `gather(return_exceptions, ...)` return outcomes.
///
/// Behaviour: it holds a value, an exception, or a cancellation, which has_value(), error() and cancelled() tell apart;
/// value() returns the value or throws. It converts to std::expected where the standard library has that.
/// Threads: as a plain value.
/// Lifetime: it owns the value or shares the exception; a reference result is kept as a reference.
/// Differs from Python: asyncio returns exceptions in place of results; here the type says which it is.
/// Example: `aio::outcome<int> n = co_await aio::nothrow(count()); if (n) use(n.value());`
/// See also: nothrow, gather.
template<class T>
using outcome = detail::basic_outcome<T, outcome_base>;

} // namespace asynchio

#pragma GCC visibility pop
