// SPDX-License-Identifier: BSL-1.0
#include <asynchio/loop/detail/poller.hpp>

// covers: loop/detail/watches.hpp poller_kind.hpp
#include <asynchio/loop/detail/watches.hpp>

#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include "support/message_of.hpp"
#include "support/virtual_run.hpp"

#include <chrono>
#include <fcntl.h>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace aio = asynchio;
using asynchio_tests::virtual_run;
using namespace std::chrono_literals;

namespace {

using aio::poller_kind;
using aio::detail::core_of;
using aio::detail::fd_watch;
using aio::detail::poller;

/// A pipe that is closed at the end.
class channel {
public:
    channel() {
        int ends[2];
        if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category());
        in = ends[0];
        out = ends[1];
    }
    channel(const channel&) = delete;
    channel& operator=(const channel&) = delete;
    ~channel() {
        close_in();
        close_out();
    }
    void write(std::string_view text) const {
        REQUIRE(::write(out, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    }
    std::string read() const {
        char buffer[64];
        const ssize_t got = ::read(in, buffer, sizeof buffer);
        return std::string(buffer, got > 0 ? static_cast<std::size_t>(got) : 0);
    }
    void close_in() {
        if (in >= 0) ::close(std::exchange(in, -1));
    }
    void close_out() {
        if (out >= 0) ::close(std::exchange(out, -1));
    }
    int in = -1;
    int out = -1;
};

struct watch : fd_watch {
    explicit watch(int descriptor) {
        fd = descriptor;
        ready = [](fd_watch& self, unsigned char what) noexcept {
            auto& w = static_cast<watch&>(self);
            w.seen.push_back(what);
            if (w.then) w.then();
        };
    }
    void want(poller& p, unsigned char what) { p.update(*this, std::exchange(wanted, what)); }
    std::vector<unsigned char> seen;
    std::function<void()> then;
};

constexpr unsigned char readable = fd_watch::readable;
constexpr unsigned char writable = fd_watch::writable;
using seen = std::vector<unsigned char>;

template<class F>
void with_each_poller(F f) {
    for (const poller_kind kind : {poller_kind::epoll, poller_kind::poll}) {
        INFO((kind == poller_kind::epoll ? "epoll" : "poll"));
        f(kind);
    }
}

aio::run_options polling_with(poller_kind kind) {
    aio::run_options options;
    options.virtual_time = true;
    options.poller = kind;
    return options;
}

} // namespace

TEST_CASE("poller: reports what is readable, in every wait while it lasts", "[LOOP-31][io]") {
    with_each_poller([](poller_kind kind) {
        const auto p = aio::detail::make_poller(kind);
        const channel c;
        watch w(c.in);
        w.want(*p, readable);
        p->wait(0);
        CHECK(w.seen.empty());
        c.write("x");
        p->wait(-1);
        p->wait(0);
        CHECK(w.seen == seen{readable, readable});
        CHECK(c.read() == "x");
        p->wait(0);
        CHECK(w.seen.size() == 2);
        w.want(*p, 0);
        c.write("y");
        p->wait(0);
        CHECK(w.seen.size() == 2);
    });
}

TEST_CASE("poller: reading and writing of one descriptor are told apart", "[LOOP-32][io]") {
    with_each_poller([](poller_kind kind) {
        const auto p = aio::detail::make_poller(kind);
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
        watch w(ends[0]);
        w.want(*p, writable);
        p->wait(0);
        CHECK(w.seen == seen{writable});
        w.want(*p, readable | writable);
        REQUIRE(::write(ends[1], "x", 1) == 1);
        p->wait(0);
        CHECK(w.seen == seen{writable, readable | writable});
        w.want(*p, readable);
        p->wait(0);
        CHECK(w.seen.back() == readable);
        w.want(*p, 0);
        ::close(ends[0]);
        ::close(ends[1]);
    });
}

TEST_CASE("poller: a hang-up wakes readers, a lost reader wakes writers", "[io]") {
    with_each_poller([](poller_kind kind) {
        const auto p = aio::detail::make_poller(kind);
        channel first;
        watch r(first.in);
        r.want(*p, readable);
        first.close_out();
        p->wait(-1);
        REQUIRE(r.seen.size() == 1);
        CHECK((r.seen[0] & readable) != 0);
        r.want(*p, 0);

        channel second;
        watch w(second.out);
        w.want(*p, writable);
        while (::write(second.out, "0123456789", 10) > 0) {}
        p->wait(0);
        CHECK(w.seen.empty()); // full
        second.close_in();
        p->wait(-1);
        REQUIRE(w.seen.size() == 1);
        CHECK((w.seen[0] & writable) != 0);
        w.want(*p, 0);
    });
}

TEST_CASE("poller: a watch that is removed by the call of another one in the same wait is not called",
          "[LOOP-33][io]") {
    with_each_poller([](poller_kind kind) {
        const auto p = aio::detail::make_poller(kind);
        const channel a;
        const channel b;
        auto first = std::make_unique<watch>(a.in);
        auto second = std::make_unique<watch>(b.in);
        first->want(*p, readable);
        second->want(*p, readable);
        a.write("x");
        b.write("x");
        int calls = 0;
        const auto removes = [&](std::unique_ptr<watch>& other) {
            return [&] {
                ++calls;
                if (other == nullptr) return;
                other->want(*p, 0);
                other.reset();
            };
        };
        first->then = removes(second);
        second->then = removes(first);
        p->wait(0);
        CHECK(calls == 1);
        CHECK((first == nullptr) != (second == nullptr));
        p->wait(0);
        CHECK(calls == 2);
        for (auto* each : {&first, &second})
            if (*each != nullptr) (*each)->want(*p, 0);
    });
}

TEST_CASE("poller: a watch may remove itself, and others may come, in a call", "[io]") {
    with_each_poller([](poller_kind kind) {
        const auto p = aio::detail::make_poller(kind);
        const channel a;
        const channel b;
        watch first(a.in);
        watch second(b.in);
        a.write("x");
        b.write("x");
        first.want(*p, readable);
        first.then = [&] {
            first.want(*p, 0);
            second.want(*p, readable);
        };
        p->wait(0);
        CHECK(first.seen == seen{readable});
        CHECK(second.seen.empty());
        p->wait(0);
        CHECK(first.seen == seen{readable});
        CHECK(second.seen == seen{readable});
        second.want(*p, 0);
    });
}

TEST_CASE("poller: more descriptors than one wait of epoll reports are all reported", "[io]") {
    with_each_poller([](poller_kind kind) {
        const auto p = aio::detail::make_poller(kind);
        std::vector<std::unique_ptr<channel>> channels;
        std::vector<std::unique_ptr<watch>> watches;
        for (int i = 0; i < 300; ++i) {
            channels.push_back(std::make_unique<channel>());
            watches.push_back(std::make_unique<watch>(channels.back()->in));
            watches.back()->want(*p, readable);
            channels.back()->write("x");
        }
        p->wait(0);
        p->wait(0);
        for (const auto& each : watches) CHECK_FALSE(each->seen.empty());
        for (const auto& each : watches) each->want(*p, 0);
    });
}

TEST_CASE("poller: waits no shorter than asked", "[LOOP-12][time][io]") {
    with_each_poller([](poller_kind kind) {
        const auto p = aio::detail::make_poller(kind);
        const channel c;
        watch w(c.in);
        w.want(*p, readable);
        const auto begin = std::chrono::steady_clock::now();
        p->wait(3'100'000);
        const auto took = std::chrono::steady_clock::now() - begin;
        CHECK(took >= 3100us);
        CHECK(took < 5s);
        w.want(*p, 0);
    });
}

TEST_CASE("poller: a time-out that the system call could not hold is cut", "[LOOP-12][io]") {
    with_each_poller([](poller_kind kind) {
        const auto p = aio::detail::make_poller(kind);
        const channel c;
        watch w(c.in);
        w.want(*p, readable);
        c.write("x");
        p->wait(aio::detail::far_future);
        CHECK(w.seen == seen{readable});
        w.want(*p, 0);
    });
}

TEST_CASE("add_reader: is called in each iteration in which there is something to read", "[LOOP-31][LOOP-2][io]") {
    with_each_poller([](poller_kind kind) {
        aio::event_loop loop(polling_with(kind));
        const channel c;
        int calls = 0;
        loop.add_reader(c.in, [&] { ++calls; });
        CHECK(aio::testing::run_until_idle(loop) == 0);
        c.write("x");
        for (int i = 0; i < 3; ++i) {
            loop.stop();
            loop.run_forever();
        }
        CHECK(calls == 3);
        CHECK(c.read() == "x");
        CHECK(aio::testing::run_until_idle(loop) == 0);
        CHECK(calls == 3);
    });
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("add_reader: a second one for the same descriptor replaces the first, at once", "[LOOP-31][io]") {
    with_each_poller([](poller_kind kind) {
        aio::event_loop loop(polling_with(kind));
        const channel c;
        std::string trace;
        auto alive = std::make_shared<int>(0);
        const std::weak_ptr<int> watched = alive;
        loop.add_reader(c.in, [&trace, a = std::move(alive)] { trace += 'a'; });
        loop.add_reader(c.in, [&] {
            trace += 'b';
            c.read();
        });
        CHECK(watched.expired());
        c.write("x");
        aio::testing::run_until_idle(loop);
        CHECK(trace == "b");
        CHECK(loop.watched_descriptors() == 1);
    });
}

TEST_CASE("add_reader: the first one, queued already, is not called once it was replaced", "[LOOP-31][LOOP-33][io]") {
    with_each_poller([](poller_kind kind) {
        aio::event_loop loop(polling_with(kind));
        const channel a;
        const channel b;
        std::string trace;
        const auto replace = [&](const channel& other) {
            return [&] {
                trace += '1';
                loop.remove_reader(a.in);
                loop.remove_reader(b.in);
                loop.add_reader(other.in, [&] {
                    trace += '2';
                    other.read();
                });
            };
        };
        loop.add_reader(a.in, replace(b));
        loop.add_reader(b.in, replace(a));
        a.write("x");
        b.write("x");
        aio::testing::run_until_idle(loop);
        CHECK(trace == "12");
    });
}

TEST_CASE("remove_reader: says whether there was one; reader and writer are independent", "[LOOP-32][io]") {
    with_each_poller([](poller_kind kind) {
        aio::event_loop loop(polling_with(kind));
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
        std::string trace;
        CHECK_FALSE(loop.remove_reader(ends[0]));
        CHECK_FALSE(loop.remove_writer(ends[0]));
        loop.add_reader(ends[0], [&] { trace += 'r'; });
        loop.add_writer(ends[0], [&] { trace += 'w'; });
        CHECK(loop.watched_descriptors() == 1);
        REQUIRE(::write(ends[1], "x", 1) == 1);
        loop.stop();
        loop.run_forever();
        CHECK(trace == "rw");
        CHECK(loop.remove_reader(ends[0]));
        CHECK_FALSE(loop.remove_reader(ends[0]));
        loop.stop();
        loop.run_forever();
        CHECK(trace == "rww");
        CHECK(loop.remove_writer(ends[0]));
        CHECK_FALSE(loop.remove_writer(ends[0]));
        CHECK(loop.watched_descriptors() == 0);
        CHECK(aio::testing::run_until_idle(loop) == 0);
        ::close(ends[0]);
        ::close(ends[1]);
    });
}

TEST_CASE("remove_reader: in the same iteration the call is dropped instead of made", "[LOOP-33][io]") {
    with_each_poller([](poller_kind kind) {
        aio::event_loop loop(polling_with(kind));
        const channel a;
        const channel b;
        int calls = 0;
        const auto once = [&] {
            ++calls;
            loop.remove_reader(a.in);
            loop.remove_reader(b.in);
        };
        loop.add_reader(a.in, once);
        loop.add_reader(b.in, once);
        a.write("x");
        b.write("x");
        aio::testing::run_until_idle(loop);
        CHECK(calls == 1);
    });
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("add_reader: stands behind what is ready and before timers", "[LOOP-5][LOOP-2][io]") {
    with_each_poller([](poller_kind kind) {
        aio::event_loop loop(polling_with(kind));
        const channel c;
        std::string trace;
        loop.call_later(0s, [&] { trace += 't'; });
        loop.add_reader(c.in, [&] {
            trace += 'r';
            loop.remove_reader(c.in);
        });
        c.write("x");
        loop.call_soon([&] { trace += 'c'; });
        aio::testing::run_until_idle(loop);
        CHECK(trace == "crt");
    });
}

TEST_CASE("add_reader: a busy loop still comes to its descriptors and timers", "[LOOP-4][time][io]") {
    with_each_poller([](poller_kind kind) {
        aio::run_options options;
        options.poller = kind;
        aio::event_loop loop(options);
        const channel c;
        int left = 2;
        const auto came = [&] {
            if (--left == 0) loop.stop();
        };
        loop.add_reader(c.in, [&] {
            loop.remove_reader(c.in);
            came();
        });
        loop.call_later(1ms, came);
        std::function<void()> again = [&] { loop.call_soon(again); };
        again();
        c.write("x");
        loop.run_forever();
        CHECK(left == 0);
    });
}

TEST_CASE("add_reader: an exception goes to the handler and the reader stays", "[LOOP-18][EXH-6][io]") {
    aio::event_loop loop(polling_with(poller_kind::automatic));
    const channel c;
    std::vector<std::string> reports;
    loop.set_exception_handler([&](aio::event_loop&, const aio::exception_context& context) {
        reports.push_back(aio::detail::describe(context.exception));
    });
    int calls = 0;
    loop.add_reader(c.in, [&] {
        if (++calls == 2) c.read();
        throw std::runtime_error("reader " + std::to_string(calls));
    });
    c.write("x");
    aio::testing::run_until_idle(loop);
    CHECK(reports == std::vector<std::string>{"reader 1", "reader 2"});
}

TEST_CASE("add_reader: descriptors may be closed before they are removed", "[LOOP-35][io]") {
    with_each_poller([](poller_kind kind) {
        aio::event_loop loop(polling_with(kind));
        channel c;
        int calls = 0;
        loop.add_reader(c.in, [&] { ++calls; });
        const int number = c.in;
        c.close_in();
        CHECK(loop.remove_reader(number));
        CHECK_FALSE(loop.remove_reader(number));
        CHECK(aio::testing::run_until_idle(loop) == 0);
        CHECK(calls == 0);
    });
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("add_reader: a descriptor may be closed and come again under its number", "[LOOP-35][io]") {
    with_each_poller([](poller_kind kind) {
        aio::event_loop loop(polling_with(kind));
        auto old = std::make_unique<channel>();
        std::string trace;
        const int number = old->in;
        loop.add_reader(number, [&] { trace += 'o'; });
        old.reset();
        const channel c;
        REQUIRE(c.in == number);
        loop.add_reader(c.in, [&] {
            trace += 'n';
            c.read();
        });
        c.write("x");
        loop.stop();
        loop.run_forever();
        CHECK(loop.remove_reader(c.in));
        loop.add_reader(c.in, [&] {
            trace += 'm';
            c.read();
        });
        c.write("x");
        loop.stop();
        loop.run_forever();
        CHECK(trace.back() == 'm');
    });
}

TEST_CASE("add_reader: a closed descriptor whose copy lives on does no harm", "[LOOP-35][io]") {
    with_each_poller([](poller_kind kind) {
        aio::event_loop loop(polling_with(kind));
        channel c;
        int calls = 0;
        loop.add_reader(c.in, [&] { ++calls; });
        const int copy = ::dup(c.in);
        const int number = c.in;
        c.close_in();
        CHECK(loop.remove_reader(number));
        c.write("x"); // epoll goes on reporting what stands behind the copy
        for (int i = 0; i < 3; ++i) {
            loop.stop();
            loop.run_forever();
        }
        CHECK(calls == 0);
        ::close(copy);
    });
    CHECK(aio::testing::audit().clean());
}

TEST_CASE("add_reader: what cannot be watched is refused, and nothing is left of it", "[io]") {
    aio::event_loop loop(polling_with(poller_kind::epoll));
    CHECK_THROWS_AS(loop.add_reader(-1, [] {}), std::invalid_argument);
    CHECK_THROWS_AS(loop.add_reader(0, std::function<void()>()), std::invalid_argument);
    channel c;
    const int number = c.in;
    c.close_in();
    CHECK_THROWS_AS(loop.add_reader(number, [] {}), std::system_error);
    CHECK(asynchio_tests::contains(asynchio_tests::message_of([&] { loop.add_reader(number, [] {}); }),
                                   std::to_string(number)));
    CHECK(loop.watched_descriptors() == 0);
    CHECK_FALSE(loop.remove_reader(number));
}

TEST_CASE("add_reader: a number far above all descriptors is refused, without memory for those below it", "[io]") {
    constexpr int number = std::numeric_limits<int>::max();
    for (const poller_kind kind : {poller_kind::epoll, poller_kind::poll}) {
        aio::event_loop loop(polling_with(kind));
        CHECK_THROWS_AS(loop.add_reader(number, [] {}), std::system_error);
        CHECK(asynchio_tests::contains(asynchio_tests::message_of([&] { loop.add_reader(number, [] {}); }),
                                       "watch descriptor " + std::to_string(number)));
        CHECK(loop.watched_descriptors() == 0);
        CHECK_FALSE(loop.remove_reader(number));
    }
}

TEST_CASE("add_reader: a closed loop takes none, and drops those it had", "[LOOP-28][LOOP-35][io]") {
    with_each_poller([](poller_kind kind) {
        const channel c;
        auto alive = std::make_shared<int>(0);
        const std::weak_ptr<int> watched = alive;
        aio::event_loop loop(polling_with(kind));
        loop.add_reader(c.in, [a = std::move(alive)] {});
        c.write("x");
        loop.close();
        CHECK(watched.expired());
        CHECK_THROWS_AS(loop.add_reader(c.in, [] {}), std::logic_error);
        CHECK_THROWS_AS(loop.add_writer(c.out, [] {}), std::logic_error);
    });
}

namespace {

struct edge : aio::detail::edge_watch {
    explicit edge(int descriptor) {
        fd = descriptor;
        ready = [](fd_watch& self, unsigned char what) noexcept {
            auto& each = static_cast<edge&>(static_cast<aio::detail::edge_watch&>(self));
            each.seen.push_back(what);
            if (each.then) each.then();
        };
    }
    std::vector<unsigned char> seen;
    std::function<void()> then;
};

constexpr unsigned char uneven = fd_watch::uneven;

/// Attached to `loop` until the end of the scope; wants to read.
class attached {
public:
    attached(aio::event_loop& loop, edge& e) : loop_(loop), edge_(e) {
        core_of(loop_).outside().attach(edge_);
        edge_.wanted = readable;
    }
    attached(const attached&) = delete;
    attached& operator=(const attached&) = delete;
    ~attached() { core_of(loop_).outside().descriptors.detach(edge_); }

private:
    aio::event_loop& loop_;
    edge& edge_;
};

void look(aio::event_loop& loop) { core_of(loop).outside().descriptors.wait(0); }

} // namespace

TEST_CASE("edge_watch: is told once that something is ready, and again when more comes", "[io]") {
    with_each_poller([](poller_kind kind) {
        aio::event_loop loop(polling_with(kind));
        const channel c;
        edge e(c.in);
        CHECK_FALSE(e.attached());
        {
            const attached here(loop, e);
            CHECK(e.attached());
            CHECK(loop.watched_descriptors() == 1);
            look(loop);
            CHECK(e.seen.empty());
            c.write("x");
            for (int i = 0; i < 3; ++i) look(loop);
            CHECK(e.seen == seen{readable});
            c.write("y"); // nothing was read meanwhile
            e.wanted = readable;
            for (int i = 0; i < 3; ++i) look(loop);
            CHECK(e.seen == seen{readable, readable});
        }
        CHECK_FALSE(e.attached());
        CHECK(loop.watched_descriptors() == 0);
        c.write("z");
        look(loop);
        CHECK(e.seen.size() == 2);
    });
}

TEST_CASE("edge_watch: attached when something is ready already, it is told", "[io]") {
    with_each_poller([](poller_kind kind) {
        aio::event_loop loop(polling_with(kind));
        const channel c;
        c.write("x");
        edge e(c.in);
        const attached here(loop, e);
        look(loop);
        CHECK(e.seen == seen{readable});
    });
}

TEST_CASE("edge_watch: is told of the end behind what is to be read, also of both at once", "[io]") {
    with_each_poller([](poller_kind kind) {
        aio::event_loop loop(polling_with(kind));
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
        edge e(ends[0]);
        const attached here(loop, e);
        REQUIRE(::write(ends[1], "x", 1) == 1);
        ::shutdown(ends[1], SHUT_WR);
        look(loop);
        REQUIRE(e.seen.size() == 1);
        CHECK((e.seen[0] & readable) != 0);
        CHECK((e.seen[0] & uneven) != 0);
        ::close(ends[1]);
        e.wanted = readable | writable;
        look(loop);
        CHECK(e.seen.size() == 2);
        for (int i = 0; i < 3; ++i) look(loop); // though it lasts
        CHECK(e.seen.size() == 2);
        core_of(loop).outside().descriptors.detach(e);
        ::close(ends[0]);
    });
}

TEST_CASE("edge_watch: with poll, what nobody wants is not asked for", "[io]") {
    aio::event_loop loop(polling_with(poller_kind::poll));
    const channel c;
    c.write("x");
    edge e(c.in);
    const attached here(loop, e);
    e.wanted = 0;
    look(loop);
    CHECK(e.seen.empty());
    e.wanted = writable; // which the start of a pipe never is
    look(loop);
    CHECK(e.seen.empty());
    e.wanted = readable;
    look(loop);
    CHECK(e.seen == seen{readable});
    CHECK(e.wanted == 0);
}

TEST_CASE("edge_watch: may leave, alone and with others, in a call", "[io]") {
    with_each_poller([](poller_kind kind) {
        aio::event_loop loop(polling_with(kind));
        const channel a;
        const channel b;
        auto first = std::make_unique<edge>(a.in);
        auto second = std::make_unique<edge>(b.in);
        int calls = 0;
        for (edge* each : {first.get(), second.get()}) {
            core_of(loop).outside().attach(*each);
            each->wanted = readable;
            each->then = [&] {
                ++calls;
                core_of(loop).outside().descriptors.detach(*first);
                core_of(loop).outside().descriptors.detach(*second);
            };
        }
        a.write("x");
        b.write("x");
        look(loop);
        CHECK(calls == 1);
        CHECK_FALSE(first->attached());
        first.reset();
        second.reset();
        look(loop);
        CHECK(loop.watched_descriptors() == 0);
    });
}

TEST_CASE("edge_watch: of a closed loop is free, and may go to another one", "[io]") {
    with_each_poller([](poller_kind kind) {
        const channel c;
        edge e(c.in);
        {
            aio::event_loop loop(polling_with(kind));
            core_of(loop).outside().attach(e);
            loop.close();
            CHECK_FALSE(e.attached());
            core_of(loop).outside().descriptors.detach(e); // does nothing
        }
        c.write("x");
        aio::event_loop other(polling_with(kind));
        const attached there(other, e);
        look(other);
        CHECK(e.seen == seen{readable});
    });
}

TEST_CASE("edge_watch: a descriptor that cannot be watched is refused, and nothing is left of it", "[io]") {
    aio::event_loop loop(polling_with(poller_kind::epoll));
    channel c;
    edge e(c.in);
    c.close_in();
    CHECK_THROWS_AS(core_of(loop).outside().attach(e), std::system_error);
    CHECK_FALSE(e.attached());
    CHECK(loop.watched_descriptors() == 0);
}

TEST_CASE("edge_watch: false alarms go to each that is attached, also when some leave meanwhile", "[io]") {
    with_each_poller([](poller_kind kind) {
        aio::event_loop loop(polling_with(kind));
        aio::detail::descriptor_watches& all = core_of(loop).outside().descriptors;
        all.notify_all(); // nobody
        const channel c[3];
        std::vector<std::unique_ptr<edge>> edges;
        for (const channel& each : c) {
            edges.push_back(std::make_unique<edge>(each.in));
            core_of(loop).outside().attach(*edges.back());
        }
        all.notify_all();
        for (const auto& each : edges) CHECK(each->seen == seen{readable | writable});
        edges[0]->then = [&] {
            for (const auto& each : edges) all.detach(*each);
        };
        all.notify_all();
        CHECK(edges[0]->seen.size() == 2);
        CHECK(edges[1]->seen.size() == 1);
        all.notify_all();
        CHECK(edges[0]->seen.size() == 2);
    });
}

// A descriptor that is closed under a watch, and its number used again

namespace {

/// The number of a descriptor that is closed under whoever watches it, and given to `next` then.
void reuse(channel& old, const channel& next) {
    const int number = std::exchange(old.in, -1);
    REQUIRE(::dup3(next.in, number, O_CLOEXEC) == number);
}

} // namespace

TEST_CASE("poller: a watch of a descriptor that was closed does not touch who has its number now", "[io]") {
    with_each_poller([](poller_kind kind) {
        for (const unsigned char what : {readable, writable}) { // removed at once, or in two steps
            const auto p = aio::detail::make_poller(kind);
            channel old;
            const channel next;
            const int number = old.in;
            watch before(number);
            before.want(*p, static_cast<unsigned char>(readable | writable));
            reuse(old, next);
            CHECK(p->stale(before));
            watch now(number);
            now.want(*p, readable);
            CHECK_FALSE(p->stale(now));
            if (what == writable) before.want(*p, writable);
            before.want(*p, 0);
            CHECK_FALSE(p->stale(now));
            next.write("x");
            p->wait(0);
            CHECK(now.seen == seen{readable});
            CHECK(before.seen.empty());
            now.want(*p, 0);
            ::close(number);
        }
    });
}

TEST_CASE("poller: a watch hears nothing of the descriptor that has its number now", "[io]") {
    with_each_poller([](poller_kind kind) {
        const auto p = aio::detail::make_poller(kind);
        channel old;
        const channel next;
        const int number = old.in;
        watch before(number);
        before.want(*p, readable);
        next.write("x");
        reuse(old, next);
        p->wait(0);
        CHECK(before.seen.empty());
        before.want(*p, 0);
        ::close(number);
    });
}

TEST_CASE("poller: a closed descriptor whose copy is ready does not keep the loop awake", "[time][io]") {
    with_each_poller([](poller_kind kind) {
        const auto p = aio::detail::make_poller(kind);
        channel old;
        const channel quiet;
        const int number = old.in;
        watch before(number);
        before.want(*p, readable);
        const int copy = ::dup(old.in);
        old.write("x");
        reuse(old, quiet);
        watch now(number);
        now.want(*p, readable);
        before.want(*p, 0);
        p->wait(0); // it may find out in this one
        const auto begin = std::chrono::steady_clock::now();
        p->wait(3'100'000);
        CHECK(std::chrono::steady_clock::now() - begin >= 3100us);
        CHECK(now.seen.empty());
        CHECK(before.seen.empty());
        quiet.write("y");
        p->wait(0);
        CHECK(now.seen == seen{readable});
        now.want(*p, 0);
        ::close(number);
        ::close(copy);
    });
}

TEST_CASE("poller: each refuses a second watch of a descriptor, and what never blocks", "[io]") {
    with_each_poller([](poller_kind kind) {
        const auto p = aio::detail::make_poller(kind);
        const auto error_of = [&](int fd) {
            watch w(fd);
            try {
                w.want(*p, readable);
            } catch (const std::system_error& e) {
                CHECK(asynchio_tests::contains(e.what(), "watch descriptor " + std::to_string(fd)));
                return e.code().value();
            }
            w.want(*p, 0);
            return 0;
        };
        const channel c;
        watch first(c.in);
        first.want(*p, readable);
        CHECK(error_of(c.in) == EEXIST);
        first.want(*p, 0);
        CHECK(error_of(c.in) == 0);
        for (const char* path : {"/proc/self/exe", "/", "/dev/null", "/dev/zero", "/dev/full"}) {
            INFO(path);
            const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
            REQUIRE(fd >= 0);
            CHECK(error_of(fd) == EPERM);
            ::close(fd);
            CHECK(error_of(fd) == EBADF);
        }
        const int mounts = ::open("/proc/self/mounts", O_RDONLY | O_CLOEXEC); // a file that can be waited for
        CHECK(error_of(mounts) == 0);
        ::close(mounts);
    });
}

TEST_CASE("add_reader: a reader of a closed descriptor ends when its number is watched again", "[io]") {
    with_each_poller([](poller_kind kind) {
        aio::event_loop loop(polling_with(kind));
        channel old;
        const channel next;
        const int number = old.in;
        std::string trace;
        loop.add_reader(number, [&] { trace += 'o'; });
        reuse(old, next);
        loop.add_writer(number, [&] { trace += 'w'; }); // the reading end of a pipe: never
        next.write("x");
        look(loop);
        CHECK(trace.empty());
        CHECK_FALSE(loop.remove_reader(number));
        CHECK(loop.remove_writer(number));
        ::close(number);
    });
}

TEST_CASE("edge_watch: one of a closed descriptor leaves without touching who has its number", "[io]") {
    with_each_poller([](poller_kind kind) {
        aio::event_loop loop(polling_with(kind));
        channel old;
        const channel next;
        const int number = old.in;
        edge before(number);
        core_of(loop).outside().attach(before);
        reuse(old, next);
        edge now(number);
        core_of(loop).outside().attach(now);
        core_of(loop).outside().descriptors.detach(before);
        next.write("x");
        look(loop);
        CHECK(now.seen == seen{readable});
        CHECK(before.seen.empty());
        core_of(loop).outside().descriptors.detach(now);
        ::close(number);
    });
}
