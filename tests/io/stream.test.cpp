// SPDX-License-Identifier: BSL-1.0
#include <asynchio/io/stream.hpp>

#include <asynchio/core/read_errors.hpp>
#include <asynchio/io/system_calls.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/net.hpp"
#include "support/probes.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>
#include <asynchio/testing/stream_pair.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <fcntl.h>
#include <functional>
#include <limits>
#include <list>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;
using namespace std::string_literals;

namespace {

/// g++ 12 cannot make an array of strings in a coroutine.
template<class... Text>
std::vector<std::string> texts(const Text&... text) {
    return {std::string(text)...};
}

/// More than the system's buffers hold.
std::string much() { return std::string(4'000'000, 'x'); }

} // namespace

TEST_CASE("stream: is empty when default-constructed or moved from, and says so", "[io]") {
    aio::stream none;
    CHECK_FALSE(none);
    CHECK(none.is_closed());
    CHECK(message_of([&] { static_cast<void>(none.read_line()); }) == "stream: it is empty, or was moved from");
    CHECK(message_of([&] { none.abort(); }) == "stream: it is empty, or was moved from");
}

TEST_CASE("stream: from_descriptor refuses what is no descriptor or is always ready", "[io]") {
    CHECK(contains(message_of([] { aio::stream::from_descriptor(-1); }), "stream of descriptor -1: Bad file"));
    const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    CHECK(message_of([&] { aio::stream::from_descriptor(file, "a file"); }) ==
          "stream of a file: a file is always ready; read it with to_thread");
    CHECK(::fcntl(file, F_GETFD) == -1); // it was taken over
}

TEST_CASE("stream: read gives what has come, at most as much as was asked for, and nothing at the end",
          "[io][SRD-1][SRD-2][SRD-21][SRD-12]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        co_await ends.first.write("abcdef");
        std::string got = co_await ends.second.read(4);
        CHECK(got == "abcd");
        got = co_await ends.second.read(0);
        CHECK(got.empty());
        got = co_await ends.second.read(100);
        CHECK(got == "ef");
        co_await ends.first.aclose();
        CHECK_FALSE(ends.second.at_eof());
        got = co_await ends.second.read(100);
        CHECK(got.empty());
        CHECK(ends.second.at_eof());
        got = co_await ends.second.read_line();
        CHECK(got.empty());
    });
}

TEST_CASE("stream: read_some reads into memory of any kind of byte", "[io][SRD-1]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        co_await ends.first.write("0123456789");
        std::array<std::byte, 3> three{};
        std::size_t count = co_await ends.second.read_some(three);
        CHECK(count == 3);
        CHECK(three[2] == std::byte('2'));
        unsigned char two[2];
        count = co_await ends.second.read_some(two);
        CHECK(count == 2);
        CHECK(two[1] == '4');
        std::string line = co_await ends.second.read_exactly(1);
        CHECK(line == "5");
        std::vector<char> rest(100); // now from what was read ahead
        count = co_await ends.second.read_some(rest);
        CHECK(std::string_view(rest.data(), count) == "6789");
        count = co_await ends.second.read_some(std::span<char>());
        CHECK(count == 0);
    });
}

TEST_CASE("stream: read_line keeps the newline, gives the rest at the end, and then nothing", "[io][SRD-4][SRD-20]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        co_await ends.first.write("one\n\ntwo\nrest");
        co_await ends.first.write_eof();
        std::vector<std::string> lines;
        for (std::string line = co_await ends.second.read_line(); !line.empty();
             line = co_await ends.second.read_line())
            lines.push_back(line);
        CHECK(lines == texts("one\n", "\n", "two\n", "rest"));
    });
}

TEST_CASE("stream: a line over the limit is dropped as far as it has come", "[io][SRD-5][SRD-18]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        co_await ends.first.write("12345\n123456\nok\n");
        std::string line = co_await ends.second.read_line(5);
        CHECK(line == "12345\n");
        std::string error = co_await error_of([&] { return ends.second.read_line(5); });
        CHECK(error == "read_line: a line is longer than the limit");
        line = co_await ends.second.read_line(5);
        CHECK(line == "ok\n");
        co_await ends.first.write("no newline");
        error = co_await error_of([&] { return ends.second.read_line(5); });
        CHECK(error == "read_line: a line is longer than the limit");
        co_await ends.first.write("new\n");
        line = co_await ends.second.read_line(5);
        CHECK(line == "new\n");
        CHECK(message_of([&] { static_cast<void>(ends.second.read_line(0)); }) ==
              "read_line: the limit must be at least 1 byte");
    });
}

TEST_CASE("stream: read_until includes the delimiter, which may come in pieces", "[io][SRD-6]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        const auto reader = aio::create_task(ends.second.read_until("\r\n\r\n"));
        for (const std::string& piece : texts("head\r", "\nmore\r\n", "\r", "\nbody")) {
            co_await ends.first.write(piece);
            co_await settle();
        }
        const std::string head = co_await reader;
        CHECK(head == "head\r\nmore\r\n\r\n");
        const std::string body = co_await ends.second.read(100);
        CHECK(body == "body");
    });
}

