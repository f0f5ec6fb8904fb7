// SPDX-License-Identifier: BSL-1.0
#pragma once

// Memory for coroutine frames: recycled blocks of 64-byte size classes, cut from slabs.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/loop/detail/frame_memory.hpp>

#include <cstddef>
#include <new>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool pool_frames = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool pool_frames = false;
#else
inline constexpr bool pool_frames = true;
#endif
#else
inline constexpr bool pool_frames = true;
#endif

namespace frame_memory {

/// The memory of one thread.
struct cache {
    void* held = nullptr;
    std::size_t held_size = 0;
    std::ptrdiff_t blocks = 0; // cut or taken from the depot, minus returned to it: in use, or in the magazines
    magazine loaded[frame_classes];
    magazine spare[frame_classes];
    region uncut;
    std::size_t slabs = 0;   // how many it has opened
    bool closed = false;     // whether the thread is ending: blocks go to the depot at once
    void (*ask)() = nullptr; // see frame_pool::ask_before_each

    constexpr cache() noexcept {
        for (std::size_t index = 0; index < frame_classes; ++index) {
            loaded[index].first = &untouched;
            spare[index].first = &end;
        }
    }
};

inline constinit thread_local cache local{};
inline constinit depot shared{};

} // namespace frame_memory

/// A pool of blocks of 64, 128, ... 1024 bytes, each aligned to 64 so that over-aligned locals of a frame are right.
///
/// A thread takes and returns blocks without any synchronisation: it has two magazines of up to 1,024 free blocks for
/// each class. Full magazines go to a depot that all threads share, and come back from there; so a block may be freed
/// by another thread than the one that took it, also after that one has ended. Memory is kept for the next frame
/// and not returned to the system: the process holds what its largest number of simultaneous frames needed. When frames
/// of another size are needed, slabs without a block in use are cut anew (see frame_memory::depot::recycle).
/// Under AddressSanitizer every frame is an allocation of its own, so that misuse of a freed frame is seen.
///
/// Threads: all functions may be called on any thread.
/// Cost: a handful of instructions; one `operator new` for each slab, of 64 KiB at first and of 1 MiB when there are
/// many.
class frame_pool {
public:
    static constexpr std::size_t granule = frame_memory::granule;

    /// Returns a block. @throws std::bad_alloc when the system has no memory.
    [[gnu::always_inline]] static void* allocate(std::size_t size) {
        const std::size_t index = class_of(size);
        if (!pool_frames || index >= classes) [[unlikely]]
            return allocate_large(size);
        magazine& loaded = frame_memory::local.loaded[index];
        block* first = loaded.first;
        if (block* rest = first->next) [[likely]] {
            loaded.first = rest;
            return first;
        }
        return refill(index);
    }

    [[gnu::always_inline]] static void deallocate(void* address, std::size_t size) noexcept {
        cache& mine = frame_memory::local;
        if (mine.held == address) [[unlikely]] {
            mine.held = nullptr;
            mine.held_size = size;
            return;
        }
        const std::size_t index = class_of(size);
        if (!pool_frames || index >= classes) [[unlikely]]
            return deallocate_large(address);
        magazine& loaded = mine.loaded[index];
        loaded.push(address);
        if (loaded.first->depth >= magazine_size) [[unlikely]]
            rotate(index);
    }

    /// Runs `destroy`, which must deallocate `address`, but keeps the block: its coroutine is gone, and the state that
    /// handles query stays readable. @return the size to pass to deallocate() later.
    template<class Destroy>
    static std::size_t hold(void* address, Destroy destroy) noexcept {
        void* outer = detail::exchange(frame_memory::local.held, address);
        destroy();
        frame_memory::local.held = outer;
        return frame_memory::local.held_size;
    }

    /// Returns the number of blocks taken minus those returned, by the calling thread and by those that have ended.
    static std::ptrdiff_t live() noexcept {
        const cache& mine = frame_memory::local;
        std::size_t free = 0;
        for (std::size_t index = 1; index < classes; ++index)
            free += mine.loaded[index].size() + mine.spare[index].size();
        return frame_memory::shared.live() + mine.blocks - static_cast<std::ptrdiff_t>(free);
    }

    /// For tests: calls `ask()`, which may throw, before each block that this thread takes; null ends that. The blocks
    /// lie in the depot meanwhile, so that each path calls it.
    static void ask_before_each(void (*ask)()) noexcept {
        if (!pool_frames) return; // each block is an operator new
        empty_at_exit();
        frame_memory::local.ask = ask;
        frame_memory::local.closed = ask != nullptr;
        if (ask != nullptr) give_all();
    }

private:
    static constexpr std::size_t classes = frame_memory::frame_classes;
    static constexpr std::size_t magazine_size = frame_memory::magazine_size;
    /// Returns the size of the next slab: twice that of the one before, up to 1 MiB, so that the rest that does not
    /// divide by the size of a block is small; and less by what malloc adds, so that the last page is not touched for
    /// that alone.
    static std::size_t slab_size(std::size_t slabs_before) noexcept {
        constexpr std::size_t doublings = 4;
        return (std::size_t(64) * 1024 << (slabs_before < doublings ? slabs_before : doublings)) - 2 * granule;
    }

