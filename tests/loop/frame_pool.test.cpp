// SPDX-License-Identifier: BSL-1.0
// covers: loop/detail/frame_memory.hpp
#include <asynchio/loop/detail/frame_pool.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <set>
#include <thread>
#include <vector>

namespace {

using asynchio::detail::frame_pool;
using asynchio::detail::pool_frames;

bool aligned(const void* address) { return reinterpret_cast<std::uintptr_t>(address) % 64 == 0; }

std::vector<void*> take(std::size_t count, std::size_t size) {
    std::vector<void*> blocks;
    for (std::size_t i = 0; i < count; ++i) blocks.push_back(frame_pool::allocate(size));
    return blocks;
}

void give_back(const std::vector<void*>& blocks, std::size_t size) {
    for (void* each : blocks) frame_pool::deallocate(each, size);
}

std::size_t common(const std::vector<void*>& a, const std::vector<void*>& b) {
    const std::set<void*> known(a.begin(), a.end());
    std::size_t count = 0;
    for (void* each : b) count += known.count(each);
    return count;
}

std::size_t slabs() { return asynchio::detail::frame_memory::shared.slabs(); }

} // namespace

TEST_CASE("frame_pool: blocks of every size are aligned to 64, and do not overlap") {
    const std::ptrdiff_t before = frame_pool::live();
    std::vector<std::pair<unsigned char*, std::size_t>> blocks;
    for (std::size_t size = 1; size <= 2100; size += 13) {
        auto* block = static_cast<unsigned char*>(frame_pool::allocate(size));
        REQUIRE(aligned(block));
        std::memset(block, static_cast<int>(size % 251), size);
        blocks.emplace_back(block, size);
    }
    CHECK(frame_pool::live() - before == static_cast<std::ptrdiff_t>(blocks.size()));
    for (const auto& [block, size] : blocks) {
        for (std::size_t i = 0; i < size; ++i) REQUIRE(block[i] == size % 251);
        frame_pool::deallocate(block, size);
    }
    CHECK(frame_pool::live() == before);
}

TEST_CASE("frame_pool: a block that was given back is the next one of its size") {
    void* first = frame_pool::allocate(200);
    frame_pool::deallocate(first, 200);
    void* second = frame_pool::allocate(256); // of the same class
    if (pool_frames) CHECK(second == first);
    void* third = frame_pool::allocate(256);
    CHECK(third != second);
    frame_pool::deallocate(third, 256);
    frame_pool::deallocate(second, 256);
}

TEST_CASE("frame_pool: more blocks than two magazines hold are all used again") {
    const std::vector<void*> first = take(5000, 64);
    CHECK(std::set<void*>(first.begin(), first.end()).size() == 5000);
    give_back(first, 64);
    const std::vector<void*> second = take(5000, 64);
    CHECK(std::set<void*>(second.begin(), second.end()).size() == 5000);
    if (pool_frames) CHECK(common(first, second) == 5000);
    give_back(second, 64);
}

TEST_CASE("frame_pool: blocks that another thread gave back are used again", "[time]") {
    const std::ptrdiff_t before = frame_pool::live();
    const std::vector<void*> first = take(3000, 320);
    std::thread([&first] { give_back(first, 320); }).join();
    const std::vector<void*> second = take(3000, 320);
    if (pool_frames) CHECK(common(first, second) == 3000);
    give_back(second, 320);
    CHECK(frame_pool::live() == before);
}

TEST_CASE("frame_pool: blocks outlive the thread that took them", "[time]") {
    const std::ptrdiff_t before = frame_pool::live();
    std::vector<void*> blocks;
    std::thread([&blocks] { blocks = take(100, 448); }).join();
    CHECK(frame_pool::live() - before == 100);
    for (void* each : blocks) std::memset(each, 1, 448);
    give_back(blocks, 448);
    CHECK(frame_pool::live() == before);
    const std::vector<void*> again = take(100, 448);
    if (pool_frames) CHECK(common(blocks, again) == 100);
    give_back(again, 448);
}

