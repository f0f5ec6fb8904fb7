// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a session does in its calls: how a transfer begins, is waited for, and leaves.

#include <asynchio/adapters/detail/libcurl_multi.hpp>
#include <asynchio/adapters/detail/libcurl_transfer.hpp>
#include <asynchio/adapters/libcurl_options.hpp>
#include <asynchio/adapters/libcurl_request.hpp>
#include <asynchio/adapters/libcurl_response.hpp>
#include <asynchio/core/cancelled_error.hpp>
#include <asynchio/sync/event.hpp>
#include <asynchio/sync/semaphore.hpp>
#include <asynchio/task/async_generator.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/task.hpp>

#include <curl/curl.h>

#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::libcurl::detail {

using multi_ptr = std::shared_ptr<multi>;

/// Asks for the pieces of a body that is sent, as libcurl wants them, until that is over. It ends without an exception.
template<class = void>
task<> feed(multi_ptr in, std::shared_ptr<transfer> to, async_generator<std::string> pieces) {
    const struct at_end {
        std::shared_ptr<transfer> told;
        ~at_end() { told->input_has_ended.set(); }
    } tell{to};
    std::exception_ptr failure;
    try {
        for (bool more = true; more;) {
            while (!to->waits_for_input() && !to->over()) {
                to->wants_input.clear();
                co_await event::wait_awaiter(to->wants_input, "next piece that libcurl sends");
            }
            if (to->over()) break;
            std::optional<std::string> piece = co_await pieces.next();
            if (piece && piece->empty()) continue; // would end the body
            more = piece.has_value();
            const int paused = to->resumed_by_input(std::move(piece));
            in->go_on(*to, paused);
        }
    } catch (...) { // also a request to cancel that is not of the transfer, which would wait for ever
        failure = std::current_exception();
    }
    if (failure) in->fail(*to, failure);
    try {
        co_await pieces.aclose();
    } catch (...) { // the transfer is over, or has failed with the first exception
    }
}

/// A transfer under way, which leaves the session with this.
class active {
public:
    active(multi_ptr in, semaphore_guard place, std::shared_ptr<transfer> made) noexcept
        : in_(std::move(in)), place_(std::move(place)), it_(std::move(made)) {}
    active(active&&) noexcept = default;
    active& operator=(active&&) = delete;
    ~active() {
        if (it_) stop();
    }
    transfer* operator->() const noexcept { return it_.get(); }

    void begin(async_generator<std::string> pieces) {
        in_->add(it_);
        if (!pieces) return it_->input_has_ended.set();
        try {
            // Begun at once: a task that is cancelled before it has begun would never tell that it has ended.
            feeder_ = create_task(eager, detail::feed<>(in_, it_, std::move(pieces)));
        } catch (...) {
            it_->input_has_ended.set();
            throw;
        }
    }
    void stop() noexcept {
        in_->leave(it_);
        if (feeder_) feeder_->cancel();
        place_.release();
    }
    std::string take_body() noexcept {
        std::string taken = it_->take_body();
        if (it_->waits_for_reader()) in_->go_on(*it_, it_->resumed_by_reader());
        return taken;
    }

private:
    multi_ptr in_;
    semaphore_guard place_;
    std::shared_ptr<transfer> it_;
    std::optional<task_handle<>> feeder_;
};

/// Ends a transfer, and waits until nobody asks for what is sent, whatever requests to cancel come.
/// @param reason an exception, or null. @throws it, or the first request that has come meanwhile.
template<class = void>
task<> finish(active& one, std::exception_ptr reason) {
    one.stop();
    while (!one->input_has_ended.is_set()) {
        try {
            co_await one->input_has_ended.wait();
        } catch (const cancelled_error&) {
            if (!reason) reason = std::current_exception();
        }
    }
    if (reason) std::rethrow_exception(reason);
}

template<class = void>
task<active> start(multi_ptr in, request what, const transfer_options& how, bool streamed) {
    semaphore_guard place = co_await in->take_place();
    auto pieces = std::move(what.body_stream);
    active made(in, std::move(place),
                std::make_shared<transfer>(std::move(what), how, streamed, static_cast<bool>(pieces)));
    made.begin(std::move(pieces));
    co_return std::move(made);
}

template<class = void>
task<response> fetch(multi_ptr in, request what, transfer_options how) {
    active one = co_await detail::start<>(std::move(in), std::move(what), how, false);
    std::exception_ptr reason;
    try {
        while (!one->over()) co_await one->news();
    } catch (...) {
        reason = std::current_exception();
    }
    co_await detail::finish<>(one, std::move(reason));
    one->rethrow();
    response made;
    one->take_head(made);
    made.body = one->take_body();
    co_return made;
}

template<class = void>
async_generator<std::string> pieces_of(active one) {
    std::exception_ptr reason;
    try {
        for (;;) {
            const bool last = one->over();
            std::string piece = one.take_body();
            if (!piece.empty())
                co_yield std::move(piece);
            else if (last)
                break;
            else
                co_await one->news();
        }
    } catch (...) {
        reason = std::current_exception();
    }
    co_await detail::finish<>(one, std::move(reason));
    one->rethrow();
}
template<class = void>
task<streamed_response> open_stream(multi_ptr in, request what, transfer_options how) {
    active one = co_await detail::start<>(std::move(in), std::move(what), how, true);
    std::exception_ptr reason;
    try {
        while (!one->over() && !one->has_head()) co_await one->news();
    } catch (...) {
        reason = std::current_exception();
    }
    if (reason || !one->has_head()) co_await detail::finish<>(one, std::move(reason));
    if (!one->has_head()) one->rethrow();
    streamed_response made;
    one->take_head(made);
    made.body = detail::pieces_of<>(std::move(one));
    co_return made;
}

/// A handle of the program's in a transfer.
class foreign_transfer final : public participant {
public:
    explicit foreign_transfer(CURL* given) noexcept : participant(given) {}
    void rethrow() const {
        if (failure_) std::rethrow_exception(failure_);
        if (code_ != CURLE_OK) throw detail::failure(easy(), code_, {}, {});
    }
};
template<class = void>
task<> perform(multi_ptr in, CURL* easy) {
    if (easy == nullptr) throw std::invalid_argument("libcurl: perform: the handle is null");
    const semaphore_guard place = co_await in->take_place();
    const auto one = std::make_shared<foreign_transfer>(easy);
    const struct at_end {
        const multi_ptr& in;
        const std::shared_ptr<foreign_transfer>& it;
        ~at_end() { in->leave(it); }
    } leaves{in, one};
    adapt(easy);
    in->add(one);
    while (!one->over()) co_await one->news();
    one->rethrow();
}

} // namespace asynchio::libcurl::detail

#pragma GCC visibility pop
