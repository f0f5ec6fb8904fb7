// SPDX-License-Identifier: BSL-1.0

// Limit overruns: read_until keeps the data, read_line drops it; the limit does not count the delimiter; incomplete
// reads give the partial data.

#include <asynchio.hpp>

#include "support/python.hpp"

#include <fcntl.h>
#include <string>
#include <string_view>
#include <unistd.h>

namespace aio = asynchio;
using python::print;

std::string stripped(std::string line) {
    while (!line.empty() && line.back() == '\n') line.pop_back();
    return line;
}

aio::task<> amain() {
    constexpr std::size_t limit = 5;
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    aio::stream r = aio::stream::from_descriptor(ends[0]);
    aio::stream feed = aio::stream::from_descriptor(ends[1]);
    co_await feed.write("12345\nabcdefgh\nok\n");
    std::string got = co_await r.read_until("\n", limit);
    print("exact limit", stripped(got));
    try {
        co_await r.read_until("\n", limit);
    } catch (const aio::limit_overrun_error& e) {
        print("LimitOverrunError consumed", e.consumed());
    }
    try {
        co_await r.read_line(limit);
    } catch (const aio::limit_overrun_error&) {
        print("ValueError: line too long, dropped");
    }
    got = co_await r.read_line(limit);
    print("next", stripped(got));
    co_await feed.write("no newline at all");
    try {
        co_await r.read_until("\n", limit);
    } catch (const aio::limit_overrun_error& e) {
        print("LimitOverrunError consumed", e.consumed());
    }
    got = co_await r.read_exactly(17);
    print("readexactly ignores the limit:", got);
    co_await feed.write("abc");
    co_await feed.write_eof();
    try {
        co_await r.read_until("\n", limit);
    } catch (const aio::incomplete_read_error& e) {
        print("IncompleteReadError partial", e.partial());
    }
    got = co_await r.read_all();
    print("read at EOF:", got.empty(), "at_eof:", r.at_eof());
    try {
        co_await r.read_line(0); // there are no negative sizes
    } catch (const std::invalid_argument&) {
        print("ValueError: negative size");
    }
}

int main() { aio::run(amain()); }
