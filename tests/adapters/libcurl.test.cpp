// SPDX-License-Identifier: BSL-1.0
// covers: libcurl_error.hpp libcurl_headers.hpp libcurl_options.hpp libcurl_request.hpp libcurl_response.hpp
// covers: libcurl_session.hpp
#include <asynchio/adapters/libcurl.hpp>

#include "adapters/certificates.hpp"
#include "adapters/nginx_server.hpp"
#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/message_of.hpp"
#include "support/net.hpp"
#include "support/operator_new.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/io/server.hpp>
#include <asynchio/io/stream.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/sync/event.hpp>
#include <asynchio/task/async_generator.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/for_each_allocation_failure.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>

#include <curl/curl.h>

#include <dlfcn.h>
#include <malloc.h>
#include <netdb.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace aio = asynchio;
namespace http = asynchio::libcurl;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// Look-ups of the host slow.invalid wait at the gate.
struct {
    std::mutex lock;
    std::condition_variable changed;
    bool open = true;
    int waiting = 0;
    int arrived = 0;
} gate;

} // namespace

/// Stands in front of the C library's.
extern "C" int getaddrinfo(const char* host, const char* service, const addrinfo* hints, addrinfo** found) {
    if (host != nullptr && std::string_view(host) == "slow.invalid") {
        std::unique_lock held(gate.lock);
        ++gate.waiting;
        ++gate.arrived;
        gate.changed.notify_all();
        gate.changed.wait_for(held, 20s,
                              [] { return gate.open; }); // a wait for this in the loop fails, and does not hang
        --gate.waiting;
        gate.changed.notify_all();
        return EAI_NONAME;
    }
    using function = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
    static const auto real = reinterpret_cast<function>(::dlsym(RTLD_NEXT, "getaddrinfo"));
    return real(host, service, hints, found);
}

namespace {

struct asked {
    std::string line; // such as "GET / HTTP/1.1"
    std::string head;
    std::string body;
    bool has(std::string_view text) const { return head.find(text) != std::string::npos; }
};

aio::task<std::string> read_chunks(aio::stream& from) {
    std::string all;
    for (;;) {
        const std::string line = co_await from.read_until("\r\n");
        const std::size_t size = std::stoul(line, nullptr, 16);
        const std::string chunk = co_await from.read_exactly(size + 2);
        if (size == 0) co_return all;
        all.append(chunk, 0, size);
    }
}

/// Reads a request; nothing at the end, and if the client has ended in the middle.
aio::task<std::optional<asked>> read_request(aio::stream& from) {
    asked made;
    try {
        made.head = co_await from.read_until("\r\n\r\n");
        made.line = made.head.substr(0, made.head.find('\r'));
        if (made.has("Expect: 100-continue")) co_await from.write("HTTP/1.1 100 Continue\r\n\r\n");
        if (const std::size_t at = made.head.find("Content-Length: "); at != std::string::npos)
            made.body = co_await from.read_exactly(std::stoul(made.head.substr(at + 16)));
        else if (made.has("Transfer-Encoding: chunked"))
            made.body = co_await read_chunks(from);
    } catch (const aio::incomplete_read_error&) {
        co_return std::nullopt;
    } catch (const std::system_error&) {
        co_return std::nullopt;
    }
    co_return made;
}

std::string with_length(std::string_view body, std::string_view status = "200 OK", std::string_view fields = "") {
    std::string made = "HTTP/1.1 ";
    made.append(status).append("\r\nContent-Length: ").append(std::to_string(body.size())).append("\r\n");
    made.append(fields).append("\r\n").append(body);
    return made;
}

/// What all servers of a test have seen.
struct {
    int connections = 0;
    int most_connections = 0;
    int requests = 0;
    std::vector<asked> all;
} seen;

struct counted {
    counted() { seen.most_connections = std::max(seen.most_connections, ++seen.connections); }
    counted(const counted&) = delete;
    counted& operator=(const counted&) = delete;
    ~counted() { --seen.connections; }
};

/// A server for what goes well: /N answers with N bytes, /status/N with that status, /to/X leads to X, /mute never
/// answers, and everything else says what was asked.
aio::task<> serve(aio::stream client) {
    const counted here;
    while (std::optional<asked> one = co_await read_request(client)) {
        ++seen.requests;
        const std::string path =
            one->line.substr(one->line.find(' ') + 1, one->line.rfind(' ') - one->line.find(' ') - 1);
        std::string answer;
        if (path == "/mute") { // until the client leaves
            char end[1];
            co_await client.read_some(end);
            co_return;
        }
        if (path.starts_with("/status/")) {
            answer = with_length("body of it", path.substr(8) + " Some Reason");
        } else if (path.starts_with("/to/")) {
            answer = with_length("", "302 Found", "Location: /" + path.substr(4) + "\r\n");
        } else if (path.starts_with("/again/")) {
            answer = with_length("", "307 Again", "Location: /" + path.substr(7) + "\r\n");
        } else if (path.size() > 1 && path.find_first_not_of("0123456789", 1) == std::string::npos) {
            answer = one->line.starts_with("HEAD ")
                         ? "HTTP/1.1 200 OK\r\nContent-Length: " + path.substr(1) + "\r\n\r\n"
                         : with_length(std::string(std::stoul(path.substr(1)), 'x'));
        } else {
            answer = with_length(one->head + one->body, "200 OK", "X-Twice: a\r\nx-twice:  b \r\nX-Empty:\r\n");
        }
        if (one->line.starts_with("HEAD ")) answer.resize(answer.find("\r\n\r\n") + 4);
        const bool last = one->has("X-Close");
        seen.all.push_back(std::move(*one));
        try {
            co_await client.write(answer);
        } catch (const std::system_error&) { // the client has left
            co_return;
        }
        if (last) co_return;
    }
}

std::string url_of(const aio::server& at, std::string_view path = "/") {
    return "http://127.0.0.1:" + std::to_string(at.port()) + std::string(path);
}

template<class F>
void with_server(F body) {
    seen = {};
    aio::run(aio::wait_for(
        [](F& what) -> aio::task<> {
            aio::server at = co_await aio::start_server(serve, "127.0.0.1", 0);
            co_await what(at);
        }(body),
        60s));
}

/// Runs a test with a server that sends `answer` to each request, and closes the connection.
aio::task<aio::server> start_liar(std::string answer) {
    auto lie = [answer = std::move(answer)](aio::stream client) -> aio::task<> {
        const counted here;
        const std::string text = answer;
        try {
            co_await client.read_until("\r\n\r\n");
            co_await client.write(text);
            co_await client.write_eof();
            char rest[1000];
            while (co_await client.read_some(rest) > 0) {}
        } catch (const std::exception&) { // the client may leave at any time
        }
    };
    co_return co_await aio::start_server(aio::take(lie), "127.0.0.1", 0);
}

aio::task<std::string> all_of(aio::async_generator<std::string>& pieces) {
    std::string all;
    while (auto piece = co_await pieces.next()) all += *piece;
    co_return all;
}
/// Takes the body of a stream that has to end with an exception.
aio::task<> drain(aio::async_generator<std::string>& pieces, std::string* into = nullptr) {
    while (auto piece = co_await pieces.next())
        if (into != nullptr) *into += *piece;
}

aio::async_generator<std::string> pieces_of(std::size_t count, std::size_t size) {
    for (std::size_t i = 0; i < count; ++i) {
        if (i % 3 == 0) co_await aio::yield();
        co_yield std::string(size, static_cast<char>('a' + i % 26));
    }
}
std::string whole_of(std::size_t count, std::size_t size) {
    std::string all;
    for (std::size_t i = 0; i < count; ++i) all.append(size, static_cast<char>('a' + i % 26));
    return all;
}

template<class Condition>
aio::task<> until(Condition holds) {
    while (!holds()) co_await aio::sleep(1ms);
}

authority& issuer() {
    static authority made;
    return made;
}

/// An nginx with a certificate, which serves the files that a test writes, and takes others at /put/.
nginx_server& real_server() {
    static const certificate_files own = issuer().issue("DNS:localhost,IP:127.0.0.1");
    static nginx_server made(
        "gzip on; gzip_types text/plain; default_type text/plain; http2_max_concurrent_streams 128;",
        "location / { add_header X-Connection $connection; }"
        "location = /agent { return 200 $http_user_agent; }"
        "location = /who { return 200 \"$ssl_client_verify $ssl_client_s_dn\"; }"
        "location /put/ { dav_methods PUT DELETE; create_full_put_path on; client_max_body_size 0; }",
        "ssl_certificate " + own.certificate + "; ssl_certificate_key " + own.key + "; ssl_verify_client optional; " +
            "ssl_client_certificate " + issuer().trusted() + ";");
    return made;
}

/// Runs a test that needs nginx. Without it, the test is skipped, or fails where all adapters must be tested.
template<class F>
void with_nginx(F body) {
    if (!can_run(!nginx_program().empty(), "nginx")) return;
    real_server();
    aio::run(aio::wait_for(body(), 60s));
}
http::session_options trusting() {
    http::session_options how;
    how.transfers.tls.ca_file = issuer().trusted();
    return how;
}

} // namespace

