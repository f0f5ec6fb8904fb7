// SPDX-License-Identifier: BSL-1.0
#pragma once

// Contexts: the values of context variables that belong to a task, to a call that the loop makes, or to a thread.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/loop/detail/context_map.hpp>
#include <asynchio/loop/detail/scheduler.hpp>

#include <cstdint>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

/// Whether any variable was ever set in this process: until then, no values need to be passed on.
inline constinit bool context_touched = false;
inline bool context_in_use() noexcept { return __atomic_load_n(&context_touched, __ATOMIC_RELAXED); }

/// A context that has an identity, for tokens and for code that shares it. It belongs to one thread at a time.
struct context_cell : counted_object<context_cell> {
    explicit context_cell(context_map_ptr m) noexcept : map(std::move(m)) {}

    context_map_ptr map;
};
using context_cell_ptr = counted_ptr<context_cell>;

/// One word that holds a context: nothing (an empty context), a map that was inherited, or a cell of its own, which it
/// gets when a variable is set. So inheriting allocates nothing, and an empty context costs nothing.
///
/// It is trivial, since it is part of every coroutine frame: its owner calls drop() in the end.
class context_word {
public:
    bool empty() const noexcept { return bits_ == 0; }

    /// Returns the values; null when there are none.
    const context_map* map() const noexcept { return has_cell() ? cell_of(bits_)->map.get() : map_of(bits_); }

    /// Returns the cell, which it makes if there is none yet. @throws std::bad_alloc when there is no memory for it.
    context_cell_ptr cell() {
        if (!has_cell()) {
            auto* made = new context_cell(context_map_ptr());
            made->map = context_map_ptr(map_of(bits_));
            bits_ = reinterpret_cast<std::uintptr_t>(made) | cell_tag;
        }
        return context_cell_ptr::to(*cell_of(bits_));
    }

    /// Makes an empty word start with the values of `other`.
    void inherit(const context_word& other) noexcept {
        const context_map* values = other.map();
        if (values == nullptr) return;
        auto* counted = const_cast<context_map*>(values); // maps are only read; any owner may change the count
        counted->retain();
        bits_ = reinterpret_cast<std::uintptr_t>(counted) | map_tag;
    }
    /// Makes an empty word hold `cell` itself.
    void share(context_cell_ptr cell) noexcept {
        if (cell) bits_ = reinterpret_cast<std::uintptr_t>(cell.release()) | cell_tag;
    }

    /// Drops what it holds.
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

/// A context_word that owns: its destructor drops what it holds.
class context_slot : public context_word {
public:
    constexpr context_slot() noexcept = default;
    explicit context_slot(context_cell_ptr cell) noexcept { share(std::move(cell)); }
    context_slot(context_slot&& other) noexcept : context_word(other) { other.bits_ = 0; }
    context_slot& operator=(context_slot&& other) noexcept {
        bits_ = detail::exchange(other.bits_, bits_);
        return *this;
    }
    ~context_slot() { drop(); }
};

/// Returns the context of code that runs outside of loops and their calls. It is noinline because a coroutine may go on
/// on another thread, and compilers remember addresses of thread-local variables.
[[gnu::noinline]] inline context_word& context_of_thread() noexcept {
    static thread_local context_slot own;
    return own;
}

/// Returns the context of the running code.
[[gnu::noinline]] inline context_word& current_context() noexcept {
    const thread_state& thread = this_thread;
    if (thread.context != nullptr) return *thread.context;
    if (thread.running != nullptr)
        if (context_word* of_task = thread.running->context_of_current(); of_task != nullptr) return *of_task;
    return context_of_thread();
}

/// Returns the context with which a task or call that is created now starts.
inline context_slot inherited_context() noexcept {
    context_slot made;
    if (context_in_use()) made.inherit(current_context());
    return made;
}

/// Makes a context current in a plain call while it lives; null stands for that of the task or thread.
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

/// A set of values of context variables, apart from any task. copy_context() makes one, and code runs in it.
///
/// Behaviour: it is a handle: copies refer to the same context, and are equal. Values that code sets while it runs in
/// the context stay in it.
/// Threads: one thread at a time; the values themselves may be shared.
/// Lifetime: the context lives as long as a handle, or a task that runs in it.
/// Cost: one small allocation.
/// Example: `auto ctx = copy_context(); ctx.run([] { request_id.set("none"); });`
/// See also: context_var, task_options.
class context {
public:
    /// Makes an empty context, in which every variable has its default. @throws std::bad_alloc without memory.
    context() : cell_(new detail::context_cell(detail::context_map_ptr())) {}
    context(const context&) noexcept = default; // moving copies, so that there is none without a cell
    context& operator=(const context&) noexcept = default;
    ~context() = default;

    /// Calls `f(args...)` in this context. Contexts nest, also in themselves.
    /// @param f a callable. A coroutine that it returns runs in the context where it is awaited. @param args its
    /// arguments.
    /// @return what `f` returns. @throws what `f` throws.
    template<class F, class... Args>
    decltype(auto) run(F&& f, Args&&... args) const {
        detail::context_slot slot(cell_);
        const detail::context_scope inside(&slot);
        return std::forward<F>(f)(std::forward<Args>(args)...);
    }

    /// Returns another context that starts with the values of this one.
    context copy() const { return context(detail::context_cell_ptr(new detail::context_cell(cell_->map))); }
    /// Returns how many variables have a value in the context.
    std::size_t size() const noexcept { return cell_->map ? cell_->map->size() : 0; }

    friend bool operator==(const context& a, const context& b) noexcept { return a.cell_ == b.cell_; }

private:
    friend struct detail::access;
    friend context copy_context();
    explicit context(detail::context_cell_ptr cell) noexcept : cell_(std::move(cell)) {}

    detail::context_cell_ptr cell_;
};

/// Returns a context that starts with the values that the running code sees.
/// @throws std::bad_alloc without memory. Threads: any.
inline context copy_context() {
    detail::context_slot copied;
    copied.inherit(detail::current_context());
    return context(copied.cell());
}

} // namespace asynchio

#pragma GCC visibility pop
