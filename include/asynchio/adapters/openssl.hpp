// SPDX-License-Identifier: BSL-1.0
#pragma once

// TLS by OpenSSL, 1.1.1 or later (tried with 3.0): connections and servers whose streams are encrypted. Link ssl and crypto.

#include <asynchio/adapters/detail/openssl_channel.hpp>
#include <asynchio/adapters/detail/openssl_context.hpp>
#include <asynchio/adapters/openssl_context.hpp>
#include <asynchio/adapters/openssl_error.hpp>
#include <asynchio/core/detail/closure_check.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/core/kept.hpp>
#include <asynchio/io/open_connection.hpp>
#include <asynchio/io/server.hpp>
#include <asynchio/io/server_options.hpp>
#include <asynchio/io/stream.hpp>
#include <asynchio/loop/clock.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/loop/exception_context.hpp>
#include <asynchio/sync/semaphore.hpp>
#include <asynchio/task/take.hpp>
#include <asynchio/task/task.hpp>

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio::openssl {

/// The options of one TLS connection.
///
/// Threads: a plain value.
struct tls_options {
    tls_options() = default;

    /// The name of the server, for a client: it is sent to the server (SNI), and the certificate must be made for it. For
    /// an address, nothing is sent, and the certificate must be made for the address.
    std::string server_name = {};
    /// The maximum duration of the handshake.
    duration handshake_timeout = std::chrono::seconds(60);
    /// How long a connection that was closed goes on with sending what was written and the other side does not take, its
    /// close_notify included; then it is reset.
    duration shutdown_timeout = std::chrono::seconds(30);
    /// Whether an end of the connection without close_notify counts as an end. Somebody between the two sides can then cut
    /// off what is sent; a protocol that knows its lengths, as HTTP does, can do with it.
    bool allow_truncation = false;
};

/// The options of open_connection().
///
/// Threads: a plain value. The server's name is that of the host unless it is set.
struct tls_connect_options : connect_options, tls_options {
    tls_connect_options() = default;
};

/// The options of start_server().
///
/// Threads: a plain value.
struct tls_server_options : server_options, tls_options {
    tls_server_options() = default;

    /// How many handshakes are under way at once; further connections wait for their turn. At least 1.
    std::size_t handshakes = 256;
};

/// What is known about a TLS connection.
///
/// Threads: a plain value.
struct connection_info {
    /// The version, such as "TLSv1.3".
    std::string version;
    /// The cipher, such as "TLS_AES_256_GCM_SHA384".
    std::string cipher;
    /// The protocol that was agreed on by ALPN; empty if there is none.
    std::string alpn;
    /// The name of the server that the client has asked for; empty if there is none.
    std::string server_name;
    /// Whether a session was resumed.
    bool resumed = false;
    /// The other side's certificate in DER form; empty if it has none.
    std::string peer_certificate;
    /// The name of its owner, such as "CN=example.org".
    std::string peer_subject;
    /// The issuer of the certificate.
    std::string peer_issuer;
};

namespace detail {

inline tls_channel& channel_of(const stream& s) {
    auto* const found = dynamic_cast<tls_channel*>(s.carrier());
    if (found == nullptr) throw std::logic_error("the stream is none of TLS");
    return *found;
}

inline std::string text_of(const X509_NAME* name) {
    const std::unique_ptr<BIO, decltype([](BIO* p) noexcept { BIO_free(p); })> text(BIO_new(BIO_s_mem()));
    if (text == nullptr) throw std::bad_alloc();
    X509_NAME_print_ex(text.get(), name, 0, XN_FLAG_RFC2253);
    char* data = nullptr;
    const long size = BIO_get_mem_data(text.get(), &data);
    return std::string(data, static_cast<std::size_t>(size));
}

/// Has the handshake send a server's name and check the certificate for it.
inline void use_server_name(SSL* connection, std::string name) {
    if (name.find('\0') != std::string::npos)
        throw std::invalid_argument("start_tls: a zero byte in the server's name");
    if (!name.empty() && name.back() == '.') name.pop_back(); // of a complete name; certificates have none
    if (name.empty()) {
        if (SSL_get_verify_mode(connection) != SSL_VERIFY_NONE)
            throw std::invalid_argument("start_tls: a client needs the server's name, to check the certificate for it: "
                                        "set tls_options::server_name");
        return;
    }
    X509_VERIFY_PARAM* const checked = SSL_get0_param(connection);
    X509_VERIFY_PARAM_set_hostflags(checked, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    unsigned char bytes[16];
    const bool is_address =
        ::inet_pton(AF_INET, name.c_str(), bytes) == 1 || ::inet_pton(AF_INET6, name.c_str(), bytes) == 1;
    const int done = is_address ? X509_VERIFY_PARAM_set1_ip_asc(checked, name.c_str())
                                : X509_VERIFY_PARAM_set1_host(checked, name.data(), name.size()) == 1 &&
                                      SSL_ctrl(connection, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                                               name.data()) == 1;
    if (done != 1) throw std::invalid_argument("start_tls: '" + name + "' is no name of a server");
}

template<class = void>
task<stream> shake_hands(stream plain, context with, tls_options options, std::string cache_key) {
    if (with.is_server()) options.server_name.clear();
    auto carrier =
        std::make_unique<tls_channel>(std::move(plain), asynchio::detail::access::state(with), options.server_name,
                                      options.shutdown_timeout, options.allow_truncation);
    tls_channel& tls = *carrier;
    stream made(std::move(carrier));
    if (!with.is_server()) use_server_name(tls.ssl(), std::move(options.server_name));
    if (!cache_key.empty()) tls.resume(std::move(cache_key));
    const struct limit {
        timer_handle timer;
        ~limit() { timer.cancel(); }
    } limit{get_running_loop().call_later(options.handshake_timeout, [&tls] { tls.time_out(); })};
    co_await made.write(""); // is over when the handshake is
    co_return made;
}

template<class = void>
task<stream> open_connection(std::string host, int port, context with, tls_connect_options options) {
    const time_point begin = get_running_loop().time();
    if (options.server_name.empty()) options.server_name = host.empty() ? "localhost" : host;
    std::string key = options.server_name + " " + std::to_string(port);
    const connect_options& of_connection = options;
    stream plain = co_await asynchio::open_connection(std::move(host), port, of_connection);
    if (options.timeout) {
        const duration left = *options.timeout - (get_running_loop().time() - begin);
        if (left < options.handshake_timeout) options.handshake_timeout = left;
    }
    co_return co_await shake_hands(std::move(plain), std::move(with), std::move(options), std::move(key));
}

/// The handler of a server's connections before the handshake.
template<class Handler>
class handler_of_plain {
public:
    handler_of_plain(Handler handler, context with, const tls_server_options& options)
        : state_(std::make_unique<state>(std::move(handler), std::move(with), options)) {}

    task<> operator()(stream plain) { return serve(*state_, std::move(plain)); }

private:
    struct state {
        state(Handler h, context c, const tls_server_options& o)
            : handler(std::move(h)), with(std::move(c)), options(static_cast<const tls_options&>(o)),
              turns(static_cast<std::ptrdiff_t>(o.handshakes)) {}
        Handler handler;
        context with;
        tls_options options;
        semaphore turns;
    };

    static task<> serve(state& self, stream plain) {
        stream encrypted;
        {
            const semaphore_guard turn = co_await self.turns.scoped_acquire();
            outcome<stream> made = co_await nothrow(shake_hands(std::move(plain), self.with, self.options, {}));
            if (made.cancelled()) made.rethrow();
            if (made.error()) {
                tell(made.error());
                co_return;
            }
            encrypted = std::move(made).value();
        }
        if constexpr (std::is_void_v<std::invoke_result_t<Handler&, stream>>)
            self.handler(std::move(encrypted));
        else
            co_await self.handler(std::move(encrypted));
    }
    /// A client that cannot shake hands is everyday life of a server.
    static void tell(const std::exception_ptr& error) {
        event_loop& loop = get_running_loop();
        if (!loop.debug()) return;
        exception_context context;
        context.message = "A client was refused";
        context.exception = error;
        loop.call_exception_handler(context);
    }

    std::unique_ptr<state> state_;
};

} // namespace detail

/// Encrypts a connection that exists, as after STARTTLS: shakes hands over `plain`, and returns the stream above it.
///
/// @param plain the connection, which no task uses. It belongs to the new stream.
/// @param with the context, whose kind says which side this is.
/// @param options the server's name for a client, and the time limit.
/// @return the encrypted stream. All calls of a stream work: write_eof() sends close_notify, and reading goes on; aclose()
/// sends it as well, and waits for nothing; abort() does not.
/// @throws tls_error with the reason ("certificate verify failed: certificate has expired"), truncated_error if the other
/// side ends the connection, timeout_error, std::system_error; std::invalid_argument if a client that verifies does not
/// know the server's name.
/// Cancellation: closes the connection.
/// Cost: three allocations beside those of OpenSSL. A write encrypts up to 64 KiB at a time, which are sent with one system
/// call, and allocates their memory unless it is there from the write before.
/// Example: `s = co_await aio::openssl::start_tls(std::move(s), context, options);`
/// See also: open_connection, start_server, info.
template<class = void>
task<stream> start_tls(stream plain, context with, tls_options options = {}) {
    return detail::shake_hands(std::move(plain), std::move(with), std::move(options), {});
}

/// Connects by TCP and shakes hands.
///
/// @param host as for asynchio::open_connection(), and the name that the certificate must be made for. @param port 0 to
/// 65535.
/// @param with a context for clients. @param options those of the connection, and of TLS. A timeout holds for all of it.
/// @return the encrypted stream.
/// @throws what asynchio::open_connection() and start_tls() throw; std::invalid_argument for a server's context.
/// Cancellation: closes the connection.
/// See also: start_tls.
template<class = void>
task<stream> open_connection(std::string host, int port, context with, tls_connect_options options = {}) {
    if (with.is_server()) throw std::invalid_argument("open_connection: the context is one for servers");
    return detail::open_connection(std::move(host), port, std::move(with), std::move(options));
}
/// Connects with a context that all such calls share: context::client(). Else as above.
/// Cancellation: closes the connection.
template<class = void>
task<stream> open_connection(std::string host, int port, tls_connect_options options = {}) {
    static const context shared = context::client();
    return detail::open_connection(std::move(host), port, shared, std::move(options));
}

/// Listens by TCP, shakes hands with each client, and calls `handler(stream)` for those with whom that succeeds.
///
/// Behaviour: a client that cannot shake hands, or takes longer than the time limit, is dropped; debug mode reports why.
/// @param handler takes an encrypted stream. @param host as for asynchio::start_server(). @param port as for it.
/// @param with a context for servers.
/// @param options those of the server, and of TLS.
/// @return the server, which listens.
/// @throws what asynchio::start_server() throws; std::invalid_argument for a client's context or without handshakes.
/// Cancellation: as asynchio::start_server().
/// Lifetime: the handler is copied in, or moved in by take(), and lives until the last of its tasks has ended.
/// See also: context::certificate, which changes the certificate of a server that serves.
template<class Handler>
task<server> start_server(Handler&& handler, std::string host, int port, context with,
                          tls_server_options options = {}) {
    asynchio::detail::check_awaited_arguments<Handler>();
    if (!with.is_server()) throw std::invalid_argument("start_server: the context is one for clients");
    if (options.handshakes == 0) throw std::invalid_argument("start_server: no handshakes are allowed");
    using kept = std::decay_t<asynchio::detail::kept_t<Handler>>;
    detail::handler_of_plain<kept> plain(asynchio::detail::keep<Handler>(handler), std::move(with), options);
    const server_options& of_server = options;
    return asynchio::start_server(take(plain), std::move(host), port, of_server);
}

/// Returns OpenSSL's object of a TLS stream, for all that is not here. The stream keeps it.
/// @throws std::logic_error if the stream is none of TLS.
inline SSL* native_handle(const stream& s) { return detail::channel_of(s).ssl(); }

/// Returns what is known about a TLS stream: the version, the cipher, and whom it is connected to.
/// @throws std::logic_error if the stream is none of TLS.
template<class = void>
connection_info info(const stream& s) {
    SSL* const connection = native_handle(s);
    connection_info made;
    made.version = SSL_get_version(connection);
    made.cipher = SSL_get_cipher_name(connection);
    const unsigned char* protocol = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(connection, &protocol, &size);
    made.alpn.assign(reinterpret_cast<const char*>(protocol), size);
    if (const char* name = SSL_get_servername(connection, TLSEXT_NAMETYPE_host_name)) made.server_name = name;
    made.resumed = SSL_session_reused(connection) == 1;
    if (const std::unique_ptr<X509, detail::deleter> peer{SSL_get_peer_certificate(connection)}) {
        made.peer_subject = detail::text_of(X509_get_subject_name(peer.get()));
        made.peer_issuer = detail::text_of(X509_get_issuer_name(peer.get()));
        if (const int needed = i2d_X509(peer.get(), nullptr); needed > 0) {
            made.peer_certificate.resize(static_cast<std::size_t>(needed));
            auto* to = reinterpret_cast<unsigned char*>(made.peer_certificate.data());
            i2d_X509(peer.get(), &to);
        }
    }
    return made;
}

} // namespace asynchio::openssl

#pragma GCC visibility pop