TEST_CASE("stream: of several delimiters the one that ends first counts, the shorter one if they end together",
          "[io][SRD-10]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        const std::vector<std::string> delimiters = texts("\r\n", "\n", "abc", "bc");
        co_await ends.first.write("x\r\ny\nzabc!");
        std::string got = co_await ends.second.read_until(delimiters);
        CHECK(got == "x\r\n");
        got = co_await ends.second.read_until(delimiters);
        CHECK(got == "y\n");
        got = co_await ends.second.read_until(texts("abc", "za"));
        CHECK(got == "za");
        CHECK(message_of([&] { static_cast<void>(ends.second.read_until("")); }) == "read_until: a delimiter is empty");
        CHECK(message_of([&] { static_cast<void>(ends.second.read_until(std::vector<std::string>())); }) ==
              "read_until: there is no delimiter");
        CHECK(message_of([&] { static_cast<void>(ends.second.read_until("x", 0)); }) ==
              "read_until: the limit must be at least 1 byte");
    });
}

TEST_CASE("stream: read_until over the limit tells how much there is and keeps it", "[io][SRD-7][SRD-8]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        co_await ends.first.write("12345\nabcdefgh\n");
        std::string got = co_await ends.second.read_until("\n", 5);
        CHECK(got == "12345\n");
        std::size_t consumed = 0;
        try {
            co_await ends.second.read_until("\n", 5);
        } catch (const aio::limit_overrun_error& e) {
            consumed = e.consumed();
        }
        CHECK(consumed == 8);
        got = co_await ends.second.read_until("\n", 8);
        CHECK(got == "abcdefgh\n");
        co_await ends.first.write("no delimiter");
        try {
            co_await ends.second.read_until("\r\n", 5);
        } catch (const aio::limit_overrun_error& e) {
            consumed = e.consumed();
        }
        CHECK(consumed == 11);
        got = co_await ends.second.read_exactly(12);
        CHECK(got == "no delimiter");
    });
}

TEST_CASE("stream: an end that comes too early gives what was there", "[io][SRD-9][SRD-11]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        co_await ends.first.write("abcde");
        co_await ends.first.aclose();
        std::string got = co_await ends.second.read_exactly(0);
        CHECK(got.empty());
        got = co_await ends.second.read_exactly(2);
        CHECK(got == "ab");
        std::optional<std::size_t> expected;
        try {
            co_await ends.second.read_exactly(7);
        } catch (const aio::incomplete_read_error& e) {
            got = e.partial();
            expected = e.expected();
            CHECK(e.what() == "3 bytes read on a total of 7 expected bytes"s);
        }
        CHECK(got == "cde");
        CHECK(expected == 7U);
        CHECK(ends.second.at_eof());
        bool incomplete = false;
        try {
            co_await ends.second.read_until("x");
        } catch (const aio::incomplete_read_error& e) {
            incomplete = e.partial().empty() && !e.expected();
        }
        CHECK(incomplete);
    });
}

TEST_CASE("stream: read_all reads to the end, and more than its limit stays to be read", "[io][SRD-3]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        const std::string sent = much();
        auto send = [&]() -> aio::task<> {
            co_await ends.first.write(sent);
            co_await ends.first.write_eof();
        };
        const auto sender = aio::create_task(send);
        const std::string error = co_await error_of([&] { return ends.second.read_all(1000); });
        CHECK(error == "read_all: there is more than the limit");
        const std::string got = co_await ends.second.read_all();
        CHECK(got == sent);
        co_await sender;
        CHECK(ends.first.bytes_written() == sent.size());
    });
}

TEST_CASE("stream: write waits until the system has taken everything, in order", "[io][SWR-1][SWR-2][SWR-3][SWR-4]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        co_await ends.first.write(""); // nothing to do
        const std::string sent = much();
        const auto writer = aio::create_task(ends.first.write(sent));
        co_await settle();
        CHECK_FALSE(writer.done());
        CHECK(ends.first.bytes_written() > 0);
        CHECK(ends.first.bytes_written() < sent.size());
        const std::string got = co_await ends.second.read_exactly(sent.size());
        CHECK(got == sent);
        co_await writer;
    });
}

TEST_CASE("stream: parts are written as if they were one", "[io][SWR-2]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        std::vector<std::string> parts;
        std::string all;
        for (int i = 0; i < 1000; ++i) {
            parts.push_back(std::string(static_cast<std::size_t>(i % 7) * 1000, static_cast<char>('a' + i % 26)));
            all += parts.back();
        }
        const auto writer = aio::create_task(ends.first.write(parts));
        const std::string got = co_await ends.second.read_exactly(all.size());
        CHECK(got == all);
        co_await writer;
        CHECK(ends.first.bytes_written() == all.size());
        co_await ends.first.write(std::vector<std::string_view>());
        const std::vector<std::string> letters = texts("", "a", "", "b", "");
        const std::list<std::string> list(letters.begin(), letters.end());
        co_await ends.first.write(list);
        const std::string rest = co_await ends.second.read_exactly(2);
        CHECK(rest == "ab");
    });
}

