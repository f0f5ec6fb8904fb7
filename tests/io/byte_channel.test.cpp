// SPDX-License-Identifier: BSL-1.0
// covers: io/fd_events.hpp
#include <asynchio/io/byte_channel.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/net.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/core/read_errors.hpp>
#include <asynchio/io/lines.hpp>
#include <asynchio/io/stream.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>
#include <asynchio/testing/stream_pair.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/uio.h>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;
using namespace std::string_literals;

namespace {

/// What a test sees of a carrier, and makes it do.
struct script {
    std::string coming; // what receive() returns
    std::string sent;   // what send() has taken
    std::size_t room = 1'000'000;
    std::size_t piece = 1'000'000; // the maximum of one call, in bytes
    bool ended = false;            // whether the end stands behind what is coming
    bool told_end = false;
    int held_back = 0;     // what drain() returns
    int receive_error = 0; // behind what is coming
    int send_error = 0;
    int end_error = 0;
    int shuts = 0;
    int aborts = 0;
    int waits = 0; // how often a task was about to wait
    bool refuses_to_wait = false;
    int receives = 0;
    bool gone = false;
    std::function<void(aio::fd_events)> tell; // notify()
};

class private_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// The numbers below 0 are errors of its own.
class scripted : public aio::byte_channel {
public:
    explicit scripted(script& s) : s_(s) {
        s_.tell = [this](aio::fd_events what) { notify(what); };
    }
    ~scripted() override {
        s_.tell = nullptr;
        s_.gone = true;
        notify(aio::fd_events::readable | aio::fd_events::writable); // nobody listens any more
    }

    aio::io_result receive(aio::mutable_byte_view into) noexcept override {
        ++s_.receives;
        std::size_t count = std::min(std::min(into.size(), s_.coming.size()), s_.piece);
        if (count == 0 && s_.receive_error != 0) return aio::io_result::failed(s_.receive_error);
        if (count == 0) return s_.ended ? aio::io_result::end() : aio::io_result::would_block();
        std::memcpy(into.data(), s_.coming.data(), count);
        s_.coming.erase(0, count);
        return aio::io_result::bytes(count);
    }
    aio::io_result send(const iovec* parts, std::size_t) noexcept override {
        if (s_.send_error != 0) return aio::io_result::failed(s_.send_error);
        const std::size_t count = std::min(std::min(parts[0].iov_len, s_.room), s_.piece);
        if (count == 0) return aio::io_result::would_block();
        s_.sent.append(static_cast<const char*>(parts[0].iov_base), count);
        s_.room -= count;
        return aio::io_result::bytes(count);
    }
    int drain() noexcept override { return s_.held_back; }
    int end_sending() noexcept override {
        s_.told_end = true;
        return s_.end_error;
    }
    void shut(bool abort) noexcept override {
        ++s_.shuts;
        if (abort) ++s_.aborts;
    }
    std::string name() const override { return "the script"; }
    void begin_wait(aio::fd_events what) override {
        static_cast<void>(what);
        ++s_.waits;
        if (s_.refuses_to_wait) throw private_error("it cannot wait");
    }
    void raise(int error, const std::string& what) const override {
        if (error < 0) throw private_error(what + ": error " + std::to_string(-error));
        byte_channel::raise(error, what);
    }

private:
    script& s_;
};

aio::stream over(script& s) { return aio::stream(std::make_unique<scripted>(s)); }

} // namespace

TEST_CASE("byte_channel: a stream over a carrier reads, writes and ends as any stream", "[io]") {
    virtual_run([]() -> aio::task<> {
        script s;
        s.coming = "one\ntwo\n12345rest of it";
        s.ended = true;
        aio::stream stream = over(s);
        std::string got = co_await stream.read_line();
        CHECK(got == "one\n");
        CHECK(stream.buffered() == 19);
        got = co_await stream.read_until("o\n");
        CHECK(got == "two\n");
        got = co_await stream.read_exactly(5);
        CHECK(got == "12345");
        got = co_await stream.read(4);
        CHECK(got == "rest");
        got = co_await stream.read_all();
        CHECK(got == " of it");
        CHECK(stream.at_eof());
        got = co_await stream.read_line();
        CHECK(got.empty());
        co_await stream.write("ab");
        const std::vector<std::string> parts{"cd"s, ""s, "ef"s};
        co_await stream.write(parts);
        CHECK(s.sent == "abcdef");
        CHECK(stream.bytes_written() == 6);
        CHECK_FALSE(s.told_end);
        co_await stream.write_eof();
        co_await stream.write_eof();
        CHECK(s.told_end);
        const std::string error = co_await error_of([&] { return stream.write("x"); });
        CHECK(contains(error, "write_eof() was called already"));
        CHECK(stream.native_handle() == -1);
        CHECK_FALSE(stream.local_address());
        CHECK_FALSE(stream.peer_address());
        co_await stream.aclose();
        stream.abort();
        CHECK(s.shuts == 1);
        CHECK(s.aborts == 0);
    }());
}

