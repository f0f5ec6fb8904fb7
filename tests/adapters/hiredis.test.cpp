// SPDX-License-Identifier: BSL-1.0
// covers: hiredis_batch.hpp hiredis_connection.hpp hiredis_error.hpp hiredis_message.hpp hiredis_options.hpp hiredis_reply.hpp
#include <asynchio/adapters/hiredis.hpp>

#include "adapters/redis_server.hpp"
#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/net.hpp"
#include "support/operator_new.hpp"
#include "support/virtual_run.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/io/server.hpp>
#include <asynchio/sync/event.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/for_each_allocation_failure.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>
#include <asynchio/testing/for_each_errno.hpp>

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace aio = asynchio;
namespace redis = asynchio::hiredis;
using namespace asynchio_tests;
using namespace std::chrono_literals;
using redis::reply_type;

namespace {

redis_server& server() {
    static redis_server made;
    return made;
}

/// Runs a test that needs the real server. Without one it is skipped, or fails where all adapters must be tested.
template<class F>
void with_server(F body) {
    if (!can_run(!redis_program().empty(), "redis-server")) return;
    server();
    const std::size_t before = open_descriptors();
    aio::run(aio::wait_for(body(), 100s));
    CHECK(closed_down_to(before));
}

aio::task<redis::connection> opened() {
    redis::connection db = co_await redis::connection::open(server().address());
    co_await db.command("FLUSHALL");
    co_return db;
}

aio::task<int> number(redis::connection& db, int value) {
    const redis::reply got = co_await db.command("ECHO", value);
    co_return got.get<int>();
}

aio::task<> require_usable(redis::connection& db) {
    const int seven = co_await number(db, 7);
    REQUIRE(seven == 7);
}

bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

std::string bulk(std::string_view text) {
    return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

/// The answer of a server to ECHO and INCR, the latter from a counter.
std::string echo(const std::vector<std::string>& words) { return bulk(words.back()); }

} // namespace

TEST_CASE("hiredis: replies of all types, as values", "[net]") {
    with_server([]() -> aio::task<> {
        redis::connection db = co_await opened();
        const redis::reply ok = co_await db.command("SET", "text", "value");
        CHECK(ok.type() == reply_type::status);
        CHECK(ok.text() == "OK");
        CHECK(ok.get<std::string_view>() == "OK");
        const redis::reply text = co_await db.command("GET", std::string("text"));
        CHECK(text.type() == reply_type::string);
        CHECK(text.get<std::string>() == "value");
        CHECK(text.get<std::optional<std::string>>() == "value");
        CHECK_THROWS_AS(text.get<int>(), redis::error);
        CHECK_THROWS_AS(text.get<double>(), redis::error);
        CHECK_THROWS_AS(text.get<std::vector<int>>(), redis::error);
        const redis::reply mixed = co_await db.command("ECHO", "12x");
        CHECK_THROWS_AS(mixed.get<int>(), redis::error);
        CHECK_THROWS_AS(mixed.get<double>(), redis::error);
        const redis::reply nothing = co_await db.command("GET", "nothing");
        CHECK(nothing.is_nil());
        CHECK(nothing.get<std::optional<int>>() == std::nullopt);
        CHECK_THROWS_AS(nothing.get<std::string>(), redis::error);
        CHECK_THROWS_AS(nothing.text(), redis::error);
        const redis::reply five = co_await db.command("INCRBY", "n", 5);
        CHECK(five.type() == reply_type::integer);
        CHECK(five.get<int>() == 5);
        CHECK(five.get<double>() == 5.0);
        CHECK_THROWS_AS(five.get<std::string>(), redis::error);
        CHECK_THROWS_AS(five.get<bool>(), redis::error);
        const redis::reply as_text = co_await db.command("GET", "n");
        CHECK(as_text.get<std::uint8_t>() == 5);
        co_await db.command("SET", "n", INT64_MIN);
        const redis::reply least = co_await db.command("INCRBY", "n", 0);
        CHECK(least.get<long long>() == INT64_MIN);
        CHECK_THROWS_AS(least.get<int>(), redis::error);
        CHECK_THROWS_AS(least.get<unsigned long long>(), redis::error);
        const redis::reply there = co_await db.command("EXISTS", "n");
        CHECK(there.get<bool>());
        const redis::reply real = co_await db.command("INCRBYFLOAT", "real", 0.25);
        CHECK(real.get<double>() == 0.25);
        const std::vector<std::string> names{"a", "b", "c"};
        const redis::reply pushed = co_await db.command("RPUSH", "list", names, "d");
        CHECK(pushed.get<int>() == 4);
        const redis::reply list = co_await db.command("LRANGE", "list", 0, -1);
        CHECK(list.get<std::vector<std::string>>() == std::vector<std::string>{"a", "b", "c", "d"});
        CHECK(list.size() == 4);
        CHECK(list[3].text() == "d");
        CHECK_THROWS_AS(list[4], std::out_of_range);
        CHECK(std::distance(list.begin(), list.end()) == 4);
        CHECK(list.get<redis::reply>().size() == 4);
        const redis::reply empty = co_await db.command("LRANGE", "none", 0, -1);
        CHECK(empty.type() == reply_type::array);
        CHECK(empty.get<std::vector<std::string>>().empty());
        co_await db.command("HSET", "hash", "one", 1, "two", 2);
        const redis::reply hash = co_await db.command("HGETALL", "hash");
        const std::map<std::string, int> numbers = hash.get<std::map<std::string, int>>();
        CHECK(numbers == std::map<std::string, int>{{"one", 1}, {"two", 2}});
        CHECK(hash.get<std::vector<std::pair<std::string, int>>>().size() == 2);
        const redis::reply several = co_await db.command("MGET", "text", "nothing");
        CHECK(several.get<std::vector<std::optional<std::string>>>() ==
              std::vector<std::optional<std::string>>{"value", std::nullopt});
        const redis::reply nested = co_await db.command("EVAL", "return {1, {'a', {false, 2}}, {err = 'MY error'}}", 0);
        REQUIRE(nested.size() == 3);
        CHECK(nested[1][1][0].is_nil());
        CHECK(nested[1][1][1].get<int>() == 2);
        CHECK(nested[2].type() == reply_type::error);
        CHECK(has(nested[2].text(), "MY error"));
        CHECK_THROWS_AS(nested[2].get<int>(), redis::error);
        CHECK(empty.get<std::set<int>>().empty());
        const redis::reply timed = co_await db.command("BLPOP", "none", "0.001");
        CHECK(timed.is_nil());
    });
}

TEST_CASE("hiredis: any bytes go to the server and come back, also a lot of them", "[net]") {
    with_server([]() -> aio::task<> {
        redis::connection db = co_await opened();
        std::string all;
        for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
        co_await db.command("SET", all, std::as_bytes(std::span(all)));
        const redis::reply back = co_await db.command("GET", all);
        CHECK(back.text() == all);
        co_await db.command("SET", "empty", "");
        const redis::reply empty = co_await db.command("GET", "empty");
        CHECK(empty.type() == reply_type::string);
        CHECK(empty.text().empty());
        const std::string large(20'000'000, 'x');
        co_await db.command("SET", "large", large);
        const redis::reply echoed = co_await db.command("GET", "large");
        CHECK((echoed.text() == large));
        std::vector<int> many(100'000);
        for (int& each : many) each = static_cast<int>(&each - many.data());
        co_await db.command("RPUSH", "many", many);
        const redis::reply list = co_await db.command("LRANGE", "many", 0, -1);
        CHECK((list.get<std::vector<int>>() == many));
    });
}

TEST_CASE("hiredis: errors have the server's code, and the connection can be used on", "[net]") {
    with_server([]() -> aio::task<> {
        redis::connection db = co_await opened();
        co_await db.command("SET", "text", "x");
        const redis::error type = co_await error_of<redis::error>(db.command("LPUSH", "text", "y"));
        CHECK(type.code() == "WRONGTYPE");
        CHECK(has(type.what(), "redis: WRONGTYPE Operation against a key"));
        const redis::error unknown = co_await error_of<redis::error>(db.command("NOSUCH", "a\r\nb"));
        CHECK(unknown.code() == "ERR");
        const redis::error count = co_await error_of<redis::error>(db.command("GET"));
        CHECK(has(count.message(), "wrong number of arguments"));
        co_await require_usable(db);
    });
}

TEST_CASE("hiredis: a command that would change the connection for other tasks is refused", "[adapters]") {
    fake_redis fake(&echo);
    virtual_run([&]() -> aio::task<> {
        redis::connection db = co_await redis::connection::open(fake.address());
        for (const char* each : {"SUBSCRIBE",    "psubscribe", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE",
                                 "SUNSUBSCRIBE", "MULTI",      "Exec",       "DISCARD",     "AUTH",
                                 "SELECT",       "HELLO",      "RESET",      "MONITOR",     "SYNC",
                                 "PSYNC",        "QUIT",       "WATCH",      "unwatch",     ""}) {
            INFO(each);
            CHECK_THROWS_AS(db.command(each, 1), std::invalid_argument);
            redis::batch several;
            CHECK_THROWS_AS(several.add(each, 1), std::invalid_argument);
            CHECK(several.size() == 0);
        }
        CHECK_THROWS_AS(db.command("client", "reply", "off"), std::invalid_argument);
        CHECK_THROWS_AS(db.command(std::vector<std::string>()), std::invalid_argument);
        CHECK_THROWS_AS(db.subscribe(std::vector<std::string>()), std::invalid_argument);
        CHECK_THROWS_WITH(db.command("select", 1),
                          "redis: SELECT cannot be sent like this: set it in options, for every "
                          "time that the connection is made");
        co_await db.command("CLIENT", "ID");
        redis::options single = fake.address();
        single.reconnect = false;
        redis::connection own = co_await redis::connection::open(single);
        co_await own.command("WATCH", "key");
        CHECK_THROWS_AS(own.command("MULTI"), std::invalid_argument);
        const redis::connection moved = std::move(own);
        CHECK_THROWS_AS(own.command("GET", 1), std::logic_error);
        CHECK(!own.is_open());
        CHECK(!own.is_connected());
        own.close();
        co_await own.aclose();
    }());
}

TEST_CASE("hiredis: what cannot be connected to is named", "[net]") {
    with_server([]() -> aio::task<> {
        using lost = redis::connection_error;
        redis::connection db = co_await opened();
        co_await db.command("ACL", "SETUSER", "guest", "on", ">right", "+@all", "-ping", "~*");
        redis::options how = server().address();
        how.user = "guest";
        how.password = "right";
        how.database = 3;
        redis::connection guest = co_await redis::connection::open(how);
        const redis::reply who = co_await guest.command("ACL", "WHOAMI");
        CHECK(who.text() == "guest");
        const redis::reply where = co_await guest.command("CLIENT", "INFO");
        CHECK(has(where.text(), " db=3 "));
        how.password = "wrong";
        const redis::error wrong = co_await error_of<redis::error>(redis::connection::open(how));
        CHECK(wrong.code() == "WRONGPASS");
        how = server().address();
        how.database = 1000;
        const redis::error database = co_await error_of<redis::error>(redis::connection::open(how));
        CHECK(has(database.message(), "DB index is out of range"));
        how = {};
        how.port = server().port();
        redis::connection named = co_await redis::connection::open(how);
        co_await require_usable(named);
        co_await db.command("CONFIG", "SET", "requirepass", "secret");
        const redis::error locked = co_await error_of<redis::error>(redis::connection::open(how));
        CHECK(locked.code() == "NOAUTH");
        how.password = "secret";
        redis::connection known = co_await redis::connection::open(how);
        co_await require_usable(known);
        co_await db.command("CONFIG", "SET", "requirepass", "");
        co_await db.command("CONFIG", "SET", "maxclients", 1);
        const redis::error full = co_await error_of<redis::error>(redis::connection::open(server().address()));
        CHECK(full.message() == "ERR max number of clients reached");
        co_await db.command("CONFIG", "SET", "maxclients", 10'000);
        how = {};
        how.host = "nowhere.invalid";
        const lost unknown = co_await error_of<lost>(redis::connection::open(how));
        CHECK(has(unknown.message(), "nowhere.invalid"));
        CHECK(!unknown.was_sent());
        how = {};
        how.host = "127.0.0.1";
        how.port = unused_port();
        const lost refused = co_await error_of<lost>(redis::connection::open(how));
        CHECK(has(refused.message(), "127.0.0.1:" + std::to_string(how.port)));
        CHECK(has(refused.message(), "refused"));
        how = {};
        how.unix_path = "/nowhere/socket";
        const lost missing = co_await error_of<lost>(redis::connection::open(how));
        CHECK(has(missing.message(), "/nowhere/socket"));
    });
}

TEST_CASE("hiredis: a server that accepts and says nothing is given up", "[adapters]") {
    virtual_run([]() -> aio::task<> {
        std::vector<aio::stream> kept;
        redis::options how;
        how.open_stream = [&kept]() -> aio::task<aio::stream> {
            auto [here, there] = aio::testing::stream_pair();
            kept.push_back(std::move(there));
            co_return std::move(here);
        };
        const auto failed = co_await error_of<redis::connection_error>(redis::connection::open(how));
        CHECK(failed.message() == "no connection within options::connect_timeout, which is 5000 ms");
    }());
}

TEST_CASE("hiredis: options that cannot be are refused", "[adapters]") {
    virtual_run([]() -> aio::task<> {
        const auto refused = [](auto change) -> aio::task<std::string> {
            redis::options how;
            change(how);
            const auto failed = co_await error_of<std::invalid_argument>(redis::connection::open(how));
            co_return failed.what();
        };
        std::vector<std::string> texts;
        const auto add = [&](auto change) -> aio::task<> {
            const std::string text = co_await refused(change);
            texts.push_back(text);
        };
        co_await add([](redis::options& o) { o.database = -1; });
        co_await add([](redis::options& o) { o.connect_timeout = 0s; });
        co_await add([](redis::options& o) { o.wait_timeout = -1s; });
        co_await add([](redis::options& o) { o.first_pause = 0s; });
        co_await add([](redis::options& o) { o.longest_pause = 1ms; });
        co_await add([](redis::options& o) { o.longest_pause = 25h; });
        co_await add([](redis::options& o) { o.max_commands = 0; });
        co_await add([](redis::options& o) { o.port = 65'536; });
        CHECK(texts.size() == 8);
    }());
}

TEST_CASE("hiredis: a hundred tasks share a connection, and none waits for the reply of another", "[adapters]") {
    std::string answers;
    int count = 0;
    fake_redis fake([&](const std::vector<std::string>& words) -> std::string {
        answers += words[1] == "50" ? "-ERR fifty\r\n" : bulk(words[1]);
        return ++count == 100 ? answers : std::string(); // none is answered before all have come
    });
    virtual_run([&]() -> aio::task<> {
        redis::connection db = co_await redis::connection::open(fake.address());
        std::vector<aio::task_handle<int>> tasks;
        std::vector<int> order;
        for (int i = 0; i < 100; ++i) {
            auto one = [](redis::connection& of, int value, std::vector<int>& ended) -> aio::task<int> {
                const redis::reply got = co_await of.command("ECHO", value);
                ended.push_back(value);
                co_return got.get<int>();
            };
            tasks.push_back(aio::create_task(one(db, i, order)));
        }
        for (int i = 0; i < 100; ++i) {
            const auto ended = co_await aio::nothrow(tasks[static_cast<std::size_t>(i)]);
            if (i == 50)
                CHECK(ended.error());
            else
                CHECK(ended.value() == i);
        }
        CHECK(order.size() == 99);
        CHECK(std::is_sorted(order.begin(), order.end()));
    }());
}

TEST_CASE("hiredis: a batch is sent in one piece, and one error is that of its command", "[net]") {
    with_server([]() -> aio::task<> {
        redis::connection db = co_await opened();
        redis::batch several;
        several.add("SET", "a", 1).add("LPUSH", "a", 2).add("INCR", "a");
        CHECK(several.size() == 3);
        const std::vector<redis::reply> replies = co_await db.pipeline(several);
        REQUIRE(replies.size() == 3);
        CHECK(replies[0].text() == "OK");
        CHECK(replies[1].type() == reply_type::error);
        CHECK_THROWS_AS(replies[1].get<int>(), redis::error);
        CHECK(replies[2].get<int>() == 2);
        several.clear();
        const std::vector<redis::reply> none = co_await db.pipeline(several);
        CHECK(none.empty());
        for (int i = 0; i < 10'000; ++i) several.add("INCR", "b");
        const std::vector<redis::reply> many = co_await db.pipeline(several);
        CHECK(many.back().get<int>() == 10'000);
    });
}

TEST_CASE("hiredis: a transaction is one unit among the commands of other tasks", "[net]") {
    with_server([]() -> aio::task<> {
        redis::connection db = co_await opened();
        const auto other = [](redis::connection& of) -> aio::task<> {
            for (int i = 0; i < 50; ++i) {
                const redis::reply got = co_await of.command("INCR", "other");
                CHECK(got.get<int>() > 0); // not QUEUED
            }
        };
        const auto whole = [](redis::connection& of) -> aio::task<> {
            for (int i = 0; i < 50; ++i) {
                redis::batch both;
                both.add("INCR", "a").add("INCR", "b");
                const std::vector<redis::reply> got = co_await of.transaction(both);
                CHECK(got.size() == 2);
                CHECK(got[0].get<int>() == got[1].get<int>());
            }
        };
        std::vector<aio::task<>> all;
        for (int i = 0; i < 5; ++i) {
            all.push_back(other(db));
            all.push_back(whole(db));
        }
        co_await aio::gather(std::move(all));
        const redis::reply sums = co_await db.command("MGET", "a", "b", "other");
        CHECK(sums.get<std::vector<int>>() == std::vector<int>{250, 250, 250});
        redis::batch bad;
        bad.add("INCR", "a").add("NOSUCH");
        const redis::error refused = co_await error_of<redis::error>(db.transaction(bad));
        CHECK(has(refused.message(), "NOSUCH"));
        redis::batch mixed;
        mixed.add("INCR", "a").add("LPUSH", "a", 1);
        const std::vector<redis::reply> partly = co_await db.transaction(mixed);
        CHECK(partly[0].get<int>() == 251);
        CHECK(partly[1].type() == reply_type::error);
        const std::vector<redis::reply> nothing = co_await db.transaction(redis::batch());
        CHECK(nothing.empty());
    });
}

TEST_CASE("hiredis: a transaction does nothing if a watched key has changed", "[net]") {
    with_server([]() -> aio::task<> {
        redis::connection db = co_await opened();
        redis::options single = server().address();
        single.reconnect = false;
        redis::connection own = co_await redis::connection::open(single);
        redis::batch change;
        change.add("SET", "k", "mine");
        co_await own.command("WATCH", "k");
        co_await db.command("SET", "k", "theirs");
        co_await error_of<redis::watch_error>(own.transaction(change));
        const redis::reply kept = co_await db.command("GET", "k");
        CHECK(kept.text() == "theirs");
        co_await own.command("WATCH", "k");
        co_await own.transaction(change);
        const redis::reply changed = co_await db.command("GET", "k");
        CHECK(changed.text() == "mine");
    });
}

TEST_CASE("hiredis: a server that speaks something else gives one clear error and a closed connection", "[adapters]") {
    const std::string answers[] = {
        "HTTP/1.0 400 Bad Request\r\n\r\n",
        std::string(5000, '\xff'),
        "*-2\r\n",
        "$-2\r\n",
        "$99999999999999999999\r\n",
        ":12x\r\n",
        "*3\r\n:1\r\nx",
        "$3\r\nabcd\r\n:1\r\n?",
        "%1\r\n+a\r\n+b\r\n",
        "+" + std::string(1'100'000, 'a'),
        [] {
            std::string deep;
            for (int i = 0; i < 100'000; ++i) deep += "*1\r\n";
            return deep;
        }(),
        "+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n",
    };
    for (const std::string& answer : answers) {
        INFO(answer.substr(0, 40));
        fake_redis fake([&](const std::vector<std::string>&) { return answer; });
        virtual_run([&]() -> aio::task<> {
            redis::connection db = co_await redis::connection::open(fake.address());
            const auto first = co_await aio::nothrow(db.command("GET", "a"));
            const auto second = co_await aio::nothrow(db.command("GET", "b"));
            for (int i = 0; i < 10; ++i) co_await aio::yield();
            const auto failed = co_await error_of<redis::connection_error>(db.command("GET", "c"));
            CHECK(has(failed.message(), "the connection is closed: "));
            CHECK(!failed.was_sent());
            CHECK(!db.is_open());
            CHECK(!db.is_connected());
            CHECK(fake.connections() == 1);
        }());
    }
    const auto nonsense = [](std::string text) -> aio::task<> {
        auto serve = [&text](aio::stream client) -> aio::task<> {
            co_await client.write(text);
            while (!(co_await client.read(1024)).empty()) {}
        };
        aio::server fake = co_await aio::start_server(serve, "127.0.0.1", 0);
        redis::options how;
        how.host = "127.0.0.1";
        how.port = fake.port();
        const auto failed = co_await error_of<redis::protocol_error>(redis::connection::open(how));
        CHECK(has(failed.message(), "Protocol error, got \"S\" as reply type byte"));
    };
    aio::run(aio::wait_for(nonsense("SSH-2.0-OpenSSH_9.2p1\r\n"), 60s));
}

TEST_CASE("hiredis: a length that was announced takes no memory, and a reply that is too large closes", "[adapters]") {
    fake_redis fake([](const std::vector<std::string>& words) -> std::string {
        if (words[1] == "array") return "*2000000000\r\n:1\r\n";
        if (words[1] == "nested") return "*1000000\r\n*1000000\r\n*1000000\r\n:1\r\n";
        if (words[1] == "string") return "$500000000\r\nabc";
        return bulk(std::string(100'000, 'x'));
    });
    virtual_run([&]() -> aio::task<> {
        const char* const kinds[] = {"array", "nested", "string"};
        for (const char* each : kinds) {
            redis::connection db = co_await redis::connection::open(fake.address());
            const auto before = ::mallinfo2().uordblks;
            auto asked = aio::create_task(db.command("GET", each));
            co_await aio::sleep(1s);
            CHECK(::mallinfo2().uordblks < before + 1'000'000);
            CHECK(!asked.done());
            asked.cancel();
            co_await aio::nothrow(asked);
        }
        redis::options small = fake.address();
        small.max_reply = 99'999;
        redis::connection db = co_await redis::connection::open(small);
        const auto failed = co_await error_of<redis::connection_error>(db.command("GET", "large"));
        CHECK(has(failed.message(), "more than options::max_reply bytes, which is 99999"));
        CHECK(!db.is_open());
        small.max_reply = 200'000;
        redis::connection enough = co_await redis::connection::open(small);
        for (int i = 0; i < 10; ++i) co_await enough.command("GET", "large");
    }());
}

TEST_CASE("hiredis: a connection that ends after each byte of a reply is made again, and nothing is sent twice",
          "[adapters]") {
    const std::string whole = "*3\r\n$3\r\nabc\r\n:5\r\n*1\r\n+OK\r\n";
    for (std::size_t size = 0; size < whole.size(); ++size) {
        fake_redis fake([&](const std::vector<std::string>& words) -> std::string {
            return words[0] == "FIRST" ? whole.substr(0, size) : whole;
        });
        virtual_run([&]() -> aio::task<> {
            redis::connection db = co_await redis::connection::open(fake.address());
            fake.hang_up();
            auto first = aio::create_task(error_of<redis::connection_error>(db.command("FIRST")));
            auto second = aio::create_task(error_of<redis::connection_error>(db.command("SECOND")));
            const aio::task_handle<redis::connection_error> both[] = {first, second};
            for (const auto& each : both) { // they were sent together
                const auto ended = co_await aio::nothrow(each);
                const redis::connection_error failed = ended.value();
                CHECK(failed.was_sent());
                CHECK(failed.message() == "the connection was lost: the server has closed the connection; the command "
                                          "was sent, and may have been carried out");
            }
            const redis::reply third = co_await db.command("THIRD");
            CHECK(third.size() == 3);
            CHECK(third[0].text() == "abc");
            CHECK(db.is_connected());
            CHECK(fake.seen() == std::vector<std::string>{"FIRST", "THIRD"});
            CHECK(fake.connections() == 2);
        }());
    }
}

TEST_CASE("hiredis: a server that is killed and started again is used on", "[net]") {
    with_server([]() -> aio::task<> {
        redis::connection db = co_await opened();
        redis::options single = server().address();
        single.reconnect = false;
        redis::connection once = co_await redis::connection::open(single);
        auto blocked = aio::create_task(db.command("BLPOP", "none", 0));
        co_await number(once, 1);
        server().stop();
        const auto ended = co_await aio::nothrow(blocked);
        CHECK(ended.error());
        const auto gone = co_await aio::nothrow(once.command("GET", "a"));
        CHECK(gone.error());
        CHECK(!once.is_open());
        CHECK(db.is_open());
        CHECK(!db.is_connected());
        auto waiting = aio::create_task(number(db, 5));
        auto news = aio::create_task(db.subscribe("news"));
        co_await aio::yield();
        CHECK(!waiting.done());
        server().run();
        const int five = co_await waiting;
        CHECK(five == 5);
        aio::async_generator<redis::message> heard = co_await std::move(news);
        co_await db.command("PUBLISH", "news", "again");
        const auto message = co_await heard.next();
        REQUIRE(message);
        CHECK(message->payload == "again");
    });
}

TEST_CASE("hiredis: commands wait for a connection in order, and not longer than they may", "[adapters]") {
    fake_redis fake(&echo);
    virtual_run([&]() -> aio::task<> {
        redis::connection db = co_await redis::connection::open(fake.address());
        fake.hang_up();
        co_await db.command("ECHO", 1);
        for (int i = 0; i < 5; ++i) co_await aio::yield();
        fake.refuse(4);
        const auto lose = [&]() -> aio::task<> {
            fake.hang_up();
            co_await aio::nothrow(db.command("ECHO", 2));
            while (db.is_connected()) co_await aio::yield();
        };
        co_await lose();
        std::vector<aio::task<int>> waiting;
        for (int i = 0; i < 20; ++i) waiting.push_back(number(db, i));
        const auto answered = co_await aio::gather(std::move(waiting));
        for (int i = 0; i < 20; ++i) CHECK(answered[static_cast<std::size_t>(i)] == i);
        CHECK(fake.refused() == 0);
        std::vector<std::string> last(fake.seen().end() - 20, fake.seen().end());
        for (int i = 0; i < 20; ++i) CHECK(last[static_cast<std::size_t>(i)] == "ECHO " + std::to_string(i));

        fake.refuse(1'000'000);
        co_await lose();
        const auto began = aio::get_running_loop().time();
        auto first = aio::create_task(error_of<redis::connection_error>(db.command("ECHO", "early")));
        co_await aio::sleep(3s);
        auto later = aio::create_task(error_of<redis::connection_error>(db.command("ECHO", "later")));
        const redis::connection_error failed = co_await std::move(first);
        CHECK(aio::get_running_loop().time() - began == 10s);
        CHECK(has(failed.message(),
                  "no connection within options::wait_timeout, which is 10000 ms: connect to the fake"));
        CHECK(!failed.was_sent());
        co_await std::move(later);
        CHECK(aio::get_running_loop().time() - began == 13s);
        auto cancelled = aio::create_task(db.command("ECHO", "cancelled"));
        co_await aio::sleep(1s);
        cancelled.cancel();
        co_await aio::nothrow(cancelled);
        CHECK(aio::get_running_loop().time() - began == 14s);
        const redis::connection_error no_news = co_await error_of<redis::connection_error>(db.subscribe("news"));
        CHECK(has(no_news.what(), "connect to the fake"));
        CHECK(aio::get_running_loop().time() - began >= 24s);
        fake.refuse(0);
        co_await require_usable(db);
        CHECK(std::count(fake.seen().begin(), fake.seen().end(), "ECHO early") == 0);
        CHECK(std::count(fake.seen().begin(), fake.seen().end(), "ECHO cancelled") == 0);
    }());
}

TEST_CASE("hiredis: the wait for a connection counts from its loss, also for a command that has waited for its turn",
          "[adapters]") {
    bool silent = true;
    fake_redis fake([&](const std::vector<std::string>& words) { return silent ? std::string() : echo(words); });
    virtual_run([&]() -> aio::task<> {
        redis::options one = fake.address();
        one.max_commands = 1;
        redis::connection db = co_await redis::connection::open(one);
        auto first = aio::create_task(error_of<redis::connection_error>(db.command("ECHO", 1)));
        auto second = aio::create_task(number(db, 2));
        co_await aio::sleep(60s);
        fake.refuse(3);
        fake.drop();
        silent = false;
        const redis::connection_error lost = co_await std::move(first);
        CHECK(lost.was_sent());
        const int two = co_await std::move(second);
        CHECK(two == 2);
        CHECK(fake.refused() == 0);
    }());
}

TEST_CASE("hiredis: a server that closes every connection is not asked without a pause", "[adapters]") {
    fake_redis fake(&echo);
    fake.only_log_in();
    virtual_run([&]() -> aio::task<> {
        redis::connection db = co_await redis::connection::open(fake.address());
        co_await aio::sleep(60s);
        CHECK(fake.connections() > 20);
        CHECK(fake.connections() < 80);
        CHECK(db.is_open());
    }());
}

TEST_CASE("hiredis: without options::reconnect the first loss closes the connection", "[adapters]") {
    fake_redis fake(&echo);
    virtual_run([&]() -> aio::task<> {
        redis::options single = fake.address();
        single.reconnect = false;
        redis::connection db = co_await redis::connection::open(single);
        fake.hang_up();
        co_await number(db, 1);
        while (db.is_open()) co_await aio::yield();
        const auto failed = co_await error_of<redis::connection_error>(db.command("ECHO", 2));
        CHECK(failed.message() == "the connection is closed: the server has closed the connection");
        CHECK(fake.connections() == 1);
    }());
}

TEST_CASE("hiredis: the number of commands under way is bounded, those that were cancelled included", "[adapters]") {
    bool silent = true;
    std::string kept;
    fake_redis fake([&](const std::vector<std::string>& words) -> std::string {
        if (!silent) return std::exchange(kept, {}) + echo(words);
        kept += echo(words);
        return {};
    });
    virtual_run([&]() -> aio::task<> {
        redis::options few = fake.address();
        few.max_commands = 3;
        redis::connection db = co_await redis::connection::open(few);
        auto cancelled = aio::create_task(number(db, 0));
        auto first = aio::create_task(number(db, 1));
        co_await aio::sleep(1s);
        cancelled.cancel();
        co_await aio::nothrow(cancelled);
        CHECK(cancelled.cancelled());
        std::vector<aio::task_handle<int>> more;
        for (int i = 2; i < 10; ++i) more.push_back(aio::create_task(number(db, i)));
        more[3].cancel(); // it waits for its turn
        co_await aio::sleep(1s);
        CHECK(fake.seen().size() == 3);
        silent = false;
        const auto freed = co_await aio::nothrow(aio::wait_for(db.command("ECHO", "x"), 1s));
        CHECK(freed.error()); // it waits behind the others, whose replies the silent server keeps
        CHECK(fake.seen().size() == 3);
        db.close();
        for (const auto& each : more) {
            const auto ended = co_await aio::nothrow(each);
            CHECK(!ended.has_value());
        }
        co_await aio::nothrow(first);
    }());
}

TEST_CASE("hiredis: subscriptions yield what is published, by channels and by patterns", "[net]") {
    with_server([]() -> aio::task<> {
        redis::connection db = co_await opened();
        const std::vector<std::string> more{"two", "three"};
        aio::async_generator<redis::message> news = co_await db.subscribe("one", more);
        aio::async_generator<redis::message> all = co_await db.psubscribe("t*", std::string("x?"));
        const std::string bytes("\0\r\n\xff", 4);
        for (const char* channel : {"one", "two", "xy", "three"})
            co_await db.command("PUBLISH", channel, bytes + channel);
        for (const char* channel : {"one", "two", "three"}) {
            const auto each = co_await news.next();
            REQUIRE(each);
            CHECK(each->channel == channel);
            CHECK(each->pattern.empty());
            CHECK(each->payload == bytes + channel);
        }
        const char* const matching[] = {"two", "xy", "three"};
        for (const char* channel : matching) {
            const auto each = co_await all.next();
            REQUIRE(each);
            CHECK(each->channel == channel);
            CHECK(each->pattern == (each->channel == "xy" ? "x?" : "t*"));
            CHECK(each->payload == bytes + channel);
        }
        co_await news.aclose();
        all = {};
        const auto nobody = [](redis::connection& of) -> aio::task<bool> {
            const redis::reply channels = co_await of.command("PUBSUB", "NUMSUB", "one");
            const redis::reply patterns = co_await of.command("PUBSUB", "NUMPAT");
            co_return channels[1].get<int>() == 0 && patterns.get<int>() == 0;
        };
        for (bool over = false; !over;) over = co_await nobody(db);
        co_await db.command("ACL", "SETUSER", "deaf", "on", ">x", "+@all", "~*", "resetchannels");
        redis::options how = server().address();
        how.user = "deaf";
        how.password = "x";
        redis::connection deaf = co_await redis::connection::open(how);
        const redis::error refused = co_await error_of<redis::error>(deaf.subscribe("one"));
        CHECK(refused.code() == "NOPERM");
    });
}

TEST_CASE("hiredis: what comes before all channels are subscribed to is yielded, and what is no message is told",
          "[adapters]") {
    const std::string begun = "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n";
    const std::string text = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$4\r\ntext\r\n";
    fake_redis fake([&](const std::vector<std::string>& words) -> std::string {
        if (words[0] == "EXEC") return "*1\r\n+OK\r\n";
        if (words[0] != "SUBSCRIBE") return "+OK\r\n";
        return begun + text + text + (words[1] == "bad" ? "+OK\r\n" : begun + text + "*1\r\n:1\r\n");
    });
    virtual_run([&]() -> aio::task<> {
        redis::connection db = co_await redis::connection::open(fake.address());
        aio::async_generator<redis::message> news = co_await db.subscribe("a", "b");
        for (int i = 0; i < 3; ++i) {
            const auto each = co_await news.next();
            REQUIRE(each);
            CHECK(each->payload == "text");
        }
        const auto ended = co_await aio::nothrow(news.next());
        CHECK_THROWS_AS(ended.value(), redis::protocol_error);
        co_await error_of<redis::protocol_error>(db.subscribe("bad", "b"));
        redis::batch two;
        two.add("SET", "a", 1).add("SET", "b", 1);
        const redis::error other = co_await error_of<redis::error>(db.transaction(two));
        CHECK(other.message() == "the reply to EXEC is not that of a transaction");
        CHECK(db.is_open());
    }());
}

TEST_CASE("hiredis: whatever options::open_stream throws when the connection is made again does not go unseen",
          "[adapters]") {
    fake_redis fake(&echo);
    virtual_run([&]() -> aio::task<> {
        redis::options how = fake.address();
        how.open_stream = [&fake, open = how.open_stream]() -> aio::task<aio::stream> {
            if (fake.connections() == 1) throw 5;
            return open();
        };
        redis::connection db = co_await redis::connection::open(how);
        co_await require_usable(db);
        fake.drop();
        const auto failed = co_await error_of<redis::connection_error>(db.command("ECHO", 1));
        CHECK(has(failed.message(), failed.was_sent() ? "the connection was lost" : "open_stream has thrown"));
        while (db.is_open()) co_await aio::yield();
        const auto closed = co_await error_of<redis::connection_error>(db.command("ECHO", 1));
        CHECK(has(closed.message(), "options::open_stream has thrown what is no std::exception"));
    }());
}

TEST_CASE("hiredis: a slow reader of a subscription takes no memory, and is told when it has missed something",
          "[net]") {
    with_server([]() -> aio::task<> {
        redis::connection db = co_await opened();
        co_await db.command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 4000000 0 0");
        aio::async_generator<redis::message> news = co_await db.subscribe("news");
        const std::string text(100'000, 'x');
        co_await db.command("PUBLISH", "news", text);
        const auto before = ::mallinfo2().uordblks;
        for (bool heard = true; heard;) {
            const redis::reply count = co_await db.command("PUBLISH", "news", text);
            heard = count.get<int>() == 1;
        }
        CHECK(::mallinfo2().uordblks < before + 500'000);
        int got = 0;
        std::string why;
        try {
            while (auto each = co_await news.next()) got += each->payload == text ? 1 : 0;
        } catch (const redis::connection_error& e) {
            why = e.message();
        }
        CHECK(got >= 1);
        CHECK(!why.empty());
        const auto over = co_await news.next();
        CHECK(!over);
        co_await db.command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 33554432 8388608 60");
    });
}

TEST_CASE("hiredis: closing fails the commands under way, and ends the task of the connection", "[adapters]") {
    fake_redis fake([](const std::vector<std::string>&) { return std::string(); });
    virtual_run([&]() -> aio::task<> {
        const auto waiting_one = [](redis::connection& db) {
            return aio::create_task(error_of<redis::connection_error>(db.command("ECHO", 1)));
        };
        redis::connection db = co_await redis::connection::open(fake.address());
        auto sent = waiting_one(db);
        co_await aio::sleep(1s);
        auto unsent = waiting_one(db);
        co_await aio::yield();
        co_await db.aclose();
        co_await db.aclose();
        CHECK(!db.is_open());
        const redis::connection_error first = co_await std::move(sent);
        CHECK(first.message() ==
              "the connection was lost: it was closed; the command was sent, and may have been carried out");
        const redis::connection_error second = co_await std::move(unsent);
        CHECK(has(second.message(), "it was closed"));
        const redis::connection_error third = co_await error_of<redis::connection_error>(db.command("ECHO", 1));
        CHECK(third.message() == "the connection is closed: it was closed");
        const redis::connection_error none = co_await error_of<redis::connection_error>(db.subscribe("a"));
        CHECK(!none.was_sent());

        auto other = std::make_unique<redis::connection>(co_await redis::connection::open(fake.address()));
        auto left = waiting_one(*other);
        co_await aio::sleep(1s);
        other.reset();
        const redis::connection_error gone = co_await std::move(left);
        CHECK(gone.was_sent());
        db = co_await redis::connection::open(fake.address());
        CHECK(db.is_connected());
        auto body = [&]() -> aio::task<> { co_await aio::yield(); };
        co_await aio::with(db, body);
        CHECK(!db.is_open());
    }());
}

TEST_CASE("hiredis: a loop that ends closes its connections, which may be destroyed after it", "[adapters]") {
    fake_redis fake([](const std::vector<std::string>&) { return std::string(); });
    std::optional<redis::connection> kept, lost;
    virtual_run([&]() -> aio::task<> {
        kept = co_await redis::connection::open(fake.address());
        lost = co_await redis::connection::open(fake.address());
        aio::create_task(lost->command("ECHO", 1));
        fake.refuse(1'000'000);
        fake.hang_up();
        co_await aio::sleep(1s);
        aio::create_task(lost->command("ECHO", 2));
        co_await aio::yield();
    }());
    CHECK(!kept->is_open());
    CHECK(!lost->is_open());
    kept.reset();
    lost->close();
    lost.reset();
    aio::run([]() -> aio::task<> { // a loop that is closed while its tasks wait
        co_return;
    }());
    std::optional<redis::connection> left;
    {
        aio::event_loop loop;
        fake.refuse(0);
        const auto stop_in_the_middle = [&]() -> aio::task<> {
            left = co_await redis::connection::open(fake.address());
            auto asked = aio::create_task(left->command("ECHO", 1));
            for (int i = 0; i < 5; ++i) co_await aio::yield();
            aio::get_running_loop().stop();
            co_await asked;
        };
        const auto stopped = loop.create_task(stop_in_the_middle());
        loop.run_forever();
        CHECK(!stopped.done());
    }
    left.reset();
}

TEST_CASE("hiredis: a command that is cancelled at any moment leaves the connection usable", "[net]") {
    with_server([]() -> aio::task<> {
        redis::connection db = co_await opened();
        int ended_early = 0;
        for (int steps = 0; steps < 60; ++steps) {
            const auto work = [](redis::connection& of) -> aio::task<> {
                co_await of.command("SET", "n", 1);
                redis::batch both;
                both.add("INCR", "n").add("INCR", "n");
                co_await of.transaction(both);
                co_await of.pipeline(both);
                co_await of.command("BLPOP", "none", "0.001");
                aio::async_generator<redis::message> news = co_await of.subscribe("news");
                co_await of.command("PUBLISH", "news", "x");
                co_await news.next();
                co_await news.aclose();
            };
            auto running = aio::create_task(work(db));
            for (int i = 0; i < steps && !running.done(); ++i) co_await aio::yield();
            if (!running.done()) ++ended_early;
            running.cancel();
            co_await aio::nothrow(running);
            co_await require_usable(db);
        }
        CHECK(ended_early > 10);
        for (int steps = 0; steps < 30; ++steps) {
            auto opening = aio::create_task(redis::connection::open(server().address()));
            for (int i = 0; i < steps && !opening.done(); ++i) co_await aio::yield();
            opening.cancel();
            co_await aio::nothrow(std::move(opening));
        }
        const redis::reply blocked = co_await db.command("BLPOP", "none", "0.01");
        CHECK(blocked.is_nil());
    });
}

namespace {

/// What a server in memory answers to all that use_all() calls.
std::string answer_all(const std::vector<std::string>& words) {
    if (words[0] == "MULTI") return "+OK\r\n";
    if (words[0] == "SET") return "+QUEUED\r\n";
    if (words[0] == "EXEC") return "*2\r\n+OK\r\n+OK\r\n";
    if (words[0] == "SUBSCRIBE")
        return "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$4\r\ntext\r\n";
    return echo(words);
}

/// Uses each call, in several tasks, and a connection that is lost meanwhile.
aio::task<> use_all(fake_redis& fake) {
    redis::options how = fake.address();
    how.max_commands = 2;
    redis::connection db = co_await redis::connection::open(how);
    auto several = [&]() -> aio::task<> {
        redis::batch both;
        both.add("SET", "a", 1).add("SET", "b", std::string(2000, 'x'));
        std::vector<aio::task<int>> numbers;
        for (int i = 0; i < 4; ++i) numbers.push_back(number(db, i));
        co_await aio::gather(std::move(numbers));
        co_await db.pipeline(both);
        co_await db.transaction(both);
        aio::async_generator<redis::message> news = co_await db.subscribe("a");
        const auto message = co_await news.next();
        if (!message || message->payload != "text") throw std::logic_error("not the message");
        co_await news.aclose();
        fake.hang_up();
        co_await aio::nothrow(db.command("ECHO", "last"));
        fake.refuse(1);
    };
    std::exception_ptr stopped;
    try {
        co_await several();
    } catch (...) {
        stopped = std::current_exception();
    }
    fake.hang_up(false);
    fake.refuse(0);
    for (bool usable = !db.is_open(); !usable;) { // without memory it may be closed
        try {
            const int seven = co_await number(db, 7);
            if (seven != 7) throw std::logic_error("a reply of another command");
            usable = true;
        } catch (const redis::connection_error& e) {
            usable = !e.was_sent(); // else it was sent while the server was about to close the connection
        } catch (const std::bad_alloc&) {
            usable = true;
        }
    }
    co_await db.aclose();
    if (stopped) std::rethrow_exception(stopped);
}

} // namespace

TEST_CASE("hiredis: a cancellation at every step of every call leaves the connection usable", "[adapters]") {
    const auto scenario = []() -> aio::task<> {
        fake_redis fake(&answer_all);
        co_await use_all(fake);
    };
    const auto met = aio::testing::for_each_cancellation(scenario);
    CHECK(met.points > 50);
    CHECK(met.failed == 0);
    aio::testing::cancellation_plan twice;
    twice.second_after = 2;
    const auto more = aio::testing::for_each_cancellation(scenario, twice);
    CHECK(more.points > 50);
    CHECK(more.failed == 0);
}

TEST_CASE("hiredis: each allocation may fail, alone or with all behind it", "[adapters]") {
    const auto scenario = []() -> aio::task<> {
        fake_redis fake(&answer_all);
        co_await aio::wait_for(use_all(fake), 1000s);
    };
    for (const bool all_later : {false, true}) {
        aio::testing::allocation_plan plan;
        plan.all_later = all_later;
        const auto met = aio::testing::for_each_allocation_failure(scenario, plan);
        CHECK(met.points > 50);
    }
}

TEST_CASE("hiredis: each system call may fail, with every error", "[net]") {
    const auto scenario = []() -> aio::task<> {
        const auto within = []() -> aio::task<> {
            const auto serve = [](aio::stream client) -> aio::task<> {
                try {
                    for (;;) {
                        const auto words = co_await read_command(client);
                        if (words.empty()) co_return;
                        const std::string answer = words[0] == "PING" ? std::string("+PONG\r\n") : echo(words);
                        co_await client.write(answer);
                    }
                } catch (const std::runtime_error&) { // its system calls fail as well
                }
            };
            aio::server fake = co_await aio::start_server(serve, "127.0.0.1", 0);
            redis::options how;
            how.host = "127.0.0.1";
            how.port = fake.port();
            redis::connection db = co_await redis::connection::open(how);
            for (int i = 0; i < 3; ++i) {
                const int same = co_await number(db, i);
                if (same != i) throw std::logic_error("a reply of another command");
            }
            co_await db.aclose();
        };
        co_await aio::wait_for(within(), 100s);
    };
    const auto errors = aio::testing::for_each_errno(scenario);
    CHECK(errors.points > 10);
    CHECK(errors.failed > 10);
    for (const auto& run : errors.runs) {
        INFO(run.what.call << ' ' << run.what.error);
        try {
            if (run.error) std::rethrow_exception(run.error);
        } catch (const std::logic_error& e) {
            FAIL(e.what());
        } catch (...) {}
    }
}

TEST_CASE("hiredis: ten thousand operations leave memory and descriptors as they were", "[net][stress]") {
    with_server([]() -> aio::task<> {
        redis::connection db = co_await opened();
        const auto round = [&](int times) -> aio::task<> {
            for (int i = 0; i < times; ++i) {
                const int same = co_await number(db, i);
                REQUIRE(same == i);
                if (i % 10 != 0) continue;
                auto dropped = aio::create_task(db.command("ECHO", std::string(1000, 'x')));
                co_await aio::yield();
                if (i % 20 == 0) co_await aio::yield();
                dropped.cancel();
                co_await aio::nothrow(std::move(dropped));
                if (i % 100 != 0) continue;
                aio::async_generator<redis::message> news = co_await db.subscribe("a");
                co_await news.aclose();
            }
        };
        co_await round(1000);
        const std::size_t open = open_descriptors();
        const auto used = ::mallinfo2().uordblks;
        co_await round(10'000);
        CHECK(open_descriptors() == open);
        CHECK(::mallinfo2().uordblks < used + 100'000);
    });
}
