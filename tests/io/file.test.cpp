// SPDX-License-Identifier: BSL-1.0
#include <asynchio/io/file.hpp>

#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/message_of.hpp"
#include "support/net.hpp"
#include "support/operator_new.hpp"
#include "support/sanitized.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/core/read_errors.hpp>
#include <asynchio/io/detail/file_ring.hpp>
#include <asynchio/io/lines.hpp>
#include <asynchio/io/system_calls.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/faults.hpp>
#include <asynchio/testing/for_each_allocation_failure.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>
#include <asynchio/testing/for_each_errno.hpp>
#include <asynchio/testing/policies.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fcntl.h>
#include <filesystem>
#include <malloc.h>
#include <optional>
#include <stdexcept>
#include <string>
#include <sys/stat.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// The ways in which bytes are read: the system's own choice, or one that is forced.
enum class way { any, ring, worker };

/// Forces a way while it lives.
class forced {
public:
    explicit forced(way w) {
        if (w == way::any) return;
        calls_->preadv2 = [](int, const iovec*, int, off_t, int) -> ssize_t {
            errno = EOPNOTSUPP;
            return -1;
        };
        if (w == way::ring) return;
        calls_->io_uring_setup = [](unsigned, void*) {
            errno = ENOSYS;
            return -1;
        };
    }

private:
    changed_calls calls_;
};

/// A directory that goes with its files.
class directory {
public:
    directory() {
        std::string made = (std::filesystem::temp_directory_path() / "asynchio-XXXXXX").string();
        REQUIRE(::mkdtemp(made.data()) != nullptr);
        path_ = made;
    }
    directory(const directory&) = delete;
    directory& operator=(const directory&) = delete;
    ~directory() { std::filesystem::remove_all(path_); }
    std::string operator/(const char* name) const { return path_ + "/" + name; }

private:
    std::string path_;
};

/// Runs a test in each way.
template<class F>
void in_each_way(F body) {
    for (const way w : {way::any, way::ring, way::worker}) {
        INFO("way " << static_cast<int>(w));
        const forced by(w);
        const directory here;
        virtual_run([&]() -> aio::task<> { return body(here); });
    }
}

aio::task<aio::file> file_with(std::string path, std::string contents) {
    aio::file f = co_await aio::open_file(std::move(path), "w+");
    co_await f.write(contents);
    f.seek(0);
    co_return std::move(f);
}

aio::task<std::string> contents_of(std::string path) {
    aio::file f = co_await aio::open_file(std::move(path));
    co_return co_await f.read_all();
}

aio::task<std::size_t> read_at(aio::file& f, std::string& into, std::uint64_t offset) {
    co_return co_await f.read_at(into, offset);
}

std::string numbers(std::size_t size) {
    std::string made;
    while (made.size() < size) made += std::to_string(made.size()) + ' ';
    made.resize(size);
    return made;
}

/// Everything that a file can do.
aio::task<> use(std::string path) {
    aio::file f = co_await aio::open_file(path, "w+");
    co_await f.write("first line\n");
    co_await f.write_at("second line\n", 11);
    co_await f.sync();
    std::string some(6, '-');
    co_await f.read_at(some, 11);
    const std::uint64_t size = co_await f.size();
    co_await f.truncate(size - 1);
    f.seek(0);
    auto all = aio::lines(f);
    std::string joined;
    while (auto line = co_await all.next()) joined += *line;
    co_await f.aclose();
    if (some != "second" || size != 23 || joined != "first linesecond line")
        throw std::logic_error("the file has other contents: " + joined);
}

} // namespace

TEST_CASE("file: what is written is read, by each way", "[io]") {
    in_each_way([](const directory& here) -> aio::task<> {
        aio::file f = co_await aio::open_file(here / "f", "w+");
        CHECK(f.name() == here / "f");
        co_await f.write("hello ");
        co_await f.write("world");
        CHECK(f.position() == 11);
        co_await f.write_at("W", 6);
        CHECK(f.position() == 11);
        f.seek(6);
        const std::string world = co_await f.read(3);
        CHECK(world == "Wor");
        const std::string rest = co_await f.read_all();
        CHECK(rest == "ld");
        const std::string nothing = co_await f.read(5);
        CHECK(nothing.empty());
        std::string part(5, '-');
        std::size_t got = co_await f.read_at(part, 4);
        CHECK(got == 5);
        CHECK(part == "o Wor");
        got = co_await f.read_at(part, 9);
        CHECK(got == 2);
        CHECK(part == "ldWor");
        got = co_await f.read_at(part, 11);
        CHECK(got == 0);
        got = co_await f.read_at(part, 1'000'000);
        CHECK(got == 0);
        co_await f.write_at("!", 20);
        const std::uint64_t size = co_await f.size();
        CHECK(size == 21);
        f.seek(9);
        const std::string sparse = co_await f.read_all();
        CHECK(sparse == std::string("ld\0\0\0\0\0\0\0\0\0!", 12));
        co_await f.truncate(5);
        co_await f.sync();
        co_await f.aclose();
        const std::string cut = co_await contents_of(here / "f");
        CHECK(cut == "hello");
    });
}

