// SPDX-License-Identifier: BSL-1.0

#include <asynchio/thread/threadsafe_queue.hpp>

// The protocols of the pieces that cross threads, as small models, each gone through in every order with up to three
// preemptions (one less under a sanitizer, or with five actors). Each has mutants, the mistakes it is there to exclude:
// a model that does not find its mutants proves nothing. The headers say in words what is modelled here.

#include "support/catch.hpp"
#include "support/interleavings.hpp"
#include "support/threads.hpp"

#include <cstddef>
#include <deque>
#include <string>
#include <utility>
#include <vector>

using namespace asynchio_tests;

namespace {

constexpr std::size_t preemptions = sanitized ? 2 : 3;

template<class Model>
void right(std::size_t most = preemptions) {
    const exploration found = explore<Model>(most, Model::mutant::none);
    INFO(found.failure);
    CHECK(found.failure.empty());
    CHECK(found.runs > 5);
}

template<class Model, class Mutant>
void wrong(Mutant which) {
    CHECK_FALSE(explore<Model>(preemptions, which).failure.empty());
}

} // namespace

// loop/mailbox.hpp: post, against fall_asleep and wake_up

namespace {

class mailbox_and_sleep {
public:
    enum class mutant { none, no_second_look, poster_looks_first };

    explicit mailbox_and_sleep(mutant m) : mutant_(m) {}
    std::vector<actor> actors() { return together(loop(), poster(), poster(), timer()); }
    std::string wrong() const { return taken_ == 2 ? "" : "a post was lost"; }

private:
    actor loop() {
        while (taken_ < 2) {
            co_await step;
            if (posts_ > 0) {
                taken_ += std::exchange(posts_, 0);
                continue;
            }
            co_await step;
            asleep_ = true;
            if (mutant_ != mutant::no_second_look) {
                co_await step;
                if (posts_ > 0) {
                    co_await step;
                    asleep_ = false;
                    continue;
                }
            }
            co_await until([this] { return eventfd_ > 0 || time_is_up_; });
            time_is_up_ = false;
            co_await step;
            eventfd_ = 0;
            co_await step;
            asleep_ = false;
        }
    }
    actor poster() {
        co_await step;
        bool sees_sleep = asleep_;
        if (mutant_ == mutant::poster_looks_first) co_await step;
        ++posts_;
        if (mutant_ != mutant::poster_looks_first) {
            co_await step;
            sees_sleep = asleep_;
        }
        if (!sees_sleep) co_return;
        co_await step;
        if (!std::exchange(asleep_, false)) co_return;
        co_await step;
        ++eventfd_;
    }
    actor timer() {
        co_await step;
        time_is_up_ = true;
    }

    mutant mutant_;
    int posts_ = 0;
    int taken_ = 0;
    int eventfd_ = 0;
    bool asleep_ = false;
    bool time_is_up_ = false;
};

class mailbox_and_close {
public:
    enum class mutant { none, push_without_second_look };

    explicit mailbox_and_close(mutant m) : mutant_(m) {}
    std::vector<actor> actors() { return together(loop(), poster(), poster()); }
    std::string wrong() const { return taken_ + refused_ == 2 ? "" : "a post was neither taken nor refused"; }

private:
    actor loop() {
        co_await step;
        taken_ += std::exchange(posts_, 0);
        co_await step;
        closed_ = true;
        taken_ += std::exchange(posts_, 0);
    }
    actor poster() {
        co_await step;
        if (closed_) {
            ++refused_;
            co_return;
        }
        co_await step; // the item is linked; then the exchange compares
        if (closed_ && mutant_ != mutant::push_without_second_look)
            ++refused_;
        else
            ++posts_;
    }

    mutant mutant_;
    int posts_ = 0;
    int taken_ = 0;
    int refused_ = 0;
    bool closed_ = false;
};

} // namespace

TEST_CASE("interleavings: a post is seen by a loop that falls asleep", "[TS-1]") {
    right<mailbox_and_sleep>();
    wrong<mailbox_and_sleep>(mailbox_and_sleep::mutant::no_second_look);
    wrong<mailbox_and_sleep>(mailbox_and_sleep::mutant::poster_looks_first);
}

