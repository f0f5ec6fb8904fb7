// SPDX-License-Identifier: BSL-1.0
#include <asynchio/testing/faults.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/net.hpp"

#include <asynchio/io/open_connection.hpp>
#include <asynchio/io/resolve.hpp>
#include <asynchio/io/server.hpp>
#include <asynchio/task/run.hpp>

#include <cerrno>
#include <netdb.h>
#include <string>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using aio::testing::faults;

TEST_CASE("faults: one at a time, and calls have their names") {
    faults first;
    CHECK(message_of([] { faults second; }) == "faults: there are some already; one at a time");
    CHECK(message_of([&] { first.fail("munmap", ENOMEM); }) == "faults: module io makes no call named 'munmap'");
    CHECK(message_of([&] { static_cast<void>(first.count("munmap")); }) ==
          "faults: module io makes no call named 'munmap'");
}

TEST_CASE("faults: know every call of the table") {
    // The table holds nothing but calls and a flag: as many words as names.
    faults faulty;
    std::size_t known = 0;
    for (const char* each : {"socket",
                             "bind",
                             "listen",
                             "connect",
                             "accept4",
                             "getsockopt",
                             "setsockopt",
                             "getsockname",
                             "getpeername",
                             "recv",
                             "recvmsg",
                             "send",
                             "sendmsg",
                             "read",
                             "writev",
                             "pipe2",
                             "open",
                             "pread",
                             "pwrite",
                             "lseek",
                             "fsync",
                             "ftruncate",
                             "preadv2",
                             "mmap",
                             "io_uring_setup",
                             "io_uring_enter",
                             "close",
                             "fork",
                             "waitid",
                             "kill",
                             "shutdown",
                             "posix_spawnp",
                             "getaddrinfo",
                             "sendfile",
                             "pidfd_open",
                             "pidfd_send_signal",
                             "fcntl",
                             "fstat",
                             "stat",
                             "unlink",
                             "chmod",
                             "getcwd",
                             "if_nametoindex",
                             "posix_spawn_file_actions_init",
                             "posix_spawn_file_actions_addopen",
                             "posix_spawn_file_actions_adddup2",
                             "posix_spawn_file_actions_addchdir_np",
                             "posix_spawn_file_actions_addclosefrom_np",
                             "posix_spawnattr_init",
                             "posix_spawnattr_setsigmask",
                             "posix_spawnattr_setsigdefault",
                             "posix_spawnattr_setpgroup",
                             "posix_spawnattr_setflags"}) {
        CHECK(faulty.count(each) == 0);
        ++known;
    }
    CHECK(sizeof(aio::detail::system_calls) == (known + 1) * sizeof(void*));
}

TEST_CASE("faults: a call fails as often as it is told to, and is counted", "[io]") {
    on_each_poller([]() -> aio::task<> {
        faults faulty;
        aio::stream none;
        const auto connect = [] { return aio::open_connection("127.0.0.1", 9); };
        faulty.fail("connect", EHOSTUNREACH, 2);
        for (int i = 0; i < 2; ++i) {
            const std::string error = co_await error_of(connect);
            CHECK(error == "connect to 127.0.0.1:9: No route to host");
        }
        faulty.fail("socket", EMFILE, faults::always);
        for (int i = 0; i < 3; ++i) {
            const std::string error = co_await error_of(connect);
            CHECK(error == "connect to 127.0.0.1:9: Too many open files");
        }
        faulty.clear();
        const std::string error = co_await error_of(connect);
        CHECK(error == "connect to 127.0.0.1:9: Connection refused");
        CHECK(faulty.count("connect") == 3);
        CHECK(faulty.count("socket") == 6);
        CHECK(faulty.count("close") == 3);
        CHECK(faulty.count() > 12);
    });
}

TEST_CASE("faults: getaddrinfo fails in its own way", "[io]") {
    on_each_poller([]() -> aio::task<> {
        faults faulty;
        faulty.fail("getaddrinfo", EAI_AGAIN, faults::always);
        const auto look = [] { return aio::resolve("name.test", 80); };
        std::string error = co_await error_of(look);
        CHECK(error == "resolve name.test:80: Temporary failure in name resolution");
        faulty.clear();
        faulty.fail("getaddrinfo", ENFILE, faults::always);
        error = co_await error_of(look);
        CHECK(error == "resolve name.test:80: Too many open files in system");
    });
}

TEST_CASE("faults: closing succeeds whatever it says", "[io]") {
    const std::size_t before = open_descriptors();
    on_each_poller([]() -> aio::task<> {
        faults faulty;
        faulty.fail("close", EIO, faults::always);
        stream_pair ends;
        co_await ends.first.aclose();
    });
    CHECK(open_descriptors() == before);
}

TEST_CASE("faults: afterwards the calls are the system's again", "[io]") {
    {
        faults faulty;
        faulty.fail("socket", EMFILE, faults::always);
    }
    CHECK(aio::detail::calls.socket == &::socket);
    CHECK(aio::detail::calls.short_means_empty);
}

TEST_CASE("faults: the n-th call fails with the error of its list that was chosen", "[io]") {
    on_each_poller([]() -> aio::task<> {
        faults faulty;
        const auto connect = [] { return aio::open_connection("127.0.0.1", 9); };
        faulty.fail_at(2, 0); // getaddrinfo, then socket
        std::string error = co_await error_of(connect);
        CHECK(faulty.hit() == aio::testing::fault("socket", EACCES));
        CHECK(error == "connect to 127.0.0.1:9: Permission denied");
        faulty.fail_at(2, 1000); // there is none
        error = co_await error_of(connect);
        CHECK(error == "connect to 127.0.0.1:9: Connection refused");
        CHECK(faulty.hit() == aio::testing::fault());
        faulty.fail_at(2, 0, true);
        for (int i = 0; i < 3; ++i) {
            error = co_await error_of(connect);
            CHECK(error == "connect to 127.0.0.1:9: Permission denied");
        }
    });
}

TEST_CASE("faults: one byte at a time, and each call interrupted first, nothing is lost", "[io]") {
    on_each_poller([]() -> aio::task<> {
        faults faulty;
        faulty.one_byte_at_a_time();
        faulty.interrupt_everything();
        auto echo = [](aio::stream client) -> aio::task<> {
            const std::string line = co_await client.read_line();
            std::vector<std::string> parts{line.substr(0, 5), std::string(), line.substr(5)};
            co_await client.write(parts);
        };
        aio::server server = co_await aio::start_server(echo, "127.0.0.1", 0);
        aio::stream client = co_await aio::open_connection("127.0.0.1", server.port());
        co_await client.write("a line of text\n");
        const std::string answer = co_await client.read_line();
        CHECK(answer == "a line of text\n");
        CHECK(faulty.count("send") >= 30); // each of fifteen bytes twice
        CHECK(faulty.count("recv") >= 30);
        co_await server.aclose();
    });
}
