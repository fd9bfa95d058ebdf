#include "dataset/loader.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <exception>
#include <future>
#include <map>

#include "base/error.h"
#include "dataset/corrupt.h"
#include "image/image_file.h"

namespace mr::dataset {

void SampleSet::add(ImageEntry entry) {
  const auto image = images_.size();
  if (!image_index_.emplace(entry.id, image).second)
    throw DataError("image id '" + entry.id + "' stands twice");
  const auto [found, is_new] =
      subject_index_.emplace(entry.subject, static_cast<int>(subjects_.size()));
  if (is_new) subjects_.push_back(entry.subject);
  image_subject_.push_back(found->second);
  for (std::size_t i = 0; i < entry.samples.size(); ++i) samples_.push_back({image, i});
  images_.push_back(std::move(entry));
}

SampleSet SampleSet::of_split(const std::string& split) const {
  SampleSet chosen(labels_);
  for (const auto& image : images_)
    if (split == "all" || image.split == split) chosen.add(image);
  return chosen;
}

LoadedManifest load_manifest(const std::string& path, const std::string& root,
                             const std::vector<std::string>& splits) {
  ManifestReader reader(path, root);
  LoadedManifest loaded;
  loaded.name = reader.name();
  loaded.splits.assign(splits.size(), SampleSet(reader.labels()));
  std::unordered_map<std::string, std::string> split_of_subject;
  ImageEntry entry;
  while (reader.next(entry)) {
    const auto [found, is_new] = split_of_subject.emplace(entry.subject, entry.split);
    if (!is_new && found->second != entry.split)
      throw DataError(reader.name() + ": subject '" + entry.subject + "' is in two splits: '" +
                      found->second + "' and '" + entry.split + "'");
    for (std::size_t i = 0; i < splits.size(); ++i)
      if (splits[i].empty() || splits[i] == entry.split) {
        try {
          loaded.splits[i].add(entry);
        } catch (const DataError& e) {
          throw DataError(reader.name() + ": " + e.what());
        }
      }
  }
  for (std::size_t i = 0; i < splits.size(); ++i)
    if (loaded.splits[i].size() == 0)
      throw DataError(reader.name() + ": " +
                      (splits[i].empty() ? "no samples" : "split '" + splits[i] + "' is empty"));
  loaded.provenance = reader.provenance();
  loaded.sha256 = reader.sha256();
  return loaded;
}

namespace {

struct Decoded {
  CleanImage clean;  // facts and maps where images are augmented
  Scaling scaling;
  std::size_t bytes = 0;
};

/// What a network sees of a sample that is not augmented.
struct Picture {
  std::vector<float> pixels;
  std::size_t bytes = 0;
};

/// An image under the augmentation of a pass.
struct Augmented {
  std::optional<image::Volume> volume;  // unset where slices of it are made one by one
  Scaling scaling;
  std::size_t bytes = 0;
};

/// What was made for a key, the least recently used dropped beyond a number of bytes. What two
/// threads want at once is made once.
template <typename Key, typename Value>
class Cache {
 public:
  using Entry = std::shared_ptr<const Value>;
  Cache(std::size_t bytes, std::function<Value(const Key&)> make)
      : limit_(bytes), make_(std::move(make)) {}

  Entry get(const Key& key) {
    std::promise<Entry> promise;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      const auto found = index_.find(key);
      if (found != index_.end()) {
        recent_.splice(recent_.begin(), recent_, found->second);
        const auto future = recent_.front().entry;
        lock.unlock();
        return future.get();
      }
      recent_.push_front({key, promise.get_future().share(), 0});
      index_[key] = recent_.begin();
    }
    try {
      auto made = std::make_shared<const Value>(make_(key));
      promise.set_value(made);
      keep(key, made->bytes);
      return made;
    } catch (...) {  // every thread that waits for it gets the error
      promise.set_exception(std::current_exception());
      forget(key);
      throw;
    }
  }

 private:
  struct Slot {
    Key key;
    std::shared_future<Entry> entry;
    std::size_t bytes;
  };

  void forget(const Key& key) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = index_.find(key);
    if (found == index_.end()) return;
    recent_.erase(found->second);
    index_.erase(found);
  }

  void keep(const Key& key, std::size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = index_.find(key);
    if (found == index_.end()) return;
    found->second->bytes = bytes;
    used_ += bytes;
    while (used_ > limit_ && recent_.size() > 1 && recent_.back().bytes > 0) {
      used_ -= recent_.back().bytes;
      index_.erase(recent_.back().key);
      recent_.pop_back();
    }
  }

  std::size_t limit_, used_ = 0;
  std::function<Value(const Key&)> make_;
  std::mutex mutex_;
  std::list<Slot> recent_;
  std::map<Key, typename std::list<Slot>::iterator> index_;
};

