// SPDX-License-Identifier: BSL-1.0

// Servers, connections and streams when memory runs out: the n-th allocation fails, or all from the n-th on, for every
// n. Whoever talks sees an error or goes on; nothing hangs, nothing is left, and nothing that was freed is touched.

#include <asynchio/combine/wait_for.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/io/datagram_socket.hpp>
#include <asynchio/io/fd_watcher.hpp>
#include <asynchio/io/layered_channel.hpp>
#include <asynchio/io/open_connection.hpp>
#include <asynchio/io/process.hpp>
#include <asynchio/io/resolve.hpp>
#include <asynchio/io/server.hpp>
#include <asynchio/io/signal_set.hpp>
#include <asynchio/io/wait_readable.hpp>
#include <asynchio/sync/event.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/testing/stream_pair.hpp>

#include "../support/starved.hpp"
#include "small_stack.hpp"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <fcntl.h>
#include <memory>
#include <string>
#include <sys/uio.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;
using asynchio_tests::hold;
using asynchio_tests::long_text;

namespace {

aio::task<> echo_lines(aio::stream client) {
    for (;;) {
        const std::string line = co_await client.read_line();
        if (line.empty()) co_return;
        co_await client.write(line);
    }
}

/// What does not come in time is lost: the other side had no memory.
aio::task<> talk(aio::stream there) {
    auto talking = [&]() -> aio::task<> {
        co_await there.write("a line that is longer than a small string\n");
        const std::string line = co_await there.read_line();
        co_await there.write_eof();
        const std::string rest = co_await there.read_all();
        co_await there.aclose();
    };
    co_await aio::wait_for(talking, 300ms);
}

aio::connect_options soon() {
    aio::connect_options options;
    options.timeout = 300ms;
    return options;
}

aio::task<> by_number() {
    aio::server server = co_await aio::start_server(echo_lines, "127.0.0.1", 0);
    auto body = [&]() -> aio::task<> {
        aio::stream there = co_await aio::open_connection("127.0.0.1", server.port(), soon());
        co_await talk(std::move(there));
    };
    co_await aio::with(server, body);
}

aio::task<> by_path() {
    const std::string path = "@asynchio-without-memory-" + std::to_string(::getpid());
    aio::server server = co_await aio::start_unix_server(echo_lines, path);
    auto body = [&]() -> aio::task<> {
        aio::stream there = co_await aio::open_unix_connection(path, soon());
        co_await talk(std::move(there));
    };
    co_await aio::with(server, body);
}

/// At all addresses, and more than fits.
aio::task<> much() {
    auto handler = [](aio::stream client) -> aio::task<> {
        const std::vector<std::string> parts(3, std::string(100'000, 'x'));
        co_await client.write(parts);
    };
    aio::server server = co_await aio::start_server(handler, "", 0);
    auto body = [&]() -> aio::task<> {
        aio::stream there = co_await aio::open_connection("127.0.0.1", server.port(), soon());
        const std::string all = co_await there.read_all();
    };
    auto in_time = [&]() -> aio::task<> { co_await aio::wait_for(body, 300ms); };
    co_await aio::with(server, in_time);
}

aio::task<> in_memory() {
    auto pair = aio::testing::stream_pair(3);
    const auto serving = aio::create_task(echo_lines(std::move(pair.second)));
    co_await talk(std::move(pair.first));
    static_cast<void>(co_await aio::nothrow(serving));
}

aio::task<> datagrams() {
    const aio::address any = aio::address::ip("127.0.0.1", 0);
    auto one = aio::datagram_socket::bound(any);
    auto two = aio::datagram_socket::connected(one.local_address());
    co_await two.send(long_text);
    std::string buffer(100, ' ');
    const auto got = co_await aio::wait_for(one.receive_from(buffer), 300ms);
    static_cast<void>(got);
}

aio::task<> names() {
    const auto found = co_await aio::resolve("127.0.0.1", 80);
    hold(found.size() == 1, "a number is an address");
    const auto local = co_await aio::nothrow(aio::resolve("localhost", 80));
    static_cast<void>(local);
}

class pipe_ends {
public:
    pipe_ends() {
        if (::pipe(ends_) != 0) throw std::system_error(errno, std::generic_category());
    }
    pipe_ends(const pipe_ends&) = delete;
    pipe_ends& operator=(const pipe_ends&) = delete;
    ~pipe_ends() {
        ::close(ends_[0]);
        ::close(ends_[1]);
    }
    int operator[](int which) const noexcept { return ends_[which]; } // 0 to read, 1 to write

private:
    int ends_[2];
};

aio::task<> descriptors() {
    const pipe_ends ends;
    co_await aio::wait_writable(ends[1]);
    if (::write(ends[1], "x", 1) != 1) throw std::system_error(errno, std::generic_category());
    co_await aio::wait_readable(ends[0]);
}

/// Functions of the options are copied with them.
aio::task<> options() {
    const auto nothing = [text = long_text](int, const aio::address&) { hold(text == long_text, "it is kept"); };
    aio::server_options listening;
    listening.configure = nothing;
    listening.keep_alive = true;
    aio::server server = co_await aio::start_server(echo_lines, std::vector<std::string>(1, "127.0.0.1"), 0, listening);
    auto body = [&]() -> aio::task<> {
        aio::connect_options connecting = soon();
        connecting.configure = nothing;
        aio::stream there = co_await aio::open_connection("127.0.0.1", server.port(), connecting);
        co_await talk(std::move(there));
    };
    co_await aio::with(server, body);
}

/// Once it is made, a watcher changes what it wants without memory.
aio::task<> watchers() {
    const pipe_ends ends;
    auto done = std::make_shared<aio::event>();
    aio::fd_watcher watcher(ends[1], [done] { done->set(); });
    aio::fd_watcher other(ends[0], [] {}, aio::fd_events::readable);
    const std::size_t before = aio::testing::allocation_faults::made();
    other.want(aio::fd_events::none);
    other.want(aio::fd_events::readable);
    watcher.want(aio::fd_events::readable | aio::fd_events::writable);
    watcher.want(aio::fd_events::writable);
    hold(aio::testing::allocation_faults::made() == before, "want() allocates nothing");
    other.detach();
    co_await done->wait();
}

/// Hands bytes on as they are.
class plain final : public aio::layered_channel {
public:
    using aio::layered_channel::layered_channel;
    ~plain() override = default;
    aio::io_result receive(aio::mutable_byte_view into) noexcept override { return receive_below(into); }
    aio::io_result send(const iovec* parts, std::size_t count) noexcept override { return send_below(parts, count); }
};

aio::task<> layers() {
    auto pair = aio::testing::stream_pair(3);
    auto serve = [](aio::stream below) -> aio::task<> {
        aio::stream client(std::make_unique<plain>(std::move(below)));
        for (;;) {
            const std::string line = co_await client.read_line();
            if (line.empty()) co_return;
            co_await client.write(line);
        }
    };
    const auto serving = aio::create_task(serve(std::move(pair.second)));
    co_await talk(aio::stream(std::make_unique<plain>(std::move(pair.first))));
    static_cast<void>(co_await aio::nothrow(serving));
}

aio::task<> signal_sets() {
    aio::signal_set set(SIGUSR1, SIGUSR2);
    std::raise(SIGUSR1);
    const int number = co_await set.wait();
    hold(number == SIGUSR1, "the signal comes");
}

aio::task<> processes() {
    aio::process_options options;
    options.in = aio::subprocess::pipe;
    options.out = aio::subprocess::pipe;
    options.err = aio::subprocess::pipe;
    aio::process cat = co_await aio::create_subprocess("cat", options);
    const aio::process_output all = co_await cat.communicate(long_text);
    hold(all.out == long_text, "what was written comes back");
}

aio::task<> forked() {
    aio::process_options options;
    options.in = aio::subprocess::pipe;
    options.out = aio::subprocess::pipe;
    options.umask = 077U;
    const struct closing {
        int fd;
        ~closing() { ::close(fd); }
    } passed{::fcntl(0, F_DUPFD_CLOEXEC, 3)};
    options.pass_descriptors.push_back(passed.fd);
    aio::process cat = co_await aio::create_subprocess("cat", options);
    const aio::process_output all = co_await cat.communicate(long_text);
    hold(all.out == long_text, "what was written comes back");
}

constexpr asynchio_tests::starved_scenario scenarios[] = {
    {"by_number", &by_number},     {"by_path", &by_path},         {"much", &much},
    {"in_memory", &in_memory},     {"datagrams", &datagrams},     {"names", &names},
    {"descriptors", &descriptors}, {"signal_sets", &signal_sets}, {"processes", &processes},
    {"watchers", &watchers},       {"layers", &layers},           {"options", &options},
    {"forked", &forked},
};

void test() { asynchio_tests::starve(scenarios); }

} // namespace

int main() { return asynchio_tests::on_small_stack(&test); }
