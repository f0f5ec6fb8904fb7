// SPDX-License-Identifier: BSL-1.0
#pragma once

// A reference to an object that counts its references.

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Keeps an object alive for a coroutine, which may outlive the handle that it was called on.
template<class State>
class held {
public:
    explicit held(State& state) noexcept : state_(&state) { state.hold(); }
    held(const held& other) noexcept : held(*other.state_) {}
    held& operator=(const held&) = delete;
    ~held() { state_->let_go(); }
    State* operator->() const noexcept { return state_; }

private:
    State* state_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
