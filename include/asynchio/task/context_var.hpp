// SPDX-License-Identifier: BSL-1.0
#pragma once

// Variables whose value belongs to the task, not to the thread: a request's id, a user, a locale.

#include <asynchio/loop/context.hpp>

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

/// A variable of which every task has its own value. A task starts with the values that its creator has at that moment;
/// a value that it sets is seen by itself and by the tasks that it creates from then on, not by its creator or its
/// siblings. A coroutine that is awaited inline shares the values with the one that awaits it.
///
/// Behaviour: values are inherited by tasks (also those of gather, task_group, run), by calls and callbacks of the loop
/// (call_soon, timers, done-callbacks, readers, signal handlers: each runs in a copy of what the registering code saw),
/// to_thread and run_coroutine_threadsafe. run_in_executor does not pass them on, as in asyncio. Outside of a loop each
/// thread has its own values.
/// Threads: any. Threads share the values that were passed to them; the thread that drops the last reference destroys
/// one.
/// Lifetime: it is usually a global. A value lives as long as any context holds it, also when the variable is gone.
/// Cost: get and set look for the current task and then search the variables that have a value, of which there are few;
/// set allocates twice, and once more the first time in a context. Tasks and calls pay one test of a flag at creation
/// until the first variable is set, and inherit without an allocation afterwards.
/// Differs from Python: get() without a value and a default throws std::out_of_range where Python raises LookupError.
/// Example: `const context_var<int> request("request", 0); ... request.set(7); log(request.get());`
/// See also: context, copy_context, task_options.
template<class T>
class context_var {
    static_assert(std::is_object_v<T> && !std::is_const_v<T>, "a context_var holds values of an object type");
    static_assert(std::is_copy_constructible_v<T>,
                  "get() copies the value, since the variable may be set again while it is looked at: keep what cannot "
                  "be copied in a std::shared_ptr");

public:
    using value_type = T;
    class token;

    /// Makes a variable without a default. @param name for messages.
    explicit context_var(std::string_view name) : name_(name) {}
    /// Makes a variable with a default. @param name for messages. @param default_value what get() returns without a
    /// value.
    context_var(std::string_view name, T default_value) : name_(name), default_(std::move(default_value)) {}
    context_var(const context_var&) = delete;
    context_var& operator=(const context_var&) = delete;
    ~context_var() = default;

    /// Returns the name of the variable.
    const std::string& name() const noexcept { return name_; }

    /// Returns the value in the current context, or else the default.
    /// @throws std::out_of_range with the name of the variable if there is neither.
    T get() const {
        if (const T* value = find()) return *value;
        if (default_) return *default_;
        throw std::out_of_range("context_var '" + name_ + "' has no value here and no default");
    }
    /// Returns the value in the current context, or else another one.
    /// @param otherwise what it returns if there is no value; the variable's default does not count.
    template<class U>
    T get(U&& otherwise) const {
        static_assert(std::is_convertible_v<U&&, T>, "the default given to get() must convert to the variable's type");
        if (const T* value = find()) return *value;
        return static_cast<T>(std::forward<U>(otherwise));
    }

    /// Sets the value in the current context. @return a token with which reset() restores the value before.
    /// @throws std::bad_alloc without memory; the exceptions of copying the value.
    template<class U = T>
    token set(U&& value) const {
        static_assert(std::is_constructible_v<T, U&&>, "the value given to set() must convert to the variable's type");
        detail::context_value_ptr made(new held(std::forward<U>(value)));
        __atomic_store_n(&detail::context_touched, true, __ATOMIC_RELAXED);
        detail::context_cell_ptr cell = detail::current_context().cell();
        token before(key_, cell, current_of(*cell));
        cell->map = detail::context_map::with(cell->map.get(), key_, std::move(made));
        return before;
    }

    /// Restores the value that there was before a set().
    /// @param from the token that set() returned.
    /// @throws std::invalid_argument if the token belongs to another variable, or was made in another context;
    /// std::logic_error if it is used a second time.
    void reset(token& from) const {
        if (from.key_ != key_) throw std::invalid_argument(what("reset: the token belongs to another variable"));
        if (!from.cell_) throw std::logic_error(what("reset: the token was used already"));
        if (detail::current_context().cell() != from.cell_)
            throw std::invalid_argument(what("reset: the token was made in another context"));
        from.cell_->map = detail::context_map::with(from.cell_->map.get(), key_, from.before_);
        from = token(key_, {}, {});
    }
    /// Restores the value that there was before a set(), from a temporary token. @throws as above.
    void reset(token&& from) const { reset(from); }

private:
    struct held final : detail::context_value {
        template<class U>
        explicit held(U&& given) : value(std::forward<U>(given)) {}
        void destroy() noexcept override { delete this; }
        const T value;
    };

    const T* find() const noexcept {
        if (!detail::context_in_use()) return nullptr;
        const auto* found = detail::context_map::find(detail::current_context().map(), key_);
        return found == nullptr ? nullptr : &static_cast<const held*>(found)->value;
    }
    detail::context_value_ptr current_of(const detail::context_cell& cell) const noexcept {
        auto* found = detail::context_map::find(cell.map.get(), key_);
        return found != nullptr ? detail::context_value_ptr::to(*found) : detail::context_value_ptr();
    }
    std::string what(const char* problem) const { return "context_var '" + name_ + "': " + problem; }

    const detail::context_key key_ = detail::next_context_key();
    std::string name_;
    std::optional<T> default_;
};

template<class T>
context_var(std::string_view, T) -> context_var<T>;

/// The result of context_var::set(): the value that there was before. It can be moved, and is used once, by reset().
///
/// Threads: as the context. Lifetime: it may outlive the context.
template<class T>
class context_var<T>::token {
public:
    token(token&&) noexcept = default;
    token& operator=(token&&) noexcept = default;
    ~token() = default;

    /// Whether reset() can still use the token.
    explicit operator bool() const noexcept { return static_cast<bool>(cell_); }
    /// Returns the value before, null if there was none; null once the token was used.
    const T* old_value() const noexcept { return before_ ? &static_cast<const held*>(before_.get())->value : nullptr; }

private:
    friend context_var;
    token(detail::context_key key, detail::context_cell_ptr cell, detail::context_value_ptr before) noexcept
        : key_(key), cell_(std::move(cell)), before_(std::move(before)) {}

    detail::context_key key_;
    detail::context_cell_ptr cell_;
    detail::context_value_ptr before_;
};

} // namespace asynchio

#pragma GCC visibility pop