TEST_CASE("stream: short calls and interruptions lose nothing", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const changed_calls changed;
        static int interruptions;
        interruptions = 0;
        changed->recv = [](int fd, void* into, std::size_t size, int flags) {
            if (++interruptions % 3 == 0) {
                errno = EINTR;
                return ssize_t(-1);
            }
            return ::recv(fd, into, size < 3 ? size : 3, flags);
        };
        changed->send = [](int fd, const void* from, std::size_t size, int flags) {
            return ::send(fd, from, size < 2 ? size : 2, flags);
        };
        changed->sendmsg = [](int fd, const msghdr* message, int flags) {
            return ::send(fd, message->msg_iov[0].iov_base, 1, flags);
        };
        stream_pair ends;
        const std::vector<std::string> parts = texts("abc", "defg\n");
        const auto writer = aio::create_task(ends.first.write(parts));
        const std::string got = co_await ends.second.read_line();
        CHECK(got == "abcdefg\n");
        co_await writer;
        CHECK(interruptions > 0);
    });
}

TEST_CASE("stream: after write_eof reading goes on, and writing is misuse", "[io][SWR-13][SWR-14]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        co_await ends.first.write_eof();
        co_await ends.first.write_eof();
        std::string got = co_await ends.second.read(1);
        CHECK(got.empty());
        co_await ends.second.write("answer");
        got = co_await ends.first.read_exactly(6);
        CHECK(got == "answer");
        const std::string error = co_await error_of([&] { return ends.first.write("x"); });
        CHECK(error == "write: write_eof() was called already");
    });
}

TEST_CASE("stream: write_eof while another task writes is misuse", "[io][SWR-13]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        const std::string sent = much();
        const auto writer = aio::create_task(ends.first.write(sent));
        co_await settle();
        const std::string error = co_await error_of([&] { return ends.first.write_eof(); });
        CHECK(error == "write_eof: another task is writing");
        writer.cancel();
        co_await aio::nothrow(writer);
    });
}

TEST_CASE("stream: aclose ends what other tasks read, once; reading on gives the end, writing is misuse",
          "[io][SWR-10][SWR-12]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        const auto reader = aio::create_task(ends.first.read_line());
        co_await settle();
        co_await ends.first.aclose();
        co_await ends.first.aclose();
        CHECK(ends.first.is_closed());
        const std::string line = co_await reader;
        CHECK(line.empty());
        const std::string more = co_await ends.first.read(5);
        CHECK(more.empty());
        CHECK(ends.first.at_eof());
        const std::string error = co_await error_of([&] { return ends.first.write("x"); });
        CHECK(error == "write: the stream is closed");
        CHECK(ends.first.native_handle() == -1);
    });
}

TEST_CASE("stream: closed while another task writes, it gives that task an error", "[io][SWR-11]") {
    on_each_poller([]() -> aio::task<> {
        for (const bool abort : {true, false}) {
            stream_pair ends;
            const std::string sent = much();
            const auto writer = aio::create_task(error_of([&] { return ends.first.write(sent); }));
            co_await settle();
            if (abort)
                ends.first.abort();
            else
                co_await ends.first.aclose();
            const std::string error = co_await writer;
            CHECK(contains(error, "write to "));
            CHECK(contains(error, ": Broken pipe"));
        }
    });
}

TEST_CASE("stream: is a resource that with closes on every path", "[io]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        auto body = [&]() -> aio::task<> {
            co_await ends.first.write("x");
            throw boom("in the body");
        };
        const std::string error = co_await error_of([&] { return aio::with(ends.first, body); });
        CHECK(error == "in the body");
        CHECK(ends.first.is_closed());
    });
}

TEST_CASE("stream: each direction keeps its first error and gives it to every later call", "[io][SRD-13]") {
    on_each_poller([]() -> aio::task<> {
        const changed_calls changed;
        stream_pair ends;
        co_await ends.second.aclose();
        const std::string error = co_await error_of([&] { return ends.first.write("x"); });
        CHECK(contains(error, ": Broken pipe"));
        CHECK(contains(error, "write to "));
        changed->recv = [](int, void*, size_t, int) -> ssize_t {
            errno = EIO;
            return -1;
        };
        const std::string read_error = co_await error_of([&] { return ends.first.read(1); });
        CHECK(contains(read_error, "read from "));
        CHECK(contains(read_error, "Input/output error"));
        for (int i = 0; i < 2; ++i) {
            std::string later = co_await error_of([&] { return ends.first.write("y"); });
            CHECK(later == error);
            later = co_await error_of([&] { return ends.first.read_line(); });
            CHECK(later == read_error);
        }
    });
}

