// SPDX-License-Identifier: BSL-1.0
#pragma once

// Memory for coroutine frames: recycled blocks of 64-byte size classes, carved from slabs. Depends on nothing but
// operator new; the few atomic operations are the compiler's own, since <atomic> would cost every user 0.2 s.

#include <asynchio/core/exchange.hpp>

#include <cstddef>
#include <new>
#include <utility>

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

inline constexpr std::size_t frame_classes = 17; // index 1 to 16; 0 is unused

/// A free block. It counts itself and those below it, down to one of the two ends.
struct block {
    block* next;
    std::size_t depth;
    block* next_magazine; // of the first of a magazine in the depot
};
inline constexpr std::size_t magazine_size = 1024;
/// The end of every magazine; it alone has no next.
inline constinit block end{nullptr, 0, nullptr};
/// The end of a class of blocks that its thread has not used yet: the first block given back takes the slow path.
inline constinit block untouched{nullptr, magazine_size - 1, nullptr};

/// Blocks on top of each other.
struct magazine {
    block* first;

    bool empty() const noexcept { return first->next == nullptr; }
    std::size_t size() const noexcept { return empty() ? 0 : first->depth; }
    void push(void* address) noexcept { first = new (address) block{first, first->depth + 1, nullptr}; }
    /// Takes it into use: after this it ends as the others do.
    void touch() noexcept {
        if (first == &untouched) {
            first = &end;
        } else if (first->next == &untouched) {
            first->next = &end;
            first->depth = 1;
        }
    }
};
struct cache {
    void* held = nullptr;
    std::size_t held_size = 0;
    std::ptrdiff_t blocks = 0; // carved or taken from the depot, minus given to it: in use, or in the magazines
    magazine loaded[frame_classes];
    magazine spare[frame_classes];
    char* slab = nullptr;
    char* slab_end = nullptr;
    std::size_t slabs = 0; // so far
    bool closed = false; // the thread is ending: blocks go to the depot at once
    void (*ask)() = nullptr; // see frame_pool::ask_before_each

    constexpr cache() noexcept {
        for (std::size_t index = 0; index < frame_classes; ++index) {
            loaded[index].first = &untouched;
            spare[index].first = &end;
        }
    }
};
/// What threads share. Slabs are linked so that leak checkers see them as reachable.
struct depot {
    bool busy = false;
    block* full[frame_classes] = {};
    block* slabs = nullptr;
    std::ptrdiff_t live = 0; // of threads that have ended

    struct guard {
        depot& shared;
        explicit guard(depot& d) noexcept : shared(d) {
            while (__atomic_test_and_set(&shared.busy, __ATOMIC_ACQUIRE)) {}
        }
        guard(const guard&) = delete;
        guard& operator=(const guard&) = delete;
        ~guard() { __atomic_clear(&shared.busy, __ATOMIC_RELEASE); }
    };
};

inline constinit thread_local cache local{};
inline constinit depot shared{};

} // namespace frame_memory

/// Blocks of 64, 128, ... 1024 bytes, each aligned to 64 so that over-aligned locals of a frame are right.
///
/// A thread takes and gives back blocks without any synchronisation: two magazines of up to 1,024 free blocks per
/// class. Full magazines go to a depot that all threads share, and come back from there; so a block may be freed
/// by another thread than the one that took it, also after that one has ended. Memory is kept for the next frame
/// and not returned to the system: the process holds what its largest number of simultaneous frames needed.
/// Under AddressSanitizer every frame is an allocation of its own, so that misuse of a dead one is seen.
///
/// Threads: all functions may be called on any thread.
/// Cost: a handful of instructions; one `operator new` per slab, of 64 KiB at first and of 1 MiB when there are many.
class frame_pool {
public:
    static constexpr std::size_t granule = 64;

    /// @throws std::bad_alloc when the system has no memory.
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

    /// Runs `destroy`, which must deallocate `address`, but keeps the block: its coroutine is gone, what is asked
    /// by handles stays readable. @return the size to give to deallocate later.
    template<class Destroy>
    static std::size_t hold(void* address, Destroy destroy) noexcept {
        void* outer = detail::exchange(frame_memory::local.held, address);
        destroy();
        frame_memory::local.held = outer;
        return frame_memory::local.held_size;
    }

    /// Blocks taken minus blocks given back, by the calling thread and by those that have ended.
    static std::ptrdiff_t live() noexcept {
        const cache& mine = frame_memory::local;
        std::size_t free = 0;
        for (std::size_t index = 1; index < classes; ++index)
            free += mine.loaded[index].size() + mine.spare[index].size();
        const depot::guard lock(frame_memory::shared);
        return frame_memory::shared.live + mine.blocks - static_cast<std::ptrdiff_t>(free);
    }

