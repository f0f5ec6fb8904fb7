// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a loop does at one moment, in a signal handler on its thread, or from another thread while that one sleeps: the
// task that runs, and its chain of coroutines.

#include <asynchio/debug/detail/readable.hpp>
#include <asynchio/loop/detail/loop_core.hpp>
#include <asynchio/task/suspension.hpp>

#include <cstddef>
#include <cstdint>
#include <source_location>

#pragma GCC visibility push(default)

namespace asynchio::debug::detail {

using asynchio::detail::frame;
using asynchio::detail::loop_core;
using asynchio::detail::thread_state;

/// The code that a loop runs. It is taken without an allocation, a lock, or an access to memory that may be gone.
struct task_snapshot {
    enum class code : unsigned char {
        outside, // the loop does not run on this thread
        loop,    // the loop's own
        call,    // a call that is no step of a task
        task,
        unknown, // a task that was just being made, woken or destroyed
    };

    static constexpr std::size_t most_frames = 64;

    code runs = code::outside;
    bool branch = false; // the task is an awaitable that a combinator runs
    bool cut = false;    // the chain is longer: the last line is the innermost one all the same
    std::uint32_t id = 0;
    std::size_t name_length = 0; // 0: the task has no name of its own
    char name[64] = {};
    std::size_t depth = 0;
    std::source_location lines[most_frames] = {}; // the outermost first

    /// Reads what runs. @param thread that of the loop. @param named whether the name of the task is read, too.
    void read(const thread_state& thread, const loop_core& loop, bool named) noexcept {
        bytes_of<thread_state> state;
        depth = 0;
        name_length = 0;
        cut = false;
        runs = code::outside;
        if (!state.read(&thread)) {
            runs = code::unknown;
            return;
        }
        if (state.value.running != &loop) return;
        if (state.value.current == nullptr) {
            runs = state.value.context != nullptr ? code::call : code::loop;
            return;
        }
        const frame& root = static_cast<const frame&>(*state.value.current);
        runs = read_chain(root, loop, named) ? code::task : code::unknown;
    }

private:
    void add(const std::source_location& line) noexcept { lines[depth++] = line; }

    /// A root that has ended is recognised by its flags; so its block can be one that is free already.
    bool read_chain(const frame& root, const loop_core& loop, bool named) noexcept {
        using namespace asynchio::detail;
        bytes_of<frame> each;
        if (!each.read(&root) || !each.value.has(flag_root) || each.value.done() || each.value.loop != &loop)
            return false;
        id = each.value.id;
        branch = each.value.has(flag_branch);
        const void* const resumed = each.value.resume_point;
        if (named && each.value.extra != nullptr) read_name(*each.value.extra.operator->());
        const frame* outer = &root;
        while (const frame* const inner = each.value.awaited_frame()) {
            if (depth == most_frames - 1) {
                cut = true;
                break;
            }
            if (!each.read(inner) || each.value.has(flag_root) || each.value.parent != outer) return false;
            add(each.value.awaited_at);
            outer = inner;
        }
        if (cut) each.read(&frame::of(const_cast<void*>(resumed)));
        if (each.value.awaited_frame() == nullptr) add(each.value.where());
        return true;
    }

    void read_name(const asynchio::detail::task_extra& extra) noexcept {
        struct head { // of the block that a shared_text refers to; the text follows
            std::size_t references;
            std::size_t size;
        };
        static_assert(sizeof(asynchio::detail::shared_text) == sizeof(head*));
        std::uintptr_t text = 0;
        head its{};
        if (!copy_if_readable(&text, &extra.name, sizeof text) || text == 0) return;
        if (!copy_if_readable(&its, reinterpret_cast<const void*>(text), sizeof its)) return;
        const std::size_t shown = its.size < sizeof name ? its.size : sizeof name;
        if (copy_if_readable(name, reinterpret_cast<const void*>(text + sizeof its), shown)) name_length = shown;
    }
};

} // namespace asynchio::debug::detail

#pragma GCC visibility pop