std::size_t bytes_of(const image::Volume& v) {
  return static_cast<std::size_t>(count(v.shape())) * (v.is_complex() ? 8 : 4);
}

}  // namespace

struct BatchLoader::State {
  using ImageOfPass = std::pair<std::int64_t, std::size_t>;

  State(const SampleSet& s, const Preprocess& p, LoaderOptions o)
      : samples(s),
        preprocess(p),
        options(std::move(o)),
        pixels(input_elements(p)),
        cache(options.cache_bytes, [this](std::size_t image) { return decode(image); }),
        pictures(options.cache_bytes, [this](std::size_t sample) { return picture(sample); }),
        augmented(options.cache_bytes, [this](const ImageOfPass& key) { return augment(key); }) {
    for (int t = 0; t < std::max(1, options.threads); ++t) pool.emplace_back([this] { work(); });
  }

  ~State() {
    {
      const std::lock_guard<std::mutex> lock(mutex);
      closed = true;
    }
    wake.notify_all();
    for (auto& thread : pool) thread.join();
  }

  static CleanImage read_unaugmented(const ImageEntry& entry) {
    CleanImage clean;
    clean.volume = read_seen(entry);
    return clean;
  }

  Decoded decode(std::size_t image) const {
    const auto& entry = samples.images()[image];
    Decoded decoded;
    decoded.clean = options.augment ? read_clean(entry, artifact::used_maps(*options.augment))
                                    : read_unaugmented(entry);
    const auto& volume = decoded.clean.volume;
    decoded.scaling = measure_scaling(volume, preprocess);
    decoded.bytes = bytes_of(volume) + 1024;
    const auto bytes_of_masks = [](const artifact::Facts& facts) {
      return static_cast<std::size_t>(facts.foreground.size() + facts.object.size());
    };
    decoded.bytes += bytes_of_masks(decoded.clean.facts);
    if (decoded.clean.complex_image) decoded.bytes += bytes_of(*decoded.clean.complex_image);
    if (decoded.clean.source) decoded.bytes += bytes_of(*decoded.clean.source);
    if (decoded.clean.measured) {
      const auto& coils = decoded.clean.measured->coils;
      decoded.bytes += bytes_of(coils.images) +
                       8 * static_cast<std::size_t>(coils.sensitivities.size()) +
                       bytes_of_masks(decoded.clean.measured->facts);
    }
    for (const auto& [kind, map] : decoded.clean.maps) decoded.bytes += bytes_of(map);
    return decoded;
  }

  /// What is wrong with an image's sample names the image's file.
  template <typename Body>
  static void naming(const ImageEntry& entry, const Body& body) {
    try {
      body();
    } catch (const DataError& e) {
      const std::string what = e.what();
      if (what.rfind(entry.file, 0) == 0) throw;
      throw DataError(entry.file + ": " + what);
    }
  }

  Picture picture(std::size_t sample) {
    const auto image = samples.image_of(sample);
    const auto decoded = cache.get(image);
    Picture made;
    made.pixels.resize(pixels);
    made.bytes = 4 * pixels + 256;
    naming(samples.images()[image], [&] {
      extract(decoded->clean.volume, samples.sample(sample).slice, decoded->scaling, preprocess,
              made.pixels.data());
    });
    return made;
  }

  artifact::Draw draw_in(std::int64_t pass, const ImageEntry& entry) const {
    auto draw = draw_of(entry, *options.augment, options.seed);
    draw.epoch = pass;
    return draw;
  }

  /// Whether the recipe corrupts the slices that samples of the image show one by one.
  bool slice_by_slice(const CleanImage& clean, const ImageEntry& entry) const {
    const auto axis = artifact::roles_of(clean.volume).slice;
    return !clean.measured && !clean.complex_image &&
           artifact::in_plane(*options.augment, clean.volume) &&
           std::all_of(entry.samples.begin(), entry.samples.end(), [&](const Sample& sample) {
             return sample.slice && sample.slice->axis == axis;
           });
  }

  Augmented augment(const ImageOfPass& key) {
    const auto& [pass, image] = key;
    const auto& entry = samples.images()[image];
    const auto clean = cache.get(image);
    Augmented made;
    made.bytes = 1024;
    const bool slices = slice_by_slice(clean->clean, entry);
    if (slices && !scales_by_image(preprocess)) {
      made.scaling = clean->scaling;
      return made;
    }
    image::Volume volume;
    apply_recipe(clean->clean, *options.augment, draw_in(pass, entry), volume);
    made.scaling = measure_scaling(volume, preprocess);
    if (slices) return made;
    made.bytes += bytes_of(volume);
    made.volume = std::move(volume);
    return made;
  }