TEST_CASE("libcurl: fields of a header are found in any case, and cannot hold line ends") {
    http::header_fields fields{{"Content-Type", "text/plain"}, {"X-A", "1"}, {"x-a", "2"}};
    CHECK(fields.find("content-type") == "text/plain");
    CHECK(fields.find("X-B") == std::nullopt);
    CHECK(fields.all("X-A") == std::vector<std::string_view>{"1", "2"});
    fields.set("x-A", "3");
    CHECK(fields.all("X-A") == std::vector<std::string_view>{"3"});
    CHECK(fields.size() == 2);
    CHECK(fields.erase("CONTENT-TYPE") == 1);
    CHECK(fields.erase("CONTENT-TYPE") == 0);
    CHECK(!fields.empty());
    for (const char* name : {"", "a b", "a:", "a\r\n", "\xc3\xa4"})
        CHECK(contains(message_of([&] { fields.add(name, "x"); }), "character that HTTP does not allow"));
    CHECK_THROWS_AS(fields.add(std::string("a\0b", 3), "x"), std::invalid_argument);
    for (const std::string& value : {std::string("a\r\nB: c"), std::string("a\nb"), std::string("a\0b", 3)}) {
        CHECK(contains(message_of([&] { fields.add("Name", value); }), "Name has a line end or a zero byte"));
        CHECK(contains(message_of([&] { fields.set("Name", value); }), "Name has a line end or a zero byte"));
    }
    CHECK_THROWS_AS(http::header_fields({{"a", "b\n"}}), std::invalid_argument);
    fields.add_line("Long: first");
    fields.add_line("\t second ");
    fields.add_line("nothing");
    CHECK(fields.find("long") == "first second");
    CHECK(fields.size() == 2);
}

TEST_CASE("libcurl: a request goes out as it is, and the response comes back whole", "[net]") {
    with_server([](aio::server& at) -> aio::task<> {
        const std::size_t watched = aio::get_running_loop().watched_descriptors();
        http::session web;
        const http::response plain = co_await web.get(url_of(at, "/path?a=b#c"));
        CHECK(plain.status == 200);
        CHECK(plain.ok());
        CHECK(plain.version == 11);
        CHECK(plain.url == url_of(at, "/path?a=b#c"));
        CHECK(plain.headers.all("X-Twice") == std::vector<std::string_view>{"a", "b"});
        CHECK(plain.headers.find("X-Empty") == "");
        CHECK(plain.body.starts_with("GET /path?a=b HTTP/1.1\r\n"));
        CHECK(seen.all.back().has("Accept-Encoding: "));
        CHECK(!seen.all.back().has("Content-Type"));
        CHECK(!seen.all.back().has("Expect"));
        const http::response posted = co_await web.post(url_of(at), "the body", "text/plain");
        CHECK(posted.body.starts_with("POST / HTTP/1.1\r\n"));
        CHECK(posted.body.ends_with("\r\n\r\nthe body"));
        CHECK(seen.all.back().has("Content-Type: text/plain\r\n"));
        const http::response put = co_await web.put(url_of(at), std::string("a\0b", 3));
        CHECK(put.body.starts_with("PUT / HTTP/1.1\r\n"));
        CHECK(put.body.ends_with(std::string("\r\n\r\na\0b", 7)));
        const http::response deleted = co_await web.delete_(url_of(at));
        CHECK(deleted.body.starts_with("DELETE / HTTP/1.1\r\n"));
        const http::response head = co_await web.head(url_of(at, "/1000000000"));
        CHECK(head.body.empty());
        CHECK(head.headers.find("content-length") == "1000000000");
        http::request other(url_of(at), "PATCH");
        other.body = std::string(3'000'000, 'y');
        other.headers = {{"X-One", "1"}, {"X-None", ""}, {"User-Agent", "me"}};
        const http::response patched = co_await web.send(std::move(other));
        CHECK(patched.body.starts_with("PATCH / HTTP/1.1\r\n"));
        CHECK(seen.all.back().body.size() == 3'000'000);
        CHECK(!seen.all.back().has("Expect"));
        CHECK(seen.all.back().has("X-One: 1\r\n"));
        CHECK(seen.all.back().has("X-None:\r\n"));
        CHECK(seen.all.back().has("User-Agent: me\r\n"));
        CHECK(!seen.all.back().has("Content-Type"));
        http::request empty(url_of(at), "POST");
        const http::response nothing = co_await web.send(std::move(empty));
        CHECK(seen.all.back().has("Content-Length: 0\r\n"));
        CHECK(seen.connections == 1);
        CHECK(web.transfers() == 0);
        // The server's end is watched, and nobody watches that of a connection that is kept.
        CHECK(aio::get_running_loop().watched_descriptors() == watched + 1);
    });
}

TEST_CASE("libcurl: what cannot be sent is refused, and named", "[net]") {
    with_server([](aio::server& at) -> aio::task<> {
        http::session web;
        using wrong = std::invalid_argument;
        const auto text = [&](http::request what) -> aio::task<std::string> {
            const wrong e = co_await error_of<wrong>(web.send(std::move(what)));
            co_return e.what();
        };
        const auto with = [&](std::string method) { return http::request(url_of(at), std::move(method)); };
        std::string said = co_await text(http::request());
        CHECK(contains(said, "no URL"));
        said = co_await text(http::request(std::string("http://a\0b/", 11)));
        CHECK(contains(said, "the URL has a zero byte"));
        said = co_await text(with("GET / HTTP/1.1\r\nX: y\r\n\r\nGET"));
        CHECK(contains(said, "is no method"));
        CHECK(!contains(said, "\r"));
        http::request head = with("HEAD");
        head.body = "x";
        said = co_await text(std::move(head));
        CHECK(contains(said, "HEAD has no body"));
        http::request both = with("POST");
        both.body = "x";
        both.body_stream = pieces_of(1, 1);
        said = co_await text(std::move(both));
        CHECK(contains(said, "both a body and a body_stream"));
        http::transfer_options how;
        how.timeout = -1ms;
        const wrong negative = co_await error_of<wrong>(web.get(url_of(at), how));
        CHECK(contains(negative.what(), "timeout is negative"));
        how = {};
        how.max_redirects = -1;
        const wrong redirects = co_await error_of<wrong>(web.get(url_of(at), how));
        CHECK(contains(redirects.what(), "max_redirects"));
        how = {};
        how.timeout = std::chrono::milliseconds::max();
        how.connect_timeout = std::chrono::milliseconds::max();
        how.low_speed_time = std::chrono::seconds::max();
        const http::response patient = co_await web.get(url_of(at, "/1"), how);
        CHECK(patient.body == "x");
        http::session_options bounds;
        bounds.max_connections = -1;
        CHECK(contains(message_of([&] { http::session made(bounds); }), "max_connections is negative"));
        const wrong null = co_await error_of<wrong>(web.perform(nullptr));
        CHECK(contains(null.what(), "null"));
        http::session moved = std::move(web);
        CHECK(web.is_closed());
        CHECK(contains(message_of([&] { static_cast<void>(web.get(url_of(at))); }), "moved from"));
        const http::response again = co_await moved.get(url_of(at, "/2"));
        CHECK(again.body == "xx");
        moved.close();
        moved.close();
        CHECK(moved.is_closed());
        CHECK(moved.native_handle() == nullptr);
        const std::logic_error closed = co_await error_of<std::logic_error>(moved.get(url_of(at)));
        CHECK(contains(closed.what(), "closed"));
    });
    CHECK(message_of([] { http::session outside; }) != "");
}