TEST_CASE("frame_pool: what an ended thread kept goes to others", "[time]") {
    std::vector<void*> theirs;
    std::thread([&theirs] {
        theirs = take(2500, 576);
        give_back(theirs, 576);
    }).join();
    const std::vector<void*> mine = take(2600, 576); // some that this thread kept come first
    if (pool_frames) CHECK(common(theirs, mine) == 2500);
    give_back(mine, 576);
}

TEST_CASE("frame_pool: destructors at the end of a thread may still give back", "[time]") {
    struct late {
        std::vector<void*> blocks;
        ~late() { give_back(blocks, 704); }
    };
    std::vector<void*> theirs;
    const std::ptrdiff_t before = frame_pool::live();
    std::thread([&theirs] {
        static thread_local late keeper; // made before the pool knows the thread, destroyed after it forgot it
        keeper.blocks = take(50, 704);
        theirs = keeper.blocks;
    }).join();
    CHECK(frame_pool::live() == before);
    const std::vector<void*> mine = take(150, 704); // some that this thread kept come first
    if (pool_frames) CHECK(common(theirs, mine) == 50);
    give_back(mine, 704);
}

TEST_CASE("frame_pool: destructors at the end of a thread may still take, and nothing stays there", "[time]") {
    struct late {
        ~late() {
            for (const std::size_t size : {832U, 1088U}) give_back(take(3, size), size);
        }
    };
    const std::ptrdiff_t before = frame_pool::live();
    std::size_t after_first = 0;
    for (int round = 0; round < 20; ++round) {
        std::thread([] {
            static thread_local late keeper; // destroyed after the pool forgot the thread
            static_cast<void>(&keeper);
            give_back(take(10, 832), 832);
        }).join();
        REQUIRE(frame_pool::live() == before);
        if (round == 0) after_first = slabs();
    }
    CHECK(slabs() == after_first);
}