TEST_CASE("interleavings: a post to a mailbox that closes is taken or refused") {
    right<mailbox_and_close>();
    wrong<mailbox_and_close>(mailbox_and_close::mutant::push_without_second_look);
}

// thread/detail/threadsafe_queue_core.hpp and mixed_line.hpp

namespace {

/// A queue of equal items; places are numbers.
class model_queue {
public:
    enum class standing { outside, waiting, served, refused };

    model_mutex mutex;
    std::vector<standing> places = std::vector<standing>(4, standing::outside);
    std::deque<std::size_t> getters;
    std::deque<std::size_t> putters;
    std::size_t capacity = 2;
    std::size_t items = 0;
    std::size_t claimed = 0;
    bool closed = false;

    void enter(std::deque<std::size_t>& line, std::size_t who) {
        places[who] = standing::waiting;
        line.push_back(who);
    }
    bool leave(std::deque<std::size_t>& line, std::size_t who) {
        if (places[who] != standing::waiting) return false;
        std::erase(line, who);
        places[who] = standing::outside;
        return true;
    }
    void dismiss(std::deque<std::size_t>& line, standing with) {
        places[line.front()] = with;
        line.pop_front();
    }
    void serve_getters() {
        while (items > claimed && !getters.empty()) {
            ++claimed;
            dismiss(getters, standing::served);
        }
    }
    void insert() {
        ++items;
        serve_getters();
    }
    void take() {
        --items;
        while (items < capacity && !putters.empty()) {
            ++items;
            dismiss(putters, standing::served);
        }
        serve_getters();
        if (closed && items == 0) refuse(getters);
    }
    void take_claimed() {
        --claimed;
        take();
    }
    void give_up_claim() {
        --claimed;
        serve_getters();
    }
    void refuse(std::deque<std::size_t>& line) {
        while (!line.empty()) dismiss(line, standing::refused);
    }
    void close() {
        closed = true;
        refuse(putters);
        if (items == 0) refuse(getters);
    }
    /// What a place's owner waits for: its thread was notified, or its loop has the post.
    until dismissed(std::size_t who) {
        return until([this, who] { return places[who] != standing::waiting; });
    }
    /// What the owner of a place waits for that may give up at any time.
    static until dismissed_or_tired() {
        return until([] { return true; });
    }
};

/// Two putters; a thread and a task that get.
class queue_put_and_get {
public:
    enum class mutant { none, enters_late };

    explicit queue_put_and_get(mutant m) : mutant_(m) {}
    std::vector<actor> actors() { return together(getter(0), getter(1), putter(), putter()); }
    std::string wrong() const { return got_ == 2 && q_.items == 0 ? "" : "an item was lost"; }

private:
    actor getter(std::size_t me) {
        co_await q_.mutex.lock();
        if (q_.items > q_.claimed) {
            q_.take();
            ++got_;
            q_.mutex.unlock();
            co_return;
        }
        if (mutant_ == mutant::enters_late) {
            q_.mutex.unlock();
            co_await step;
            co_await q_.mutex.lock();
        }
        q_.enter(q_.getters, me);
        q_.mutex.unlock();
        co_await q_.dismissed(me);
        co_await q_.mutex.lock();
        q_.take_claimed();
        ++got_;
        q_.mutex.unlock();
    }
    actor putter() {
        co_await q_.mutex.lock();
        q_.insert();
        q_.mutex.unlock();
    }

    mutant mutant_;
    model_queue q_;
    int got_ = 0;
};

/// Somebody whose time is up, or who is cancelled, while an item comes; another one waits behind; then close.
class queue_give_up_and_put {
public:
    enum class mutant { none, forgets_claim, leaves_unseen };

