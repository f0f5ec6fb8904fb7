// SPDX-License-Identifier: BSL-1.0
#include <asynchio/io/layered_channel.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/net.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/io/open_connection.hpp>
#include <asynchio/io/server.hpp>
#include <asynchio/io/stream.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>
#include <asynchio/testing/stream_pair.hpp>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/uio.h>
#include <utility>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// Turns the bits of every byte round. What it has taken and the stream below has not is flushed as soon as that can be
/// written, also if nobody writes; an end of its own, a byte 0, precedes the end of the stream below.
class turned final : public aio::layered_channel {
public:
    using aio::layered_channel::layered_channel;
    ~turned() override = default;

    aio::io_result receive(aio::mutable_byte_view into) noexcept override {
        if (ended_) return aio::io_result::end();
        const aio::io_result got = receive_below(into);
        if (got.error == 0 && got.count == 0) return aio::io_result::failed(EPROTO); // cut off
        auto* const bytes = static_cast<char*>(into.data());
        for (std::size_t i = 0; i < got.count; ++i) {
            if (bytes[i] == '\0') {
                ended_ = true;
                return aio::io_result::bytes(i);
            }
            bytes[i] = turn(bytes[i]);
        }
        return got;
    }
    aio::io_result send(const iovec* parts, std::size_t count) noexcept override {
        if (!flush()) return blocked();
        std::size_t taken = 0;
        for (const iovec* part = parts; part != parts + count; ++part)
            for (std::size_t i = 0; i < part->iov_len && pending_.size() < 1000; ++i, ++taken)
                pending_.push_back(turn(static_cast<const char*>(part->iov_base)[i]));
        flush();
        return aio::io_result::bytes(taken);
    }
    int end_sending() noexcept override {
        pending_.push_back('\0');
        ending_ = true;
        flush();
        return error_;
    }
    void shut(bool abort) noexcept override {
        if (!abort) flush();
        layered_channel::shut(abort);
    }

private:
    static char turn(char c) noexcept { return static_cast<char>(~c); }
    aio::io_result blocked() const noexcept {
        return error_ != 0 ? aio::io_result::failed(error_) : aio::io_result::would_block();
    }
    /// Whether nothing is left.
    bool flush() noexcept {
        while (!pending_.empty() && error_ == 0) {
            const aio::io_result sent = send_below(pending_);
            if (sent.error == EAGAIN) {
                try {
                    wait_below(aio::fd_events::writable);
                } catch (...) {
                    error_ = EIO;
                }
                return false;
            }
            error_ = sent.error;
            pending_.erase(0, sent.count);
        }
        if (error_ == 0 && ending_ && !std::exchange(told_, true)) error_ = layered_channel::end_sending();
        return error_ == 0;
    }
    void ready_below(aio::fd_events what) noexcept override {
        if ((what & aio::fd_events::writable) != aio::fd_events::none) flush();
        notify(what);
    }

    std::string pending_;
    int error_ = 0;
    bool ended_ = false;
    bool ending_ = false;
    bool told_ = false;
};

aio::stream turning(aio::stream below) { return aio::stream(std::make_unique<turned>(std::move(below))); }

struct turned_pair {
    explicit turned_pair(bool of_sockets) {
        if (of_sockets) {
            stream_pair ends;
            first = turning(std::move(ends.first));
            second = turning(std::move(ends.second));
        } else {
            auto ends = aio::testing::stream_pair(100);
            first = turning(std::move(ends.first));
            second = turning(std::move(ends.second));
        }
    }
    aio::stream first;
    aio::stream second;
};

template<class Body>
void over_both(Body body) {
    for (const bool of_sockets : {true, false}) {
        INFO("over sockets: " << of_sockets);
        on_each_poller([&] { return body(of_sockets); });
    }
}

} // namespace

TEST_CASE("layered_channel: a stream over a stream reads and writes as any stream", "[io]") {
    over_both([](bool of_sockets) -> aio::task<> {
        turned_pair ends(of_sockets);
        co_await ends.first.write("one\ntwo\n12345and the rest");
        std::string got = co_await ends.second.read_line();
        CHECK(got == "one\n");
        got = co_await ends.second.read_until("o\n");
        CHECK(got == "two\n");
        got = co_await ends.second.read_exactly(5);
        CHECK(got == "12345");
        co_await ends.first.write_eof();
        got = co_await ends.second.read_all();
        CHECK(got == "and the rest");
        CHECK(ends.second.at_eof());
        co_await ends.second.write("back\n");
        got = co_await ends.first.read_line();
        CHECK(got == "back\n");
    });
}