TEST_CASE("stream: what has come is read after a write has failed, then the end", "[io]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        co_await ends.second.write("an early answer\nmore\nrest");
        co_await ends.second.aclose();
        std::string line = co_await ends.first.read_line(); // the others stand in the buffer then
        CHECK(line == "an early answer\n");
        const std::string error = co_await error_of([&] { return ends.first.write(much()); });
        CHECK(contains(error, ": Broken pipe"));
        line = co_await ends.first.read_line();
        CHECK(line == "more\n");
        line = co_await ends.first.read(100);
        CHECK(line == "rest");
        line = co_await ends.first.read_line();
        CHECK(line.empty());
        CHECK(ends.first.at_eof());
    });
}

TEST_CASE("stream: what is in the socket still is read after a write has failed", "[io]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        co_await ends.second.write("answer\n");
        co_await ends.second.aclose();
        const std::string error = co_await error_of([&] { return ends.first.write("the rest of a request"); });
        CHECK(contains(error, ": Broken pipe"));
        char some[3];
        const std::size_t count = co_await ends.first.read_some(some);
        CHECK(std::string_view(some, count) == "ans");
        const std::string line = co_await ends.first.read_line();
        CHECK(line == "wer\n");
    });
}

TEST_CASE("stream: a reset that was told to a writer is told to the reader, too, after what has come", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const changed_calls changed;
        stream_pair ends;
        co_await ends.second.write("cut o");
        co_await ends.second.aclose();
        changed->send = [](int, const void*, size_t, int) -> ssize_t {
            errno = ECONNRESET;
            return -1;
        };
        const std::string error = co_await error_of([&] { return ends.first.write("x"); });
        CHECK(contains(error, "write to "));
        CHECK(contains(error, ": Connection reset by peer"));
        for (int i = 0; i < 2; ++i) {
            const std::string broken = co_await error_of([&] { return ends.first.read_all(); });
            CHECK(contains(broken, "read from "));
            CHECK(contains(broken, ": Connection reset by peer"));
        }
        const std::string text = co_await ends.first.read(100);
        CHECK(text == "cut o");
        CHECK_FALSE(ends.first.at_eof());
    });
}

TEST_CASE("stream: write_eof of a terminal leaves it open for who reads", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        REQUIRE(master >= 0);
        REQUIRE(::grantpt(master) == 0);
        REQUIRE(::unlockpt(master) == 0);
        aio::stream terminal =
            aio::stream::from_descriptor(::open(::ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC), "terminal");
        auto reading = aio::create_task(
            [](aio::stream& s) -> aio::task<std::string> { co_return co_await s.read_line(); }, std::ref(terminal));
        co_await settle();
        co_await terminal.write("x");
        co_await terminal.write_eof();
        const std::string error = co_await error_of([&] { return terminal.write("y"); });
        CHECK(contains(error, "write_eof() was called already"));
        REQUIRE(::write(master, "typed\n", 6) == 6);
        const std::string line = co_await reading;
        CHECK(line == "typed\n");
        ::close(master);
    });
}

TEST_CASE("stream: a peer that reads no more is heard on", "[io]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        const auto reading = aio::create_task(
            [](aio::stream& s) -> aio::task<std::string> { co_return co_await s.read_line(); }, std::ref(ends.first));
        co_await settle(); // it waits
        CHECK(::shutdown(ends.second.native_handle(), SHUT_RD) == 0);
        const std::string error = co_await error_of([&] { return ends.first.write("x"); });
        CHECK(contains(error, ": Broken pipe"));
        co_await settle();
        CHECK_FALSE(reading.done());
        co_await ends.second.write("still here\n");
        const std::string first = co_await reading;
        CHECK(first == "still here\n");
        co_await ends.second.write("and here\n");
        const std::string second = co_await ends.first.read_line();
        CHECK(second == "and here\n");
    });
}

TEST_CASE("stream: a read that has failed does not keep from writing", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const changed_calls changed;
        stream_pair ends;
        changed->recv = [](int, void*, size_t, int) -> ssize_t {
            errno = EIO;
            return -1;
        };
        const std::string error = co_await error_of([&] { return ends.first.read(1); });
        CHECK(contains(error, "Input/output error"));
        co_await ends.first.write("x");
        CHECK(ends.first.bytes_written() == 1);
    });
}

TEST_CASE("stream: an error reaches who waits", "[io][SRD-13]") {
    on_each_poller([]() -> aio::task<> {
        const changed_calls changed;
        stream_pair ends;
        const auto reader = aio::create_task(error_of([&] { return ends.first.read_line(); }));
        co_await settle();
        changed->recv = [](int, void*, std::size_t, int) {
            errno = ETIMEDOUT;
            return ssize_t(-1);
        };
        co_await ends.second.write("x");
        const std::string error = co_await reader;
        CHECK(contains(error, "read from "));
        CHECK(contains(error, ": Connection timed out"));
    });
}

TEST_CASE("stream: one task reads and one writes at a time", "[io][SRD-14]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        const auto reader = aio::create_task(ends.first.read_line());
        const std::string sent = much();
        const auto writer = aio::create_task(ends.first.write(sent));
        co_await settle();
        std::string error = co_await error_of([&] { return ends.first.read(1); });
        CHECK(error == "read: another task waits for the same already; one at a time");
        error = co_await error_of([&] { return ends.first.write("x"); });
        CHECK(error == "write: another task waits for the same already; one at a time");
        writer.cancel();
        co_await aio::nothrow(writer);
        co_await ends.second.write("line\n");
        const std::string line = co_await reader;
        CHECK(line == "line\n");
    });
}

