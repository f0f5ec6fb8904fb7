// SPDX-License-Identifier: BSL-1.0
#pragma once

// Sessions: transfers by libcurl that share connections.

#include <asynchio/adapters/detail/libcurl_calls.hpp>
#include <asynchio/adapters/detail/libcurl_multi.hpp>
#include <asynchio/adapters/detail/libcurl_transfer.hpp>
#include <asynchio/adapters/libcurl_options.hpp>
#include <asynchio/adapters/libcurl_request.hpp>
#include <asynchio/adapters/libcurl_response.hpp>
#include <asynchio/task/task.hpp>

#include <curl/curl.h>

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::libcurl {

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
