// SPDX-License-Identifier: BSL-1.0
#pragma once

// What is said of a transfer that has failed.

#include <asynchio/adapters/libcurl_error.hpp>

#include <curl/curl.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)

namespace asynchio::libcurl::detail {

/// Replaces what a terminal might obey: a server may have sent it.
inline std::string printable(std::string_view text) {
    std::string made(text);
    for (char& each : made)
        if (static_cast<unsigned char>(each) < ' ' || each == '\x7f') each = '?';
    return made;
}

/// A URL in parts.
struct url_parts {
    std::string shown; // without the name of a user, a password, a query, and a fragment, which may be secret
    std::string host;
    int port = 0;
};
inline url_parts parts_of(const std::string& url) {
    struct cleanup {
        void operator()(CURLU* given) const noexcept { curl_url_cleanup(given); }
        void operator()(char* given) const noexcept { curl_free(given); }
    };
    url_parts made;
    const std::unique_ptr<CURLU, cleanup> parsed(curl_url());
    const auto part = [&](CURLUPart which, unsigned flags) -> std::string {
        char* text = nullptr;
        if (curl_url_get(parsed.get(), which, &text, flags) != CURLUE_OK) return {};
        const std::unique_ptr<char, cleanup> owned(text);
        return text;
    };
    if (!parsed || curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), CURLU_GUESS_SCHEME) != CURLUE_OK) {
        made.shown = printable(url.substr(0, url.find_first_of("?#@")));
        return made;
    }
    made.host = part(CURLUPART_HOST, 0);
    made.port = std::atoi(part(CURLUPART_PORT, CURLU_DEFAULT_PORT).c_str());
    for (const CURLUPart each :
         {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_OPTIONS, CURLUPART_QUERY, CURLUPART_FRAGMENT})
        curl_url_set(parsed.get(), each, nullptr, 0);
    made.shown = printable(part(CURLUPART_URL, 0));
    return made;
}

/// Returns what can be done about an error; empty where its text says all.
inline std::string_view advice(CURLcode code) noexcept {
    switch (code) {
    case CURLE_URL_MALFORMAT: return "a URL is written https://host/path, with spaces and such as %20";
    case CURLE_COULDNT_RESOLVE_HOST: return "is the name right, and is there a network?";
    case CURLE_COULDNT_RESOLVE_PROXY: return "is the name of the proxy right?";
    case CURLE_COULDNT_CONNECT: return "nobody listens there, or something is in the way";
    case CURLE_OPERATION_TIMEDOUT: return "the limits are connect_timeout, timeout and low_speed_time";
    case CURLE_TOO_MANY_REDIRECTS: return "max_redirects is their maximum";
    case CURLE_PEER_FAILED_VERIFICATION: return "tls.ca_file names an authority that the system does not know";
    case CURLE_SSL_CONNECT_ERROR: return "does the server speak TLS at that port?";
    case CURLE_SSL_CACERT_BADFILE: return "is tls.ca_file there, and in PEM form?";
    case CURLE_SSL_CERTPROBLEM:
        return "are tls.certificate_file and tls.key_file there, in PEM form, and of each other?";
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: return "the server has ended the transfer before its end; it may be tried again";
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL: return "URLs are of http and https, and a server of HTTP must answer there";
    case CURLE_BAD_CONTENT_ENCODING: return "what the server has compressed is damaged";
    case CURLE_SEND_FAIL_REWIND: return "a body_stream cannot be sent a second time, as a redirect wants it";
    default: return {};
    }
}

/// Makes the error of a transfer. @param easy its handle. @param method of the request, if it is known.
/// @param detail what libcurl tells besides its code; it may be empty.
inline error failure(CURL* easy, CURLcode code, std::string_view method, std::string_view detail) {
    const char* url = nullptr;
    curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url);
    const url_parts at = parts_of(url != nullptr ? url : "");
    std::string text(method);
    if (!text.empty()) text += ' ';
    text += at.shown;
    text += ": ";
    text += detail.empty() ? std::string(curl_easy_strerror(code)) : printable(detail);
    const std::string_view more = advice(code);
    if (!more.empty()) {
        text += " (";
        text += more;
        text += ')';
    }
    return error(code, text, at.host, at.port);
}

} // namespace asynchio::libcurl::detail

#pragma GCC visibility pop