TEST_CASE("libcurl: errors have libcurl's code, the host and the port, and say what to do", "[net]") {
    with_server([](aio::server& at) -> aio::task<> {
        http::session web;
        const int port = unused_port();
        const http::error refused = co_await error_of<http::error>(
            web.get("http://user:secret@127.0.0.1:" + std::to_string(port) + "/a?token=secret#secret"));
        CHECK(refused.code() == CURLE_COULDNT_CONNECT);
        CHECK(refused.host() == "127.0.0.1");
        CHECK(refused.port() == port);
        CHECK(!refused.timed_out());
        CHECK(contains(refused.what(), "GET http://127.0.0.1:" + std::to_string(port) + "/a: "));
        CHECK(contains(refused.what(), "nobody listens there"));
        CHECK(!contains(refused.what(), "secret"));
        const http::error unknown = co_await error_of<http::error>(web.get("https://nowhere.invalid/"));
        CHECK(unknown.code() == CURLE_COULDNT_RESOLVE_HOST);
        CHECK(unknown.host() == "nowhere.invalid");
        CHECK(unknown.port() == 443);
        CHECK(contains(unknown.what(), "is the name right"));
        const http::error other = co_await error_of<http::error>(web.get("file:///etc/passwd"));
        CHECK(other.code() == CURLE_UNSUPPORTED_PROTOCOL);
        const http::error malformed = co_await error_of<http::error>(web.get("http://a b/"));
        CHECK(malformed.code() == CURLE_URL_MALFORMAT);
        CHECK(contains(malformed.what(), "a URL is written"));
        auto greet = [](aio::stream client) -> aio::task<> { co_await client.write("hello, this is no TLS\r\n"); };
        aio::server other_kind = co_await aio::start_server(greet, "127.0.0.1", 0);
        const http::error no_tls = co_await error_of<http::error>(web.get("https" + url_of(other_kind).substr(4)));
        CHECK(no_tls.code() == CURLE_SSL_CONNECT_ERROR);
        CHECK(contains(no_tls.what(), "does the server speak TLS"));
        const http::response fine = co_await web.get(url_of(at, "/3"));
        CHECK(fine.body == "xxx");
    });
}

TEST_CASE("libcurl: a status is a result, and an error where it is asked for", "[net]") {
    with_server([](aio::server& at) -> aio::task<> {
        http::session web;
        const http::response missing = co_await web.get(url_of(at, "/status/404"));
        CHECK(missing.status == 404);
        CHECK(!missing.ok());
        CHECK(missing.body == "body of it");
        try {
            missing.raise_for_status();
            CHECK(false);
        } catch (const http::status_error& e) {
            CHECK(e.status() == 404);
            CHECK(e.code() == CURLE_HTTP_RETURNED_ERROR);
            CHECK(e.port() == at.port());
            CHECK(contains(e.what(), url_of(at, "/status/404") + ": the server answers with the status 404"));
        }
        const http::response teapot = co_await web.get(url_of(at, "/status/418"));
        CHECK_THROWS_AS(teapot.raise_for_status(), http::error);
        const http::response empty = co_await web.get(url_of(at, "/status/299"));
        empty.raise_for_status();
        CHECK(empty.ok());
        auto streamed = co_await web.stream(http::request(url_of(at, "/status/500")));
        CHECK_THROWS_AS(streamed.raise_for_status(), http::status_error);
        const std::string body = co_await all_of(streamed.body);
        CHECK(body == "body of it");
    });
}

TEST_CASE("libcurl: redirects are followed as far as is allowed", "[net]") {
    with_server([](aio::server& at) -> aio::task<> {
        http::session web;
        const http::response moved = co_await web.get(url_of(at, "/to/to/to/5"));
        CHECK(moved.body == "xxxxx");
        CHECK(moved.url == url_of(at, "/5"));
        http::transfer_options how = web.options();
        how.max_redirects = 2;
        const http::error many = co_await error_of<http::error>(web.get(url_of(at, "/to/to/to/5"), how));
        CHECK(many.code() == CURLE_TOO_MANY_REDIRECTS);
        CHECK(contains(many.what(), "max_redirects"));
        how.max_redirects = 0;
        const http::response first = co_await web.get(url_of(at, "/to/5"), how);
        CHECK(first.status == 302);
        CHECK(first.headers.find("Location") == "/5");
        auto streamed = co_await web.stream(http::request(url_of(at, "/to/5")), how);
        CHECK(streamed.status == 302);
        auto followed = co_await web.stream(http::request(url_of(at, "/to/to/5")));
        CHECK(followed.status == 200);
        CHECK(followed.url == url_of(at, "/5"));
        const std::string body = co_await all_of(followed.body);
        CHECK(body == "xxxxx");
        const http::response got = co_await web.post(url_of(at, "/to/a"), "text");
        CHECK(got.body.starts_with("GET /a "));
        const http::response kept = co_await web.post(url_of(at, "/again/a"), "text");
        CHECK(kept.body.starts_with("POST /a "));
        CHECK(kept.body.ends_with("text"));
        const http::response put = co_await web.put(url_of(at, "/again/a"), "text");
        CHECK(put.body.starts_with("PUT /a "));
        CHECK(put.body.ends_with("text"));
        http::request once(url_of(at, "/again/a"), "PUT");
        once.body_stream = pieces_of(2, 2);
        const http::error rewind = co_await error_of<http::error>(web.send(std::move(once)));
        CHECK(rewind.code() == CURLE_SEND_FAIL_REWIND);
        CHECK(contains(rewind.what(), "body_stream cannot be sent a second time"));
        aio::server liar = co_await start_liar(with_length("", "302 Found", "Location: ftp://127.0.0.1/\r\n"));
        const http::error other_kind = co_await error_of<http::error>(web.get(url_of(liar)));
        CHECK(other_kind.code() == CURLE_UNSUPPORTED_PROTOCOL);
        aio::server circle = co_await start_liar(with_length("", "302 Found", "Location: /\r\n"));
        const http::error endless = co_await error_of<http::error>(web.get(url_of(circle)));
        CHECK(endless.code() == CURLE_TOO_MANY_REDIRECTS);
    });
}