TEST_CASE("stream: destroyed while a task waits for it, it tells that task", "[io]") {
    on_each_poller([]() -> aio::task<> {
        std::optional<stream_pair> ends(std::in_place);
        const auto reader = aio::create_task(error_of([&] { return ends->first.read_line(); }));
        const std::string sent = much();
        const auto writer = aio::create_task(error_of([&] { return ends->first.write(sent); }));
        co_await settle();
        ends.reset();
        std::string error = co_await reader;
        CHECK(error == "read_line: destroyed while a task waited for it");
        error = co_await writer;
        CHECK(error == "write: destroyed while a task waited for it");
    });
}

TEST_CASE("stream: destroyed after the bytes of a read have come, before its task runs", "[io][SRD-15]") {
    for (const bool cancelled : {false, true}) {
        on_each_poller([&]() -> aio::task<> {
            stream_pair ends;
            const auto into = std::make_unique<char[]>(10);
            const auto reader = aio::create_task(
                error_of([&] { return ends.first.read_some(aio::mutable_byte_view(into.get(), 10)); }));
            co_await settle();
            co_await ends.second.write("abc");
            aio::detail::running_core().outside().descriptors.wait(0);
            ends.first = aio::stream();
            if (cancelled) CHECK(reader.cancel());
            const auto ended = co_await aio::nothrow(reader);
            CHECK(ended.cancelled() == cancelled);
            if (!cancelled) CHECK(ended.value() == "read_some: destroyed while a task waited for it");
        });
    }
}

TEST_CASE("stream: destroyed after a task that waits for it was cancelled, before that task runs", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const std::string sent = much();
        for (const bool writes : {false, true}) {
            std::optional<stream_pair> ends(std::in_place);
            auto body = [&]() -> aio::task<> {
                if (writes)
                    co_await ends->first.write(sent);
                else
                    co_await ends->first.read_line();
            };
            const auto task = aio::create_task(body());
            co_await settle();
            CHECK(task.cancel());
            ends.reset();
            const auto ended = co_await aio::nothrow(task);
            CHECK(ended.cancelled());
        }
    });
}

TEST_CASE("stream: what was never awaited may outlive it", "[io]") {
    on_each_poller([]() -> aio::task<> {
        std::optional<stream_pair> ends(std::in_place);
        const auto reading = ends->first.read_line();
        const auto writing = ends->second.write("x");
        const auto task = aio::create_task(ends->second.read_line());
        CHECK(task.cancel()); // before it begins
        ends.reset();
        const auto ended = co_await aio::nothrow(task);
        CHECK(ended.cancelled());
    });
}

TEST_CASE("stream: a task that reads is cancelled, and the stream destroyed before that task runs", "[io]") {
    on_each_poller([]() -> aio::task<> {
        std::optional<stream_pair> ends(std::in_place);
        const auto task = aio::create_task(ends->first.read_line());
        co_await settle();
        CHECK(task.cancel());
        ends.reset();
        const auto ended = co_await aio::nothrow(task);
        CHECK(ended.cancelled());
    });
}

TEST_CASE("stream: what a cancelled read has not given stays to be read", "[io][SRD-15][SRD-16]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        { // while it waits, with a part of it there
            co_await ends.second.write("abc");
            const auto reader = aio::create_task(ends.first.read_exactly(6));
            co_await settle();
            CHECK(reader.cancel());
            const auto ended = co_await aio::nothrow(reader);
            CHECK(ended.cancelled());
        }
        { // in the same iteration, after the bytes have come
            char buffer[10];
            const auto reader = aio::create_task(ends.first.read_some(buffer));
            co_await aio::yield();
            CHECK(reader.done()); // of what was read ahead
            const auto next = aio::create_task(ends.first.read_some(buffer));
            co_await settle();
            co_await ends.second.write("def");
            while (!ends.first.at_eof() && next.cancelling() == 0) {
                co_await aio::yield();
                next.cancel(); // before it runs
            }
            const auto ended = co_await aio::nothrow(next);
            CHECK(ended.cancelled());
            const std::string rest = co_await ends.first.read_exactly(3);
            CHECK(rest == "def");
        }
    });
}

TEST_CASE("stream: a cancelled write tells how much went out", "[io][SWR-8]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        const std::string sent = much();
        const auto writer = aio::create_task(ends.first.write(sent));
        co_await settle();
        CHECK(writer.cancel());
        const auto ended = co_await aio::nothrow(writer);
        CHECK(ended.cancelled());
        const std::uint64_t written = ends.first.bytes_written();
        co_await ends.first.aclose();
        const std::string got = co_await ends.second.read_all();
        CHECK(got.size() == written);
    });
}

