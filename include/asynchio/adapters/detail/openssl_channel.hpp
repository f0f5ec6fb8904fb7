// SPDX-License-Identifier: BSL-1.0
#pragma once

// The carrier of a TLS stream.

#include <asynchio/adapters/detail/openssl_context.hpp>
#include <asynchio/adapters/openssl_error.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/io/byte_channel.hpp>
#include <asynchio/io/byte_view.hpp>
#include <asynchio/io/fd_events.hpp>
#include <asynchio/io/layered_channel.hpp>
#include <asynchio/io/stream.hpp>
#include <asynchio/loop/clock.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/current_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/task.hpp>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <sys/uio.h>
#include <system_error>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::openssl::detail {

/// Encrypts and decrypts the bytes of a stream above the stream below.
///
/// OpenSSL reads through a BIO that takes what has come to the stream below, and writes into a text that is sent to the
/// stream below: so it never waits for a write, which would keep it from reading meanwhile.
class tls_channel final : public layered_channel {
public:
    /// The numbers of errors that are not the system's, for raise().
    enum : int { protocol_error = 1 << 20, truncation_error };

    tls_channel(stream&& below, std::shared_ptr<context_state> context, std::string server_name,
                duration shutdown_timeout, bool allow_truncation)
        : layered_channel(std::move(below)), context_(std::move(context)), server_name_(std::move(server_name)),
          shutdown_timeout_(shutdown_timeout), allow_truncation_(allow_truncation) {
        ssl_ = context_->make_session();
        BIO* const bio = BIO_new(method());
        if (bio == nullptr) throw std::bad_alloc();
        BIO_set_data(bio, this);
        BIO_set_init(bio, 1);
        SSL_set_bio(ssl(), bio, bio);
        SSL_set_app_data(ssl(), &cache_key_);
    }
    ~tls_channel() override = default;

    SSL* ssl() const noexcept { return ssl_.get(); }
    /// Resumes the session that the client's cache has for a key, and keeps the new one there.
    void resume(std::string key) {
        context_->resume(ssl(), key);
        cache_key_ = std::move(key);
    }

    /// Ends a handshake that takes too long.
    void time_out() noexcept {
        timed_out_ = true;
        notify(fd_events::writable);
    }

    io_result receive(mutable_byte_view into) noexcept override {
        if (send_held_back() == EAGAIN && held_back() > most_held_back)
            return io_result::would_block(); // the peer reads nothing
        ERR_clear_error();
        std::size_t count = 0;
        const int result = SSL_read_ex(ssl(), into.data(), into.size(), &count);
        const int reason = SSL_get_error(ssl(), result);
        const io_result got = result == 1                       ? io_result::bytes(count)
                              : reason == SSL_ERROR_WANT_READ   ? io_result::would_block()
                              : reason == SSL_ERROR_ZERO_RETURN ? io_result::end()
                                                                : ended();
        static_cast<void>(send_held_back()); // what OpenSSL answers by itself
        return got;
    }
    io_result send(const iovec* parts, std::size_t count) noexcept override {
        if (const int held = send_held_back()) return io_result::failed(held);
        std::size_t taken = 0;
        std::size_t offset = 0; // in the first part that is left
        while (count != 0 && taken < most_in_a_call) {
            char gathered[record];
            const char* data = static_cast<const char*>(parts->iov_base) + offset;
            std::size_t size = parts->iov_len - offset;
            if (size >= record || count == 1) {
                if (size > record) size = record;
            } else {
                size = gather(parts, count, offset, gathered);
                data = gathered;
            }
            ERR_clear_error();
            std::size_t written = 0;
            if (SSL_write_ex(ssl(), data, size, &written) != 1) {
                if (taken != 0) break; // the next call tells
                return io_result::failed(failure(side::sending));
            }
            taken += written;
            for (offset += written; count != 0 && offset >= parts->iov_len; --count) offset -= parts++->iov_len;
        }
        static_cast<void>(send_held_back());
        return io_result::bytes(taken);
    }
    /// Goes on with the handshake while that is under way.
    int drain() noexcept override { return shaking_ ? shake_hands() : send_held_back(); }
    int end_sending() noexcept override {
        say_goodbye();
        const int held = send_held_back();
        return held == EAGAIN ? 0 : held;
    }
    void shut(bool abort) noexcept override {
        if (!abort) {
            say_goodbye();
            if (send_held_back() == EAGAIN && go_on_sending()) return;
        }
        layered_channel::shut(abort);
    }
    void begin_wait(fd_events what) override {
        if (out_.empty() && out_.capacity() > most_kept) std::string().swap(out_);
        layered_channel::begin_wait(shaking_ ? fd_events::readable : what);
    }
    void raise(int number, const std::string& what) const override {
        std::string text = what;
        if (shaking_) {
            text = "TLS handshake with " + name();
            if (!server_name_.empty()) text.append(" for ").append(server_name_);
        }
        if (number == truncation_error)
            throw truncated_error(text + (shaking_ ? ": the other side ended the connection"
                                                   : ": the connection ended without a close_notify"));
        if (number == protocol_error) throw tls_error(text + ": " + text_);
        if (timed_out_) throw timeout_error(text + ": timed out");
        throw std::system_error(number, std::generic_category(), text);
    }

private:
    static constexpr std::size_t record = 16'384;         // what a record of TLS holds
    static constexpr std::size_t most_in_a_call = 65'536; // is encrypted before it is sent
    static constexpr std::size_t most_held_back = 262'144;
    static constexpr std::size_t most_kept = 4096;
    enum class side { receiving, sending };

