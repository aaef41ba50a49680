// Excuses: the reasons why the checker does not notice that an order is weakened. They are written
// at the site, as comments, and read from there.
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
// compare-exchange). REASON is one of Reason. There is exactly one sentence, which may continue on
// further lines; it ends with the comment or where the next excuse begins. The comment stands
// directly above the statement, and excuses every order of that kind in the statement. A comment
// line that says both "weakened" and "survives" in another form is an error.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "harness/check/common/weakening.hpp"

namespace faultline::check {

enum class Reason : u8 {
  // The search does not explore what would show the order.
  //
  // The order keeps a store behind an earlier load.
  load_buffering,
  // The order keeps two stores to one word in order. The search always performs stores in the order
  // of execution.
  store_order,
  // A thread's later relaxed stores continue its release, in C++11 and in Relacy. In C++20 they do
  // not.
  release_sequence,
  // In C++11 and in Relacy, any edge between two threads orders the seq_cst operations before it
  // and after it. In C++20 an edge does so only if its two ends are seq_cst.
  seq_cst_order,
  // No program of the checker makes the calls that need the order.
  program,

  // The lock does not need the order.
  //
  // Another order makes the same edge wherever the checker reaches the site.
  ordered_elsewhere,
  // The value that is read affects nothing but speed.
  hint,
  // The order is stronger than needed, as in the kernel.
  as_in_linux,
  // The order is stronger than needed, since a compiler refuses the weaker one.
  compiler,
};
const char* name_of(Reason reason);

struct Excuse {
  std::string file;
  u32 line;                   // the excuse's own line
  u32 first_line, last_line;  // the lines of the statement
  Loss loss;
  Reason reason;
  std::string sentence;

  bool covers(const Weakening& weakening) const;
};

// The excuses of a source file, from top to bottom. Throws std::invalid_argument at the first that
// is malformed: "file:line: what is wrong, what was expected".
std::vector<Excuse> excuses_of(std::string_view file, std::string_view text);

// The excuses of all sources() under locks/.
std::vector<Excuse> excuses_in_locks();

// A weakening that was tried, and whether a search noticed it.
struct Tried {
  Weakening weakening;
  bool caught;
};

struct Judgement {
  // For each weakening that was tried, its excuse. Null where a search caught the weakening, or
  // where nothing excuses it.
  std::vector<const Excuse*> excuse_of;
  // One line for each excuse that covers a caught order, and for each that covers nothing although
  // the searches reached its statement. `all_tried`: every site of every lock was on trial. An
  // excuse for a statement that no search reached is then an error too.
  std::vector<std::string> errors;
};
Judgement judge(const std::vector<Excuse>& excuses, const std::vector<Tried>& tried,
                bool all_tried);

}  // namespace faultline::check