    explicit queue_give_up_and_put(mutant m) : mutant_(m) {}
    std::vector<actor> actors() { return together(impatient(), patient(), putter()); }
    std::string wrong() const {
        if (got_ != 1 || q_.items != 0) return "the item was lost";
        return "";
    }

private:
    actor impatient() { // a task that is cancelled, or a thread that looks only whether it was served in time
        co_await q_.mutex.lock();
        if (q_.items > q_.claimed) {
            q_.take();
            ++got_;
            q_.mutex.unlock();
            co_return;
        }
        if (q_.closed) {
            q_.mutex.unlock();
            co_return;
        }
        q_.enter(q_.getters, 0);
        q_.mutex.unlock();
        co_await model_queue::dismissed_or_tired();
        co_await q_.mutex.lock();
        if (mutant_ == mutant::leaves_unseen) {
            std::erase(q_.getters, std::size_t(0));
        } else if (!q_.leave(q_.getters, 0) && q_.places[0] == model_queue::standing::served) {
            if (mutant_ == mutant::forgets_claim)
                --q_.claimed;
            else
                q_.give_up_claim();
        }
        q_.mutex.unlock();
    }
    actor patient() {
        co_await q_.mutex.lock();
        if (q_.items > q_.claimed) {
            q_.take();
            ++got_;
        } else if (!q_.closed || q_.items != 0) {
            q_.enter(q_.getters, 1);
            q_.mutex.unlock();
            co_await q_.dismissed(1);
            co_await q_.mutex.lock();
            if (q_.places[1] == model_queue::standing::served) {
                q_.take_claimed();
                ++got_;
            }
        }
        q_.mutex.unlock();
    }
    actor putter() {
        co_await q_.mutex.lock();
        q_.insert();
        q_.mutex.unlock();
        co_await q_.mutex.lock();
        q_.close();
        q_.mutex.unlock();
    }

    mutant mutant_;
    model_queue q_;
    int got_ = 0;
};

/// Those who wait on both sides when it is closed.
class queue_close_and_wait {
public:
    enum class mutant { none, closes_without_lock };

    explicit queue_close_and_wait(mutant m) : mutant_(m) {
        q_.capacity = 1;
        q_.items = 1;
    }
    std::vector<actor> actors() { return together(getter(0), getter(1), putter(2), closer()); }
    std::string wrong() const {
        if (1 + in_ != got_ + static_cast<int>(q_.items)) return "an item was lost or doubled";
        return q_.items == 0 ? "" : "getters left while there were items";
    }

private:
    actor getter(std::size_t me) {
        for (;;) {
            co_await q_.mutex.lock();
            if (q_.items > q_.claimed) {
                q_.take();
                ++got_;
            } else if (q_.closed && q_.items == 0) {
                q_.mutex.unlock();
                co_return;
            } else {
                co_await step; // between looking and entering there is nobody else but for the lock
                q_.enter(q_.getters, me);
                q_.mutex.unlock();
                co_await q_.dismissed(me);
                co_await q_.mutex.lock();
                if (q_.places[me] == model_queue::standing::served) {
                    q_.take_claimed();
                    ++got_;
                }
            }
            q_.mutex.unlock();
        }
    }
    actor putter(std::size_t me) {
        co_await q_.mutex.lock();
        if (!q_.closed) {
            if (q_.items < q_.capacity) {
                q_.insert();
                ++in_;
            } else {
                q_.enter(q_.putters, me);
                q_.mutex.unlock();
                co_await q_.dismissed(me);
                if (q_.places[me] == model_queue::standing::served) ++in_;
                co_return;
            }
        }
        q_.mutex.unlock();
    }
    actor closer() {
        if (mutant_ == mutant::closes_without_lock) {
            co_await step;
            q_.closed = true;
            co_await step;
            if (q_.items == 0) q_.refuse(q_.getters); // may not see who is about to enter
            co_return;
        }
        co_await q_.mutex.lock();
        q_.close();
        q_.mutex.unlock();
    }

    mutant mutant_;
    model_queue q_;
    int got_ = 0;
    int in_ = 0;
};

/// Room is made while the one who waits for it gives up.
class queue_room_and_give_up {
public:
    enum class mutant { none, refills_later };