    using block = frame_memory::block;
    using magazine = frame_memory::magazine;
    using cache = frame_memory::cache;
    using region = frame_memory::region;
    /// Empties the cache of a thread that ends. The first slow path makes it, so that `local` needs no destructor.
    struct reaper {
        reaper() = default;
        reaper(const reaper&) = delete;
        reaper& operator=(const reaper&) = delete;
        [[gnu::cold]] ~reaper() {
            frame_memory::local.closed = true;
            give_all();
        }
    };

    static constexpr std::size_t class_of(std::size_t size) noexcept { return (size + granule - 1) / granule; }

    [[gnu::noinline]] static void* allocate_large(std::size_t size) {
        empty_at_exit();
        void* address = ::operator new(size, std::align_val_t(granule));
        ++frame_memory::local.blocks;
        if (frame_memory::local.closed) settle();
        return address;
    }

    [[gnu::noinline]] static void deallocate_large(void* address) noexcept {
        empty_at_exit();
        --frame_memory::local.blocks;
        if (frame_memory::local.closed) settle();
        ::operator delete(address, std::align_val_t(granule));
    }

    [[gnu::noinline]] static void* refill(std::size_t index) {
        empty_at_exit();
        if (frame_memory::local.ask != nullptr) frame_memory::local.ask();
        magazine& loaded = frame_memory::local.loaded[index];
        loaded.touch();
        if (!frame_memory::local.spare[index].empty()) {
            std::swap(loaded, frame_memory::local.spare[index]);
        } else {
            loaded = frame_memory::shared.take(index);
            frame_memory::local.blocks += static_cast<std::ptrdiff_t>(loaded.size());
        }
        void* const taken = loaded.empty() ? cut(index) : detail::exchange(loaded.first, loaded.first->next);
        if (frame_memory::local.closed) give_all();
        return taken;
    }

    static void empty_at_exit() noexcept {
        static thread_local reaper at_exit;
        (void)&at_exit;
    }

    [[gnu::noinline]] static void* cut(std::size_t index) {
        const std::size_t size = index * granule;
        while (frame_memory::local.uncut.size() < size) {
            frame_memory::shared.give(detail::exchange(frame_memory::local.uncut, region()));
            if (frame_memory::shared.should_recycle()) {
                give_magazines();
                frame_memory::shared.recycle();
            }
            frame_memory::local.uncut = frame_memory::shared.take_region(slab_size(frame_memory::local.slabs));
            ++frame_memory::local.slabs;
        }
        ++frame_memory::local.blocks;
        return frame_memory::local.uncut.cut(size);
    }

    [[gnu::noinline]] static void rotate(std::size_t index) noexcept {
        if (frame_memory::local.closed) return give_last(index);
        magazine& loaded = frame_memory::local.loaded[index];
        if (loaded.first->next == &frame_memory::untouched) {
            empty_at_exit();
            loaded.touch();
            return;
        }
        give(index, frame_memory::local.spare[index]);
        frame_memory::local.spare[index] = detail::exchange(loaded, magazine{&frame_memory::end});
    }

    /// Called when the thread is ending: nothing stays here, and every block that is still returned takes this path.
    static void give_last(std::size_t index) noexcept {
        frame_memory::local.loaded[index].touch();
        give(index, frame_memory::local.loaded[index]);
        frame_memory::local.loaded[index].first = &frame_memory::untouched;
        settle();
    }

    /// Moves all blocks of this thread to the depot, but the region that is not cut.
    [[gnu::cold]] static void give_magazines() noexcept {
        for (std::size_t index = 1; index < classes; ++index) {
            give(index, frame_memory::local.spare[index]);
            frame_memory::local.loaded[index].touch();
            give(index, frame_memory::local.loaded[index]);
            frame_memory::local.loaded[index].first = &frame_memory::untouched;
        }
    }
    /// Moves that region to the depot, too.
    [[gnu::cold]] static void give_all() noexcept {
        give_magazines();
        frame_memory::shared.give(detail::exchange(frame_memory::local.uncut, region()));
        settle();
    }

    static void settle() noexcept {
        frame_memory::shared.settle(detail::exchange(frame_memory::local.blocks, std::ptrdiff_t(0)));
    }

    static void give(std::size_t index, magazine& full) noexcept {
        if (full.empty()) return;
        frame_memory::local.blocks -= static_cast<std::ptrdiff_t>(full.size());
        frame_memory::shared.give(index, full);
    }
};

} // namespace asynchio::detail

#pragma GCC visibility pop
