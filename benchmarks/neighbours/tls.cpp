// SPDX-License-Identifier: BSL-1.0

// tls JOB WAY CERTIFICATE KEY OPERATIONS: TLS 1.3 over TCP, client and server in one thread. bulk: mebibytes that the client
// sends; handshakes: connections with a full handshake, on which a byte is sent. by_hand: OpenSSL with SSL_set_fd() and
// nothing that waits, since both ends are here.
// tls serve PORT CERTIFICATE KEY: a server of this library for HTTP, to be loaded from outside as nginx is: a hundred
// mebibytes for GET /large, a short answer else, and then it closes.

#include "neighbours/timed.hpp"

#include <asynchio.hpp>
#include <asynchio/adapters/openssl.hpp>

#if __has_include(<asio.hpp>)
#include <asio.hpp>
#include <asio/ssl.hpp>
#endif

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace aio = asynchio;

namespace {

constexpr std::size_t chunk = 65'536;
constexpr std::size_t mebibyte = 1'048'576;

// By hand

struct freed {
    void operator()(SSL_CTX* p) const noexcept { SSL_CTX_free(p); }
    void operator()(SSL* p) const noexcept { SSL_free(p); }
};
using context_ptr = std::unique_ptr<SSL_CTX, freed>;
using ssl_ptr = std::unique_ptr<SSL, freed>;

struct both_contexts {
    both_contexts(const char* certificate, const char* key) {
        neighbours::expect(SSL_CTX_use_certificate_chain_file(server.get(), certificate) == 1 &&
                               SSL_CTX_use_PrivateKey_file(server.get(), key, SSL_FILETYPE_PEM) == 1 &&
                               SSL_CTX_load_verify_file(client.get(), certificate) == 1,
                           "the certificate");
        SSL_CTX_set_verify(client.get(), SSL_VERIFY_PEER, nullptr);
        for (SSL_CTX* each : {client.get(), server.get()})
            SSL_CTX_set_mode(each, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    }
    context_ptr client{SSL_CTX_new(TLS_client_method())}, server{SSL_CTX_new(TLS_server_method())};
};

/// Two ends of a TCP connection that do not block.
class connected {
public:
    explicit connected(int listener) {
        sockaddr_in here{};
        socklen_t size = sizeof here;
        ::getsockname(listener, reinterpret_cast<sockaddr*>(&here), &size);
        client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        neighbours::expect(::connect(client, reinterpret_cast<sockaddr*>(&here), size) == 0, "connect");
        server = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        ::fcntl(client, F_SETFL, O_NONBLOCK);
        const int on = 1;
        for (const int each : {client, server}) ::setsockopt(each, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    connected(const connected&) = delete;
    connected& operator=(const connected&) = delete;
    ~connected() {
        ::close(client);
        ::close(server);
    }
    int client, server;
};

int listen_here() {
    const int made = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    neighbours::expect(::bind(made, reinterpret_cast<sockaddr*>(&any), sizeof any) == 0 && ::listen(made, 16) == 0,
                       "listen");
    return made;
}

void by_hand(bool bulk, std::size_t count, const both_contexts& contexts, int listener) {
    std::string sent(chunk, 'x'), got(chunk, '\0');
    for (std::size_t connection = 0; connection < (bulk ? 1 : count); ++connection) {
        const connected ends(listener);
        const ssl_ptr client(SSL_new(contexts.client.get())), server(SSL_new(contexts.server.get()));
        SSL_set_fd(client.get(), ends.client);
        SSL_set_fd(server.get(), ends.server);
        SSL_set_connect_state(client.get());
        SSL_set_accept_state(server.get());
        SSL_set1_host(client.get(), "localhost");
        while (SSL_is_init_finished(client.get()) == 0 || SSL_is_init_finished(server.get()) == 0) {
            SSL_do_handshake(client.get());
            SSL_do_handshake(server.get());
        }
        const std::size_t all = bulk ? count * mebibyte : 1;
        for (std::size_t out = 0, in = 0; in < all;) {
            std::size_t n = 0;
            while (out < all && SSL_write_ex(client.get(), sent.data(), std::min(chunk, all - out), &n) == 1) out += n;
            while (in < all && SSL_read_ex(server.get(), got.data(), chunk, &n) == 1) in += n;
        }
        SSL_shutdown(client.get());
    }
}

// This library

aio::task<> in_loop(bool bulk, std::size_t count, aio::openssl::context for_client, aio::openssl::context for_server) {
    const std::size_t all = bulk ? count * mebibyte : 1;
    auto read = [all](aio::stream from) -> aio::task<> {
        std::string into(chunk, '\0');
        std::size_t got = 0;
        while (got < all) got += co_await from.read_some(into);
    };
    aio::server here = co_await aio::openssl::start_server(read, "127.0.0.1", 0, for_server);
    aio::openssl::tls_connect_options named;
    named.server_name = "localhost";
    const std::string sent(chunk, 'x');
    for (std::size_t connection = 0; connection < (bulk ? 1 : count); ++connection) {
        aio::stream to = co_await aio::openssl::open_connection("127.0.0.1", here.port(), for_client, named);
        for (std::size_t out = 0; out < all; out += std::min(chunk, all - out))
            co_await to.write(std::string_view(sent).substr(0, std::min(chunk, all - out)));
        co_await to.write_eof();
        co_await to.read_all();
    }
}

aio::task<> serve(int port, aio::openssl::context with) {
    auto answer = [](aio::stream client) -> aio::task<> {
        const std::string head = co_await client.read_until("\r\n\r\n");
        const bool large = head.starts_with("GET /large ");
        const std::size_t size = large ? 100 * mebibyte : 5;
        std::string begin = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ";
        begin += std::to_string(size) + "\r\n\r\n";
        if (!large) begin += "hello";
        co_await client.write(begin);
        const std::string some(chunk, 'x');
        for (std::size_t sent = 0; large && sent < size; sent += chunk) co_await client.write(some);
    };
    aio::server here = co_await aio::openssl::start_server(answer, "127.0.0.1", port, with);
    co_await here.serve_forever();
}

// Asio

#if __has_include(<asio.hpp>)
using asio::ip::tcp;
using tls_stream = asio::ssl::stream<tcp::socket>;

asio::awaitable<void> asio_reads(tls_stream& from, std::size_t all) {
    co_await from.async_handshake(asio::ssl::stream_base::server, asio::use_awaitable);
    std::string into(chunk, '\0');
    for (std::size_t got = 0; got < all;) got += co_await from.async_read_some(asio::buffer(into), asio::use_awaitable);
}
asio::awaitable<void> asio_all(bool bulk, std::size_t count, asio::ssl::context& for_client,
                               asio::ssl::context& for_server) {
    const auto executor = co_await asio::this_coro::executor;
    tcp::acceptor here(executor, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    const std::size_t all = bulk ? count * mebibyte : 1;
    const std::string sent(chunk, 'x');
    for (std::size_t connection = 0; connection < (bulk ? 1 : count); ++connection) {
        tls_stream to(executor, for_client), from(executor, for_server);
        co_await to.next_layer().async_connect(here.local_endpoint(), asio::use_awaitable);
        from.next_layer() = co_await here.async_accept(asio::use_awaitable);
        for (tls_stream* each : {&to, &from}) each->next_layer().set_option(tcp::no_delay(true));
        to.set_verify_callback(asio::ssl::host_name_verification("localhost"));
        bool read = false;
        asio::co_spawn(executor, asio_reads(from, all), [&read](std::exception_ptr error) {
            neighbours::expect(error == nullptr, "Asio's server");
            read = true;
        });
        co_await to.async_handshake(asio::ssl::stream_base::client, asio::use_awaitable);
        for (std::size_t out = 0; out < all;) {
            const std::size_t next = std::min(chunk, all - out);
            out += co_await asio::async_write(to, asio::buffer(sent.data(), next), asio::use_awaitable);
        }
        while (!read) co_await asio::post(executor, asio::use_awaitable);
    }
}
#endif

} // namespace

int main(int argc, char** argv) {
    if (argc == 5 && std::string(argv[1]) == "serve") {
        aio::run(serve(std::atoi(argv[2]), aio::openssl::context::server(argv[3], argv[4])));
        return 0;
    }
    if (argc != 6) return 2;
    const bool bulk = std::string(argv[1]) == "bulk";
    const std::string way = argv[2];
    const std::size_t count = std::strtoul(argv[5], nullptr, 10);
    if (way == "by_hand") {
        const both_contexts contexts(argv[3], argv[4]);
        const int listener = listen_here();
        neighbours::timed(count, [&] { by_hand(bulk, count, contexts, listener); });
        ::close(listener);
    } else if (way == "asynchio") {
        auto for_client = aio::openssl::context::client();
        for_client.trust(argv[3]);
        const auto for_server = aio::openssl::context::server(argv[3], argv[4]);
        neighbours::timed(count, [&] { aio::run(in_loop(bulk, count, for_client, for_server)); });
    } else {
#if __has_include(<asio.hpp>)
        asio::ssl::context for_client(asio::ssl::context::tls_client), for_server(asio::ssl::context::tls_server);
        for_client.load_verify_file(argv[3]);
        for_client.set_verify_mode(asio::ssl::verify_peer);
        for_server.use_certificate_chain_file(argv[3]);
        for_server.use_private_key_file(argv[4], asio::ssl::context::pem);
        neighbours::timed(count, [&] {
            asio::io_context context;
            asio::co_spawn(context, asio_all(bulk, count, for_client, for_server), asio::detached);
            context.run();
        });
#else
        return 2;
#endif
    }
}
