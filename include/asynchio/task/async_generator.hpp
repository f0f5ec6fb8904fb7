// SPDX-License-Identifier: BSL-1.0
#pragma once

// A coroutine that yields values one by one and may wait between them.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/generator.hpp>
#include <asynchio/core/generator_exit.hpp>
#include <asynchio/task/detail/open_generators.hpp>
#include <asynchio/task/take.hpp>

#include <coroutine>
#include <cstddef>
#include <exception>
#include <new>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// A coroutine that yields a stream of values: `while (auto item = co_await stream.next()) use(*item);`
///
/// Behaviour: the body starts with the first next(), and runs in the asking task: from one `co_yield` to the next at
/// once, without going through the loop, unless it awaits something. next() returns an optional, or a pointer if `T` is
/// a reference; it is empty at the end and ever after. A yielded lvalue is copied, anything else moved. An exception of
/// the body comes out of next() and ends the stream. aclose() throws generator_exit at the `co_yield`; the body may
/// await after that, but not yield. It does nothing if the body has ended or never began. One request may be under way
/// at a time.
///
/// Leaving a loop over the stream early does not close it: `co_await with(stream, body)` does, on every path. The loop
/// closes a stream that is destroyed at a `co_yield` in a task of its own; the end of run() closes those that are left.
/// Cancellation: cancelling a task that waits in next() is delivered where the body waits. Between items the body sees
/// nothing of it until it is closed.
/// Threads: the thread of the loop.
/// Lifetime: objects that the body refers to must live until it has ended. If the stream is destroyed before, that is
/// after the end of the scope, so the program closes it, or has it own what it uses. Without a loop that can close it,
/// or when the loop is closed without run(), the body is destroyed where it stands.
/// Cost: one frame from the pool for the whole stream; an item costs two transfers and no allocation.
/// Differs from Python: there is no asend() or athrow(). next() and aclose() throw std::logic_error where Python raises
/// RuntimeError.
/// Example: `async_generator<page> pages(client& c) { for (int n = 1; auto p = co_await c.get(n); ++n) co_yield *p; }`
/// See also: generator, with, merge, map_ordered.
template<class T>
class [[nodiscard("an async_generator does nothing until next() is awaited")]] async_generator {
    static_assert(!std::is_void_v<T> && !std::is_rvalue_reference_v<T>,
                  "an async_generator yields objects or lvalue references");

public:
    using value_type = T;
    /// The result of next().
    using item_type =
        std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, std::optional<std::remove_cv_t<T>>>;
    class promise_type;
    class next_awaiter;

    async_generator() noexcept = default;
    async_generator(async_generator&& other) noexcept : body_(detail::exchange(other.body_, nullptr)) {}
    async_generator& operator=(async_generator&& other) noexcept {
        const async_generator old(std::move(*this));
        body_ = detail::exchange(other.body_, nullptr);
        return *this;
    }
    ~async_generator() {
        if (body_ != nullptr) detail::release_generator(*body_);
    }

    /// Whether the stream has a body: neither default-constructed nor moved from.
    explicit operator bool() const noexcept { return body_ != nullptr; }

    /// Awaitable: runs the body to its next item.
    /// @return the item, or nothing at the end.
    /// @throws the exception of the body; std::logic_error while another request is under way, or if the stream is
    /// empty.
    /// Cancellation: delivered where the body waits.
    next_awaiter next() noexcept { return next_awaiter(body_); }

    /// Awaitable: ends the body and waits until it has ended.
    /// @throws the exception of the body's cleanup; std::logic_error while another request is under way, or if the body
    /// yields in spite of generator_exit.
    /// Cancellation: delivered where the body's cleanup waits.
    detail::close_awaiter aclose() noexcept { return detail::close_awaiter(body_); }

private:
    explicit async_generator(detail::generator_state& body) noexcept : body_(&body) {}

    detail::generator_state* body_ = nullptr;
};

template<class T>
class async_generator<T>::promise_type : public detail::promise_base {
    using object = std::remove_cvref_t<T>;

    /// Goes back to the asking task, with the item that was put into the state.
    class at_item {
    public:
        static bool await_ready() noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> body,
                                              std::source_location line = std::source_location::current()) noexcept {
            body_ = &body.promise().state();
            body_->stand_at(line);
            return body_->leave(detail::generator_stage::yielded);
        }
        void await_resume() const {
            if (body_->closing) [[unlikely]]
                throw generator_exit();
        }

