// SPDX-License-Identifier: BSL-1.0
#pragma once

// A request of HTTP.

#include <asynchio/adapters/libcurl_headers.hpp>
#include <asynchio/task/async_generator.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::libcurl {

/// What a server is asked for.
///
/// Threads: a plain value, which is moved.
/// Example: `libcurl::request r("https://example.org/a"); r.method = "DELETE"; co_await web.send(std::move(r));`
/// See also: session::send, session::stream.
struct request {
    request() = default;
    /// Makes a request. @param of_url the URL. @param of_method as method.
    explicit request(std::string of_url, std::string of_method = {})
        : url(std::move(of_url)), method(std::move(of_method)) {}

    /// The URL, of http or https.
    std::string url;
    /// The method, in the letters that are sent; empty stands for POST if there is a body, and for GET otherwise. One
    /// other than GET, HEAD, POST and PUT stays the same over redirects.
    std::string method;
    /// The fields of the header, besides those that libcurl sends: Host, Accept, Accept-Encoding and the size.
    header_fields headers;
    /// The body, which is sent again where a redirect asks for that.
    std::optional<std::string> body;
    /// A body whose pieces are asked for as they are sent, in place of the other one. It cannot be sent again. An
    /// exception of it ends the transfer.
    async_generator<std::string> body_stream;
    /// The number of bytes of body_stream, which is not asked for more; nothing if it is not known, which some servers
    /// do not accept.
    std::optional<std::uint64_t> body_size;
};

} // namespace asynchio::libcurl

#pragma GCC visibility pop
