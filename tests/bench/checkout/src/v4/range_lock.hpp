// A stand-in that needs a header which is not there.
#include "sync/no_such_header.h"

class SongRangeLock {};
