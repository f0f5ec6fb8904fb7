// SPDX-License-Identifier: BSL-1.0
#pragma once

// Sessions: transfers by libcurl that share connections.

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

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::libcurl {

namespace detail {

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

} // namespace detail

/// Transfers of HTTP that share connections. The loop's thread never waits for them.
///
/// Behaviour: any number of tasks may use it; transfers beyond the bounds of session_options wait for a connection.
/// Connections are kept for later transfers, and one of HTTP/2 carries many at a time. Redirects are followed, and
/// bodies decompressed. Cookies are not kept. A status such as 404 is a result; a transfer without a response throws
/// error.
/// Cancellation: a transfer that is cancelled is ended at once: its connection is closed, or its stream of HTTP/2
/// reset.
/// Threads: the thread of the loop. libcurl resolves names in threads of its own. Its time limits are of the real time.
/// Lifetime: its loop is the one that runs when it is made. Destroying or closing it ends the transfers under way with
/// an error. It may outlive the loop.
/// Cost: a handle of libcurl for each transfer, about 100 KB while it is under way.
/// Example: `libcurl::session web; auto page = co_await web.get("https://example.org/");`
/// See also: request, transfer_options.
class session {
public:
    /// Makes a session in the running loop. @param how its bounds, and how transfers are made.
    /// @throws std::invalid_argument for a negative bound; std::runtime_error if no loop runs; error if libcurl does
    /// not start.
    explicit session(session_options how = {})
        : transfers_(std::move(how.transfers)), multi_(std::make_shared<detail::multi>(how)) {}
    session(session&&) noexcept = default;
    session& operator=(session&& other) noexcept {
        session old(std::move(*this));
        transfers_ = std::move(other.transfers_);
        multi_ = std::move(other.multi_);
        return *this;
    }
    ~session() { close(); }

    /// Gets what a URL stands for. @param url of http or https.
    /// @return the response. @throws error; std::invalid_argument for what cannot be sent; std::logic_error if the
    /// session is closed or belongs to another loop.
    /// Cancellation: ends the transfer at once.
    task<response> get(std::string url) { return send(request(std::move(url), "GET")); }
    /// Gets what a URL stands for, in another way than the session's. @param url as above. @param how the way.
    /// @return the response. @throws as above. Cancellation: as above.
    task<response> get(std::string url, transfer_options how) {
        return send(request(std::move(url), "GET"), std::move(how));
    }
    /// Asks for the header alone. @param url as for get(). @return the response, whose body is empty.
    /// @throws as get(). Cancellation: as get().
    task<response> head(std::string url) { return send(request(std::move(url), "HEAD")); }
    /// Sends a body. @param url as for get(). @param body the body. @param type its Content-Type.
    /// @return the response. @throws as get(). Cancellation: as get(); the server may have taken the body.
    task<response> post(std::string url, std::string body, std::string type = "application/octet-stream") {
        return send(with_body(std::move(url), "POST", std::move(body), std::move(type)));
    }
    /// Puts a body in the place of the URL's. @param url as for get(). @param body the body. @param type its
    /// Content-Type. @return the response. @throws as get(). Cancellation: as post().
    task<response> put(std::string url, std::string body, std::string type = "application/octet-stream") {
        return send(with_body(std::move(url), "PUT", std::move(body), std::move(type)));
    }
    /// Deletes what a URL stands for. @param url as for get(). @return the response. @throws as get().
    /// Cancellation: as post().
    task<response> delete_(std::string url) { return send(request(std::move(url), "DELETE")); }

    /// Sends a request, and takes the whole response. @param what the request.
    /// @return the response. @throws as get(); the exception of request::body_stream.
    /// Cancellation: ends the transfer at once, and then waits for the end of body_stream, which is cancelled, too.
    task<response> send(request what) { return send(std::move(what), transfers_); }
    /// Sends a request, in another way than the session's. @param what the request. @param how the way.
    /// @return the response. @throws as above. Cancellation: as above.
    task<response> send(request what, transfer_options how) {
        return detail::fetch<>(open_multi(), std::move(what), std::move(how));
    }
    /// Sends a request, and returns when the head of the response is there; the body comes in pieces.
    /// @param what the request. @return the response. @throws as send(); error also out of the body's next().
    /// Cancellation: as send().
    task<streamed_response> stream(request what) { return stream(std::move(what), transfers_); }
    /// Sends a request, in another way than the session's, and returns when the head is there.
    /// @param what the request. @param how the way. @return the response. @throws as above. Cancellation: as above.
    task<streamed_response> stream(request what, transfer_options how) {
        return detail::open_stream<>(open_multi(), std::move(what), std::move(how));
    }

    /// Performs a transfer of any protocol of libcurl, with a handle that the caller has prepared and that stays the
    /// caller's. It sets CURLOPT_NOSIGNAL and CURLOPT_QUICK_EXIT. Callbacks of the caller must not throw.
    /// @param easy a handle that is in no transfer; it must not be destroyed before the task has ended.
    /// @throws error; std::invalid_argument for a handle that cannot be performed; std::logic_error as get().
    /// Cancellation: ends the transfer at once; the handle can be used again.
    task<> perform(CURL* easy) { return detail::perform<>(open_multi(), easy); }

    /// Ends the transfers under way with an error that says so, and closes all connections. A second call does nothing.
    void close() noexcept {
        if (multi_) multi_->close();
    }
    /// Whether it is closed, or was moved from.
    bool is_closed() const noexcept { return !multi_ || multi_->closed(); }
    /// Returns the number of transfers under way, with those that wait for their turn or a connection.
    std::size_t transfers() const noexcept { return multi_ ? multi_->size() : 0; }
    /// Returns how transfers are made that are not told otherwise: a copy of it is what to begin with for others.
    const transfer_options& options() const noexcept { return transfers_; }
    /// Returns libcurl's multi handle, for options that are not here; a null pointer if it is closed. Its callbacks are
    /// used.
    CURLM* native_handle() const noexcept { return multi_ ? multi_->handle() : nullptr; }

private:
    static request with_body(std::string url, const char* method, std::string body, std::string type) {
        request made(std::move(url), method);
        made.body = std::move(body);
        made.headers.set("Content-Type", std::move(type));
        return made;
    }
    const detail::multi_ptr& open_multi() const {
        if (!multi_) throw std::logic_error("libcurl: the session was moved from");
        return multi_;
    }

    transfer_options transfers_;
    detail::multi_ptr multi_;
};

} // namespace asynchio::libcurl

#pragma GCC visibility pop
