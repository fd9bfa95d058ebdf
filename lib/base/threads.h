// Threads. Work items are independent and results are taken in order, so the number of threads
// never shows in an output.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace mr {

/// What the affinity mask and the cgroup's CPU quota allow, at least 1.
int available_threads();

/// Calls body(i) for i in [0, n), on up to `threads` threads; the first exception is rethrown.
void parallel_for(int threads, std::int64_t n, const std::function<void(std::int64_t)>& body);

/// {body(0), ..., body(n - 1)}: what is added up in this order does not depend on the threads.
template <typename Body>
auto parallel_map(int threads, std::int64_t n, Body body) {
  std::vector<decltype(body(std::int64_t{}))> results(static_cast<std::size_t>(n));
  parallel_for(threads, n, [&](std::int64_t i) { results[static_cast<std::size_t>(i)] = body(i); });
  return results;
}

/// Reads items with `produce` (nullopt ends), turns each into a result on `threads` threads, and
/// hands the results to `consume` in the order of production. At most `threads` + 2 items are in
/// memory. produce and consume run on the caller's thread. The first exception stops and is
/// rethrown.
template <typename Produce, typename Transform, typename Consume>
void ordered_pipeline(int threads, Produce produce, Transform transform, Consume consume) {
  using Item = typename decltype(produce())::value_type;
  using Result = decltype(transform(std::declval<Item>()));
  if (threads <= 1) {
    while (auto item = produce()) consume(transform(std::move(*item)));
    return;
  }
  std::deque<std::future<Result>> waiting;
  std::deque<std::packaged_task<Result()>> tasks;
  std::mutex mutex;
  std::condition_variable wake;
  bool closed = false;
  std::vector<std::thread> pool;
  for (int t = 0; t < threads; ++t)
    pool.emplace_back([&] {
      for (;;) {
        std::packaged_task<Result()> task;
        {
          std::unique_lock<std::mutex> lock(mutex);
          wake.wait(lock, [&] { return closed || !tasks.empty(); });
          if (tasks.empty()) return;
          task = std::move(tasks.front());
          tasks.pop_front();
        }
        task();
      }
    });
  const auto close = [&](bool drop) {
    {
      const std::lock_guard<std::mutex> lock(mutex);
      closed = true;
      if (drop) tasks.clear();
    }
    wake.notify_all();
    for (auto& thread : pool) thread.join();
  };
  try {
    bool more = true;
    while (more || !waiting.empty()) {
      while (more && waiting.size() < static_cast<std::size_t>(threads) + 2) {
        auto item = produce();
        if (!item) {
          more = false;
          break;
        }
        // packaged_task wants a copyable callable where the item may be move-only.
        auto shared = std::make_shared<Item>(std::move(*item));
        std::packaged_task<Result()> task(
            [shared, &transform] { return transform(std::move(*shared)); });
        waiting.push_back(task.get_future());
        {
          const std::lock_guard<std::mutex> lock(mutex);
          tasks.push_back(std::move(task));
        }
        wake.notify_one();
      }
      if (!waiting.empty()) {
        Result result = waiting.front().get();
        waiting.pop_front();
        consume(std::move(result));
      }
    }
  } catch (...) {
    close(true);
    throw;
  }
  close(false);
}

}  // namespace mr
