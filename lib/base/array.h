// A contiguous array with a shape, 64-byte aligned so that vector code and FFTW take the same
// path, and so give the same bits, at every call.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <numeric>
#include <vector>

#include "base/error.h"

namespace mr {

template <typename T>
struct AlignedAllocator {
  using value_type = T;
  AlignedAllocator() = default;
  template <typename U>
  AlignedAllocator(const AlignedAllocator<U>&) {}
  // Aligned by hand: glibc before 2.38 finds no room for a second aligned block where a first one
  // of the same size was freed (its bug 14581), so that memory grew with every array.
  T* allocate(std::size_t n) {
    auto* block = static_cast<char*>(::operator new(n * sizeof(T) + alignment));
    auto* aligned = block + alignment - reinterpret_cast<std::uintptr_t>(block) % alignment;
    std::memcpy(aligned - sizeof block, &block, sizeof block);
    return reinterpret_cast<T*>(aligned);
  }
  void deallocate(T* p, std::size_t) {
    char* block = nullptr;
    std::memcpy(&block, reinterpret_cast<char*>(p) - sizeof block, sizeof block);
    ::operator delete(block);
  }
  static constexpr std::size_t alignment = 64;
  template <typename U>
  bool operator==(const AlignedAllocator<U>&) const {
    return true;
  }
  template <typename U>
  bool operator!=(const AlignedAllocator<U>&) const {
    return false;
  }
};

using Shape = std::vector<std::int64_t>;

inline std::int64_t count(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

/// Row-major: the last axis is contiguous. New elements are zero.
template <typename T>
class Array {
 public:
  Array() = default;
  explicit Array(Shape shape) : shape_(std::move(shape)) {
    for (const auto n : shape_)
      if (n < 0) throw DataError("array: negative length");
    values_.resize(static_cast<std::size_t>(count(shape_)));
  }
  const Shape& shape() const { return shape_; }
  std::int64_t shape(int axis) const { return shape_.at(static_cast<std::size_t>(axis)); }
  std::int64_t size() const { return static_cast<std::int64_t>(values_.size()); }
  bool empty() const { return values_.empty(); }
  T* data() { return values_.data(); }
  const T* data() const { return values_.data(); }
  T& operator[](std::int64_t i) { return values_[static_cast<std::size_t>(i)]; }
  const T& operator[](std::int64_t i) const { return values_[static_cast<std::size_t>(i)]; }
  auto begin() { return values_.begin(); }
  auto end() { return values_.end(); }
  auto begin() const { return values_.begin(); }
  auto end() const { return values_.end(); }
  bool operator==(const Array& o) const { return shape_ == o.shape_ && values_ == o.values_; }
  bool operator!=(const Array& o) const { return !(*this == o); }

 private:
  Shape shape_;
  std::vector<T, AlignedAllocator<T>> values_;
};

}  // namespace mr
