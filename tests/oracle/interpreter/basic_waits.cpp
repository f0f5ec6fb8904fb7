// SPDX-License-Identifier: BSL-1.0
// Blocks and bodies, and the statements that are control flow.
#include "statements.hpp"

namespace oracle {

namespace {

aio::task<> sleep(world& w, const node& s) {
    co_await aio::sleep(s.argument(0).seconds());
    w.tell(s, "slept");
}

template<class Handle>
aio::task<> await_one(world& w, const node& s, Handle one) {
    const std::vector<std::string> names = names_of(one);
    if (w.closes_circle(names)) co_return w.tell(s, "circle");
    const edges while_waiting(w, names);
    const int value = co_await one;
    w.tell(s, "ok " + std::to_string(value));
}
aio::task<> await(world& w, const node& s) {
    const node& name = s.argument(0);
    if (!name.is_task()) co_return co_await await_one(w, s, w.future(name));
    if (!w.tasks[name.slot()]) co_return w.tell(s, "empty");
    co_await await_one(w, s, w.tasks[name.slot()]);
}

aio::task<> nothrow(world& w, const node& s) {
    const handle one = w.tasks[s.argument(0).slot()];
    if (!one) co_return w.tell(s, "empty");
    if (w.closes_circle(names_of(one))) co_return w.tell(s, "circle");
    const edges while_waiting(w, names_of(one));
    const auto found = co_await aio::nothrow(one);
    const std::string text = found               ? "value " + std::to_string(found.value())
                             : found.cancelled() ? "cancelled"
                                                 : describe(found.error());
    w.tell(s, "ok " + text);
}

aio::task<> call(world& w, const node& s) {
    const int value = co_await run_body(w, s.argument(0).number);
    w.tell(s, "ok " + std::to_string(value));
}

aio::task<> repeat(world& w, const node& s) {
    for (int i = 0; i < s.argument(0).number; ++i) co_await run_block(w, s.argument(1));
}

bool catches(const std::string& kind, const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const aio::cancelled_error&) {
        return kind == "cancel" || kind == "all";
    } catch (const aio::timeout_error&) {
        return kind == "timeout" || kind == "error" || kind == "all";
    } catch (const boom&) {
        return kind == "boom" || kind == "error" || kind == "all";
    } catch (const aio::exception_group&) {
        return kind == "group" || kind == "error" || kind == "all";
    } catch (const std::exception&) {
        return kind == "error" || kind == "all";
    }
}
aio::task<> try_block(world& w, const node& s) {
    std::exception_ptr error;
    try {
        co_await run_block(w, s.argument(0));
    } catch (...) {
        error = std::current_exception();
    }
    if (!error) co_return;
    if (!catches(s.argument(1).word, error)) std::rethrow_exception(error);
    w.tell(s, "caught " + describe(error));
    co_await run_block(w, s.argument(2));
    if (s.argument(3).flag()) std::rethrow_exception(error);
}

aio::task<> finally_block(world& w, const node& s) {
    auto cleanup = [&]() -> aio::task<> {
        w.tell(s, "finally");
        co_await run_block(w, s.argument(1));
    };
    co_await aio::finally(run_block(w, s.argument(0)), cleanup);
}

} // namespace

aio::task<> run_statement(world& w, const node& s) {
    try {
        if (w.over_limit(s)) co_return;
        if (s.waiting == nullptr)
            s.plain(w, s);
        else
            co_await s.waiting(w, s);
    } catch (...) {
        w.tell(s, "! " + describe_current());
        throw;
    }
}

aio::task<> run_block(world& w, const node& block) {
    for (const node& each : block.parts) co_await run_statement(w, each);
}

aio::task<int> run_body(world& w, int index) {
    const node& body = w.body(index);
    const std::string id = std::string("b").append(std::to_string(index));
    w.log(id, "begins");
    try {
        co_await run_block(w, body.at(1));
    } catch (...) {
        w.log(id, "fails " + describe_current());
        throw;
    }
    w.log(id, "returns " + body.at(0).word);
    co_return body.at(0).number;
}

aio::task<int> run_named(world& w, int index, std::string parent) {
    const std::string name = w.next_name();
    if (name.empty()) co_return -1;
    aio::current_task().set_name(name);
    if (!parent.empty()) w.awaited[parent].push_back(name);
    const int value = co_await run_body(w, index);
    co_return value;
}

const waiting_statements& basic_waits() {
    static const waiting_statements all{
        {"sleep", sleep},   {"await", await},   {"nothrow", nothrow},       {"call", call},
        {"repeat", repeat}, {"try", try_block}, {"finally", finally_block},
    };
    return all;
}

} // namespace oracle
