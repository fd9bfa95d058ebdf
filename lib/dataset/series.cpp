#include "dataset/series.h"

#include <future>
#include <optional>
#include <stdexcept>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/run.h"
#include "dataset/corrupt.h"

namespace mr::dataset {
namespace {

/// Ends a round whose numbers could not hold the result.
struct DoesNotFit {
  image::Storage storage;  // that can
};

/// The frames from the first on; with several threads the next one is read in the meantime.
class Frames {
 public:
  Frames(image::ImageReader& image, int threads)
      : image_(image), left_(image.header().shape[0]), ahead_(threads > 1) {
    image_.rewind();
  }

  image::Volume next() {
    throw_if_stopped();
    auto frame = waiting_.valid() ? waiting_.get() : image_.next_frame();
    if (--left_ > 0 && ahead_)
      waiting_ = std::async(std::launch::async, [this] { return image_.next_frame(); });
    return frame;
  }

 private:
  image::ImageReader& image_;
  std::int64_t left_;
  bool ahead_;
  std::future<image::Volume> waiting_;  // whose end waits for it
};

/// All frames on their way through the recipe once.
class Round {
 public:
  /// storage  of the numbers written; unset: the file's own
  Round(Series& series, const artifact::Recipe& recipe, artifact::Draw draw, int threads,
        std::optional<image::Storage> storage)
      : s_(series),
        recipe_(recipe),
        draw_(std::move(draw)),
        threads_(threads),
        storage_(storage),
        frames_(s_.image, threads) {
    draw_.first_frame = 0;
    draw_.series_frames = s_.image.header().shape[0];
    if (s_.source) sources_.emplace(*s_.source, threads);
  }

  /// throws DoesNotFit behind the last frame
  bool next(image::Volume& frame) {
    if (draw_.first_frame == draw_.series_frames) {
      if (fit_.storage() != *storage_) throw DoesNotFit{fit_.storage()};
      return false;
    }
    frame = read(frames_);
    if (!s_.datatype.empty()) image::set_datatype(frame, s_.datatype, s_.entry.file);
    if (!storage_) storage_ = frame.storage;
    try {
      corrupt(frame);
    } catch (const DataError& e) {
      throw DataError(s_.entry.file + ": " + e.what());
    }
    ++draw_.first_frame;
    return true;
  }

  CorruptedSeries result() const { return {artifacts_, fidelity_.fidelity()}; }
  const Json& artifacts() const { return artifacts_; }

 private:
  image::Volume read(Frames& from) const { return with_acquisition(from.next(), s_.entry); }

  void corrupt(image::Volume& frame) {
    image::Volume clean;
    if (sources_)
      clean = read(*sources_);
    else if (s_.compared)
      clean = frame;
    artifact::find_foreground(s_.source ? clean : frame, s_.facts);
    auto record = artifact::corrupt(frame, recipe_, s_.facts, draw_, threads_, s_.maps);
    if (recipe_.gain == artifact::Gain::match)
      record.push_back(artifact::match_gain_step(clean, frame, s_.facts));
    if (s_.compared || artifacts_.empty()) artifact::append_record(artifacts_, record);
    frame.storage = *storage_;
    fit_.add(frame, draw_.first_frame);
    image::quantise(frame, *storage_);
    if (s_.compared) fidelity_.add(clean, frame, s_.facts);
  }

  Series& s_;
  const artifact::Recipe& recipe_;
  artifact::Draw draw_;
  int threads_;
  std::optional<image::Storage> storage_;
  Frames frames_;
  std::optional<Frames> sources_;
  image::StorageFit fit_;
  artifact::FidelityMeter fidelity_;
  Json artifacts_ = Json::array();
};

}  // namespace

bool goes_by_frames(const image::ImageReader& image, const image::ImageReader* source,
                    const ImageEntry& entry, const artifact::Recipe& recipe) {
  if (!image.has_frames() || (source && !source->has_frames()) || !entry.phase.empty() ||
      !artifact::frame_by_frame(recipe))
    return false;
  const auto acquisition =
      image::merge_acquisition(image.header().acquisition, entry.acquisition, entry.file);
  return acquisition.dim4 != "coil";
}

artifact::Facts measure_series(image::ImageReader& image, const std::string& name, int threads,
                               const std::function<void(const image::Volume&)>& see) {
  const auto& shape = image.header().shape;
  threads = useful_threads(threads, shape);
  artifact::FactsMeter meter(count(shape));
  const auto next_pass = [&] {
    try {
      return meter.next_pass();
    } catch (const DataError& e) {
      throw DataError(name + ": " + e.what());
    }
  };
  for (bool first = true; next_pass(); first = false) {
    Frames frames(image, threads);
    for (std::int64_t frame = 0; frame < shape[0]; ++frame) {
      const auto volume = frames.next();
      meter.add(volume);
      if (first && see) see(volume);
    }
  }
  return meter.facts();
}

CorruptedSeries corrupt_series(Series series, const artifact::Recipe& recipe, artifact::Draw draw,
                               int threads, bool can_write_again, const WriteFrames& write) {
  threads = useful_threads(threads, series.image.header().shape);
  if (series.source && series.source->header().shape != series.image.header().shape)
    throw DataError(series.entry.file + ": its size differs from its source's, " +
                    series.entry.source);
  std::optional<image::Storage> storage;
  for (int tries = 0; tries < 3; ++tries) {
    Round round(series, recipe, draw, threads, storage);
    try {
      image::Volume first;
      round.next(first);
      const image::NextFrame next = [&](image::Volume& frame) { return round.next(frame); };
      if (!can_write_again && !storage) {  // only tried: it must succeed to the last frame
        storage = first.storage;
        for (image::Volume frame; next(frame);) {
        }
        continue;
      }
      write(first, next, Json(round.artifacts()));
      return round.result();
    } catch (const DoesNotFit& found) {
      storage = found.storage;
    }
  }
  throw std::logic_error("corrupt_series: no numbers hold the result");
}

}  // namespace mr::dataset
