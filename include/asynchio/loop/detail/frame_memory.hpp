// SPDX-License-Identifier: BSL-1.0
#pragma once

// The memory of frame_pool: slabs, the blocks that are cut from them, and the part of them that threads share. It
// depends on nothing but operator new; the few atomic operations are the compiler's own, see
// tests/compile_cost/README.md.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/detail/spin_lock.hpp>

#include <cstddef>
#include <new>

#pragma GCC visibility push(default)

namespace asynchio::detail::frame_memory {

inline constexpr std::size_t granule = 64;
inline constexpr std::size_t frame_classes = 17; // index 1 to 16; 0 is unused

/// A free block. It counts itself and the blocks below it, down to one of the two ends.
struct block {
    block* next;
    std::size_t depth;
    block* next_magazine; // used in the first block of a magazine in the depot
};
inline constexpr std::size_t magazine_size = 1024;
/// The end of every magazine; only this block has no next one.
inline constinit block end{nullptr, 0, nullptr};
/// The end of a class of blocks that its thread has not used yet: the first block that is returned takes the slow path.
inline constinit block untouched{nullptr, magazine_size - 1, nullptr};

/// A stack of free blocks.
struct magazine {
    block* first;

    bool empty() const noexcept { return first->next == nullptr; }
    std::size_t size() const noexcept { return empty() ? 0 : first->depth; }
    void push(void* address) noexcept { first = new (address) block{first, first->depth + 1, nullptr}; }
    /// Takes the magazine into use: from then on it has the same end as others.
    void touch() noexcept {
        if (first == &untouched) {
            first = &end;
        } else if (first->next == &untouched) {
            first->next = &end;
            first->depth = 1;
        }
    }
};

/// The front of a slab.
struct slab : block { // blocks that recycle() sorts point to it
    slab* next_slab;
    std::size_t bytes; // with this front
    std::size_t free;  // bytes in the depot, when it was last examined
};
static_assert(sizeof(slab) <= granule);

/// A region of a slab that is not cut into blocks yet.
struct region {
    char* first = nullptr;
    char* last = nullptr;

    std::size_t size() const noexcept { return static_cast<std::size_t>(last - first); }
    void* cut(std::size_t bytes) noexcept { return detail::exchange(first, first + bytes); }
};

/// The memory that threads share. Slabs are linked so that leak checkers see them as reachable.
class depot {
public:
    /// Takes a whole magazine of class `index`, which is empty afterwards.
    void give(std::size_t index, magazine& full) noexcept {
        const guard lock(lock_);
        give_locked(index, full);
    }
    /// Returns a magazine of class `index`, perhaps an empty one.
    magazine take(std::size_t index) noexcept {
        const guard lock(lock_);
        block* const first = full_[index];
        if (first == nullptr) return magazine{&end};
        full_[index] = first->next_magazine;
        free_bytes_ -= first->depth * index * granule;
        return magazine{first};
    }

    /// Takes a region that its thread does not need any more. A region that is too small for every size waits until its
    /// slab is empty.
    void give(region rest) noexcept {
        if (rest.size() == 0) return;
        const guard lock(lock_);
        kept_region*& list = rest.size() < largest ? scraps_ : regions_;
        list = new (rest.first) kept_region{list, rest.last};
    }
    /// Returns a region in which all sizes fit: one that was returned, a slab without a block in use, or a new slab.
    /// @throws std::bad_alloc without memory.
    [[gnu::cold]] region take_region(std::size_t slab_bytes) {
        {
            const guard lock(lock_);
            if (kept_region* const kept = regions_) {
                regions_ = kept->next;
                return region{reinterpret_cast<char*>(kept), kept->last};
            }
            if (slab* const empty = empty_slabs_) {
                empty_slabs_ = empty->next_slab;
                return open(*empty);
            }
        }
        void* const address = ::operator new(slab_bytes, std::align_val_t(granule));
        const guard lock(lock_);
        return open(*new (address) slab{{nullptr, 0, nullptr}, nullptr, slab_bytes, 0});
    }

