// SPDX-License-Identifier: BSL-1.0
#pragma once

// The responses of HTTP: with a body in memory, or with one that comes in pieces.

#include <asynchio/adapters/detail/libcurl_text.hpp>
#include <asynchio/adapters/libcurl_error.hpp>
#include <asynchio/adapters/libcurl_headers.hpp>
#include <asynchio/task/async_generator.hpp>

#include <string>

#pragma GCC visibility push(default)

namespace asynchio::libcurl {

/// What a response says before its body.
///
/// Threads: a plain value.
/// See also: response, streamed_response.
struct response_head {
    response_head() = default;

    /// The status, such as 200.
    int status = 0;
    /// The version of HTTP: 10, 11, 20 or 30.
    int version = 0;
    /// The URL that has answered, which a redirect may have named.
    std::string url;
    /// The fields of the header.
    header_fields headers;

    /// Whether the status is 200 to 299.
    bool ok() const noexcept { return status >= 200 && status < 300; }
    /// Throws if the status is 400 or more. @throws status_error that names the URL and the status.
    template<class = void>
    void raise_for_status() const {
        if (status < 400) return;
        const detail::url_parts at = detail::parts_of(url);
        throw status_error(status, at.shown + ": the server answers with the status " + std::to_string(status), at.host,
                           at.port);
    }
};

/// A response, with its body in memory.
///
/// Threads: a plain value.
/// See also: session::get, session::send.
struct response : response_head {
    response() = default;

    /// The body, decompressed.
    std::string body;
};

/// A response whose body comes in pieces.
///
/// Behaviour: the connection reads ahead as far as transfer_options::read_ahead says, and then waits for the reader.
/// A body that ends too early throws error out of next(), behind the pieces that have come.
/// Threads: the thread of the loop.
/// Lifetime: destroying the body ends the transfer, and so does aclose() once a piece was asked for.
/// Example: `while (auto piece = co_await answer.body.next()) out << *piece;`
/// See also: session::stream.
struct streamed_response : response_head {
    streamed_response() = default;

    /// The body, decompressed, in pieces of any size.
    async_generator<std::string> body;
};

} // namespace asynchio::libcurl

#pragma GCC visibility pop
