// SPDX-License-Identifier: BSL-1.0

// files JOB WAY OPERATIONS: reads of 4 KiB at scattered places of a file of 64 MiB. cached: it is in the page cache; cold:
// it is not, and 32 reads are under way at once (but for pread and ifstream, which are one).

#include "neighbours/timed.hpp"

#include <asynchio.hpp>

#include <array>
#include <cstdint>
#include <fcntl.h>
#include <fstream>
#include <span>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace aio = asynchio;

namespace {

constexpr std::size_t block = 4096;
constexpr std::size_t blocks = 16'384;
constexpr std::size_t at_once = 32;
constexpr const char* path = "asynchio-bench-files.data";

using page = std::array<std::uint64_t, block / 8>;

std::size_t place(std::size_t i) { return i * 7919 % blocks; }

void check(const page& read, std::size_t i) {
    neighbours::expect(read[0] == place(i) && read[511] == place(i), "a block");
}

void make_file() {
    std::ofstream out(path, std::ios::binary);
    page filled;
    for (std::size_t i = 0; i < blocks; ++i) {
        filled.fill(i);
        out.write(reinterpret_cast<const char*>(filled.data()), block);
    }
    out.flush();
    neighbours::expect(out.good(), "the file");
}

void read_by_pread(int fd, std::size_t from, std::size_t until, std::size_t step) {
    page into;
    for (std::size_t i = from; i < until; i += step) {
        neighbours::expect(::pread(fd, into.data(), block, static_cast<off_t>(place(i) * block)) == ssize_t(block),
                           "pread");
        check(into, i);
    }
}

void read_by_ifstream(std::size_t count) {
    std::ifstream in(path, std::ios::binary);
    page into;
    for (std::size_t i = 0; i < count; ++i) {
        in.seekg(static_cast<std::streamoff>(place(i) * block));
        in.read(reinterpret_cast<char*>(into.data()), block);
        check(into, i);
    }
}

void read_by_threads(int fd, std::size_t count) {
    std::vector<std::thread> all;
    for (std::size_t t = 0; t < at_once; ++t) all.emplace_back([=] { read_by_pread(fd, t, count, at_once); });
    for (std::thread& each : all) each.join();
}

aio::task<> read_by_file(aio::file& from, std::size_t first, std::size_t until, std::size_t step) {
    page into;
    for (std::size_t i = first; i < until; i += step) {
        const std::size_t got = co_await from.read_at(std::as_writable_bytes(std::span(into)), place(i) * block);
        neighbours::expect(got == block, "read_at");
        check(into, i);
    }
}

aio::task<> read_by_to_thread(int fd, std::size_t first, std::size_t until, std::size_t step) {
    page into;
    for (std::size_t i = first; i < until; i += step) {
        const auto read = [&into, fd, i] {
            return ::pread(fd, into.data(), block, static_cast<off_t>(place(i) * block));
        };
        const ssize_t got = co_await aio::to_thread(read);
        neighbours::expect(got == ssize_t(block), "to_thread");
        check(into, i);
    }
}

aio::task<> read_in_loop(std::string way, int fd, std::size_t count, std::size_t tasks) {
    if (way == "to_thread") aio::set_default_pool(at_once);
    aio::file opened = co_await aio::open_file(path);
    std::vector<aio::task<>> all;
    for (std::size_t t = 0; t < tasks; ++t)
        all.push_back(way == "to_thread" ? read_by_to_thread(fd, t, count, tasks)
                                         : read_by_file(opened, t, count, tasks));
    co_await aio::gather(std::move(all));
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    const bool cold = std::string(argv[1]) == "cold";
    const std::string way = argv[2];
    const std::size_t count = std::strtoul(argv[3], nullptr, 10);
    make_file();
    const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
    if (cold) {
        ::posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
        ::fsync(fd);
        ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    }
    neighbours::timed(count, [&] {
        if (way == "pread")
            read_by_pread(fd, 0, count, 1);
        else if (way == "ifstream")
            read_by_ifstream(count);
        else if (way == "threads")
            read_by_threads(fd, count);
        else
            aio::run(read_in_loop(way, fd, count, cold ? at_once : 1));
    });
    ::close(fd);
    ::unlink(path);
}
