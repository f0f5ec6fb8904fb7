// SPDX-License-Identifier: BSL-1.0
// covers: openssl_context.hpp openssl_error.hpp
#include <asynchio/adapters/openssl.hpp>

#include "adapters/certificates.hpp"
#include "support/catch.hpp"
#include "support/net.hpp"
#include "support/operator_new.hpp"
#include "support/reports.hpp"
#include "support/sanitized.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/io/open_connection.hpp>
#include <asynchio/io/process.hpp>
#include <asynchio/io/server.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/testing/for_each_allocation_failure.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>
#include <asynchio/testing/for_each_errno.hpp>
#include <asynchio/testing/stream_pair.hpp>

#include <malloc.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

namespace aio = asynchio;
namespace tls = asynchio::openssl;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// The text of the exception of type `E` that `f()` throws.
template<class E, class F>
std::string thrown(F f) {
    try {
        f();
    } catch (const E& e) {
        return e.what();
    }
    FAIL("nothing was thrown");
    return {};
}

authority& root() {
    static authority made;
    return made;
}
tls::context server_for(const std::string& names) {
    const certificate_files files = root().issue(names);
    return tls::context::server(files.certificate, files.key);
}
tls::context trusting_client() { return tls::context::client().trust(root().trusted()); }
/// Contexts for "localhost" that are made once.
tls::context localhost() {
    static const tls::context made = server_for("DNS:localhost,IP:127.0.0.1");
    return made;
}
tls::context client() {
    static const tls::context made = trusting_client();
    return made;
}
tls::tls_options to(std::string name) {
    tls::tls_options options;
    options.server_name = std::move(name);
    return options;
}

struct ends {
    aio::stream client;
    aio::stream server;
};
aio::task<ends> shake(aio::stream near, aio::stream far, tls::context of_client, tls::context of_server,
                      tls::tls_options options) {
    auto [c, s] = co_await aio::gather(tls::start_tls(std::move(near), std::move(of_client), std::move(options)),
                                       tls::start_tls(std::move(far), std::move(of_server)));
    co_return ends{std::move(c), std::move(s)};
}
/// Two TLS streams in memory.
aio::task<ends> in_memory(std::size_t capacity = 65'536) {
    auto [near, far] = aio::testing::stream_pair(capacity);
    co_return co_await shake(std::move(near), std::move(far), client(), localhost(), to("localhost"));
}
aio::task<std::string> refusal(aio::task<aio::stream> handshake) {
    try {
        co_await std::move(handshake);
    } catch (const tls::tls_error& e) {
        co_return e.what();
    }
    co_return std::string();
}
/// What both sides say of a handshake; empty texts if it succeeds.
aio::task<std::pair<std::string, std::string>> refusals(tls::context of_client, tls::context of_server,
                                                        std::string name) {
    auto [near, far] = aio::testing::stream_pair();
    auto [c, s] = co_await aio::gather(refusal(tls::start_tls(std::move(near), of_client, to(name))),
                                       refusal(tls::start_tls(std::move(far), of_server)));
    co_return std::pair(c, s);
}

/// Passes bytes between two streams on, as they come, until one of them ends.
aio::task<> forward(aio::stream& from, aio::stream& into) {
    char bytes[4096];
    for (;;) {
        const std::size_t count = co_await from.read_some(aio::mutable_byte_view(bytes, sizeof bytes));
        if (count == 0) break;
        co_await into.write(std::string_view(bytes, count));
    }
    co_await into.write_eof();
}

} // namespace