TEST_CASE("stream: cancelled at every point, reads and writes leave a usable stream", "[io]") {
    for (const auto kind : {aio::poller_kind::epoll, aio::poller_kind::poll}) {
        const auto scenario = []() -> aio::task<> {
            stream_pair ends;
            const std::string sent(600'000, 'x');
            auto read = [&]() -> aio::task<std::size_t> {
                const std::string head = co_await ends.second.read_exactly(1000);
                char buffer[10'000];
                std::size_t count = head.size();
                while (count < sent.size()) count += co_await ends.second.read_some(buffer);
                co_return count;
            };
            auto write = [&]() -> aio::task<> { co_await ends.first.write(sent); };
            std::exception_ptr error;
            try {
                co_await aio::gather(read, write);
            } catch (const aio::cancelled_error&) {
                error = std::current_exception();
            }
            // Whatever was cancelled, the bytes that were sent are there, and none twice.
            co_await ends.first.aclose();
            if (error) {
                const std::string rest = co_await ends.second.read_all();
                CHECK(rest.size() <= ends.first.bytes_written());
                std::rethrow_exception(error);
            }
        };
        aio::testing::cancellation_plan plan;
        plan.options.virtual_time = false;
        plan.options.poller = kind;
        const audited afterwards;
        const auto report = aio::testing::for_each_cancellation(scenario, plan);
        CHECK(report.points > 5);
        CHECK(report.failed == 0);
    }
}

TEST_CASE("stream: after 128 reads or writes in a row that did not wait, the others have a turn", "[io]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        co_await ends.first.write(std::string(1000, 'x'));
        int turns = 0;
        bool over = false;
        auto other = [&]() -> aio::task<> {
            while (!over) {
                ++turns;
                co_await aio::yield();
            }
        };
        const auto task = aio::create_task(other);
        char byte[1];
        for (int i = 0; i < 1000; ++i) co_await ends.second.read_some(byte);
        CHECK(turns >= 7);
        CHECK(turns <= 9);
        turns = 0;
        for (int i = 0; i < 150; ++i) co_await ends.first.write("y"); // as many as there is room for
        CHECK(turns == 1);
        over = true;
        co_await task;
    });
}

TEST_CASE("stream: a reader of much that comes fast lets the others run in between", "[io][SWR-20]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        const std::string sent(8'000'000, 'x');
        int turns = 0;
        bool over = false;
        auto other = [&]() -> aio::task<> {
            while (!over) {
                ++turns;
                co_await aio::yield();
            }
        };
        const auto task = aio::create_task(other);
        const auto writer = aio::create_task(ends.first.write(sent));
        const std::string got = co_await ends.second.read_exactly(sent.size());
        CHECK(got.size() == sent.size());
        CHECK(turns >= 20);
        over = true;
        co_await task;
        co_await writer;
    });
}

TEST_CASE("stream: the end that comes together with data is seen after it", "[io]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        const auto reader = aio::create_task(ends.second.read_all());
        co_await settle(); // it waits, and knows that there is nothing
        co_await ends.first.write("last words");
        co_await ends.first.aclose();
        const std::string got = co_await reader;
        CHECK(got == "last words");
    });
}

TEST_CASE("stream: works on pipes, and a reader that is gone is an error and no signal", "[io]") {
    on_each_poller([]() -> aio::task<> {
        int ends[2];
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        aio::stream in = aio::stream::from_descriptor(ends[0], "the pipe");
        aio::stream out = aio::stream::from_descriptor(ends[1], "the pipe");
        const std::string sent = much();
        const auto writer = aio::create_task(out.write(sent));
        const std::string got = co_await in.read_exactly(sent.size());
        CHECK(got == sent);
        co_await writer;
        const auto reader = aio::create_task(in.read_all());
        co_await out.write("rest");
        co_await out.write_eof(); // all that a pipe can say
        const std::string rest = co_await reader;
        CHECK(rest == "rest");
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        out = aio::stream::from_descriptor(ends[1], "the pipe");
        ::close(ends[0]);
        const std::string error = co_await error_of([&] { return out.write("x"); });
        CHECK(error == "write to the pipe: Broken pipe");
    });
}

TEST_CASE("stream: survives its loop, and goes on in another one", "[io]") {
    const audited afterwards;
    stream_pair ends;
    for (int i = 0; i < 2; ++i) {
        auto abandoned = [&]() -> aio::task<> {
            aio::create_task(ends.first.read_line()); // is cancelled at the end
            co_await settle();
        };
        aio::run(abandoned);
    }
    auto meet = [&]() -> aio::task<> {
        const auto reader = aio::create_task(ends.first.read_line());
        co_await settle();
        co_await ends.second.write("hello\n");
        const std::string line = co_await reader;
        CHECK(line == "hello\n");
    };
    aio::run(meet);
    {
        aio::event_loop loop; // destroyed with a task that waits
        auto wait = [&]() -> aio::task<> { co_await ends.first.read_line(); };
        const auto waiting = loop.create_task(wait);
        auto look = [&]() -> aio::task<> { co_await settle(); };
        loop.run_until_complete(loop.create_task(look));
        loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
    }
    aio::run(meet);
}