    private:
        detail::generator_state* body_ = nullptr;
    };

    /// Goes back to the asking task with an item that had to be copied or converted.
    template<class U>
    class at_kept_item : public at_item {
    public:
        explicit at_kept_item(U&& given) : value_(std::forward<U>(given)) {}
        std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> body,
                                              std::source_location line = std::source_location::current()) noexcept {
            body.promise().offer(value_);
            return at_item::await_suspend(body, line);
        }

    private:
        object value_;
    };

    struct at_end {
        static bool await_ready() noexcept { return false; }
        static std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> body) noexcept {
            return body.promise().state().leave(detail::generator_stage::finished);
        }
        static void await_resume() noexcept {}
    };

public:
    promise_type() noexcept { new (bytes_) detail::generator_state; }

    detail::generator_state& state() noexcept {
        return *std::launder(reinterpret_cast<detail::generator_state*>(bytes_));
    }

    async_generator get_return_object(std::source_location function = std::source_location::current()) noexcept {
        state().stand_at(function);
        return async_generator(state());
    }
    static std::suspend_always initial_suspend() noexcept { return {}; }
    static at_end final_suspend() noexcept { return {}; }
    static void return_void() noexcept {}
    void unhandled_exception() noexcept { state().failed_with_current(); }

    template<class U = object>
    auto yield_value(U&& value) {
        if constexpr (detail::is_taken<std::remove_cvref_t<U>>) {
            auto given = std::forward<U>(value).release();
            return at_kept_item<decltype(given)>(std::move(given));
        } else {
            detail::check_yielded<T, U>();
            if constexpr (detail::yields_in_place<T, U>()) {
                offer(value);
                return at_item();
            } else {
                return at_kept_item<U>(std::forward<U>(value));
            }
        }
    }

private:
    void offer(std::remove_reference_t<T>& value) noexcept {
        state().item = const_cast<void*>(static_cast<const void*>(__builtin_addressof(value)));
    }

    alignas(detail::generator_state) std::byte bytes_[sizeof(detail::generator_state)];
};

/// The awaiter of async_generator::next(). It can be moved until it is awaited.
///
/// Threads: the thread of the loop. Lifetime: the stream must outlive it.
template<class T>
class [[nodiscard("next() does nothing until it is awaited")]] async_generator<T>::next_awaiter {
public:
    next_awaiter(next_awaiter&& other) noexcept : body_(other.body_) {}
    next_awaiter& operator=(next_awaiter&&) = delete;
    ~next_awaiter() {
        if (entered_) detail::leave_generator(*body_);
    }

    /// Misuse is reported by await_resume, whose exceptions nothrow() catches.
    bool await_ready() const noexcept { return body_ == nullptr || !body_->can_go_on(); }

    template<class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> asking,
                                          std::source_location line = std::source_location::current()) {
        const std::coroutine_handle<> next = body_->enter(asking, line);
        entered_ = true;
        return next;
    }

    item_type await_resume() {
        if (body_ != nullptr && body_->stage == detail::generator_stage::yielded) [[likely]] {
            auto* item = static_cast<std::remove_reference_t<T>*>(body_->item);
            if constexpr (std::is_reference_v<T>) {
                return item;
            } else {
                static_assert(std::is_constructible_v<std::remove_cv_t<T>, T&&>,
                              "next() moves the item out, which cannot be moved: make it an async_generator<T&>");
                if constexpr (std::is_constructible_v<std::remove_cv_t<T>, T&&>)
                    return item_type(std::in_place, std::move(*item));
            }
        }
        require_end();
        return item_type();
    }

private:
    friend async_generator;
    explicit next_awaiter(detail::generator_state* body) noexcept : body_(body) {}

    [[gnu::noinline]] void require_end() const {
        if (body_ == nullptr) throw std::logic_error("next: the asynchronous generator is empty: it was moved from");
        body_->require_idle("next");
        body_->rethrow_error();
    }

    detail::generator_state* body_;
    bool entered_ = false;
};

} // namespace asynchio

#pragma GCC visibility pop