    void ready_below(fd_events what) noexcept override {
        const bool all_sent = !out_.empty() && send_held_back() == 0;
        notify(all_sent || shaking_ ? fd_events::readable | fd_events::writable : what);
    }

    /// Goes on with the handshake as far as that can be done now. @return as drain().
    int shake_hands() noexcept {
        if (timed_out_) return ETIMEDOUT;
        ERR_clear_error();
        const int result = SSL_do_handshake(ssl());
        const int reason = SSL_get_error(ssl(), result);
        if (result != 1 && reason != SSL_ERROR_WANT_READ) {
            const int failed = failure(side::receiving);
            static_cast<void>(send_held_back()); // the alert
            return failed;
        }
        const int held = send_held_back();
        if (result != 1) return held == 0 ? EAGAIN : held;
        shaking_ = false;
        return 0; // an error of sending is told by the first write: there may be something to read
    }
    /// Sends what is encrypted. @return as drain().
    int send_held_back() noexcept {
        while (sent_ < out_.size()) {
            const io_result sent = send_below(byte_view(std::string_view(out_).substr(sent_)));
            if (sent.error == EAGAIN) return ask_for_room();
            if (sent.error != 0) return cannot_send(sent.error);
            sent_ += sent.count;
        }
        out_.clear();
        sent_ = 0;
        return send_error_;
    }

