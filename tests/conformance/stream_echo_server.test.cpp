// SPDX-License-Identifier: BSL-1.0
// TCP echo over localhost: request and response, half close with write_eof, the end at the client, the handler's end.

#include <asynchio/io/open_connection.hpp>
#include <asynchio/io/server.hpp>

#include <asynchio/task/future.hpp>
#include <asynchio/task/run.hpp>

#include <iostream>
#include <string>
#include <string_view>
#include <utility>

namespace aio = asynchio;

namespace {

std::string_view stripped(std::string_view line) {
    while (!line.empty() && line.back() == '\n') line.remove_suffix(1);
    return line;
}

aio::task<> handle(aio::stream client, aio::future<> finished) {
    std::cout << "server: connection\n";
    for (std::string line = co_await client.read_line(); !line.empty(); line = co_await client.read_line()) {
        const std::string text(stripped(line));
        std::cout << "server: line " << text << "\n";
        const std::string answer = "echo " + text + "\n";
        co_await client.write(answer);
    }
    std::cout << "server: EOF\n";
    co_await client.write("bye\n");
    co_await client.aclose();
    std::cout << "server: closed\n";
    finished.set_result();
}

aio::task<> program() {
    const aio::future<> finished;
    const auto handler = [finished](aio::stream client) { return handle(std::move(client), finished); };
    aio::server server = co_await aio::start_server(handler, "127.0.0.1", 0);
    aio::stream stream = co_await aio::open_connection("127.0.0.1", server.port());
    for (const std::string word : {"one", "two"}) {
        const std::string line = word + "\n";
        co_await stream.write(line);
        const std::string answer = co_await stream.read_line();
        std::cout << "client: " << stripped(answer) << "\n";
    }
    co_await stream.write_eof();
    const std::string rest = co_await stream.read_all();
    co_await finished;
    std::cout << "client: rest " << stripped(rest) << " at_eof: " << (stream.at_eof() ? "True" : "False") << "\n";
    co_await stream.aclose();
    std::cout << "client: closed, is_closing: " << (stream.is_closed() ? "True" : "False") << "\n";
    server.close();
    co_await server.wait_closed();
    std::cout << "serving: " << (server.is_serving() ? "True" : "False") << "\n";
}

} // namespace

int main() { aio::run(program()); }