TEST_CASE("stream: belongs to the loop in which it waited first", "[io]") {
    const audited afterwards;
    stream_pair ends;
    aio::event_loop first;
    first.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
    auto wait = [&]() -> aio::task<> { co_await ends.first.read_line(); };
    const auto waiting = first.create_task(wait);
    first.run_until_complete(first.create_task(settle()));
    auto write = [&]() -> aio::task<> {
        const std::string sent = much();
        const std::string error = co_await error_of([&] { return ends.first.write(sent); });
        CHECK(error == "stream or socket: it belongs to another event loop");
    };
    aio::run(write);
}

TEST_CASE("stream: send_file sends a part of a file, and tells how much there was", "[io]") {
    char name[] = "/tmp/asynchio-test-XXXXXX";
    const int file = ::mkstemp(name);
    REQUIRE(file >= 0);
    ::unlink(name);
    const std::string text = "0123456789" + std::string(3'000'000, 'z');
    REQUIRE(::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    for (const bool copies : {false, true}) {
        INFO(copies);
        on_each_poller([&]() -> aio::task<> {
            const changed_calls changed;
            if (copies)
                changed->sendfile = [](int, int, off_t*, std::size_t) {
                    errno = EINVAL;
                    return ssize_t(-1);
                };
            stream_pair ends;
            std::size_t sent = co_await ends.first.send_file(file, 3, 4);
            CHECK(sent == 4);
            std::string got = co_await ends.second.read_exactly(4);
            CHECK(got == "3456");
            const auto all = aio::create_task(ends.first.send_file(file, 0));
            got = co_await ends.second.read_exactly(text.size());
            CHECK(got == text);
            sent = co_await all;
            CHECK(sent == text.size());
            sent = co_await ends.first.send_file(file, text.size());
            CHECK(sent == 0);
            CHECK(::lseek(file, 0, SEEK_CUR) == static_cast<off_t>(text.size())); // as it was
        });
    }
    on_each_poller([&]() -> aio::task<> {
        stream_pair ends;
        int pipe[2];
        REQUIRE(::pipe2(pipe, O_CLOEXEC) == 0);
        std::string error = co_await error_of([&] { return ends.first.send_file(pipe[0], 0, 5); });
        CHECK(contains(error, "read the file that is sent to "));
        CHECK(contains(error, ": Illegal seek"));
        co_await ends.first.write("x"); // the stream is all right
        co_await ends.second.aclose();
        error = co_await error_of([&] { return ends.first.send_file(file, 0, 5); });
        CHECK(contains(error, "send a file to ")); // and no SIGPIPE
        ::close(pipe[0]);
        ::close(pipe[1]);
    });
    ::close(file);
}

TEST_CASE("stream: what nobody reads waits in the system, and holds up who writes", "[io][SRD-17][SWR-18]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        const std::string sent = much();
        auto write = [&]() -> aio::task<> { co_await ends.first.write(sent); };
        const auto writer = aio::create_task(write());
        const std::string start = co_await ends.second.read(10);
        CHECK(start == sent.substr(0, 10));
        co_await settle();
        const auto held_up_at = ends.first.bytes_written();
        CHECK(held_up_at < sent.size());
        co_await settle();
        CHECK(ends.first.bytes_written() == held_up_at);
        // More than any limit, in one call.
        const std::string rest = co_await ends.second.read_exactly(sent.size() - 10);
        CHECK(rest == sent.substr(10));
        co_await writer;
    });
}

TEST_CASE("stream: an empty write sends nothing", "[io][SWR-1][SRD-19]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        co_await ends.first.write("");
        co_await ends.first.write(std::vector<std::string>());
        co_await ends.first.write(texts("", ""));
        CHECK(ends.first.bytes_written() == 0);
        co_await ends.first.write(texts("", "x", ""));
        const std::string got = co_await ends.second.read(10);
        CHECK(got == "x");
    });
}

TEST_CASE("stream: destroyed while it is open, it closes", "[io][SWR-21]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        co_await ends.first.write("last");
        ends.first = aio::stream();
        const std::string got = co_await ends.second.read_all();
        CHECK(got == "last");
    });
}

TEST_CASE("stream: tells its addresses and its descriptor", "[io][SWR-23]") {
    stream_pair ends;
    CHECK(ends.first.native_handle() >= 0);
    CHECK(ends.first.local_address().family() == AF_UNIX);
    CHECK(ends.first.peer_address().to_string() == "unix socket");
    ends.first.abort();
    CHECK(ends.first.native_handle() == -1);
    CHECK_FALSE(ends.first.local_address());
}

