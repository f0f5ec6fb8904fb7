// SPDX-License-Identifier: BSL-1.0
// Bytes from one end to another in memory.
#include "statements.hpp"

#include <string_view>

namespace oracle {

namespace {

constexpr std::size_t limit = 8;

std::string_view payload(const std::string& name) {
    if (name == "one") return "a";
    if (name == "two") return "bb";
    if (name == "line") return "ab\n";
    if (name == "lines") return "c\ndd\n";
    if (name == "part") return "x;y";
    return "0123456789";
}

aio::task<> write(world& w, const node& s) {
    co_await w.streams[s.argument(0).place()].writer().write(payload(s.argument(1).word));
    w.tell(s, "written");
}

/// One that reads: CPython allows one at a time, too, but notices others only when they have to wait.
class reader {
public:
    explicit reader(world::stream_ends& ends) : reading_(ends.reading) { reading_ = true; }
    reader(const reader&) = delete;
    reader& operator=(const reader&) = delete;
    ~reader() { reading_ = false; }

private:
    bool& reading_;
};

template<class Make>
aio::task<> reading(world& w, const node& s, Make make) {
    world::stream_ends& ends = w.streams[s.argument(0).place()];
    if (ends.reading || ends.reader().is_closed()) co_return w.tell(s, ends.reading ? "busy" : "closed");
    const reader only(ends);
    std::string data = co_await make(ends.reader());
    for (char& each : data)
        if (each == '\n') each = '$';
    w.tell(s, "read '" + data + "'");
}

aio::task<> read(world& w, const node& s) {
    return reading(w, s, [](aio::stream& end) { return end.read(1); });
}
aio::task<> read_exactly(world& w, const node& s) {
    const std::size_t count = s.argument(1).place();
    return reading(w, s, [count](aio::stream& end) { return end.read_exactly(count); });
}
aio::task<> read_line(world& w, const node& s) {
    return reading(w, s, [](aio::stream& end) { return end.read_line(limit); });
}
aio::task<> read_until(world& w, const node& s) {
    return reading(w, s, [](aio::stream& end) { return end.read_until(";", limit); });
}
aio::task<> read_all(world& w, const node& s) {
    return reading(w, s, [](aio::stream& end) { return end.read_all(); });
}

/// What does not suspend, but is an awaitable.
template<class Awaiter>
void now(Awaiter awaiter) {
    if (!awaiter.await_ready()) throw std::runtime_error("it suspends");
    awaiter.await_resume();
}

} // namespace

const plain_statements& stream_calls() {
    static const plain_statements all{
        {"write_eof",
         [](world& w, const node& s) {
             now(w.streams[s.argument(0).place()].writer().write_eof());
             w.tell(s, "ended");
         }},
        {"close_writer",
         [](world& w, const node& s) {
             now(w.streams[s.argument(0).place()].writer().aclose());
             w.tell(s, "closed");
         }},
        {"close_reader",
         [](world& w, const node& s) {
             now(w.streams[s.argument(0).place()].reader().aclose());
             w.tell(s, "closed");
         }},
    };
    return all;
}
const waiting_statements& stream_waits() {
    static const waiting_statements all{
        {"write", write},           {"read", read},         {"read_exactly", read_exactly}, {"read_line", read_line},
        {"read_until", read_until}, {"read_all", read_all},
    };
    return all;
}

} // namespace oracle