  /// As evaluation would show it under the same draw, but for the rounding of a file: an image is
  /// corrupted, then standardised. Where that looks at the image it is done once a pass, its slices
  /// after that one by one.
  void show_augmented(std::size_t sample, std::int64_t pass, float* out) {
    const auto image = samples.image_of(sample);
    const auto& entry = samples.images()[image];
    const auto& slice = samples.sample(sample).slice;
    const auto decoded = cache.get(image);
    const auto& clean = decoded->clean;
    naming(entry, [&] {
      const auto made = augmented.get({pass, image});
      if (made->volume) return extract(*made->volume, slice, made->scaling, preprocess, out);
      auto shown = input_slices(clean.volume, slice, preprocess);
      std::vector<std::int64_t> indices;
      for (auto& one : shown) {  // beside the last slice of an image stands that slice again
        if (indices.empty() || indices.back() != one->index) indices.push_back(one->index);
        one->index = static_cast<std::int64_t>(indices.size()) - 1;
      }
      const auto alone = artifact::corrupt_slices(clean.volume, indices, *options.augment,
                                                  clean.facts, draw_in(pass, entry), clean.maps);
      extract(alone, shown, made->scaling, preprocess, out);
    });
  }

  void fill(std::size_t sample, std::int64_t pass, float* out) {
    if (options.augment) return show_augmented(sample, pass, out);
    const auto made = pictures.get(sample);
    std::copy(made->pixels.begin(), made->pixels.end(), out);
  }

  Batch make(std::vector<std::size_t> wanted, std::int64_t pass) {
    Batch batch;
    batch.samples = std::move(wanted);
    batch.pixels.resize(batch.samples.size() * pixels);
    for (std::size_t i = 0; i < batch.samples.size(); ++i)
      fill(batch.samples[i], pass, batch.pixels.data() + i * pixels);
    return batch;
  }

  void work() {
    for (;;) {
      std::packaged_task<Batch()> task;
      {
        std::unique_lock<std::mutex> lock(mutex);
        wake.wait(lock, [&] { return closed || !tasks.empty(); });
        if (closed) return;
        task = std::move(tasks.front());
        tasks.pop_front();
      }
      task();
    }
  }

  /// Keeps a few batches under way beyond the one that is used.
  void refill() {
    const auto ahead = pool.size() + 2;
    const std::lock_guard<std::mutex> lock(mutex);
    while (position < order.size() && waiting.size() < ahead) {
      const auto end = std::min(order.size(), position + static_cast<std::size_t>(batch_size));
      std::vector<std::size_t> wanted(order.begin() + static_cast<std::ptrdiff_t>(position),
                                      order.begin() + static_cast<std::ptrdiff_t>(end));
      position = end;
      std::packaged_task<Batch()> task(
          [this, wanted = std::move(wanted), pass = epoch] { return make(wanted, pass); });
      waiting.push_back(task.get_future());
      tasks.push_back(std::move(task));
    }
    wake.notify_all();
  }

  const SampleSet& samples;
  const Preprocess preprocess;
  const LoaderOptions options;
  const std::size_t pixels;
  Cache<std::size_t, Decoded> cache;
  Cache<std::size_t, Picture> pictures;
  Cache<ImageOfPass, Augmented> augmented;
  std::vector<std::size_t> order;
  std::size_t position = 0;
  int batch_size = 1;
  std::int64_t epoch = 0;
  std::deque<std::future<Batch>> waiting;
  std::deque<std::packaged_task<Batch()>> tasks;
  std::mutex mutex;
  std::condition_variable wake;
  bool closed = false;
  std::vector<std::thread> pool;
};

BatchLoader::BatchLoader(const SampleSet& samples, const Preprocess& preprocess,
                         LoaderOptions options)
    : state_(std::make_unique<State>(samples, preprocess, std::move(options))) {}

BatchLoader::~BatchLoader() = default;

void BatchLoader::start(std::vector<std::size_t> order, int batch_size, std::int64_t epoch) {
  auto& s = *state_;
  while (!s.waiting.empty()) {  // a pass that was left early
    s.waiting.front().wait();
    s.waiting.pop_front();
  }
  s.order = std::move(order);
  s.position = 0;
  s.batch_size = batch_size;
  s.epoch = epoch;
  s.refill();
}

bool BatchLoader::next(Batch& batch) {
  auto& s = *state_;
  if (s.waiting.empty()) return false;
  const auto began = std::chrono::steady_clock::now();
  auto future = std::move(s.waiting.front());
  s.waiting.pop_front();
  batch = future.get();
  batch.waited_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  s.refill();
  return true;
}

}  // namespace mr::dataset