TEST_CASE("stream: release gives the descriptor up, which neither is closed nor watched any more", "[io]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        const auto waiting =
            aio::create_task([&]() -> aio::task<std::string> { co_return co_await ends.first.read(1); });
        co_await settle();
        co_await ends.second.write("x");
        co_await waiting;
        CHECK(aio::get_running_loop().watched_descriptors() == 1);
        const int number = ends.first.native_handle();
        const int fd = ends.first.release();
        CHECK(fd == number);
        CHECK_FALSE(ends.first);
        CHECK(aio::get_running_loop().watched_descriptors() == 0);
        REQUIRE(::write(fd, "by hand\n", 8) == 8);
        const std::string line = co_await ends.second.read_line();
        CHECK(line == "by hand\n");
        aio::stream again = aio::stream::from_descriptor(fd); // owns it anew
        co_await again.write("again\n");
        const std::string second = co_await ends.second.read_line();
        CHECK(second == "again\n");
    });
}

TEST_CASE("stream: release refuses what would lose something, and the stream can be used on", "[io]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        co_await ends.first.write("line\nahead");
        const std::string line = co_await ends.second.read_line();
        CHECK(line == "line\n");
        CHECK(ends.second.buffered() == 5);
        const auto released = [](aio::stream& s) { return message_of([&] { static_cast<void>(s.release()); }); };
        CHECK(released(ends.second) ==
              "release: 5 bytes were read ahead and would be lost; read the buffered() ones first");
        const std::string ahead = co_await ends.second.read(ends.second.buffered());
        CHECK(ahead == "ahead");
        const auto reader =
            aio::create_task([&]() -> aio::task<std::string> { co_return co_await ends.second.read(9); });
        co_await settle();
        CHECK(released(ends.second) == "release: a task reads or writes");
        co_await ends.first.write("z");
        const std::string last = co_await reader;
        CHECK(last == "z");
        co_await ends.first.aclose();
        CHECK(released(ends.first) == "release: the stream is closed");
        const int fd = ends.second.release();
        CHECK(::close(fd) == 0);
        CHECK(released(ends.second) == "stream: it is empty, or was moved from");
        auto in_memory = aio::testing::stream_pair();
        CHECK(released(in_memory.first) == "release: the stream has no descriptor of its own");
        CHECK(in_memory.first);
    });
}

TEST_CASE("stream: a cancelled read does not keep from releasing, and a pipe that was ended has nothing to release",
          "[io]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        const auto reader =
            aio::create_task([&]() -> aio::task<std::string> { co_return co_await ends.second.read(9); });
        co_await settle();
        reader.cancel();
        const int fd = ends.second.release(); // before the task has run
        const auto ended = co_await aio::nothrow(reader);
        CHECK(ended.cancelled());
        CHECK(::close(fd) == 0);
        int both[2];
        REQUIRE(::pipe2(both, O_CLOEXEC) == 0);
        const aio::stream in = aio::stream::from_descriptor(both[0]);
        aio::stream out = aio::stream::from_descriptor(both[1]);
        co_await out.write_eof();
        CHECK(message_of([&] { static_cast<void>(out.release()); }) ==
              "release: the stream has no descriptor of its own");
    });
}

TEST_CASE("stream: a hundred thousand reads and writes", "[io]") {
    on_each_poller([]() -> aio::task<> {
        stream_pair ends;
        auto echo = [&]() -> aio::task<> {
            for (;;) {
                const std::string line = co_await ends.second.read_line();
                if (line.empty()) co_return;
                co_await ends.second.write(line);
            }
        };
        const auto server = aio::create_task(echo);
        for (int i = 0; i < 50'000; ++i) {
            const std::string line = std::to_string(i) + "\n";
            co_await ends.first.write(line);
            const std::string answer = co_await ends.first.read_line();
            if (answer != line) FAIL_CHECK("line " << i << " came back as " << answer);
        }
        co_await ends.first.write_eof();
        co_await server;
    });
}

TEST_CASE("stream: whatever the pieces, the bytes come out as they went in", "[io]") {
    const auto seed = std::random_device()();
    INFO("seed " << seed);
    on_each_poller([seed]() -> aio::task<> {
        std::mt19937 random(seed);
        stream_pair ends;
        std::string sent;
        for (int i = 0; i < 300'000; ++i) sent += static_cast<char>(random() % 12 == 0 ? '\n' : 'a' + random() % 26);
        auto write = [&]() -> aio::task<> {
            for (std::size_t at = 0; at < sent.size();) {
                const std::string piece = sent.substr(at, 1 + random() % 5000);
                at += piece.size();
                co_await ends.first.write(piece);
                if (random() % 4 == 0) co_await aio::yield();
            }
            co_await ends.first.write_eof();
        };
        const auto writer = aio::create_task(write);
        std::string got;
        char buffer[3000];
        while (!ends.second.at_eof()) {
            switch (random() % 4) {
            case 0: got += co_await ends.second.read_line(); break;
            case 1: got += co_await ends.second.read(1 + random() % 3000); break;
            case 2: {
                const std::size_t count = co_await ends.second.read_some(buffer);
                got.append(buffer, count);
                break;
            }
            default: try { got += co_await ends.second.read_exactly(random() % 2000);
                } catch (const aio::incomplete_read_error& e) {
                    got += e.partial();
                }
            }
        }
        CHECK(got == sent);
        co_await writer;
    });
}
