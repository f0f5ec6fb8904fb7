// SPDX-License-Identifier: BSL-1.0
#include "queues.hpp"

#include <memory>

namespace oracle {

namespace {

template<class Queue>
class queue_of final : public any_queue {
public:
    explicit queue_of(std::size_t size) : queue_(size) {}

    asynchio::task<> put(int value) override { co_await queue_.put(value); }
    asynchio::task<int> get() override {
        const int value = co_await queue_.get();
        co_return value;
    }
    asynchio::task<> join() override { co_await queue_.join(); }
    void put_nowait(int value) override { queue_.put_nowait(value); }
    int get_nowait() override { return queue_.get_nowait(); }
    void task_done() override { queue_.task_done(); }
    void shutdown(bool now) override { queue_.shutdown(now); }
    std::string state() const override {
        const auto truth = [](bool value) { return value ? " True" : " False"; };
        return std::to_string(queue_.size()) + truth(queue_.empty()) + truth(queue_.full());
    }

private:
    Queue queue_;
};

} // namespace

std::unique_ptr<any_queue> make_queue(const std::string& kind, std::size_t size) {
    if (kind == "fifo") return std::make_unique<queue_of<asynchio::queue<int>>>(size);
    if (kind == "lifo") return std::make_unique<queue_of<asynchio::lifo_queue<int>>>(size);
    return std::make_unique<queue_of<asynchio::priority_queue<int>>>(size);
}

} // namespace oracle