    explicit queue_room_and_give_up(mutant m) : mutant_(m) {
        q_.capacity = 1;
        q_.items = 1;
    }
    std::vector<actor> actors() { return together(putter(), second_putter(), getter()); }
    std::string wrong() const {
        if (got_ + static_cast<int>(q_.items) != 1 + in_) return "an item was lost or doubled";
        return q_.items == 1 ? "" : "who waited for room has not got it";
    }

private:
    actor putter() {
        co_await q_.mutex.lock();
        if (q_.items < q_.capacity) {
            q_.insert();
            ++in_;
            q_.mutex.unlock();
            co_return;
        }
        q_.enter(q_.putters, 0);
        q_.mutex.unlock();
        co_await model_queue::dismissed_or_tired();
        co_await q_.mutex.lock();
        if (!q_.leave(q_.putters, 0)) ++in_;
        q_.mutex.unlock();
    }
    actor second_putter() {
        co_await q_.mutex.lock();
        if (q_.items < q_.capacity) {
            q_.insert();
            ++in_;
            q_.mutex.unlock();
            co_return;
        }
        q_.enter(q_.putters, 1);
        q_.mutex.unlock();
        co_await until([this] { return q_.places[1] != model_queue::standing::waiting || over_; });
        if (q_.places[1] == model_queue::standing::served) ++in_;
    }
    actor getter() {
        co_await q_.mutex.lock();
        if (mutant_ == mutant::refills_later) {
            --q_.items;
            const bool somebody_waits = !q_.putters.empty();
            q_.mutex.unlock();
            co_await step;
            co_await q_.mutex.lock();
            if (somebody_waits) { // as seen before
                ++q_.items;
                if (!q_.putters.empty()) q_.dismiss(q_.putters, model_queue::standing::served);
            }
        } else {
            q_.take();
        }
        ++got_;
        q_.mutex.unlock();
        co_await until([this] { return q_.places[0] != model_queue::standing::waiting; });
        over_ = true;
    }

    mutant mutant_;
    model_queue q_;
    int got_ = 0;
    int in_ = 0;
    bool over_ = false;
};

} // namespace

TEST_CASE("interleavings: an item that is put reaches a thread or task that is about to wait") {
    right<queue_put_and_get>();
    wrong<queue_put_and_get>(queue_put_and_get::mutant::enters_late);
}

TEST_CASE("interleavings: an item promised to somebody who gives up reaches the next") {
    right<queue_give_up_and_put>();
    wrong<queue_give_up_and_put>(queue_give_up_and_put::mutant::forgets_claim);
    wrong<queue_give_up_and_put>(queue_give_up_and_put::mutant::leaves_unseen);
}

TEST_CASE("interleavings: close reaches everybody who waits or is about to") {
    right<queue_close_and_wait>();
    wrong<queue_close_and_wait>(queue_close_and_wait::mutant::closes_without_lock);
}

TEST_CASE("interleavings: room that is made goes to one who waits, whoever gives up meanwhile") {
    right<queue_room_and_give_up>();
    wrong<queue_room_and_give_up>(queue_room_and_give_up::mutant::refills_later);
}

// thread/concurrent_future.hpp

namespace {

class future_set_and_get {
public:
    enum class mutant { none, looks_before_lock, notifies_before_set };

    explicit future_set_and_get(mutant m) : mutant_(m) {}
    std::vector<actor> actors() { return together(waiter(), waiter(), setter(), canceller()); }
    std::string wrong() const { return set_ == 1 ? "" : "set twice"; }

private:
    actor waiter() {
        if (mutant_ == mutant::looks_before_lock) {
            co_await step;
            if (done_) co_return;
            co_await mutex_.lock();
            co_await changed_.wait();
        } else {
            co_await mutex_.lock();
            while (!done_) co_await changed_.wait();
        }
        mutex_.unlock();
    }
    actor setter() {
        if (mutant_ == mutant::notifies_before_set) {
            co_await step;
            changed_.notify_all();
        }
        co_await mutex_.lock();
        if (!std::exchange(done_, true)) {
            ++set_;
            if (mutant_ != mutant::notifies_before_set) changed_.notify_all();
        }
        mutex_.unlock();
    }
    actor canceller() { return setter(); }

    mutant mutant_;
    model_mutex mutex_;
    model_condition changed_{mutex_};
    bool done_ = false;
    int set_ = 0;
};

class future_set_and_callback {
public:
    enum class mutant { none, looks_before_lock };

