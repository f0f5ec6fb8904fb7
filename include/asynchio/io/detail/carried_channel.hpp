// SPDX-License-Identifier: BSL-1.0
#pragma once

// The channel of a stream whose bytes a carrier of the user's carries.

#include <asynchio/core/detail/owner.hpp>
#include <asynchio/io/byte_channel.hpp>
#include <asynchio/io/detail/channel.hpp>

#include <concepts>
#include <cstddef>
#include <string>
#include <sys/uio.h>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// An owner of a carrier, such as std::unique_ptr.
template<class Owner>
concept owner_of_carrier = requires(Owner& o) {
    { o.release() } -> std::convertible_to<byte_channel*>;
};

/// Passes the calls of a stream on to its carrier, which it owns.
class carried_channel final : public channel {
public:
    ~carried_channel() override {
        if (carrier_ != nullptr && !closed()) carrier_->shut(false);
    }
    void carry(owner<byte_channel> by) noexcept { carrier_ = std::move(by); }

    io_result receive(void* into, std::size_t size) noexcept override {
        return carrier_->receive(mutable_byte_view(into, size));
    }
    io_result send(const iovec* parts, std::size_t count) noexcept override { return carrier_->send(parts, count); }
    int drain() noexcept override { return carrier_->drain(); }
    int end_sending() noexcept override { return carrier_->end_sending(); }
    void shut(bool abort) noexcept override { carrier_->shut(abort); }
    std::string name() const override { return carrier_->name(); }
    address local() const override { return carrier_->local_address(); }
    address peer() const override { return carrier_->peer_address(); }
    int descriptor() const noexcept override { return carrier_->native_handle(); }
    byte_channel* carrier() const noexcept override { return carrier_.get(); }

private:
    void arm(direction d) override {
        carrier_->begin_wait(d == direction::read ? fd_events::readable : fd_events::writable);
    }
    void raise(int error, const std::string& what) const override { carrier_->raise(error, what); }

    owner<byte_channel> carrier_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
