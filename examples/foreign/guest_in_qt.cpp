// SPDX-License-Identifier: BSL-1.0

// The event loop as a guest of Qt's: a QSocketNotifier waits for native_handle(), a QTimer for next_deadline(). Tasks and
// slots run on the same thread, so that they share objects without locks. Needs Qt 5 or 6 (Debian: qtbase5-dev).
//
//     c++ -std=c++20 -pthread -fPIC -Iinclude examples/foreign/guest_in_qt.cpp -o guest_in_qt
//         $(pkg-config --cflags --libs Qt5Core)
//
// Run: ./guest_in_qt
// Prints:
//   a task has slept in Qt's main loop
//   a thread computed 42
//   a slot has set a future: 7
//   the main loop has counted 3 ticks of its own
//
// Read next: asio_both_ways.cpp

#include <QAbstractEventDispatcher>
#include <QCoreApplication>
#include <QSocketNotifier>
#include <QTimer>

#include <asynchio/loop.hpp>
#include <asynchio/task.hpp>
#include <asynchio/thread.hpp>

#include <chrono>
#include <iostream>
#include <optional>

namespace aio = asynchio;
using namespace std::chrono_literals;

/// An event loop in Qt's. Qt tells it before it goes to sleep, so that code which uses the loop need not.
class guest {
public:
    explicit guest(aio::event_loop& loop) : loop_(loop), notifier_(loop.native_handle(), QSocketNotifier::Read) {
        deadline_.setSingleShot(true);
        deadline_.setTimerType(Qt::PreciseTimer);
        const auto pump = [this] { loop_.run_ready(); };
        QObject::connect(&notifier_, &QSocketNotifier::activated, &deadline_, pump);
        QObject::connect(&deadline_, &QTimer::timeout, &deadline_, pump);
        QObject::connect(QAbstractEventDispatcher::instance(), &QAbstractEventDispatcher::aboutToBlock, &deadline_,
                         [this] { arm(); });
    }

private:
    void arm() {
        const std::optional<aio::time_point> deadline = loop_.next_deadline();
        if (!deadline) return deadline_.stop();
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - loop_.time());
        deadline_.start(left > 0ms ? left : 0ms);
    }

    aio::event_loop& loop_;
    QSocketNotifier notifier_;
    QTimer deadline_;
};

aio::task<> program(QTimer& ticker, const int& ticks, aio::future<int> answer) {
    co_await aio::sleep(10ms);
    std::cout << "a task has slept in Qt's main loop\n";
    const int product = co_await aio::to_thread([] { return 6 * 7; });
    std::cout << "a thread computed " << product << '\n';
    ticker.start(5ms);
    const int value = co_await answer;
    std::cout << "a slot has set a future: " << value << '\n';
    std::cout << "the main loop has counted " << ticks << " ticks of its own\n";
    QCoreApplication::quit();
}

int main(int count, char** arguments) {
    QCoreApplication host(count, arguments);
    aio::runner runner;
    aio::event_loop& loop = runner.get_loop();
    aio::future<int> answer = loop.create_future<int>();
    int ticks = 0;
    QTimer ticker;
    QObject::connect(&ticker, &QTimer::timeout, &ticker, [&] {
        if (++ticks < 3) return;
        ticker.stop();
        answer.set_result(7);
    });
    const auto task = loop.create_task(program(ticker, ticks, answer));
    const guest here(loop);
    return QCoreApplication::exec();
}