TEST_CASE("file: large contents come back, also when each call is cut short", "[io]") {
    in_each_way([](const directory& here) -> aio::task<> {
        const std::string all = numbers(5'000'000);
        aio::file f = co_await file_with(here / "f", all);
        const std::string back = co_await f.read_all();
        CHECK((back == all));
        f.seek(1000);
        const std::string some = co_await f.read(3'000'000);
        CHECK((some == all.substr(1000, 3'000'000)));
        CHECK(f.position() == 3'001'000);
    });
    for (const bool worker : {false, true}) {
        const directory here;
        aio::testing::faults short_calls;
        short_calls.one_byte_at_a_time();
        short_calls.interrupt_everything();
        if (worker) short_calls.fail("io_uring_setup", EPERM);
        virtual_run([&]() -> aio::task<> {
            const std::string all = numbers(3000);
            aio::file f = co_await file_with(here / "f", all);
            const std::string back = co_await f.read_all();
            CHECK((back == all));
        });
    }
}

TEST_CASE("file: modes are those of Python", "[io]") {
    in_each_way([](const directory& here) -> aio::task<> {
        const std::string path = here / "f";
        {
            aio::file f = co_await aio::open_file(path, "x");
            co_await f.write("one");
            const std::string text = co_await text_of(f.read(1));
            CHECK(text == "read: \"" + path + "\" is open for writing only");
        }
        const std::string twice = co_await text_of(aio::open_file(path, "x"));
        CHECK(twice == "open \"" + path + "\": File exists");
        {
            aio::file f = co_await aio::open_file(path, "a");
            co_await f.write(" two");
            CHECK(f.position() == 7);
            const std::string text = co_await text_of(f.read_all());
            CHECK(contains(text, "writing only"));
            CHECK_THROWS_AS(f.write_at("x", 0), std::logic_error);
        }
        {
            aio::file f = co_await aio::open_file(path, "a+");
            f.seek(4);
            const std::string two = co_await f.read_all();
            CHECK(two == "two");
            f.seek(0);
            co_await f.write("!");
            CHECK(f.position() == 8);
        }
        {
            aio::file f = co_await aio::open_file(path, "r+");
            co_await f.write("ONE");
            const std::string rest = co_await f.read_all();
            CHECK(rest == " two!");
        }
        {
            aio::file f = co_await aio::open_file(path);
            const std::string text = co_await text_of(f.write("x"));
            CHECK(text == "write: \"" + path + "\" is open for reading only");
            CHECK_THROWS_AS(f.truncate(0), std::logic_error);
            const std::string all = co_await f.read_all();
            CHECK(all == "ONE two!");
        }
        {
            aio::file f = co_await aio::open_file(path, "w", 0600);
            const std::uint64_t size = co_await f.size();
            CHECK(size == 0);
        }
        struct stat status{};
        aio::file made = co_await aio::open_file(here / "g", "w", 0600);
        CHECK(::stat((here / "g").c_str(), &status) == 0);
        CHECK((status.st_mode & 0777) == 0600);
        CHECK((::fcntl(made.native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
        for (const char* wrong : {"", "+", "rw", "r++", "rb", "R", "r "}) {
            INFO(wrong);
            CHECK_THROWS_AS(aio::open_file(path, wrong), std::invalid_argument);
        }
        CHECK_THROWS_AS(aio::open_file(std::string("a\0b", 3)), std::invalid_argument);
    });
}

TEST_CASE("file: errors name the call and the file, by each way", "[io]") {
    in_each_way([](const directory& here) -> aio::task<> {
        const std::string missing = co_await text_of(aio::open_file(here / "missing"));
        CHECK(missing == "open \"" + (here / "missing") + "\": No such file or directory");
        const std::string folder = co_await text_of(aio::open_file(here / "."));
        CHECK(folder == "open \"" + (here / ".") + "\": Is a directory");
        REQUIRE(::mkfifo((here / "pipe").c_str(), 0600) == 0);
        const std::string pipe = co_await text_of(aio::open_file(here / "pipe"));
        CHECK(contains(pipe, "use stream::from_descriptor"));
        aio::file full = co_await aio::open_file("/dev/full", "r+");
        const std::string no_space = co_await text_of(full.write("x"));
        CHECK(no_space == "write \"/dev/full\": No space left on device");
        CHECK(full.position() == 0);
        const std::string zeros = co_await full.read(100);
        CHECK(zeros == std::string(100, '\0'));
        aio::file f = co_await file_with(here / "f", "x");
        const std::string far = co_await text_of(f.truncate(std::uint64_t(1) << 62));
        CHECK(far == "truncate \"" + (here / "f") + "\": File too large");
        CHECK_THROWS_AS(f.seek(~std::uint64_t(0)), std::invalid_argument);
        std::string byte(1, '-');
        CHECK_THROWS_AS(f.read_at(byte, ~std::uint64_t(0) >> 1), std::invalid_argument);
        const int fd = ::open((here / "f").c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        REQUIRE(::lseek(fd, 1, SEEK_SET) == 1);
        aio::file adopted = aio::file::from_descriptor(fd, "f");
        CHECK(adopted.position() == 1);
        CHECK_THROWS_AS(adopted.truncate(0), std::logic_error);
        const std::string rest = co_await adopted.read_all();
        CHECK(rest.empty());
        int ends[2];
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        CHECK_THROWS_AS(aio::file::from_descriptor(ends[0], "pipe"), std::invalid_argument);
        CHECK(::fcntl(ends[0], F_GETFD) == -1);
        ::close(ends[1]);
        CHECK_THROWS_AS(aio::file::from_descriptor(-1, "none"), std::system_error);
    });
}

TEST_CASE("file: a file that is closed, empty, or moved from says so", "[io]") {
    in_each_way([](const directory& here) -> aio::task<> {
        aio::file f = co_await file_with(here / "f", "text");
        CHECK(static_cast<bool>(f));
        co_await f.aclose();
        co_await f.aclose();
        CHECK(f.is_closed());
        std::string some(1, '-');
        CHECK_THROWS_AS(f.read_at(some, 0), std::logic_error);
        CHECK_THROWS_AS(f.write("x"), std::logic_error);
        CHECK_THROWS_AS(f.read(1), std::logic_error);
        CHECK_THROWS_AS(f.native_handle(), std::logic_error);
        CHECK(aio::file().is_closed());
        aio::file g = co_await aio::open_file(here / "f");
        aio::file h = std::move(g);
        CHECK_THROWS_AS(g.position(), std::logic_error);
        auto late = h.read(2);
        auto later = h.read_at(some, 0);
        co_await h.aclose();
        const std::string text = co_await text_of(std::move(late));
        CHECK(contains(text, "is closed"));
        const auto reads = [&]() -> aio::task<> { co_await std::move(later); };
        const std::string other = co_await text_of(reads());
        CHECK(contains(other, "is closed"));
    });
}

TEST_CASE("file: many tasks read and write at once, each at its place", "[io]") {
    in_each_way([](const directory& here) -> aio::task<> {
        const std::string all = numbers(400'000);
        aio::file f = co_await aio::open_file(here / "f", "w+");
        std::vector<aio::task<>> writes;
        for (std::size_t i = 0; i < 200; ++i)
            writes.push_back(f.write_at(std::string_view(all).substr(i * 2000, 2000), i * 2000));
        co_await aio::gather(std::move(writes));
        std::vector<std::string> parts(200, std::string(2000, '-'));
        std::vector<aio::task<std::size_t>> reads;
        for (std::size_t i = 0; i < 200; ++i) reads.push_back(read_at(f, parts[i], i * 2000));
        co_await aio::gather(std::move(reads));
        std::string joined;
        for (const std::string& each : parts) joined += each;
        CHECK((joined == all));
    });
}

TEST_CASE("file: the position belongs to one task at a time", "[io]") {
    const forced by(way::worker);
    const directory here;
    virtual_run([&]() -> aio::task<> {
        aio::file f = co_await file_with(here / "f", "some text");
        auto first = aio::create_task(f.read(4));
        co_await aio::yield();
        const std::string text = co_await text_of(f.read(4));
        CHECK(contains(text, "one at a time"));
        const std::string other = co_await text_of(f.write("x"));
        CHECK(contains(other, "one at a time"));
        const std::string some = co_await first;
        CHECK(some == "some");
        const std::string rest = co_await f.read_all();
        CHECK(rest == " text");
    });
}

TEST_CASE("file: reads that need not wait give other tasks a turn", "[io]") {
    const directory here;
    virtual_run([&]() -> aio::task<> {
        aio::file f = co_await file_with(here / "f", "x");
        int turns = 0;
        auto other = aio::create_task([](int& count) -> aio::task<> {
            for (;; ++count) co_await aio::yield();
        }(turns));
        std::string byte(1, '-');
        for (int i = 0; i < 1280; ++i) {
            const std::size_t one = co_await f.read_at(byte, 0);
            REQUIRE(one == 1);
        }
        CHECK(turns >= 9);
        other.cancel();
        co_await aio::nothrow(other);
    });
}

TEST_CASE("file: aclose waits for all calls of an operation", "[io]") {
    const directory here;
    aio::testing::faults one_by_one;
    one_by_one.one_byte_at_a_time();
    one_by_one.fail("io_uring_setup", ENOSYS);
    virtual_run([&]() -> aio::task<> {
        aio::file f = co_await aio::open_file(here / "f", "w");
        auto writing = aio::create_task(f.write_at("some text", 0));
        co_await aio::yield();
        co_await f.aclose();
        const aio::file other = co_await aio::open_file(here / "other", "w"); // gets the number of the descriptor
        co_await writing;
        const std::string text = co_await contents_of(here / "f");
        CHECK(text == "some text");
    });
}

TEST_CASE("file: aclose tells what the system could not write", "[io]") {
    const directory here;
    aio::testing::faults faulty;
    virtual_run([&]() -> aio::task<> {
        aio::file f = co_await file_with(here / "f", "text");
        faulty.fail("close", EDQUOT);
        const std::string text = co_await text_of(f.aclose());
        CHECK(text == "close \"" + (here / "f") + "\": Disk quota exceeded");
        CHECK(f.is_closed());
    });
}

TEST_CASE("file: no more system calls than are needed", "[io]") {
    const directory here;
    aio::testing::faults counted;
    virtual_run([&]() -> aio::task<> {
        aio::file f = co_await file_with(here / "f", "text");
        const std::size_t before = counted.count("preadv2");
        const std::size_t others = counted.count("io_uring_enter") + counted.count("pread");
        std::string into(4, '-');
        co_await f.read_at(into, 0);
        CHECK(counted.count("preadv2") == before + 1);
        into.resize(10);
        co_await f.read_at(into, 0);
        CHECK(counted.count("preadv2") == before + 3);
        CHECK(counted.count("io_uring_enter") + counted.count("pread") == others);
        counted.fail("preadv2", EOPNOTSUPP, aio::testing::faults::always);
        for (int i = 0; i < 5; ++i) co_await f.read_at(into, 0);
        CHECK(counted.count("preadv2") == before + 4);
    });
}

TEST_CASE("file: virtual time stands still meanwhile, and a deadlock is seen afterwards", "[io]") {
    for (const way w : {way::any, way::ring, way::worker}) {
        INFO("way " << static_cast<int>(w));
        const forced by(w);
        const directory here;
        const auto program = [&]() -> aio::task<> {
            auto sleeper = aio::create_task(aio::sleep(1h));
            const auto begin = aio::get_running_loop().time();
            const std::string written(3'000'000, 'w');
            aio::file f = co_await aio::open_file(here / "f", "w+");
            co_await f.write(written);
            co_await f.sync();
            CHECK(aio::get_running_loop().time() == begin);
            sleeper.cancel();
            co_await aio::nothrow(sleeper);
            co_await aio::future<>();
        };
        CHECK_THROWS_AS(aio::run(program(), aio::testing::virtual_clock()), aio::deadlock_error);
    }
}

TEST_CASE("file: aclose waits for the operations under way, and the destructor leaves them the file", "[io]") {
    in_each_way([](const directory& here) -> aio::task<> {
        std::string written(3'000'000, 'w');
        for (const bool closes : {true, false}) {
            std::optional<aio::file> f(co_await aio::open_file(here / "f", "w+"));
            const int fd = f->native_handle();
            auto writing = aio::create_task(f->write_at(written, 0));
            co_await aio::yield();
            if (closes)
                co_await f->aclose();
            else
                f.reset();
            co_await writing;
            CHECK(::fcntl(fd, F_GETFD) == -1);
            const std::string back = co_await contents_of(here / "f");
            CHECK((back == written));
        }
        std::optional<aio::file> f(co_await aio::open_file(here / "f", "w+"));
        const int fd = f->native_handle();
        auto writing = aio::create_task(f->write_at(written, 0));
        co_await aio::yield();
        auto closing = aio::create_task(f->aclose());
        co_await aio::yield();
        closing.cancel();
        co_await aio::nothrow(closing);
        co_await writing;
        CHECK(f->is_closed());
        co_await aio::yield();
        CHECK(::fcntl(fd, F_GETFD) == -1);
    });
}

TEST_CASE("file: a loop that is closed ends the operations under way", "[io]") {
    for (const way w : {way::any, way::ring, way::worker}) {
        INFO("way " << static_cast<int>(w));
        const forced by(w);
        const directory here;
        const audited nothing_left;
        const std::string written(3'000'000, 'w');
        aio::file f;
        {
            aio::event_loop loop;
            loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
            loop.run_until_complete([](aio::file& opened, std::string path) -> aio::task<> {
                opened = co_await aio::open_file(std::move(path), "w+");
            }(f, here / "f"));
            loop.create_task(f.write_at(written, 0));
            loop.run_ready();
            loop.create_task(f.aclose());
            loop.run_ready();
        }
        CHECK(f.is_closed());
    }
}

TEST_CASE("file: an operation of the ring is given up by the kernel when it is cancelled", "[io]") {
    const auto waits = [](aio::detail::file_ring& ring, int fd, char& byte) -> aio::task<> {
        aio::detail::ring_submission what;
        what.opcode = aio::detail::file_ring::read;
        what.fd = fd;
        what.address = reinterpret_cast<std::uintptr_t>(&byte);
        what.size = 1;
        what.offset = ~std::uint64_t(0);
        const aio::io_result got = co_await aio::detail::ring_operation(ring, what);
        CHECK(got.count == 1);
    };
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    char byte = 0;
    aio::run([&]() -> aio::task<> {
        auto* const ring = aio::detail::file_ring::of(aio::detail::running_core());
        if (ring == nullptr) {
            WARN("skipped: the system has no io_uring");
            co_return;
        }
        auto reading = aio::create_task(waits(*ring, ends[0], byte));
        co_await settle();
        CHECK(!reading.done());
        reading.cancel();
        co_await aio::nothrow(reading);
        CHECK(reading.cancelled());
        REQUIRE(::write(ends[1], "x", 1) == 1);
        CHECK(byte == 0);
        co_await waits(*ring, ends[0], byte);
        CHECK(byte == 'x');
        auto later = aio::create_task(waits(*ring, ends[0], byte));
        co_await settle();
        REQUIRE(::write(ends[1], "y", 1) == 1);
        co_await later;
        CHECK(byte == 'y');
    }());
    {
        aio::event_loop loop;
        loop.set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
        loop.call_soon([&] {
            if (auto* const ring = aio::detail::file_ring::of(aio::detail::running_core()))
                aio::create_task(waits(*ring, ends[0], byte));
        });
        for (int i = 0; i < 5; ++i) loop.run_ready();
    } // closes the loop while the kernel has the address of `byte`
    REQUIRE(::write(ends[1], "z", 1) == 1);
    CHECK(byte == 'y');
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST_CASE("file: a child process does not touch the ring of its parent", "[io]") {
    if (thread_sanitized) return;
    const forced by(way::ring);
    const directory here;
    virtual_run([&]() -> aio::task<> {
        aio::file f = co_await file_with(here / "f", "text");
        const std::string before = co_await f.read(2);
        CHECK(before == "te");
        const pid_t child = ::fork();
        if (child == 0) {
            const std::string there = co_await f.read_all();
            const bool alone = aio::detail::file_ring::of(aio::detail::running_core()) == nullptr;
            ::_exit(there == "xt" && alone ? 0 : 1);
        }
        int status = -1;
        REQUIRE(::waitpid(child, &status, 0) == child);
        CHECK(status == 0);
        const std::string after = co_await f.read_all();
        CHECK(after == "xt");
    });
}

TEST_CASE("file: lines keep the position, and one that is too long is refused", "[io]") {
    in_each_way([](const directory& here) -> aio::task<> {
        std::string text = "one\n\nthree\r\n" + std::string(100'000, 'x') + "\nlast";
        aio::file f = co_await file_with(here / "f", text);
        auto all = aio::lines(f, 200'000);
        std::vector<std::string> found;
        std::vector<std::uint64_t> positions;
        while (auto line = co_await all.next()) {
            found.push_back(*line);
            positions.push_back(f.position());
        }
        CHECK(found == std::vector<std::string>{"one", "", "three\r", std::string(100'000, 'x'), "last"});
        CHECK(positions == std::vector<std::uint64_t>{4, 5, 12, 100'013, 100'017});
        f.seek(5);
        auto limited = aio::lines(std::move(f));
        const auto three = co_await limited.next();
        CHECK(three == "three\r");
        CHECK(f.is_closed());
        const auto too_long = [&]() -> aio::task<> { co_await limited.next(); };
        const auto ended = co_await aio::nothrow(too_long());
        CHECK_THROWS_AS(ended.rethrow(), aio::limit_overrun_error);
        aio::file exact = co_await file_with(here / "g", "12345\n1234567");
        auto five = aio::lines(exact, 6);
        const auto fits = co_await five.next();
        CHECK(fits == "12345");
        const auto seven = [&]() -> aio::task<> { co_await five.next(); };
        const auto refused = co_await aio::nothrow(seven());
        CHECK_THROWS_AS(refused.rethrow(), aio::limit_overrun_error);
        aio::file empty = co_await file_with(here / "h", "");
        auto none = aio::lines(empty);
        const auto nothing = co_await none.next();
        CHECK(!nothing);
    });
}

TEST_CASE("file: a cancellation at every step, an error of every call, and no memory", "[io]") {
    for (const way w : {way::any, way::ring, way::worker}) {
        INFO("way " << static_cast<int>(w));
        const forced by(w);
        const directory here;
        const auto scenario = [path = here / "f"] { return use(path); };
        const auto met = aio::testing::for_each_cancellation(scenario);
        CHECK(met.points > 5);
        CHECK(met.failed == 0);
        aio::run_options by_poll;
        by_poll.poller = aio::poller_kind::poll;
        aio::run(scenario(), by_poll);
        const auto errors = aio::testing::for_each_errno(scenario);
        CHECK(errors.points > 5);
        CHECK(errors.failed > 5);
        for (const bool all_later : {false, true}) {
            aio::testing::allocation_plan plan;
            plan.all_later = all_later;
            const auto starved = aio::testing::for_each_allocation_failure(scenario, plan);
            CHECK(starved.points > 10);
            for (const std::exception_ptr& each : starved.errors)
                CHECK_THROWS_AS(std::rethrow_exception(each), std::bad_alloc);
        }
    }
}

TEST_CASE("file: a cancelled read leaves the position where it was", "[io]") {
    const forced by(way::worker);
    const directory here;
    virtual_run([&]() -> aio::task<> {
        aio::file f = co_await file_with(here / "f", numbers(1'000'000));
        f.seek(7);
        auto reading = aio::create_task(f.read_all());
        co_await aio::yield();
        reading.cancel();
        co_await aio::nothrow(reading);
        CHECK(reading.cancelled());
        CHECK(f.position() == 7);
        const std::string again = co_await f.read(10);
        CHECK(again == numbers(17).substr(7));
    });
}

TEST_CASE("file: ten thousand operations leave memory and descriptors as they were", "[io][stress]") {
    in_each_way([](const directory& here) -> aio::task<> {
        const auto rounds = [&](int count) -> aio::task<> {
            for (int i = 0; i < count; ++i) {
                aio::file f = co_await aio::open_file(here / "f", "w+");
                co_await f.write("some text");
                std::string back(9, '-');
                co_await f.read_at(back, 0);
                REQUIRE(back == "some text");
                if (i % 2 == 0) co_await f.aclose();
            }
        };
        co_await rounds(200);
        const std::size_t open = open_descriptors();
        const auto used = ::mallinfo2().uordblks;
        co_await rounds(3000);
        CHECK(open_descriptors() == open);
        CHECK(::mallinfo2().uordblks < used + 50'000);
    });
}
