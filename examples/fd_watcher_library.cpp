// SPDX-License-Identifier: BSL-1.0

// fd_watcher calls a function while a descriptor is ready: for libraries that read and write their descriptors
// themselves, and only want to be told when. The library here stands for any of them.
//
//     c++ -std=c++20 -pthread -Iinclude examples/fd_watcher_library.cpp -o fd_watcher_library
//
// Run: ./fd_watcher_library
// Prints:
//   the library has sent: ping
//   the library has received: pong
//   it wants nothing more
//
// Read next: event_loop_by_hand.cpp

#include <asynchio.hpp>

#include <cstdlib>
#include <iostream>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

namespace aio = asynchio;

/// A library of somebody else: it says which descriptor it has and for what it waits, and go_on() never blocks.
class library {
public:
    explicit library(int fd) : fd_(fd) {}
    int fd() const { return fd_; }
    bool wants_to_read() const { return sent_ && !received_; }
    bool wants_to_write() const { return !sent_; }
    void go_on() {
        if (!sent_) {
            sent_ = ::write(fd_, "ping", 4) == 4;
            if (sent_) std::cout << "the library has sent: ping\n";
        } else {
            char text[4];
            received_ = ::read(fd_, text, sizeof text) == 4;
            if (received_) std::cout << "the library has received: " << std::string(text, 4) << '\n';
        }
    }

private:
    int fd_;
    bool sent_ = false;
    bool received_ = false;
};

aio::fd_events wanted(const library& l) {
    return (l.wants_to_read() ? aio::fd_events::readable : aio::fd_events::none) |
           (l.wants_to_write() ? aio::fd_events::writable : aio::fd_events::none);
}

aio::task<> drive(library& l) {
    aio::future<> finished;
    aio::fd_watcher watcher; // destroyed with this frame, also when the task is cancelled
    watcher = aio::fd_watcher(l.fd(), [&](aio::fd_events) {
        l.go_on();
        watcher.want(wanted(l));
        if (wanted(l) == aio::fd_events::none) finished.set_result();
    });
    watcher.want(wanted(l));
    co_await finished;
    std::cout << "it wants nothing more\n";
}

aio::task<> answer(aio::stream peer) {
    co_await peer.read_exactly(4);
    co_await peer.write("pong");
}

aio::task<> program() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) std::abort();
    library mine(ends[0]);
    co_await aio::gather(drive(mine), answer(aio::stream::from_descriptor(ends[1])));
    ::close(ends[0]);
}

int main() { aio::run(program()); }
