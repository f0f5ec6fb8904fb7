// SPDX-License-Identifier: BSL-1.0
#pragma once

// A set of pointers: an open-addressing hash table with linear probing (Knuth, TAOCP 6.4, algorithm L).

#include <asynchio/core/detail/trivial_vector.hpp>

#include <cstddef>
#include <cstdint>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// A set of at most as many pointers as it was made for. No pointer is null, and none is taken out.
/// Cost: O(1) for each pointer; one allocation.
class pointer_set {
public:
    /// @throws std::bad_alloc without memory.
    explicit pointer_set(std::size_t most) {
        std::size_t places = 8;
        while (places < 2 * most) places *= 2;
        places_.resize(places);
    }

    /// Adds a pointer. @return whether it was not in the set yet.
    bool insert(const void* pointer) noexcept {
        const std::size_t mask = places_.size() - 1;
        std::size_t place = hash(pointer) & mask;
        while (places_[place] != nullptr) {
            if (places_[place] == pointer) return false;
            place = (place + 1) & mask;
        }
        places_[place] = pointer;
        return true;
    }

private:
    /// Multiplies with the golden ratio (TAOCP 6.4), since the low bits of addresses differ little.
    static std::size_t hash(const void* pointer) noexcept {
        return static_cast<std::size_t>((reinterpret_cast<std::uintptr_t>(pointer) * 0x9e3779b97f4a7c15U) >> 32);
    }

    trivial_vector<const void*> places_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