TEST_CASE("layered_channel: what goes over the stream below is what the layer makes of it", "[io]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        aio::stream layer = turning(std::move(ends.first));
        co_await layer.write("a\n");
        const std::string raw = co_await ends.second.read_exactly(2);
        CHECK(raw == "\x9e\xf5");
        CHECK(layer.native_handle() >= 0);
        CHECK(layer.local_address() == ends.second.peer_address());
    });
}

TEST_CASE("layered_channel: much in both directions at once, as it went in", "[io]") {
    over_both([](bool of_sockets) -> aio::task<> {
        turned_pair ends(of_sockets);
        std::string text;
        for (int i = 0; text.size() < 200'000; ++i) text += std::to_string(i) + "\n";
        const auto send = [&](aio::stream& s) -> aio::task<> {
            co_await s.write(text);
            co_await s.write_eof();
        };
        const auto receive = [](aio::stream& s) -> aio::task<std::string> { co_return co_await s.read_all(); };
        auto all = aio::gather(send(ends.first), send(ends.second), receive(ends.first), receive(ends.second));
        const auto [a, b, c, d] = co_await aio::wait_for(std::move(all), 30s);
        CHECK((c == text && d == text));
    });
}

TEST_CASE("layered_channel: what it has taken is flushed when that is possible, though nobody writes", "[io]") {
    over_both([](bool of_sockets) -> aio::task<> {
        turned_pair ends(of_sockets);
        const std::string block(900, 'x');
        std::size_t written = 0;
        for (;;) { // until the stream below takes nothing more
            const auto sent = co_await aio::nothrow(aio::wait_for(ends.first.write(block), 0s));
            if (!sent.has_value()) break;
            written += block.size();
        }
        const std::uint64_t taken = ends.first.bytes_written();
        CHECK(taken >= written);
        std::string all;
        while (all.size() < taken) {
            const std::string more = co_await aio::wait_for(ends.second.read(100'000), 10s);
            all += more;
        }
        CHECK(all.size() == taken);
    });
}

TEST_CASE("layered_channel: takes over what the stream below has read ahead", "[io]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        co_await ends.first.write("STARTTLS\n\x9e\x9d\xf5");
        const std::string command = co_await ends.second.read_line();
        CHECK(command == "STARTTLS\n");
        CHECK(ends.second.buffered() == 3);
        aio::stream layer = turning(std::move(ends.second));
        CHECK_FALSE(ends.second);
        const std::string line = co_await layer.read_line();
        CHECK(line == "ab\n");
    });
}

TEST_CASE("layered_channel: errors of the stream below reach each direction, and its end is the layer's affair",
          "[io]") {
    over_both([](bool of_sockets) -> aio::task<> {
        turned_pair ends(of_sockets);
        co_await ends.second.write("an early answer\n");
        co_await ends.second.aclose(); // without its end
        std::string error;
        const std::string much(4'000'000, 'x');
        error = co_await error_of([&] { return ends.first.write(much); });
        CHECK(contains(error, "write to "));
        const std::string line = co_await ends.first.read_line();
        CHECK(line == "an early answer\n");
        error = co_await error_of([&] { return ends.first.read_line(); });
        CHECK(contains(error, "read from "));
        const std::string again = co_await error_of([&] { return ends.first.read_line(); });
        CHECK(again == error);
    });
}

TEST_CASE("layered_channel: closing or aborting the layer closes the stream below", "[io]") {
    over_both([](bool of_sockets) -> aio::task<> {
        turned_pair ends(of_sockets);
        const auto reader =
            aio::create_task([&]() -> aio::task<std::string> { co_return co_await ends.first.read_line(); });
        co_await settle();
        ends.first.abort();
        const std::string line = co_await reader;
        CHECK(line.empty());
        CHECK(ends.first.is_closed());
        const std::string error = co_await error_of([&] { return ends.second.read_line(); });
        CHECK(contains(error, "read from "));
        const std::string released = message_of([&] { static_cast<void>(ends.second.release()); });
        CHECK(released == "release: the stream has no descriptor of its own");
    });
}

TEST_CASE("layered_channel: refuses a stream that is empty or in use, which stays as it is", "[io]") {
    on_each_poller([]() -> aio::task<> {
        CHECK_THROWS_AS(turning(aio::stream()), std::logic_error);
        stream_pair ends;
        const auto reader =
            aio::create_task([&]() -> aio::task<std::string> { co_return co_await ends.first.read_line(); });
        co_await settle();
        CHECK_THROWS_AS(turned(std::move(ends.first)), std::logic_error);
        co_await ends.second.write("still here\n");
        const std::string line = co_await reader;
        CHECK(line == "still here\n");
    });
}

TEST_CASE("layered_channel: cancelled at every point, no byte is lost and none is doubled", "[io]") {
    const auto scenario = []() -> aio::task<> {
        turned_pair ends(false);
        const std::string text(450, 'y');
        const auto sending = aio::create_task([&]() -> aio::task<> {
            co_await ends.second.write(text);
            co_await ends.second.write("\n");
            co_await ends.second.write_eof();
        });
        bool cancelled = false;
        std::string all;
        try {
            all = co_await ends.first.read_line();
        } catch (const aio::cancelled_error&) {
            cancelled = true;
        }
        if (cancelled) {
            const auto sent = co_await aio::nothrow(aio::wait_for(ends.first.write(text), 0s));
            static_cast<void>(sent);
        }
        const std::string rest = co_await ends.first.read_all();
        CHECK(all + rest == text + "\n");
        co_await sending;
        if (cancelled) throw aio::cancelled_error();
    };
    const auto cancelled = aio::testing::for_each_cancellation(scenario);
    CHECK(cancelled.points > 3);
}

TEST_CASE("layered_channel: a server drains, closes and aborts the connections below", "[io]") {
    on_each_poller([]() -> aio::task<> {
        int ended = 0;
        const auto handler = [&](aio::stream client) -> aio::task<> {
            aio::stream layer = turning(std::move(client));
            for (;;) {
                std::string line;
                try {
                    line = co_await layer.read_line();
                } catch (const std::system_error&) {
                    break;
                }
                if (line.empty()) break;
                co_await layer.write(line);
            }
            ++ended;
        };
        for (const int how : {0, 1, 2}) {
            aio::server server = co_await aio::start_server(handler, "127.0.0.1", 0);
            aio::stream there = turning(co_await aio::open_connection("127.0.0.1", server.port()));
            co_await there.write("hello\n");
            const std::string line = co_await there.read_line();
            CHECK(line == "hello\n");
            ended = 0;
            if (how == 0) {
                const bool in_time = co_await server.drain(10s);
                CHECK(in_time);
            } else {
                server.close();
                how == 1 ? server.close_clients() : server.abort_clients();
                co_await aio::wait_for(server.wait_closed(), 10s);
                co_await server.aclose();
            }
            CHECK(ended == 1);
        }
    });
}

namespace {

/// Passes bytes on as they are. At its end it gives the stream below up, to another owner.
class giving final : public aio::layered_channel {
public:
    giving(aio::stream&& below, aio::stream& heir, bool& ended)
        : layered_channel(std::move(below)), heir_(heir), ended_(ended) {}

    aio::io_result receive(aio::mutable_byte_view into) noexcept override {
        const aio::io_result got = receive_below(into);
        if (got.error == 0 && got.count == 0) ended_ = ended_here();
        return got;
    }
    aio::io_result send(const iovec* parts, std::size_t count) noexcept override { return send_below(parts, count); }
    void shut(bool) noexcept override { heir_ = release_below(); }

private:
    aio::stream& heir_;
    bool& ended_;
};

} // namespace

TEST_CASE("layered_channel: a layer that is shut may leave the stream below to another owner", "[io]") {
    virtual_run([]() -> aio::task<> {
        stream_pair ends;
        aio::stream heir;
        bool ended_here = false;
        const aio::address peer = ends.first.peer_address();
        aio::stream over(std::make_unique<giving>(std::move(ends.first), heir, ended_here));
        co_await over.write("one ");
        co_await over.aclose();
        CHECK(over.is_closed());
        CHECK(over.carrier()->name() == "unix socket");
        CHECK(over.peer_address() == peer);
        CHECK(over.local_address() == aio::address());
        CHECK(over.native_handle() == -1);
        over = aio::stream();
        co_await heir.write("two");
        co_await heir.aclose();
        const std::string all = co_await ends.second.read_all();
        CHECK(all == "one two");
    }());
}

TEST_CASE("layered_channel: a layer knows an end that this side has made from one of the peer", "[io]") {
    virtual_run([]() -> aio::task<> {
        bool ended_here = false;
        aio::stream heir;
        bool done = false;
        const auto handle = [&](aio::stream plain) -> aio::task<> {
            {
                aio::stream over(std::make_unique<giving>(std::move(plain), heir, ended_here));
                const std::string all = co_await over.read_all();
                CHECK(all == "text");
            }
            heir = aio::stream();
            done = true;
        };
        for (const bool drains : {false, true}) {
            done = false;
            aio::server server = co_await aio::start_server(handle, "127.0.0.1", 0);
            aio::stream client = co_await aio::open_connection("127.0.0.1", server.port());
            co_await client.write("text");
            if (!drains) {
                co_await client.write_eof();
                const std::string rest = co_await client.read_all();
                CHECK(rest == "");
            } else {
                co_await server.drain(1s);
            }
            co_await server.aclose();
            CHECK(done);
            CHECK(ended_here == drains);
        }
    }());
}
