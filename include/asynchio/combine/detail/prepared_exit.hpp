// SPDX-License-Identifier: BSL-1.0
#pragma once

// The end of a block that needs no memory.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/task/detail/frame.hpp>
#include <asynchio/task/task.hpp>

#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// The end of a block whose children must not outlive it. It is made when the block is entered, so that leaving needs
/// no memory.
template<class T>
class prepared_exit {
public:
    prepared_exit() noexcept = default;
    prepared_exit(const prepared_exit&) = delete;
    prepared_exit& operator=(const prepared_exit&) = delete;
    ~prepared_exit() {
        if (auto* unused = access::release(exit_)) discard_frame(*unused);
    }

    void prepare(task<T> exit) noexcept { exit_ = std::move(exit); }
    explicit operator bool() const noexcept { return static_cast<bool>(exit_); }
    task<T> take() noexcept { return std::move(exit_); }

private:
    task<T> exit_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