TEST_CASE("frame_pool: slabs grow, so that many blocks take few", "[time]") {
    if (!pool_frames) return;
    const std::size_t before = slabs();
    std::thread([] { give_back(take(30'000, 960), 960); }).join(); // 27.5 MiB, of 1 MiB in the end
    CHECK(slabs() - before >= 25);                                 // some blocks may come from other tests
    CHECK(slabs() - before <= 34);
}

TEST_CASE("frame_pool: what an ended thread kept counts as given back, in every class", "[time]") {
    const std::ptrdiff_t before = frame_pool::live();
    for (std::size_t size = 64; size <= 1088; size += 64) {
        std::thread([size] { give_back(take(2500, size), size); }).join(); // both magazines and the depot have some
        REQUIRE(frame_pool::live() == before);
    }
}

TEST_CASE("frame_pool: threads that come and go do not take a slab each", "[time]") {
    if (!pool_frames) return;
    const std::ptrdiff_t before = frame_pool::live();
    std::vector<void*> blocks;
    for (const std::size_t here = slabs(); slabs() == here;)
        blocks.push_back(frame_pool::allocate(192)); // none is free
    std::size_t after_first = 0;
    for (int i = 0; i < 500; ++i) {
        std::thread([&blocks] { blocks.push_back(frame_pool::allocate(192)); }).join(); // it outlives the thread
        if (i == 0) after_first = slabs();
    }
    CHECK(slabs() <= after_first + 2);
    give_back(blocks, 192);
    CHECK(frame_pool::live() == before);
}

TEST_CASE("frame_pool: memory of frames of one size serves those of another, in any order", "[time]") {
    if (!pool_frames) return;
    const std::ptrdiff_t before = frame_pool::live();
    std::mt19937 random(1);
    std::thread([&random] { // with a cache of its own
        std::size_t most = 0;
        for (const std::size_t size : {320U, 1024U, 128U, 704U, 64U, 512U}) {
            const std::size_t count = std::size_t(24) * 1024 * 1024 / size;
            std::vector<void*> blocks = take(count, size);
            for (void* each : blocks) std::memset(each, 5, size);
            std::shuffle(blocks.begin(), blocks.end(), random);
            const std::size_t bytes = asynchio::detail::frame_memory::shared.slab_bytes();
            if (most == 0) most = bytes;
            CHECK(bytes <= most + most / 2);
            give_back(blocks, size);
        }
    })
        .join();
    CHECK(frame_pool::live() == before);
}

TEST_CASE("frame_pool: slabs in which something is in use are not cut anew", "[time]") {
    if (!pool_frames) return;
    std::thread([] {
        std::vector<void*> first = take(100'000, 256);
        std::vector<void*> kept;
        std::vector<void*> rest;
        for (std::size_t i = 0; i < first.size(); ++i) (i % 1000 == 0 ? kept : rest).push_back(first[i]);
        for (std::size_t i = 0; i < kept.size(); ++i) std::memset(kept[i], static_cast<int>(i), 256);
        give_back(rest, 256);
        const std::vector<void*> second = take(50'000, 640);
        for (void* each : second) std::memset(each, 255, 640);
        for (std::size_t i = 0; i < kept.size(); ++i)
            for (std::size_t at = 0; at < 256; ++at)
                REQUIRE(static_cast<unsigned char*>(kept[i])[at] == static_cast<unsigned char>(i));
        const std::vector<void*> third = take(90'000, 256); // what lay in such slabs still serves
        CHECK(common(rest, third) > 80'000);
        give_back(second, 640);
        give_back(third, 256);
        give_back(kept, 256);
    }).join();
}

TEST_CASE("frame_pool: a held block stays when its coroutine goes") {
    const std::ptrdiff_t before = frame_pool::live();
    void* outer = frame_pool::allocate(100);
    void* inner = frame_pool::allocate(300);
    std::size_t inner_size = 0;
    const std::size_t outer_size = frame_pool::hold(outer, [&]() noexcept {
        inner_size = frame_pool::hold(inner, [&]() noexcept { frame_pool::deallocate(inner, 300); });
        frame_pool::deallocate(outer, 100);
    });
    CHECK(outer_size == 100);
    CHECK(inner_size == 300);
    CHECK(frame_pool::live() - before == 2);
    std::memset(outer, 1, 100);
    std::memset(inner, 2, 300);
    frame_pool::deallocate(outer, outer_size);
    frame_pool::deallocate(inner, inner_size);
    CHECK(frame_pool::live() == before);
}

TEST_CASE("frame_pool: threads that change sizes at the same time share what they have", "[time][stress]") {
    const std::ptrdiff_t before = frame_pool::live();
    std::vector<std::thread> workers;
    for (unsigned i = 0; i < 3; ++i)
        workers.emplace_back([i] {
            for (unsigned round = 0; round < 6; ++round) {
                const std::size_t size = 64 * (1 + (round * 5 + i * 3) % 16);
                const std::vector<void*> blocks = take(std::size_t(6) * 1024 * 1024 / size, size);
                for (void* each : blocks) std::memset(each, static_cast<int>(i), size);
                for (void* each : blocks)
                    for (const std::size_t at : {std::size_t(0), size - 1})
                        if (static_cast<unsigned char*>(each)[at] != i) std::abort();
                give_back(blocks, size);
            }
        });
    for (std::thread& each : workers) each.join();
    CHECK(frame_pool::live() == before);
}

TEST_CASE("frame_pool: threads take and give back each other's blocks at the same time", "[time][stress]") {
    const std::ptrdiff_t before = frame_pool::live();
    constexpr std::size_t threads = 4;
    std::vector<std::vector<void*>> exchanged(threads);
    for (int round = 0; round < 5; ++round) {
        std::vector<std::thread> workers;
        for (std::size_t i = 0; i < threads; ++i)
            workers.emplace_back([&mine = exchanged[i]] {
                give_back(mine, 128);
                mine = take(2000, 128);
                for (void* each : mine) std::memset(each, 7, 128);
            });
        for (std::thread& each : workers) each.join();
        std::set<void*> all;
        for (const auto& each : exchanged) all.insert(each.begin(), each.end());
        REQUIRE(all.size() == threads * 2000);
        exchanged[0].swap(exchanged[1]);
        exchanged[2].swap(exchanged[3]);
    }
    for (const auto& each : exchanged) give_back(each, 128);
    CHECK(frame_pool::live() == before);
}
