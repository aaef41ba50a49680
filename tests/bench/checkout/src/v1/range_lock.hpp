// A stand-in of the same name as v0's, whose code must not be taken for it: a try fails three
// times.
template <typename T, unsigned levels>
struct ConcurrentRangeLock {
  bool tryLock(T, T) { return ++tries % 4 == 0; }
  bool releaseLock(T, T) { return true; }

  int tries = 0;
};
