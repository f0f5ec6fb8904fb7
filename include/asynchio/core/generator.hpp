// SPDX-License-Identifier: BSL-1.0
#pragma once

// A coroutine that yields values one by one to a plain loop. Built on the standard library alone.

#include <asynchio/core/awaitable.hpp>
#include <asynchio/core/detail/closure_check.hpp>
#include <asynchio/core/detail/exchange.hpp>

#include <coroutine>
#include <cstddef>
#include <exception>
#include <iterator>
#include <new>
#include <stdexcept>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

template<class T>
class generator;

namespace detail {

/// Whether `co_yield` of a `U` makes an item of type `T`, which is an object or an lvalue reference, without a copy.
template<class T, class U>
consteval bool yields_in_place() {
    using given = std::remove_reference_t<U>;
    if constexpr (std::is_reference_v<T>)
        return std::is_convertible_v<given*, std::remove_reference_t<T>*> &&
               (std::is_lvalue_reference_v<U> || std::is_const_v<std::remove_reference_t<T>>);
    else
        return !std::is_lvalue_reference_v<U> && std::is_same_v<given, T>;
}

template<class T, class U>
constexpr void check_yielded() {
    static_assert(!breaks_in_co_await<U>(),
                  "g++ before 13 destroys this temporary twice inside co_yield: a braced aggregate or a lambda with "
                  "captures must be named first and yielded as `name` (copied), or in an async_generator as "
                  "`aio::take(name)` (moved)");
    static_assert(yields_in_place<T, U>() ||
                      (std::is_reference_v<T> ? std::is_const_v<std::remove_reference_t<T>> &&
                                                    std::is_convertible_v<U, std::remove_cvref_t<T>>
                                              : std::is_convertible_v<U, std::remove_cvref_t<T>>),
                  "co_yield: this does not convert to the generator's value type (an lvalue is copied: std::move it if "
                  "it cannot be; a generator of references yields lvalues)");
}

} // namespace detail

/// The operand of a `co_yield` that yields everything that another generator of the same type yields:
/// `co_yield elements_of(inner())`.
///
/// Threads: as generator. Lifetime: it owns the inner generator.
/// Cost: an item costs one resumption, however deep generators nest.
template<class T>
class elements_of {
public:
    /// Takes over a generator whose iteration has not begun; else the `co_yield` throws std::logic_error.
    explicit elements_of(generator<T>&& inner) noexcept : inner_(std::move(inner)) {}

private:
    friend generator<T>;
    generator<T> inner_;
};

/// A coroutine that yields values to a range-based for: `generator<int> count() { for (int i = 0;; ++i) co_yield i; }`.
///
/// Behaviour: the body runs from one `co_yield` to the next, inside begin() and `++`, and starts with begin(). An
/// iterator refers to the item as `T&&`, or as `T` if that is a reference; a yielded lvalue is copied, anything else is
/// not. An exception of the body leaves begin() or `++` and ends the generator. It is an input range: it can be
/// iterated once. A body that advances its own iterator gets std::logic_error, as Python's gets ValueError.
/// Threads: one at a time; no loop is needed.
/// Lifetime: the generator owns the body. If it is destroyed early, the locals of the body are destroyed where it
/// stands. Arguments that are passed by reference must live as long.
/// Cost: one allocation; an item costs a resumption. Recursion through elements_of, of any depth, uses no stack.
/// Differs from Python: `yield from` is `co_yield elements_of(...)`; there is no send() or throw().
/// Example: `for (int n : primes() | std::views::take(10)) print(n);`
/// See also: async_generator, for bodies that wait.
template<class T>
class [[nodiscard("a generator does nothing until it is iterated")]] generator {
    static_assert(!std::is_void_v<T> && !std::is_rvalue_reference_v<T>,
                  "a generator yields objects or lvalue references");

public:
    using reference = std::conditional_t<std::is_reference_v<T>, T, T&&>;
    class promise_type;
    class iterator;

    generator() noexcept = default;
    generator(generator&& other) noexcept : body_(detail::exchange(other.body_, nullptr)) {}
    generator& operator=(generator&& other) noexcept {
        const generator old(std::move(*this));
        body_ = detail::exchange(other.body_, nullptr);
        return *this;
    }
    ~generator();

    /// Starts the body and runs it to the first item. @return an iterator at that item, or at the end.
    /// @throws the exception of the body; std::logic_error for a second call, or if the generator is empty.
    iterator begin();
    static std::default_sentinel_t end() noexcept { return {}; }

    /// Whether the generator has a body: neither default-constructed nor moved from.
    explicit operator bool() const noexcept { return body_ != nullptr; }

private:
    explicit generator(promise_type& body) noexcept : body_(&body) {}

    promise_type* body_ = nullptr;
};

template<class T>
class generator<T>::promise_type {
    using object = std::remove_cvref_t<T>;
    using handle = std::coroutine_handle<promise_type>;
    static constexpr std::align_val_t alignment{64}; // frames do not align their locals beyond what this gives

