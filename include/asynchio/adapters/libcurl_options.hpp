// SPDX-License-Identifier: BSL-1.0
#pragma once

// The options of sessions and of their transfers.

#include <curl/curl.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#pragma GCC visibility push(default)

namespace asynchio::libcurl {

/// The version of HTTP that a transfer asks for.
///
/// Threads: a plain value.
enum class http_version : unsigned char {
    /// HTTP/2 where a server offers it by TLS, HTTP/1.1 otherwise.
    best,
    /// HTTP/1.1, with a connection for each transfer under way.
    http1_1,
};

/// The certificates that a client trusts and has.
///
/// Threads: a plain value.
struct tls_options {
    tls_options() = default;

    /// Whether a server must have a certificate that is trusted and made for its name. Without that, anybody can answer
    /// in its place.
    bool verify = true;
    /// A file of authorities that are trusted, in PEM form; empty for those of the system.
    std::string ca_file;
    /// A file with the client's certificate, in PEM form; empty for none.
    std::string certificate_file;
    /// A file with the key of that; empty if it is in the same file.
    std::string key_file;
    /// The password of the key.
    std::string key_password;
};

/// How a transfer is made.
///
/// Threads: a plain value.
/// See also: session_options::transfers, session::get.
struct transfer_options {
    transfer_options() = default;

    /// The maximum duration until a connection is there, from the name's resolution to the end of the TLS handshake; 0
    /// stands for libcurl's 300 s.
    std::chrono::milliseconds connect_timeout{30'000};
    /// The maximum duration of the whole transfer, with the wait for a connection; 0 for none. What a stream's reader
    /// takes counts.
    std::chrono::milliseconds timeout{0};
    /// For how long a transfer may be slower than low_speed, which also ends the wait for a mute server; 0 for ever.
    std::chrono::seconds low_speed_time{60};
    /// The bytes in a second below which a transfer is slow.
    long low_speed = 1;
    /// How many redirects are followed; 0 leaves them to the caller, as responses.
    long max_redirects = 10;
    /// The maximum number of bytes of a body that is held in memory, after decompression. A stream has no maximum.
    std::size_t max_body = std::size_t(64) << 20;
    /// How many bytes of a stream's body are taken in before they are asked for, at least one piece of libcurl's.
    std::size_t read_ahead = std::size_t(64) << 10;
    /// Whether the server may compress the body, which is decompressed.
    bool compression = true;
    /// The version of HTTP.
    http_version version = http_version::best;
    /// Whom the client trusts.
    tls_options tls;
    /// The proxy, such as "http://proxy:3128" or "socks5h://localhost"; "" for none, nothing for that of the
    /// environment (https_proxy and so on).
    std::optional<std::string> proxy;
    /// The hosts to which no proxy leads, with commas between; empty for those of the environment.
    std::string no_proxy;
    /// Is called with libcurl's handle before the transfer begins, for all options that are not here. It must leave
    /// alone CURLOPT_WRITEFUNCTION, HEADERFUNCTION, READFUNCTION, SEEKFUNCTION, HTTPHEADER and ERRORBUFFER.
    std::function<void(CURL*)> prepare;
};

/// The bounds of a session. Transfers beyond them wait.
///
/// Threads: a plain value.
struct session_options {
    session_options() = default;

    /// The maximum number of transfers under way; 0 for no maximum. Others wait for their turn, in the order of the
    /// calls; their time limits begin then.
    long max_transfers = 256;
    /// The maximum number of connections; 0 for no maximum.
    long max_connections = 100;
    /// The maximum number of connections to one host; 0 for no maximum. One of HTTP/2 carries many transfers.
    long max_connections_per_host = 8;
    /// The maximum number of connections that are kept for later while nobody uses them; 0 for libcurl's four times the
    /// number of transfers.
    long max_idle_connections = 32;
    /// The maximum number of transfers of HTTP/2 on one connection, if the server allows that many.
    long max_streams_per_connection = 100;
    /// How transfers are made that are not told otherwise.
    transfer_options transfers;
};

} // namespace asynchio::libcurl

#pragma GCC visibility pop
