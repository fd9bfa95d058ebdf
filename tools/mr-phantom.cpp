// mr-phantom: make a knee-like labelled MR data set. Only the command line lives here.
#include "base/threads.h"
#include "phantom/phantom.h"
#include "tool_main.h"

namespace {

using mr::phantom::Sequence;

struct Options {
  mr::phantom::Options phantom;
  std::string plane = "coronal", sequence = "pdfs";
  bool force = false;
};

void declare(CLI::App& app, Options& o) {
  auto& p = o.phantom;
  app.description(
      "Make a labelled MR data set of knee-like phantoms: folder of NIfTI images, and manifest.");
  app.add_option("-o,--output", p.folder, "Folder to make")->required();
  app.add_option("--manifest-out", p.manifest_out,
                 "Where the manifest goes, with paths relative to it (default: standard output, "
                 "with absolute paths)");
  app.add_option("-n,--subjects", p.subjects, "Number of subjects")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--matrix", p.matrix, "Pixels along each side of the 128 mm field of view")
      ->check(CLI::Range(16, 1024))
      ->capture_default_str();
  app.add_option("--plane", o.plane, "coronal or sagittal slices")
      ->check(CLI::IsMember({"coronal", "sagittal"}))
      ->capture_default_str();
  app.add_option("--sequence", o.sequence,
                 "pd (proton density), pdfs (the same with fat suppression), or both of each "
                 "subject")
      ->check(CLI::IsMember({"pd", "pdfs", "both"}))
      ->capture_default_str();
  app.add_option("--difficulty", p.difficulty,
                 "0: large lesions of full contrast; 1: small, faint ones, and strong normal "
                 "variants")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_flag("--complex", p.complex_image, "Complex images (complex64), not magnitudes (int16)");
  app.add_flag("--maps", p.maps, "Also write maps of each subject: tissues, fat, field and coils");
  app.add_option("--seed", p.seed, "Same seed, same bytes")->capture_default_str();
  app.add_option("-t,--threads", p.threads, "Threads (default: what the machine allows)")
      ->check(CLI::Range(1, 1024));
  app.add_flag("-f,--force", o.force, "Replace what exists");
  app.footer(
      "Examples:\n"
      "  mr-phantom -o knees > knees.json\n"
      "  mr-phantom -o knees --subjects 20 | "
      "mr-manifest split --ratio train=0.5,val=0.15,test=0.35 > split.json\n"
      "  mr-phantom -o raw --complex --sequence both --matrix 128 --manifest-out raw.json");
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  o.phantom.threads = mr::available_threads();
  CLI::App app("", "mr-phantom");
  declare(app, o);
  return mr::tool_main(app, argc, argv, [&](const mr::Run& run, const mr::Messages& messages) {
    auto& p = o.phantom;
    p.plane = o.plane == "coronal" ? mr::phantom::Plane::coronal : mr::phantom::Plane::sagittal;
    if (o.sequence == "pd") p.sequences = {Sequence::pd};
    if (o.sequence == "both") p.sequences = {Sequence::pd, Sequence::pdfs};
    p.overwrite = o.force ? mr::Overwrite::yes : mr::Overwrite::no;
    mr::phantom::make_data_set(p, run, messages);
  });
}
