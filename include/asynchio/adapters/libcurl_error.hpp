// SPDX-License-Identifier: BSL-1.0
#pragma once

// The errors of transfers.

#include <curl/curl.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)

namespace asynchio::libcurl {

/// A transfer that has failed: a host that is not known or not there, a certificate that is not trusted, a time limit,
/// a connection that was cut, a body that is too large, an answer that is no HTTP.
///
/// Behaviour: its text names the method and the URL, without what may be secret in that, then what has failed, and what
/// can be done. A status of HTTP, such as 404, is no error unless raise_for_status() makes it one.
/// Threads: a plain exception.
/// See also: status_error, session.
class error : public std::runtime_error {
public:
    /// Makes an error.
    /// @param code of libcurl. @param text what it says. @param host of the URL. @param port of the URL; 0 if it is not
    /// known.
    error(CURLcode code, const std::string& text, std::string_view host = {}, int port = 0)
        : std::runtime_error(text), code_(code), port_(port), host_(std::make_shared<const std::string>(host)) {}

    /// Returns libcurl's code, such as CURLE_COULDNT_CONNECT.
    CURLcode code() const noexcept { return code_; }
    /// Returns the host of the URL at which the transfer has failed, which a redirect may have named; empty if the URL
    /// has none.
    const std::string& host() const noexcept { return *host_; }
    /// Returns the port of that URL; 0 if it is not known.
    int port() const noexcept { return port_; }
    /// Whether a time limit of transfer_options has ended the transfer.
    bool timed_out() const noexcept { return code_ == CURLE_OPERATION_TIMEDOUT; }

private:
    CURLcode code_;
    int port_;
    std::shared_ptr<const std::string> host_; // shared, so that a copy of the exception does not throw
};

/// A response whose status tells of a failure, as raise_for_status() throws it.
///
/// Threads: a plain exception.
/// See also: response_head::raise_for_status.
class status_error : public error {
public:
    /// Makes an error. @param status of the response. @param text what it says. @param host of the URL.
    /// @param port of the URL.
    status_error(int status, const std::string& text, std::string_view host = {}, int port = 0)
        : error(CURLE_HTTP_RETURNED_ERROR, text, host, port), status_(status) {}

    /// Returns the status, 400 to 599.
    int status() const noexcept { return status_; }

private:
    int status_;
};

} // namespace asynchio::libcurl

#pragma GCC visibility pop
