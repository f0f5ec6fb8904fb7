// SPDX-License-Identifier: BSL-1.0
#pragma once

// The errors of TLS, and the texts that OpenSSL has for them.

#include <openssl/err.h>

#include <stdexcept>
#include <string>

#pragma GCC visibility push(default)

namespace asynchio::openssl {

/// An error of TLS: a certificate that is not trusted or does not belong to the name, a peer that speaks something else,
/// a file that holds no key.
///
/// Threads: a plain exception.
class tls_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// The connection ended without the other side's close_notify: what was read may be a part of what was sent.
///
/// Threads: a plain exception.
/// See also: tls_options::allow_truncation.
class truncated_error : public tls_error {
public:
    using tls_error::tls_error;
};

namespace detail {

/// Takes the first error out of OpenSSL's queue of this thread, empties the queue, and returns the text of the error.
inline std::string take_error_text() {
    std::string text = "unknown error";
    if (const unsigned long code = ERR_get_error()) {
        if (const char* reason = ERR_reason_error_string(code)) {
            text = reason;
        } else {
            char numbers[256];
            ERR_error_string_n(code, numbers, sizeof numbers);
            text = numbers;
        }
    }
    ERR_clear_error();
    return text;
}

} // namespace detail

} // namespace asynchio::openssl

#pragma GCC visibility pop