    explicit future_set_and_callback(mutant m) : mutant_(m) {}
    std::vector<actor> actors() { return together(adder(), adder(), setter()); }
    std::string wrong() const { return called_ == 2 ? "" : "a callback was not called once"; }

private:
    actor adder() {
        bool done = false;
        if (mutant_ == mutant::looks_before_lock) {
            co_await step;
            done = done_;
        }
        co_await mutex_.lock();
        if (mutant_ != mutant::looks_before_lock) done = done_;
        if (!done) ++callbacks_;
        mutex_.unlock();
        if (done) ++called_;
    }
    actor setter() {
        co_await mutex_.lock();
        done_ = true;
        const int mine = std::exchange(callbacks_, 0);
        mutex_.unlock();
        co_await step;
        called_ += mine;
    }

    mutant mutant_;
    model_mutex mutex_;
    bool done_ = false;
    int callbacks_ = 0;
    int called_ = 0;
};

} // namespace

TEST_CASE("interleavings: a result reaches threads that are about to wait, and counts once") {
    right<future_set_and_get>();
    wrong<future_set_and_get>(future_set_and_get::mutant::looks_before_lock);
    wrong<future_set_and_get>(future_set_and_get::mutant::notifies_before_set);
}

TEST_CASE("interleavings: a callback that is added while the result comes is called once") {
    right<future_set_and_callback>();
    wrong<future_set_and_callback>(future_set_and_callback::mutant::looks_before_lock);
}

// thread/thread_pool.hpp

namespace {

/// Two workers, two who give a job each, one who closes and is told the end.
class pool_submit_and_close {
public:
    enum class mutant { none, sleeps_late, submit_looks_before_lock, last_looks_after_lock };

    explicit pool_submit_and_close(mutant m) : mutant_(m) {}
    std::vector<actor> actors() { return together(worker(), worker(), giver(), giver(), closer()); }
    std::string wrong() const {
        if (ran_ + refused_ != 2) return "a job was neither run nor refused";
        return told_ == 1 ? "" : "the end was not told once";
    }

private:
    actor worker() {
        co_await mutex_.lock();
        for (;;) {
            if (jobs_ > 0) {
                --jobs_;
                mutex_.unlock();
                co_await step;
                ++ran_;
                co_await mutex_.lock();
                continue;
            }
            if (closing_) break;
            if (mutant_ == mutant::sleeps_late) {
                mutex_.unlock();
                co_await step;
                co_await mutex_.lock();
            }
            ++sleeping_;
            co_await work_.wait();
            --sleeping_;
        }
        --running_;
        bool last = running_ == 0;
        if (mutant_ == mutant::last_looks_after_lock) {
            mutex_.unlock();
            co_await step;
            last = running_ == 0;
            if (last && watching_) ++told_;
            co_return;
        }
        const bool tell = last && std::exchange(watching_, false);
        mutex_.unlock();
        if (tell) ++told_;
    }
    actor giver() {
        bool closing = false;
        if (mutant_ == mutant::submit_looks_before_lock) {
            co_await step;
            closing = closing_;
        }
        co_await mutex_.lock();
        if (mutant_ != mutant::submit_looks_before_lock) closing = closing_;
        if (closing) {
            ++refused_;
        } else {
            ++jobs_;
            if (sleeping_ > 0) work_.notify_one();
        }
        mutex_.unlock();
    }
    actor closer() {
        co_await mutex_.lock();
        closing_ = true;
        work_.notify_all();
        bool told = false;
        if (running_ != 0)
            watching_ = true;
        else
            told = true;
        mutex_.unlock();
        if (told) ++told_;
    }

    mutant mutant_;
    model_mutex mutex_;
    model_condition work_{mutex_};
    int jobs_ = 0;
    int sleeping_ = 0;
    int running_ = 2;
    bool closing_ = false;
    bool watching_ = false;
    int ran_ = 0;
    int refused_ = 0;
    int told_ = 0;
};

/// A job that is taken back while a worker comes for it.
class pool_withdraw_and_run {
public:
    enum class mutant { none, looks_before_lock };