TEST_CASE("libcurl: a body in memory is bounded", "[net]") {
    with_server([](aio::server& at) -> aio::task<> {
        http::session web;
        http::transfer_options how;
        how.max_body = 100'000;
        const http::response fits = co_await web.get(url_of(at, "/100000"), how);
        CHECK(fits.body.size() == 100'000);
        const http::error large = co_await error_of<http::error>(web.get(url_of(at, "/100001"), how));
        CHECK(large.code() == CURLE_FILESIZE_EXCEEDED);
        CHECK(large.port() == at.port());
        CHECK(contains(large.what(), "max_body, which is 100000 bytes"));
        how.max_body = 0;
        const http::response none = co_await web.get(url_of(at, "/0"), how);
        CHECK(none.body.empty());
        const http::response head = co_await web.head(url_of(at, "/99999999999"));
        CHECK(head.status == 200);
        std::string long_head = "HTTP/1.1 200 OK\r\n";
        for (int i = 0; i < 20; ++i)
            long_head.append("X-").append(std::to_string(i)).append(": ").append(60'000, 'h').append("\r\n");
        aio::server talker = co_await start_liar(long_head + "\r\n");
        const http::error talk = co_await error_of<http::error>(web.get(url_of(talker)));
        CHECK(!talk.host().empty());
    });
}

TEST_CASE("libcurl: time limits end a transfer", "[net]") {
    with_server([](aio::server& at) -> aio::task<> {
        http::session web;
        http::transfer_options how;
        how.timeout = 30ms;
        const http::error whole = co_await error_of<http::error>(web.get(url_of(at, "/mute"), how));
        CHECK(whole.timed_out());
        CHECK(contains(whole.what(), "connect_timeout, timeout and low_speed_time"));
        how.timeout = 0ms;
        how.low_speed_time = 1s;
        const http::error slow = co_await error_of<http::error>(web.get(url_of(at, "/mute"), how));
        CHECK(slow.timed_out());
        how.connect_timeout = 30ms;
        {
            const std::scoped_lock held(gate.lock);
            gate.open = false;
            gate.arrived = 0;
        }
        const http::error unresolved = co_await error_of<http::error>(web.get("http://slow.invalid/", how));
        CHECK(unresolved.timed_out());
        CHECK(unresolved.host() == "slow.invalid");
        co_await until([] { // its thread may come after the time limit
            const std::scoped_lock held(gate.lock);
            return gate.arrived == 1;
        });
        {
            const std::scoped_lock held(gate.lock);
            gate.open = true;
        }
        gate.changed.notify_all();
        const http::response fine = co_await web.get(url_of(at, "/3"), how);
        CHECK(fine.body == "xxx");
    });
    std::unique_lock held(gate.lock);
    gate.changed.wait(held, [] { return gate.waiting == 0; });
}

TEST_CASE("libcurl: a name that is looked up for long does not keep a cancelled transfer, nor the session", "[net]") {
    {
        const std::scoped_lock held(gate.lock);
        gate.open = false;
    }
    with_server([](aio::server& at) -> aio::task<> {
        {
            http::session web;
            auto stuck = aio::create_task(web.get("http://slow.invalid/"));
            auto other = aio::create_task(web.get("http://slow.invalid:81/"));
            co_await until([] {
                const std::scoped_lock held(gate.lock);
                return gate.waiting == 2;
            });
            stuck.cancel();
            co_await aio::nothrow(stuck);
            CHECK(stuck.cancelled());
            CHECK(web.transfers() == 1);
            const http::response fine = co_await web.get(url_of(at, "/3"));
            CHECK(fine.body == "xxx");
            web.close();
            const http::error closed =
                co_await error_of<http::error>([](auto& of) -> aio::task<> { co_await of; }(other));
            INFO(closed.what());
            CHECK(contains(closed.what(), "session was closed"));
        }
        CHECK(gate.waiting == 2); // they still are: nobody has waited for them
    });
    {
        const std::scoped_lock held(gate.lock);
        gate.open = true;
    }
    gate.changed.notify_all();
    std::unique_lock held(gate.lock);
    gate.changed.wait(held, [] { return gate.waiting == 0; });
}

TEST_CASE("libcurl: a server that speaks nonsense gives an error", "[net]") {
    with_server([](aio::server&) -> aio::task<> {
        http::session web;
        static const std::string answers[] = {
            "",
            "\n",
            "SSH-2.0-OpenSSH_9.2\r\n",
            "\x1b[31mHTTP/1.1 200 OK\r\n\r\n",
            std::string(5000, '\xff'),
            std::string(100'000, '\0'),
            "HTTP/9.9 200 OK\r\n\r\n",
            "HTTP/1.1 xyz\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\n" + std::string(200'000, 'x') + "\r\n\r\n",
        };
        for (const std::string& answer : answers) {
            CAPTURE(answer.substr(0, 60));
            aio::server fake = co_await start_liar(answer);
            const http::error failed = co_await error_of<http::error>(web.get(url_of(fake)));
            CHECK(failed.port() == fake.port());
            CHECK(std::string_view(failed.what()).find('\x1b') == std::string_view::npos);
            const http::error streamed = co_await error_of<http::error>([](auto& of, std::string url) -> aio::task<> {
                auto answered = co_await of.stream(http::request(std::move(url)));
                co_await drain(answered.body);
            }(web, url_of(fake)));
            CHECK(streamed.code() == failed.code());
        }
    });
}

TEST_CASE("libcurl: a response that is cut at any byte is an error", "[net]") {
    with_server([](aio::server&) -> aio::task<> {
        http::session web;
        const std::string whole = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello";
        const std::string chunked =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
        for (const std::string& each : {whole, chunked}) {
            for (std::size_t size = 0; size <= each.size(); ++size) {
                CAPTURE(each, size);
                aio::server cut = co_await start_liar(each.substr(0, size));
                const auto got = co_await aio::nothrow(web.get(url_of(cut)));
                const auto piecewise = co_await aio::nothrow([](auto& of, std::string url) -> aio::task<std::string> {
                    auto answered = co_await of.stream(http::request(std::move(url)));
                    std::string all = co_await all_of(answered.body);
                    co_return all;
                }(web, url_of(cut)));
                if (each == chunked && size < each.size() && size + 2 >= each.size())
                    continue; // all of the body is there
                if (size == each.size()) {
                    CHECK(got.value().body == "hello");
                    CHECK(piecewise.value() == "hello");
                } else {
                    CHECK_THROWS_AS(got.rethrow(), http::error);
                    CHECK_THROWS_AS(piecewise.rethrow(), http::error);
                }
            }
        }
    });
}

TEST_CASE("libcurl: the pieces that have come before a cut are read", "[net]") {
    with_server([](aio::server&) -> aio::task<> {
        http::session web;
        aio::server cut =
            co_await start_liar("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + std::string(500'000, 'x'));
        auto answered = co_await web.stream(http::request(url_of(cut)));
        CHECK(answered.headers.find("content-length") == "1000000");
        std::string got;
        const http::error failed = co_await error_of<http::error>(drain(answered.body, &got));
        CHECK(failed.code() == CURLE_PARTIAL_FILE);
        CHECK(contains(failed.what(), "may be tried again"));
        CHECK(got.size() == 500'000);
    });
}

TEST_CASE("libcurl: a stream's server waits for a slow reader", "[net]") {
    with_server([](aio::server&) -> aio::task<> {
        std::size_t written = 0;
        auto pour = [&written](aio::stream client) -> aio::task<> {
            std::size_t& count = written;
            co_await client.read_until("\r\n\r\n");
            co_await client.write("HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n");
            for (int i = 0; i < 500; ++i) {
                co_await client.write(std::string(100'000, 'x'));
                count += 100'000;
            }
            char rest[1];
            co_await client.read_some(rest);
        };
        aio::server tap = co_await aio::start_server(aio::take(pour), "127.0.0.1", 0);
        http::session web;
        http::transfer_options how;
        how.read_ahead = 100'000;
        auto answered = co_await web.stream(http::request(url_of(tap)), how);
        std::size_t before = 1;
        while (before != written) { // the kernel's buffers are full then
            before = written;
            co_await settle();
        }
        CHECK(written < 20'000'000);
        const http::response other = co_await web.get(url_of(co_await start_liar(with_length("other"))));
        CHECK(other.body == "other");
        std::size_t got = 0;
        std::size_t largest = 0;
        while (auto piece = co_await answered.body.next()) {
            got += piece->size();
            largest = std::max(largest, piece->size());
        }
        CHECK(got == 50'000'000);
        CHECK(largest <= 100'000);
    });
}

TEST_CASE("libcurl: a stream that is closed early, or dropped, ends the connection", "[net]") {
    with_server([](aio::server&) -> aio::task<> {
        int ended = 0;
        auto pour = [&ended](aio::stream client) -> aio::task<> {
            int& count = ended;
            co_await client.read_until("\r\n\r\n");
            try {
                co_await client.write("HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n");
                for (int i = 0; i < 500; ++i) co_await client.write(std::string(100'000, 'x'));
            } catch (const std::system_error&) {}
            ++count;
        };
        aio::server tap = co_await aio::start_server(aio::take(pour), "127.0.0.1", 0);
        http::session web;
        {
            auto answered = co_await web.stream(http::request(url_of(tap)));
            const auto piece = co_await answered.body.next();
            CHECK(piece->size() > 0);
            CHECK(web.transfers() == 1);
            co_await answered.body.aclose();
            CHECK(web.transfers() == 0);
        }
        co_await until([&] { return ended == 1; });
        {
            auto answered = co_await web.stream(http::request(url_of(tap)));
            CHECK(web.transfers() == 1);
        }
        CHECK(web.transfers() == 0);
        co_await until([&] { return ended == 2; });
        {
            auto answered = co_await web.stream(http::request(url_of(tap)));
            const auto piece = co_await answered.body.next();
        }
        co_await until([&] { return ended == 3; });
        CHECK(web.transfers() == 0);
    });
}

TEST_CASE("libcurl: a body is sent in pieces, with its size and without", "[net]") {
    with_server([](aio::server& at) -> aio::task<> {
        http::session web;
        for (const char* method : {"PUT", "POST", "PATCH"}) {
            CAPTURE(method);
            http::request unknown(url_of(at), method);
            unknown.body_stream = pieces_of(100, 10'007);
            const http::response echoed = co_await web.send(std::move(unknown));
            CHECK(seen.all.back().line == std::string(method) + " / HTTP/1.1");
            CHECK((seen.all.back().body == whole_of(100, 10'007)));
            CHECK(seen.all.back().has("Transfer-Encoding: chunked"));
            http::request sized(url_of(at), method);
            sized.body_stream = pieces_of(100, 10'007);
            sized.body_size = 1'000'700;
            const http::response again = co_await web.send(std::move(sized));
            CHECK((seen.all.back().body == whole_of(100, 10'007)));
            CHECK(seen.all.back().has("Content-Length: 1000700\r\n"));
            http::request none(url_of(at), method);
            none.body_stream = pieces_of(0, 0);
            const http::response empty = co_await web.send(std::move(none));
            CHECK(seen.all.back().body.empty());
            http::request blank(url_of(at), method);
            blank.body_stream = pieces_of(5, 0);
            const http::response blanks = co_await web.send(std::move(blank));
            CHECK(blanks.status == 200);
        }
        CHECK(web.transfers() == 0);
    });
}

TEST_CASE("libcurl: a body in pieces that fails, or has a wrong size, ends the transfer", "[net]") {
    with_server([](aio::server& at) -> aio::task<> {
        http::session web;
        const auto failing = []() -> aio::async_generator<std::string> {
            co_yield std::string("first");
            throw std::domain_error("no more");
        };
        http::request broken(url_of(at), "PUT");
        broken.body_stream = failing();
        const auto thrown = co_await error_of<std::domain_error>(web.send(std::move(broken)));
        CHECK(thrown.what() == std::string("no more"));
        for (const unsigned size : {9U, 11U}) {
            http::request wrong(url_of(at), "PUT");
            wrong.body_stream = pieces_of(2, 5);
            wrong.body_size = size;
            const auto told = co_await error_of<std::invalid_argument>(web.send(std::move(wrong)));
            CHECK(contains(told.what(), size == 9 ? "more bytes than body_size" : "less bytes than body_size"));
        }
        CHECK(web.transfers() == 0);
        const http::response fine = co_await web.get(url_of(at, "/3"));
        CHECK(fine.body == "xxx");
    });
}

TEST_CASE("libcurl: a body that never ends is closed when the server answers without it, and when it is cancelled",
          "[net]") {
    with_server([](aio::server& at) -> aio::task<> {
        http::session web;
        const auto token = std::make_shared<int>(0);
        const auto never = [](std::shared_ptr<int>) -> aio::async_generator<std::string> {
            co_yield std::string("first");
            co_await aio::sleep(1h);
        };
        aio::server hasty = co_await start_liar(with_length("no", "403 Forbidden"));
        http::request refused(url_of(hasty), "PUT");
        refused.body_stream = never(token);
        const http::response answer = co_await web.send(std::move(refused));
        CHECK(answer.status == 403);
        CHECK(token.use_count() == 1);
        http::request stuck(url_of(at), "PUT");
        stuck.body_stream = never(token);
        auto sending = aio::create_task(web.send(std::move(stuck)));
        co_await until([&] { return seen.connections > 0; });
        sending.cancel();
        co_await aio::nothrow(sending);
        CHECK(sending.cancelled());
        CHECK(token.use_count() == 1);
        CHECK(web.transfers() == 0);
        http::request twice(url_of(at), "PUT");
        twice.body_stream = never(token);
        const auto streaming = [](auto& of, auto what) -> aio::task<> {
            auto answered = co_await of.stream(std::move(what));
            co_await drain(answered.body);
        };
        auto other = aio::create_task(streaming(web, std::move(twice)));
        for (int i = 0; i < 10; ++i) co_await aio::yield();
        other.cancel();
        other.cancel();
        co_await aio::nothrow(other);
        CHECK(other.cancelled());
        CHECK(token.use_count() == 1);
    });
}

TEST_CASE("libcurl: a body goes out while the other one comes in", "[net]") {
    with_server([](aio::server&) -> aio::task<> {
        auto echo = [](aio::stream client) -> aio::task<> {
            co_await client.read_until("\r\n\r\n");
            co_await client.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for (;;) {
                const std::string line = co_await client.read_until("\r\n");
                const std::size_t size = std::stoul(line, nullptr, 16);
                const std::string chunk = co_await client.read_exactly(size + 2);
                const std::string back = line + chunk;
                co_await client.write(back);
                if (size == 0) co_return;
            }
        };
        aio::server mirror = co_await aio::start_server(echo, "127.0.0.1", 0);
        http::session web;
        aio::event heard;
        // Each piece is sent when the one before has come back.
        const auto talk = [](aio::event& last) -> aio::async_generator<std::string> {
            for (int i = 0; i < 20; ++i) {
                co_yield "piece " + std::to_string(i) + "\n";
                co_await last.wait();
                last.clear();
            }
        };
        http::request both(url_of(mirror), "POST");
        both.body_stream = talk(heard);
        auto answered = co_await web.stream(std::move(both));
        int lines = 0;
        while (auto piece = co_await answered.body.next()) {
            lines += static_cast<int>(std::count(piece->begin(), piece->end(), '\n'));
            heard.set();
        }
        CHECK(lines == 20);
    });
}

TEST_CASE("libcurl: connections are bounded, in all and to one host", "[net]") {
    with_server([](aio::server& at) -> aio::task<> {
        http::session_options how;
        how.max_connections_per_host = 3;
        http::session web(how);
        std::vector<aio::task<http::response>> all;
        for (int i = 0; i < 200; ++i) all.push_back(web.get(url_of(at, "/" + std::to_string(i))));
        const auto got = co_await aio::gather(std::move(all));
        for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i].body.size() == i);
        CHECK(seen.most_connections == 3);
        CHECK(seen.requests == 200);
        web.close();
        co_await until([] { return seen.connections == 0; });
        how.max_transfers = 2;
        http::session narrow(how);
        std::vector<aio::task_handle<http::response>> queued;
        for (int i = 0; i < 5; ++i) queued.push_back(aio::create_task(narrow.get(url_of(at, "/mute"))));
        co_await until([] { return seen.requests == 202; });
        CHECK(narrow.transfers() == 5);
        queued[0].cancel();
        queued[2].cancel();
        co_await until([] { return seen.requests == 203; });
        CHECK(narrow.transfers() == 3);
        narrow.close();
        for (std::size_t i : {1U, 3U, 4U}) {
            const http::error closed =
                co_await error_of<http::error>([](auto& of) -> aio::task<> { co_await of; }(queued[i]));
            CHECK(contains(closed.what(), "session was closed"));
        }
        CHECK(narrow.transfers() == 0);
        how.max_transfers = 1;
        http::session single(how);
        auto ended = co_await single.stream(http::request(url_of(at, "/5")));
        const std::string five = co_await all_of(ended.body);
        CHECK(five == "xxxxx");
        const http::response next =
            co_await single.get(url_of(at, "/6")); // the end of a stream has given its place back
        CHECK(next.body.size() == 6);
        auto open = co_await single.stream(http::request(url_of(at, "/10000000")));
        auto behind = aio::create_task(single.get(url_of(at, "/7")));
        co_await aio::yield();
        CHECK(single.transfers() == 2);
        single.close(); // nobody reads the stream, which would give its place back
        const http::error refused =
            co_await error_of<http::error>([](auto& of) -> aio::task<> { co_await of; }(behind));
        CHECK(contains(refused.what(), "session was closed"));
        co_await until([] { return seen.connections == 0; });
        seen = {};
        how.max_connections = 2;
        how.max_connections_per_host = 0;
        http::session few(how);
        aio::server other = co_await aio::start_server(serve, "127.0.0.1", 0);
        std::vector<aio::task<http::response>> more;
        for (int i = 0; i < 100; ++i) more.push_back(few.get(url_of(i % 2 == 0 ? at : other, "/7")));
        const auto sevens = co_await aio::gather(std::move(more));
        for (const http::response& each : sevens) CHECK(each.body.size() == 7);
        CHECK(seen.most_connections <= 2);
    });
}

TEST_CASE("libcurl: a proxy is asked instead of the host", "[net]") {
    with_server([](aio::server& at) -> aio::task<> {
        http::session web;
        http::transfer_options how;
        how.proxy = url_of(at);
        const http::response by_proxy = co_await web.get("http://nowhere.invalid/a", how);
        CHECK(by_proxy.body.starts_with("GET http://nowhere.invalid/a HTTP/1.1\r\n"));
        ::setenv("http_proxy", url_of(at).c_str(), 1);
        const http::response by_environment = co_await web.get("http://nowhere.invalid/b");
        CHECK(by_environment.body.starts_with("GET http://nowhere.invalid/b HTTP/1.1\r\n"));
        how.proxy = "";
        const http::error direct = co_await error_of<http::error>(web.get("http://nowhere.invalid/c", how));
        CHECK(direct.code() == CURLE_COULDNT_RESOLVE_HOST);
        how.proxy = std::nullopt;
        how.no_proxy = "nowhere.invalid";
        const http::error excepted = co_await error_of<http::error>(web.get("http://nowhere.invalid/d", how));
        CHECK(excepted.code() == CURLE_COULDNT_RESOLVE_HOST);
        ::unsetenv("http_proxy");
        how = {};
        how.proxy = "http://127.0.0.1:" + std::to_string(unused_port());
        const http::error nobody = co_await error_of<http::error>(web.get("http://nowhere.invalid/e", how));
        CHECK(nobody.code() == CURLE_COULDNT_CONNECT);
        how = {};
        how.prepare = [](CURL* easy) { curl_easy_setopt(easy, CURLOPT_USERAGENT, "prepared"); };
        const http::response prepared = co_await web.get(url_of(at), how);
        CHECK(contains(prepared.body, "User-Agent: prepared"));
        how.prepare = [](CURL*) { throw std::domain_error("not prepared"); };
        const auto thrown = co_await error_of<std::domain_error>(web.get(url_of(at), how));
        CHECK(thrown.what() == std::string("not prepared"));
    });
}

TEST_CASE("libcurl: many transfers share one connection of HTTP/2", "[net]") {
    with_nginx([]() -> aio::task<> {
        const std::string large(200'000, 'l');
        real_server().write("large", large);
        http::session web(trusting());
        for (const int count : {100, 300}) {
            std::vector<aio::task<http::response>> all;
            for (int i = 0; i < count; ++i) all.push_back(web.get(real_server().tls_url() + "/large"));
            const auto got = co_await aio::gather(std::move(all));
            std::set<std::string> connections;
            for (const http::response& each : got) {
                CHECK(each.version == 20);
                CHECK((each.body == large));
                connections.emplace(each.headers.find("X-Connection").value());
            }
            CHECK(connections.size() <= (count == 100 ? 1U : 8U)); // of 100 transfers at a time each
        }
        http::transfer_options old = web.options();
        old.version = http::http_version::http1_1;
        const http::response plain = co_await web.get(real_server().tls_url() + "/large", old);
        CHECK(plain.version == 11);
    });
}

TEST_CASE("libcurl: a body is decompressed unless it may not be compressed", "[net]") {
    with_nginx([]() -> aio::task<> {
        const std::string large(200'000, 'l');
        real_server().write("large", large);
        http::session web(trusting());
        const http::response packed = co_await web.get(real_server().tls_url() + "/large");
        CHECK(packed.headers.find("content-encoding") == "gzip");
        CHECK((packed.body == large));
        http::transfer_options how = web.options();
        how.compression = false;
        const http::response plain = co_await web.get(real_server().tls_url() + "/large", how);
        CHECK(plain.headers.find("content-encoding") == std::nullopt);
        CHECK((plain.body == large));
        how = web.options();
        how.max_body = 199'999; // what is compressed is much less
        const http::error bomb = co_await error_of<http::error>(web.get(real_server().tls_url() + "/large", how));
        CHECK(bomb.code() == CURLE_FILESIZE_EXCEEDED);
        auto answered = co_await web.stream(http::request(real_server().tls_url() + "/large"));
        const std::string pieces = co_await all_of(answered.body);
        CHECK((pieces == large));
    });
}

TEST_CASE("libcurl: bodies are put to a real server, in pieces and whole, over HTTP/1.1 and HTTP/2", "[net]") {
    with_nginx([]() -> aio::task<> {
        for (const auto version : {http::http_version::http1_1, http::http_version::best}) {
            http::session web(trusting()); // a connection of HTTP/1.1 would be used again
            http::transfer_options how = web.options();
            how.version = version;
            http::request whole(real_server().tls_url() + "/put/whole", "PUT");
            whole.body = whole_of(1000, 1009);
            const http::response put = co_await web.send(std::move(whole), how);
            CHECK((put.status == 201 || put.status == 204));
            CHECK(put.version == (version == http::http_version::best ? 20 : 11));
            http::request pieces(real_server().tls_url() + "/put/pieces", "PUT");
            pieces.body_stream = pieces_of(1000, 1009);
            const http::response put_pieces = co_await web.send(std::move(pieces), how);
            CHECK((put_pieces.status == 201 || put_pieces.status == 204));
            for (const char* name : {"whole", "pieces"}) {
                const http::response got = co_await web.get(real_server().url() + "/put/" + name);
                CHECK((got.body == whole_of(1000, 1009)));
            }
            const http::response gone = co_await web.delete_(real_server().tls_url() + "/put/whole");
            CHECK(gone.status == 204);
        }
    });
}

TEST_CASE("libcurl: a certificate must be trusted, valid, and made for the host", "[net]") {
    with_nginx([]() -> aio::task<> {
        http::session web(trusting());
        const http::response fine = co_await web.get(real_server().tls_url() + "/agent");
        CHECK(fine.status == 200);
        const http::response address = co_await web.get(real_server().tls_url("127.0.0.1") + "/agent");
        CHECK(address.status == 200);
        http::session stranger;
        const http::error unknown = co_await error_of<http::error>(stranger.get(real_server().tls_url() + "/agent"));
        CHECK(unknown.code() == CURLE_PEER_FAILED_VERIFICATION);
        CHECK(contains(unknown.what(), "tls.ca_file names an authority"));
        http::transfer_options blind;
        blind.tls.verify = false;
        const http::response unverified = co_await stranger.get(real_server().tls_url() + "/agent", blind);
        CHECK(unverified.status == 200);
        const auto told_by = [&](const certificate_files& own) -> aio::task<std::string> {
            nginx_server other("", "", "ssl_certificate " + own.certificate + "; ssl_certificate_key " + own.key + ";");
            const http::error e = co_await error_of<http::error>(web.get(other.tls_url() + "/"));
            CHECK(e.code() == CURLE_PEER_FAILED_VERIFICATION);
            CHECK(e.host() == "localhost");
            co_return e.what();
        };
        std::string said = co_await told_by(issuer().issue("DNS:other.example"));
        CHECK(contains(said, "no alternative certificate subject name"));
        said = co_await told_by(issuer().issue("DNS:localhost", -10, -1));
        CHECK(contains(said, "expired"));
        said = co_await told_by(issuer().self_signed("DNS:localhost"));
        CHECK(contains(said, "self-signed"));
        http::transfer_options how = web.options();
        how.tls.ca_file = "/nowhere/authority.pem";
        const http::error missing =
            co_await error_of<http::error>(stranger.get(real_server().tls_url() + "/agent", how));
        CHECK(missing.code() == CURLE_SSL_CACERT_BADFILE);
        CHECK(contains(missing.what(), "/nowhere/authority.pem"));
    });
}

TEST_CASE("libcurl: a client has a certificate if it is given one", "[net]") {
    with_nginx([]() -> aio::task<> {
        const certificate_files own = issuer().issue("DNS:client");
        http::session web(trusting());
        const http::response nobody = co_await web.get(real_server().tls_url() + "/who");
        CHECK(nobody.body.starts_with("NONE"));
        http::transfer_options how = web.options();
        how.tls.certificate_file = own.certificate;
        how.tls.key_file = own.key;
        const http::response known = co_await web.get(real_server().tls_url() + "/who", how);
        CHECK(known.body.starts_with("SUCCESS CN=number "));
        how.tls.key_file = "/nowhere/key.pem";
        http::session other;
        const http::error missing = co_await error_of<http::error>(other.get(real_server().tls_url() + "/who", how));
        CHECK(missing.code() == CURLE_SSL_CERTPROBLEM);
        CHECK(contains(missing.what(), "tls.key_file"));
    });
}

TEST_CASE("libcurl: a slow reader of one stream does not keep the others of its connection", "[net]") {
    with_nginx([]() -> aio::task<> {
        real_server().write("huge", std::string(60'000'000, 'h'));
        http::session_options bounds = trusting();
        bounds.transfers.compression = false;
        bounds.max_connections_per_host = 1;
        http::session web(bounds);
        auto slow = co_await web.stream(http::request(real_server().tls_url() + "/huge"));
        const auto first = co_await slow.body.next();
        CHECK(!first->empty());
        co_await settle();
        const http::response other = co_await aio::wait_for(web.get(real_server().tls_url() + "/agent"), 20s);
        CHECK(other.status == 200);
        std::size_t got = first->size();
        while (auto piece = co_await slow.body.next()) got += piece->size();
        CHECK(got == 60'000'000);
    });
}

TEST_CASE("libcurl: a server that is killed ends the transfers, and the session goes on with the next one", "[net]") {
    with_nginx([]() -> aio::task<> {
        real_server().write("huge", std::string(60'000'000, 'h'));
        http::session_options bounds = trusting();
        bounds.transfers.compression = false;
        http::session web(bounds);
        for (const std::string& base : {real_server().url(), real_server().tls_url()}) {
            auto under_way = co_await web.stream(http::request(base + "/huge"));
            const auto first = co_await under_way.body.next();
            CHECK(!first->empty());
            real_server().stop();
            const http::error cut = co_await error_of<http::error>(drain(under_way.body));
            CHECK(cut.code() != CURLE_OK);
            const http::error refused = co_await error_of<http::error>(web.get(base + "/agent"));
            CHECK(refused.code() == CURLE_COULDNT_CONNECT);
            real_server().run();
            const http::response back = co_await web.get(base + "/agent");
            CHECK(back.status == 200);
            real_server().stop();
            real_server().run(); // its connection is dead, which is noticed when it is used again
            const http::response again = co_await web.get(base + "/agent");
            CHECK(again.status == 200);
        }
    });
}

TEST_CASE("libcurl: a handle of the program's is performed, and stays the program's", "[net]") {
    with_server([](aio::server& at) -> aio::task<> {
        http::session web;
        const http::detail::easy_ptr easy(curl_easy_init());
        std::string body;
        int marker = 0;
        const auto append = [](char* data, std::size_t, std::size_t size, void* into) -> std::size_t {
            static_cast<std::string*>(into)->append(data, size);
            return size;
        };
        const std::string url = url_of(at, "/12");
        curl_easy_setopt(easy.get(), CURLOPT_URL, url.c_str());
        curl_easy_setopt(easy.get(), CURLOPT_WRITEFUNCTION, static_cast<curl_write_callback>(append));
        curl_easy_setopt(easy.get(), CURLOPT_WRITEDATA, &body);
        curl_easy_setopt(easy.get(), CURLOPT_PRIVATE, &marker);
        for (int i = 1; i <= 3; ++i) {
            co_await web.perform(easy.get());
            CHECK(body.size() == 12U * static_cast<unsigned>(i));
        }
        void* kept = nullptr;
        curl_easy_getinfo(easy.get(), CURLINFO_PRIVATE, &kept);
        CHECK(kept == &marker);
        const std::string mute = url_of(at, "/mute");
        curl_easy_setopt(easy.get(), CURLOPT_URL, mute.c_str());
        auto waiting = aio::create_task(web.perform(easy.get()));
        co_await until([&] { return web.transfers() == 1; });
        const auto twice = co_await error_of<std::invalid_argument>(web.perform(easy.get()));
        CHECK(contains(twice.what(), "in a transfer of the session already"));
        http::session other;
        const auto taken = co_await error_of<std::invalid_argument>(other.perform(easy.get()));
        CHECK(std::string(taken.what()).size() > 10);
        waiting.cancel();
        co_await aio::nothrow(waiting);
        CHECK(waiting.cancelled());
        curl_easy_setopt(easy.get(), CURLOPT_URL, url.c_str());
        body.clear();
        co_await other.perform(easy.get());
        CHECK(body.size() == 12);
        const std::string nobody = "http://127.0.0.1:" + std::to_string(unused_port());
        curl_easy_setopt(easy.get(), CURLOPT_URL, nobody.c_str());
        const http::error refused = co_await error_of<http::error>(web.perform(easy.get()));
        CHECK(refused.code() == CURLE_COULDNT_CONNECT);
        CHECK(contains(refused.what(), nobody));
    });
}

namespace {

/// What a callback of libcurl does in a test.
struct inside {
    http::session* web;
    std::string url;
    std::string said;
    std::optional<http::streamed_response> dropped;
    bool close = false;
    static std::size_t call(char*, std::size_t, std::size_t size, void* me) noexcept {
        auto& self = *static_cast<inside*>(me);
        try {
            if (self.said.empty()) {
                const auto begun = aio::create_task(aio::eager, self.web->get(self.url));
                self.said = begun.done() ? message_of([&] { begun.result(); }) : "it has begun";
            }
            self.dropped.reset();
            if (self.close) self.web->close();
        } catch (const std::exception& e) {
            self.said = e.what();
        }
        return size;
    }
};

} // namespace

TEST_CASE("libcurl: inside of a callback, no transfer begins, and one that is dropped or closed ends behind it",
          "[net]") {
    with_server([](aio::server& at) -> aio::task<> {
        http::session web;
        const http::detail::easy_ptr easy(curl_easy_init());
        const std::string url = url_of(at, "/12");
        inside what{&web, url, "", std::nullopt, false};
        curl_easy_setopt(easy.get(), CURLOPT_URL, url.c_str());
        curl_easy_setopt(easy.get(), CURLOPT_WRITEFUNCTION, &inside::call);
        curl_easy_setopt(easy.get(), CURLOPT_WRITEDATA, &what);
        what.dropped = co_await web.stream(http::request(url_of(at, "/1000000")));
        CHECK(web.transfers() == 1);
        co_await web.perform(easy.get());
        CHECK(contains(what.said, "inside of a callback"));
        CHECK(web.transfers() == 0);
        what.close = true;
        const std::string longer = url_of(at, "/20000000");
        curl_easy_setopt(easy.get(), CURLOPT_URL, longer.c_str());
        const http::error closed = co_await error_of<http::error>(web.perform(easy.get()));
        CHECK(contains(closed.what(), "session was closed"));
        CHECK(web.is_closed());
        CHECK(web.native_handle() == nullptr);
    });
}

TEST_CASE("libcurl: a session that is closed ends its transfers with an error that says so", "[net]") {
    with_server([](aio::server& at) -> aio::task<> {
        std::vector<aio::task_handle<http::response>> waiting;
        http::streamed_response streamed;
        aio::task_handle<> sending;
        {
            http::session_options how;
            how.max_connections_per_host = 2;
            http::session web(how);
            for (int i = 0; i < 10; ++i) waiting.push_back(aio::create_task(web.get(url_of(at, "/mute"))));
            const auto endless = []() -> aio::async_generator<std::string> {
                for (;;) {
                    co_yield std::string(1000, 'x');
                    co_await aio::yield();
                }
            };
            http::session other;
            streamed = co_await other.stream(http::request(url_of(at, "/10000000")));
            http::request upload(url_of(at), "PUT");
            upload.body_stream = endless();
            const auto send = [](auto& by, auto request) -> aio::task<> { co_await by.send(std::move(request)); };
            sending = aio::create_task(send(other, std::move(upload)));
            co_await until([] { return seen.connections >= 4; });
            CHECK(web.transfers() == 10);
            CHECK(other.transfers() == 2);
        }
        for (auto& each : waiting) {
            const http::error closed =
                co_await error_of<http::error>([](auto& of) -> aio::task<> { co_await of; }(each));
            CHECK(contains(closed.what(), "the session was closed while the transfer was under way"));
        }
        const http::error pieces = co_await error_of<http::error>(drain(streamed.body));
        CHECK(contains(pieces.what(), "closed"));
        const http::error upload =
            co_await error_of<http::error>([](auto& of) -> aio::task<> { co_await of; }(sending));
        CHECK(contains(upload.what(), "closed"));
        co_await until([] { return seen.connections == 0; });
    });
}

TEST_CASE("libcurl: a loop ends with sessions and transfers open, and a session outlives its loop", "[net]") {
    const std::size_t before = open_descriptors();
    {
        std::optional<http::session> outlives;
        std::optional<http::streamed_response> stream_outlives;
        {
            aio::event_loop loop;
            loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
            const auto use = [](auto& web, auto& streamed) -> aio::task<> {
                const aio::server at = co_await aio::start_server(serve, "127.0.0.1", 0);
                web.emplace();
                http::session inner;
                auto a = aio::create_task(inner.get(url_of(at, "/mute")));
                auto b = aio::create_task(web->get(url_of(at, "/mute")));
                streamed.emplace(co_await web->stream(http::request(url_of(at, "/10000000"))));
                co_await aio::sleep(1h);
            };
            const auto main = loop.create_task(use(outlives, stream_outlives));
            for (int i = 0; i < 10000 && !stream_outlives; ++i) loop.run_ready();
            CHECK(stream_outlives.has_value());
            for (int i = 0; i < 10; ++i) loop.run_ready();
        }
        CHECK(outlives->transfers() == 1); // the stream, which nobody has destroyed
        aio::run([](auto& web) -> aio::task<> {
            const auto other = co_await error_of<std::logic_error>(web->get("http://127.0.0.1:1/"));
            CHECK(contains(other.what(), "another loop"));
        }(outlives));
        stream_outlives.reset();
        CHECK(outlives->transfers() == 0);
    }
    CHECK(open_descriptors() == before);
}

TEST_CASE("libcurl: loops of several threads have sessions of their own", "[net]") {
    std::atomic<int> good = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&good] {
            const auto use = []() -> aio::task<int> {
                auto greet = [](aio::stream client) -> aio::task<> {
                    while (co_await read_request(client)) co_await client.write(with_length("hello"));
                };
                const aio::server at = co_await aio::start_server(greet, "127.0.0.1", 0);
                http::session web;
                int count = 0;
                for (int k = 0; k < 50; ++k) {
                    const http::response got = co_await web.get("http://localhost:" + std::to_string(at.port()));
                    count += got.body == "hello" ? 1 : 0;
                }
                const http::error unknown = co_await error_of<http::error>(web.get("http://nowhere.invalid/"));
                co_return count;
            };
            good += aio::run(use());
        });
    }
    for (std::thread& each : threads) each.join();
    CHECK(good == 200);
}

namespace {

/// Uses most of what there is, once, with a server of its own.
aio::task<> use_all() {
    aio::server at = co_await aio::start_server(serve, "127.0.0.1", 0);
    http::session web;
    http::transfer_options how = web.options();
    const http::response got = co_await web.get(url_of(at, "/to/100"), how);
    if (got.body.size() != 100) throw std::logic_error("another body");
    http::request upload(url_of(at), "PUT");
    upload.body_stream = pieces_of(4, 10);
    const http::response put = co_await web.send(std::move(upload), how);
    if (!put.body.ends_with(whole_of(4, 10))) throw std::logic_error("another body was sent");
    http::transfer_options narrow = how;
    narrow.read_ahead = 1;
    auto streamed = co_await web.stream(http::request(url_of(at, "/100000")), narrow);
    std::size_t size = 0;
    while (auto piece = co_await streamed.body.next()) size += piece->size();
    if (size != 100'000) throw std::logic_error("another stream");
    const http::detail::easy_ptr easy(curl_easy_init());
    const std::string url = url_of(at, "/0");
    curl_easy_setopt(easy.get(), CURLOPT_URL, url.c_str());
    curl_easy_setopt(easy.get(), CURLOPT_NOBODY, 1L);
    co_await web.perform(easy.get());
    auto left = co_await web.stream(http::request(url_of(at, "/100000")), narrow);
    static_cast<void>(co_await left.body.next());
    co_await left.body.aclose();
    if (web.transfers() != 0) throw std::logic_error("a transfer is left");
}

} // namespace

TEST_CASE("libcurl: a cancellation at every step", "[net]") {
    seen = {};
    const std::size_t before = open_descriptors();
    const auto met = aio::testing::for_each_cancellation(&use_all);
    CHECK(met.points > 50);
    CHECK(met.cancelled == met.points);
    aio::testing::cancellation_plan twice;
    twice.second_after = 1;
    const auto more = aio::testing::for_each_cancellation(&use_all, twice);
    CHECK(more.cancelled == more.points);
    CHECK(open_descriptors() == before);
}

TEST_CASE("libcurl: no memory at each allocation", "[net]") {
    seen = {};
    const std::size_t before = open_descriptors();
    for (const bool all_later : {false, true}) {
        aio::testing::allocation_plan plan;
        plan.all_later = all_later;
        const auto met = aio::testing::for_each_allocation_failure(&use_all, plan);
        CHECK(met.points > 100);
    }
    CHECK(open_descriptors() == before);
}

TEST_CASE("libcurl: ten thousand transfers leave memory and descriptors as they were", "[net][stress]") {
    with_server([](aio::server& at) -> aio::task<> {
        http::session web;
        const auto round = [&](int times) -> aio::task<> {
            for (int i = 0; i < times; ++i) {
                if (i % 10 == 0) {
                    http::request upload(url_of(at), "PUT");
                    upload.body_stream = pieces_of(3, 10);
                    const http::response put = co_await web.send(std::move(upload));
                    REQUIRE(put.ok());
                } else if (i % 10 == 1) {
                    auto streamed = co_await web.stream(http::request(url_of(at, "/1000")));
                    const std::string all = co_await all_of(streamed.body);
                    REQUIRE(all.size() == 1000);
                } else if (i % 10 == 2) {
                    auto cancelled = aio::create_task(web.get(url_of(at, "/mute")));
                    co_await aio::yield();
                    cancelled.cancel();
                    co_await aio::nothrow(cancelled);
                } else {
                    const http::response got = co_await web.get(url_of(at, "/10"));
                    REQUIRE(got.body.size() == 10);
                }
                seen.all.clear();
            }
        };
        co_await round(2000);
        const std::size_t open = open_descriptors();
        const auto used = ::mallinfo2().uordblks;
        co_await round(10'000);
        co_await until([&] { return seen.connections <= 1; });
        CHECK(open_descriptors() <= open);
        CHECK(::mallinfo2().uordblks < used + 100'000);
    });
}
