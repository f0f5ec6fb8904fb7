// SPDX-License-Identifier: BSL-1.0

// A chain of co_awaits 1,000,000 deep that is suspended in its leaf when its loop is destroyed: the temporaries and
// locals of each frame are destroyed once, those of the leaf first.

#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/future.hpp>
#include <asynchio/testing/run_until_idle.hpp>

#include "small_stack.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace aio = asynchio;
using asynchio_tests::require;

namespace {

const int depth = asynchio_tests::many(1'000'000);

/// Counts the ends of the objects of each height; the leaf's is 0.
class ledger {
public:
    ledger() : ends_(static_cast<std::size_t>(depth) + 1) {}

    void born() noexcept { ++alive_; }
    void ended(int height) noexcept {
        --alive_;
        ++ends_[static_cast<std::size_t>(height)];
        in_order_ = in_order_ && height >= last_;
        last_ = height;
    }

    int alive() const noexcept { return alive_; }
    bool in_order() const noexcept { return in_order_; }
    bool each_ended(int times) const noexcept {
        for (std::size_t height = 1; height < ends_.size(); ++height)
            if (ends_[height] != times) return false;
        return true;
    }
    int ends_of_leaf() const noexcept { return ends_.front(); }

private:
    std::vector<unsigned char> ends_;
    int alive_ = 0;
    int last_ = 0;
    bool in_order_ = true;
};

class object {
public:
    object(ledger& book, int height) noexcept : book_(book), height_(height) { book_.born(); }
    object(const object&) = delete;
    object& operator=(const object&) = delete;
    ~object() { book_.ended(height_); }

private:
    ledger& book_;
    int height_;
};

/// `lent` lives in the frame of whoever awaits this one.
aio::task<> descend(int height, ledger& book, const aio::future<>& never, const object& lent) {
    const object local(book, height);
    if (height == 0)
        co_await never;
    else
        co_await descend(height - 1, book, never, object(book, height));
    static_cast<void>(lent);
}

void test() {
    ledger book;
    std::string reported;
    aio::task_handle<> chain;
    std::optional<aio::event_loop> loop(std::in_place);
    loop->set_exception_handler(
        [&reported](aio::event_loop&, const aio::exception_context& context) { reported += context.message; });
    {
        const object lent(book, depth);
        const aio::future<> never(*loop);
        chain = loop->create_task(descend(depth, book, never, lent));
        aio::testing::run_until_idle(*loop);
        // The leaf has one local, each frame above it a local and a temporary, and there is `lent`.
        require(book.alive() == 1 + 2 * depth + 1, "not everything is alive while the chain is suspended");
        loop.reset();
        require(book.alive() == 1, "destroying the loop left objects of its frames alive");
        require(book.in_order(), "the frames were not destroyed leaf first");
        require(book.ends_of_leaf() == 1, "the leaf's local was not destroyed once");
        require(book.each_ended(2), "local and temporary of each frame were not destroyed once each");
    }
    require(!chain.done(), "a destroyed task is not done");
    require(!chain.cancel(), "a destroyed task cannot be cancelled");
    require(reported == "Task was destroyed but it is pending!", "reported: '" + reported + "'");
}

} // namespace

int main() { return asynchio_tests::on_small_stack(&test); }
