// SPDX-License-Identifier: BSL-1.0
#include <asynchio/core/detail/counted_ptr.hpp>

#include "support/catch.hpp"

#include <thread>
#include <utility>
#include <vector>

using asynchio::detail::counted_object;
using asynchio::detail::counted_ptr;

namespace {

class shared : public counted_object<shared> {
public:
    explicit shared(int& ends) : ends_(ends) {}
    ~shared() { ++ends_; }

private:
    int& ends_;
};

/// Counts its pointers itself, from 0 on.
struct counting_itself {
    void retain() noexcept { ++pointers; }
    void release() noexcept {
        if (--pointers == 0) ++ends;
    }
    int pointers = 0;
    int ends = 0;
};

} // namespace

TEST_CASE("counted_ptr: the last one ends the object") {
    int ends = 0;
    {
        counted_ptr<shared> none;
        CHECK_FALSE(none);
        counted_ptr<shared> first(new shared(ends));
        CHECK(first->references == 1);
        const counted_ptr<shared> second = first;
        CHECK(first->references == 2);
        CHECK(first == second);
        none = std::move(first);
        CHECK_FALSE(first);
        CHECK(none->references == 2);
        const counted_ptr<shared>& same = none;
        none = same;
        CHECK(second->references == 2);
        none = {};
        CHECK(second->references == 1);
        CHECK(ends == 0);
    }
    CHECK(ends == 1);
}

TEST_CASE("counted_ptr: an object can count in its own way") {
    counting_itself object;
    {
        auto one = counted_ptr<counting_itself>::to(object);
        auto another = one;
        CHECK(object.pointers == 2);
        one = std::move(another);
        CHECK(object.pointers == 1);
        CHECK(object.ends == 0);
    }
    CHECK(object.ends == 1);
}

TEST_CASE("counted_ptr: gives up its count with the pointer") {
    int ends = 0;
    counted_ptr<shared> one(new shared(ends));
    shared* const released = one.release();
    CHECK_FALSE(one);
    { const counted_ptr<shared> again(released); }
    CHECK(ends == 1);
}

TEST_CASE("counted_ptr: copies come and go on several threads") {
    int ends = 0;
    {
        counted_ptr<shared> one(new shared(ends));
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i)
            threads.emplace_back([copy = one] {
                for (int k = 0; k < 10'000; ++k) {
                    const counted_ptr<shared> another = copy;
                    static_cast<void>(another);
                }
            });
        for (std::thread& each : threads) each.join();
        threads.clear();
        CHECK(one->references == 1);
    }
    CHECK(ends == 1);
}
