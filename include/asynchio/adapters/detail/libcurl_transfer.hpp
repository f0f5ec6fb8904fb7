// SPDX-License-Identifier: BSL-1.0
#pragma once

// A transfer of HTTP: a request, an easy handle of its own, and what has come of the response.

#include <asynchio/adapters/detail/libcurl_multi.hpp>
#include <asynchio/adapters/detail/libcurl_text.hpp>
#include <asynchio/adapters/libcurl_error.hpp>
#include <asynchio/adapters/libcurl_headers.hpp>
#include <asynchio/adapters/libcurl_options.hpp>
#include <asynchio/adapters/libcurl_request.hpp>
#include <asynchio/adapters/libcurl_response.hpp>
#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/sync/event.hpp>

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::libcurl::detail {

struct easy_cleanup {
    void operator()(CURL* given) const noexcept { curl_easy_cleanup(given); }
    void operator()(curl_slist* given) const noexcept { curl_slist_free_all(given); }
};
using easy_ptr = std::unique_ptr<CURL, easy_cleanup>;
using slist_ptr = std::unique_ptr<curl_slist, easy_cleanup>;

/// Sets an option. @throws std::bad_alloc; std::invalid_argument that names the option if libcurl refuses it.
template<class T>
void set_option(CURL* easy, CURLoption which, T value, const char* name) {
    const CURLcode code = curl_easy_setopt(easy, which, value);
    if (code == CURLE_OUT_OF_MEMORY) throw std::bad_alloc();
    if (code != CURLE_OK)
        throw std::invalid_argument(std::string("libcurl: ") + name + ": " + curl_easy_strerror(code));
}
inline void set_option(CURL* easy, CURLoption which, const std::string& value, const char* name) {
    if (value.find('\0') != std::string::npos)
        throw std::invalid_argument(std::string("libcurl: ") + name + " has a zero byte");
    set_option(easy, which, value.c_str(), name);
}

/// Has a handle get along with the threads and the loop of the program.
inline void adapt(CURL* easy) noexcept {
    // From 7.87 on, libcurl itself sends all that TLS sends, and without SIGPIPE; before, it has to ignore the signal.
    if (curl_version_info(CURLVERSION_NOW)->version_num >= 0x075700) curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    // CURLOPT_QUICK_EXIT, from 7.87 on: what is taken out does not wait for the thread that resolves its host's name.
    curl_easy_setopt(easy, static_cast<CURLoption>(CURLOPTTYPE_LONG + 322), 1L);
}

class transfer final : public participant {
public:
    /// @param streamed whether the body is taken in pieces. @param fed whether one is sent in pieces.
    transfer(request what, const transfer_options& how, bool streamed, bool fed)
        : transfer(easy_ptr(curl_easy_init()), std::move(what), how, streamed, fed) {}

    /// Whether the head of the response is complete, and no other one follows it.
    bool has_head() const noexcept { return head_is_whole_; }
    /// Takes the head. @throws what has ended the transfer before.
    template<class Head>
    void take_head(Head& into) {
        const char* url = nullptr;
        long version = 0;
        curl_easy_getinfo(easy(), CURLINFO_EFFECTIVE_URL, &url);
        curl_easy_getinfo(easy(), CURLINFO_HTTP_VERSION, &version);
        into.status = status_;
        into.version = version == CURL_HTTP_VERSION_1_0   ? 10
                       : version == CURL_HTTP_VERSION_2_0 ? 20
                       : version == CURL_HTTP_VERSION_3   ? 30
                                                          : 11;
        if (url != nullptr) into.url = url;
        into.headers = std::move(headers_);
    }
    /// Takes what there is of the body. The caller then has libcurl go on, if it is paused.
    std::string take_body() noexcept { return std::exchange(body_, {}); }
    /// @throws what has ended the transfer, unless it is the end of the response.
    void rethrow() const {
        if (failure_) std::rethrow_exception(failure_);
        if (code_ != CURLE_OK) throw detail::failure(easy(), code_, method_, text_);
        if (!head_is_whole_) // libcurl takes what has come of a head for the whole one
            throw detail::failure(easy(), CURLE_PARTIAL_FILE, method_, "the connection has ended within the head");
    }

    /// Whether libcurl waits until the body is taken, or the body's next piece is there. Clears the first.
    bool waits_for_reader() const noexcept { return reader_is_waited_for_; }
    bool waits_for_input() const noexcept { return input_is_waited_for_; }
    /// Returns what is still to wait when the reader has taken the body.
    int resumed_by_reader() noexcept {
        reader_is_waited_for_ = false;
        return input_is_waited_for_ ? CURLPAUSE_SEND : CURLPAUSE_CONT;
    }
    /// Takes the next piece of the body that is sent, or nothing for its end, and returns what is still to wait.
    /// @throws std::invalid_argument if it does not fit to the size that was given.
    int resumed_by_input(std::optional<std::string> piece) {
        const std::uint64_t size = piece ? piece->size() : 0;
        if (size_ && (piece ? size > *size_ - taken_ : taken_ != *size_))
            throw std::invalid_argument("libcurl: body_stream has " + std::string(piece ? "more" : "less") +
                                        " bytes than body_size says, which is " + std::to_string(*size_));
        taken_ += size;
        input_is_over_ = !piece;
        input_ = piece ? std::move(*piece) : std::string();
        sent_ = 0;
        input_is_waited_for_ = false;
        return reader_is_waited_for_ ? CURLPAUSE_RECV : CURLPAUSE_CONT;
    }
    /// Is set when the next piece is waited for, and when the transfer is over.
    event wants_input;
    /// Is set when nobody asks for pieces any more.
    event input_has_ended;

private:
    transfer(easy_ptr made, request what, const transfer_options& how, bool streamed, bool fed)
        : participant(made.get()), handle_(std::move(made)), request_(std::move(what)), size_(request_.body_size),
          max_held_(streamed ? how.read_ahead : how.max_body), streamed_(streamed), follows_(how.max_redirects > 0) {
        if (!handle_) throw std::bad_alloc();
        set_up_request(fed);
        set_up(how);
        if (how.prepare) how.prepare(easy());
        adapt(easy());
    }

    template<class T>
    void set(CURLoption which, const T& value, const char* name) {
        detail::set_option(easy(), which, value, name);
    }
    static long milliseconds(std::chrono::milliseconds given, const char* name) {
        if (given.count() < 0) throw std::invalid_argument(std::string("libcurl: ") + name + " is negative");
        return static_cast<long>(std::min<long long>(given.count(), std::numeric_limits<int>::max()));
    }
    void set_up_request(bool fed) {
        set(CURLOPT_ERRORBUFFER, &text_[0], "the buffer for errors");
        if (request_.url.empty()) throw std::invalid_argument("libcurl: the request has no URL");
        set(CURLOPT_URL, request_.url, "the URL");
        const bool has_body = request_.body || fed;
        if (request_.body && fed) throw std::invalid_argument("libcurl: the request has both a body and a body_stream");
        if (request_.body) size_ = request_.body->size();
        if (!has_body) size_ = 0;
        input_is_over_ = !fed;
        method_ = !request_.method.empty() ? request_.method : has_body ? "POST" : "GET";
        if (!header_fields::is_name(method_))
            throw std::invalid_argument("libcurl: '" + printable(method_) +
                                        "' is no method: letters, digits and !#$%&'*+-.^_`|~ can stand in one");
        if (method_ == "HEAD" && has_body) throw std::invalid_argument("libcurl: a request with HEAD has no body");
        const curl_off_t size = size_ && *size_ <= std::uint64_t(std::numeric_limits<curl_off_t>::max())
                                    ? static_cast<curl_off_t>(*size_)
                                    : -1;
        if (method_ == "HEAD") {
            set(CURLOPT_NOBODY, 1L, "HEAD");
        } else if (method_ == "PUT") {
            set(CURLOPT_UPLOAD, 1L, "PUT");
            set(CURLOPT_INFILESIZE_LARGE, size, "the size of the body");
        } else if (has_body || method_ == "POST") {
            set(CURLOPT_POST, 1L, "POST");
            set(CURLOPT_POSTFIELDSIZE_LARGE, size, "the size of the body");
            if (method_ != "POST") set(CURLOPT_CUSTOMREQUEST, method_, "the method");
        } else if (method_ != "GET") {
            set(CURLOPT_CUSTOMREQUEST, method_, "the method");
        }
        for (const header_field& each : request_.headers) // an empty value has another sign than none
            append(each.value.empty() ? each.name + ';' : each.name + ": " + each.value);
        if (!request_.headers.find("Content-Type")) append("Content-Type:"); // libcurl would say that it is a form
        if (!request_.headers.find("Expect"))
            append("Expect:"); // libcurl would wait a second for servers that do not know it
        set(CURLOPT_HTTPHEADER, fields_.get(), "the header");
    }
    void append(const std::string& line) {
        curl_slist* const longer = curl_slist_append(fields_.get(), line.c_str());
        if (longer == nullptr) throw std::bad_alloc();
        static_cast<void>(fields_.release());
        fields_.reset(longer);
    }
    void set_up(const transfer_options& how) {
        set(CURLOPT_WRITEFUNCTION, &on_body, "the callback for the body");
        set(CURLOPT_WRITEDATA, static_cast<void*>(this), "the callback for the body");
        set(CURLOPT_HEADERFUNCTION, &on_header, "the callback for the header");
        set(CURLOPT_HEADERDATA, static_cast<void*>(this), "the callback for the header");
        set(CURLOPT_READFUNCTION, &on_read, "the callback for what is sent");
        set(CURLOPT_READDATA, static_cast<void*>(this), "the callback for what is sent");
        set(CURLOPT_SEEKFUNCTION, &on_seek, "the callback for what is sent");
        set(CURLOPT_SEEKDATA, static_cast<void*>(this), "the callback for what is sent");
        set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L, "the header of a proxy");
        set(CURLOPT_BUFFERSIZE, 65'536L, "the size of the buffer");
        // CURLOPT_PROTOCOLS and CURLOPT_REDIR_PROTOCOLS, whose names newer headers call outdated: neither a user's text
        // nor a redirect reads files.
        set(static_cast<CURLoption>(CURLOPTTYPE_LONG + 181), protocols, "the protocols");
        set(static_cast<CURLoption>(CURLOPTTYPE_LONG + 182), protocols, "the protocols of redirects");
        set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(how.connect_timeout, "connect_timeout"), "connect_timeout");
        set(CURLOPT_TIMEOUT_MS, milliseconds(how.timeout, "timeout"), "timeout");
        set(CURLOPT_LOW_SPEED_LIMIT, how.low_speed, "low_speed");
        if (how.low_speed_time.count() < 0) throw std::invalid_argument("libcurl: low_speed_time is negative");
        set(CURLOPT_LOW_SPEED_TIME,
            static_cast<long>(std::min<long long>(how.low_speed_time.count(), std::numeric_limits<int>::max())),
            "low_speed_time");
        if (how.max_redirects < 0) throw std::invalid_argument("libcurl: max_redirects is negative");
        set(CURLOPT_FOLLOWLOCATION, follows_ ? 1L : 0L, "max_redirects");
        set(CURLOPT_MAXREDIRS, how.max_redirects, "max_redirects");
        if (how.compression) set(CURLOPT_ACCEPT_ENCODING, "", "compression");
        // The first connection tells whether it can carry the others: at its handshake with TLS, but else not before
        // the first response, for which the others would have to wait.
        if (how.version == http_version::http1_1)
            set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1), "the version");
        else if (curl_strnequal(request_.url.c_str(), "https:", 6) != 0)
            set(CURLOPT_PIPEWAIT, 1L, "the version");
        if (!how.tls.verify) {
            set(CURLOPT_SSL_VERIFYPEER, 0L, "tls.verify");
            set(CURLOPT_SSL_VERIFYHOST, 0L, "tls.verify");
        }
        const auto set_text = [&](CURLoption which, const std::string& value, const char* name) {
            if (!value.empty()) set(which, value, name);
        };
        set_text(CURLOPT_CAINFO, how.tls.ca_file, "tls.ca_file");
        set_text(CURLOPT_SSLCERT, how.tls.certificate_file, "tls.certificate_file");
        set_text(CURLOPT_SSLKEY, how.tls.key_file, "tls.key_file");
        set_text(CURLOPT_KEYPASSWD, how.tls.key_password, "tls.key_password");
        if (how.proxy) set(CURLOPT_PROXY, *how.proxy, "proxy");
        set_text(CURLOPT_NOPROXY, how.no_proxy, "no_proxy");
    }

    // Callbacks of libcurl. What they return is not equal to the size given if something has failed.

    static std::size_t on_header(char* data, std::size_t, std::size_t size, void* me) noexcept {
        auto& self = *static_cast<transfer*>(me);
        try {
            self.take_line(std::string_view(data, size));
            return size;
        } catch (...) {
            self.failure_ = std::current_exception();
            return 0;
        }
    }
    void take_line(std::string_view line) {
        if (head_is_whole_ && streamed_) return; // the head was taken: this stands behind the body
        if ((head_size_ += line.size()) > max_head)
            throw detail::failure(easy(), CURLE_WEIRD_SERVER_REPLY, method_, "the head of the response is too large");
        while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
        if (line.starts_with("HTTP/") && !has_body_) {
            headers_ = {};
            head_size_ = line.size();
            is_in_head_ = true;
            const std::size_t blank = std::min(line.find(' '), line.size() - 1);
            status_ = 0;
            std::from_chars(line.data() + blank + 1, line.data() + line.size(), status_);
        } else if (line.empty()) {
            is_in_head_ = false;
            // After a status of 401 or 407, libcurl may log in, and take the next response.
            const bool redirected = follows_ && status_ >= 300 && status_ < 400 && headers_.find("Location");
            if (status_ >= 200 && status_ != 401 && status_ != 407 && !redirected) complete_head();
        } else {
            headers_.add_line(line);
        }
    }
    void complete_head() noexcept {
        head_is_whole_ = true;
        if (streamed_) news_.set();
    }

    /// Returns how large the body most likely is; 0 if nothing tells.
    std::size_t declared_size() const noexcept {
        const std::string_view text = headers_.find("Content-Length").value_or("");
        std::size_t size = 0;
        std::from_chars(text.data(), text.data() + text.size(), size);
        return size;
    }

    static std::size_t on_body(char* data, std::size_t, std::size_t size, void* me) noexcept {
        auto& self = *static_cast<transfer*>(me);
        try {
            return self.take_piece(std::string_view(data, size));
        } catch (...) {
            self.failure_ = std::current_exception();
            return size == 0 ? 1 : 0;
        }
    }
    std::size_t take_piece(std::string_view piece) {
        if (!std::exchange(has_body_, true)) body_.reserve(std::min(max_held_, declared_size()));
        if (!head_is_whole_) complete_head();
        if (streamed_) {
            if (!body_.empty() && piece.size() > max_held_ - std::min(max_held_, body_.size())) {
                reader_is_waited_for_ = true;
                return CURL_WRITEFUNC_PAUSE;
            }
            news_.set();
        } else if (piece.size() > max_held_ - body_.size()) {
            throw detail::failure(easy(), CURLE_FILESIZE_EXCEEDED, method_,
                                  "the body is larger than max_body, which is " + std::to_string(max_held_) +
                                      " bytes; stream() has no maximum");
        }
        body_.append(piece);
        return piece.size();
    }

    static std::size_t on_read(char* into, std::size_t size, std::size_t count, void* me) noexcept {
        auto& self = *static_cast<transfer*>(me);
        const std::string& from = self.request_.body ? *self.request_.body : self.input_;
        const std::size_t some = std::min(size * count, from.size() - self.sent_);
        if (some > 0) {
            std::memcpy(into, from.data() + self.sent_, some);
            self.sent_ += some;
            return some;
        }
        if (self.input_is_over_ || size * count == 0) return 0;
        self.input_is_waited_for_ = true;
        self.wants_input.set();
        return CURL_READFUNC_PAUSE;
    }
    static int on_seek(void* me, curl_off_t to, int origin) noexcept {
        auto& self = *static_cast<transfer*>(me);
        const bool whole = self.request_.body.has_value();
        if (origin != SEEK_SET || to < 0 || (!whole && (to != 0 || self.taken_ > 0))) return CURL_SEEKFUNC_FAIL;
        if (whole && static_cast<std::uint64_t>(to) > self.request_.body->size()) return CURL_SEEKFUNC_FAIL;
        self.sent_ = static_cast<std::size_t>(to);
        return CURL_SEEKFUNC_OK;
    }

    void ended() noexcept override {
        wants_input.set();
        if (status_ >= 200 && !is_in_head_) head_is_whole_ = true;
    }

    static constexpr std::size_t max_head = std::size_t(512) << 10;
    static constexpr long protocols = CURLPROTO_HTTP | CURLPROTO_HTTPS;

    easy_ptr handle_;
    slist_ptr fields_;
    request request_;
    std::string method_;
    std::optional<std::uint64_t> size_; // of the body that is sent
    const std::size_t max_held_;        // bytes of the body that are held
    const bool streamed_;
    const bool follows_;
    char text_[CURL_ERROR_SIZE] = "";

    int status_ = 0;
    header_fields headers_;
    std::size_t head_size_ = 0;
    bool is_in_head_ = false;
    bool head_is_whole_ = false; // whether that of the response is complete, and no other one follows
    bool has_body_ = false;      // whether bytes of the body have come
    std::string body_;
    bool reader_is_waited_for_ = false; // libcurl is paused in this direction, and in that one

    std::string input_;       // the piece that is sent
    std::size_t sent_ = 0;    // how many bytes of it
    std::uint64_t taken_ = 0; // how many bytes of all pieces
    bool input_is_over_ = false;
    bool input_is_waited_for_ = false;
};

} // namespace asynchio::libcurl::detail

#pragma GCC visibility pop
