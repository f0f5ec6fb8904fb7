// SPDX-License-Identifier: BSL-1.0
#pragma once

// Where code finds the values of its context variables: in its task, in the call that the loop makes, or in its thread.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/loop/detail/context_map.hpp>
#include <asynchio/loop/detail/scheduler.hpp>

#include <cstdint>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

/// Whether any variable was ever set in this process: until then, nothing has to be carried anywhere.
inline constinit bool context_touched = false;
inline bool context_in_use() noexcept { return __atomic_load_n(&context_touched, __ATOMIC_RELAXED); }

/// A context that has an identity, for tokens and for those who share it. Belongs to one thread at a time.
struct context_cell {
    explicit context_cell(context_map_ptr m) noexcept : map(std::move(m)) {}
    void destroy() noexcept { delete this; }

    std::size_t references = 1;
    context_map_ptr map;
};
using context_cell_ptr = counted_ptr<context_cell>;

/// One word that holds a context: nothing (an empty one), a map that was inherited, or a cell of its own, which it gets
/// when a variable is set. So inheriting allocates nothing, and an empty context costs nothing.
///
/// Trivial, since it stands in every coroutine frame: whoever owns it calls drop() in the end.
class context_word {
public:
    bool empty() const noexcept { return bits_ == 0; }

    /// The values; null when there are none.
    const context_map* map() const noexcept { return has_cell() ? cell_of(bits_)->map.get() : map_of(bits_); }

    /// The cell, made now if there is none yet. @throws std::bad_alloc when there is no memory for it.
    context_cell_ptr cell() {
        if (!has_cell()) {
            auto* made = new context_cell(context_map_ptr());
            made->map = context_map_ptr(map_of(bits_));
            bits_ = reinterpret_cast<std::uintptr_t>(made) | cell_tag;
        }
        context_cell* found = cell_of(bits_);
        __atomic_fetch_add(&found->references, 1, __ATOMIC_RELAXED);
        return context_cell_ptr(found);
    }

    /// Makes an empty word start with the values of `other`.
    void inherit(const context_word& other) noexcept {
        const context_map* values = other.map();
        if (values == nullptr) return;
        auto* counted = const_cast<context_map*>(values); // maps are only read; the count is everybody's
        __atomic_fetch_add(&counted->references, 1, __ATOMIC_RELAXED);
        bits_ = reinterpret_cast<std::uintptr_t>(counted) | map_tag;
    }
    /// Makes an empty word hold `cell` itself.
    void share(context_cell_ptr cell) noexcept {
        if (cell) bits_ = reinterpret_cast<std::uintptr_t>(cell.release()) | cell_tag;
    }

    /// Gives up what it holds.
    void drop() noexcept {
        if (bits_ != 0) [[unlikely]]
            drop_slowly();
    }

protected:
    static constexpr std::uintptr_t map_tag = 1;
    static constexpr std::uintptr_t cell_tag = 2;
    static constexpr std::uintptr_t tags = map_tag | cell_tag;

    bool has_cell() const noexcept { return (bits_ & cell_tag) != 0; }
    static context_map* map_of(std::uintptr_t bits) noexcept { return reinterpret_cast<context_map*>(bits & ~tags); }
    static context_cell* cell_of(std::uintptr_t bits) noexcept { return reinterpret_cast<context_cell*>(bits & ~tags); }

    std::uintptr_t bits_ = 0;

private:
    [[gnu::noinline]] void drop_slowly() noexcept {
        const std::uintptr_t held = detail::exchange(bits_, std::uintptr_t(0));
        if (held & cell_tag)
            static_cast<void>(context_cell_ptr(cell_of(held)));
        else
            static_cast<void>(context_map_ptr(map_of(held)));
    }
};

/// The same with an owner's manners.
class context_slot : public context_word {
public:
    constexpr context_slot() noexcept = default;
    explicit context_slot(context_cell_ptr cell) noexcept { share(std::move(cell)); }
    context_slot(context_slot&& other) noexcept : context_word(other) { other.bits_ = 0; }
    context_slot& operator=(context_slot&& other) noexcept {
        std::swap(bits_, other.bits_);
        return *this;
    }
    ~context_slot() { drop(); }
};

/// The context of code that runs outside of loops and their calls. Noinline: a coroutine may go on in another place,
/// and compilers remember addresses of thread-local variables.
[[gnu::noinline]] inline context_word& context_of_thread() noexcept {
    static thread_local context_slot own;
    return own;
}

/// The context of whatever runs now.
[[gnu::noinline]] inline context_word& current_context() noexcept {
    const thread_state& thread = this_thread;
    if (thread.context != nullptr) return *thread.context;
    if (thread.running != nullptr)
        if (context_word* of_task = thread.running->context_of_current(); of_task != nullptr) return *of_task;
    return context_of_thread();
}

/// What something that is created now starts with.
inline context_slot inherited_context() noexcept {
    context_slot made;
    if (context_in_use()) made.inherit(current_context());
    return made;
}

/// Makes a context that of the running code, in a plain call; null: that of the task or thread again.
class context_scope {
public:
    explicit context_scope(context_word* slot) noexcept : before_(detail::exchange(this_thread.context, slot)) {}
    context_scope(const context_scope&) = delete;
    context_scope& operator=(const context_scope&) = delete;
    ~context_scope() { this_thread.context = before_; }

private:
    context_word* before_;
};

} // namespace detail

/// A set of values of context variables, apart from any task: `copy_context()` takes one, and code runs in it.
///
/// A handle: copies refer to the same context, and equal each other. What code that runs in it sets stays in it.
/// Threads: one at a time; the values themselves may be shared.
/// Cost: one small allocation.
/// Example: `auto ctx = copy_context(); ctx.run([] { request_id.set("none"); });`
/// See also: context_var, task_options.
class context {
public:
    /// An empty one: every variable has its default in it.
    context() : cell_(new detail::context_cell(detail::context_map_ptr())) {}
    context(const context&) noexcept = default; // moving copies, so that there is none without a cell
    context& operator=(const context&) noexcept = default;
    ~context() = default;

    /// Calls `f(args...)` in this context and gives what that returns. `f` is a plain call: a coroutine that it returns
    /// runs where it is awaited. Contexts nest, also in themselves.
    template<class F, class... Args>
    decltype(auto) run(F&& f, Args&&... args) const {
        detail::context_slot slot(cell_);
        const detail::context_scope inside(&slot);
        return std::forward<F>(f)(std::forward<Args>(args)...);
    }

    /// Another context that starts with the same values.
    context copy() const { return context(detail::context_cell_ptr(new detail::context_cell(cell_->map))); }
    /// How many variables have a value in it.
    std::size_t size() const noexcept { return cell_->map ? cell_->map->size() : 0; }

    friend bool operator==(const context& a, const context& b) noexcept { return a.cell_ == b.cell_; }

    /// For those who start work in it.
    detail::context_cell_ptr cell() const noexcept { return cell_; }

private:
    friend context copy_context();
    explicit context(detail::context_cell_ptr cell) noexcept : cell_(std::move(cell)) {}

    detail::context_cell_ptr cell_;
};

/// A context that starts with the values that the running code sees.
inline context copy_context() {
    detail::context_slot copied;
    copied.inherit(detail::current_context());
    return context(copied.cell());
}

} // namespace asynchio

#pragma GCC visibility pop