    /// For tests: calls `ask()`, which may throw, before each block that this thread takes; null ends that. The blocks
    /// lie in the depot meanwhile, so that each way goes past the place that asks.
    static void ask_before_each(void (*ask)()) noexcept {
        if (!pool_frames) return; // each is an operator new
        empty_at_exit();
        frame_memory::local.ask = ask;
        frame_memory::local.closed = ask != nullptr;
        if (ask != nullptr) give_all();
    }

private:
    static constexpr std::size_t classes = frame_memory::frame_classes;
    static constexpr std::size_t magazine_size = frame_memory::magazine_size;
    /// Each twice as large as the one before, up to 1 MiB, so that what does not divide by a block's size is no part worth
    /// naming; and smaller by what malloc adds, so that the last page is not touched for that alone.
    static std::size_t slab_size(std::size_t slabs_before) noexcept {
        constexpr std::size_t doublings = 4;
        return (std::size_t(64) * 1024 << (slabs_before < doublings ? slabs_before : doublings)) - 2 * granule;
    }

    using block = frame_memory::block;
    using magazine = frame_memory::magazine;
    using cache = frame_memory::cache;
    using depot = frame_memory::depot;
    /// Empties the cache of a thread that ends. Made by the first slow path, so that `local` needs no destructor.
    struct reaper {
        reaper() = default;
        reaper(const reaper&) = delete;
        reaper& operator=(const reaper&) = delete;
        ~reaper() {
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
            const depot::guard lock(frame_memory::shared);
            if (block* first = frame_memory::shared.full[index]) {
                frame_memory::shared.full[index] = first->next_magazine;
                loaded.first = first;
                frame_memory::local.blocks += static_cast<std::ptrdiff_t>(first->depth);
            }
        }
        void* const taken = loaded.empty() ? carve(index) : detail::exchange(loaded.first, loaded.first->next);
        if (frame_memory::local.closed) give_all();
        return taken;
    }

    static void empty_at_exit() noexcept {
        static thread_local reaper at_exit;
        (void)&at_exit;
    }

    static void* carve(std::size_t index) {
        const std::size_t size = index * granule;
        if (static_cast<std::size_t>(frame_memory::local.slab_end - frame_memory::local.slab) < size) {
            // The rest serves small frames.
            for (; frame_memory::local.slab != frame_memory::local.slab_end; frame_memory::local.slab += granule) {
                frame_memory::local.loaded[1].touch();
                frame_memory::local.loaded[1].push(frame_memory::local.slab);
                ++frame_memory::local.blocks;
            }
            const std::size_t slab_bytes = slab_size(frame_memory::local.slabs);
            char* slab = static_cast<char*>(::operator new(slab_bytes, std::align_val_t(granule)));
            ++frame_memory::local.slabs;
            const depot::guard lock(frame_memory::shared);
            frame_memory::shared.slabs = new (slab) block{frame_memory::shared.slabs, 0, nullptr};
            frame_memory::local.slab = slab + granule;
            frame_memory::local.slab_end = slab + slab_bytes;
        }
        ++frame_memory::local.blocks;
        return detail::exchange(frame_memory::local.slab, frame_memory::local.slab + size);
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

    /// The thread is ending: nothing stays here, and every block that is given back still comes this way.
    static void give_last(std::size_t index) noexcept {
        frame_memory::local.loaded[index].touch();
        give(index, frame_memory::local.loaded[index]);
        frame_memory::local.loaded[index].first = &frame_memory::untouched;
        settle();
    }

    /// The same with all that is here, also what is not carved yet.
    static void give_all() noexcept {
        for (std::size_t index = 1; index < classes; ++index) {
            give(index, frame_memory::local.spare[index]);
            give_last(index);
        }
        magazine rest{&frame_memory::end};
        for (; frame_memory::local.slab != frame_memory::local.slab_end; frame_memory::local.slab += granule) {
            rest.push(frame_memory::local.slab);
            ++frame_memory::local.blocks;
        }
        give(1, rest);
        settle();
    }

    static void settle() noexcept {
        const depot::guard lock(frame_memory::shared);
        frame_memory::shared.live += detail::exchange(frame_memory::local.blocks, 0);
    }

    static void give(std::size_t index, magazine& full) noexcept {
        if (full.empty()) return;
        frame_memory::local.blocks -= static_cast<std::ptrdiff_t>(full.size());
        const depot::guard lock(frame_memory::shared);
        full.first->next_magazine = frame_memory::shared.full[index];
        frame_memory::shared.full[index] = detail::exchange(full.first, &frame_memory::end);
    }
};

} // namespace asynchio::detail