TEST_CASE("openssl: every call of a stream works over TLS, also byte by byte", "[adapters]") {
    for (const std::size_t capacity : {std::size_t{1}, std::size_t{7}, std::size_t{65'536}}) {
        INFO("capacity: " << capacity);
        virtual_run([](std::size_t size) -> aio::task<> {
            ends both = co_await in_memory(size);
            const auto answering = [](aio::stream s) -> aio::task<> {
                std::string line = co_await s.read_line();
                co_await s.write(line);
                const std::string exact = co_await s.read_exactly(5);
                CHECK(exact == "12345");
                const std::string rest = co_await s.read_all();
                CHECK(rest == "the rest");
                const std::vector<std::string> parts{"a", "bb", std::string(20'000, 'c')};
                co_await s.write(parts);
                co_await s.write_eof();
            };
            auto other = aio::create_task(answering(std::move(both.server)));
            co_await both.client.write("one line\n");
            const std::string line = co_await both.client.read_line();
            CHECK(line == "one line\n");
            co_await both.client.write("12345the rest");
            co_await both.client.write_eof();
            const std::string all = co_await both.client.read_all();
            CHECK(all == "abb" + std::string(20'000, 'c'));
            CHECK(both.client.at_eof());
            co_await other;
            co_await both.client.aclose();
        }(capacity));
    }
}

TEST_CASE("openssl: much goes both ways at once, over sockets", "[adapters]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair plain;
        ends both =
            co_await shake(std::move(plain.first), std::move(plain.second), client(), localhost(), to("localhost"));
        const std::string much(3'000'000, 'x');
        const auto writes = [](aio::stream& s, const std::string& text) -> aio::task<> {
            co_await s.write(text);
            co_await s.write_eof();
        };
        const auto reads = [](aio::stream& s) -> aio::task<std::size_t> {
            const std::string got = co_await s.read_all();
            co_return got.size();
        };
        auto sizes = co_await aio::gather(writes(both.client, much), writes(both.server, much), reads(both.client),
                                          reads(both.server));
        CHECK(std::get<2>(sizes) == much.size());
        CHECK(std::get<3>(sizes) == much.size());
        CHECK(both.client.bytes_written() == much.size());
    });
}

TEST_CASE("openssl: info tells of both sides; another stream is none of TLS", "[adapters]") {
    virtual_run([]() -> aio::task<> {
        tls::context asks = server_for("DNS:*.example.test").trust(root().trusted()).verify_peer(true);
        asks.alpn({"h2", "http/1.1"});
        const certificate_files own = root().issue("DNS:the.client");
        tls::context shows = trusting_client().certificate(own.certificate, own.key).alpn({"http/1.1"});
        auto [near, far] = aio::testing::stream_pair();
        ends both = co_await shake(std::move(near), std::move(far), shows, asks, to("www.example.test."));
        const tls::connection_info here = tls::info(both.client);
        const tls::connection_info there = tls::info(both.server);
        CHECK(here.version == "TLSv1.3");
        CHECK_FALSE(here.cipher.empty());
        CHECK(here.alpn == "http/1.1");
        CHECK(there.alpn == "http/1.1");
        CHECK(there.server_name == "www.example.test");
        CHECK(here.peer_issuer == "CN=authority");
        CHECK(there.peer_subject.rfind("CN=number ", 0) == 0);
        CHECK_FALSE(there.peer_certificate.empty());
        CHECK_FALSE(here.resumed);
        CHECK(SSL_is_server(tls::native_handle(both.server)) == 1);
        auto [plain, other] = aio::testing::stream_pair();
        CHECK(thrown<std::logic_error>([&] { static_cast<void>(tls::info(plain)); }) == "the stream is none of TLS");
    }());
}

TEST_CASE("openssl: a certificate must be trusted, valid, and made for the name", "[adapters]") {
    virtual_run([]() -> aio::task<> {
        const auto with = [](const certificate_files& files) {
            return tls::context::server(files.certificate, files.key);
        };
        struct {
            const char* what;
            tls::context server;
            const char* name;
            const char* expected; // empty: it is taken
        } const cases[] = {
            {"name", localhost(), "localhost", ""},
            {"address", localhost(), "127.0.0.1", ""},
            {"wildcard", server_for("DNS:*.example.test"), "a.example.test", ""},
            {"another name", localhost(), "example.test", "hostname mismatch"},
            {"another address", localhost(), "127.0.0.2", "IP address mismatch"},
            {"two labels", server_for("DNS:*.example.test"), "a.b.example.test", "hostname mismatch"},
            {"a part of a label", server_for("DNS:w*.example.test"), "www.example.test", "hostname mismatch"},
            {"expired", with(root().issue("DNS:localhost", -20, -10)), "localhost", "certificate has expired"},
            {"not yet", with(root().issue("DNS:localhost", 10, 20)), "localhost", "certificate is not yet valid"},
            {"self-signed", with(root().self_signed("DNS:localhost")), "localhost", "self-signed certificate"},
        };
        for (const auto& each : cases) {
            INFO(each.what);
            const auto [here, there] = co_await refusals(client(), each.server, each.name);
            if (*each.expected == '\0') {
                CHECK(here == "");
                CHECK(there == "");
            } else {
                CHECK(here == "TLS handshake with the second of a pair for " + std::string(each.name) +
                                  ": certificate verify failed: " + each.expected);
                CHECK(there.find("alert") != std::string::npos);
            }
        }
        const auto [here, there] = co_await refusals(tls::context::client(), localhost(), "localhost");
        CHECK(here.find("unable to get local issuer certificate") != std::string::npos);
        tls::context careless = tls::context::client().verify_peer(false);
        const auto [taken, served] = co_await refusals(careless, localhost(), "");
        CHECK(taken == "");
    }());
}

TEST_CASE("openssl: a client that verifies needs the server's name", "[adapters]") {
    virtual_run([]() -> aio::task<> {
        for (const std::string& name : {std::string(), std::string("."), std::string("a\0b", 3)}) {
            auto [near, far] = aio::testing::stream_pair();
            aio::stream& plain = near;
            const auto shaking = [&plain, &name] { return tls::start_tls(std::move(plain), client(), to(name)); };
            const std::string text = co_await error_of(shaking);
            CHECK(text.rfind("start_tls: ", 0) == 0);
        }
    }());
}

TEST_CASE("openssl: no protocol in common, and a client without the certificate it needs, are refused", "[adapters]") {
    virtual_run([]() -> aio::task<> {
        tls::context h2 = server_for("DNS:localhost").alpn({"h2"});
        tls::context other = trusting_client().alpn({"spdy/1"});
        const auto [here, there] = co_await refusals(other, h2, "localhost");
        CHECK(here.find("no application protocol") != std::string::npos);
        CHECK(there.find("no application protocol") != std::string::npos);
        const auto [fine, too] = co_await refusals(client(), h2, "localhost");
        CHECK(fine == "");

        tls::context asks = server_for("DNS:localhost").trust(root().trusted()).verify_peer(true);
        const auto [unknown, told] = co_await refusals(client(), asks, "localhost");
        CHECK(told.find("peer did not return a certificate") != std::string::npos);
        tls::context modern = server_for("DNS:localhost").min_version(tls::version::tls1_3);
        tls::context old = trusting_client();
        SSL_CTX_set_max_proto_version(old.native_handle(), TLS1_2_VERSION);
        const auto [refused, says] = co_await refusals(old, modern, "localhost");
        CHECK(refused.find("alert protocol version") != std::string::npos);
        CHECK(thrown<std::invalid_argument>([&] { h2.alpn({""}); }).find("1 to 255 bytes") != std::string::npos);
    }());
}

TEST_CASE("openssl: files that are none are named", "[adapters]") {
    const certificate_files files = root().issue("DNS:localhost");
    const certificate_files others = root().issue("DNS:localhost");
    const auto text = [](const std::string& certificate, const std::string& key) {
        return thrown<tls::tls_error>([&] { static_cast<void>(tls::context::server(certificate, key)); });
    };
    CHECK(text("/nowhere.pem", files.key).rfind("the certificate /nowhere.pem: ", 0) == 0);
    CHECK(text(files.certificate, "/nowhere.key").rfind("the key /nowhere.key: ", 0) == 0);
    CHECK(text(files.key, files.key).rfind("the certificate " + files.key, 0) == 0);
    CHECK(text(files.certificate, others.key).find("key values mismatch") != std::string::npos);
    CHECK(thrown<tls::tls_error>([] {
              tls::context::client().trust("/nowhere.pem");
          }).rfind("the trusted certificates /nowhere.pem: ", 0) == 0);
}

TEST_CASE("openssl: an end without close_notify is an error, wherever it comes, unless it is allowed", "[adapters]") {
    virtual_run([]() -> aio::task<> {
        // The server's end is cut off after each number of bytes behind the handshake, up to the whole close_notify.
        bool whole = false;
        for (std::size_t most = 0; !whole; ++most) {
            for (const bool allowed : {false, true}) {
                auto [near, wire_near] = aio::testing::stream_pair();
                auto [far, wire_far] = aio::testing::stream_pair();
                aio::stream a = std::move(wire_near);
                aio::stream b = std::move(wire_far);
                auto there = aio::create_task(forward(a, b));
                auto back = aio::create_task(forward(b, a));
                tls::tls_options options = to("localhost");
                options.allow_truncation = allowed;
                ends both = co_await shake(std::move(near), std::move(far), client(), localhost(), options);
                co_await both.server.write("first");
                const std::string first = co_await both.client.read_exactly(5);
                CHECK(first == "first");
                back.cancel();
                co_await aio::nothrow(back);
                co_await both.server.write("second");
                co_await both.server.aclose();
                const std::string encrypted = co_await b.read_all();
                whole = most >= encrypted.size();
                co_await a.write(std::string_view(encrypted).substr(0, most));
                co_await a.write_eof();
                const std::size_t of_second = encrypted.size() - 24; // the close_notify is a record of 24 bytes
                std::string got;
                std::string text;
                try {
                    for (;;) {
                        std::string some = co_await both.client.read(100);
                        if (some.empty()) break;
                        got += some;
                    }
                } catch (const tls::truncated_error& e) {
                    text = e.what();
                }
                CHECK(got == (most >= of_second ? "second" : ""));
                if (whole || allowed)
                    CHECK(text == "");
                else
                    CHECK(text == "read from the second of a pair: the connection ended without a close_notify");
                co_await both.client.aclose();
                co_await aio::nothrow(there);
            }
        }
    }());
}

TEST_CASE("openssl: a peer that speaks something else, or ends, is named", "[adapters]") {
    virtual_run([]() -> aio::task<> {
        const auto against = [](std::string answer) -> aio::task<std::string> {
            auto [near, far] = aio::testing::stream_pair();
            aio::stream other = std::move(far);
            auto shaking = aio::create_task(refusal(tls::start_tls(std::move(near), client(), to("localhost"))));
            co_await other.write(answer);
            co_await other.write_eof();
            co_return co_await shaking;
        };
        const std::string begin = "TLS handshake with the second of a pair for localhost: ";
        std::string text = co_await against("HTTP/1.1 400 Bad Request\r\n\r\n");
        CHECK(text == begin + "wrong version number");
        text = co_await against("");
        CHECK(text == begin + "the other side ended the connection");
        text = co_await against(std::string("\x16\x03\x03\x40\x00", 5) + std::string(20'000, 'x'));
        CHECK(text.rfind(begin, 0) == 0);
        const std::string mute = co_await error_of([] {
            auto ends = aio::testing::stream_pair();
            const auto shaking = [](aio::stream near, aio::stream) -> aio::task<> {
                co_await tls::start_tls(std::move(near), client(), to("localhost"));
            };
            return shaking(std::move(ends.first), std::move(ends.second));
        });
        CHECK(mute == begin + "timed out");
        CHECK(aio::get_running_loop().time().time_since_epoch() >= 60s);
    }());
}

TEST_CASE("openssl: a cancelled write that was encrypted is sent, and what is written next follows it", "[adapters]") {
    virtual_run([]() -> aio::task<> {
        ends both = co_await in_memory(100);
        const std::string much(200'000, 'a');
        aio::stream& s = both.client;
        const auto writes = [](aio::stream& to, const std::string& text) -> aio::task<> { co_await to.write(text); };
        auto writing = aio::create_task(writes(s, much));
        co_await aio::sleep(1s);
        CHECK_FALSE(writing.done());
        writing.cancel();
        co_await aio::nothrow(writing);
        const std::size_t taken = s.bytes_written();
        CHECK(taken > 0);
        CHECK(taken < much.size());
        const auto reads = [](aio::stream& from) -> aio::task<std::string> { co_return co_await from.read_all(); };
        auto reading = aio::create_task(reads(both.server));
        co_await s.write("bbb");
        co_await s.write_eof();
        const std::string got = co_await reading;
        CHECK(got == much.substr(0, taken) + "bbb");
    }());
}

TEST_CASE("openssl: what was written reaches a slow reader, although the stream is closed", "[adapters]") {
    virtual_run([]() -> aio::task<> {
        ends both = co_await in_memory(10);
        const auto writes = [](aio::stream s) -> aio::task<> {
            co_await s.write("to the end");
            co_await s.aclose();
            const bool known = !s.carrier()->name().empty();
            CHECK(known);
        };
        auto writing = aio::create_task(writes(std::move(both.server)));
        co_await aio::sleep(10s);
        const std::string got = co_await both.client.read_all();
        CHECK(got == "to the end");
        co_await writing;
    }());
}

TEST_CASE("openssl: a reader that never comes holds a closed connection for the shutdown's time limit", "[adapters]") {
    virtual_run([]() -> aio::task<> {
        ends both = co_await in_memory(10);
        const auto writes = [](aio::stream& s) -> aio::task<> { co_await s.write("more than ten bytes"); };
        auto writing = aio::create_task(writes(both.server));
        co_await aio::sleep(1s);
        const aio::time_point begin = aio::get_running_loop().time();
        co_await both.server.aclose();
        const aio::outcome<void> ended = co_await aio::nothrow(writing);
        CHECK(ended.error() != nullptr);
        co_await aio::sleep(29s);
        CHECK(aio::all_tasks().size() == 2);
        co_await aio::sleep(2s);
        CHECK(aio::all_tasks().size() == 1);
        CHECK(aio::get_running_loop().time() - begin == 31s);
        const std::string text = co_await error_of([&both] { return both.client.read_all(); });
        CHECK_FALSE(text.empty());
    }());
}

TEST_CASE("openssl: the end of a run does not wait for a reader that never comes", "[adapters]") {
    reports seen;
    auto [near, far] = aio::testing::stream_pair(10);
    aio::stream kept;
    const auto body = [&]() -> aio::task<> {
        collect(seen);
        ends both = co_await shake(std::move(near), std::move(far), client(), localhost(), to("localhost"));
        kept = std::move(both.client);
        const auto writes = [](aio::stream s) -> aio::task<> { co_await s.write("more than ten bytes"); };
        aio::create_task(writes(std::move(both.server)));
        co_await aio::sleep(1s);
    };
    const aio::time_point end = virtual_run([](auto run) -> aio::task<aio::time_point> {
        co_await run();
        co_return aio::get_running_loop().time();
    }(body));
    CHECK(end.time_since_epoch() < 2s);
    CHECK(seen.empty());
}

TEST_CASE("openssl: a request for new keys is answered by the reader", "[adapters]") {
    virtual_run([]() -> aio::task<> {
        ends both = co_await in_memory();
        for (int i = 0; i < 3; ++i) {
            CHECK(SSL_key_update(tls::native_handle(both.client), SSL_KEY_UPDATE_REQUESTED) == 1);
            co_await both.client.write("new keys");
            std::string got = co_await both.server.read_exactly(8);
            CHECK(got == "new keys");
            co_await both.server.write("as well");
            got = co_await both.client.read_exactly(7);
            CHECK(got == "as well");
        }
    }());
}

TEST_CASE("openssl: a peer that asks for new keys and reads nothing fills no memory", "[adapters]") {
    virtual_run([]() -> aio::task<> {
        ends both = co_await in_memory(2000);
        aio::stream& victim = both.server;
        const auto reads = [](aio::stream& s) -> aio::task<> { co_await s.read_exactly(1'000'000); };
        auto reading = aio::create_task(reads(victim));
        const auto asks = [](aio::stream& s) -> aio::task<> {
            for (int i = 0; i < 100'000; ++i) {
                SSL_key_update(tls::native_handle(s), SSL_KEY_UPDATE_REQUESTED);
                co_await s.write("x");
            }
        };
        auto asking = aio::create_task(asks(both.client));
        co_await aio::sleep(100s);
        CHECK_FALSE(asking.done()); // the victim does not read on
        asking.cancel();
        reading.cancel();
        co_await aio::nothrow(asking);
        co_await aio::nothrow(reading);
        both.client.abort();
    }());
}

TEST_CASE("openssl: a session is resumed once the client keeps it, also one with certificates on both sides",
          "[adapters]") {
    virtual_run([]() -> aio::task<> {
        tls::context asks = server_for("DNS:localhost").trust(root().trusted()).verify_peer(true);
        const certificate_files own = root().issue("DNS:the.client");
        tls::context keeps = trusting_client().certificate(own.certificate, own.key).cache_sessions(2);
        const auto echoing = [](aio::stream s) -> aio::task<> {
            const std::string line = co_await s.read_line();
            co_await s.write(line);
        };
        aio::server server = co_await tls::start_server(echoing, "127.0.0.1", 0, asks);
        for (const bool resumed : {false, true, true}) {
            tls::tls_connect_options options;
            options.server_name = "localhost";
            aio::stream s = co_await tls::open_connection("127.0.0.1", server.port(), keeps, options);
            co_await s.write("hello\n");
            const std::string line = co_await s.read_line(); // the session comes along
            CHECK(line == "hello\n");
            CHECK(tls::info(s).resumed == resumed);
            co_await s.aclose();
        }
        co_await server.aclose();
    }());
}

TEST_CASE("openssl: a server changes its certificate while it serves", "[adapters]") {
    virtual_run([]() -> aio::task<> {
        const certificate_files old = root().issue("DNS:old.test");
        const certificate_files later = root().issue("DNS:new.test");
        tls::context context = tls::context::server(old.certificate, old.key);
        const auto echoing = [](aio::stream s) -> aio::task<> {
            for (;;) {
                const std::string line = co_await s.read_line();
                if (line.empty()) co_return;
                co_await s.write(line);
            }
        };
        aio::server server = co_await tls::start_server(echoing, "127.0.0.1", 0, context);
        tls::tls_connect_options options;
        options.server_name = "old.test";
        aio::stream first = co_await tls::open_connection("127.0.0.1", server.port(), client(), options);
        CHECK_THROWS_AS(context.certificate(later.certificate, old.key), tls::tls_error);
        aio::stream second = co_await tls::open_connection("127.0.0.1", server.port(), client(), options);
        context.certificate(later.certificate, later.key);
        options.server_name = "new.test";
        aio::stream third = co_await tls::open_connection("127.0.0.1", server.port(), client(), options);
        for (aio::stream* each : {&first, &second, &third}) {
            co_await each->write("still here\n");
            const std::string line = co_await each->read_line();
            CHECK(line == "still here\n");
        }
        co_await server.aclose();
    }());
}

TEST_CASE("openssl: a server drops who cannot shake hands, bounds handshakes, and drains", "[adapters]") {
    virtual_run([]() -> aio::task<> {
        reports seen;
        collect(seen);
        tls::tls_server_options options;
        options.handshakes = 1;
        options.handshake_timeout = 5s;
        int served = 0;
        const auto echoing = [&served](aio::stream s) -> aio::task<> {
            ++served;
            const std::string line = co_await s.read_line();
            co_await s.write(line);
            const std::string rest = co_await s.read_all();
            CHECK(rest == "");
        };
        aio::server server = co_await tls::start_server(echoing, "127.0.0.1", 0, localhost(), options);
        aio::stream mute = co_await aio::open_connection("127.0.0.1", server.port());
        aio::stream plain = co_await aio::open_connection("127.0.0.1", server.port());
        co_await plain.write("GET / HTTP/1.0\r\n\r\n");
        aio::stream s = co_await tls::open_connection("127.0.0.1", server.port(), client());
        CHECK(aio::get_running_loop().time().time_since_epoch() >= 5s);
        const std::string nothing = co_await mute.read_all();
        CHECK(nothing == "");
        co_await s.write("hello\n");
        const std::string line = co_await s.read_line();
        CHECK(line == "hello\n");
        CHECK(served == 1);
        const bool in_time = co_await server.drain(1s);
        CHECK(in_time);
        CHECK(seen.empty());
    }());
}

TEST_CASE("openssl: loops of several threads share a context whose certificate changes meanwhile", "[adapters]") {
    const certificate_files one = root().issue("DNS:localhost");
    const certificate_files two = root().issue("DNS:localhost");
    tls::context server = tls::context::server(one.certificate, one.key);
    tls::context keeps = trusting_client().cache_sessions(3);
    std::atomic<int> done{0};
    const auto shakes = [&] {
        for (int i = 0; i < 20; ++i) {
            const auto once = [&]() -> aio::task<> {
                auto [near, far] = aio::testing::stream_pair();
                ends both = co_await shake(std::move(near), std::move(far), keeps, server, to("localhost"));
                co_await both.server.write("x");
                co_await both.client.read_exactly(1);
            };
            aio::run(once());
            ++done;
        }
    };
    std::thread first(shakes);
    std::thread second(shakes);
    for (int i = 0; done < 40; ++i) {
        const certificate_files& next = i % 2 == 0 ? two : one;
        server.certificate(next.certificate, next.key);
    }
    first.join();
    second.join();
    CHECK(done == 40);
}

TEST_CASE("openssl: debug mode reports no stream that was read to what its user wanted", "[adapters]") {
    reports seen;
    const auto body = [&seen]() -> aio::task<> {
        aio::get_running_loop().set_report_handler([&seen](aio::event_loop&, const aio::exception_context& what) {
            if (what.message.find("dropped") != std::string::npos) seen.push_back(report{what.message, "", "", 0});
        });
        {
            stream_pair plain;
            ends both =
                co_await shake(std::move(plain.first), std::move(plain.second), client(), localhost(), to("localhost"));
            co_await both.server.write("answer");
            const std::string answer = co_await both.client.read_exactly(6);
            CHECK(answer == "answer");
            co_await both.server.aclose();
            both.client = aio::stream(); // what is left in the socket is a close_notify, and none of its bytes
        }
        CHECK(seen.empty());
        {
            stream_pair plain;
            ends both =
                co_await shake(std::move(plain.first), std::move(plain.second), client(), localhost(), to("localhost"));
            co_await both.server.write("line\nmore");
            const std::string line = co_await both.client.read_line();
            CHECK(line == "line\n");
            both.client = aio::stream();
        }
        CHECK(seen.size() == 1);
    };
    aio::run_options options;
    options.debug = true;
    virtual_run(body(), options);
}

TEST_CASE("openssl: misuse is told at once", "[adapters]") {
    const auto text = [](auto f) { return thrown<std::invalid_argument>(f); };
    const auto ignores = [](aio::stream) {};
    CHECK(text([] { static_cast<void>(tls::open_connection("localhost", 1, localhost())); }) ==
          "open_connection: the context is one for servers");
    CHECK(text([&] { static_cast<void>(tls::start_server(ignores, "localhost", 0, client())); }) ==
          "start_server: the context is one for clients");
    tls::tls_server_options none;
    none.handshakes = 0;
    CHECK(text([&] { static_cast<void>(tls::start_server(ignores, "localhost", 0, localhost(), none)); }) ==
          "start_server: no handshakes are allowed");
}

TEST_CASE("openssl: a cancellation at every step, every errno, and no memory", "[adapters]") {
    const auto scenario = []() -> aio::task<> {
        ends both = co_await in_memory(300);
        const auto answering = [](aio::stream s) -> aio::task<> {
            try {
                const std::string line = co_await s.read_line();
                const std::string answer = std::string(2000, 'x') + line;
                co_await s.write(answer);
                co_await s.write_eof();
                co_await s.read_all();
            } catch (const std::runtime_error&) { // the other side was cancelled
            }
        };
        auto other = aio::create_task(answering(std::move(both.server)));
        co_await both.client.write("line\n");
        co_await both.client.read_all();
        co_await both.client.aclose();
        co_await aio::nothrow(other);
    };
    localhost();
    client();
    const auto met = aio::testing::for_each_cancellation(scenario);
    CHECK(met.points > 10);

    const auto sockets = []() -> aio::task<> {
        const auto within = []() -> aio::task<> {
            stream_pair plain;
            ends both =
                co_await shake(std::move(plain.first), std::move(plain.second), client(), localhost(), to("localhost"));
            co_await both.client.write("line\n");
            co_await both.server.read_line();
            co_await both.server.aclose();
            co_await both.client.read_all();
        };
        co_await aio::wait_for(within(), 100s);
    };
    const auto errors = aio::testing::for_each_errno(sockets);
    CHECK(errors.points > 5);
    CHECK(errors.failed > 5);

    const auto starved = aio::testing::for_each_allocation_failure(scenario);
    CHECK(starved.points > 10);
}

TEST_CASE("openssl: curl is content with a server, and with nothing less", "[adapters][net]") {
    if (std::system("curl --version >/dev/null 2>&1") != 0) {
        if (std::getenv("ASYNCHIO_ADAPTERS_REQUIRED") != nullptr) FAIL("curl is not installed");
        WARN("skipped: curl is not installed");
        return;
    }
    aio::run([]() -> aio::task<> {
        auto answer = [](aio::stream from) -> aio::task<> {
            const auto head = co_await aio::nothrow(from.read_until("\r\n\r\n"));
            if (head.error()) co_return; // it does not trust us
            const std::string body(300'000, 'x');
            co_await from.write("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n");
            co_await from.write(body);
            co_await from.aclose();
        };
        aio::server here = co_await tls::start_server(answer, "127.0.0.1", 0, localhost());
        const std::string url = "https://localhost:" + std::to_string(here.port()) + "/";
        const auto fetch = [&](std::vector<std::string> words) -> aio::task<std::pair<int, std::string>> {
            aio::process_options pipes;
            pipes.out = aio::subprocess::pipe;
            words.insert(words.begin(), {"curl", "-s", "--ipv4"});
            aio::process curl = co_await aio::create_subprocess(words, pipes);
            const aio::process_output all = co_await curl.communicate();
            const int code = co_await curl.wait();
            co_return std::pair(code, all.out);
        };
        for (const char* version : {"1.2", "1.3"}) {
            const std::vector<std::string> words{"--cacert", root().trusted(), "--tls-max", version, url};
            const auto got = co_await fetch(words);
            CHECK(got.first == 0);
            CHECK((got.second == std::string(300'000, 'x')));
        }
        const std::vector<std::string> no_more{url};
        const auto untrusted = co_await fetch(no_more);
        CHECK(untrusted.first == 60); // the peer's certificate cannot be authenticated
        const std::vector<std::string> other{"--cacert", root().trusted(), "--connect-to", "elsewhere::localhost:",
                                             "https://elsewhere:" + std::to_string(here.port()) + "/"};
        const auto wrong_name = co_await fetch(other);
        CHECK(wrong_name.first == 60);
    }());
}

TEST_CASE("openssl: ten thousand handshakes leave no memory behind", "[adapters][stress]") {
    virtual_run([]() -> aio::task<> {
        const auto rounds = [](int count) -> aio::task<> {
            for (int i = 0; i < count; ++i) {
                ends both = co_await in_memory();
                co_await both.client.write("x");
                co_await both.server.read_exactly(1);
                co_await both.client.aclose();
                co_await both.server.aclose();
            }
        };
        co_await rounds(100);
        const auto before = ::mallinfo2().uordblks;
        co_await rounds(sanitized ? 1'000 : 10'000);
        CHECK(::mallinfo2().uordblks < before + 50'000);
    }());
}
