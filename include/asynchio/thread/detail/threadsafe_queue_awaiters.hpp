// SPDX-License-Identifier: BSL-1.0
#pragma once

// The awaiters of a threadsafe_queue.

#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/thread/detail/mixed_line.hpp>
#include <asynchio/thread/detail/threadsafe_queue_core.hpp>

#include <coroutine>
#include <mutex>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>
#include <variant>

#pragma GCC visibility push(default)

namespace asynchio::detail {

template<class T>
class [[nodiscard("put does nothing until it is awaited")]] threadsafe_put final : public task_place {
    using core = threadsafe_queue_core<T>;

public:
    threadsafe_put(const counted_ptr<core>& queue, typename core::stored item) noexcept
        : queue_(&queue), item_(std::move(item)) {}
    threadsafe_put(threadsafe_put&& other) noexcept : threadsafe_put(*other.queue_, std::move(other.item_)) {}
    threadsafe_put& operator=(threadsafe_put&&) = delete;
    ~threadsafe_put() override {
        if (kept_) kept_->leave_putters(*this);
    }

    bool await_ready() {
        const std::lock_guard lock((*queue_)->mutex);
        return try_put(**queue_);
    }
    template<class Promise>
    bool await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        {
            const std::lock_guard lock((*queue_)->mutex);
            if (try_put(**queue_)) return false;
            kept_ = *queue_;
            bind();
            brought = &item_;
            kept_->putters.enter(*this);
        }
        park(awaiting, where);
        return true;
    }
    void await_resume() {
        kept_ = {};
        resumed();
        if (standing == detail::standing::refused) throw queue_shut_down();
    }

    const char* waiting_for() const noexcept override { return "threadsafe_queue put"; }
    cancel_reply cancel(const shared_text&) noexcept override {
        return kept_->leave_putters(*this) ? cancel_reply::left : cancel_reply::refused;
    }

private:
    bool try_put(core& queue) {
        if (queue.is_shut_down()) {
            standing = detail::standing::refused;
            return true;
        }
        if (!queue.has_room()) return false;
        queue.insert(std::move(item_));
        return true;
    }

    const counted_ptr<core>* queue_;
    counted_ptr<core> kept_; // while it may stand in the line
    typename core::stored item_;
};

template<class T, bool EmptyAtEnd>
class [[nodiscard("get does nothing until it is awaited")]] threadsafe_get final : public task_place {
    using core = threadsafe_queue_core<T>;
    using result = std::conditional_t<EmptyAtEnd, std::optional<T>, T>;

public:
    explicit threadsafe_get(const counted_ptr<core>& queue) noexcept : queue_(&queue) {}
    threadsafe_get(threadsafe_get&& other) noexcept : threadsafe_get(*other.queue_) {}
    threadsafe_get& operator=(threadsafe_get&&) = delete;
    ~threadsafe_get() override {
        if (kept_) kept_->give_up_get(*this);
    }

    bool await_ready() {
        const std::lock_guard lock((*queue_)->mutex);
        return try_get(**queue_);
    }
    template<class Promise>
    bool await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        {
            const std::lock_guard lock((*queue_)->mutex);
            if (try_get(**queue_)) return false;
            kept_ = *queue_;
            bind();
            kept_->getters.enter(*this);
        }
        park(awaiting, where);
        return true;
    }
    result await_resume() {
        if constexpr (!core::boxed && EmptyAtEnd) {
            if (item_.has_value()) return std::move(item_);
        } else if constexpr (!core::boxed) {
            if (item_.has_value()) return std::move(*item_);
        }
        if (interrupted()) { // a claim is passed on before the exception leaves
            detail::exchange(kept_, {})->give_up_get(*this);
            throw_cancelled(*task());
        }
        if (standing == detail::standing::served) {
            const counted_ptr<core> queue = std::move(kept_);
            const std::lock_guard lock(queue->mutex);
            return queue->template take_claimed<result>();
        }
        kept_ = {};
        if constexpr (EmptyAtEnd)
            return std::nullopt;
        else
            throw queue_shut_down();
    }

    const char* waiting_for() const noexcept override { return "threadsafe_queue get"; }
    cancel_reply cancel(const shared_text&) noexcept override {
        return kept_->leave_getters(*this) ? cancel_reply::left : cancel_reply::refused;
    }

private:
    bool try_get(core& queue) {
        if (queue.has_item()) {
            if constexpr (core::boxed) {
                queue.claim(); // and moved once, in await_resume
                kept_ = *queue_;
                standing = detail::standing::served;
            } else {
                item_.emplace(queue.template take<T>());
            }
            return true;
        }
        if (!queue.drained()) return false;
        standing = detail::standing::refused;
        return true;
    }

    const counted_ptr<core>* queue_;
    counted_ptr<core> kept_; // while it may stand in the line or have a claim
    std::conditional_t<core::boxed, std::monostate, std::optional<T>> item_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