TEST_CASE("byte_channel: the stream owns its carrier, and shuts it once before it destroys it", "[io]") {
    script s;
    {
        const aio::stream stream = over(s);
        CHECK_FALSE(s.gone);
    }
    CHECK(s.shuts == 1);
    CHECK(s.gone);
    script aborted;
    {
        aio::stream stream = over(aborted);
        stream.abort();
        CHECK(stream.is_closed());
        CHECK_FALSE(aborted.gone);
    }
    CHECK(aborted.shuts == 1);
    CHECK(aborted.aborts == 1);
    CHECK_FALSE(aio::stream(std::unique_ptr<scripted>()));
}

TEST_CASE("byte_channel: a carrier that nobody owns may notify", "[io]") {
    script s;
    const scripted carrier(s);
    s.tell(aio::fd_events::readable | aio::fd_events::writable);
}

TEST_CASE("byte_channel: a waiting task goes on when the carrier has something, which is not asked before", "[io]") {
    virtual_run([]() -> aio::task<> {
        script s;
        s.room = 3;
        aio::stream stream = over(s);
        const auto reader =
            aio::create_task([&]() -> aio::task<std::string> { co_return co_await stream.read_line(); });
        const auto writer = aio::create_task([&]() -> aio::task<> { co_await stream.write("abcdefgh"); });
        co_await settle();
        CHECK_FALSE(reader.done());
        CHECK_FALSE(writer.done());
        CHECK(s.sent == "abc");
        CHECK(s.waits == 2);
        const int asked = s.receives;
        s.room = 2;
        s.tell(aio::fd_events::writable);
        co_await settle();
        CHECK(s.sent == "abcde");
        CHECK(s.receives == asked);
        s.coming = "lin";
        s.tell(aio::fd_events::readable);
        co_await settle();
        CHECK_FALSE(reader.done());
        s.coming = "e\nmore";
        s.room = 100;
        s.tell(aio::fd_events::readable | aio::fd_events::writable);
        const std::string line = co_await reader;
        CHECK(line == "line\n");
        co_await writer;
        CHECK(s.sent == "abcdefgh");
        s.tell(aio::fd_events::readable); // while no task waits
        const std::string more = co_await stream.read(100);
        CHECK(more == "more");
    }());
}

TEST_CASE("byte_channel: a byte at a time, everything comes out as it went in", "[io]") {
    virtual_run([]() -> aio::task<> {
        script s;
        s.piece = 1;
        s.coming = "first\nsecond\n";
        s.ended = true;
        aio::stream stream = over(s);
        auto each = aio::lines(stream);
        std::vector<std::string> all;
        while (auto line = co_await each.next()) all.push_back(*line);
        CHECK(all.size() == 2);
        CHECK(all.back() == "second");
        co_await stream.write("many bytes");
        CHECK(s.sent == "many bytes");
    }());
}

TEST_CASE("byte_channel: a write is over when the carrier holds nothing back", "[io]") {
    virtual_run([]() -> aio::task<> {
        script s;
        aio::stream over(std::make_unique<scripted>(s));
        CHECK(over.carrier() != nullptr);
        CHECK(over.carrier()->name() == "the script");
        const auto writes = [](aio::stream& to, std::string text) -> aio::task<> { co_await to.write(text); };
        const auto sends = [](aio::stream& to) -> aio::task<> {
            std::FILE* const file = std::tmpfile();
            std::fputs("a file", file);
            std::fflush(file);
            const std::size_t count = co_await to.send_file(::fileno(file), 0);
            CHECK(count == 6);
            std::fclose(file);
        };
        for (const bool of_file : {false, true}) {
            s.held_back = EAGAIN;
            s.sent.clear();
            auto writing = aio::create_task(of_file ? sends(over) : writes(over, "a text"));
            co_await aio::yield();
            co_await aio::yield();
            CHECK(s.sent == (of_file ? "a file" : "a text"));
            CHECK_FALSE(writing.done());
            s.tell(aio::fd_events::writable);
            co_await aio::yield();
            co_await aio::yield();
            CHECK_FALSE(writing.done()); // it is still held back
            s.held_back = 0;
            s.tell(aio::fd_events::writable);
            co_await writing;
        }

        s.held_back = EAGAIN;
        auto cancelled = aio::create_task(writes(over, "counts"));
        co_await aio::yield();
        cancelled.cancel();
        const aio::outcome<void> ended = co_await aio::nothrow(cancelled);
        CHECK(ended.cancelled());
        CHECK(over.bytes_written() == 18);

        auto failing = aio::create_task(writes(over, "lost"));
        co_await aio::yield();
        s.held_back = EPIPE;
        s.tell(aio::fd_events::writable);
        const aio::outcome<void> failed = co_await aio::nothrow(failing);
        CHECK(message_of([&] { failed.value(); }).find("write to the script") != std::string::npos);
        const auto none = aio::testing::stream_pair();
        CHECK(none.first.carrier() == nullptr);
    }());
}

