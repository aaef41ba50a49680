// Excuses: why the checker does not notice that an order is weakened, told at the site and read
// from there.
//
//     // release: pairs with the acquire in lock().
//     // weakened release survives, store_order: the successor's store to this word comes later in
//     // every execution.
//     tail_.exchange(&node, std::memory_order_acq_rel);
//
// An excuse begins a comment line and has the form
//
//     // weakened LOSS survives, REASON: SENTENCE.
//
// LOSS is what the weakening takes away (Loss; "acquire on failure" for the order of a failed
// compare-exchange). REASON is one of Reason. The sentence, exactly one, may go on over further
// lines; it ends with the comment or where the next excuse begins. The comment stands directly
// above the statement, and excuses every order of that kind which the statement has. A comment line
// that says both "weakened" and "survives" and has another form is an error.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "harness/check/common/weakening.hpp"

namespace faultline::check {

enum class Reason : u8 {
  // What the search does not explore:
  load_buffering,    // the order keeps a store behind an earlier load
  store_order,       // the order keeps two stores to one word in order, and the search performs
                     // stores in the order of execution
  release_sequence,  // a thread's later relaxed stores continue its release, as C++11 had it and
                     // Relacy has it; C++20 has it no more
  program,           // no program of the checker has the calls that need the order
  // What the lock does not need:
  ordered_elsewhere,  // another order makes the same edge wherever the checker comes by
  hint,               // what is read decides nothing but speed
  as_in_linux,        // stronger than needed, as the kernel has it
  compiler,           // stronger than needed, since a compiler refuses the weaker one
};
const char* name_of(Reason reason);

struct Excuse {
  std::string file;
  u32 line;                   // of the excuse
  u32 first_line, last_line;  // of the statement
  Loss loss;
  Reason reason;
  std::string sentence;

  bool covers(const Weakening& weakening) const;
};

// The excuses of a source file, from top to bottom. Throws std::invalid_argument, "file:line: what
// is wrong, what was expected", at the first that is malformed.
std::vector<Excuse> excuses_of(std::string_view file, std::string_view text);

// Those of all sources() under locks/.
std::vector<Excuse> excuses_in_locks();

// A weakening that was tried, and whether a search noticed it.
struct Tried {
  Weakening weakening;
  bool caught;
};

struct Judgement {
  // For each weakening that was tried: null where it was caught, or where nothing excuses it.
  std::vector<const Excuse*> excuse_of;
  // One line for each excuse that covers an order which was caught, or that covers nothing although
  // the searches came by its statement. `all_tried`: every site of every lock was on trial, so an
  // excuse of a statement that no search came by is an error too.
  std::vector<std::string> errors;
};
Judgement judge(const std::vector<Excuse>& excuses, const std::vector<Tried>& tried,
                bool all_tried);

}  // namespace faultline::check
