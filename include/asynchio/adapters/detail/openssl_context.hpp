// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the TLS connections of a context share: OpenSSL's context, the protocols for ALPN, and a client's sessions.

#include <asynchio/adapters/openssl_error.hpp>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::openssl::detail {

struct deleter {
    void operator()(BIO_METHOD* p) const noexcept { BIO_meth_free(p); }
    void operator()(SSL* p) const noexcept { SSL_free(p); }
    void operator()(SSL_CTX* p) const noexcept { SSL_CTX_free(p); }
    void operator()(SSL_SESSION* p) const noexcept { SSL_SESSION_free(p); }
    void operator()(X509* p) const noexcept { X509_free(p); }
};

/// A certificate with its chain and key, read from files, is held by an OpenSSL context of its own until it is used.
inline std::unique_ptr<SSL_CTX, deleter> read_certificate(const std::string& certificate_file,
                                                          const std::string& key_file, std::string password) {
    std::unique_ptr<SSL_CTX, deleter> made(SSL_CTX_new(TLS_method()));
    if (made == nullptr) throw std::bad_alloc();
    SSL_CTX_set_default_passwd_cb_userdata(made.get(), &password);
    SSL_CTX_set_default_passwd_cb(made.get(), [](char* into, int size, int, void* data) noexcept {
        const auto& text = *static_cast<const std::string*>(data);
        if (text.size() > static_cast<std::size_t>(size)) return -1;
        return static_cast<int>(text.copy(into, text.size()));
    });
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(made.get(), certificate_file.c_str()) != 1)
        throw tls_error("the certificate " + certificate_file + ": " + take_error_text());
    if (SSL_CTX_use_PrivateKey_file(made.get(), key_file.c_str(), SSL_FILETYPE_PEM) != 1)
        throw tls_error("the key " + key_file + ": " + take_error_text() +
                        (password.empty() ? std::string() : std::string("; is the password right?")));
    return made;
}

/// Threads: connections of several threads may share it. A change of certificate waits for a connection that is being
/// made, and not for its handshake.
class context_state {
public:
    explicit context_state(bool of_server)
        : context_(SSL_CTX_new(of_server ? TLS_server_method() : TLS_client_method())), of_server_(of_server) {
        if (context_ == nullptr) throw std::bad_alloc();
        SSL_CTX_set_app_data(get(), this);
        SSL_CTX_set_min_proto_version(get(), TLS1_2_VERSION);
        SSL_CTX_set_options(get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
        SSL_CTX_set_mode(get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                    SSL_MODE_RELEASE_BUFFERS);
        SSL_CTX_set_read_ahead(get(), 1);
        static const unsigned char id[] = "asynchio";
        SSL_CTX_set_session_id_context(get(), id, sizeof id - 1); // else a client with a certificate cannot resume
        SSL_CTX_set_alpn_select_cb(get(), select_protocol, this);
        SSL_CTX_sess_set_new_cb(get(), keep_session);
    }
    context_state(const context_state&) = delete;
    context_state& operator=(const context_state&) = delete;
    ~context_state() = default;

    SSL_CTX* get() const noexcept { return context_.get(); }
    bool of_server() const noexcept { return of_server_; }

    std::unique_ptr<SSL, deleter> make_session() {
        const std::lock_guard guard(mutex_);
        std::unique_ptr<SSL, deleter> made(SSL_new(get()));
        if (made == nullptr) throw std::bad_alloc();
        if (of_server_)
            SSL_set_accept_state(made.get());
        else
            SSL_set_connect_state(made.get());
        return made;
    }

    /// Takes over the certificate of `from`. Connections that exist keep theirs.
    void use_certificate(SSL_CTX* from, const std::string& name) {
        STACK_OF(X509)* chain = nullptr;
        SSL_CTX_ctrl(from, SSL_CTRL_GET_CHAIN_CERTS, 0, static_cast<void*>(&chain));
        const std::lock_guard guard(mutex_);
        ERR_clear_error();
        if (SSL_CTX_use_cert_and_key(get(), SSL_CTX_get0_certificate(from), SSL_CTX_get0_privatekey(from), chain, 1) !=
            1)
            throw tls_error("the certificate " + name + ": " + take_error_text());
    }

    /// @param wire the protocols in the form that goes over the wire.
    void use_protocols(std::string wire) {
        protocols_ = std::move(wire);
        const auto* const data = reinterpret_cast<const unsigned char*>(protocols_.data());
        if (!of_server_ && SSL_CTX_set_alpn_protos(get(), data, static_cast<unsigned>(protocols_.size())) != 0)
            throw std::bad_alloc();
    }

    void cache_sessions(std::size_t most) {
        const std::lock_guard guard(mutex_);
        most_sessions_ = most;
        while (sessions_.size() > most) sessions_.pop_front();
        SSL_CTX_set_session_cache_mode(get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    }
    /// Has a connection resume the session of a key, if there is one. A session is used once, as RFC 8446, appendix C.4,
    /// wants it.
    void resume(SSL* connection, const std::string& key) {
        const std::lock_guard guard(mutex_);
        for (auto each = sessions_.begin(); each != sessions_.end(); ++each) {
            if (each->key != key) continue;
            SSL_set_session(connection, each->session.get());
            sessions_.erase(each);
            return;
        }
    }

private:
    struct known_session {
        std::string key;
        std::unique_ptr<SSL_SESSION, deleter> session;
    };

    static int select_protocol(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* offered,
                               unsigned offered_size, void* self) noexcept {
        const std::string& ours = static_cast<context_state*>(self)->protocols_;
        if (ours.empty()) return SSL_TLSEXT_ERR_NOACK;
        unsigned char* chosen = nullptr;
        const auto* const data = reinterpret_cast<const unsigned char*>(ours.data());
        const int found =
            SSL_select_next_proto(&chosen, size, data, static_cast<unsigned>(ours.size()), offered, offered_size);
        *out = chosen;
        return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    /// @return 1 if the session is kept here. The application data of a connection is its key.
    static int keep_session(SSL* connection, SSL_SESSION* session) noexcept try {
        auto* const self = static_cast<context_state*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(connection)));
        const auto* const key = static_cast<const std::string*>(SSL_get_app_data(connection));
        if (self == nullptr || key == nullptr || key->empty()) return 0;
        const std::lock_guard guard(self->mutex_);
        if (self->most_sessions_ == 0) return 0;
        if (self->sessions_.size() == self->most_sessions_) self->sessions_.pop_front();
        self->sessions_.push_back({*key, nullptr});
        self->sessions_.back().session.reset(session);
        return 1;
    } catch (...) { // no memory: the next connection makes a new session
        return 0;
    }

    std::unique_ptr<SSL_CTX, deleter> context_;
    std::mutex mutex_; // for what connections change, and the certificate
    std::string protocols_;
    std::list<known_session> sessions_;
    std::size_t most_sessions_ = 0;
    bool of_server_;
};

} // namespace asynchio::openssl::detail

#pragma GCC visibility pop