    /// Copies parts into one record. @return how many bytes that are.
    static std::size_t gather(const iovec* parts, std::size_t count, std::size_t offset, char* into) noexcept {
        std::size_t size = 0;
        for (; count != 0 && size < record; --count, ++parts, offset = 0) {
            const std::size_t left = parts->iov_len - offset;
            const std::size_t taken = left < record - size ? left : record - size;
            std::memcpy(into + size, static_cast<const char*>(parts->iov_base) + offset, taken);
            size += taken;
        }
        return size;
    }
    std::size_t held_back() const noexcept { return out_.size() - sent_; }
    int ask_for_room() noexcept try {
        wait_below(fd_events::writable);
        return EAGAIN;
    } catch (const std::system_error& e) {
        return cannot_send(e.code().value());
    } catch (...) {
        return cannot_send(EIO);
    }
    int cannot_send(int number) noexcept {
        if (send_error_ == 0) send_error_ = number;
        out_.clear();
        sent_ = 0;
        return send_error_;
    }
    /// Has a task send what is left, and then close the stream below. @return whether it will.
    bool go_on_sending() noexcept try {
        if (asynchio::detail::this_thread.running == nullptr) return false;
        const asynchio::detail::frame* const closing = asynchio::detail::current_task_frame();
        if (closing != nullptr && closing->has_mark(asynchio::detail::mark_leftover)) return false; // the run ends
        std::string rest(out_, sent_);
        create_task(named("end of TLS"), send_rest(release_below(), std::move(rest), shutdown_timeout_));
        return true;
    } catch (...) { // no memory
        return false;
    }
    static task<> send_rest(stream below, std::string rest, duration limit) {
        const outcome<void> sent = co_await nothrow(wait_for(below.write(rest), limit));
        if (sent.cancelled() || sent.error())
            below.abort();
        else
            co_await below.aclose();
    }
    /// The result of a read that has failed.
    io_result ended() noexcept {
        if (receive_error_ == 0 && end_below_ && (allow_truncation_ || ended_here())) {
            ERR_clear_error();
            return io_result::end();
        }
        return io_result::failed(failure(side::receiving));
    }
    /// Returns why a call of OpenSSL has failed.
    int failure(side d) noexcept {
        broken_ = true;
        const int first = d == side::receiving ? receive_error_ : send_error_;
        const int second = d == side::receiving ? send_error_ : receive_error_;
        if (first != 0 || end_below_ || second != 0 || !text_.empty()) {
            ERR_clear_error();
            return first != 0 ? first : end_below_ ? truncation_error : second != 0 ? second : protocol_error;
        }
        try {
            const bool untrusted = ERR_GET_REASON(ERR_peek_error()) == SSL_R_CERTIFICATE_VERIFY_FAILED;
            text_ = take_error_text();
            if (untrusted) text_.append(": ").append(X509_verify_cert_error_string(SSL_get_verify_result(ssl())));
        } catch (...) { // no memory for the text
            text_.clear();
        }
        return protocol_error;
    }
    void say_goodbye() noexcept {
        if (broken_ || send_error_ != 0 || !SSL_is_init_finished(ssl())) return;
        if (SSL_get_shutdown(ssl()) & SSL_SENT_SHUTDOWN) return;
        ERR_clear_error();
        SSL_shutdown(ssl());
    }

    static BIO_METHOD* method() {
        static const std::unique_ptr<BIO_METHOD, deleter> made(make_method());
        return made.get();
    }
    static BIO_METHOD* make_method() {
        BIO_METHOD* const m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "asynchio");
        if (m == nullptr) throw std::bad_alloc();
        BIO_meth_set_read_ex(m, [](BIO* bio, char* into, std::size_t size, std::size_t* count) noexcept {
            return static_cast<tls_channel*>(BIO_get_data(bio))->read(bio, into, size, *count);
        });
        BIO_meth_set_write_ex(m, [](BIO* bio, const char* data, std::size_t size, std::size_t* count) noexcept {
            return static_cast<tls_channel*>(BIO_get_data(bio))->write(data, size, *count);
        });
        BIO_meth_set_ctrl(m, [](BIO*, int command, long, void*) noexcept -> long { return command == BIO_CTRL_FLUSH; });
        return m;
    }
    int read(BIO* bio, char* into, std::size_t size, std::size_t& count) noexcept {
        BIO_clear_retry_flags(bio);
        count = 0;
        const io_result got = receive_below(mutable_byte_view(into, size));
        if (got.error == EAGAIN)
            BIO_set_retry_read(bio);
        else if (got.error != 0)
            receive_error_ = got.error;
        else if (got.count == 0)
            end_below_ = true;
        count = got.count;
        return count != 0;
    }
    int write(const char* data, std::size_t size, std::size_t& count) noexcept try {
        out_.append(data, size);
        count = size;
        return 1;
    } catch (...) { // no memory
        cannot_send(ENOMEM);
        count = 0;
        return 0;
    }

    std::shared_ptr<context_state> context_;
    std::string server_name_; // that a client asks for
    std::string cache_key_;   // context_state's
    std::unique_ptr<SSL, deleter> ssl_;
    std::string out_; // encrypted, and sent up to sent_
    std::size_t sent_ = 0;
    std::string text_; // of a protocol_error
    int receive_error_ = 0;
    int send_error_ = 0;
    duration shutdown_timeout_;
    bool shaking_ = true; // the handshake is under way
    bool timed_out_ = false;
    bool broken_ = false; // OpenSSL is not to be called any more
    bool end_below_ = false;
    bool allow_truncation_;
};

} // namespace asynchio::openssl::detail

#pragma GCC visibility pop