    /// Whether so much memory lies here in blocks of other sizes that it is worth looking for slabs that are empty. The
    /// search takes time for each block. It is repeated only when there is a quarter more, so it remains a part of the
    /// time that filling so many slabs takes.
    bool should_recycle() noexcept {
        const guard lock(lock_);
        return !recycling_ && regions_ == nullptr && empty_slabs_ == nullptr && slab_bytes_ >= recycle_at_ &&
               free_bytes_ >= slab_bytes_ / 4;
    }
    /// Finds the slabs all of whose blocks lie here, and takes them apart, so that they can be cut into other sizes.
    /// Without memory for the table it does nothing.
    [[gnu::noinline]] void recycle() noexcept {
        depot mine; // the blocks that this call sorts, while other threads go on
        std::size_t slabs = 0;
        {
            const guard lock(lock_);
            if (detail::exchange(recycling_, true)) return;
            for (std::size_t index = 1; index < frame_classes; ++index)
                mine.full_[index] = detail::exchange(full_[index], nullptr);
            mine.regions_ = detail::exchange(regions_, nullptr);
            mine.scraps_ = detail::exchange(scraps_, nullptr);
            mine.slabs_ = slabs_; // slabs that are opened meanwhile come before it
            mine.free_bytes_ = detail::exchange(free_bytes_, std::size_t(0));
        }
        for (slab* each = mine.slabs_; each != nullptr; each = each->next_slab) ++slabs;
        if (auto** const table = static_cast<slab**>(::operator new(slabs * sizeof(slab*), std::nothrow))) {
            mine.sort_out(table, slabs);
            ::operator delete(static_cast<void*>(table));
        }
        const guard lock(lock_);
        take_back(mine);
        for (slab** place = &slabs_; *place != nullptr;) {
            slab& each = **place;
            if (each.free == each.bytes - granule) {
                *place = each.next_slab;
                each.next_slab = detail::exchange(empty_slabs_, &each);
                slab_bytes_ -= each.bytes;
            } else {
                place = &each.next_slab;
            }
        }
        recycle_at_ = slab_bytes_ + slab_bytes_ / 4 + least;
        recycling_ = false;
    }

    // These are called around a fork, so that the child does not wait for a thread that it does not have.

    void lock() noexcept { lock_.lock(); }
    void unlock() noexcept { lock_.unlock(); }
    void unlock_in_child() noexcept {
        recycling_ = false;
        unlock();
    }

    /// The blocks that were taken minus those that were returned, by threads that have ended.
    std::ptrdiff_t live() noexcept {
        const guard lock(lock_);
        return live_;
    }
    void settle(std::ptrdiff_t blocks) noexcept {
        const guard lock(lock_);
        live_ += blocks;
    }
    /// Returns how many bytes are cut into blocks, or wait for that.
    std::size_t slab_bytes() noexcept {
        const guard lock(lock_);
        std::size_t all = slab_bytes_;
        for (const slab* each = empty_slabs_; each != nullptr; each = each->next_slab) all += each->bytes;
        return all;
    }
    /// Returns how many slabs there are.
    std::size_t slabs() noexcept {
        const guard lock(lock_);
        std::size_t count = 0;
        for (const slab* each = slabs_; each != nullptr; each = each->next_slab) ++count;
        for (const slab* each = empty_slabs_; each != nullptr; each = each->next_slab) ++count;
        return count;
    }

private:
    using guard = spin_lock::guard;
    struct kept_region {
        kept_region* next;
        char* last;
    };
    static constexpr std::size_t largest = (frame_classes - 1) * granule;
    /// The minimum for which a search is worth its time.
    static constexpr std::size_t least = std::size_t(4) * 1024 * 1024;

    void give_locked(std::size_t index, magazine& full) noexcept {
        if (full.empty()) return;
        free_bytes_ += full.size() * index * granule;
        full.first->next_magazine = full_[index];
        full_[index] = detail::exchange(full.first, &end);
    }
    region open(slab& one) noexcept {
        one.next_slab = detail::exchange(slabs_, &one);
        one.free = 0;
        slab_bytes_ += one.bytes;
        char* const first = reinterpret_cast<char*>(&one);
        return region{first + granule, first + one.bytes};
    }

