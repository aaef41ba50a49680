// A stand-in whose definitions are in range_lock.cpp, and which releases by the start alone.
#pragma once

class SongRangeLock {
 public:
  bool tryLock(unsigned long start, unsigned long end);
  void releaseLock(unsigned long start);

 private:
  unsigned long start_ = 0;
};
