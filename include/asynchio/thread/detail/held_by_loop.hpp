// SPDX-License-Identifier: BSL-1.0
#pragma once

// An object that belongs to a loop's thread while another thread holds its address, to send it back.

#include <asynchio/core/detail/owner.hpp>
#include <asynchio/loop/detail/intrusive_list.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/future.hpp>

#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// The base of an object that is made, touched and destroyed on its loop's thread alone: let_go() destroys it, in a
/// call that the other thread posts; or else it is destroyed with the loop, when nothing can be posted any more.
class held_by_loop : public list_link {
public:
    held_by_loop(const held_by_loop&) = delete;
    held_by_loop& operator=(const held_by_loop&) = delete;

    template<class T, class... Args>
    static T& make(loop_core& loop, Args&&... args) {
        registry& all = loop.services().get<registry>();
        auto held = make_owner<T>(std::forward<Args>(args)...);
        held->registry_ = &all;
        all.held.push_back(*held);
        return *held.release();
    }

    void let_go() noexcept {
        registry_->held.remove(*this);
        delete this;
    }

protected:
    held_by_loop() noexcept : list_link() {}
    virtual ~held_by_loop() = default;

private:
    struct registry final : service {
        registry() = default;
        registry(const registry&) = delete;
        registry& operator=(const registry&) = delete;
        ~registry() override {
            while (held_by_loop* each = held.pop_front()) delete each;
        }
        void close() noexcept override {}
        bool closed() const noexcept override { return true; }

        intrusive_list<held_by_loop> held;
    };

    registry* registry_ = nullptr;
};

/// A future that another thread will complete.
template<class T>
struct held_future final : held_by_loop {
    explicit held_future(future<T> f) noexcept : target(std::move(f)) {}
    future<T> target;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
