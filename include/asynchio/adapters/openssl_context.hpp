// SPDX-License-Identifier: BSL-1.0
#pragma once

// What TLS connections have in common: certificates, trust, protocols.

#include <asynchio/adapters/detail/openssl_context.hpp>
#include <asynchio/adapters/openssl_error.hpp>
#include <asynchio/core/detail/access.hpp>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::openssl {

/// A version of TLS.
///
/// Threads: a plain value.
enum class version : int {
    /// TLS 1.2, RFC 5246, the oldest one.
    tls1_2 = TLS1_2_VERSION,
    /// TLS 1.3, RFC 8446.
    tls1_3 = TLS1_3_VERSION,
};

/// What TLS connections have in common: certificates, whom they trust, protocols. Copies share one state.
///
/// Behaviour: without renegotiation and compression; the oldest version is TLS 1.2. What is set later counts for
/// connections from then on.
/// Threads: connections of several loops may use one context. certificate() may be called at any time by any thread, the
/// other functions only while no connection is being made.
/// Lifetime: connections keep what they need of it.
/// Cost: client() reads the certificates of the system, which takes tens of milliseconds; so make one for many connections.
/// Differs from Python: ssl.SSLContext; client() is what create_default_context() makes.
/// See also: open_connection, start_server, start_tls.
class context {
public:
    /// Makes a context for clients: it trusts the certificate authorities of the system, and the certificate of a server
    /// must be made for the name that is connected to.
    template<class = void>
    static context client() {
        context made(false);
        SSL_CTX_set_verify(made.native_handle(), SSL_VERIFY_PEER, nullptr);
        SSL_CTX_set_default_verify_paths(made.native_handle());
        return made;
    }
    /// Makes a context for servers; clients are not asked for a certificate.
    /// @param certificate_file as for certificate(). @param key_file as for it. @param password of the key.
    /// @throws tls_error that names the file.
    template<class = void>
    static context server(const std::string& certificate_file, const std::string& key_file, std::string password = {}) {
        context made(true);
        made.certificate(certificate_file, key_file, std::move(password));
        return made;
    }

    /// Sets the certificate of this side, that of a client as well. A server may change it while it serves: connections
    /// from then on get the new one. If the call fails, the old one stays.
    /// @param certificate_file in PEM form, followed by those of its issuers. @param key_file in PEM form.
    /// @param password of the key. @throws tls_error that names the file.
    template<class = void>
    context& certificate(const std::string& certificate_file, const std::string& key_file, std::string password = {}) {
        const auto read = detail::read_certificate(certificate_file, key_file, std::move(password));
        state_->use_certificate(read.get(), certificate_file);
        return *this;
    }
    /// Trusts the authorities of a file, too. @param file certificates in PEM form. @throws tls_error that names it.
    template<class = void>
    context& trust(const std::string& file) {
        ERR_clear_error();
        if (SSL_CTX_load_verify_locations(native_handle(), file.c_str(), nullptr) != 1)
            throw tls_error("the trusted certificates " + file + ": " + detail::take_error_text());
        return *this;
    }
    /// Sets whether the other side must have a certificate that is trusted. A client that does not verify can be
    /// connected to anybody.
    context& verify_peer(bool on) {
        const int required = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
        SSL_CTX_set_verify(native_handle(), on ? required : SSL_VERIFY_NONE, nullptr);
        return *this;
    }
    /// Sets the oldest version of TLS. @throws tls_error if OpenSSL was built or configured without it.
    context& min_version(version oldest) {
        if (SSL_CTX_set_min_proto_version(native_handle(), static_cast<int>(oldest)) != 1)
            throw tls_error("min_version: this version is not supported: " + detail::take_error_text());
        return *this;
    }
    /// Sets the protocols for ALPN, RFC 7301, the best one first. A server refuses a client that offers other ones only.
    /// @param protocols such as "h2" and "http/1.1", of 1 to 255 bytes. @throws std::invalid_argument for others.
    template<class = void>
    context& alpn(std::initializer_list<std::string_view> protocols) {
        std::string wire;
        for (const std::string_view each : protocols) {
            if (each.empty() || each.size() > 255)
                throw std::invalid_argument("alpn: a protocol has 1 to 255 bytes: '" + std::string(each) + "'");
            wire.push_back(static_cast<char>(each.size()));
            wire.append(each);
        }
        state_->use_protocols(std::move(wire));
        return *this;
    }
    /// Keeps the sessions of a client, for each host and port: a connection that resumes one saves a round trip of
    /// certificates. @param count the maximum number of sessions, which is 0 at the beginning.
    context& cache_sessions(std::size_t count) {
        state_->cache_sessions(count);
        return *this;
    }

    /// Returns OpenSSL's context, for all that is not here. Its callbacks for ALPN and new sessions are used.
    SSL_CTX* native_handle() const noexcept { return state_->get(); }
    /// Whether it is for servers.
    bool is_server() const noexcept { return state_->of_server(); }

private:
    friend struct asynchio::detail::access;
    explicit context(bool of_server) : state_(std::make_shared<detail::context_state>(of_server)) {}

    std::shared_ptr<detail::context_state> state_;
};

} // namespace asynchio::openssl

#pragma GCC visibility pop
