// A stand-in with the interface of a list-based range lock, whose functions are outside of it.
struct RangeLock {
  unsigned long start;
};
struct ListRL {
  RangeLock range;
};

RangeLock* MutexRangeAcquire(ListRL* list, unsigned long start, unsigned long) {
  list->range.start = start;
  return &list->range;
}

void MutexRangeRelease(ListRL* list, RangeLock* range) {
  if (range != &list->range) throw "released, but not held";
}
