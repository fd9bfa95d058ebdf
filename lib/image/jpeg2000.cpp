#include <openjpeg.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>

#include "base/error.h"
#include "image/jpeg.h"

namespace mr::image {
namespace {

using Codec = std::unique_ptr<opj_codec_t, decltype(&opj_destroy_codec)>;
using Stream = std::unique_ptr<opj_stream_t, decltype(&opj_stream_destroy)>;
using Image = std::unique_ptr<opj_image_t, decltype(&opj_image_destroy)>;

/// A file in memory, for OpenJPEG's callbacks.
struct Memory {
  std::string bytes;
  std::size_t at = 0;
};

OPJ_SIZE_T read(void* buffer, OPJ_SIZE_T n, void* user) {
  auto& memory = *static_cast<Memory*>(user);
  const auto taken = std::min(n, memory.bytes.size() - memory.at);
  if (taken == 0) return static_cast<OPJ_SIZE_T>(-1);
  std::memcpy(buffer, memory.bytes.data() + memory.at, taken);
  memory.at += taken;
  return taken;
}

OPJ_SIZE_T write(void* buffer, OPJ_SIZE_T n, void* user) {
  auto& memory = *static_cast<Memory*>(user);
  memory.bytes.resize(std::max(memory.bytes.size(), memory.at + n));
  std::memcpy(&memory.bytes[memory.at], buffer, n);
  memory.at += n;
  return n;
}

OPJ_BOOL seek(OPJ_OFF_T to, void* user) {
  auto& memory = *static_cast<Memory*>(user);
  if (to < 0 || static_cast<std::size_t>(to) > memory.bytes.size()) return OPJ_FALSE;
  memory.at = static_cast<std::size_t>(to);
  return OPJ_TRUE;
}

OPJ_OFF_T skip(OPJ_OFF_T by, void* user) {
  const auto& memory = *static_cast<Memory*>(user);
  return seek(static_cast<OPJ_OFF_T>(memory.at) + by, user) ? by : -1;
}

Stream stream_of(Memory& memory, bool input) {
  Stream stream(opj_stream_default_create(input), opj_stream_destroy);
  opj_stream_set_user_data(stream.get(), &memory, nullptr);
  opj_stream_set_user_data_length(stream.get(), memory.bytes.size());
  opj_stream_set_read_function(stream.get(), read);
  opj_stream_set_write_function(stream.get(), write);
  opj_stream_set_seek_function(stream.get(), seek);
  opj_stream_set_skip_function(stream.get(), skip);
  return stream;
}

void keep_message(const char* text, void* user) {
  auto& message = *static_cast<std::string*>(user);
  message = text;
  while (!message.empty() && message.back() == '\n') message.pop_back();
}

/// A shorter side than 2^5 has fewer than 5 halvings.
int resolutions(int width, int height) {
  int n = 1;
  while (n < 6 && (std::min(width, height) >> n) > 0) ++n;
  return n;
}

Image image_of(const GreyPixels& grey) {
  opj_image_cmptparm_t component{};
  component.dx = component.dy = 1;
  component.w = static_cast<OPJ_UINT32>(grey.width);
  component.h = static_cast<OPJ_UINT32>(grey.height);
  component.prec = 8;
  Image image(opj_image_create(1, &component, OPJ_CLRSPC_GRAY), opj_image_destroy);
  if (!image) throw DataError("jpeg2000: no memory for the image");
  image->x1 = component.w;
  image->y1 = component.h;
  std::copy(grey.pixels.begin(), grey.pixels.end(), image->comps[0].data);
  return image;
}

/// `rate` is of the whole file.
std::string encode_at_rate(const GreyPixels& grey, double rate) {
  opj_cparameters_t parameters;
  opj_set_default_encoder_parameters(&parameters);
  parameters.tcp_numlayers = 1;
  parameters.tcp_rates[0] = static_cast<float>(rate);
  parameters.cp_disto_alloc = 1;
  parameters.irreversible = 1;
  parameters.numresolution = resolutions(grey.width, grey.height);
  const auto image = image_of(grey);
  Memory memory;
  std::string message = "the encoder failed";
  const Codec codec(opj_create_compress(OPJ_CODEC_J2K), opj_destroy_codec);
  opj_set_error_handler(codec.get(), keep_message, &message);
  const auto stream = stream_of(memory, false);
  if (!opj_setup_encoder(codec.get(), &parameters, image.get()) ||
      !opj_start_compress(codec.get(), image.get(), stream.get()) ||
      !opj_encode(codec.get(), stream.get()) || !opj_end_compress(codec.get(), stream.get()))
    throw DataError("jpeg2000: " + message);
  return memory.bytes;
}

}  // namespace

std::string encode_jpeg2000(const GreyPixels& grey, double ratio) {
  if (grey.width < 1 || grey.height < 1 || grey.width > 65500 || grey.height > 65500)
    throw DataError("jpeg2000: want sides of 1 to 65500 pixels, got " + std::to_string(grey.width) +
                    " x " + std::to_string(grey.height));
  const GreyPixels empty{std::vector<std::uint8_t>(grey.pixels.size(), 128), grey.width,
                         grey.height};
  const auto pixels = static_cast<double>(grey.pixels.size());
  const auto overhead = static_cast<double>(encode_at_rate(empty, 1).size());
  return encode_at_rate(grey, pixels / (overhead + pixels / ratio));
}

namespace {

/// As DICOM has it, bare; or in the boxes of a .jp2 file, as some writers leave it.
OPJ_CODEC_FORMAT format_of(const std::string& bytes) {
  const std::string box("\0\0\0\x0cjP  ", 8);
  return bytes.compare(0, box.size(), box) == 0 ? OPJ_CODEC_JP2 : OPJ_CODEC_J2K;
}

/// The one component. `check` sees the header before anything of its size is allocated.
Image decode(const std::string& bytes, const std::function<void(const opj_image_comp_t&)>& check) {
  Memory memory{bytes, 0};
  std::string message = "not a JPEG 2000 codestream";
  const Codec codec(opj_create_decompress(format_of(bytes)), opj_destroy_codec);
  opj_set_error_handler(codec.get(), keep_message, &message);
  opj_dparameters_t parameters;
  opj_set_default_decoder_parameters(&parameters);
  const auto stream = stream_of(memory, true);
  opj_image_t* raw = nullptr;
  const bool header = opj_setup_decoder(codec.get(), &parameters) &&
                      opj_read_header(stream.get(), codec.get(), &raw);
  Image image(raw, opj_image_destroy);
  if (!header) throw DataError("jpeg2000: " + message);
  if (image->numcomps != 1) throw DataError("jpeg2000: want one component");
  check(image->comps[0]);
  if (!opj_decode(codec.get(), stream.get(), image.get()) ||
      !opj_end_decompress(codec.get(), stream.get()))
    throw DataError("jpeg2000: " + message);
  if (!image->comps[0].data) throw DataError("jpeg2000: holds no pixels");
  return image;
}

}  // namespace

GreyPixels decode_jpeg2000(const std::string& bytes) {
  const auto image = decode(bytes, [](const opj_image_comp_t& component) {
    if (component.prec != 8) throw DataError("jpeg2000: want 8 bits");
  });
  GreyPixels grey;
  grey.width = static_cast<int>(image->comps[0].w);
  grey.height = static_cast<int>(image->comps[0].h);
  const auto n = static_cast<std::ptrdiff_t>(grey.width) * grey.height;
  const auto* data = image->comps[0].data;
  std::transform(data, data + n, std::back_inserter(grey.pixels),
                 [](OPJ_INT32 x) { return static_cast<std::uint8_t>(std::clamp(x, 0, 255)); });
  return grey;
}

std::vector<std::int32_t> decode_jpeg2000(const std::string& bytes, int width, int height) {
  const auto image = decode(bytes, [&](const opj_image_comp_t& component) {
    if (component.w != static_cast<OPJ_UINT32>(width) ||
        component.h != static_cast<OPJ_UINT32>(height))
      throw DataError("jpeg2000: " + std::to_string(component.w) + " x " +
                      std::to_string(component.h) + " pixels, want " + std::to_string(width) +
                      " x " + std::to_string(height));
    if (component.prec > 16)
      throw DataError("jpeg2000: " + std::to_string(component.prec) +
                      " bits, at most 16 are handled");
  });
  const auto* data = image->comps[0].data;
  return {data, data + static_cast<std::ptrdiff_t>(width) * height};
}

}  // namespace mr::image
