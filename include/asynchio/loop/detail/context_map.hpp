// SPDX-License-Identifier: BSL-1.0
#pragma once

// The values of context variables: an immutable map that tasks, callbacks and worker threads share by counting
// references.

#include <asynchio/core/detail/counted_ptr.hpp>

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// The key of a variable, which is never used twice in a process.
using context_key = std::uint64_t;

inline context_key next_context_key() noexcept {
    static constinit context_key last = 0;
    return __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}

/// One value. It never changes, so any number of threads may read it.
class context_value : public counted_object<context_value> {
public:
    virtual void destroy() noexcept = 0;

protected:
    context_value() noexcept = default;
    virtual ~context_value() = default;
};

using context_value_ptr = counted_ptr<context_value>;

/// A map from variables to their values, sorted by key. It never changes: setting a variable makes a new map.
///
/// Cost: looking a value up is O(log n), setting one O(n) in the number of variables that have a value, which is small.
class context_map : public counted_object<context_map> {
public:
    using pointer = counted_ptr<context_map>;

    /// Returns the value of `key`, null if it has none in `map`; a null `map` is an empty one.
    static context_value* find(const context_map* map, context_key key) noexcept {
        if (map == nullptr) return nullptr;
        const std::size_t place = map->lower_bound(key);
        return place < map->size_ && map->entries()[place].key == key ? map->entries()[place].value.get() : nullptr;
    }

    /// Returns a map with the entries of `map` and `value` for `key`; without `key` if `value` is null.
    static pointer with(const context_map* map, context_key key, context_value_ptr value) {
        const std::size_t before = map == nullptr ? 0 : map->size_;
        const std::size_t place = map == nullptr ? 0 : map->lower_bound(key);
        const bool found = place < before && map->entries()[place].key == key;
        const std::size_t size = before - (found ? 1 : 0) + (value ? 1 : 0);
        if (size == 0) return {};
        pointer made(new (::operator new(sizeof(context_map) + size * sizeof(entry))) context_map);
        for (std::size_t i = 0; i < place; ++i) made->append(map->entries()[i]);
        if (value) made->append(entry{key, std::move(value)});
        for (std::size_t i = place + (found ? 1 : 0); i < before; ++i) made->append(map->entries()[i]);
        return made;
    }

    std::size_t size() const noexcept { return size_; }
    void destroy() noexcept {
        for (std::size_t i = size_; i-- > 0;) entries()[i].~entry();
        this->~context_map();
        ::operator delete(this);
    }

private:
    struct entry {
        context_key key;
        context_value_ptr value;
    };

    context_map() noexcept = default;
    ~context_map() = default;

    entry* entries() noexcept { return std::launder(reinterpret_cast<entry*>(this + 1)); }
    const entry* entries() const noexcept { return std::launder(reinterpret_cast<const entry*>(this + 1)); }
    void append(entry e) noexcept {
        ::new (static_cast<void*>(reinterpret_cast<entry*>(this + 1) + size_)) entry(std::move(e));
        ++size_;
    }

    /// Returns the first place whose key is not below `key`.
    std::size_t lower_bound(context_key key) const noexcept {
        std::size_t low = 0;
        std::size_t high = size_;
        while (low < high) {
            const std::size_t middle = (low + high) / 2;
            if (entries()[middle].key < key)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    }

    std::size_t size_ = 0;
};

using context_map_ptr = context_map::pointer;

} // namespace asynchio::detail

#pragma GCC visibility pop