    explicit pool_withdraw_and_run(mutant m) : mutant_(m) {}
    std::vector<actor> actors() { return together(worker(), owner()); }
    std::string wrong() const { return ran_ + withdrawn_ == 1 ? "" : "the job was run and taken back"; }

private:
    actor worker() {
        co_await mutex_.lock();
        const bool mine = std::exchange(queued_, false);
        mutex_.unlock();
        co_await step;
        if (mine) ++ran_;
    }
    actor owner() {
        bool queued = false;
        if (mutant_ == mutant::looks_before_lock) {
            co_await step;
            queued = queued_;
        }
        co_await mutex_.lock();
        if (mutant_ != mutant::looks_before_lock) queued = queued_;
        if (queued) {
            queued_ = false;
            ++withdrawn_;
        }
        mutex_.unlock();
    }

    mutant mutant_;
    model_mutex mutex_;
    bool queued_ = true;
    int ran_ = 0;
    int withdrawn_ = 0;
};

} // namespace

TEST_CASE("interleavings: a job reaches a worker that falls asleep, and a closing pool runs or refuses it") {
    right<pool_submit_and_close>(preemptions - 1); // five actors
    wrong<pool_submit_and_close>(pool_submit_and_close::mutant::sleeps_late);
    wrong<pool_submit_and_close>(pool_submit_and_close::mutant::submit_looks_before_lock);
    wrong<pool_submit_and_close>(pool_submit_and_close::mutant::last_looks_after_lock);
}

TEST_CASE("interleavings: a job is run or taken back") {
    right<pool_withdraw_and_run>();
    wrong<pool_withdraw_and_run>(pool_withdraw_and_run::mutant::looks_before_lock);
}

// thread/run_in_executor.hpp and to_thread.hpp: a loop that closes under a job

namespace {

/// The job frees itself, on whichever side sees it last: loop that takes the post, orphaned, or refused.
class job_and_closing_loop {
public:
    enum class mutant { none, reads_then_writes };

    explicit job_and_closing_loop(mutant m) : mutant_(m) {}
    std::vector<actor> actors() { return together(worker(), loop()); }
    std::string wrong() const { return freed_ == 1 ? "" : "the job was freed " + std::to_string(freed_) + " times"; }

private:
    enum class phase { out, orphaned, refused };

    actor worker() {
        co_await step;
        if (!closed_) {
            posted_ = true;
            co_return;
        }
        co_await step;
        const phase before = phase_;
        if (mutant_ == mutant::reads_then_writes) co_await step;
        phase_ = phase::refused;
        if (before == phase::orphaned) ++freed_;
    }
    actor loop() {
        co_await step;
        closed_ = true;
        if (posted_) {
            ++freed_; // it arrived, and left the list of those that are out
            co_return;
        }
        co_await step;
        const phase before = phase_;
        if (mutant_ == mutant::reads_then_writes) co_await step;
        phase_ = phase::orphaned;
        if (before == phase::refused) ++freed_;
    }

    mutant mutant_;
    phase phase_ = phase::out;
    bool closed_ = false;
    bool posted_ = false;
    int freed_ = 0;
};

/// The job lives in the coroutine that the loop destroys: it waits for the worker to be refused.
class call_and_closing_loop {
public:
    enum class mutant { none, says_so_without_lock };

    explicit call_and_closing_loop(mutant m) : mutant_(m) {}
    std::vector<actor> actors() { return together(worker(), loop()); }
    std::string wrong() const { return touched_after_end_ ? "the worker touched a call that was gone" : ""; }

private:
    actor worker() {
        co_await step;
        if (gone_) touched_after_end_ = true; // the call runs
        co_await step;
        if (!closed_) {
            posted_ = true;
            co_return;
        }
        if (mutant_ == mutant::says_so_without_lock) {
            co_await step;
            refused_ = true;
            co_await step;
            ended_.notify_all();
            co_return;
        }
        co_await mutex_.lock();
        if (gone_) touched_after_end_ = true;
        refused_ = true;
        ended_.notify_all();
        mutex_.unlock();
    }
    actor loop() {
        co_await step;
        closed_ = true;
        if (posted_) {
            gone_ = true;
            co_return;
        }
        co_await mutex_.lock();
        if (mutant_ == mutant::says_so_without_lock) { // looking and sleeping are two steps for who has no lock
            const bool refused = refused_;
            co_await step;
            if (!refused) co_await ended_.wait();
        } else {
            while (!refused_) co_await ended_.wait();
        }
        gone_ = true;
        mutex_.unlock();
    }

