// A stand-in whose definitions are nowhere.
class SongRangeLock {
 public:
  bool tryLock(unsigned long start, unsigned long end);
  void releaseLock(unsigned long start);
};