TEST_CASE("byte_channel: each direction keeps its first error, as the carrier raises it", "[io]") {
    virtual_run([]() -> aio::task<> {
        script s;
        s.coming = "what has come\n";
        s.send_error = -7;
        s.receive_error = EHOSTDOWN;
        aio::stream stream = over(s);
        for (int i = 0; i < 2; ++i) {
            bool its_own = false;
            std::string text;
            try {
                co_await stream.write("x");
            } catch (const private_error& e) {
                its_own = true;
                text = e.what();
            }
            CHECK(its_own);
            CHECK(text == "write to the script: error 7");
            s.send_error = EPIPE; // it is not asked again
        }
        const std::string line = co_await stream.read_line();
        CHECK(line == "what has come\n");
        for (int i = 0; i < 2; ++i) {
            const std::string error = co_await error_of([&] { return stream.read_line(); });
            CHECK(contains(error, "read from the script: Host is down"));
            s.receive_error = -1;
        }
        script other;
        other.end_error = -9;
        aio::stream second = over(other);
        const std::string error = co_await error_of([&] { return second.write_eof(); });
        CHECK(error == "shut down the script: error 9");
    }());
}

TEST_CASE("byte_channel: a task that cannot wait gets the carrier's exception, and the stream can be used on", "[io]") {
    virtual_run([]() -> aio::task<> {
        script s;
        s.refuses_to_wait = true;
        aio::stream stream = over(s);
        std::string error = co_await error_of([&] { return stream.read_line(); });
        CHECK(error == "it cannot wait");
        s.refuses_to_wait = false;
        s.coming = "well\n";
        s.tell(aio::fd_events::readable);
        const std::string line = co_await stream.read_line();
        CHECK(line == "well\n");
    }());
}

TEST_CASE("byte_channel: closed while tasks wait, reads see the end and writes an error", "[io]") {
    virtual_run([]() -> aio::task<> {
        script s;
        s.room = 0;
        aio::stream stream = over(s);
        const auto reader =
            aio::create_task([&]() -> aio::task<std::string> { co_return co_await stream.read_line(); });
        const auto writer = aio::create_task([&]() -> aio::task<> { co_await stream.write("abcdefgh"); });
        co_await settle();
        const std::string second = co_await error_of([&] { return stream.read(1); });
        CHECK(contains(second, "one at a time"));
        co_await stream.aclose();
        const std::string line = co_await reader;
        CHECK(line.empty());
        const auto written = co_await aio::nothrow(writer);
        CHECK_THROWS_AS(written.rethrow(), std::system_error);
        CHECK(s.shuts == 1);
    }());
}

TEST_CASE("byte_channel: cancelled at every point, no byte is lost", "[io]") {
    const auto scenario = []() -> aio::task<> {
        script s;
        aio::stream stream = over(s);
        const auto feeding = aio::create_task([&s]() -> aio::task<> {
            for (const char each : "one\ntwo\nthree\n"s) {
                co_await aio::yield();
                s.coming += each;
                s.tell(aio::fd_events::readable);
            }
            s.ended = true;
            s.tell(aio::fd_events::readable);
        });
        std::string all;
        const auto reading = [&]() -> aio::task<> {
            for (;;) {
                const std::string line = co_await stream.read_line();
                if (line.empty()) co_return;
                all += line;
            }
        };
        bool cancelled = false;
        try {
            co_await reading();
        } catch (const aio::cancelled_error&) {
            cancelled = true;
        }
        const std::string rest = co_await stream.read_all(); // after a cancellation the stream can be used on
        all += rest;
        CHECK(all == "one\ntwo\nthree\n");
        co_await feeding;
        if (cancelled) throw aio::cancelled_error();
    };
    const auto cancelled = aio::testing::for_each_cancellation(scenario);
    CHECK(cancelled.points > 5);
}

TEST_CASE("byte_channel: destroyed while a task waits, or with its loop", "[io]") {
    script s;
    aio::stream left;
    virtual_run([&]() -> aio::task<> {
        auto stream = std::make_unique<aio::stream>(over(s));
        const auto reader =
            aio::create_task([&in = *stream]() -> aio::task<std::string> { co_return co_await in.read_line(); });
        co_await settle();
        stream.reset();
        const auto ended = co_await aio::nothrow(reader);
        CHECK(contains(message_of([&] { ended.rethrow(); }), "destroyed while a task waited for it"));
        left = over(s);
        aio::create_task([&left]() -> aio::task<> { static_cast<void>(co_await left.read_line()); });
        co_await settle();
    }());
    s.coming = "in another loop\n";
    s.tell(aio::fd_events::readable);
    virtual_run([&]() -> aio::task<> {
        const std::string line = co_await left.read_line();
        CHECK(line == "in another loop\n");
    }());
}

TEST_CASE("io_result: takes a system call's result", "[io]") {
    errno = EAGAIN;
    CHECK(aio::io_result::of(-1).error == EAGAIN);
    errno = EIO;
    CHECK(aio::io_result::of(-1).error == EIO);
    CHECK(aio::io_result::of(7).count == 7);
    CHECK(aio::io_result::of(7).error == 0);
}

TEST_CASE("fd_events: are a set", "[io]") {
    constexpr auto both = aio::fd_events::readable | aio::fd_events::writable;
    static_assert((both & aio::fd_events::readable) == aio::fd_events::readable);
    CHECK((aio::fd_events::writable & aio::fd_events::readable) == aio::fd_events::none);
}