    /// Counts the free bytes of each slab, and drops the blocks of slabs that are empty.
    [[gnu::cold]] void sort_out(slab** table, std::size_t slabs) noexcept {
        std::size_t filled = 0;
        for (slab* each = slabs_; each != nullptr; each = each->next_slab) {
            each->free = 0;
            table[filled++] = each;
        }
        for (std::size_t gap = slabs / 2; gap > 0; gap /= 2) { // Shell's sort, for some hundreds
            for (std::size_t i = gap; i < slabs; ++i) {
                slab* const moving = table[i];
                std::size_t hole = i;
                for (; hole >= gap && table[hole - gap] > moving; hole -= gap) table[hole] = table[hole - gap];
                table[hole] = moving;
            }
        }
        const auto home_of = [table, slabs](void* address) -> slab& {
            std::size_t first = 0;
            for (std::size_t last = slabs; last - first > 1;) {
                const std::size_t middle = first + (last - first) / 2;
                (static_cast<void*>(table[middle]) <= address ? first : last) = middle;
            }
            return *table[first];
        };
        const auto is_empty = [](const slab& one) { return one.free == one.bytes - granule; };

        block* found[frame_classes] = {};
        for (std::size_t index = 1; index < frame_classes; ++index) {
            for (block* first = detail::exchange(full_[index], nullptr); first != nullptr;) {
                block* const after = first->next_magazine;
                for (block* each = first; each != &end;) {
                    slab& home = home_of(each);
                    home.free += index * granule;
                    each->next_magazine = &home;
                    block* const below = detail::exchange(each->next, found[index]);
                    found[index] = each;
                    each = below;
                }
                first = after;
            }
        }
        const auto count = [home_of](kept_region* each) {
            for (; each != nullptr; each = each->next)
                home_of(each).free += static_cast<std::size_t>(each->last - reinterpret_cast<char*>(each));
        };
        count(regions_);
        count(scraps_);

        free_bytes_ = 0;
        for (std::size_t index = 1; index < frame_classes; ++index) {
            magazine rest{&end};
            for (block* each = found[index]; each != nullptr;) {
                block* const after = each->next;
                if (!is_empty(static_cast<slab&>(*each->next_magazine))) rest.push(each);
                if (rest.size() == magazine_size) give_locked(index, rest);
                each = after;
            }
            give_locked(index, rest);
        }
        const auto keep_others = [home_of, is_empty](kept_region** place) {
            while (*place != nullptr) {
                if (is_empty(home_of(*place)))
                    *place = (*place)->next;
                else
                    place = &(*place)->next;
            }
        };
        keep_others(&regions_);
        keep_others(&scraps_);
    }

    [[gnu::cold]] void take_back(depot& sorted) noexcept {
        for (std::size_t index = 1; index < frame_classes; ++index) {
            block** place = &full_[index];
            while (*place != nullptr) place = &(*place)->next_magazine;
            *place = sorted.full_[index];
        }
        append(regions_, sorted.regions_);
        append(scraps_, sorted.scraps_);
        free_bytes_ += sorted.free_bytes_;
    }

    [[gnu::cold]] static void append(kept_region*& list, kept_region* more) noexcept {
        kept_region** place = &list;
        while (*place != nullptr) place = &(*place)->next;
        *place = more;
    }

    spin_lock lock_;
    bool recycling_ = false;
    block* full_[frame_classes] = {};
    kept_region* regions_ = nullptr;
    kept_region* scraps_ = nullptr;
    slab* slabs_ = nullptr;       // slabs with blocks
    slab* empty_slabs_ = nullptr; // found by recycle()
    std::size_t slab_bytes_ = 0;  // bytes of slabs_
    std::size_t free_bytes_ = 0;  // bytes in magazines
    std::size_t recycle_at_ = least;
    std::ptrdiff_t live_ = 0;
};

} // namespace asynchio::detail::frame_memory

#pragma GCC visibility pop
