// SPDX-License-Identifier: BSL-1.0

// redis WAY SOCKET OPERATIONS: GET of three bytes, 100 at a time on one connection. by_hand: hiredis, 100 commands and then
// 100 replies; tasks: 100 tasks, each with a command under way; batches: 100 commands in a batch.

#include "neighbours/timed.hpp"

#include <asynchio.hpp>
#include <asynchio/adapters/hiredis.hpp>

#include <hiredis/hiredis.h>

#include <string>
#include <utility>
#include <vector>

namespace aio = asynchio;

namespace {

constexpr std::size_t at_once = 100;

void by_hand(const std::string& socket, std::size_t count) {
    redisContext* const c = redisConnectUnix(socket.c_str());
    neighbours::expect(c != nullptr && c->err == 0, "the connection");
    for (std::size_t done = 0; done < count; done += at_once) {
        for (std::size_t i = 0; i < at_once; ++i) redisAppendCommand(c, "GET %s", "key");
        for (std::size_t i = 0; i < at_once; ++i) {
            void* reply = nullptr;
            neighbours::expect(redisGetReply(c, &reply) == REDIS_OK, "a reply");
            neighbours::expect(static_cast<redisReply*>(reply)->len == 3, "a value");
            freeReplyObject(reply);
        }
    }
    redisFree(c);
}

aio::task<> get(aio::hiredis::connection& db, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        const auto reply = co_await db.command("GET", "key");
        neighbours::expect(reply.text().size() == 3, "a value");
    }
}
aio::task<> in_loop(std::string socket, std::size_t count, bool batches) {
    aio::hiredis::options how;
    how.unix_path = std::move(socket);
    aio::hiredis::connection db = co_await aio::hiredis::connection::open(how);
    std::vector<aio::task<>> all;
    for (std::size_t i = 0; !batches && i < at_once; ++i) all.push_back(get(db, count / at_once));
    co_await aio::gather(std::move(all));
    for (std::size_t done = 0; batches && done < count; done += at_once) {
        aio::hiredis::batch commands;
        for (std::size_t i = 0; i < at_once; ++i) commands.add("GET", "key");
        const auto replies = co_await db.pipeline(commands);
        for (const auto& each : replies) neighbours::expect(each.text().size() == 3, "a value");
    }
    co_await db.aclose();
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    const std::string way = argv[1];
    const std::size_t count = std::strtoul(argv[3], nullptr, 10);
    neighbours::timed(count, [&] {
        if (way == "by_hand")
            by_hand(argv[2], count);
        else
            aio::run(in_loop(argv[2], count, way == "batches"));
    });
}