    mutant mutant_;
    model_mutex mutex_;
    model_condition ended_{mutex_};
    bool closed_ = false;
    bool posted_ = false;
    bool refused_ = false;
    bool gone_ = false;
    bool touched_after_end_ = false;
};

} // namespace

TEST_CASE("interleavings: a job whose loop closes is freed once") {
    right<job_and_closing_loop>();
    wrong<job_and_closing_loop>(job_and_closing_loop::mutant::reads_then_writes);
}

TEST_CASE(
    "interleavings: a call whose loop closes is not destroyed under the worker, which is not waited for in vain") {
    right<call_and_closing_loop>();
    wrong<call_and_closing_loop>(call_and_closing_loop::mutant::says_so_without_lock);
}

// thread/loop_group.hpp

namespace {

class group_submit_and_close {
public:
    enum class mutant { none, looks_before_lock };

    explicit group_submit_and_close(mutant m) : mutant_(m) {}
    std::vector<actor> actors() { return together(loop(), user(), user(), owner()); }
    std::string wrong() const { return ended_ + refused_ == 2 ? "" : "a task was begun too late to be cancelled"; }

private:
    actor loop() {
        for (bool ending = false; !ending;) {
            co_await until([this] { return !posts_.empty(); });
            const bool end = posts_.front();
            posts_.pop_front();
            if (end)
                ending = true;
            else
                ++ended_; // runs, and is cancelled if it has not ended
        }
    }
    actor user() {
        bool told = false;
        if (mutant_ == mutant::looks_before_lock) {
            co_await step;
            told = told_;
        }
        co_await mutex_.lock();
        if (mutant_ != mutant::looks_before_lock) told = told_;
        if (told)
            ++refused_;
        else
            posts_.push_back(false);
        mutex_.unlock();
    }
    actor owner() {
        co_await mutex_.lock();
        told_ = true;
        posts_.push_back(true);
        mutex_.unlock();
    }

    mutant mutant_;
    model_mutex mutex_;
    std::deque<bool> posts_;
    bool told_ = false;
    int ended_ = 0;
    int refused_ = 0;
};

} // namespace

TEST_CASE("interleavings: what is submitted to a group that closes comes before the end, or is refused") {
    right<group_submit_and_close>();
    wrong<group_submit_and_close>(group_submit_and_close::mutant::looks_before_lock);
}

// The explorer itself

namespace {

class two_counters {
public:
    enum class mutant { none, unlocked };

    explicit two_counters(mutant m) : mutant_(m) {}
    std::vector<actor> actors() { return together(counter(), counter()); }
    std::string wrong() const { return count_ == 2 ? "" : "a count was lost"; }

private:
    actor counter() {
        if (mutant_ == mutant::none) co_await mutex_.lock();
        const int before = count_;
        co_await step;
        count_ = before + 1;
        if (mutant_ == mutant::none) mutex_.unlock();
    }

    mutant mutant_;
    model_mutex mutex_;
    int count_ = 0;
};

class three_steps {
public:
    enum class mutant { none };

    explicit three_steps(mutant) {}
    static std::vector<actor> actors() { return together(walker(), walker()); }
    static std::string wrong() { return ""; }

private:
    static actor walker() {
        co_await step;
        co_await step;
    }
};

} // namespace

TEST_CASE("interleavings: the explorer takes every order once, within its preemptions") {
    CHECK(explore<three_steps>(0, three_steps::mutant::none).runs == 2);
    CHECK(explore<three_steps>(10, three_steps::mutant::none).runs == 20); // 6 steps, 3 of each: 6! / (3! 3!)
    CHECK(explore<three_steps>(1, three_steps::mutant::none).runs == 6);
    CHECK(explore<two_counters>(1, two_counters::mutant::none).failure.empty());
    CHECK(explore<two_counters>(1, two_counters::mutant::unlocked).failure == "a count was lost, in the order ABBA");
    CHECK(explore<two_counters>(0, two_counters::mutant::unlocked).failure.empty());
}