    /// Keeps an item that had to be copied or converted.
    template<class U>
    class holder {
    public:
        explicit holder(U&& given) : value_(std::forward<U>(given)) {}
        static bool await_ready() noexcept { return false; }
        void await_suspend(handle body) noexcept { body.promise().root_->item_ = __builtin_addressof(value_); }
        static void await_resume() noexcept {}

    private:
        object value_;
    };

    /// Has an inner generator run in place of the body that yields it.
    class nested {
    public:
        explicit nested(generator inner) : inner_(std::move(inner)) {
            if (!inner_ || inner_.body_->begun_)
                throw std::logic_error("elements_of: the generator is empty, or its iteration has begun");
        }
        static bool await_ready() noexcept { return false; }
        void await_suspend(handle body) noexcept {
            promise_type& outer = body.promise();
            promise_type& inner = *inner_.body_;
            inner.begun_ = true;
            inner.outer_ = &outer;
            inner.place_ = this;
            inner.root_ = outer.root_;
            outer.root_->leaf_ = &inner;
        }
        void await_resume() const {
            if (inner_.body_->error_) std::rethrow_exception(inner_.body_->error_);
        }
        /// Records that the inner body was destroyed already.
        void gone() noexcept { inner_.body_ = nullptr; }

    private:
        generator inner_;
    };

public:
    static void* operator new(std::size_t size) { return ::operator new(size, alignment); }
    static void operator delete(void* address, std::size_t) noexcept { ::operator delete(address, alignment); }

    generator get_return_object() noexcept { return generator(*this); }
    static std::suspend_always initial_suspend() noexcept { return {}; }
    static std::suspend_always final_suspend() noexcept { return {}; }
    static void return_void() noexcept {}
    void unhandled_exception() noexcept { error_ = std::current_exception(); }

    template<class U = object>
    auto yield_value(U&& value) {
        detail::check_yielded<T, U>();
        if constexpr (detail::yields_in_place<T, U>()) {
            root_->item_ = __builtin_addressof(value);
            return std::suspend_always();
        } else {
            return holder<U>(std::forward<U>(value));
        }
    }
    auto yield_value(elements_of<T> all) { return nested(std::move(all.inner_)); }

    template<class A>
    static std::suspend_never await_transform(A&&) noexcept {
        static_assert(detail::always_false<A>, "a generator is synchronous: co_await needs an async_generator");
        return {};
    }

private:
    friend generator;

    handle body() noexcept { return handle::from_promise(*this); }

    /// Runs the outermost generator to its next item. @throws the exception of the body; std::logic_error inside of it.
    void advance() {
        if (executing_) [[unlikely]]
            throw std::logic_error("generator: its body advances it, but it is already executing");
        item_ = nullptr;
        do {
            promise_type& running = *leaf_;
            executing_ = true;
            running.body().resume();
            executing_ = false;
            if (item_ != nullptr || &running != leaf_ || !running.body().done()) continue;
            if (&running == this) {
                if (error_) std::rethrow_exception(detail::exchange(error_, nullptr));
                return;
            }
            leaf_ = running.outer_;
        } while (item_ == nullptr);
    }

    /// Destroys the bodies, the innermost first, without recursion.
    void destroy() noexcept {
        while (leaf_ != this) {
            promise_type& dead = *leaf_;
            leaf_ = dead.outer_;
            dead.place_->gone();
            dead.body().destroy();
        }
        body().destroy();
    }

    std::remove_reference_t<T>* item_ = nullptr; // the item at which the outermost generator stands
    promise_type* root_ = this;
    promise_type* leaf_ = this; // the body that runs next; used in the outermost
    promise_type* outer_ = nullptr;
    nested* place_ = nullptr;
    std::exception_ptr error_;
    bool begun_ = false;
    bool executing_ = false; // whether a body runs; used in the outermost
};

/// The input iterator of a generator. Its end is std::default_sentinel.
///
/// Threads: as generator. Lifetime: the generator must outlive it.
template<class T>
class generator<T>::iterator {
public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = std::remove_cvref_t<T>;
    using difference_type = std::ptrdiff_t;

    iterator() noexcept = default;

    /// Returns the current item, which may be moved from.
    reference operator*() const noexcept { return static_cast<reference>(*body_->item_); }
    /// Runs the body to the next item. @throws the exception of the body; std::logic_error in the body itself.
    iterator& operator++() {
        body_->advance();
        return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const noexcept { return body_->body().done(); }

private:
    friend generator;
    explicit iterator(promise_type& body) noexcept : body_(&body) {}

    promise_type* body_ = nullptr;
};

template<class T>
generator<T>::~generator() {
    if (body_ != nullptr) body_->destroy();
}

template<class T>
typename generator<T>::iterator generator<T>::begin() {
    if (body_ == nullptr) throw std::logic_error("generator: it is empty: moved from, or never given a body");
    if (detail::exchange(body_->begun_, true)) throw std::logic_error("generator: it can be gone through only once");
    body_->advance();
    return iterator(*body_);
}

} // namespace asynchio

#pragma GCC visibility pop
