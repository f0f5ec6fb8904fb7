// SPDX-License-Identifier: BSL-1.0
// Asynchronous generators: kept, closed, and left to the loop.
#include "statements.hpp"

#include <memory>

namespace oracle {

namespace {

aio::async_generator<int> generate(world& w, const node& generator) {
    std::exception_ptr error;
    try {
        for (const node& each : generator.at(1).parts) {
            if (each.at(0).word == "yield") {
                w.tell(each, "yields");
                co_yield each.at(2).number;
                w.tell(each, "goes on");
            } else {
                co_await run_statement(w, each);
            }
        }
    } catch (...) {
        error = std::current_exception();
    }
    w.log(generator.at(0).word, "generator ends");
    co_await run_block(w, generator.at(2));
    if (error) std::rethrow_exception(error);
}

aio::task<> generator_open(world& w, const node& s) {
    const node& generator = w.generator(s.argument(1).number);
    w.open[s.argument(0).place()] = std::make_shared<aio::async_generator<int>>(generate(w, generator));
    co_return;
}
aio::task<> generator_next(world& w, const node& s) {
    const auto kept = w.open[s.argument(0).place()];
    if (!kept) co_return w.tell(s, "empty");
    const std::optional<int> item = co_await kept->next();
    w.tell(s, item ? "item " + std::to_string(*item) : "end");
}
aio::task<> generator_close(world& w, const node& s) {
    const auto kept = w.open[s.argument(0).place()];
    if (!kept) co_return w.tell(s, "empty");
    co_await kept->aclose();
    w.tell(s, "closed");
}

aio::task<> items(world& w, const node& s, aio::async_generator<int>& all) {
    for (int most = s.argument(1).number; most > 0; --most) {
        const std::optional<int> item = co_await all.next();
        if (!item) co_return w.tell(s, "end");
        w.tell(s, "item " + std::to_string(*item));
        co_await run_block(w, s.argument(2));
    }
    w.tell(s, "enough");
}
aio::task<> generator_for(world& w, const node& s) {
    auto all = generate(w, w.generator(s.argument(0).number));
    auto body = [&]() -> aio::task<> { co_await items(w, s, all); };
    co_await aio::with(all, body);
    w.tell(s, "ok");
}
aio::task<> generator_leave(world& w, const node& s) {
    auto all = generate(w, w.generator(s.argument(0).number));
    co_await items(w, s, all);
}

} // namespace

const waiting_statements& generator_waits() {
    static const waiting_statements all{
        {"generator_open", generator_open}, {"generator_next", generator_next},   {"generator_close", generator_close},
        {"generator_for", generator_for},   {"generator_leave", generator_leave},
    };
    return all;
}

} // namespace oracle
